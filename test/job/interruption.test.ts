/**
 * L1 to L4: jobs and single tasks that are interrupted after any number of operations, with a yield after each.
 *
 * Every run is a function of its seed: a failure prints it, with the path to replay it.
 */
import { Cause, Effect, Exit, FastCheck as fc, Logger, Schedule, Schema } from "effect"
import type { JobOptions, StreamError, StreamOperator } from "sluice"
import {
  ConnectedStreams,
  DataSink,
  DataSource,
  DataStream,
  Job,
  KeyedStream,
  Lifecycle,
  State,
  StateBackend,
  WatermarkStrategy
} from "sluice"
import { Harness, Ledger } from "sluice/testing"
import { afterAll, describe, expect, it } from "vitest"
import * as Interleaving from "../support/Interleaving.js"
import type { Boom, Log, Monitor, OperatorSpec } from "../support/operators.js"
import { makeOperator, operatorSpec } from "../support/operators.js"
import { checkSubset } from "../support/subset.js"

const quiet = Logger.remove(Logger.defaultLogger)

/** how many interruptions, of jobs and of tasks */
const wanted = Number(process.env.SLUICE_INTERRUPTIONS ?? 10_000)
const wantedOfJobs = Math.ceil(wanted / 5)
const wantedOfTasks = wanted - wantedOfJobs

/** how often each program is interrupted, each time somewhere else */
const POINTS = 20

type Step = { readonly op: "mapEffect" | "timers" | "rebalance" } | { readonly op: "operator"; readonly spec: OperatorSpec }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: fc.constant("operator" as const), spec: operatorSpec }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom("mapEffect" as const, "timers" as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("rebalance" as const) }) }
)

/** at which part of a run it is interrupted, in thousandths of its operations */
const points = fc.array(fc.noBias(fc.integer({ min: 0, max: 999 })), { minLength: POINTS, maxLength: POINTS })

const shuffle = fc.option(fc.nat(), { nil: undefined })

/** what a run acquired and what ran in it */
class Books {
  readonly events: Array<Lifecycle.LifecycleEvent> = []
  readonly logs: Array<Log> = []
  readonly monitors = new Map<string, Monitor>()
  acquired = 0
  released = 0
  releasedTwice = 0

  readonly resource = Effect.acquireRelease(
    Effect.sync(() => {
      this.acquired++
      return { free: false }
    }),
    (resource) =>
      Effect.sync(() => {
        if (resource.free) this.releasedTwice++
        resource.free = true
        this.released++
      })
  )

  readonly observer = { observe: (event: Lifecycle.LifecycleEvent) => void this.events.push(event) }

  readonly backend = {
    open: () => Effect.zipRight(this.resource, StateBackend.StateBackend.defaultValue().open({ job: "", uid: "", subtask: 0 }))
  }

  operator(spec: OperatorSpec, i: number): Effect.Effect<StreamOperator.StreamOperator<number, number, Boom>> {
    return Effect.sync(() => {
      const log: Log = {
        calls: [],
        events: this.events,
        monitor: ({ attemptId, subtask, vertex }) => {
          const task = `${attemptId} ${vertex} ${subtask}`
          const monitor = this.monitors.get(task) ?? { inside: 0, overlaps: 0 }
          this.monitors.set(task, monitor)
          return monitor
        }
      }
      this.logs.push(log)
      const operator = makeOperator(spec, i, log)
      return { ...operator, open: Effect.zipRight(this.resource, operator.open!) }
    })
  }

  sink<A>(ledger: Ledger.Ledger<A>): DataSink.DataSink<A> {
    const { sink } = ledger
    if (sink._tag !== "TransactionalSink") throw new Error("a ledger is transactional")
    return DataSink.transactional({
      name: sink.name,
      open: (ctx) => Effect.zipRight(this.resource, sink.open(ctx)) as ReturnType<typeof sink.open>
    })
  }

