/**
 * Gives records their event time, and makes watermarks from it.
 *
 * A watermark follows the batch in which event time advanced; one that a record carries follows that record. Watermarks from upstream go no further,
 * except the last. The last watermark is state: after a restore event time goes on where it was.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { RecordCode } from "../OperatorCode.js"
import { Watermark } from "../StreamElement.js"
import type { OperatorContext, OperatorListState, Output, PushOperator, StateContext } from "../StreamOperator.js"
import type { WatermarkStrategy } from "../WatermarkStrategy.js"
import { clamp } from "../WatermarkStrategy.js"

/** Assigns timestamps where `timestampOf` is given, else keeps those that records have. */
export class TimestampsAndWatermarks<A> implements PushOperator<A, A> {
  private highest: number = Watermark.MIN
  private emitted: number = Watermark.MIN
  /** the watermark of before the restore, until it is emitted again */
  private restored: number | undefined
  private idle = false
  private seen = false
  private context!: OperatorContext<A>
  private state!: OperatorListState<number>

  constructor(
    private readonly timestampOf: ((value: A) => number) | undefined,
    private readonly strategy: WatermarkStrategy<A>
  ) {}

  setup(ctx: OperatorContext<A>): void {
    this.context = ctx
  }

  initializeState(ctx: StateContext): void {
    this.state = ctx.list<number>("watermark", undefined, "union")
    const all = this.state.get()
    // what no subtask had passed cannot be late now, whoever reads it
    const least = all.length === 0 ? Watermark.MIN : Math.min(...all)
    if (least !== Watermark.MIN) this.restored = least
  }

  readonly open = Effect.sync(() => this.watch())

  push(value: A, given: number | undefined, out: Output<A>): void {
    const timestamp = this.timestampOf === undefined ? given : this.timestampOf(value)
    if (typeof timestamp !== "number" || !Number.isFinite(timestamp)) this.refuse(timestamp)
    this.seen = true
    if (this.idle || this.restored !== undefined) this.wake(out)
    out.emit(value, timestamp)
    if (timestamp > this.highest) this.highest = timestamp
    if (this.strategy.fromRecord !== undefined) {
      const watermark = this.strategy.fromRecord(value, timestamp)
      if (watermark !== undefined) this.advance(watermark, out)
    }
  }

  code({ bind, emit, local, out, timestamp: given, value }: RecordCode): string {
    const [self, timestamp, watermark] = [bind(this), local(), local()]
    return `const ${timestamp} = ${this.timestampOf === undefined ? given : `${bind(this.timestampOf)}(${value})`}
if (typeof ${timestamp} !== "number" || ${timestamp} - ${timestamp} !== 0) ${self}.refuse(${timestamp})
${self}.seen = true
if (${self}.idle || ${self}.restored !== undefined) ${self}.wake(${out})
${emit(value, timestamp)}if (${timestamp} > ${self}.highest) ${self}.highest = ${timestamp}
${
      this.strategy.fromRecord === undefined ? "" : `const ${watermark} = ${bind(this.strategy.fromRecord)}(${value}, ${timestamp})
if (${watermark} !== undefined) ${self}.advance(${watermark}, ${out})
`
    }`
  }

  endBatch(out: Output<A>): void {
    if (this.idle) return
    if (this.restored !== undefined) this.resume(this.restored, out)
    if (this.strategy.fromHighest !== undefined && this.highest !== Watermark.MIN) {
      this.advance(this.strategy.fromHighest(this.highest), out)
    }
  }

  processWatermark(watermark: number, out: Output<A>): void {
    if (watermark !== Watermark.MAX) return
    // whoever has ended holds nobody back, after a restore either
    this.restored = undefined
    this.emitted = watermark
    out.emitWatermark(watermark)
  }

  /** whether this input is idle is decided here */
  processWatermarkStatus(): void {}

  snapshotState(): void {
    this.state.set([this.restored ?? this.emitted])
  }

  private refuse(timestamp: unknown): never {
    throw new TypeError(
      `${this.context.name}: a record has no timestamp (got ${
        String(timestamp)
      }); give assignTimestamps a function that returns milliseconds for every record`
    )
  }

  private wake(out: Output<A>): void {
    if (this.idle) {
      this.idle = false
      out.emitStatus(false)
    }
    if (this.restored !== undefined) this.resume(this.restored, out)
  }

  private resume(watermark: number, out: Output<A>): void {
    this.restored = undefined
    this.advance(watermark, out)
  }

  private advance(watermark: number, out: Output<A>): void {
    const next = clamp(watermark)
    if (next <= this.emitted || this.idle) return
    this.emitted = next
    out.emitWatermark(next)
  }

  private watch(): void {
    const { idleAfter } = this.strategy
    if (idleAfter === undefined) return
    const { out, processingTime } = this.context
    processingTime.schedule(processingTime.now() + idleAfter, () => {
      // WM-15: an input that nobody lets in is not idle
      if (this.context.isBackpressured()) this.seen = true
      if (!this.seen && !this.idle) {
        this.idle = true
        out.emitStatus(true)
      }
      this.seen = false
      this.watch()
    })
  }
}
