/** Restarts: when a job starts again, with what, when it gives up, and what a run says of itself at its end. */
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Schedule,
  Schema,
  Stream,
  TestClock
} from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, DataSink, DataStream, Job, JobOptions, KeyedStream, Lifecycle, State, StreamError } from "sluice"
import { Ledger, Observer } from "sluice/testing"

const quiet = Logger.remove(Logger.defaultLogger)

const memory = Layer.merge(CheckpointStorage.layerMemory, quiet)

/** what is logged, with its level, instead of being printed */
const logging = (lines: Array<string>) =>
  Layer.merge(
    Logger.replace(Logger.defaultLogger, Logger.make(({ logLevel, message }) => void lines.push(`${logLevel.label} ${String(message)}`))),
    Logger.minimumLogLevel(LogLevel.Info)
  )

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** lets all that can run now run */
const settle = Effect.repeatN(turn, 20)

/** waits for what other fibers do, and fails rather than hang */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    const deadline = performance.now() + 5000
    while (!holds()) {
      if (performance.now() > deadline) throw new Error("it never came")
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  })

const failureOf = (exit: unknown) => Exit.isExit(exit) && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit

class Broken {
  readonly _tag = "Broken"
  constructor(readonly attempt: number) {}
}

/** A job that fails in attempts 0 to `times`, counted from 0, after it has given its three records. */
const failing = (times: number, attempts: Array<number>, name = "failing") =>
  Job.make(
    name,
    DataStream.range(1, 3).pipe(
      DataStream.transform(
        "breaking",
        Effect.sync((): StreamOperator.StreamOperator<number, number, Broken> => {
          let attempt = 0
          return {
            setup: (ctx) => {
              attempt = ctx.attempt
              attempts.push(attempt)
            },
            processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
            finish: () => attempt < times ? Effect.fail(new Broken(attempt)) : Effect.void
          }
        })
      ),
      DataStream.runForEach(() => {})
    )
  )

/** 1 to `to`, but no further than it is let */
const feed = (to: number) => {
  let limit = 0
  let waiting: Array<() => void> = []
  const pass = (n: number) =>
    Effect.async<void>((resume) => {
      const ask = () => {
        if (n <= limit) resume(Effect.void)
        else waiting.push(ask)
      }
      ask()
    })
  return {
    stream: DataStream.fromStream(Stream.range(1, to).pipe(Stream.rechunk(1), Stream.tap(pass))).pipe(DataStream.uid("feed")),
    give: (n: number) => {
      limit = n
      const asked = waiting
      waiting = []
      for (const ask of asked) ask()
    }
  }
}