  /** numbers `from`, `from + 10`, … in two splits */
  source(from: number, count: number): DataStream.DataStream<number> {
    const reader = (split: number, at: number): DataSource.SplitReader<number, number> => {
      const n = split === 0 ? Math.ceil(count / 2) : Math.floor(count / 2)
      let next = at
      let ready = 0
      return {
        poll: (max) => {
          const take = Math.min(max, ready, n - next)
          if (take <= 0) return undefined
          const values = Array.from({ length: take }, (_, i) => from + 10 * (2 * (next + i) + split))
          next += take
          ready -= take
          return { values, position: next }
        },
        fetch: Effect.suspend(() => {
          if (next >= n) return Effect.succeed(false)
          ready = 2
          return Effect.as(next % 3 === 0 ? Effect.sleep(1) : Effect.yieldNow(), true)
        })
      }
    }
    const source = DataSource.make({
      name: `numbers ${from}`,
      splits: Effect.succeed([0, 1]),
      read: (split: number, position: number | undefined) => Effect.map(this.resource, () => reader(split, position ?? 0))
    })
    return DataStream.fromSource(source, { uid: `source ${from}` }).pipe(
      DataStream.assignTimestamps((n) => n, WatermarkStrategy.monotonic),
      DataStream.named(`timestamps ${from}`)
    )
  }

  /** a step, whose results are its inputs */
  apply(stream: DataStream.DataStream<number, Boom>, step: Step, i: number): DataStream.DataStream<number, Boom> {
    return DataStream.named(this.stepped(stream, step, i), `step ${i}`)
  }

  private stepped(stream: DataStream.DataStream<number, Boom>, step: Step, i: number): DataStream.DataStream<number, Boom> {
    switch (step.op) {
      case "operator":
        return DataStream.transform(stream, `op${i}`, this.operator(step.spec, i))
      case "mapEffect":
        return DataStream.mapEffect(
          stream,
          (n) => Effect.scoped(Effect.zipRight(this.resource, Effect.as(n % 3 === 0 ? Effect.sleep(1) : Effect.yieldNow(), n))),
          { concurrency: 3 }
        )
      case "timers":
        return stream.pipe(
          KeyedStream.keyBy((n) => n % 3),
          KeyedStream.process({
            state: { fired: State.value(Schema.Number, { default: 0 }) },
            onElement: (n, { processingTime, timers }) => {
              timers.eventTime(n + 15)
              timers.processingTime(processingTime() + 1)
              return [n]
            },
            onTimer: (_timer, { state }) => state.fired.update((n) => n + 1)
          })
        )
      case "rebalance":
        return DataStream.rebalance(stream)
    }
  }

  connect(a: DataStream.DataStream<number, Boom>, b: DataStream.DataStream<number, Boom>): DataStream.DataStream<number, Boom> {
    return ConnectedStreams.connect(a, b).pipe(
      ConnectedStreams.keyBy((n) => n % 2, (n) => n % 2),
      ConnectedStreams.process({
        state: { last: State.value(Schema.Number) },
        onElement1: (n, { state, timers }) => {
          state.last.set(n)
          timers.eventTime(n + 5)
          return [n]
        },
        onElement2: (n, { processingTime, state, timers }) => {
          state.last.set(n)
          timers.processingTime(processingTime() + 1)
          return [n]
        },
        onTimer: (_timer, { state }) => state.last.clear()
      })
    )
  }

  /** what holds after every run, however it ended */
  check(): void {
    // L1: one terminal state for each task that started, and nothing of it after that
    const tasks = new Map<string, Array<Lifecycle.LifecycleEvent>>()
    for (const event of this.events) {
      const task = `${event.vertex}[${event.subtask}]`
      tasks.set(task, [...tasks.get(task) ?? [], event])
    }
    for (const [task, events] of tasks) {
      // an attempt begins with setInitialState
      const phases = events.map(({ phase }) => phase)
      const terminal = phases.flatMap((phase, i) => isTerminal(phase) ? [i] : [])
      const begins = phases.flatMap((phase, i) => phase === "setInitialState" ? [i] : [])
      if (terminal.at(-1) !== phases.length - 1) throw new Error(`L1: ${task} ends with ${phases.slice(-3).join(", ")}`)
      if (terminal.length > Math.max(1, begins.length)) throw new Error(`L1: ${task} ended ${terminal.length} times`)
      for (const i of terminal.slice(0, -1)) if (phases[i + 1] !== "setInitialState") throw new Error(`L1: ${task} went on after its end`)
    }
    // L2
    for (const { calls } of this.logs) {
      const hooks = calls.map(({ hook }) => hook)
      const closes = hooks.filter((hook) => hook === "close").length
      if (closes !== (hooks.includes("setup") ? 1 : 0)) throw new Error(`L2: ${closes} closes after ${hooks.join(", ")}`)
      const last = hooks.indexOf("close")
      if (closes === 1 && hooks.slice(last + 1).some((hook) => hook !== "release")) throw new Error(`L2: after close: ${hooks.join(", ")}`)
    }
    if (this.acquired !== this.released) throw new Error(`L2: ${this.acquired} resources acquired, ${this.released} released`)
    if (this.releasedTwice > 0) throw new Error(`L2: ${this.releasedTwice} resources released twice`)
    // L4
    for (const [task, { inside, overlaps }] of this.monitors) {
      if (overlaps > 0 || inside !== 0) throw new Error(`L4: in ${task} hooks overlapped ${overlaps} times, ${inside} still run`)
    }
  }
}

