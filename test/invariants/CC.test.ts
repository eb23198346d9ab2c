/** CC: what jobs make of the coordinator; the coordinator alone is tested in test/checkpoint/CheckpointCoordinator.test.ts. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Schedule, Stream, TestClock } from "effect"
import type { JobOptions, StreamOperator } from "sluice"
import { CheckpointStorage, DataStream, Job, StreamError } from "sluice"

const quiet = Logger.remove(Logger.defaultLogger)

const settle = Effect.repeatN(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), 20)

const full = new StreamError.StorageFailed({ operation: "begin", path: "somewhere", reason: "disk full" })

/** a storage in memory that writes down what is asked of it, and waits or fails where the test says so */
class Watched {
  readonly calls: Array<string> = []
  begin: (id: number) => Effect.Effect<void, StreamError.StorageFailed> = () => Effect.void
  put: (id: number) => Effect.Effect<void, StreamError.StorageFailed> = () => Effect.void

  private readonly note = <A, E>(call: string, effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      this.calls.push(call)
      return effect
    })

  readonly layer = Layer.effect(
    CheckpointStorage.CheckpointStorage,
    Effect.map(CheckpointStorage.CheckpointStorage, (memory): CheckpointStorage.Storage => ({
      open: (job) =>
        Effect.map(memory.open(job), (store) => ({
          ...store,
          discard: (id) => this.note(`discard ${id}`, store.discard(id)),
          begin: (id) =>
            this.note(
              `begin ${id}`,
              Effect.map(Effect.zipRight(Effect.suspend(() => this.begin(id)), store.begin(id)), (writer) => ({
                ...writer,
                complete: (metadata) => Effect.zipRight(Effect.suspend(() => this.put(id)), writer.complete(metadata)),
                abort: this.note(`remove ${id}`, writer.abort)
              }))
            )
        }))
    }))
  ).pipe(Layer.provide(CheckpointStorage.layerMemory), Layer.merge(quiet))
}

/** An endless job of one task; `part` is what it has under way when it takes part in a checkpoint. */
const endless = (part: (id: number) => Effect.Effect<void, string> = () => Effect.void) =>
  Job.make(
    "endless",
    DataStream.fromStream(Stream.never as Stream.Stream<number>).pipe(
      DataStream.transform(
        "part",
        Effect.succeed<StreamOperator.StreamOperator<number, number>>({
          processElement: () => {},
          snapshotState: (ctx) => ctx.defer(part(ctx.checkpointId))
        })
      ),
      DataStream.runForEach(() => {})
    )
  )

/** checkpoints by hand alone */
const byHand = (checkpoint: Partial<JobOptions.CheckpointOptions> = {}): JobOptions.JobOptions => ({
  checkpoint: { interval: "1 hour", tolerableFailures: 9, ...checkpoint },
  restart: "none"
})

const kept = (job = "endless") =>
  Effect.scoped(Effect.flatMap(CheckpointStorage.CheckpointStorage, (storage) => Effect.flatMap(storage.open(job), (store) => store.list)))

const outcome = (exit: Exit.Exit<{ readonly id: number }, StreamError.CheckpointFailed>) =>
  Exit.isSuccess(exit) ? exit.value.id : (Cause.squash(exit.cause) as StreamError.CheckpointFailed).reason

const withStorage = <E>(test: (storage: Watched) => Effect.Effect<void, E, any>) =>
  Effect.suspend(() => {
    const storage = new Watched()
    return Effect.provide(test(storage), storage.layer) as Effect.Effect<void, E, never>
  })

