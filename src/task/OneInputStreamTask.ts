/**
 * A task that reads one input: any number of channels, taken in turn, with their watermarks joined and their barriers aligned.
 *
 * L8. No record of a channel between its barrier and the end of alignment reaches an operator.
 * L10. The task's watermark is the minimum over its active channels.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CheckpointBarrier } from "../Checkpoint.js"
import type { StreamEvent } from "../StreamElement.js"
import * as BarrierAligner from "./BarrierAligner.js"
import type { Batch } from "./Channel.js"
import { InputGate } from "./InputGate.js"
import type { TaskEnvironment } from "./Invokable.js"
import type { InputStatus } from "./Slices.js"
import { StreamTask } from "./StreamTask.js"
import { WatermarkValve } from "./WatermarkValve.js"

/** Runs a subtask that reads other subtasks. */
export class OneInputStreamTask extends StreamTask {
  private readonly gate: InputGate
  private readonly valve: WatermarkValve
  private readonly withoutData = new Set<number>()
  private readonly ended = new Set<number>()
  private aligner: BarrierAligner.State
  protected recordsIn = 0
  /** a checkpoint that is due once every channel has ended */
  private awaitingEnds: CheckpointBarrier | undefined

  constructor(env: TaskEnvironment) {
    super(env)
    this.gate = new InputGate(env.inputs)
    this.gate.onData(this.parker.wake)
    this.valve = new WatermarkValve(
      env.inputs.length,
      (timestamp) => this.chain.input.emitWatermark(timestamp),
      (idle) => this.chain.input.emitStatus(idle)
    )
    this.aligner = BarrierAligner.initial(env.inputs.length, env.restoredId)
  }

  protected get watermark(): number {
    return this.valve.current
  }

  protected processInput(): InputStatus {
    const item = this.gate.poll()
    if (item === undefined) return "nothing"
    return item._tag === "Batch" ? this.processBatch(item) : this.processEvent(this.gate.channel, item)
  }

  private processBatch(batch: Batch): InputStatus {
    this.recordsIn += batch.count
    batch.emitTo(this.chain.input)
    return "more"
  }

  private processEvent(channel: number, event: StreamEvent): InputStatus {
    switch (event._tag) {
      case "Watermark":
        this.valve.watermark(channel, event.timestamp)
        return "more"
      case "WatermarkStatus":
        this.valve.status(channel, event.idle)
        return "more"
      case "CheckpointBarrier":
        return this.align({ _tag: "Barrier", channel, barrier: event })
      case "CancelCheckpointMarker":
        return this.align({ _tag: "Cancel", channel, id: event.id })
      case "EndOfData": {
        if (!event.drain) this.drain = false
        this.withoutData.add(channel)
        return this.withoutData.size === this.gate.channels.length ? "end" : "more"
      }
      case "EndOfPartition": {
        this.ended.add(channel)
        const aligned = this.align({ _tag: "End", channel })
        const due = this.awaitingEnds
        if (due === undefined || this.ended.size < this.gate.channels.length) return aligned
        this.awaitingEnds = undefined
        return Effect.zipRight(typeof aligned === "string" ? Effect.void : aligned, this.triggerCheckpointOnBarrier(due))
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
      if (this.awaitingEnds?.id === id) this.awaitingEnds = undefined
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
          this.awaitingEnds = barrier
          return Effect.void
        })),
        true
      )
    })
}
