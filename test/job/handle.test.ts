/** The handle of a running job: status, events, metrics, checkpoints, savepoints, stop, and jobs in layers. */
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Stream } from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, DataStream, Job, KeyedStream, Lifecycle, State, Watermark } from "sluice"
import { describe, expect, it } from "vitest"

const quiet = Logger.remove(Logger.defaultLogger)

const memory = Layer.merge(CheckpointStorage.layerMemory, quiet)

/** counts per key for ever; `out` sees each key's count */
const counting = (out: Array<number>, events: Array<string> = []) => {
  const watching: StreamOperator.StreamOperator<number, number> = {
    processElement: ({ timestamp, value }, output) => output.emit(value, timestamp),
    processWatermark: (watermark, output) => {
      if (watermark === Watermark.MAX) events.push("MAX")
      output.emitWatermark(watermark)
    },
    endInput: () => void events.push("endInput"),
    finish: () => void events.push("finish")
  }
  return Job.make(
    "counting",
    DataStream.generate({ make: (i) => i, rate: 5000 }).pipe(
      KeyedStream.keyBy(() => "all"),
      KeyedStream.process({
        state: { count: State.value(Schema.Number, { default: 0 }) },
        onElement: (_, ctx) => {
          ctx.state.count.update((n) => n + 1)
          return [ctx.state.count.get()]
        }
      }),
      DataStream.uid("count"),
      DataStream.transform("watching", Effect.succeed(watching)),
      DataStream.runForEach((n) => void out.push(n))
    )
  )
}

const ascending = (out: ReadonlyArray<number>) => out.every((n, i) => i === 0 || n === out[i - 1] + 1)

describe("a handle", () => {
  it("LC-16, FC-14: stopped without drain, nothing ends and nothing finishes, and the next run goes on with the next record", async () => {
    const out: Array<number> = []
    const events: Array<string> = []
    const second: Array<number> = []
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(counting(out, events))
        yield* Effect.sleep(30)
        const savepoint = yield* handle.stopWithSavepoint()
        expect(yield* handle.status).toBe("stopped")
        expect((yield* handle.await).status).toBe("stopped")
        expect(events).toEqual([])
        expect(yield* CheckpointStorage.latest("counting")).toBe(savepoint.id)
        const again = yield* Job.start(counting(second))
        yield* Effect.sleep(30)
        yield* again.cancel
      })).pipe(Effect.provide(memory))
    )
    expect(out.length).toBeGreaterThan(0)
    expect(ascending(out)).toBe(true)
    expect(second[0]).toBe(out.at(-1)! + 1)
  })

  it("LC-13, FC-14: stopped with drain, event time ends, input ends, operators finish, in this order", async () => {
    const events: Array<string> = []
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(counting([], events))
        yield* Effect.sleep(20)
        yield* handle.stopWithSavepoint({ drain: true })
        expect(yield* handle.status).toBe("stopped")
      })).pipe(Effect.provide(memory))
    )
    expect(events).toEqual(["MAX", "endInput", "finish"])
  })

  it("CC-23: a savepoint leaves the job running and outlives later checkpoints", async () => {
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const storage = yield* CheckpointStorage.CheckpointStorage
        const handle = yield* Job.start(counting([]), { checkpoint: { interval: "5 millis" } })
        yield* Effect.sleep(20)
        const savepoint = yield* handle.savepoint
        yield* Effect.sleep(40)
        expect(yield* handle.status).toBe("running")
        yield* handle.cancel
        const kept = yield* Effect.scoped(Effect.flatMap(storage.open("counting"), (store) => store.list))
        expect(kept).toHaveLength(2)
        expect(kept[1]).toBe(savepoint.id)
        expect(kept[0]).toBeGreaterThan(savepoint.id)
      })).pipe(Effect.provide(memory))
    )
  })

  it("tells of what happens, in order, and of its counts", async () => {
    const tags = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(counting([]), { checkpoint: { interval: "5 millis" } })
        const collected = yield* Effect.fork(Stream.runCollect(Stream.take(handle.events, 2)))
        const tags = Array.from(yield* Fiber.join(collected), (event) => event._tag)
        const metrics = yield* handle.metrics
        expect(metrics.vertices).toHaveLength(1)
        expect(metrics.vertices[0].recordsIn).toBeGreaterThan(0)
        expect(metrics.checkpoints.completed).toBeGreaterThanOrEqual(2)
        expect(metrics.checkpoints.last?.bytes).toBeGreaterThan(0)
        yield* handle.cancel
        expect(yield* handle.status).toBe("canceled")
        return tags
      })).pipe(Effect.provide(memory))
    )
    expect(tags).toEqual(["CheckpointCompleted", "CheckpointCompleted"])
  })

  it("a checkpoint asked for after the end is refused, not waited for", async () => {
    const exit = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("short", DataStream.range(1, 3).pipe(DataStream.runForEach(() => {}))))
        yield* handle.await
        return yield* Effect.exit(handle.savepoint)
      })).pipe(Effect.provide(memory))
    )
    expect(Exit.isFailure(exit) && exit.cause).toMatchObject({
      error: { _tag: "CheckpointFailed", reason: "NOT_ALL_REQUIRED_TASKS_RUNNING" }
    })
  })
})

