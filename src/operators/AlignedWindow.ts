/**
 * Aggregates each key's records by windows that are the same for all keys: pane by pane, a Map of keys for each window's end.
 *
 * I1. A window fires once when the watermark reaches its last timestamp, after the records before it and before the watermark goes on.
 * I2. With allowed lateness it is kept until its cleanup time, and fires again for each late record.
 * I3. A record is late when every window that holds it is past its cleanup time: it is counted and goes to the late output.
 * I4. Which windows have fired is state, and so is the watermark: a restore fires none of them again, and what was late before is late still.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { MapKey } from "../KeyGroup.js"
import type { EmitCode, RecordCode } from "../OperatorCode.js"
import type { OutputTag } from "../OutputTag.js"
import type { Pane, StateTable } from "../state/StateTable.js"
import { NO_NAMESPACE } from "../state/StateTable.js"
import { Watermark } from "../StreamElement.js"
import type { KeyContext, OperatorContext, OperatorListState, Output, PushOperator, StateContext } from "../StreamOperator.js"
import type { AlignedWindows, TimeWindow } from "../Window.js"
import { cleanupTime, start } from "../Window.js"
import * as Fold from "./Fold.js"

/** What is done with the records of a window: `project` gives all its results, or the only one where `single`. */
export interface WindowFunction<A, Acc, Out> {
  readonly accumulator: Schema.Schema<Acc, any> | undefined
  readonly fold: Fold.Fold<A, Acc, WindowOf, Out> | Fold.Fold<A, Acc, WindowOf, Iterable<Out>>
  readonly single: boolean
}

/** What a window function is told besides the records. */
export interface WindowOf {
  readonly key: any
  readonly window: TimeWindow
}

/** The operator. */
export class AlignedWindow<A, Acc, Out> implements PushOperator<A, Out> {
  /** windows that have not fired, by their end */
  private pending!: StateTable<Acc>
  /** windows that have fired and may take late records */
  private fired!: StateTable<Acc>
  private readonly first: (value: A) => Acc
  private readonly result: (acc: Acc, context: WindowOf) => any
  private keys!: KeyContext
  private context!: OperatorContext<Out>
  private watermark: number = Watermark.MIN
  private passed!: OperatorListState<number>
  /** the least end of a window that has not fired */
  private nextEnd = Infinity
  /** the two panes used last: out of order, records alternate between neighbours */
  private lastEnd = NaN
  private lastPane: Pane<Acc> | undefined
  private otherEnd = NaN
  private otherPane: Pane<Acc> | undefined
  private emitPane: ((pane: Pane<Acc>, end: number, at: number) => void) | undefined

  constructor(
    private readonly windows: AlignedWindows,
    private readonly lateness: number,
    private readonly late: OutputTag<A> | undefined,
    private readonly fn: WindowFunction<A, Acc, Out>
  ) {
    this.first = Fold.first(fn.fold)
    this.result = Fold.result<Acc, WindowOf, any>(fn.fold)
  }

  setup(ctx: OperatorContext<Out>): void {
    this.context = ctx
  }

  initializeState(ctx: StateContext): void {
    this.keys = ctx.keys
    this.pending = ctx.table("windows", this.fn.accumulator)
    this.fired = ctx.table("fired", this.fn.accumulator)
    this.nextEnd = this.leastEnd()
    this.passed = ctx.list<number>("watermark", undefined, "union")
    const watermarks = this.passed.get()
    if (watermarks.length > 0) this.watermark = Math.min(...watermarks)
  }

  snapshotState(): void {
    this.passed.set([this.watermark])
  }

  push(value: A, timestamp: number | undefined, out: Output<Out>): void {
    if (timestamp === undefined) {
      throw new TypeError(
        `${this.context.name}: a record without a timestamp cannot be put into a window of event time; use DataStream.assignTimestamps before keyBy`
      )
    }
    const { offset, size, slide } = this.windows
    const last = start(timestamp, offset, slide)
    if (size === slide && lastOf(last + size) > this.watermark) return this.add(last + size, value)
    let taken = false
    for (let at = last; at > timestamp - size; at -= slide) {
      const end = at + size
      if (lastOf(end) > this.watermark) {
        this.add(end, value)
        taken = true
      } else if (cleanupTime(end, this.lateness) > this.watermark) {
        this.addLate(end, value, out)
        taken = true
      }
    }
    if (!taken) {
      this.context.count("late")
      if (this.late !== undefined) out.output(this.late, value, timestamp)
    }
  }