const isTerminal = (phase: Lifecycle.LifecyclePhase) => phase === "finished" || phase === "canceled" || phase === "failed"

/** what holds of the fibers of every run */
const checkRun = <A, E>(run: Interleaving.Run<A, E>): Exit.Exit<A, E> => {
  if (run.exit === undefined) throw new Error(`it waits for ever:\n${run.left.join("\n")}`)
  if (run.left.length > 0) throw new Error(`${run.left.length} fibers lived on:\n${run.left.join("\n")}`)
  return run.exit
}

let interruptions = 0
let operations = 0
const startedAt = performance.now()

afterAll(() => {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`${interruptions} interruptions, ${(operations / 1e6).toFixed(1)} million operations, ${seconds} s`)
})

/** runs a program to its end, then interrupts it at each of the points */
const interruptAt = async (
  points: ReadonlyArray<number>,
  shuffle: number | undefined,
  once: (options: Interleaving.Options) => Promise<Interleaving.Run<any, any>>
): Promise<void> => {
  const whole = await once({ shuffle })
  operations += whole.operations
  for (const point of points) {
    const run = await once({ shuffle, interruptAt: Math.floor((whole.operations * point) / 1000) })
    operations += run.operations
    if (run.interrupted) interruptions++
  }
}

interface JobSpec {
  readonly records: number
  readonly first: ReadonlyArray<Step>
  readonly second: ReadonlyArray<Step> | undefined
  readonly last: ReadonlyArray<Step>
  readonly parallelism: number
  readonly chaining: boolean
  readonly codegen: boolean
  readonly batchSize: number
  readonly checkpoint: { readonly interval: number; readonly maxConcurrent: number; readonly finalCheckpoint: boolean } | undefined
  readonly restarts: number
  /** what is asked of its handle, after so many milliseconds */
  readonly asks: { readonly what: "trigger" | "savepoint" | "stop" | "drain"; readonly after: number } | undefined
  readonly shuffle: number | undefined
}

const steps = (maxLength: number) => fc.array(step, { maxLength })

const jobSpec: fc.Arbitrary<JobSpec> = fc.record({
  records: fc.integer({ min: 0, max: 4 }),
  first: steps(2),
  second: fc.option(steps(1), { nil: undefined, freq: 1 }),
  last: steps(1),
  parallelism: fc.integer({ min: 1, max: 2 }),
  chaining: fc.boolean(),
  codegen: fc.boolean(),
  batchSize: fc.constantFrom(1, 3),
  checkpoint: fc.option(
    fc.record({
      interval: fc.integer({ min: 2, max: 6 }),
      maxConcurrent: fc.integer({ min: 1, max: 2 }),
      finalCheckpoint: fc.boolean()
    }),
    { nil: undefined, freq: 3 }
  ),
  restarts: fc.integer({ min: 0, max: 1 }),
  asks: fc.option(
    fc.record({ what: fc.constantFrom("trigger" as const, "savepoint" as const, "stop" as const, "drain" as const), after: fc.nat(4) }),
    { nil: undefined, freq: 2 }
  ),
  shuffle
})

const failing = (steps: ReadonlyArray<Step>) =>
  steps.some((step) => step.op === "operator" && (step.spec.fails !== undefined || step.spec.closeFails))

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + 10 * i)

