/**
 * How an operator writes itself into the function that a chain becomes.
 *
 * A shared call site goes megamorphic in V8 once a process has run a dozen jobs, and costs several times the work behind it. So a chain runs as functions
 * that are generated for it alone: the operators behind each other as plain statements, user functions bound as constants, value and timestamp as locals.
 * An operator that writes no code is called through `push`; where code generation is forbidden all are.
 *
 * G1. The code does for each record exactly what `push` or `processElement` does.
 * G2. It is written once per place from which records reach the operator, at the first record: after `open`, with whatever the operator has made by then.
 *
 * @since 0.1.0
 */

/**
 * Writes code that emits.
 *
 * @since 0.1.0
 * @category models
 */
export interface EmitCode {
  /** the name by which the code knows a thing */
  readonly bind: (thing: unknown) => string
  /** a name that nothing else has */
  readonly local: () => string
  /** statements that hand on a value with its timestamp, both expressions; from the second use on they are a call */
  readonly emit: (value: string, timestamp: string) => string
  /** the operator's `Output`, for functions that want one */
  readonly out: string
}

/**
 * Writes code that takes a record.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordCode extends EmitCode {
  /** a local */
  readonly value: string
  /** a local, or the word `undefined` where no record that comes this way has one */
  readonly timestamp: string
  /** locals that hold the current key as the user knows it, and as state tables do; `undefined` without a keyed input */
  readonly key: string
  readonly mapKey: string
  /** statements that park a `StreamOperator` on the Effect that an expression gives, or do nothing where it gives `undefined` */
  readonly park: (answer: string) => string
}