describe("the schedule", () => {
  it("recurs(n): n restarts, then JobFailed with the user's own error, where it happened and how often it was tried", () =>
    fc.assert(
      fc.asyncProperty(fc.nat(4), fc.nat(6), async (times, n) => {
        const attempts: Array<number> = []
        const exit = await Effect.runPromise(
          Effect.exit(Job.run(failing(times, attempts), { restart: Schedule.recurs(n) })).pipe(Effect.provide(quiet))
        )
        expect(attempts).toEqual(Array.from({ length: Math.min(times, n) + 1 }, (_, i) => i))
        if (times <= n) expect(exit).toMatchObject({ _tag: "Success", value: { status: "finished", restarts: times } })
        else {
          const failure = failureOf(exit) as StreamError.JobFailed<Broken>
          expect(failure).toMatchObject({
            _tag: "JobFailed",
            job: "failing",
            vertex: "range -> breaking -> forEach",
            subtask: 0,
            restarts: n
          })
          expect(failure.cause).toEqual(Cause.fail(new Broken(n)))
        }
      }),
      { numRuns: 30 }
    ))

  it("none: the first failure is the last, with checkpoints too", async () => {
    for (const checkpoint of [undefined, { interval: "1 hour" }] as const) {
      const attempts: Array<number> = []
      const exit = await Effect.runPromise(
        Effect.exit(Job.run(failing(1, attempts), { restart: "none", checkpoint })).pipe(Effect.provide(memory))
      )
      expect(attempts).toEqual([0])
      expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", restarts: 0 })
    }
  })

  it("a schedule may look at the cause: what it does not recur on is final", async () => {
    const attempts: Array<number> = []
    const schedule = Schedule.recurWhile((cause: unknown) =>
      Cause.isCause(cause) && Array.from(Cause.failures(cause)).some((failure) => failure instanceof Broken && failure.attempt < 2)
    )
    const exit = await Effect.runPromise(Effect.exit(Job.run(failing(9, attempts), { restart: schedule })).pipe(Effect.provide(quiet)))
    expect(attempts).toEqual([0, 1, 2])
    expect(failureOf(exit)).toMatchObject({ restarts: 2 })
  })

  it.effect("by default: none without checkpoints", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      expect(failureOf(yield* Effect.exit(Job.run(failing(1, attempts))))).toMatchObject({ _tag: "JobFailed", restarts: 0 })
      expect(attempts).toEqual([0])
    }).pipe(Effect.provide(quiet)))

  it.scoped("by default with checkpoints: after about 100 ms", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      const handle = yield* Job.start(failing(99, attempts), { checkpoint: { interval: "1 hour" } })
      yield* until(() => attempts.length === 1)
      yield* settle
      expect(yield* handle.status).toBe("restarting")
      yield* TestClock.adjust("79 millis")
      yield* settle
      expect(attempts).toEqual([0])
      yield* TestClock.adjust("42 millis")
      yield* until(() => attempts.length === 2)
      yield* handle.cancel
    }).pipe(Effect.provide(memory)))

  it.effect("the default doubles the wait from 100 ms up to 10 s, for ever; jitter takes a fifth away or adds one", () =>
    Effect.gen(function*() {
      const driver = yield* Schedule.driver(Schedule.delays(JobOptions.defaultRestart))
      for (let i = 0; i < 30; i++) {
        const next = yield* Effect.fork(driver.next(undefined))
        yield* TestClock.adjust("12 seconds")
        const delay = Duration.toMillis(yield* Fiber.join(next))
        const nominal = Math.min(100 * 2 ** i, 10_000)
        expect(delay).toBeGreaterThanOrEqual(nominal * 0.8)
        expect(delay).toBeLessThanOrEqual(nominal * 1.2)
      }
    }))

  it.scoped("CA: a cancel while it waits for its next attempt ends it at once", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      const handle = yield* Job.start(failing(99, attempts), { restart: Schedule.spaced("1 hour") })
      yield* until(() => attempts.length === 1)
      yield* settle
      expect(yield* handle.status).toBe("restarting")
      yield* handle.cancel
      expect(yield* handle.status).toBe("canceled")
      expect(Exit.isInterrupted(yield* Effect.exit(handle.await))).toBe(true)
      yield* TestClock.adjust("2 hours")
      yield* settle
      expect(attempts).toEqual([0])
    }).pipe(Effect.provide(quiet)))

  it("CC-21: more failed checkpoints than are tolerated fail the attempt, as the coordinator's own failure", async () => {
    const declining: StreamOperator.StreamOperator<number, number> = {
      processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
      snapshotState: (ctx) => ctx.defer(Effect.fail("no disk"))
    }
    const job = Job.make(
      "declining",
      DataStream.range(1, 3).pipe(DataStream.transform("declining", Effect.succeed(declining)), DataStream.runForEach(() => {}))
    )
    const exit = await Effect.runPromise(
      Effect.exit(Job.run(job, { checkpoint: { interval: "1 millis", tolerableFailures: 2 }, restart: Schedule.recurs(1) })).pipe(
        Effect.provide(memory)
      )
    )
    expect(failureOf(exit)).toMatchObject({
      _tag: "JobFailed",
      vertex: "checkpoint coordinator",
      restarts: 1,
      cause: { error: { _tag: "CheckpointFailed", reason: "ASYNC_EXCEPTION", detail: expect.stringContaining("no disk") } }
    })
  })
})

