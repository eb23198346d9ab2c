/**
 * One script run on an operator: its lives one after the other, and the laws that each of them has to keep.
 *
 * Owns where a restore goes back to: the last snapshot that was not aborted, the input since then, the results up to then.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as KeyGroup from "../../KeyGroup.js"
import type { LifecycleEvent } from "../../Lifecycle.js"
import * as KeyCodec from "../../state/KeyCodec.js"
import type { StreamElement, StreamRecord } from "../../StreamElement.js"
import { Watermark } from "../../StreamElement.js"
import { turn } from "../../task/EventLoop.js"
import type { TaskEnd } from "../../task/Invokable.js"
import { WatermarkValve } from "../../task/WatermarkValve.js"
import * as Harness from "../Harness.js"
import { InjectedCrash } from "../Observer.js"
import type { Law, RunOptions } from "./check.js"
import { demand, show, Violation, within } from "./check.js"
import type { InputStep, Script, Step } from "./Script.js"

/**
 * What is known of an operator besides its types.
 *
 * @since 0.1.0
 * @category models
 */
export interface OperatorOptions<Out> extends RunOptions {
  /** whether results come in one order; "any" where that depends on what is done at the same time; default "same" */
  readonly order?: "same" | "any" | undefined
  /** when two results are one; default structural */
  readonly equivalence?: ((self: Out, that: Out) => boolean) | undefined
  /** how many resources are held now: as many after each life as before it */
  readonly resources?: Effect.Effect<number> | undefined
  /** whether event time is the operator's own, not that of its input; default false */
  readonly ownEventTime?: boolean | undefined
  /** whether it may emit a record with a timestamp that its watermark has passed, though none came in late; default false */
  readonly emitsLate?: boolean | undefined
}

const LIFE: Law = { law: "L1", rule: "a task that starts ends in exactly one of finished, canceled, failed" }
const CLOSE: Law = { law: "L2", rule: "close runs once for each operator that was set up, and what open acquired is released" }
const CAUSE: Law = { law: "L3", rule: "the first failure is the cause" }
const SILENT: Law = { law: "O1", rule: "nothing is emitted after finish, or from close" }
const TIMERS: Law = { law: "L7", rule: "what is due at a watermark comes before it" }
const WATERMARKS: Law = { law: "L10", rule: "watermarks are monotone, never above the input's, and end with the input" }

/** Starts one subtask. */
export type Runner = (options: Harness.Options) => Effect.Effect<Driven, unknown, any>

/** one subtask and its inputs */
interface Driven {
  readonly harness: Harness.Harness<any, any>
  readonly inputs: ReadonlyArray<{
    readonly element: (value: any, timestamp?: number) => Effect.Effect<void, any>
    readonly watermark: (timestamp: number) => Effect.Effect<void, any>
    readonly idle: Effect.Effect<void, any>
    readonly active: Effect.Effect<void, any>
    readonly endInput: Effect.Effect<void, any>
  }>
}

interface Subtask extends Driven {
  /** the last watermark it emitted */
  watermark: number
  ended: boolean
}

/** all subtasks between a start and the next end */
interface Life {
  readonly scope: Scope.CloseableScope
  readonly events: Array<LifecycleEvent>
  readonly subtasks: Array<Subtask>
  readonly parallelism: number
  /** the watermark of what came in, and where it was when the life began: what was held back may come with it */
  readonly valve: WatermarkValve
  readonly watermark: number
}

/** where a restore goes back to */
interface Point {
  readonly id: number
  readonly snapshot: Harness.OperatorSnapshot | undefined
  /** how many inputs had come and how many results gone */
  readonly inputs: number
  readonly results: number
  readonly time: number
  /** the input's watermark */
  readonly watermark: number
}

/** What a script is run on. */
export interface Setup {
  readonly run: Runner
  readonly inputs: number
  readonly keys: ReadonlyArray<(value: any) => unknown> | undefined
  readonly options: OperatorOptions<any>
}

const MAX_PARALLELISM = 16

/** how often the clock is moved on for a task that has not ended yet */
const MAX_WAITS = 50

