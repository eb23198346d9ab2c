/**
 * Records that were under way in a task's channels when an unaligned checkpoint overtook them: in the checkpoint, and back in the channels after a restore.
 *
 * F1. Of each channel exactly what was put before its barrier, and was not processed before the task's own snapshot, is captured.
 * F2. After a restore each of them reaches, before anything else, the one subtask that now owns it: its own where nothing has changed, else by the edge's
 *     partitioning. Watermarks among them are kept only where nothing has changed.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type { CheckpointBarrier } from "../Checkpoint.js"
import type { JobVertex } from "../graph/JobGraph.js"
import * as KeyGroup from "../KeyGroup.js"
import { pack, unpack } from "../state/Codec.js"
import { Watermark } from "../StreamElement.js"
import type { Item } from "./Channel.js"
import { Batch } from "./Channel.js"
import type { InputGate } from "./InputGate.js"

/** The name under which they stand in a checkpoint, beside the states of the task's head. */
export const STATE = "channels"

/** What is stored of one item of one channel. */
interface Stored {
  /** where it comes from: operator and side output */
  readonly edge: string
  readonly from: number
  readonly to: number
  readonly writers: number
  readonly readers: number
  readonly watermark: number | undefined
  /** encoded at once: the records are on their way to functions that may change them */
  readonly records: Uint8Array
}

/** A barrier in line, with what was put before it. */
interface Queued {
  readonly barrier: CheckpointBarrier
  readonly channel: number
  readonly upTo: number
}

interface Records {
  readonly values: ReadonlyArray<unknown>
  readonly timestamps: ReadonlyArray<number | undefined>
}

interface Capture {
  readonly id: number
  /** the channels whose barriers are still to come */
  readonly open: Set<number>
  readonly stored: Array<Stored>
  readonly done: Deferred.Deferred<void>
}

/**
 * The part of a subtask in what was under way to an operator that now stands inside a chain: the edge is gone, and with it its partitioning, which was
 * none or led to one subtask.
 */
export const recordsOf = (
  items: ReadonlyArray<unknown>,
  subtask: number,
  parallelism: number
): ReadonlyArray<readonly [value: unknown, timestamp: number | undefined]> => {
  let n = 0
  return (items as ReadonlyArray<Stored>).flatMap(({ records, watermark }) => {
    if (watermark !== undefined) return []
    const { timestamps, values } = unpack(records) as Records
    return values.flatMap((value, i) => n++ % parallelism === subtask ? [[value, timestamps[i]] as const] : [])
  })
}

const addAll = (batch: Batch, { records }: Stored, wanted: (value: unknown) => boolean): void => {
  const { timestamps, values } = unpack(records) as Records
  values.forEach((value, i) => {
    if (wanted(value)) batch.add(value, timestamps[i])
  })
}

/** What is under way in the channels of one subtask. */
export class InFlight {
  /** the one that is still being captured, and those whose snapshot is still being written */
  private current: Capture | undefined
  private readonly kept = new Map<number, Capture>()

  constructor(private readonly gate: InputGate, private readonly vertex: JobVertex, private readonly subtask: number) {}

  /** The task takes its snapshot of an unaligned checkpoint now. */
  begin(id: number, ended: ReadonlySet<number>): void {
    const capture: Capture = { id, open: new Set(), stored: [], done: Deferred.unsafeMake(FiberId.none) }
    this.current = capture
    this.kept.set(id, capture)
    for (let at = 0; at < this.gate.channels.length; at++) {
      if (ended.has(at)) continue
      capture.open.add(at)
      for (const item of this.gate.putBackIn(at)) this.store(capture, at, item)
    }
  }

  /** A channel's barrier has come, and has overtaken what is still queued of all that was put before `upTo`. */
  arrived(at: number, upTo: number): void {
    const { current } = this
    if (current === undefined || !current.open.delete(at)) return
    const channel = this.gate.channels[at]
    for (let place = channel.first; place < upTo; place++) this.store(current, at, channel.at(place))
  }

  /** The channels whose barriers are queued in line although their checkpoint no longer aligns, and where. */
  inLine(id: number): ReadonlyArray<Queued> {
    return this.current?.id === id ? this.queued(id).filter(({ channel }) => this.current!.open.has(channel)) : []
  }