describe("an attempt", () => {
  it("R1, L2: starts when every task of the one before has ended and all its operators have closed", () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.nat(120), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        async (parallelism, steps, chaining) => {
          const recording = Observer.recording()
          const crashing = Observer.crashAt(steps)
          const observer = {
            observe: (event: Lifecycle.LifecycleEvent) => {
              recording.observe(event)
              crashing.observe(event)
            }
          }
          let open = 0
          const slow = DataSink.make({
            name: "slow",
            open: () =>
              Effect.acquireRelease(
                Effect.sync((): DataSink.SinkWriter<number> => {
                  open++
                  return { write: () => {} }
                }),
                // a close that takes its time
                () => Effect.zipRight(settle, Effect.sync(() => void open--))
              )
          })
          const openAtStart: Array<number> = []
          const stream = DataStream.range(1, 20).pipe(
            DataStream.rebalance,
            DataStream.transform(
              "counting",
              Effect.sync((): StreamOperator.StreamOperator<number, number> => {
                openAtStart.push(open)
                return { processElement: ({ timestamp, value }, out) => out.emit(value, timestamp) }
              })
            ),
            DataStream.to(slow)
          )
          await Effect.runPromise(
            Job.run(Job.make("attempts", stream), { parallelism, chaining, restart: Schedule.recurs(5) }).pipe(
              Effect.provideService(Lifecycle.LifecycleObserver, observer),
              Effect.provide(quiet)
            )
          )
          // between the first step of an attempt's tasks and their last there is none of another attempt's
          const alive = new Set<string>()
          let attemptOver = false
          for (const { phase, subtask, vertex } of recording.events) {
            const task = `${vertex}[${subtask}]`
            if (phase === "setInitialState") {
              expect(attemptOver && alive.size > 0).toBe(false)
              if (alive.size === 0) attemptOver = false
              expect(alive.has(task)).toBe(false)
              alive.add(task)
            } else if (phase === "failed" || phase === "canceled") {
              alive.delete(task)
              attemptOver = true
            } else if (phase === "finished") alive.delete(task)
          }
          expect(openAtStart.every((n) => n === 0)).toBe(true)
          expect(open).toBe(0)
        }
      ),
      { numRuns: 40 }
    ))

  it("FC-24: is told of by events, each once: a restart only where there is one", async () => {
    const events = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        const job = Job.make(
          "events",
          DataStream.fromStream(Stream.fromEffect(Effect.zipRight(Deferred.await(go), Effect.fail("broken")))).pipe(
            DataStream.runForEach(() => {})
          )
        )
        const handle = yield* Job.start(job, { restart: Schedule.recurs(2) })
        const collected = yield* Effect.fork(Stream.runCollect(Stream.takeUntil(handle.events, ({ _tag }) => _tag === "Failed")))
        yield* settle
        yield* Deferred.succeed(go, undefined)
        return Array.from(yield* Fiber.join(collected))
      })).pipe(Effect.provide(quiet))
    )
    expect(events.map((event) => "attempt" in event ? `${event._tag} ${event.attempt}` : event._tag)).toEqual([
      "Restarting 1",
      "Started 1",
      "Restarting 2",
      "Started 2",
      "Failed"
    ])
  })

  it("has its tasks running when Job.start gives its handle: a savepoint may be asked for at once", async () => {
    const exit = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("at once", DataStream.runForEach(DataStream.generate({ make: (i) => i }), () => {})))
        return yield* Effect.exit(handle.savepoint)
      })).pipe(Effect.provide(memory))
    )
    expect(exit).toMatchObject({ _tag: "Success", value: { id: 1 } })
  })
})

