/**
 * The laws of operators, checked on random lives of one in real tasks.
 *
 * Each script is run twice: once as its input alone, and once with all that happens to a task besides: snapshots, cancels, crashes, failures and restores,
 * after which the input since the last snapshot comes again. Both must come to the same.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Connected from "../../language/ConnectedStreams.js"
import type { DataStream } from "../../language/DataStream.js"
import { transform } from "../../language/DataStream.js"
import { keyBy } from "../../language/KeyedStream.js"
import type { StreamRecord } from "../../StreamElement.js"
import type { Operator, TwoInputStreamOperator } from "../../StreamOperator.js"
import * as Harness from "../Harness.js"
import type { Law, Values } from "./check.js"
import { alike, alikeAll, arbitraryOf, check, Violation } from "./check.js"
import type { LawBroken } from "./LawBroken.js"
import type { OperatorOptions, Runner, Setup } from "./OperatorRun.js"
import { Run, showRecords } from "./OperatorRun.js"
import type { InputStep, Script, Step } from "./Script.js"
import { drawn, resolve, showScript } from "./Script.js"

const RESTORE: Law = { law: "L9", rule: "after a restore the results are those of a run without it" }
const RESCALE: Law = { law: "L11", rule: "results do not depend on parallelism" }

const inputs: ReadonlyArray<string> = ["element", "watermark", "status", "advance", "endInput"] satisfies ReadonlyArray<InputStep["_tag"]>

const isInput = (step: Step): step is InputStep => inputs.includes(step._tag)

const checkScript = (setup: Setup, script: Script): Effect.Effect<void, unknown, any> =>
  Effect.gen(function*() {
    const { equivalence = alike, order = "same" } = setup.options
    const alone: Script = { ...script, steps: script.steps.filter(isInput), end: "finish" }
    const expected = yield* new Run(setup, alone, false).run
    if (alone.steps.length === script.steps.length && script.end === "finish") {
      return
    }
    const rescaled = script.steps.some((step) => "parallelism" in step && step.parallelism > 1)
    const same = (found: ReadonlyArray<StreamRecord<any>>) =>
      alikeAll(
        expected,
        found,
        rescaled ? "any" : order,
        (a, b) => a.timestamp === b.timestamp && equivalence(a.value, b.value)
      )
    const found = yield* new Run(setup, script, false).run
    if (script.end === "close" || same(found)) return
    // event time may have come again by the time the rest does, or may not: neither is the operator's fault
    const again = yield* Effect.option(new Run(setup, script, true).run)
    if (Option.isSome(again) && same(again.value)) return
    yield* Effect.fail(new Violation(rescaled ? RESCALE : RESTORE, showRecords(expected), showRecords(found)))
  })

const laws = <R>(
  part: string,
  setup: Setup,
  values: ReadonlyArray<Values<any>>
): Effect.Effect<void, LawBroken, R> =>
  check<any, R>({
    ...setup.options,
    part,
    runs: 100,
    scripts: drawn(values.map(arbitraryOf), setup.keys === undefined ? [1] : [1, 1, 2, 3]).map((script) => resolve(script, setup.inputs)),
    run: (script: Script) => checkScript(setup, script),
    print: (script: Script) => showScript(script, setup.inputs)
  }) as Effect.Effect<void, LawBroken, any>

/**
 * Holds an operator, or a pipeline of one task, to the laws of the life cycle: it ends in one state (L1), closes what it opened (L2), fails with what failed
 * first (L3), emits what is due before the watermark (L7), keeps watermarks (L10), emits nothing after its end (O1), and after any crash comes to what it
 * would have come to without (L9). With `keyed`, the key of a record, also when it is run by several subtasks and rescaled (L11); an operator without a
 * pipeline around it then has that key.
 *
 * Fails with the shortest script that it finds. An operator whose own failures depend on its records needs values that do not make it fail.
 *
 * @example
 * ```ts
 * import { DataStream, KeyedStream } from "sluice"
 * import { Laws } from "sluice/testing"
 * import { Effect, Schema } from "effect"
 *
 * const sums = (input: DataStream.DataStream<number>) =>
 *   input.pipe(KeyedStream.keyBy((n) => n % 3), KeyedStream.reduce((a, b) => a + b))
 *
 * await Effect.runPromise(Laws.operator(sums, Schema.Int, { keyed: (n) => n % 3, numRuns: 20 }))
 * ```
 *
 * @since 0.1.0
 * @category laws
 */