describe("requests", () => {
  it.scoped("CC-16, CC-12: one that comes while another begins waits for it, and goes ahead when that one fails", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const [begin, part] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const handle = yield* Job.start(endless((id) => id === 2 ? Deferred.await(part) : Effect.void), byHand())
        storage.begin = (id) => id === 1 ? Effect.zipRight(Deferred.await(begin), full) : Effect.void
        const fibers = yield* Effect.all(Array.from({ length: 3 }, () => Effect.fork(handle.triggerCheckpoint)))
        yield* settle
        expect(storage.calls).toEqual(["begin 1"])
        yield* Deferred.succeed(begin, undefined)
        yield* settle
        expect(storage.calls).toEqual(["begin 1", "begin 2"])
        yield* Deferred.succeed(part, undefined)
        expect((yield* Effect.forEach(fibers, Fiber.await)).map(outcome)).toEqual(["STORAGE", 2, 3])
        expect(storage.calls.filter((call) => call.startsWith("begin"))).toEqual(["begin 1", "begin 2", "begin 3"])
      })
    ))

  it.scoped("CC-16: a savepoint that is slow to begin is not overtaken by a checkpoint: tasks take them in the order of their ids", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const begin = yield* Deferred.make<void>()
        const handle = yield* Job.start(endless(), byHand())
        storage.begin = (id) => id === 1 ? Deferred.await(begin) : Effect.void
        const savepoint = yield* Effect.fork(handle.savepoint)
        const checkpoint = yield* Effect.fork(handle.triggerCheckpoint)
        yield* settle
        yield* Deferred.succeed(begin, undefined)
        yield* settle
        const ends = [savepoint, checkpoint].map((fiber) => fiber.unsafePoll())
        expect(ends.map((exit) => exit === null ? "under way" : outcome(exit))).toEqual([1, 2])
      })
    ))

  it.scoped("CC-16: nor does one that nobody waits for any more, and that never began, hold others up", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const handle = yield* Job.start(endless(), byHand())
        storage.begin = (id) => id === 1 ? Effect.never : Effect.void
        const first = yield* Effect.fork(handle.triggerCheckpoint)
        yield* settle
        const second = yield* Effect.fork(handle.triggerCheckpoint)
        yield* settle
        yield* Fiber.interrupt(first)
        expect(outcome(yield* Fiber.await(second))).toBe(2)
      })
    ))

  it.scoped("CC-12, CC-14: one that is being put is still under way", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const disk = yield* Deferred.make<void>()
        const handle = yield* Job.start(endless(), byHand())
        storage.put = (id) => id === 1 ? Deferred.await(disk) : Effect.void
        const fibers = yield* Effect.all(Array.from({ length: 2 }, () => Effect.fork(handle.triggerCheckpoint)))
        yield* settle
        expect(storage.calls).toEqual(["begin 1"])
        yield* Deferred.succeed(disk, undefined)
        expect((yield* Effect.forEach(fibers, Fiber.await)).map(outcome)).toEqual([1, 2])
      })
    ))

  it.scoped("CC-25: by hand goes before the interval, savepoints before all, and neither waits for the pause", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        let gate = yield* Deferred.make<void>()
        const handle = yield* Job.start(endless(() => Effect.suspend(() => Deferred.await(gate))), byHand({ interval: 10, minPause: 1000 }))
        yield* settle
        yield* TestClock.adjust(10)
        yield* settle
        // the first of the interval is under way, the next one is due
        yield* TestClock.adjust(5000)
        const checkpoint = yield* Effect.fork(handle.triggerCheckpoint)
        const savepoint = yield* Effect.fork(handle.savepoint)
        yield* settle
        expect(storage.calls).toEqual(["begin 1", "begin 2"])
        yield* Deferred.succeed(gate, undefined)
        gate = yield* Deferred.make<void>()
        expect(outcome(yield* Fiber.await(savepoint))).toBe(2)
        yield* settle
        expect(storage.calls).toContain("begin 3")
        yield* Deferred.succeed(gate, undefined)
        expect(outcome(yield* Fiber.await(checkpoint))).toBe(3)
        yield* settle
        yield* TestClock.adjust(999)
        yield* settle
        expect(storage.calls).not.toContain("begin 4")
        yield* TestClock.adjust(1)
        yield* settle
        expect(storage.calls).toContain("begin 4")
      })
    ))
})

