/**
 * Runs an Effect for each record, several at a time, and emits the results in the order of the records.
 *
 * Inputs whose results are not out yet are state, with the watermark that was before them: a restore runs them again, before any new input.
 *
 * Y1. Results leave in the order of their inputs, watermarks keep their place between them (AS-02).
 * Y2. At most `concurrency` Effects run at once; while as many inputs wait, the task takes no more (AS-04).
 * Y3. A failure, after its retries, fails the task with the user's own error (L6).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { Watermark } from "../StreamElement.js"
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
  /** the watermark that had passed before it */
  readonly watermark: number
}

/** The operator. */
export class AsyncWait<A, B, E> implements PushOperator<A, B, E> {
  private queue: Array<Entry<A, B>> = []
  private running = 0
  private waiting = 0
  private watermark: number = Watermark.MIN
  private context!: OperatorContext<B>
  private state!: OperatorListState<InFlight<A>>
  /** the last watermark that each subtask has seen, given out or not */
  private seen!: OperatorListState<number>

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
    this.seen = ctx.list<number>("watermark", undefined, "union")
  }

  readonly open = Effect.sync(() => {
    const restored = this.state.get()
    // they may come from several subtasks: no record, of these or still to come, may meet a watermark that was not before it
    const sure = Math.min(...this.seen.get())
    const watermarks = restored.map((each) => Math.min(each.watermark, sure))
    for (let i = watermarks.length - 2; i >= 0; i--) watermarks[i] = Math.min(watermarks[i], watermarks[i + 1])
    let passed: number = Watermark.MIN
    restored.forEach(({ timestamp, value }, i) => {
      if (watermarks[i] > passed) this.queue.push({ _tag: "Watermark", timestamp: passed = watermarks[i] })
      this.push(value, timestamp)
    })
  })

  push(value: A, timestamp: number | undefined): void {
    this.queue.push({ _tag: "Record", value, timestamp, started: false, result: undefined })
    this.waiting++
    this.start()
  }

  processWatermark(timestamp: number, out: Output<B>): void {
    if (this.queue.length === 0) this.forward(timestamp, out)
    else this.queue.push({ _tag: "Watermark", timestamp })
  }

  processWatermarkStatus(idle: boolean, out: Output<B>): void {
    if (this.queue.length === 0) out.emitStatus(idle)
    else this.queue.push({ _tag: "Status", idle })
  }

  snapshotState(): void {
    let watermark = this.watermark
    this.state.set(this.queue.flatMap((entry) => {
      if (entry._tag === "Watermark") watermark = entry.timestamp
      return entry._tag === "Record" ? [{ value: entry.value, timestamp: entry.timestamp, watermark }] : []
    }))
    this.seen.set([watermark])
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

  private forward(timestamp: number, out: Output<B>): void {
    // after a restore the source gives again what had passed here before
    if (timestamp <= this.watermark) return
    this.watermark = timestamp
    out.emitWatermark(timestamp)
  }

  /** emits what is done at the head of the queue; under the lock */
  private release(): void {
    const { out } = this.context
    let done = 0
    for (; done < this.queue.length; done++) {
      const entry = this.queue[done]
      if (entry._tag === "Watermark") this.forward(entry.timestamp, out)
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