  /** Tumbling windows that have not fired, in the open; the rest by a call. */
  code(code: RecordCode): string {
    const { bind, local, out, timestamp, value } = code
    const { offset, size, slide } = this.windows
    const self = bind(this)
    const push = `${self}.push(${value}, ${timestamp}, ${out})\n`
    if (size !== slide) return push
    const [end, pane, entry] = [local(), local(), local()]
    return `const ${end} = ${timestamp} === undefined ? NaN : ${bind(start)}(${timestamp}, ${offset}, ${slide}) + ${size}
if (Math.min(${end} - 1, ${Watermark.MAX}) > ${self}.watermark) {
if (${end} !== ${self}.lastEnd) ${self}.turnTo(${end})
const ${pane} = ${self}.lastPane
${Fold.addCode(code, this.fn.fold, this.pending, entry, pane, end)}
} else ${push}`
  }

  processWatermark(watermark: number, out: Output<Out>): void {
    // after a restore the source gives again what had passed here before
    if (watermark > this.watermark) this.watermark = watermark
    if (lastOf(this.nextEnd) <= watermark && this.nextEnd !== Infinity) this.fire(watermark, out)
    if (this.lateness > 0) {
      for (const end of this.fired.panes.keys()) {
        if (isWindow(end) && cleanupTime(end, this.lateness) <= watermark) this.fired.drop(end)
      }
    }
    out.emitWatermark(watermark)
  }

  private add(end: number, value: A): void {
    const table = this.pending
    if (end !== this.lastEnd) this.turnTo(end)
    const pane = this.lastPane!
    const { mapKey } = this.keys
    const entry = table.entry(pane, end, mapKey)
    if (entry === undefined) table.insert(pane, mapKey, this.first(value))
    else entry.value = this.fn.fold.add(entry.value, value)
  }

  private turnTo(end: number): void {
    const pane = end === this.otherEnd ? this.otherPane : this.pending.paneOrNew(end)
    this.otherEnd = this.lastEnd
    this.otherPane = this.lastPane
    this.lastEnd = end
    this.lastPane = pane
    if (end < this.nextEnd) this.nextEnd = end
  }

  private addLate(end: number, value: A, out: Output<Out>): void {
    const table = this.fired
    const pane = table.paneOrNew(end)
    const { mapKey } = this.keys
    let entry = table.entry(pane, end, mapKey)
    if (entry === undefined) entry = table.insert(pane, mapKey, this.first(value))
    else entry.value = this.fn.fold.add(entry.value, value)
    this.emit(entry.value, end, out)
  }

  private fire(watermark: number, out: Output<Out>): void {
    const due = Array.from(this.pending.panes.keys()).filter((end): end is number => isWindow(end) && lastOf(end) <= watermark)
    due.sort((a, b) => a - b)
    this.lastEnd = this.otherEnd = NaN
    this.lastPane = this.otherPane = undefined
    for (const end of due) {
      const pane = this.pending.pane(end)!
      this.emitPane ??= this.context.generate(["pane", "end", "at"], (code) => this.emitPaneCode(code)) ??
        ((pane, end) => {
          for (const [key, entry] of pane) {
            this.keys.setMapKey(key)
            this.emit(entry.value, end, out)
          }
        })
      this.emitPane(pane, end, lastOf(end))
      if (this.lateness > 0) this.pending.move(end, this.fired)
      else this.pending.drop(end)
    }
    this.nextEnd = this.leastEnd()
  }

  private emitPaneCode(code: EmitCode): string {
    const { bind, emit } = code
    const result = Fold.resultCode(
      code,
      this.fn.fold,
      "entry.value",
      `{ key: ${bind(this.keys)}.key, window: { start: end - ${this.windows.size}, end } }`
    )
    return `for (const [key, entry] of pane) {
${bind(this.keys)}.mapKey = key
${this.fn.single ? emit(result, "at") : `for (const each of ${result}) ${emit("each", "at")}`}}`
  }

  private emit(acc: Acc, end: number, out: Output<Out>): void {
    const result = this.result(acc, { key: this.keys.key, window: { start: end - this.windows.size, end } })
    if (this.fn.single) return out.emit(result, lastOf(end))
    for (const each of result) out.emit(each, lastOf(end))
  }

  private leastEnd(): number {
    let least = Infinity
    for (const end of this.pending.panes.keys()) if (isWindow(end) && end < least) least = end
    return least
  }
}

/** the last timestamp of the window that ends there */
const lastOf = (end: number): number => Math.min(end - 1, Watermark.MAX)

/** a table's own pane, for states without namespaces, is none */
const isWindow = (namespace: MapKey): namespace is number => namespace !== NO_NAMESPACE
