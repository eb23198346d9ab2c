/**
 * The operators at the end of a pipeline: a plain writer, and two-phase commit.
 *
 * Laws T1 to T3 of `DataSink`.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { DataSink, SinkContext, SinkWriter, TransactionWriter } from "../DataSink.js"
import { AroundCommit } from "../DataSink.js"
import type { RecordCode } from "../OperatorCode.js"
import type { StreamRecord } from "../StreamElement.js"
import type { HookResult, OperatorContext, OperatorListState, SnapshotContext, StateContext, StreamOperator } from "../StreamOperator.js"
import type { OncePerAttempt } from "./OncePerAttempt.js"

/** The operator of a sink; `recovery` is shared by its subtasks. */
export const make = <A, E>(sink: DataSink<A, E, any>, recovery: OncePerAttempt<void, E>): StreamOperator<A, never, E> =>
  sink._tag === "WriterSink" ? new WriterOperator(sink) : new CommittingOperator(sink, recovery)

const contextOf = (ctx: OperatorContext<never>): SinkContext => ({
  job: ctx.job,
  uid: ctx.uid,
  subtask: ctx.subtask,
  parallelism: ctx.parallelism,
  attemptId: ctx.attemptId
})

type Of<T extends DataSink<any, any, any>["_tag"], A, E> = Extract<DataSink<A, E, any>, { readonly _tag: T }>

/** Hands a record to the writer; what that answers may be an Effect. Asked for the writer when the code is written, after `open`. */
const writeCode = <A, E>({ bind, local, park, timestamp, value }: RecordCode, writer: Pick<SinkWriter<A, E>, "write">): string => {
  const answer = local()
  return `const ${answer} = ${bind(writer)}.write(${value}, ${timestamp})
if (${answer} !== undefined && ${bind(Effect.isEffect)}(${answer})) { ${park(answer)} }
`
}

/** Writes as records come. */
class WriterOperator<A, E> implements StreamOperator<A, never, E> {
  private context!: SinkContext
  private writer!: SinkWriter<A, E>

  constructor(private readonly sink: Of<"WriterSink", A, E>) {}

  setup(ctx: OperatorContext<never>): void {
    this.context = contextOf(ctx)
  }

  readonly open = Effect.suspend(() =>
    Effect.map(this.sink.open(this.context) as Effect.Effect<SinkWriter<A, E>, E, Scope.Scope>, (writer) => {
      this.writer = writer
    })
  )

  processElement({ timestamp, value }: StreamRecord<A>): HookResult<E> {
    const answer = this.writer.write(value, timestamp)
    return answer !== undefined && Effect.isEffect(answer) ? answer : undefined
  }

  code(code: RecordCode): string {
    return writeCode(code, this.writer)
  }

  endBatch(): HookResult<E> {
    return this.writer.endBatch?.()
  }

  snapshotState(): HookResult<E> {
    return this.writer.flush
  }

  finish(): HookResult<E> {
    return this.writer.flush
  }
}

interface Transaction<C> {
  readonly checkpointId: number
  readonly subtask: number
  readonly committable: C
}

/** Writes aside, and commits what completed checkpoints hold. */
class CommittingOperator<A, E> implements StreamOperator<A, never, E> {
  private operator!: OperatorContext<never>
  private context!: SinkContext
  private writer!: TransactionWriter<A, any, E>
  private state!: OperatorListState<Transaction<any>>
  private restored: ReadonlyArray<Transaction<any>> = []
  private pending: Array<Transaction<any>> = []
  /** work that makes transactions durable: every checkpoint waits for all of it, also for that of an aborted one */
  private persisting: Array<Deferred.Deferred<void, E>> = []
  /** why a transaction cannot be made durable: what it holds is only in the checkpoint before, to which the task must go back */
  private lost: Cause.Cause<E> | undefined

  constructor(private readonly sink: Of<"TransactionalSink", A, E>, private readonly recovery: OncePerAttempt<void, E>) {}