const codec = KeyCodec.make<any>(undefined)

const showRecord = ({ timestamp, value }: StreamRecord<unknown>): string =>
  timestamp === undefined ? show(value) : `${show(value)}@${timestamp}`

/** Records in a row, as people read them. */
export const showRecords = (records: ReadonlyArray<StreamRecord<unknown>>): string =>
  records.length === 0 ? "nothing" : records.map(showRecord).join(", ")

const showTime = (timestamp: number): string => timestamp === Watermark.MAX ? "MAX" : `${timestamp}`

const showOutput = (output: ReadonlyArray<StreamElement<unknown>>): string =>
  output.map((each) =>
    each._tag === "Record" ? `element ${showRecord(each)}` : each._tag === "Watermark" ? `watermark ${showTime(each.timestamp)}` : each._tag
  ).join(", ")

/** the failure that came first */
const firstOf = (cause: Cause.Cause<unknown>): unknown => {
  switch (cause._tag) {
    case "Fail":
      return cause.error
    case "Die":
      return cause.defect
    case "Sequential":
    case "Parallel":
      return firstOf(cause.left) ?? firstOf(cause.right)
    default:
      return undefined
  }
}

/** Runs one script and gives its results; `again` replays event time after a restore, as far as it had come. */
export class Run {
  private readonly results: Array<StreamRecord<any>> = []
  private readonly log: Array<InputStep> = []
  private points: Array<Point> = [{ id: 0, snapshot: undefined, inputs: 0, results: 0, time: 0, watermark: Watermark.MIN }]
  private time = 0
  private life!: Life
  private parallelism = 1
  private fuse: number | undefined
  private crashed: InjectedCrash | undefined
  private held = 0
  private readonly deadline: number

  constructor(private readonly setup: Setup, private readonly script: Script, private readonly again: boolean) {
    this.deadline = setup.options.deadline ?? 5000
  }

  readonly run: Effect.Effect<ReadonlyArray<StreamRecord<any>>, unknown, any> = Effect.gen(this, function*() {
    const { options } = this.setup
    if (options.resources !== undefined) this.held = yield* options.resources
    yield* this.begin
    for (const [i, step] of this.script.steps.entries()) yield* this.step(step, i)
    yield* this.script.end === "close" ? this.cancel : this.guarded(this.finish, "redo")
    return this.results
  })

  private step(step: Step, index: number): Effect.Effect<void, unknown, any> {
    switch (step._tag) {
      case "snapshot":
        return this.guarded(this.snapshot(step.id), "redo")
      case "complete":
        return this.points.some(({ id }) => id === step.id)
          ? this.guarded(this.each(({ harness }) => harness.notifyCheckpointComplete(step.id)), "leave")
          : Effect.void
      case "abort":
        // what is aborted is no place to go back to; a failed snapshot is none either way
        this.points = this.points.filter(({ id }) => id !== step.id)
        return this.guarded(this.each(({ harness }) => harness.notifyCheckpointAborted(step.id)), "leave")
      case "restore":
        this.parallelism = step.parallelism
        return Effect.zipRight(this.cancel, this.begin)
      case "crash":
        this.parallelism = step.parallelism
        return Effect.zipRight(this.crash(step.turns, index), this.begin)
      case "fail":
        this.fuse = step.after
        this.parallelism = step.parallelism
        return Effect.void
      default:
        return Effect.map(this.guarded(this.input(step), "redo"), () => {
          this.log.push(step)
          if (step._tag === "advance") this.time += step.by
        })
    }
  }

  /** an effect that may meet the failure that was planted: then all goes back to the last snapshot, and on with `then` */
  private guarded(effect: Effect.Effect<void, unknown, any>, then: "redo" | "leave"): Effect.Effect<void, unknown, any> {
    return Effect.catchAllCause(effect, (cause) => {
      if (this.crashed === undefined) return Effect.failCause(cause)
      return Effect.zipRight(this.afterFailure, then === "redo" ? Effect.suspend(() => effect) : Effect.void)
    })
  }

