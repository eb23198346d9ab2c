/** Checkpoints of a job whose sink can take no more. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, TestClock } from "effect"
import type { JobOptions } from "sluice"
import { CheckpointStorage, DataStream, Job } from "sluice"
import { settle, until } from "../invariants/support.js"

const memory = Layer.merge(CheckpointStorage.layerMemory, Logger.remove(Logger.defaultLogger))

const N = 300

/** two sources, whose records wait in channels and in the one operator that is slow, until the gate opens; and a checkpoint of that */
const started = (
  alignment: JobOptions.CheckpointOptions["alignment"],
  parallelism: number,
  first: (handle: Job.JobHandle<never>) => Effect.Effect<unknown> = () => Effect.void
) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    const out: Array<number> = []
    let waiting = 0
    const from = (uid: string, first: number) => DataStream.range(first, first + N - 1).pipe(DataStream.uid(uid), DataStream.rebalance)
    const job = Job.make(
      "slow",
      DataStream.union(from("a", 0), from("b", 1000)).pipe(
        DataStream.mapEffect(
          (n) => {
            waiting++
            return Effect.as(Deferred.await(gate), n)
          },
          { concurrency: 2 }
        ),
        DataStream.uid("slow"),
        DataStream.parallelism(parallelism),
        DataStream.runForEach((n) => void out.push(n))
      )
    )
    const handle = yield* Job.start(job, {
      batchSize: 1,
      checkpoint: { interval: "1 hour", timeout: "1 minute", maxConcurrent: 2, alignment }
    })
    yield* until(() => waiting === 2 * parallelism)
    yield* settle
    yield* first(handle)
    const checkpoint = yield* Effect.fork(Effect.exit(handle.triggerCheckpoint))
    yield* settle
    return { gate, handle, out, checkpoint, done: Effect.map(Fiber.poll(checkpoint), ({ _tag }) => _tag === "Some") }
  })

const all = Array.from({ length: N }, (_, i) => [i, 1000 + i]).flat().sort((a, b) => a - b)

const ends = ({ gate, handle, out }: Effect.Effect.Success<ReturnType<typeof started>>) =>
  Effect.gen(function*() {
    yield* Deferred.succeed(gate, undefined)
    yield* handle.await
    expect(out.sort((a, b) => a - b)).toEqual(all)
  })

describe.each([1, 2])("a sink that takes nothing, read by %i subtasks", (parallelism) => {
  it.scoped("an aligned checkpoint waits for it, until its time is up", () =>
    Effect.gen(function*() {
      const job = yield* started("aligned", parallelism)
      yield* TestClock.adjust("59 seconds")
      yield* settle
      expect(yield* job.done).toBe(false)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(job.checkpoint)).toMatchObject({ _tag: "Failure", cause: { error: { reason: "EXPIRED" } } })
    }).pipe(Effect.provide(memory)))

  it.scoped("BA-21: an unaligned one completes before it goes on", () =>
    Effect.gen(function*() {
      const job = yield* started("unaligned", parallelism)
      expect(yield* Fiber.join(job.checkpoint)).toMatchObject({ _tag: "Success" })
      yield* ends(job)
    }).pipe(Effect.provide(memory)))

  it.scoped("BA-23: one that may align for so long completes then", () =>
    Effect.gen(function*() {
      const job = yield* started({ alignedTimeout: "5 seconds" }, parallelism)
      yield* TestClock.adjust("4 seconds")
      yield* settle
      expect(yield* job.done).toBe(false)
      yield* TestClock.adjust("1 second")
      yield* settle
      expect(yield* job.done).toBe(true)
      expect(yield* Fiber.join(job.checkpoint)).toMatchObject({ _tag: "Success" })
      yield* ends(job)
    }).pipe(Effect.provide(memory)))

  it.scoped.each(["unaligned", { alignedTimeout: "5 seconds" }] as const)(
    "BA-25: a savepoint waits, and is not overtaken by a later one, %j",
    (alignment) =>
      Effect.gen(function*() {
        const exits: Array<unknown> = []
        const savepoint = (handle: Job.JobHandle<never>) =>
          Effect.zipRight(Effect.fork(Effect.map(Effect.exit(handle.savepoint), (exit) => exits.push(exit))), settle)
        const job = yield* started(alignment, parallelism, savepoint)
        yield* TestClock.adjust("5 seconds")
        yield* settle
        expect(exits).toEqual([])
        expect(yield* job.done).toBe(false)
        yield* ends(job)
        expect(exits).toMatchObject([{ _tag: "Success", value: { id: 1, savepoint: true } }])
        expect(yield* Fiber.join(job.checkpoint)).toMatchObject({ _tag: "Success", value: { id: 2, savepoint: false } })
      }).pipe(Effect.provide(memory))
  )
})
