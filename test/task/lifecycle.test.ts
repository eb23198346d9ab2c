/** L1 to L4, L6 and the order of the life cycle, on random chains of operators that fail or are canceled anywhere. */
import { Cause, Deferred, Effect, Exit, FastCheck as fc, Fiber, Logger, Option, Scope } from "effect"
import type { StreamError, StreamOperator } from "sluice"
import { DataStream, Job, Lifecycle } from "sluice"
import { describe, expect, it } from "vitest"
import { Boom, fails, makeOperator, operatorSpec } from "../support/operators.js"
import type { Hook, Log, Monitor, OperatorSpec } from "../support/operators.js"

const quiet = Logger.remove(Logger.defaultLogger)

interface ChainSpec {
  readonly operators: ReadonlyArray<OperatorSpec>
  readonly records: number
  readonly cancelAt: number | undefined
}

const chainSpec: fc.Arbitrary<ChainSpec> = fc.record({
  operators: fc.array(
    operatorSpec,
    { minLength: 1, maxLength: 4 }
  ),
  records: fc.integer({ min: 0, max: 20 }),
  cancelAt: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined, freq: 2 })
})

const runChain = (spec: ChainSpec, checkpoint: boolean) =>
  Effect.gen(function*() {
    const monitor: Monitor = { inside: 0, overlaps: 0 }
    const log: Log = { calls: [], events: [], monitor: () => monitor }
    let stream: DataStream.DataStream<number, Boom> = DataStream.range(1, spec.records)
    spec.operators.forEach((operator, i) => {
      stream = DataStream.transform(stream, `op${i}`, Effect.sync(() => makeOperator(operator, i, log)))
    })
    const out: Array<number> = []
    const job = Job.make("chain", DataStream.runForEach(stream, (n) => void out.push(n)))
    let cancel = () => {}
    let n = 0
    const observe = (event: Lifecycle.LifecycleEvent) => {
      log.events.push(event)
      if (n++ === spec.cancelAt) cancel()
    }
    const run = Job.run(job, checkpoint ? { checkpoint: { interval: "1 millis" }, restart: "none" } : {})
    const fiber = yield* Effect.fork(Effect.provideService(run, Lifecycle.LifecycleObserver, { observe }))
    cancel = () => fiber.unsafeInterruptAsFork(fiber.id())
    return { log, monitor, exit: yield* Fiber.await(fiber), out }
  }).pipe(Effect.provide(quiet))

const order = ["setup", "setRuntimeContext", "initializeState", "open", "run", "endInput", "finish", "close"]

const ascending = (a: number, b: number) => a - b

const isTerminal = ({ phase }: Lifecycle.LifecycleEvent) => phase === "finished" || phase === "canceled" || phase === "failed"

const runs = Number(process.env.SLUICE_RUNS ?? 300)

