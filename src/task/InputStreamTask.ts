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
import * as BarrierTracker from "./BarrierTracker.js"
import { InFlight } from "./InFlight.js"
import { InputGate } from "./InputGate.js"
import type { TaskEnvironment } from "./Invokable.js"
import type { InputStatus } from "./Slices.js"
import { StreamTask } from "./StreamTask.js"
import { WatermarkValve } from "./WatermarkValve.js"

/** Takes what happens to barriers, and says what is to be done. */
type Barriers = (event: BarrierAligner.Event) => ReadonlyArray<BarrierAligner.Action>

const machine = <S>(
  initial: S,
  step: (state: S, event: BarrierAligner.Event) => readonly [S, ReadonlyArray<BarrierAligner.Action>]
): Barriers => {
  let state = initial
  return (event) => {
    const [next, actions] = step(state, event)
    state = next
    return actions
  }
}

const asEffect = (status: InputStatus): Effect.Effect<void, any> => typeof status === "string" ? Effect.void : status

/** Runs a subtask that reads other subtasks. */
export abstract class InputStreamTask extends StreamTask {
  private readonly gate: InputGate
  /** joins the channels of each input */
  private readonly valves: ReadonlyArray<WatermarkValve>
  /** joins the inputs */
  private readonly joint: WatermarkValve
  private readonly withoutData = new Set<number>()
  private readonly ended = new Set<number>()
  private readonly barriers: Barriers
  private readonly inFlight: InFlight
  protected recordsIn = 0
  /** whether barriers of this job may overtake: asked before every batch */
  private readonly overtakes: boolean
  /** the last checkpoint whose alignment is watched */
  private watched = 0
  /** the checkpoints that are due once every channel has ended */
  private awaitingEnds: ReadonlyArray<CheckpointBarrier> = []

  constructor(env: TaskEnvironment) {
    super(env)
    this.gate = new InputGate(env.inputs)
    this.gate.onData(this.parker.wake)
    for (const channel of this.gate.channels) channel.onBarrier = (barrier) => this.watchAlignment(barrier)
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
    const tracks = env.options.checkpoint?.mode === "at-least-once"
    this.barriers = tracks
      ? machine(BarrierTracker.initial(this.gate.channels.length, env.restoredId), BarrierTracker.step)
      : machine(BarrierAligner.initial(this.gate.channels.length, env.restoredId), BarrierAligner.step)
    this.inFlight = new InFlight(this.gate, env.vertex, env.subtask)
    this.overtakes = (env.options.checkpoint?.alignedTimeout ?? Infinity) < Infinity
  }

  protected get watermark(): number {
    return this.joint.current
  }

  protected processInput(): InputStatus {
    const item = this.gate.poll()
    if (item === undefined) return "nothing"
    this.inFlight.polled(this.gate.channel, this.gate.place, item)
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
    this.inFlight.polled(channel, this.gate.place, item)
    if (item._tag !== "Batch") return this.processEvent(channel, item)
    this.recordsIn++
    if (item.emitNext(this.chain.inputs[this.gate.inputOf(channel)])) this.gate.giveBack(channel, item)
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

  private align(event: BarrierAligner.Event, upTo?: number): InputStatus {
    let effect: Effect.Effect<void, any> | undefined
    for (const action of this.barriers(event)) {
      switch (action._tag) {
        case "Arrived":
          // one that came in line has nothing left before it
          this.inFlight.arrived(action.channel, event._tag === "Barrier" && event.channel === action.channel ? upTo ?? 0 : 0)
          break
        case "Captured":
          this.inFlight.captured(action.id)
          break
        case "Block":
          this.gate.block(action.channel)
          break
        case "UnblockAll":
          this.gate.unblockAll()
          break
        case "Trigger":
          if (action.barrier.unaligned === true) this.inFlight.begin(action.barrier.id, this.ended)
          effect = Effect.zipRight(effect ?? Effect.void, this.triggerCheckpointOnBarrier(this.onward(action.barrier)))
          break
        case "AbortCheckpoint":
          this.inFlight.forget(action.id)
          effect = Effect.zipRight(effect ?? Effect.void, this.abortCheckpointOnBarrier(action.id, action.reason))
          break
      }
    }
    // a checkpoint that has become unaligned takes its barriers out of the line
    if (event._tag === "Timeout" || event._tag === "Barrier") {
      const id = event._tag === "Timeout" ? event.id : event.barrier.id
      for (const { barrier, channel, upTo } of this.inFlight.inLine(id)) {
        const status = this.align({ _tag: "Barrier", channel, barrier }, upTo)
        if (typeof status !== "string") effect = Effect.zipRight(effect ?? Effect.void, status)
      }
    }
    return effect ?? "more"
  }

  /** a barrier as it goes on: one that was not to overtake here may overtake behind */
  private onward(barrier: CheckpointBarrier): CheckpointBarrier {
    const overtakes = this.env.options.checkpoint?.alignedTimeout === 0 && barrier.kind._tag === "Checkpoint"
    return overtakes ? { ...barrier, unaligned: true } : barrier
  }

  /** an alignment that takes too long, from the first barrier that is put in line, is given up for an unaligned checkpoint */
  private watchAlignment({ id, kind, unaligned }: CheckpointBarrier): void {
    const timeout = this.env.options.checkpoint?.alignedTimeout ?? Infinity
    if (unaligned === true || timeout === Infinity || id <= this.watched || kind._tag === "Savepoint") return
    if (this.gate.channels.some(({ origin }) => origin?.unaligned === false)) return
    this.watched = id
    const overdue = Effect.flatMap(Effect.sleep(timeout), () => this.lock.hold(Effect.suspend(() => asEffect(this.stopAligning(id)))))
    // channels that were blocked may hold records
    this.forkTask(Effect.map(overdue, this.parker.wake))
  }

  private stopAligning(id: number): InputStatus {
    const [first] = this.inFlight.queued(id)
    if (first === undefined) return this.align({ _tag: "Timeout", id })
    const { barrier, channel, upTo } = first
    return this.align({ _tag: "Barrier", channel, barrier: { ...barrier, unaligned: true } }, upTo)
  }

  protected override processUrgent(): Effect.Effect<void, any> | undefined {
    if (!this.overtakes) return undefined
    const overtaking = this.gate.pollOvertaking()
    if (overtaking === undefined) return undefined
    const { barrier, upTo } = overtaking
    return asEffect(this.align({ _tag: "Barrier", channel: this.gate.channel, barrier }, upTo))
  }

  protected override captured(id: number): Effect.Effect<void> | undefined {
    return this.inFlight.awaitCaptured(id)
  }

  protected override checkpointOver(id: number): void {
    this.inFlight.forget(id)
    super.checkpointOver(id)
  }

  protected override initialized = Effect.sync(() => {
    const { head } = this.chain
    if (head.phase !== "running") return
    this.inFlight.restore(this.underWay(head, (id) => this.inFlight.items(id)))
  })

  protected override abortAlignment(id: number): Effect.Effect<void, any> {
    return Effect.suspend(() => {
      const waited = this.awaitingEnds.some((due) => due.id === id)
      this.awaitingEnds = this.awaitingEnds.filter((due) => due.id !== id)
      this.inFlight.forget(id)
      const actions = this.barriers({ _tag: "Abort", id })
      if (actions.length > 0) this.gate.unblockAll()
      // CK-04: the abort may have reached those behind it before another barrier did, for which they would wait
      if (waited || actions.length > 0) { for (const writer of this.chain.writers) writer.event(cancelCheckpointMarker(id)) }
      return Effect.void
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
