/** What once went wrong when a job was canceled or stopped, or a checkpoint declined. */
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Layer, Logger, Schedule } from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, DataStream, Job, KeyedStream, StateBackend } from "sluice"
import { describe, expect, it } from "vitest"
import { CheckpointLock } from "../../src/task/CheckpointLock.js"
import { ProcessingTime } from "../../src/task/ProcessingTime.js"

const quiet = Logger.remove(Logger.defaultLogger)
const memory = Layer.merge(CheckpointStorage.layerMemory, quiet)
const numbers = DataStream.generate({ make: (i) => i, rate: 1000 })
const pass: StreamOperator.StreamOperator<number, number> = { processElement: ({ timestamp, value }, out) => out.emit(value, timestamp) }

it("a job is stopped with a savepoint from a finalizer", { timeout: 10_000 }, () =>
  Effect.runPromise(Effect.gen(function*() {
    const stopped = yield* Deferred.make<number>()
    const fiber = yield* Effect.fork(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("stopped", DataStream.runForEach(DataStream.generate({ make: (i) => i }), () => {})))
        yield* handle.await.pipe(
          Effect.onInterrupt(() => Effect.flatMap(Effect.orDie(handle.stopWithSavepoint()), ({ id }) => Deferred.succeed(stopped, id)))
        )
      })).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
    )
    yield* Effect.sleep("20 millis")
    yield* Fiber.interrupt(fiber)
    expect(yield* Deferred.await(stopped)).toBe(1)
  })))