describe("random chains", () => {
  it(`L1 to L4, L6: ${runs} chains that fail or are canceled anywhere`, { timeout: 300_000 }, () =>
    fc.assert(
      fc.asyncProperty(chainSpec, fc.boolean(), async (spec, checkpoint) => {
        const { exit, log, monitor, out } = await Effect.runPromise(runChain(spec, checkpoint))
        // L1: one terminal state for each task that started, and nothing of it after that
        const own = new Map<string, Array<Lifecycle.LifecycleEvent>>()
        for (const event of log.events) {
          const task = `${event.vertex}[${event.subtask}]`
          own.set(task, [...own.get(task) ?? [], event])
        }
        for (const events of own.values()) expect(events.filter(isTerminal)).toEqual(events.slice(-1))
        spec.operators.forEach((_, i) => {
          const calls = log.calls.filter((call) => call.operator === i).map(({ hook }) => hook)
          // L2: close once for each operator that was set up, and what open acquired is released, once, after it
          expect(calls.filter((hook) => hook === "close")).toHaveLength(calls.includes("setup") ? 1 : 0)
          expect(calls.filter((hook) => hook === "release")).toHaveLength(calls.includes("open") ? 1 : 0)
          if (calls.includes("open")) expect(calls.at(-1)).toBe("release")
          // the order of the life cycle, each phase at most once
          const phases = log.events.filter(({ operator, phase }) => operator === `op${i}` && order.includes(phase)).map(({ phase }) =>
            phase
          )
          expect(phases).toEqual(order.filter((phase) => phases.includes(phase as Lifecycle.LifecyclePhase)))
        })
        // opened last to first; closed and finished first to last
        const sequence = (hook: Hook) => log.calls.filter((call) => call.hook === hook).map((call) => call.operator)
        expect(sequence("open")).toEqual(sequence("open").sort(ascending).reverse())
        expect(sequence("close")).toEqual(sequence("close").sort(ascending))
        expect(sequence("finish")).toEqual(sequence("finish").sort(ascending))
        // L4
        expect(monitor.overlaps).toBe(0)
        if (Exit.isSuccess(exit)) {
          expect(log.events.filter(isTerminal).every(({ phase }) => phase === "finished")).toBe(true)
          expect(out).toEqual(Array.from({ length: spec.records }, (_, i) => i + 1))
          return
        }
        // L3: canceled only where it was asked for, also when something fails after that
        if (Cause.isInterruptedOnly(exit.cause)) {
          expect(spec.cancelAt).toBeDefined()
          return
        }
        // L3, L6: the first failure is the cause, with the user's own error, and the closes that failed are behind it
        const error = Cause.squash(exit.cause) as StreamError.JobFailed<Boom>
        expect(error._tag).toBe("JobFailed")
        const booms = Cause.reduce(error.cause, [] as ReadonlyArray<Boom>, (all, cause) => {
          const thrown = cause._tag === "Fail" ? cause.error : cause._tag === "Die" ? cause.defect : undefined
          return thrown instanceof Boom ? Option.some([...all, thrown]) : Option.none()
        })
        const happened = log.calls.filter((call) =>
          call.hook !== "release" && fails(spec.operators[call.operator], call.hook) !== undefined
        )
        expect(booms.map(({ hook, operator }) => ({ operator, hook }))).toEqual(happened)
      }),
      { numRuns: runs }
    ))
})

const observeAll = (events: Array<string>) => ({
  observe: ({ operator, phase }: Lifecycle.LifecycleEvent) => void events.push(operator === undefined ? phase : `${operator}.${phase}`)
})

const pass: StreamOperator.StreamOperator<number, number, string> = {
  processElement: ({ timestamp, value }, out) => out.emit(value, timestamp)
}

/** runs three records through one operator */
const runOne = (
  operator: () => StreamOperator.StreamOperator<number, number, string>,
  options?: Parameters<typeof Job.run>[1]
) => {
  const stream = DataStream.range(1, 3).pipe(DataStream.transform("op", Effect.sync(operator)))
  return Effect.runPromise(
    Effect.exit(Job.run(Job.make("one", DataStream.runForEach(stream, () => {})), options)).pipe(Effect.provide(quiet))
  )
}

const broken = { _tag: "JobFailed", cause: { _tag: "Fail", error: "broken" } }

