/**
 * The end of a chain that leads to other tasks: gathers records into batches for each channel, and sends events to all of them.
 *
 * R1. Per channel, order is the order of emission: an event goes after every record that was emitted before it; only an unaligned barrier overtakes them.
 *
 * @since 0.1.0
 */
import type { Partitioning } from "../graph/StreamGraph.js"
import * as KeyGroup from "../KeyGroup.js"
import { isMapKeyCode } from "../state/KeyCodec.js"
import type { StreamEvent } from "../StreamElement.js"
import { Watermark, WatermarkStatus } from "../StreamElement.js"
import type { Output } from "../StreamOperator.js"
import type { Source, Target } from "./ChainCode.js"
import type { Channel } from "./Channel.js"
import { Batch } from "./Channel.js"

/** Writes one edge of one subtask. */
export class RecordWriter implements Output<any>, Target {
  private readonly building: Array<Batch>
  /** the channel of each key group */
  private readonly owners: ReadonlyArray<number>
  private turn: number
  private idle = false
  /** how many it has handed on, each once */
  records = 0
  /** the last watermark that was sent */
  watermark: number = Watermark.MIN

  constructor(
    readonly channels: ReadonlyArray<Channel>,
    private readonly partitioning: Partitioning,
    subtask: number,
    private readonly maxParallelism: number,
    private readonly batchSize: number
  ) {
    this.turn = subtask % channels.length
    this.owners = Array.from(
      { length: partitioning._tag === "Hash" && channels.length > 1 ? maxParallelism : 0 },
      (_, group) => KeyGroup.subtask(group, channels.length, maxParallelism)
    )
    this.building = channels.map(() => new Batch(0))
  }

  /** whether the writer has to wait for a reader */
  get isBlocked(): boolean {
    for (let i = 0; i < this.channels.length; i++) if (this.channels[i].isFull) return true
    return false
  }

  emit(value: any, timestamp: number | undefined): void {
    const { partitioning } = this
    if (this.channels.length === 1) return this.append(0, value, timestamp)
    switch (partitioning._tag) {
      case "Forward":
      case "Global":
        return this.append(0, value, timestamp)
      case "Rebalance":
        return this.append(this.nextChannel(), value, timestamp)
      case "Hash":
        return this.append(this.owner(partitioning.key.codec.toMapKey(partitioning.key.select(value))), value, timestamp)
      case "Broadcast":
        for (let i = 0; i < this.channels.length; i++) this.append(i, value, timestamp)
    }
  }

  emitBatch(values: ReadonlyArray<any>, timestamps: ReadonlyArray<number> | undefined, count: number): void {
    for (let i = 0; i < count; i++) this.emit(values[i], timestamps === undefined ? undefined : timestamps[i])
  }

  write({ bind, local }: Source, value: string, timestamp: string): string {
    const { partitioning } = this
    const self = bind(this)
    if (this.channels.length === 1) return `${self}.append(0, ${value}, ${timestamp})\n`
    if (partitioning._tag === "Rebalance") return `${self}.append(${self}.nextChannel(), ${value}, ${timestamp})\n`
    if (partitioning._tag !== "Hash") return `${self}.emit(${value}, ${timestamp})\n`
    const { codec, select } = partitioning.key
    const key = local()
    return `const ${key} = ${bind(select)}(${value})
${self}.append(${self}.owner(${isMapKeyCode(key)} ? ${key} : ${bind(codec)}.toMapKey(${key})), ${value}, ${timestamp})
`
  }

  nextChannel(): number {
    const at = this.turn
    this.turn = at + 1 === this.channels.length ? 0 : at + 1
    return at
  }

  owner(key: KeyGroup.MapKey): number {
    return this.owners[KeyGroup.of(key, this.maxParallelism)]
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
    if (event._tag === "CheckpointBarrier" && event.unaligned === true) {
      const { unaligned: _, ...aligned } = event
      for (const channel of this.channels) {
        if (channel.origin?.unaligned === false) channel.put(aligned)
        else channel.overtake(event)
      }
      return
    }
    for (let i = 0; i < this.channels.length; i++) this.channels[i].put(event)
  }

  /** Hands on what was gathered, full or not. */
  flush(): void {
    for (let i = 0; i < this.building.length; i++) if (this.building[i].count > 0) this.hand(i)
  }

  /** Hot. */
  append(channel: number, value: any, timestamp: number | undefined): void {
    const batch = this.building[channel]
    batch.add(value, timestamp)
    if (batch.count >= this.batchSize) this.hand(channel)
  }

  private hand(channel: number): void {
    const batch = this.building[channel]
    if (channel === 0 || this.partitioning._tag !== "Broadcast") this.records += batch.count
    // a batch that was full is followed by another, most likely
    this.building[channel] = new Batch(batch.count >= this.batchSize ? this.batchSize : 0)
    this.channels[channel].put(batch)
  }
}