/** Counts what it has seen, and can be made to fail. */
const counting = (
  name: string,
  ledger: Ledger.Ledger<string>,
  stream: DataStream.DataStream<number>,
  control: { crash: () => void; opened: number }
) =>
  Job.make(
    name,
    stream.pipe(
      KeyedStream.keyBy((n) => n % 2),
      KeyedStream.process({
        state: { count: State.value(Schema.Number, { default: 0 }) },
        onElement: (n, ctx) => {
          ctx.state.count.update((count) => count + 1)
          return [`${n}: ${ctx.state.count.get()}`]
        }
      }),
      DataStream.uid("count"),
      DataStream.transform(
        "crashing",
        Effect.sync((): StreamOperator.StreamOperator<string, string> => ({
          setup: (ctx) => {
            control.crash = () => void ctx.fork(Effect.die(new Error("crash")))
          },
          open: Effect.sync(() => void control.opened++),
          processElement: ({ timestamp, value }, out) => out.emit(value, timestamp)
        }))
      ),
      DataStream.to(ledger.sink, { uid: "sink" })
    )
  )

const manual: JobOptions.JobOptions = { checkpoint: { interval: "1 hour", retain: 3 }, restart: Schedule.recurs(9) }

/** asks again where tasks are still on their way up */
const asked = <A>(effect: Effect.Effect<A, StreamError.CheckpointFailed>) =>
  Effect.retry(Effect.tapError(effect, () => turn), { while: ({ reason }) => reason === "NOT_ALL_REQUIRED_TASKS_RUNNING" })

const world = (to: number) => {
  const ledger = Ledger.make<string>()
  const control = { crash: () => {}, opened: 0 }
  const { give, stream } = feed(to)
  let seen = 0
  const job = counting("counting", ledger, DataStream.tap(stream, () => void seen++), control)
  return {
    ledger,
    give,
    job,
    /** lets records through up to `n`, of which `since` are restored from elsewhere */
    through: (n: number, since: number) =>
      Effect.suspend(() => {
        give(n)
        return until(() => seen >= n - since)
      }),
    crash: Effect.suspend(() => {
      const { opened } = control
      seen = 0
      control.crash()
      return until(() => control.opened === opened + 1)
    }),
    fresh: () => {
      seen = 0
    }
  }
}

const counts = (to: number) => Array.from({ length: to }, (_, i) => `${i + 1}: ${Math.floor(i / 2) + 1}`)