describe("what is kept", () => {
  it.scoped("CC-04, CC-28: an older one that is put behind a newer one is what is discarded", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const disk = yield* Deferred.make<void>()
        const handle = yield* Job.start(endless(), byHand({ maxConcurrent: 2 }))
        storage.put = (id) => id === 1 ? Deferred.await(disk) : Effect.void
        const first = yield* Effect.fork(handle.triggerCheckpoint)
        yield* settle
        expect(yield* Effect.map(handle.triggerCheckpoint, ({ id }) => id)).toBe(2)
        yield* Deferred.succeed(disk, undefined)
        yield* Fiber.await(first)
        yield* settle
        expect(storage.calls.filter((call) => call.startsWith("discard"))).toEqual(["discard 1"])
        yield* handle.cancel
        expect(yield* kept()).toEqual([2])
      })
    ))

  it.scoped("CC-21: an older one that cannot be put behind a newer one does not fail the job", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const disk = yield* Deferred.make<void>()
        const handle = yield* Job.start(endless(), byHand({ maxConcurrent: 2, tolerableFailures: 0 }))
        storage.put = (id) => id === 1 ? Effect.zipRight(Deferred.await(disk), full) : Effect.void
        const first = yield* Effect.fork(handle.triggerCheckpoint)
        yield* settle
        yield* handle.triggerCheckpoint
        yield* Deferred.succeed(disk, undefined)
        expect(outcome(yield* Fiber.await(first))).toBe("STORAGE")
        yield* settle
        expect(yield* handle.status).toBe("running")
        expect(yield* Effect.map(handle.triggerCheckpoint, ({ id }) => id)).toBe(3)
      })
    ))

  it.scoped("CC-28: a job that is canceled or fails keeps its newest checkpoint; one that ends keeps savepoints alone", () =>
    withStorage(() =>
      Effect.gen(function*() {
        const canceled = yield* Job.start(endless(), byHand())
        for (let i = 0; i < 3; i++) yield* canceled.triggerCheckpoint
        yield* canceled.cancel
        expect(yield* kept()).toEqual([3])

        const failed = yield* Job.start(endless((id) => id === 5 ? Effect.fail("broken") : Effect.void), byHand({ tolerableFailures: 0 }))
        yield* failed.triggerCheckpoint
        yield* Effect.exit(failed.triggerCheckpoint)
        expect(Exit.isFailure(yield* Effect.exit(failed.await))).toBe(true)
        expect(yield* kept()).toEqual([4])

        const go = yield* Deferred.make<void>()
        const bounded = Job.make(
          "bounded",
          DataStream.fromStream(Stream.fromEffect(Deferred.await(go))).pipe(DataStream.runForEach(() => {}))
        )
        const ended = yield* Job.start(bounded, byHand())
        yield* ended.savepoint
        yield* ended.triggerCheckpoint
        yield* Deferred.succeed(go, undefined)
        expect((yield* ended.await).status).toBe("finished")
        expect(yield* kept("bounded")).toEqual([1])
      })
    ))

  it.scoped.each(["declined", "expired"] as const)(
    "CC-26: %s: whoever waits is told why, once, what was stored is removed, and no timer is left",
    (how) =>
      withStorage((storage) =>
        Effect.gen(function*() {
          const broken = how === "declined" ? Effect.fail("broken") : Effect.never
          const handle = yield* Job.start(endless((id) => id === 1 ? broken : Effect.void), byHand({ timeout: 100 }))
          const fiber = yield* Effect.fork(handle.triggerCheckpoint)
          yield* settle
          yield* TestClock.adjust(100)
          expect(outcome(yield* Fiber.await(fiber))).toBe(how === "declined" ? "ASYNC_EXCEPTION" : "EXPIRED")
          yield* handle.triggerCheckpoint
          yield* TestClock.adjust(1000)
          yield* settle
          expect(storage.calls).toEqual(["begin 1", "remove 1", "begin 2"])
          expect((yield* handle.metrics).checkpoints).toMatchObject({ completed: 1, failed: 1 })
        })
      )
  )

  it.scoped("CC-20: one that cannot be put: what was stored is removed, the job may fail for it, and the one before it is restored", () =>
    withStorage((storage) =>
      Effect.gen(function*() {
        const handle = yield* Job.start(endless(), { ...byHand({ tolerableFailures: 0 }), restart: Schedule.recurs(1) })
        yield* handle.triggerCheckpoint
        storage.put = (id) => id === 2 ? full : Effect.void
        expect(outcome(yield* Effect.exit(handle.triggerCheckpoint))).toBe("STORAGE")
        yield* settle
        yield* settle
        expect(yield* handle.status).toBe("running")
        expect(yield* Effect.map(handle.triggerCheckpoint, ({ id }) => id)).toBe(3)
        yield* settle
        expect(storage.calls).toEqual(["begin 1", "begin 2", "remove 2", "begin 3", "discard 1"])
      })
    ))
})