  private readonly afterFailure: Effect.Effect<void, unknown, any> = Effect.gen(this, function*() {
    const injected = this.crashed!
    this.crashed = undefined
    yield* this.end("failed", (end) =>
      demand(
        end._tag === "failed" && firstOf(end.cause) === injected,
        CAUSE,
        () => `failed: ${injected.message}`,
        () => end._tag === "failed" ? `failed: ${Cause.pretty(end.cause).split("\n")[0]}` : end._tag
      ), injected.event.subtask)
    yield* this.begin
  })

  /** starts all subtasks at the last snapshot, and gives them what came in since */
  private readonly begin: Effect.Effect<void, unknown, any> = Effect.gen(this, function*() {
    for (;;) {
      const point = this.points[this.points.length - 1]
      this.results.length = point.results
      const exit = yield* Effect.exit(this.start(point))
      if (Exit.isSuccess(exit)) return
      if (this.crashed === undefined) return yield* exit
      this.crashed = undefined
      yield* this.end("crashed")
    }
  })

  private start(point: Point): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const events: Array<LifecycleEvent> = []
      const { parallelism } = this
      const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
      const valve = new WatermarkValve(this.setup.inputs, () => {}, () => {})
      this.life = { scope, events, parallelism, subtasks: [], valve, watermark: point.watermark }
      for (let subtask = 0; subtask < parallelism; subtask++) {
        const made = this.setup.run({
          restore: point.snapshot,
          subtask,
          parallelism,
          maxParallelism: MAX_PARALLELISM,
          time: point.time,
          observe: (event) => {
            events.push(event)
            this.burn(event)
          }
        })
        const driven = yield* this.soon(Scope.extend(made, scope), "the task starts")
        this.life.subtasks.push({ ...driven, watermark: -Infinity, ended: false })
      }
      if (this.again) {
        for (const step of this.log.slice(0, point.inputs)) {
          if (isControl(step)) yield* this.input(step)
          // an input that had ended is given no more, and ends again
          else for (const step of this.log.slice(0, point.inputs)) if (step._tag === "endInput") yield* this.input(step)
        }
      }
      for (const step of this.log.slice(point.inputs)) yield* this.input(step)
    })
  }

  /** lets a step of the life cycle fail when its turn has come; a hook that a failed step replaces must be one that may fail */
  private burn(event: LifecycleEvent): void {
    if (this.fuse === undefined || event.operator === undefined || event.phase === "setup" || event.phase === "close") return
    if (this.fuse-- > 0) return
    this.fuse = undefined
    throw this.crashed = new InjectedCrash(event)
  }

  private soon<A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E | Violation, R> {
    return within(effect, this.deadline, () => new Violation(LIFE, `${what} within ${this.deadline} ms`, "it does not"))
  }

  private each(f: (subtask: Subtask) => Effect.Effect<void, any>): Effect.Effect<void, any> {
    return Effect.zipRight(
      Effect.forEach(this.life.subtasks, (subtask) => this.soon(f(subtask), "the task comes to rest"), { discard: true }),
      this.drain
    )
  }

  private input(step: InputStep): Effect.Effect<void, any> {
    return Effect.suspend(() => {
      const { valve } = this.life
      switch (step._tag) {
        case "element":
          return Effect.zipRight(this.soon(this.element(step), "the task comes to rest"), this.drain)
        case "watermark":
          valve.watermark(step.input, step.timestamp)
          return this.each(({ inputs }) => inputs[step.input].watermark(step.timestamp))
        case "status":
          valve.status(step.input, step.idle)
          return this.each(({ inputs }) => step.idle ? inputs[step.input].idle : inputs[step.input].active)
        case "endInput":
          valve.watermark(step.input, Watermark.MAX)
          return this.each(({ inputs }) => inputs[step.input].endInput)
        case "advance":
          return this.each(({ harness }) => harness.advanceProcessingTime(step.by))
      }
    })
  }

  private element({ input, timestamp, value }: Extract<Step, { readonly _tag: "element" }>): Effect.Effect<void, any> {
    const { parallelism, subtasks } = this.life
    const key = this.setup.keys?.[input]
    const subtask = key === undefined
      ? 0
      : KeyGroup.subtask(KeyGroup.of(codec.toMapKey(key(value)), MAX_PARALLELISM), parallelism, MAX_PARALLELISM)
    return subtasks[subtask].inputs[input].element(value, timestamp)
  }

  /** how far event time has come at the input */
  private get bound(): number {
    return Math.max(this.life.watermark, this.life.valve.current)
  }

  private snapshot(id: number): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const { subtasks } = this.life
      yield* this.drain
      const taken: Array<Harness.OperatorSnapshot> = []
      const after: Array<StreamRecord<any>> = []
      for (const subtask of subtasks) {
        const exit = yield* Effect.exit(this.soon(subtask.harness.snapshot(id), "the snapshot is taken"))
        // a task that takes no input takes no barrier either, and its time may not pass: then there is no such checkpoint
        if (Exit.isFailure(exit)) return yield* this.crashed !== undefined || this.life.events.some(isSnapshot(id)) ? exit : this.drain
        taken.push(exit.value)
        const output = yield* subtask.harness.output
        const barrier = output.findIndex((each) => each._tag === "CheckpointBarrier" && each.id === id)
        yield* this.take(subtask, output.slice(0, barrier), this.results)
        yield* this.take(subtask, output.slice(barrier), after)
      }
      const results = this.results.length
      this.results.push(...after)
      const [first, ...others] = taken
      const snapshot = Harness.merge([first, ...others])
      this.points.push({ id, snapshot, inputs: this.log.length, results, time: this.time, watermark: this.bound })
    })
  }

  /** looks at what came out and keeps the records */
  private readonly drain: Effect.Effect<void, any> = Effect.suspend(() =>
    Effect.forEach(
      this.life.subtasks,
      (subtask) => Effect.flatMap(subtask.harness.output, (output) => this.take(subtask, output, this.results)),
      { discard: true }
    )
  )

  private take(
    subtask: Subtask,
    output: ReadonlyArray<StreamElement<any>>,
    into: Array<StreamRecord<any>>
  ): Effect.Effect<void, Violation> {
    return Effect.suspend(() => {
      const { options } = this.setup
      for (const element of output) {
        switch (element._tag) {
          case "EndOfData":
            subtask.ended = true
            break
          case "Record":
            if (subtask.ended) return Effect.fail(new Violation(SILENT, "nothing after finish", `element ${showRecord(element)}`))
            if (
              options.ownEventTime !== true && options.emitsLate !== true && !this.script.late && element.timestamp !== undefined &&
              element.timestamp <= subtask.watermark
            ) {
              return Effect.fail(
                new Violation(
                  TIMERS,
                  `nothing at or below ${showTime(subtask.watermark)} after watermark ${showTime(subtask.watermark)}`,
                  `element ${showRecord(element)}`
                )
              )
            }
            into.push(element)
            break
          case "Watermark": {
            const { timestamp } = element
            if (subtask.ended) return Effect.fail(new Violation(SILENT, "nothing after finish", `watermark ${showTime(timestamp)}`))
            const before = subtask.watermark
            // equal ones do no harm, but event time ends once
            if (timestamp < before || (timestamp === before && timestamp === Watermark.MAX)) {
              return Effect.fail(
                new Violation(WATERMARKS, `nothing but more after watermark ${showTime(before)}`, `watermark ${showTime(timestamp)}`)
              )
            }
            const { bound } = this
            if (options.ownEventTime !== true && timestamp > bound) {
              return Effect.fail(
                new Violation(
                  WATERMARKS,
                  bound === Watermark.MIN ? "no watermark before the input's first" : `no watermark above the input's ${showTime(bound)}`,
                  `watermark ${showTime(timestamp)}`
                )
              )
            }
            subtask.watermark = timestamp
          }
        }
      }
      return Effect.void
    })
  }

  private readonly cancel: Effect.Effect<void, unknown, any> = Effect.suspend(() =>
    Effect.zipRight(this.drain, this.end("canceled", (end) => demand(end._tag === "canceled", LIFE, () => "canceled", () => end._tag)))
  )

  /** interrupts the task in the middle of the next element, which comes again afterwards */
  private crash(turns: number, index: number): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const next = this.script.steps.slice(index).find((step) => step._tag === "element")
      if (next?._tag === "element") {
        yield* Effect.fork(Effect.exit(this.element(next)))
        for (let n = 0; n < turns; n++) yield* turn
      }
      yield* this.end("crashed")
      this.crashed = undefined
    })
  }

  private readonly finish: Effect.Effect<void, unknown, any> = Effect.gen(this, function*() {
    const { subtasks, valve } = this.life
    for (let input = 0; input < this.setup.inputs; input++) valve.watermark(input, Watermark.MAX)
    yield* this.each(({ inputs }) => Effect.forEach(inputs, ({ endInput }) => endInput, { discard: true }))
    // what is under way may wait for time to pass
    for (let n = 0; n < MAX_WAITS && subtasks.some(({ harness }) => harness.task.state !== "finished"); n++) {
      yield* this.each(({ harness }) => harness.advanceProcessingTime("1 minute"))
    }
    yield* this.end("finished", (end) => demand(end._tag === "finished", LIFE, () => "finished", () => end._tag))
    if (this.setup.options.ownEventTime === true) return
    for (const { watermark } of subtasks) {
      yield* demand(
        watermark === Watermark.MAX,
        WATERMARKS,
        () => "watermark MAX at the end",
        () => watermark === -Infinity ? "no watermark" : `watermark ${showTime(watermark)} as the last one`
      )
    }
  })

  /** ends the life, and looks at how it went, that of one subtask or of all */
  private end(
    how: "finished" | "canceled" | "failed" | "crashed",
    ends: (end: TaskEnd) => Effect.Effect<void, Violation> = () => Effect.void,
    of?: number
  ): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const { events, scope, subtasks } = this.life
      for (const [i, subtask] of subtasks.entries()) {
        const { harness } = subtask
        const end = yield* this.soon(harness.close, "the task ends")
        if (of === undefined || of === i) yield* ends(end)
        // what failed or crashed was not at rest, and may have emitted before
        if (how === "failed" || how === "crashed") continue
        yield* harness.advanceProcessingTime("1 hour")
        const output = (yield* harness.output).filter(({ _tag }) => _tag === "Record" || _tag === "Watermark")
        yield* demand(output.length === 0, SILENT, () => `nothing from a task that is ${how}`, () => showOutput(output))
      }
      yield* this.soon(Scope.close(scope, Exit.void), "the task ends")
      yield* this.checkEvents(events)
      const { resources } = this.setup.options
      if (resources !== undefined) {
        const held = yield* resources
        yield* demand(held === this.held, CLOSE, () => `${this.held} resources after the task, as before it`, () => `${held}`)
      }
    })
  }

  private checkEvents(events: ReadonlyArray<LifecycleEvent>): Effect.Effect<void, Violation> {
    return Effect.gen(function*() {
      for (const subtask of new Set(events.map((event) => event.subtask))) {
        const own = events.filter((event) => event.subtask === subtask)
        const terminal = own.filter(({ phase }) => phase === "finished" || phase === "canceled" || phase === "failed").map(({ phase }) =>
          phase
        )
        yield* demand(
          terminal.length === 1 && own[own.length - 1].phase === terminal[0],
          LIFE,
          () => "one terminal state, and nothing after it",
          () => terminal.join(", ") || "none"
        )
        const count = (name: string | undefined, phase: string) =>
          own.filter((event) => event.operator === name && event.phase === phase).length
        for (const name of new Set(own.flatMap(({ operator }) => operator === undefined ? [] : [operator]))) {
          const [setups, closes] = [count(name, "setup"), count(name, "close")]
          yield* demand(setups === closes, CLOSE, () => `${setups} times ${name}.close`, () => `${closes}`)
        }
      }
    })
  }
}

const isSnapshot = (id: number) => ({ checkpointId, phase }: LifecycleEvent): boolean => phase === "snapshotState" && checkpointId === id

const isControl = ({ _tag }: InputStep): boolean => _tag === "watermark" || _tag === "status" || _tag === "endInput"