describe("what it starts with", () => {
  it("a restart goes on from the newest checkpoint or savepoint of its run, and its state is that of then", async () => {
    const { crash, give, job, ledger, through } = world(10)
    const lines: Array<string> = []
    const result = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job, manual)
        yield* through(2, 0)
        yield* asked(handle.triggerCheckpoint)
        yield* through(4, 0)
        yield* asked(handle.triggerCheckpoint)
        yield* through(5, 0)
        yield* crash
        yield* through(6, 4)
        yield* asked(handle.savepoint)
        yield* through(7, 4)
        yield* crash
        yield* through(8, 6)
        give(10)
        return yield* handle.await
      })).pipe(Effect.provide(Layer.merge(CheckpointStorage.layerMemory, logging(lines))))
    )
    expect(ledger.visible()).toEqual(counts(10))
    expect(result).toMatchObject({ status: "finished", restarts: 2, restoredFrom: undefined })
    const restored = lines.filter((line) => line.includes("restored from"))
    expect(restored.map((line) => /checkpoint \d+/.exec(line)?.[0])).toEqual(["checkpoint 2", "checkpoint 3"])
    expect(lines.filter((line) => line.startsWith("WARN")).every((line) => line.includes("failed, restarting") && line.includes("crash")))
      .toBe(true)
  })

  it("a restart before any checkpoint begins with what the run began with", async () => {
    const { crash, fresh, give, job, ledger, through } = world(6)
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const first = yield* Job.start(job, manual)
        yield* through(2, 0)
        yield* crash
        yield* through(3, 0)
        yield* asked(first.triggerCheckpoint)
        yield* first.cancel
        fresh()
        const second = yield* Job.start(job, manual)
        yield* through(4, 3)
        yield* crash
        yield* through(4, 3)
        give(6)
        expect(yield* second.await).toMatchObject({ restarts: 1, restoredFrom: 1 })
      })).pipe(Effect.provide(memory))
    )
    expect(ledger.visible()).toEqual(counts(6))
  })

  it("restore none: begins anew whatever there is; its own restarts go on from its own checkpoints", async () => {
    const { crash, fresh, give, job, ledger, through } = world(6)
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const first = yield* Job.start(job, manual)
        yield* through(3, 0)
        yield* asked(first.triggerCheckpoint)
        yield* settle
        yield* first.cancel
        expect(ledger.visible()).toEqual(counts(3))
        fresh()
        const second = yield* Job.start(job, { ...manual, restore: "none" })
        yield* through(4, 0)
        // nothing of its own yet
        yield* crash
        yield* through(4, 0)
        yield* asked(second.triggerCheckpoint)
        yield* crash
        yield* through(5, 4)
        give(6)
        expect(yield* second.await).toMatchObject({ restarts: 2, restoredFrom: undefined, checkpoints: { completed: 2, lastId: 3 } })
      })).pipe(Effect.provide(memory))
    )
    expect(ledger.visible()).toEqual([...counts(3), ...counts(6)])
  })

  it("restore { savepoint }: begins with that one though there are newer; its restarts go on from its own, or from that one again", async () => {
    const { crash, fresh, give, job, ledger, through } = world(8)
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const first = yield* Job.start(job, manual)
        yield* through(2, 0)
        const { id } = yield* asked(first.savepoint)
        yield* through(4, 0)
        yield* asked(first.triggerCheckpoint)
        yield* settle
        yield* first.cancel
        expect(ledger.visible()).toEqual(counts(4))
        fresh()
        const second = yield* Job.start(job, { ...manual, restore: { savepoint: id } })
        yield* through(5, 2)
        yield* crash
        yield* through(6, 2)
        yield* asked(second.triggerCheckpoint)
        yield* crash
        yield* through(7, 6)
        give(8)
        expect(yield* second.await).toMatchObject({ restarts: 2, restoredFrom: id })
      })).pipe(Effect.provide(memory))
    )
    // 3 and 4 were committed by the first run, which went on from the savepoint in its own way
    expect(ledger.visible()).toEqual([...counts(4), ...counts(8).slice(2)])
  })

  it("restore { savepoint } of one that is not there fails before anything starts", async () => {
    const events = Observer.recording()
    const exit = await Effect.runPromise(
      Effect.exit(Job.run(failing(0, []), { restore: { savepoint: 99 } })).pipe(
        Effect.provideService(Lifecycle.LifecycleObserver, events),
        Effect.provide(memory)
      )
    )
    expect(failureOf(exit)).toMatchObject({ _tag: "StorageFailed", message: expect.stringMatching(/chk-99.*no such checkpoint/) })
    expect(events.events).toEqual([])
  })

  it("ST: a state whose schema does not fit is not tried again", async () => {
    const attempts: Array<number> = []
    const job = (schema: Schema.Schema<any, any>, cut: boolean) =>
      Job.make(
        "schema",
        DataStream.fromStream(Stream.concat(Stream.make(1, 2), cut ? Stream.never : Stream.empty)).pipe(
          DataStream.uid("source"),
          KeyedStream.keyBy((n) => n),
          KeyedStream.process({
            state: { last: State.value(schema) },
            onElement: (_, ctx) => {
              ctx.state.last.set(cut ? 1 : "one")
            }
          }),
          DataStream.uid("state"),
          DataStream.transform(
            "counting",
            Effect.sync((): StreamOperator.StreamOperator<never, never> => {
              attempts.push(attempts.length)
              return { processElement: () => {} }
            })
          ),
          DataStream.runForEach(() => {})
        )
      )
    const exit = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job(Schema.Number, true))
        yield* settle
        yield* handle.stopWithSavepoint()
        return yield* Effect.exit(Job.run(job(Schema.String, false), { restart: Schedule.recurs(3) }))
      })).pipe(Effect.provide(memory))
    )
    expect(failureOf(exit)).toMatchObject({ _tag: "StateIncompatible", state: "last" })
    expect(attempts.length).toBeLessThanOrEqual(2)
  })

  /** a storage in which some checkpoints cannot be read any more */
  const damaged = (ids: Set<number>) =>
    Layer.effect(
      CheckpointStorage.CheckpointStorage,
      Effect.map(CheckpointStorage.CheckpointStorage, (storage): CheckpointStorage.Storage => ({
        open: (job) =>
          Effect.map(storage.open(job), (store) => ({
            ...store,
            read: (id, handle) =>
              ids.has(id) ? new StreamError.CheckpointCorrupt({ file: `chk-${id}`, expected: "a", found: "b" }) : store.read(id, handle)
          }))
      }))
    ).pipe(Layer.provide(CheckpointStorage.layerMemory))

  it("R2: a damaged checkpoint is passed over for the next older one, and that is said", async () => {
    const { crash, give, job, ledger, through } = world(6)
    const lines: Array<string> = []
    const ids = new Set<number>()
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job, manual)
        yield* through(2, 0)
        yield* asked(handle.savepoint)
        yield* through(3, 0)
        yield* asked(handle.savepoint)
        ids.add(2)
        yield* crash
        yield* through(5, 2)
        give(6)
        yield* handle.await
      })).pipe(Effect.provide(Layer.merge(damaged(ids), logging(lines))))
    )
    expect(ledger.visible()).toEqual(counts(6))
    expect(lines.filter((line) => line.includes("damaged"))).toEqual([
      expect.stringMatching(/^WARN job counting: checkpoint 2 is damaged, going back to 1: /)
    ])
  })

  it("R2: if none is left that can be read, the job fails with what is wrong with it rather than start empty", async () => {
    const { job, through } = world(6)
    const ids = new Set<number>()
    const control = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const first = yield* Job.start(job, manual)
        yield* through(2, 0)
        yield* asked(first.triggerCheckpoint)
        yield* first.cancel
        ids.add(1)
        return yield* Effect.exit(Job.run(job, manual))
      })).pipe(Effect.provide(Layer.merge(damaged(ids), quiet)))
    )
    expect(failureOf(control)).toMatchObject({ _tag: "CheckpointCorrupt", file: "chk-1" })
  })

  it("R2: also in a restart, after the checkpoint with which the run began has been discarded", async () => {
    const { crash, fresh, job, through } = world(6)
    const ids = new Set<number>()
    const exit = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const options: JobOptions.JobOptions = { ...manual, checkpoint: { interval: "1 hour", retain: 1 } }
        const first = yield* Job.start(job, options)
        yield* through(2, 0)
        yield* asked(first.triggerCheckpoint)
        yield* first.cancel
        fresh()
        const second = yield* Job.start(job, options)
        yield* through(3, 2)
        yield* asked(second.triggerCheckpoint)
        yield* settle
        ids.add(2)
        yield* Effect.fork(Effect.exit(crash))
        return yield* Effect.exit(second.await)
      })).pipe(Effect.provide(Layer.merge(damaged(ids), quiet)))
    )
    expect(failureOf(exit)).toMatchObject({ _tag: "CheckpointCorrupt", file: "chk-2" })
  })
})

