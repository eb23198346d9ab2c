/** RS-11: a restore that puts an operator which had ended behind one that still runs is not refused, and loses records in silence. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, FiberId, Layer, Logger, Stream } from "effect"
import { CheckpointStorage, DataSource, DataStream, Job } from "sluice"

const memory = Layer.merge(CheckpointStorage.layerMemory, Logger.remove(Logger.defaultLogger))
const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

it.effect("RS-11: an operator that had ended behind a source that is new", () => {
  const two = (ending: string) => {
    const gate = Deferred.unsafeMake<void>(FiberId.none)
    const out: Array<number> = []
    const ended = DataStream.fromIterable([1, 2]).pipe(DataStream.uid(ending), DataStream.map((n) => n * 10), DataStream.uid("map"))
    const open = DataStream.fromStream(Stream.fromEffect(Effect.as(Deferred.await(gate), 3))).pipe(DataStream.uid("open"))
    const both = DataStream.union(ended, open).pipe(DataStream.map((n) => n), DataStream.uid("both"))
    return { gate, out, job: Job.make("two", DataStream.runForEach(both, (n) => void out.push(n))) }
  }
  return Effect.gen(function*() {
    yield* Effect.scoped(Effect.gen(function*() {
      const { job, out } = two("old")
      const handle = yield* Job.start(job, { checkpoint: { interval: "1 hour" } })
      while (out.length < 2) yield* turn
      yield* handle.triggerCheckpoint
      yield* turn
      yield* handle.stopWithSavepoint()
    }))
    const { gate, job, out } = two("new")
    yield* Deferred.succeed(gate, undefined)
    const exit = yield* Effect.exit(Job.run(job, { restore: { savepoint: 2, allowNonRestoredState: true } }))
    assert.isTrue(Exit.isFailure(exit) || out.length === 3, `the job succeeds, and its records 1 and 2 are nowhere: ${out}`)
  }).pipe(Effect.provide(memory))
})

it.effect("RS-11, L11: a source that is rescaled, before an operator whose first subtask had ended", () => {
  /** two splits: one is short, the other waits half way */
  const make = (rows: number, gate: Deferred.Deferred<void>, out: Array<string>, parallelism: number) => {
    const source = DataSource.make({
      name: "splits",
      splits: Effect.succeed(["short", "long"]),
      read: (split: string, position: number | undefined) =>
        Effect.sync((): DataSource.SplitReader<string, number> => {
          let at = position ?? 0
          let ready = false
          const end = split === "short" ? 2 : rows
          return {
            poll: (max) => {
              if (!ready || at >= end) return undefined
              ready = false
              const values = Array.from({ length: Math.min(max, (split === "long" && at === 0 ? 2 : end) - at) }, (_, i) =>
                `${split} ${at + i}`)
              at += values.length
              return { values, position: at }
            },
            fetch: Effect.suspend(() => {
              if (at >= end) {
                return Effect.succeed(false)
              }
              ready = true
              return split === "long" && at > 0 ? Effect.as(Deferred.await(gate), true) : Effect.succeed(true)
            })
          }
        })
    })
    return Job.make(
      "rescaled",
      DataStream.fromSource(source, { uid: "source", parallelism }).pipe(
        DataStream.map((row) => row),
        DataStream.uid("map"),
        DataStream.parallelism(2),
        DataStream.to({ _tag: "WriterSink", name: "out", open: () => Effect.succeed({ write: (row: string) => void out.push(row) }) }, {
          uid: "sink",
          parallelism: 2
        })
      )
    )
  }
  return Effect.gen(function*() {
    const out: Array<string> = []
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* Job.start(make(12, Deferred.unsafeMake<void>(FiberId.none), out, 2), { checkpoint: { interval: "1 hour" } })
      while (out.length < 4) yield* turn
      // one checkpoint lets the subtask of the short split finish
      yield* handle.triggerCheckpoint
      for (let i = 0; i < 20; i++) yield* turn
      yield* handle.stopWithSavepoint()
    }))
    const gate = Deferred.unsafeMake<void>(FiberId.none)
    yield* Deferred.succeed(gate, undefined)
    const exit = yield* Effect.exit(Job.run(make(12, gate, out, 3)))
    assert.isTrue(Exit.isFailure(exit) || out.length === 14, `the job succeeds with ${out.length} of 14 records: ${out.sort().join(", ")}`)
  }).pipe(Effect.provide(memory))
})