describe("canceled, stopped, declined", () => {
  it("L2: an operator that was never set up is not closed (its backend fails to open)", async () => {
    const calls: Array<string> = []
    const operator: StreamOperator.StreamOperator<number, number> = {
      ...pass,
      setup: () => void calls.push("setup"),
      close: Effect.sync(() => void calls.push("close"))
    }
    const job = Job.make(
      "one",
      numbers.pipe(DataStream.transform("op", Effect.succeed(operator)), DataStream.uid("op"), DataStream.runForEach(() => {}))
    )
    const exit = await Effect.runPromise(
      Effect.exit(Job.run(job)).pipe(
        Effect.provideService(StateBackend.StateBackend, {
          open: ({ uid }) =>
            uid === "op" ? Effect.die("no disk") : StateBackend.StateBackend.defaultValue().open({ job: "", uid, subtask: 0 })
        }),
        Effect.provide(memory)
      )
    )
    expect(Exit.isFailure(exit)).toBe(true)
    expect(calls).toEqual([])
  })

  it("L6: a snapshot's asynchronous part that interrupts itself declines the checkpoint", async () => {
    const operator: StreamOperator.StreamOperator<number, number> = { ...pass, snapshotState: (ctx) => ctx.defer(Effect.interrupt) }
    const told = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const job = Job.make("two", numbers.pipe(DataStream.transform("op", Effect.succeed(operator)), DataStream.runForEach(() => {})))
        const handle = yield* Job.start(job)
        return yield* Effect.timeoutOption(Effect.flip(handle.triggerCheckpoint), "1 second")
      })).pipe(Effect.provide(memory))
    )
    expect(told).toMatchObject({ _tag: "Some", value: { reason: "ASYNC_EXCEPTION" } })
  })

  it("a processing-time timer more than 2^31 ms ahead sleeps no longer than a host can", async () => {
    const slept: Array<number> = []
    const clock: Clock.Clock = {
      ...Clock.make(),
      unsafeCurrentTimeMillis: () => 0,
      sleep: (duration) => Effect.zipRight(Effect.sync(() => void slept.push(Duration.toMillis(duration))), Effect.never)
    }
    await Effect.runPromise(
      Effect.gen(function*() {
        const time = new ProcessingTime(clock)
        const fiber = yield* Effect.fork(time.run(new CheckpointLock(), Effect.void))
        time.schedule(30 * 86_400_000, () => {})
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.withClock(clock))
    )
    expect(slept.length).toBeGreaterThan(0)
    expect(slept[0]).toBeLessThan(2 ** 31)
  })

  it("L2: what an operator forks while its task closes ends with the task", async () => {
    const events: Array<string> = []
    await Effect.runPromise(
      Effect.gen(function*() {
        const seen = yield* Deferred.make<void>()
        let ctx!: StreamOperator.OperatorContext<number>
        const operator: StreamOperator.StreamOperator<number, number> = {
          ...pass,
          setup: (context) => {
            ctx = context
          },
          close: Effect.sync(() => {
            ctx.fork(Effect.delay(Effect.sync(() => void events.push("leaked")), 20))
          })
        }
        const job = Job.make(
          "five",
          numbers.pipe(
            DataStream.transform("op", Effect.succeed(operator)),
            DataStream.runForEach(() => Effect.asVoid(Deferred.succeed(seen, undefined)))
          )
        )
        const fiber = yield* Effect.fork(Job.run(job))
        yield* Deferred.await(seen)
        yield* Fiber.interrupt(fiber)
        events.push("ended")
        yield* Effect.sleep(60)
      }).pipe(Effect.provide(memory))
    )
    expect(events).toEqual(["ended"])
  })

  it("timers stop first: none fires while a canceled task waits for its other fibers", async () => {
    const fired: Array<string> = []
    await Effect.runPromise(
      Effect.gen(function*() {
        const seen = yield* Deferred.make<void>()
        let cancelledAt = Infinity
        const stream = DataStream.generate({ make: (i) => i, rate: 1000 }).pipe(
          KeyedStream.keyBy(() => 0),
          KeyedStream.process({
            onElement: (n, { processingTime, timers }) => {
              timers.processingTime(processingTime() + 1)
              return [n]
            },
            onTimer: ({ timestamp }, { timers }) => {
              if (performance.now() > cancelledAt + 20) fired.push("timer after cancel")
              timers.processingTime(timestamp + 5)
            }
          }),
          // a fiber of the task that takes its time to end
          DataStream.mapEffect((n) =>
            Effect.zipRight(Deferred.succeed(seen, undefined), Effect.as(Effect.uninterruptible(Effect.sleep(100)), n))
          )
        )
        const fiber = yield* Effect.fork(Job.run(Job.make("six", DataStream.runForEach(stream, () => {}))))
        yield* Deferred.await(seen)
        cancelledAt = performance.now()
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(memory))
    )
    expect(fired).toEqual([])
  })

  it("a storage that dies on begin neither hangs stopWithSavepoint's caller nor keeps the job from ending", async () => {
    const job = Job.make(
      "seven",
      DataStream.range(1, 20_000).pipe(
        DataStream.mapEffect((n) => Effect.as(Effect.sleep(1), n), { concurrency: 100 }),
        DataStream.runForEach(() => {})
      )
    )
    const ended = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const real = yield* CheckpointStorage.CheckpointStorage
        const dying = {
          ...real,
          open: (name: string) => Effect.map(real.open(name), (store) => ({ ...store, begin: () => Effect.die("bug in a driver") }))
        }
        const handle = yield* Effect.provideService(
          Job.start(job, { restart: "none" }),
          CheckpointStorage.CheckpointStorage,
          dying as typeof real
        )
        yield* Effect.exit(handle.stopWithSavepoint())
        return yield* Effect.timeoutOption(Effect.exit(handle.await), "5 seconds")
      })).pipe(Effect.provide(memory))
    )
    expect(ended._tag).toBe("Some")
  })

  it("a trigger that waits for room is told when the attempt fails and the job restarts", async () => {
    const told = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        let fail = false
        const stuck: StreamOperator.StreamOperator<number, number, string> = {
          processElement: () => fail ? Effect.suspend(() => (fail = false, Effect.fail("broken"))) : undefined,
          snapshotState: (ctx) => ctx.defer(Effect.never)
        }
        const job = Job.make("eight", numbers.pipe(DataStream.transform("op", Effect.succeed(stuck)), DataStream.runForEach(() => {})))
        const handle = yield* Job.start(job, { restart: Schedule.spaced("1 millis") })
        const first = yield* Effect.fork(Effect.exit(handle.triggerCheckpoint))
        yield* Effect.sleep(10)
        const second = yield* Effect.fork(Effect.exit(handle.triggerCheckpoint))
        yield* Effect.sleep(10)
        fail = true
        yield* Fiber.join(first)
        return yield* Effect.timeoutOption(Fiber.join(second), "1 second")
      })).pipe(Effect.provide(memory))
    )
    expect(told._tag).toBe("Some")
  })

  it("what runs at once is canceled at once: ten fibers of 50 ms each do not take half a second", async () => {
    const ms = await Effect.runPromise(
      Effect.gen(function*() {
        let running = 0
        const stream = DataStream.range(1, 100).pipe(
          DataStream.mapEffect(
            (n) => Effect.as(Effect.acquireUseRelease(Effect.sync(() => void running++), () => Effect.never, () => Effect.sleep(50)), n),
            { concurrency: 10 }
          )
        )
        const fiber = yield* Effect.fork(Job.run(Job.make("nine", DataStream.runForEach(stream, () => {}))))
        while (running < 10) yield* Effect.sleep(5)
        const before = performance.now()
        yield* Fiber.interrupt(fiber)
        return performance.now() - before
      }).pipe(Effect.provide(memory))
    )
    expect(ms).toBeLessThan(300)
  })

  it("a checkpoint triggered right after stopWithSavepoint does not fail the job", async () => {
    const exit = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const job = Job.make("twelve", DataStream.generate({ make: (i) => i }).pipe(DataStream.runForEach(() => {})))
        const handle = yield* Job.start(job, { restart: "none" })
        yield* Effect.sleep(20)
        const stopped = yield* Effect.fork(handle.stopWithSavepoint())
        yield* Effect.yieldNow()
        yield* Effect.fork(Effect.exit(handle.savepoint))
        return yield* Fiber.await(stopped)
      })).pipe(Effect.provide(memory))
    )
    expect(Exit.isSuccess(exit), String(exit)).toBe(true)
  })
})