  /** The channels in which the barrier of a checkpoint is queued in line, and where. */
  queued(id: number): ReadonlyArray<Queued> {
    return this.gate.channels.flatMap((channel, at) => {
      for (let place = channel.first; place < channel.end; place++) {
        const item = channel.at(place)
        if (item._tag === "CheckpointBarrier" && item.id === id) return [{ barrier: item, channel: at, upTo: place }]
      }
      return []
    })
  }

  /** An item is about to be processed. */
  polled(at: number, place: number, item: Item): void {
    // what was put back has been captured already
    if (place >= 0 && this.current?.open.has(at) === true) this.store(this.current, at, item)
  }

  /** Every barrier has come. */
  captured(id: number): void {
    if (this.current?.id !== id) return
    Deferred.unsafeDone(this.current.done, Exit.void)
    this.current = undefined
  }

  /** The checkpoint has been given up, and who waits for it is interrupted; or it is stored. */
  forget(id: number): void {
    if (this.current?.id === id) this.current = undefined
    this.kept.delete(id)
  }

  /** Waits until a checkpoint is captured; `undefined` where it is aligned. */
  awaitCaptured(id: number): Effect.Effect<void> | undefined {
    const capture = this.kept.get(id)
    return capture === undefined ? undefined : Deferred.await(capture.done)
  }

  /** What was captured of a checkpoint. */
  items(id: number): ReadonlyArray<unknown> {
    return this.kept.get(id)?.stored ?? []
  }

  /** Puts back what a checkpoint holds, of all subtasks. */
  restore(items: ReadonlyArray<unknown>): void {
    // one batch for what comes from several subtasks, on a channel of its own edge: event time must not advance in the middle of it
    const moved = new Map<number, Batch>()
    for (const [i, stored] of (items as ReadonlyArray<Stored>).entries()) {
      const at = this.gate.channels.findIndex(({ origin }) => origin?.edge === stored.edge && origin.from === stored.from)
      const writers = this.writers(stored.edge)
      if (writers === stored.writers && this.vertex.parallelism === stored.readers) {
        if (stored.to !== this.subtask) continue
        if (stored.watermark !== undefined) {
          this.gate.putBack(at, Watermark.make(stored.watermark))
          continue
        }
        const batch = new Batch(0)
        addAll(batch, stored, () => true)
        this.gate.putBack(at, batch)
        continue
      }
      const any = this.gate.channels.findIndex(({ origin }) => origin?.edge === stored.edge)
      if (any < 0 || stored.watermark !== undefined) continue
      const batch = moved.get(any) ?? new Batch(0)
      moved.set(any, batch)
      addAll(batch, stored, this.mine(any, stored, i))
    }
    for (const [at, batch] of moved) if (batch.count > 0) this.gate.putBack(at, batch)
  }

  private writers(edge: string): number {
    return this.gate.channels.find(({ origin }) => origin?.edge === edge)?.origin?.writers ?? 0
  }

  /** which records of an item belong here, at another parallelism than theirs */
  private mine(at: number, { readers, to }: Stored, i: number): (value: unknown) => boolean {
    const { partitioning } = this.gate.channels[at].origin!
    const { parallelism } = this.vertex
    switch (partitioning._tag) {
      case "Hash": {
        const { codec, select } = partitioning.key
        const { maxParallelism } = this.gate.channels[at].origin!
        return (value) =>
          KeyGroup.subtask(KeyGroup.of(codec.toMapKey(select(value)), maxParallelism), parallelism, maxParallelism) === this.subtask
      }
      case "Broadcast":
        return () => to === (readers === parallelism ? this.subtask : 0)
      case "Global":
        return () => this.subtask === 0
      case "Forward":
      case "Rebalance": {
        let n = i
        return () => n++ % parallelism === this.subtask
      }
    }
  }

  private store(capture: Capture, at: number, item: Item): void {
    if (item._tag !== "Batch" && item._tag !== "Watermark") return
    const origin = this.gate.channels[at].origin
    if (origin === undefined) return
    const values: Array<unknown> = []
    const timestamps: Array<number | undefined> = []
    if (item._tag === "Batch") {
      item.peek((value, timestamp) => {
        values.push(value)
        timestamps.push(timestamp)
      })
    }
    const { edge, from, writers } = origin
    capture.stored.push({
      edge,
      from,
      to: this.subtask,
      writers,
      readers: this.vertex.parallelism,
      watermark: item._tag === "Watermark" ? item.timestamp : undefined,
      records: pack({ values, timestamps } satisfies Records)
    })
  }
}