const runJob = async (spec: JobSpec, options: Interleaving.Options) => {
  const books = new Books()
  const right = [...numbers(1, spec.records), ...(spec.second === undefined ? [] : numbers(2, spec.records))].map(String).sort()
  const ledger = Ledger.make<string>(checkSubset(right))
  const build = (from: number, steps: ReadonlyArray<Step>, at: number) =>
    steps.reduce(
      (stream: DataStream.DataStream<number, Boom>, step, i) => books.apply(stream, step, at + i),
      books.source(from, spec.records)
    )
  const first = build(1, spec.first, 0)
  const joined = spec.second === undefined ? first : books.connect(first, build(2, spec.second, 10))
  const stream = spec.last.reduce((stream, step, i) => books.apply(stream, step, 20 + i), joined)
  const job = Job.make("interrupted", stream.pipe(DataStream.map(String), DataStream.to(books.sink(ledger))))
  const jobOptions: JobOptions.JobOptions = {
    parallelism: spec.parallelism,
    maxParallelism: 8,
    chaining: spec.chaining,
    codegen: spec.codegen,
    batchSize: spec.batchSize,
    // time jumps ahead where nothing can run, and no deadline is to pass with it
    deadlines: { open: Infinity, finish: Infinity, cancel: Infinity, close: Infinity },
    checkpoint: spec.checkpoint === undefined ? undefined : { ...spec.checkpoint, tolerableFailures: 1000 },
    restart: spec.restarts === 0 ? "none" : Schedule.intersect(Schedule.recurs(spec.restarts), Schedule.spaced("1 millis"))
  }
  const ask = (handle: Job.JobHandle<Boom>) => {
    const { asks } = spec
    if (asks === undefined) return Effect.void
    const what = asks.what === "trigger"
      ? handle.triggerCheckpoint
      : asks.what === "savepoint"
      ? handle.savepoint
      : handle.stopWithSavepoint({ drain: asks.what === "drain" })
    return Effect.delay(Effect.exit(what), asks.after)
  }
  const program = Effect.scoped(Effect.gen(function*() {
    const handle = yield* Job.start(job, jobOptions)
    const asked = yield* Effect.fork(ask(handle))
    const exit = yield* Effect.exit(handle.await)
    // whoever asked is told in the end
    yield* Effect.fromFiber(asked)
    return yield* exit
  })).pipe(
    Effect.provideService(Lifecycle.LifecycleObserver, books.observer),
    Effect.provideService(StateBackend.StateBackend, books.backend),
    Effect.provide(quiet)
  )
  const run = await Interleaving.run(program, options)
  const exit = checkRun(run)
  books.check()
  const mayFail = [spec.first, spec.second ?? [], spec.last].some(failing)
  if (Exit.isSuccess(exit)) {
    const ends = books.events.map(({ phase }) => phase).filter(isTerminal)
    const tasks = new Set(books.events.map(({ subtask, vertex }) => `${vertex}[${subtask}]`)).size
    expect(ends.slice(-tasks)).toEqual(Array.from({ length: tasks }, () => "finished"))
    if (exit.value.status === "finished") expect(Array.from(ledger.visible()).sort()).toEqual(right)
    return run
  }
  // L3: canceled only where it was asked for; else the first failure is the cause
  if (Cause.isInterruptedOnly(exit.cause)) {
    expect(run.interrupted).toBe(true)
    return run
  }
  expect(mayFail, Cause.pretty(exit.cause)).toBe(true)
  expect(Cause.squash(exit.cause) as StreamError.JobFailed<Boom>).toMatchObject({ _tag: "JobFailed" })
  return run
}

type Action =
  | { readonly do: "element1" | "element2" | "watermark1" | "watermark2"; readonly n: number }
  | { readonly do: "advance"; readonly n: number }
  | { readonly do: "snapshot" | "complete" | "abort" | "end1" | "end2" }

interface TaskSpec {
  readonly steps: ReadonlyArray<Step>
  readonly twoInputs: boolean
  readonly codegen: boolean
  readonly finalCheckpoint: boolean
  readonly actions: ReadonlyArray<Action>
  readonly end: "finish" | "close" | "leave"
  readonly shuffle: number | undefined
}

const inOneTask = step.filter(({ op }) => op !== "rebalance")

