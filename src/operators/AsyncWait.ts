/**
 * Runs an Effect for each record, several at a time, and emits the results in the order of the records.
 *
 * Inputs whose results are not out yet are state: a restore runs them again, before any new input.
 *
 * Y1. Results leave in the order of their inputs, watermarks keep their place between them (AS-02).
 * Y2. At most `concurrency` Effects run at once; while as many inputs wait, the task takes no more (AS-04).
 * Y3. A failure, after its retries, fails the task with the user's own error (L6).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { OperatorContext, OperatorListState, Output, PushOperator, StateContext } from "../StreamOperator.js"

type Entry<A, B> =
  | {
    readonly _tag: "Record"
    readonly value: A
    readonly timestamp: number | undefined
    started: boolean
    result: { readonly value: B } | undefined
  }
  | { readonly _tag: "Watermark"; readonly timestamp: number }
  | { readonly _tag: "Status"; readonly idle: boolean }

interface InFlight<A> {
  readonly value: A
  readonly timestamp: number | undefined
}

/** The operator. */
export class AsyncWait<A, B, E> implements PushOperator<A, B, E> {
  private queue: Array<Entry<A, B>> = []
  private running = 0
  private waiting = 0
  private context!: OperatorContext<B>
  private state!: OperatorListState<InFlight<A>>

  constructor(
    private readonly run: (value: A) => Effect.Effect<B, E>,
    private readonly concurrency: number,
    private readonly schema: Schema.Schema<A, any> | undefined,
    private readonly stateSchema: (schema: Schema.Schema<A, any>) => Schema.Schema<InFlight<A>, any>
  ) {}

  setup(ctx: OperatorContext<B>): void {
    this.context = ctx
  }

  initializeState(ctx: StateContext): void {
    this.state = ctx.list<InFlight<A>>("inFlight", this.schema === undefined ? undefined : this.stateSchema(this.schema))
  }

  readonly open = Effect.sync(() => {
    for (const { timestamp, value } of this.state.get()) this.push(value, timestamp)
  })

  push(value: A, timestamp: number | undefined): void {
    this.queue.push({ _tag: "Record", value, timestamp, started: false, result: undefined })
    this.waiting++
    this.start()
  }

  processWatermark(timestamp: number, out: Output<B>): void {
    if (this.queue.length === 0) out.emitWatermark(timestamp)
    else this.queue.push({ _tag: "Watermark", timestamp })
  }

  processWatermarkStatus(idle: boolean, out: Output<B>): void {
    if (this.queue.length === 0) out.emitStatus(idle)
    else this.queue.push({ _tag: "Status", idle })
  }

  snapshotState(): void {
    this.state.set(this.queue.flatMap((entry) => entry._tag === "Record" ? [{ value: entry.value, timestamp: entry.timestamp }] : []))
  }

  isAvailable(): boolean {
    return this.waiting < this.concurrency
  }

  isBusy(): boolean {
    return this.queue.length > 0
  }

  private start(): void {
    for (let i = 0; i < this.queue.length && this.running < this.concurrency; i++) {
      const entry = this.queue[i]
      if (entry._tag !== "Record" || entry.started) continue
      entry.started = true
      this.running++
      this.context.fork(Effect.map(Effect.suspend(() => this.run(entry.value)), (value) => {
        entry.result = { value }
        this.running--
        this.context.execute(() => this.release())
      }))
    }
  }

  /** emits what is done at the head of the queue; under the lock */
  private release(): void {
    const { out } = this.context
    let done = 0
    for (; done < this.queue.length; done++) {
      const entry = this.queue[done]
      if (entry._tag === "Watermark") out.emitWatermark(entry.timestamp)
      else if (entry._tag === "Status") out.emitStatus(entry.idle)
      else if (entry.result === undefined) break
      else {
        out.emit(entry.result.value, entry.timestamp)
        this.waiting--
      }
    }
    if (done > 0) this.queue = this.queue.slice(done)
    this.start()
  }
}
