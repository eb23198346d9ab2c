/**
 * Where records go for good.
 *
 * A plain sink writes as records come: after a restart some may be written again. A transactional one writes aside, and makes visible what
 * belongs to a checkpoint once that checkpoint is complete: two-phase commit.
 *
 * T1. What `prepare(n)` gave is committed exactly when checkpoint `n` or a later one is complete, or the job ends without checkpoints.
 * T2. `commit` may be called again for what is already committed, and then does nothing.
 * T3. After a restore, what the checkpoint holds is committed before anything is written, and what dead attempts left is removed.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/**
 * Where a sink's subtask runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkContext {
  readonly job: string
  readonly uid: string
  readonly subtask: number
  readonly parallelism: number
  /** names this attempt among all attempts of all runs of the job */
  readonly attemptId: string
}

/**
 * Writes records; nothing is held back for a checkpoint.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkWriter<in A, out E = never> {
  /** an Effect, where there is one, is run before the next record */
  readonly write: (value: A, timestamp: number | undefined) => void | Effect.Effect<void, E>
  /** the batch in hand is through */
  readonly endBatch?: (() => void | Effect.Effect<void, E>) | undefined
  /** before a checkpoint is acknowledged, and at the end of the input */
  readonly flush?: Effect.Effect<void, E> | undefined
}

/**
 * Writes records into transactions.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionWriter<in A, in out C, out E = never> {
  readonly write: (value: A, timestamp: number | undefined) => void | Effect.Effect<void, E>
  /**
   * Closes the transaction in hand, under the lock: what is to be committed, and the work that makes it durable, run once before the checkpoint is
   * acknowledged and never interrupted. Should it fail, that checkpoint is declined, and the task fails at the next one.
   */
  readonly prepare: (checkpointId: number) => { readonly committables: ReadonlyArray<C>; readonly persist: Effect.Effect<void, E> }
  /** makes one visible, idempotently */
  readonly commit: (committable: C) => Effect.Effect<void, E>
}

/**
 * A sink for `A`.
 *
 * @since 0.1.0
 * @category models
 */
export type DataSink<A, E = never, R = never> = {
  readonly _tag: "WriterSink"
  readonly name: string
  readonly open: (ctx: SinkContext) => Effect.Effect<SinkWriter<A, E>, E, R | Scope.Scope>
} | {
  readonly _tag: "TransactionalSink"
  readonly name: string
  readonly committable: Schema.Schema<any, any> | undefined
  readonly open: (ctx: SinkContext) => Effect.Effect<TransactionWriter<A, any, E>, E, R | Scope.Scope>
  readonly recover: (restored: ReadonlyArray<any>, ctx: SinkContext) => Effect.Effect<void, E, R>
}

/**
 * Makes a plain sink.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, E, R, E2 = never>(options: {
  readonly name: string
  /** acquired when the task opens, released when it closes */
  readonly open: (ctx: SinkContext) => Effect.Effect<SinkWriter<A, E2>, E, R>
}): DataSink<A, E | E2, Exclude<R, Scope.Scope>> => ({ _tag: "WriterSink", name: options.name, open: options.open as any })

/**
 * Makes a transactional sink. A committable says what to make visible; it is stored in checkpoints: plain data, or with a schema.
 *
 * @since 0.1.0
 * @category constructors
 */
export const transactional = <A, C, E, R, E2 = never, R2 = never, E3 = never>(options: {
  readonly name: string
  readonly committable?: Schema.Schema<C, any> | undefined
  readonly open: (ctx: SinkContext) => Effect.Effect<TransactionWriter<A, C, E3>, E, R>
  /** once in each attempt, before any subtask opens: remove what dead attempts left, except what is `restored` */
  readonly recover?: ((restored: ReadonlyArray<C>, ctx: SinkContext) => Effect.Effect<void, E2, R2>) | undefined
}): DataSink<A, E | E2 | E3, Exclude<R, Scope.Scope> | R2> => ({
  _tag: "TransactionalSink",
  name: options.name,
  committable: options.committable,
  open: options.open as any,
  recover: options.recover as any ?? (() => Effect.void)
})

/**
 * Runs `f` on every record; a restart may run it again.
 *
 * @since 0.1.0
 * @category constructors
 */
export const forEach = <A, E = never, R = never>(f: (value: A) => void | Effect.Effect<void, E, R>): DataSink<A, E, R> => ({
  _tag: "WriterSink",
  name: "forEach",
  open: () => Effect.succeed({ write: f as (value: A) => void | Effect.Effect<void, E> })
})

/**
 * What is done around each commit of a transactional sink; by default nothing. That is how a test crashes a job before, between and after commits.
 *
 * @since 0.1.0
 * @category services
 */
export class AroundCommit extends Context.Reference<AroundCommit>()("sluice/AroundCommit", {
  defaultValue: (): { readonly around: <E>(commit: Effect.Effect<void, E>, sink: SinkContext) => Effect.Effect<void, E> } => ({
    around: (commit) => commit
  })
}) {}