describe("a job in a layer", () => {
  class Counting extends Context.Tag("test/Counting")<Counting, Job.JobHandle>() {}

  it("lives as long as the layer, and is canceled and closed with it", async () => {
    const phases: Array<string> = []
    const observer = { observe: ({ phase }: Lifecycle.LifecycleEvent) => void phases.push(phase) }
    const status = await Effect.runPromise(
      Effect.flatMap(Counting, (handle) => handle.status).pipe(
        Effect.provide(Layer.provide(Job.layer(Counting, counting([])), memory)),
        Effect.provideService(Lifecycle.LifecycleObserver, observer)
      )
    )
    expect(status).toBe("running")
    expect(phases.at(-1)).toBe("canceled")
    expect(phases.filter((phase) => phase === "close")).toHaveLength(phases.filter((phase) => phase === "setup").length)
  })
})

describe("toStream", () => {
  it("gives results while the job runs, and holds it back when nobody reads", async () => {
    let made = 0
    const stream = DataStream.toStream(DataStream.generate({ make: (i) => (made = i) }), { batchSize: 16 })
    const first = await Effect.runPromise(
      Stream.runCollect(stream.pipe(
        Stream.take(100),
        // a slow reader
        Stream.tap((i) => i === 50 ? Effect.sleep(50) : Effect.void)
      )).pipe(Effect.provide(quiet))
    )
    expect(Array.from(first)).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(made).toBeLessThan(5000)
  })

  it("ends with the job, and fails with its error", async () => {
    const ended = await Effect.runPromise(Stream.runCollect(DataStream.toStream(DataStream.range(1, 5))).pipe(Effect.provide(quiet)))
    expect(Array.from(ended)).toEqual([1, 2, 3, 4, 5])
    const failing = DataStream.range(1, 5).pipe(DataStream.mapEffect((n) => n === 4 ? Effect.fail("four") : Effect.succeed(n)))
    const seen: Array<number> = []
    const exit = await Effect.runPromise(
      Effect.exit(Stream.runForEach(DataStream.toStream(failing), (n) => Effect.sync(() => void seen.push(n)))).pipe(Effect.provide(quiet))
    )
    expect(Exit.isFailure(exit) && exit.cause).toMatchObject({ error: { _tag: "JobFailed", cause: { error: "four" } } })
    expect(seen.every((n) => n < 4)).toBe(true)
  })

  it("interrupting the reader cancels the job", async () => {
    const canceled = await Effect.runPromise(
      Effect.gen(function*() {
        const done = yield* Deferred.make<string>()
        const observer = {
          observe: ({ phase }: Lifecycle.LifecycleEvent) => {
            if (phase === "canceled") Deferred.unsafeDone(done, Effect.succeed(phase))
          }
        }
        const fiber = yield* Effect.fork(
          Stream.runDrain(DataStream.toStream(DataStream.generate({ make: (i) => i }))).pipe(
            Effect.provideService(Lifecycle.LifecycleObserver, observer)
          )
        )
        yield* Effect.sleep(20)
        yield* Fiber.interrupt(fiber)
        return yield* Deferred.await(done)
      }).pipe(Effect.provide(quiet))
    )
    expect(canceled).toBe("canceled")
  })
})

describe("a job that ends while a checkpoint is under way", () => {
  it("whoever waits for the checkpoint is told", async () => {
    const exit = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const stuck: StreamOperator.StreamOperator<number, number> = {
          processElement: () => {},
          snapshotState: (ctx) => ctx.defer(Effect.never)
        }
        const stream = DataStream.generate({ make: (i) => i, rate: 1000 }).pipe(DataStream.transform("stuck", Effect.succeed(stuck)))
        const handle = yield* Job.start(Job.make("stuck", DataStream.runForEach(stream, () => {})))
        const waiting = yield* Effect.fork(handle.savepoint)
        yield* Effect.sleep(20)
        yield* handle.cancel
        return yield* Fiber.await(waiting)
      })).pipe(Effect.provide(memory))
    )
    expect(Exit.isFailure(exit) && exit.cause).toMatchObject({ error: { _tag: "CheckpointFailed", reason: "COORDINATOR_SHUTDOWN" } })
  })
})
