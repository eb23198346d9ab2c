/**
 * Reads the splits of a source: each subtask its own, one after the other, and keeps in every checkpoint what is left.
 *
 * X0. All subtasks of an attempt see the same list of splits: it is made once for all of them.
 * X1. On a restore no split is listed again: what is left comes from the checkpoint, dealt out anew by the splits' ordinals.
 * X2. A position is taken over with the records before it, under the lock: none is lost and none comes twice.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { DataSource, SplitReader } from "../DataSource.js"
import type { OperatorContext, OperatorListState, Output, SourceOperator, SourceStatus, StateContext } from "../StreamOperator.js"
import type { OncePerAttempt } from "./OncePerAttempt.js"

/** A split that has not been read to its end. */
interface Remaining {
  readonly ordinal: number
  readonly split: unknown
  readonly position: unknown
  /** whether `position` says anything */
  readonly started: boolean
}

/** The splits of a source, listed once for each attempt. */
export type Listing<E> = OncePerAttempt<ReadonlyArray<unknown>, E>

/** The operator at the head of a source task. */
export class Source<A, E> implements SourceOperator<A, E> {
  private context!: OperatorContext<A>
  private state!: OperatorListState<Remaining>
  private remaining: Array<Remaining> = []
  private reader: SplitReader<A, unknown, E> | undefined
  private readerScope: Scope.CloseableScope | undefined
  private exhausted = false
  private scope!: Scope.Scope
  recordsRead = 0

  constructor(private readonly source: DataSource<A, E, any>, private readonly listing: Listing<E>) {}

  setup(ctx: OperatorContext<A>): void {
    this.context = ctx
  }

  initializeState(ctx: StateContext): Effect.Effect<void, E> {
    const { parallelism, subtask } = this.context
    // by ordinal, so that at the same parallelism a split stays where it was: a subtask that had finished is not run again
    const deal = (all: ReadonlyArray<Remaining>) => {
      this.remaining = all.filter(({ ordinal }) => ordinal % parallelism === subtask)
    }
    this.state = ctx.list("splits", schemaOf(this.source), "union")
    if (ctx.restoredCheckpointId !== undefined) {
      deal(this.state.get().slice().sort((a, b) => a.ordinal - b.ordinal))
      return Effect.void
    }
    const splits = this.listing.run(this.context.attemptId, this.source.splits) as Effect.Effect<ReadonlyArray<unknown>, E>
    return Effect.map(splits, (found) => deal(found.map((split, ordinal) => ({ ordinal, split, position: undefined, started: false }))))
  }

  readonly open = Effect.map(Effect.scope, (scope) => {
    this.scope = scope
  })

  /** Hot once per batch. */
  poll(out: Output<A>): SourceStatus {
    if (this.exhausted) {
      this.exhausted = false
      this.reader = undefined
      this.remaining.shift()
    }
    if (this.remaining.length === 0) return "end-of-input"
    const batch = this.reader?.poll(this.context.batchSize)
    if (batch === undefined) return "nothing-available"
    const { side, timestamps, values } = batch
    this.recordsRead += values.length
    out.emitBatch(values, timestamps, values.length)
    if (side !== undefined) {
      for (const { tag, value } of side) {
        this.context.count(tag.id)
        out.output(tag, value, undefined)
      }
    }
    this.remaining[0] = { ...this.remaining[0], position: batch.position, started: true }
    return "more-available"
  }

  readonly fetch: Effect.Effect<void, E> = Effect.suspend(() => {
    if (this.reader === undefined) return this.openSplit
    return Effect.flatMap(this.reader.fetch, (more) => {
      if (more) return Effect.void
      this.exhausted = true
      return this.closeSplit
    })
  })

  snapshotState(): void {
    this.state.set(this.exhausted ? this.remaining.slice(1) : this.remaining.slice())
  }

  private readonly openSplit = Effect.suspend(() => {
    const { position, split, started } = this.remaining[0]
    return Effect.gen(this, function*() {
      const scope = yield* Scope.fork(this.scope, ExecutionStrategy.sequential)
      this.readerScope = scope
      this.reader = yield* Scope.extend(this.source.read(split, started ? position : undefined), scope) as Effect.Effect<
        SplitReader<A, unknown, E>,
        E
      >
    })
  })

  private readonly closeSplit = Effect.suspend(() => {
    const scope = this.readerScope
    this.readerScope = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })
}

const schemaOf = (source: DataSource<any, any, any>): Schema.Schema<Remaining, any> | undefined =>
  source.split === undefined && source.position === undefined ? undefined : Schema.Struct({
    ordinal: Schema.Number,
    split: source.split ?? Schema.Any,
    position: Schema.UndefinedOr(source.position ?? Schema.Any),
    started: Schema.Boolean
  }) as Schema.Schema<any, any>
