/** Rows of area KG. KG-01, KG-03 and KG-05 are in test/KeyGroup.test.ts, KG-06 also in test/task/RecordWriter.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Aggregator, DataStream, Job, JobOptions, KeyedStream, KeyGroup } from "sluice"
import { Harness } from "sluice/testing"

const job = (parallelism: number) =>
  Job.make(
    "counts",
    DataStream.range(1, 10).pipe(
      KeyedStream.keyBy((n) => n),
      KeyedStream.aggregate(Aggregator.count),
      DataStream.uid("count"),
      DataStream.parallelism(parallelism),
      DataStream.runForEach(() => {})
    )
  )

const asked = (options: JobOptions.JobOptions, parallelism = 1) => {
  const exit = Effect.runSyncExit(Job.explain(job(parallelism), options))
  return Exit.isSuccess(exit) ? "accepted" : Cause.pretty(exit.cause)
}

describe("max parallelism", () => {
  // Flink derives its default from the parallelism; here it is 128, and a job that wants more subtasks says so
  it("KG-04: is 128 where nothing is said, and what is said where something is", () => {
    assert.strictEqual(JobOptions.resolve().maxParallelism, 128)
    assert.strictEqual(JobOptions.resolve({ parallelism: 100 }).maxParallelism, 128)
    assert.strictEqual(JobOptions.resolve({ maxParallelism: 17 }).maxParallelism, 17)
  })

  it("KG-04: parallelism goes from 1 to max parallelism, and that to 32768", () => {
    assert.strictEqual(KeyGroup.MAX_PARALLELISM, 32768)
    assert.strictEqual(asked({}, 128), "accepted")
    assert.include(asked({}, 129), "129")
    assert.strictEqual(asked({ maxParallelism: 32768 }, 32768), "accepted")
    assert.include(asked({ maxParallelism: 32769 }), "32769")
    assert.include(asked({}, 0), "got 0")
    assert.include(asked({ maxParallelism: 0 }), "got 0")
  })

  it.scoped("KG-04: state that was written with one cannot be read with another", () =>
    Effect.gen(function*() {
      const counts = (input: DataStream.DataStream<number>) =>
        input.pipe(KeyedStream.keyBy((n) => n), KeyedStream.aggregate(Aggregator.count))
      const h = yield* Harness.oneInput(counts, { maxParallelism: 17 })
      yield* h.element(1)
      const restore = yield* h.snapshot(1)
      const exit = yield* Effect.exit(Harness.oneInput(counts, { restore }))
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("written with maxParallelism 17, the job has 128"))
    }))
})
