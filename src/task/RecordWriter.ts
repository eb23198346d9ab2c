/**
 * The end of a chain that leads to other tasks: gathers records into batches for each channel, and sends events to all of them.
 *
 * R1. Per channel, order is the order of emission: an event goes after every record that was emitted before it.
 *
 * @since 0.1.0
 */
import type { Partitioning } from "../graph/StreamGraph.js"
import * as KeyGroup from "../KeyGroup.js"
import type { StreamEvent } from "../StreamElement.js"
import { Watermark, WatermarkStatus } from "../StreamElement.js"
import type { Output } from "../StreamOperator.js"
import type { Channel } from "./Channel.js"
import { Batch } from "./Channel.js"

/** Which channels a record goes to: one, or all. */
type Route = { readonly _tag: "One"; readonly of: (value: unknown) => number } | { readonly _tag: "All" }

const routeOf = (partitioning: Partitioning, subtask: number, channels: number, maxParallelism: number): Route => {
  switch (partitioning._tag) {
    case "Forward":
      return { _tag: "One", of: () => 0 }
    case "Rebalance": {
      let next = subtask % channels
      return {
        _tag: "One",
        of: () => {
          const at = next
          next = at + 1 === channels ? 0 : at + 1
          return at
        }
      }
    }
    case "Global":
      return { _tag: "One", of: () => 0 }
    case "Hash": {
      const { codec, select } = partitioning.key
      return {
        _tag: "One",
        of: (value) => KeyGroup.subtask(KeyGroup.of(codec.toMapKey(select(value)), maxParallelism), channels, maxParallelism)
      }
    }
    case "Broadcast":
      return { _tag: "All" }
  }
}

/** Writes one edge of one subtask. */
export class RecordWriter implements Output<any> {
  private readonly building: Array<Batch>
  private readonly route: Route
  private idle = false
  records = 0
  /** the last watermark that was sent */
  watermark: number = Watermark.MIN

  constructor(
    readonly channels: ReadonlyArray<Channel>,
    partitioning: Partitioning,
    subtask: number,
    maxParallelism: number,
    private readonly batchSize: number
  ) {
    this.route = routeOf(partitioning, subtask, channels.length, maxParallelism)
    this.building = channels.map(() => new Batch())
  }

  /** whether the writer has to wait for a reader */
  get isBlocked(): boolean {
    for (let i = 0; i < this.channels.length; i++) if (this.channels[i].isFull) return true
    return false
  }

  /** Hot. */
  emit(value: any, timestamp: number | undefined): void {
    const { route } = this
    if (this.channels.length === 1) return this.append(0, value, timestamp)
    if (route._tag === "One") this.append(route.of(value), value, timestamp)
    else for (let i = 0; i < this.channels.length; i++) this.append(i, value, timestamp)
  }

  emitWatermark(timestamp: number): void {
    // a final watermark must not get lost behind an idle status (invariant trap 5)
    if (this.idle && timestamp === Watermark.MAX) this.emitStatus(false)
    if (this.idle) return
    this.watermark = timestamp
    this.event(Watermark.make(timestamp))
  }

  emitStatus(idle: boolean): void {
    if (this.idle === idle) return
    this.idle = idle
    this.event(idle ? WatermarkStatus.idle : WatermarkStatus.active)
  }

  output(): void {}

  /** Sends an event to every reader, after all that was emitted. */
  event(event: StreamEvent): void {
    this.flush()
    for (let i = 0; i < this.channels.length; i++) this.channels[i].put(event)
  }

  /** Hands on what was gathered, full or not. */
  flush(): void {
    for (let i = 0; i < this.building.length; i++) if (this.building[i].values.length > 0) this.hand(i)
  }

  private append(channel: number, value: any, timestamp: number | undefined): void {
    const batch = this.building[channel]
    batch.values.push(value)
    batch.timestamps.push(timestamp)
    if (batch.values.length >= this.batchSize) this.hand(channel)
  }

  private hand(channel: number): void {
    const batch = this.building[channel]
    this.records += batch.values.length
    this.building[channel] = new Batch()
    this.channels[channel].put(batch)
  }
}