describe("a run", () => {
  it.scoped("says at its end what it was: all fields of its result", () =>
    Effect.gen(function*() {
      const { give, stream } = feed(4)
      let seen = 0
      const job = Job.make(
        "result",
        stream.pipe(
          DataStream.flatMap((n) => [n, n]),
          DataStream.tap(() => void seen++),
          DataStream.rebalance,
          DataStream.filter((n) => n !== 4),
          DataStream.disableChaining,
          DataStream.runForEach(() => {})
        )
      )
      const handle = yield* Job.start(job, { checkpoint: { interval: "1 hour", tolerableFailures: 1 } })
      give(2)
      yield* until(() => seen === 4)
      yield* asked(handle.triggerCheckpoint)
      yield* TestClock.adjust("90 seconds")
      give(4)
      const result = yield* handle.await
      expect(result).toEqual({
        id: handle.id,
        name: "result",
        status: "finished",
        restarts: 0,
        checkpoints: { completed: 2, failed: 0, lastId: 2 },
        restoredFrom: undefined,
        durationMs: 90_000,
        records: [
          { vertex: "fromStream -> flatMap -> tap", in: 4, out: 8 },
          { vertex: "filter", in: 8, out: 6 },
          { vertex: "forEach", in: 6, out: 0 }
        ]
      })
      expect(handle.id.startsWith("result-")).toBe(true)
    }).pipe(Effect.provide(memory)))

  it("that was stopped says so, and the next one from where it went on; failed checkpoints and restarts are counted", async () => {
    const { crash, fresh, give, job, through } = world(6)
    const [first, second] = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job, manual)
        yield* through(2, 0)
        yield* asked(handle.triggerCheckpoint)
        yield* crash
        yield* through(3, 2)
        yield* asked(handle.stopWithSavepoint() as Effect.Effect<unknown, StreamError.CheckpointFailed>)
        const stopped = yield* handle.await
        fresh()
        give(6)
        return [stopped, yield* Job.run(job, manual)] as const
      })).pipe(Effect.provide(memory))
    )
    expect(first).toMatchObject({
      status: "stopped",
      restarts: 1,
      checkpoints: { completed: 2, failed: 0, lastId: 2 },
      restoredFrom: undefined
    })
    expect(second).toMatchObject({ status: "finished", restarts: 0, checkpoints: { completed: 1, failed: 0, lastId: 3 }, restoredFrom: 2 })
  })

  it("R3: after one that finished begins anew and says so; ids go on", async () => {
    const lines: Array<string> = []
    const ledger = Ledger.make<number>()
    const job = Job.make("again", DataStream.range(1, 3).pipe(DataStream.to(ledger.sink, { uid: "sink" })))
    const results = await Effect.runPromise(
      Effect.all([1, 2, 3].map(() => Job.run(job, { checkpoint: { interval: "1 hour" } }))).pipe(
        Effect.provide(Layer.merge(CheckpointStorage.layerMemory, logging(lines)))
      )
    )
    expect(results.map(({ checkpoints, restoredFrom, status }) => ({ ...checkpoints, restoredFrom, status }))).toEqual(
      [1, 2, 3].map((id) => ({
        completed: 1,
        failed: 0,
        lastId: id,
        restoredFrom: undefined,
        status: "finished"
      }))
    )
    expect(lines).toEqual([1, 2].map((id) => `INFO job again: the last run finished (checkpoint ${id}), starting anew`))
    expect(ledger.visible()).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3])
  })

  it("without a storage keeps its checkpoints in memory, and says so once, where there are any", async () => {
    const lines: Array<string> = []
    const attempts: Array<number> = []
    await Effect.runPromise(Job.run(failing(1, attempts), { restart: Schedule.recurs(1) }).pipe(Effect.provide(logging(lines))))
    expect(lines.some((line) => line.includes("CheckpointStorage"))).toBe(false)
    await Effect.runPromise(Job.run(failing(0, []), { checkpoint: { interval: "1 hour" } }).pipe(Effect.provide(logging(lines))))
    expect(lines.filter((line) => /^INFO .*no CheckpointStorage is provided.*do not survive the process/.test(line))).toHaveLength(1)
  })

  it("H3: of one name a second one at the same time is refused by name, and the first goes on", async () => {
    const { give, job, ledger } = world(4)
    const exit = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job)
        const second = yield* Effect.exit(Job.run(job))
        give(4)
        yield* handle.await
        return second
      })).pipe(Effect.provide(memory))
    )
    expect(failureOf(exit)).toMatchObject({ _tag: "JobAlreadyRunning", job: "counting" })
    expect(ledger.visible()).toEqual(counts(4))
  })
})
