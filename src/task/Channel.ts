/**
 * The way from one subtask to another, in order: batches of records, with watermarks, barriers and the like in band. One writer, one reader.
 *
 * C1. What was put comes out, once, in the order in which it was put.
 * C2. A channel that holds `capacity` items is full. Its writer finishes the batch in hand and then waits; what that batch still gives is taken all the same,
 *     so the size is bounded by the capacity and the results of one batch.
 * C3. An unaligned barrier overtakes all that is queued.
 * C4. The reader is woken when the channel stops being empty, the writer when it stops being full.
 *
 * @since 0.1.0
 */
import type { CheckpointBarrier } from "../Checkpoint.js"
import type { Partitioning } from "../graph/StreamGraph.js"
import type { StreamEvent } from "../StreamElement.js"
import type { Output } from "../StreamOperator.js"

/**
 * Records that travel together, in the order in which they were added.
 *
 * Timestamps are kept only where records have them; beside records without, the others are marked.
 */
export class Batch {
  readonly _tag = "Batch"
  count = 0
  private readonly values: Array<any>
  private timestamps: Array<number> | undefined
  /** how many were handed out one by one */
  private given = 0
  /** some have a timestamp, and some have not */
  private mixed = false

  /** `expected` is how many records it will hold, as far as is known: arrays are made that long */
  constructor(private readonly expected: number) {
    this.values = new Array(expected)
  }

  /** Hot. */
  add(value: any, timestamp: number | undefined): void {
    const at = this.count++
    this.values[at] = value
    if (timestamp !== undefined && this.timestamps !== undefined) this.timestamps[at] = timestamp
    else if (timestamp !== undefined || this.timestamps !== undefined) this.stamp(at, timestamp)
  }

  /** Shows the records that have not been handed out. */
  peek(look: (value: any, timestamp: number | undefined) => void): void {
    for (let i = this.given; i < this.count; i++) {
      const timestamp = this.timestamps === undefined ? NaN : this.timestamps[i]
      look(this.values[i], Number.isNaN(timestamp) ? undefined : timestamp)
    }
  }

  /** Hands its records to an output. */
  emitTo(out: Output<any>): void {
    const { count, timestamps, values } = this
    if (!this.mixed) return out.emitBatch(values, timestamps, count)
    for (let i = 0; i < count; i++) out.emit(values[i], Number.isNaN(timestamps![i]) ? undefined : timestamps![i])
  }

  /** Hands its next record to an output; gives whether there are more. */
  emitNext(out: Pick<Output<any>, "emit">): boolean {
    const at = this.given++
    const timestamp = this.timestamps === undefined ? NaN : this.timestamps[at]
    out.emit(this.values[at], Number.isNaN(timestamp) ? undefined : timestamp)
    return this.given < this.count
  }

  private stamp(at: number, timestamp: number | undefined): void {
    if (this.timestamps === undefined) {
      this.timestamps = new Array<number>(this.expected)
      for (let i = 0; i < at; i++) this.timestamps[i] = NaN
    }
    this.timestamps[at] = timestamp ?? NaN
    if (at > 0) this.mixed = true
  }
}

/** What a channel holds. */
export type Item = Batch | StreamEvent

/** How many items a channel takes before its writer has to wait. */
export const CAPACITY = 16

/** Where the records of a channel come from. */
export interface ChannelOrigin {
  /** the operator's uid, and the side output */
  readonly edge: string
  readonly from: number
  readonly writers: number
  readonly partitioning: Partitioning
  readonly maxParallelism: number
  /** whether barriers may overtake here: what is then under way must be free to go to any subtask at another parallelism */
  readonly unaligned: boolean
}

/** A barrier that has overtaken what was put into its channel before `upTo`. */
export interface Overtaking {
  readonly barrier: CheckpointBarrier
  readonly upTo: number
}

/** A single-producer single-consumer ring. */
export class Channel {
  private ring: Array<Item | undefined> = new Array<Item | undefined>(CAPACITY * 2).fill(undefined)
  private head = 0
  private count = 0
  /** items taken so far: the place of the next one */
  first = 0
  private overtaking: Array<Overtaking> = []
  /** a barrier has been put in line */
  onBarrier: (barrier: CheckpointBarrier) => void = () => {}
  onData: () => void = () => {}
  onSpace: () => void = () => {}

  constructor(readonly origin?: ChannelOrigin) {}

  get isFull(): boolean {
    return this.count >= CAPACITY
  }

  /** the place of the next item that is put */
  get end(): number {
    return this.first + this.count
  }

  /** The item at a place from `first` to `end`. */
  at(place: number): Item {
    return this.ring[(this.head + place - this.first) & (this.ring.length - 1)]!
  }

  /** Puts a barrier in front of all that is queued. */
  overtake(barrier: CheckpointBarrier): void {
    this.overtaking.push({ barrier, upTo: this.end })
    this.onData()
  }

  /** The next barrier that has overtaken what is queued. */
  pollOvertaking(): Overtaking | undefined {
    return this.overtaking.length === 0 ? undefined : this.overtaking.shift()
  }

  get size(): number {
    return this.count
  }

  put(item: Item): void {
    if (this.count === this.ring.length) this.grow()
    this.ring[(this.head + this.count) & (this.ring.length - 1)] = item
    this.count++
    if (item._tag === "CheckpointBarrier") this.onBarrier(item)
    if (this.count === 1) this.onData()
  }

  poll(): Item | undefined {
    if (this.count === 0) return undefined
    const item = this.ring[this.head]
    this.ring[this.head] = undefined
    this.head = (this.head + 1) & (this.ring.length - 1)
    this.count--
    this.first++
    if (this.count === CAPACITY - 1) this.onSpace()
    return item
  }

  /** Drops what it holds. */
  clear(): void {
    while (this.count > 0) this.poll()
    this.overtaking = []
  }

  private grow(): void {
    const bigger = new Array<Item | undefined>(this.ring.length * 2).fill(undefined)
    for (let i = 0; i < this.count; i++) bigger[i] = this.ring[(this.head + i) & (this.ring.length - 1)]
    this.ring = bigger
    this.head = 0
  }
}
