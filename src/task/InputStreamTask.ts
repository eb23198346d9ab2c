/**
 * A task that reads: inputs of any number of channels, taken in turn, with their watermarks joined and their barriers aligned.
 *
 * L8. No record of a channel between its barrier and the end of alignment reaches an operator.
 * L10. An input's watermark is the minimum over its active channels, the task's that over its active inputs.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CheckpointBarrier } from "../Checkpoint.js"
import type { StreamEvent } from "../StreamElement.js"
import { cancelCheckpointMarker } from "../StreamElement.js"
import * as BarrierAligner from "./BarrierAligner.js"
import { InputGate } from "./InputGate.js"
import type { TaskEnvironment } from "./Invokable.js"
import type { InputStatus } from "./Slices.js"
import { StreamTask } from "./StreamTask.js"
import { WatermarkValve } from "./WatermarkValve.js"

/** Runs a subtask that reads other subtasks. */
export abstract class InputStreamTask extends StreamTask {
  private readonly gate: InputGate
  /** joins the channels of each input */
  private readonly valves: ReadonlyArray<WatermarkValve>
  /** joins the inputs */
  private readonly joint: WatermarkValve
  private readonly withoutData = new Set<number>()
  private readonly ended = new Set<number>()
  private aligner: BarrierAligner.State
  protected recordsIn = 0
  /** the checkpoints that are due once every channel has ended */
  private awaitingEnds: ReadonlyArray<CheckpointBarrier> = []

  constructor(env: TaskEnvironment) {
    super(env)
    this.gate = new InputGate(env.inputs)
    this.gate.onData(this.parker.wake)
    this.joint = new WatermarkValve(
      env.inputs.length,
      (timestamp) => this.chain.head.emitWatermark(timestamp),
      (idle) => this.chain.head.emitStatus(idle)
    )
    this.valves = env.inputs.map((channels, input) =>
      new WatermarkValve(
        channels.length,
        (timestamp) => {
          this.chain.inputWatermark(timestamp, input)
          this.joint.watermark(input, timestamp)
        },
        (idle) => this.joint.status(input, idle)
      )
    )
    this.aligner = BarrierAligner.initial(this.gate.channels.length, env.restoredId)
  }

  protected get watermark(): number {
    return this.joint.current
  }

  protected processInput(): InputStatus {
    const item = this.gate.poll()
    if (item === undefined) return "nothing"
    if (item._tag !== "Batch") return this.processEvent(this.gate.channel, item)
    this.recordsIn += item.count
    item.emitTo(this.chain.inputs[this.gate.inputOf(this.gate.channel)])
    return "more"
  }

  /** takes no more than one record, of one input or of any */
  protected processRecord(input: number | undefined): InputStatus {
    const item = this.gate.poll(input)
    if (item === undefined) return "nothing"
    const { channel } = this.gate
    if (item._tag !== "Batch") return this.processEvent(channel, item)
    this.recordsIn++
    if (item.emitNext(this.chain.inputs[this.gate.inputOf(channel)])) this.gate.putBack(channel, item)
    return "more"
  }

  /** whether an input has given all its records */
  protected hasEnded(input: number): boolean {
    return this.gate.channelsOf(input).every((channel) => this.withoutData.has(channel))
  }

  private processEvent(channel: number, event: StreamEvent): InputStatus {
    switch (event._tag) {
      case "Watermark":
        this.valves[this.gate.inputOf(channel)].watermark(this.gate.placeOf(channel), event.timestamp)
        return "more"
      case "WatermarkStatus":
        this.valves[this.gate.inputOf(channel)].status(this.gate.placeOf(channel), event.idle)
        return "more"
      case "CheckpointBarrier":
        return this.align({ _tag: "Barrier", channel, barrier: event })
      case "CancelCheckpointMarker":
        return this.align({ _tag: "Cancel", channel, id: event.id })
      case "EndOfData": {
        if (!event.drain) this.drain = false
        this.withoutData.add(channel)
        const input = this.gate.inputOf(channel)
        if (this.withoutData.size === this.gate.channels.length) {
          this.lastInput = input
          return "end"
        }
        return this.hasEnded(input) && this.drain ? this.endInput(input) : "more"
      }
      case "EndOfPartition": {
        this.ended.add(channel)
        const aligned = this.align({ _tag: "End", channel })
        const due = this.awaitingEnds
        if (due.length === 0 || this.ended.size < this.gate.channels.length) return aligned
        this.awaitingEnds = []
        return Effect.zipRight(
          typeof aligned === "string" ? Effect.void : aligned,
          Effect.forEach(due, this.triggerCheckpointOnBarrier, { discard: true })
        )
      }
    }
  }

  private align(event: BarrierAligner.Event): InputStatus {
    const [next, actions] = BarrierAligner.step(this.aligner, event)
    this.aligner = next
    let effect: Effect.Effect<void, any> | undefined
    for (const action of actions) {
      switch (action._tag) {
        case "Block":
          this.gate.block(action.channel)
          break
        case "UnblockAll":
          this.gate.unblockAll()
          break
        case "Trigger":
          effect = Effect.zipRight(effect ?? Effect.void, this.triggerCheckpointOnBarrier(action.barrier))
          break
        case "AbortCheckpoint":
          effect = Effect.zipRight(effect ?? Effect.void, this.abortCheckpointOnBarrier(action.id, action.reason))
          break
      }
    }
    return effect ?? "more"
  }

  protected override abortAlignment(id: number): Effect.Effect<void, any> {
    return Effect.suspend(() => {
      const waits = this.aligner.pending?.barrier.id === id || this.awaitingEnds.some((due) => due.id === id)
      this.awaitingEnds = this.awaitingEnds.filter((due) => due.id !== id)
      // CK-04: the abort may have reached those behind it before another barrier did, for which they would wait
      if (waits) { for (const writer of this.chain.writers) writer.event(cancelCheckpointMarker(id)) }
      const status = this.align({ _tag: "Abort", id })
      return typeof status === "string" ? Effect.void : status
    })
  }

  /** Only for a task all of whose writers have ended: the checkpoint is taken once all that they sent has been processed. */
  override readonly triggerCheckpointAsync = (barrier: CheckpointBarrier): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      if (!this.isCheckpointable) return Effect.succeed(false)
      return Effect.as(
        this.underLock(Effect.suspend(() => {
          if (this.ended.size === this.gate.channels.length) return this.triggerCheckpointOnBarrier(barrier)
          this.awaitingEnds = [...this.awaitingEnds, barrier]
          return Effect.void
        })),
        true
      )
    })
}