  setup(ctx: OperatorContext<never>): void {
    this.operator = ctx
    this.context = contextOf(ctx)
  }

  initializeState(ctx: StateContext): HookResult<E> {
    const { committable } = this.sink
    this.state = ctx.list<Transaction<any>>(
      "transactions",
      committable === undefined
        ? undefined
        : Schema.Struct({ checkpointId: Schema.Number, subtask: Schema.Number, committable }) as Schema.Schema<any, any>,
      "union"
    )
    const all = this.state.get()
    // at the same parallelism each commits its own: a subtask that had finished is not run again
    this.restored = all.filter(({ subtask }) => subtask % this.context.parallelism === this.context.subtask)
    this.state.set([])
    // T3: before any subtask opens, since all initialize first
    return this.recovery.run(
      this.context.attemptId,
      Effect.suspend(() => this.sink.recover(all.map((each) => each.committable), this.context))
    ) as Effect.Effect<void, E>
  }

  readonly open = Effect.suspend(() =>
    Effect.flatMap(this.sink.open(this.context) as Effect.Effect<TransactionWriter<A, any, E>, E, Scope.Scope>, (writer) => {
      this.writer = writer
      return Effect.forEach(this.restored, ({ committable }) => this.commitOne(committable), { discard: true })
    })
  )

  processElement({ timestamp, value }: StreamRecord<A>): HookResult<E> {
    const answer = this.writer.write(value, timestamp)
    return answer !== undefined && Effect.isEffect(answer) ? answer : undefined
  }

  code(code: RecordCode): string {
    return writeCode(code, this.writer)
  }

  snapshotState(ctx: SnapshotContext<E>): HookResult<E> {
    if (this.lost !== undefined) return Effect.failCause(this.lost)
    return Effect.gen(this, function*() {
      const { committables, persist } = this.writer.prepare(ctx.checkpointId)
      for (const committable of committables) {
        this.pending.push({ checkpointId: ctx.checkpointId, subtask: this.context.subtask, committable })
      }
      this.state.set(this.pending.slice())
      const done = yield* Deferred.make<void, E>()
      this.persisting.push(done)
      // not in the checkpoint's own fiber: an abort must not leave a transaction half written
      this.operator.fork(Effect.uninterruptible(Effect.flatMap(Effect.exit(persist), (exit) => {
        if (Exit.isSuccess(exit)) this.persisting = this.persisting.filter((other) => other !== done)
        else this.lost ??= exit.cause
        return Effect.asVoid(Deferred.done(done, exit))
      })))
      for (const each of this.persisting) ctx.defer(Deferred.await(each))
    })
  }

  notifyCheckpointComplete(checkpointId: number): HookResult<E> {
    const due = this.pending.filter((each) => each.checkpointId <= checkpointId)
    return due.length === 0 ? undefined : this.commit(due)
  }

  private commitOne(committable: unknown): Effect.Effect<void, E> {
    return Effect.flatMap(AroundCommit, ({ around }) => around(Effect.suspend(() => this.writer.commit(committable)), this.context))
  }

  private commit(due: ReadonlyArray<Transaction<any>>): Effect.Effect<void, E> {
    return Effect.forEach(due, (each) =>
      Effect.map(this.commitOne(each.committable), () => {
        this.pending = this.pending.filter((other) => other !== each)
      }), { discard: true })
  }

  /** without checkpoints the end of the input is what commits (2P-10) */
  finish(): HookResult<E> {
    if (this.operator.checkpointing) return
    return Effect.suspend(() => {
      const { committables, persist } = this.writer.prepare(0)
      for (const committable of committables) this.pending.push({ checkpointId: 0, subtask: this.context.subtask, committable })
      return persist.pipe(
        // what savepoints and checkpoints under way have prepared would wait for a completion that does not come
        Effect.zipRight(Effect.forEach(this.persisting, Deferred.await, { discard: true })),
        Effect.zipRight(this.commit(this.pending))
      )
    })
  }
}