export const operator: {
  <In, Out, E1, E, R>(
    factory: Effect.Effect<Operator<In, Out, E1>, E, R>,
    values: Values<NoInfer<In>>,
    options?: OperatorOptions<NoInfer<Out>> & { readonly keyed?: ((value: NoInfer<In>) => unknown) | undefined }
  ): Effect.Effect<void, LawBroken, R>
  <In, Out, E, R>(
    pipeline: (input: DataStream<In>) => DataStream<Out, E, R>,
    values: Values<NoInfer<In>>,
    options?: OperatorOptions<NoInfer<Out>> & { readonly keyed?: ((value: NoInfer<In>) => unknown) | undefined }
  ): Effect.Effect<void, LawBroken, R>
} = <R>(
  part: Effect.Effect<Operator<any, any, any>, any, R> | ((input: DataStream<any>) => DataStream<any, any, R>),
  values: Values<any>,
  options: OperatorOptions<any> & { readonly keyed?: ((value: any) => unknown) | undefined } = {}
): Effect.Effect<void, LawBroken, R> => {
  const { keyed } = options
  const pipeline = Effect.isEffect(part)
    ? (input: DataStream<any>) => transform(keyed === undefined ? input : keyBy(input, keyed), "operator", part)
    : part
  const run: Runner = (harness) => Effect.map(Harness.oneInput(pipeline, harness), (one) => ({ harness: one, inputs: [one] }))
  return laws("the operator", { run, inputs: 1, keys: keyed === undefined ? undefined : [keyed], options }, [values])
}

/**
 * `operator` for two inputs, whose order against each other the scripts choose: one may also end before the other.
 *
 * @since 0.1.0
 * @category laws
 */
export const twoInputOperator: {
  <In1, In2, Out, E1, E, R>(
    factory: Effect.Effect<TwoInputStreamOperator<In1, In2, Out, E1>, E, R>,
    first: Values<NoInfer<In1>>,
    second: Values<NoInfer<In2>>,
    options?: OperatorOptions<NoInfer<Out>> & {
      readonly keyed?: readonly [(value: NoInfer<In1>) => unknown, (value: NoInfer<In2>) => unknown] | undefined
    }
  ): Effect.Effect<void, LawBroken, R>
  <In1, In2, Out, E, R>(
    pipeline: (first: DataStream<In1>, second: DataStream<In2>) => DataStream<Out, E, R>,
    first: Values<NoInfer<In1>>,
    second: Values<NoInfer<In2>>,
    options?: OperatorOptions<NoInfer<Out>> & {
      readonly keyed?: readonly [(value: NoInfer<In1>) => unknown, (value: NoInfer<In2>) => unknown] | undefined
    }
  ): Effect.Effect<void, LawBroken, R>
} = <R>(
  part:
    | Effect.Effect<TwoInputStreamOperator<any, any, any, any>, any, R>
    | ((first: DataStream<any>, second: DataStream<any>) => DataStream<any, any, R>),
  first: Values<any>,
  second: Values<any>,
  options: OperatorOptions<any> & { readonly keyed?: readonly [(value: any) => unknown, (value: any) => unknown] | undefined } = {}
): Effect.Effect<void, LawBroken, R> => {
  const { keyed } = options
  const pipeline = Effect.isEffect(part)
    ? (a: DataStream<any>, b: DataStream<any>): DataStream<any, any, R> =>
      Connected.transform(
        keyed === undefined ? Connected.connect(a, b) : Connected.keyBy(Connected.connect(a, b), keyed[0], keyed[1]),
        "operator",
        part
      )
    : part
  const run: Runner = (harness) =>
    Effect.map(Harness.twoInput(pipeline, harness), (two) => ({
      harness: two,
      inputs: [
        { element: two.element1, watermark: two.watermark1, idle: two.idle1, active: two.active1, endInput: two.endInput1 },
        { element: two.element2, watermark: two.watermark2, idle: two.idle2, active: two.active2, endInput: two.endInput2 }
      ]
    }))
  return laws("the operator", { run, inputs: 2, keys: keyed, options }, [first, second])
}