const taskSpec: fc.Arbitrary<TaskSpec> = fc.record({
  steps: fc.array(inOneTask, { minLength: 1, maxLength: 3 }),
  twoInputs: fc.boolean(),
  codegen: fc.boolean(),
  finalCheckpoint: fc.boolean(),
  actions: fc.array(
    fc.oneof(
      fc.record({
        do: fc.constantFrom("element1" as const, "element2" as const, "watermark1" as const, "watermark2" as const),
        n: fc.nat(40)
      }),
      fc.record({ do: fc.constant("advance" as const), n: fc.nat(3) }),
      fc.record({ do: fc.constantFrom("snapshot" as const, "complete" as const, "abort" as const, "end1" as const, "end2" as const) })
    ),
    { maxLength: 8 }
  ),
  end: fc.constantFrom("finish", "close", "leave"),
  shuffle
})

const runTask = async (spec: TaskSpec, options: Interleaving.Options) => {
  const books = new Books()
  const observe = { observe: books.observer.observe, codegen: spec.codegen, finalCheckpoint: spec.finalCheckpoint }
  const apply = (stream: DataStream.DataStream<number, Boom>) =>
    spec.steps.reduce((stream, step, i) => books.apply(stream, step, i), stream)
  let task: Harness.Harness<number, Boom>["task"] | undefined
  const program = Effect.scoped(Effect.gen(function*() {
    const two = spec.twoInputs
      ? yield* Harness.twoInput(
        (a: DataStream.DataStream<number>, b: DataStream.DataStream<number>) => apply(books.connect(a, b)),
        observe
      )
      : undefined
    const one = two === undefined ? yield* Harness.oneInput((input: DataStream.DataStream<number>) => apply(input), observe) : undefined
    const h: Harness.Harness<number, Boom> = (two ?? one)!
    task = h.task
    let id = 0
    for (const action of spec.actions) {
      switch (action.do) {
        case "element1":
          yield* (two?.element1 ?? one!.element)(action.n, action.n)
          break
        case "element2":
          if (two !== undefined) yield* two.element2(action.n, action.n)
          break
        case "watermark1":
          yield* (two?.watermark1 ?? one!.watermark)(action.n)
          break
        case "watermark2":
          if (two !== undefined) yield* two.watermark2(action.n)
          break
        case "advance":
          yield* h.advanceProcessingTime(action.n)
          break
        case "snapshot":
          // with a yield after each operation the asynchronous part may take longer than the harness waits for
          yield* Effect.catchTag(h.snapshot(++id), "CheckpointFailed", () => Effect.void)
          break
        case "complete":
          if (id > 0) yield* h.notifyCheckpointComplete(id)
          break
        case "abort":
          if (id > 0) yield* h.notifyCheckpointAborted(id)
          break
        case "end1":
          yield* two?.endInput1 ?? one!.endInput
          break
        case "end2":
          if (two !== undefined) yield* two.endInput2
      }
    }
    if (spec.end === "leave") return
    // a task that waits for its final checkpoint goes on for ever without one
    if (spec.end === "finish" && !spec.finalCheckpoint) yield* Effect.zipRight(h.advanceProcessingTime(100), h.finish)
    else yield* h.close
  })).pipe(Effect.provideService(StateBackend.StateBackend, books.backend), Effect.provide(quiet))
  const run = await Interleaving.run(program, options)
  const exit = checkRun(run)
  books.check()
  if (task !== undefined) expect(task.state).toSatisfy(isTerminal)
  if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) {
    expect(failing(spec.steps), Cause.pretty(exit.cause)).toBe(true)
  }
  return run
}

const property = <Spec extends { readonly shuffle: number | undefined }>(
  spec: fc.Arbitrary<Spec>,
  wanted: number,
  run: (spec: Spec, options: Interleaving.Options) => Promise<Interleaving.Run<any, any>>
) =>
  fc.assert(
    fc.asyncProperty(spec, points, (spec, points) => interruptAt(points, spec.shuffle, (options) => run(spec, options))),
    // a few come too late
    { numRuns: Math.ceil((wanted * 1.02) / POINTS) }
  )

describe("interrupted after any number of operations, with a yield after each", () => {
  it(`L1 to L4, L9: jobs leave nothing behind, ${wantedOfJobs} times`, { timeout: 600_000 }, async () => {
    await property(jobSpec, wantedOfJobs, runJob)
  })

  it(`L1 to L4: single tasks leave nothing behind, ${wantedOfTasks} times`, { timeout: 600_000 }, async () => {
    await property(taskSpec, wantedOfTasks, runTask)
  })
})