describe("the order of a task's life", () => {
  it("LC-01, LC-13: a bounded chain with a final checkpoint runs through all phases in order", async () => {
    const events: Array<string> = []
    const job = Job.make("order", DataStream.range(1, 3).pipe(DataStream.map((n) => n), DataStream.runForEach(() => {})))
    await Effect.runPromise(
      Job.run(job, { checkpoint: { interval: "1 hour" } }).pipe(
        Effect.provideService(Lifecycle.LifecycleObserver, observeAll(events)),
        Effect.provide(quiet)
      )
    )
    expect(events).toEqual([
      "setInitialState",
      "forEach.setup",
      "forEach.setRuntimeContext",
      "map.setup",
      "map.setRuntimeContext",
      "range.setup",
      "range.setRuntimeContext",
      "forEach.initializeState",
      "map.initializeState",
      "range.initializeState",
      "forEach.open",
      "map.open",
      "range.open",
      "range.run",
      "map.run",
      "forEach.run",
      "range.endInput",
      "quiesceTimers",
      "range.finish",
      "map.endInput",
      "map.finish",
      "forEach.endInput",
      "forEach.finish",
      "finalCheckpoint",
      "forEach.snapshotState",
      "map.snapshotState",
      "range.snapshotState",
      "forEach.notifyCheckpointComplete",
      "map.notifyCheckpointComplete",
      "range.notifyCheckpointComplete",
      "range.close",
      "map.close",
      "forEach.close",
      "taskCleanup",
      "commonCleanup",
      "finished"
    ])
  })

  it("LC-02, CA-01: a canceled chain is not finished: no end of input, no finish, every operator closed once", async () => {
    const events: Array<string> = []
    await Effect.runPromise(
      Effect.gen(function*() {
        const seen = yield* Deferred.make<void>()
        const job = Job.make(
          "cancel",
          DataStream.generate({ make: (i) => i }).pipe(DataStream.runForEach(() => Effect.asVoid(Deferred.succeed(seen, undefined))))
        )
        const fiber = yield* Effect.fork(Effect.provideService(Job.run(job), Lifecycle.LifecycleObserver, observeAll(events)))
        yield* Deferred.await(seen)
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(quiet))
    )
    expect(events.slice(events.indexOf("forEach.run") + 1)).toEqual([
      "taskCleanup",
      "generate.close",
      "forEach.close",
      "commonCleanup",
      "canceled"
    ])
  })

  it("L6, FA-12: a failure in a snapshot's synchronous part fails the task", async () => {
    const exit = await runOne(() => ({ ...pass, snapshotState: () => Effect.fail("broken") }), {
      checkpoint: { interval: "5 millis", tolerableFailures: 1 },
      restart: "none"
    })
    expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject(broken)
  })

  it("L6, FA-13: a failure in a snapshot's asynchronous part declines that checkpoint, and the job goes on", async () => {
    let failed = 0
    const exit = await runOne(() => ({ ...pass, snapshotState: (ctx) => failed++ === 0 ? ctx.defer(Effect.fail("broken")) : undefined }), {
      checkpoint: { interval: "5 millis", tolerableFailures: 1 },
      restart: "none"
    })
    if (Exit.isFailure(exit)) return expect.fail(Cause.pretty(exit.cause))
    expect(exit.value.status).toBe("finished")
    expect(exit.value.checkpoints.failed).toBeGreaterThanOrEqual(1)
    expect(exit.value.checkpoints.completed).toBeGreaterThanOrEqual(1)
  })

  it("L6, FA-19: a notification that fails fails the task with the user's own error", async () => {
    const exit = await runOne(() => ({ ...pass, notifyCheckpointComplete: () => Effect.fail("broken") }), {
      checkpoint: { interval: "5 millis" },
      restart: "none"
    })
    expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject(broken)
  })

  it("L6, FA-11: a failure in a processing-time timer fails the task", async () => {
    const exit = await Effect.runPromise(
      Effect.exit(Job.run(Job.make(
        "timer",
        DataStream.generate({ make: (i) => i, rate: 1000 }).pipe(
          DataStream.transform(
            "op",
            Effect.succeed<StreamOperator.StreamOperator<number, number>>({
              setup: (ctx) =>
                void ctx.processingTime.schedule(0, () => {
                  throw new Error("in a timer")
                }),
              processElement: () => {}
            })
          ),
          DataStream.runForEach(() => {})
        )
      ))).pipe(Effect.provide(quiet))
    )
    expect(Exit.isFailure(exit) && Cause.pretty((Cause.squash(exit.cause) as StreamError.JobFailed).cause)).toContain("in a timer")
  })

  it("L2: what open acquired is released also when open itself fails half way", async () => {
    const released: Array<string> = []
    const acquire = (name: string) =>
      Effect.flatMap(Effect.scope, (scope) => Scope.addFinalizer(scope, Effect.sync(() => void released.push(name))))
    const exit = await runOne(() => ({ ...pass, open: Effect.all([acquire("first"), acquire("second"), Effect.fail("broken")]) }))
    expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject(broken)
    expect(released).toEqual(["second", "first"])
  })
})
