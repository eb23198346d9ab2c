/** Rows of area 2P: sinks that commit. 2P-01, -03, -05, -10 and -11 are in test/operators/sinks.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { DataSink, DataStream } from "sluice"
import { Harness } from "sluice/testing"
import { intoSink } from "../support/intoSink.js"

/** a transactional sink that writes down what is asked of it; `commit` may fail */
const books = (calls: Array<string>, commit: (token: string) => Effect.Effect<void, string> = () => Effect.void) =>
  DataSink.transactional({
    name: "books",
    open: () =>
      Effect.sync((): DataSink.TransactionWriter<number, string, string> => {
        let values: Array<number> = []
        return {
          write: (n) => void values.push(n),
          prepare: (id) => {
            const token = `${id}: ${values.join()}`
            calls.push(`prepare ${token}`)
            values = []
            return { committables: [token], persist: Effect.sync(() => void calls.push(`persist ${id}`)) }
          },
          commit: (token) => Effect.zipRight(commit(token), Effect.sync(() => void calls.push(`commit ${token}`)))
        }
      })
  })

describe("a sink that commits", () => {
  // Flink's sinks ignore such a failure where a transaction is older than a timeout; here it is the sink's `commit` that would decide that
  it.scoped("2P-06: a commit that fails while it is restored fails the task with the sink's own error, before any record", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const first = yield* Harness.oneInput(intoSink(books(calls)))
      yield* first.element(42)
      const restore = yield* first.snapshot(1)
      const exit = yield* Effect.exit(Harness.oneInput(intoSink(books(calls, () => Effect.fail("refused"))), { restore }))
      assert.deepStrictEqual(exit, Exit.fail("refused"))
      // what is known to be lost or done may be passed over there
      const forgiving = books(calls, () => Effect.ignore(Effect.fail("refused")))
      yield* Effect.flatMap(Harness.oneInput(intoSink(forgiving), { restore }), (h) => h.element(43))
      assert.deepStrictEqual(calls, ["prepare 1: 42", "persist 1", "commit 1: 42"])
    }))

  // Flink sends committables and a summary to a committer downstream; here they stay in the sink's own state, and nothing is emitted
  it.scoped("2P-07: prepares with every checkpoint, an empty one too, before it is acknowledged, and emits nothing but the barrier", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const h = yield* Harness.oneInput(intoSink(books(calls)))
      yield* h.element(1)
      yield* h.element(2)
      yield* h.snapshot(1)
      yield* h.snapshot(2)
      assert.deepStrictEqual(calls, ["prepare 1: 1,2", "persist 1", "prepare 2: ", "persist 2"])
      assert.deepStrictEqual((yield* h.output).map(({ _tag }) => _tag), ["CheckpointBarrier", "CheckpointBarrier"])
    }))

  // whether a batch is complete is no question here: a subtask commits what it has itself prepared
  it.scoped("2P-09: commits when it is told of the completion and not before, each transaction of that checkpoint and of those before it", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const h = yield* Harness.oneInput(intoSink(books(calls)))
      for (const id of [1, 2, 3]) {
        yield* h.element(id)
        yield* h.snapshot(id)
      }
      const committed = () => calls.filter((each) => each.startsWith("commit"))
      assert.deepStrictEqual(committed(), [])
      yield* h.notifyCheckpointComplete(2)
      assert.deepStrictEqual(committed(), ["commit 1: 1", "commit 2: 2"])
      yield* h.notifyCheckpointComplete(2)
      assert.deepStrictEqual(committed(), ["commit 1: 1", "commit 2: 2"])
    }))

  it.scoped("2P-12: a commit is tried again as often as the sink says; one that fails for good fails the task", () =>
    Effect.gen(function*() {
      for (const times of [0, 1]) {
        let failures = 1
        const calls: Array<string> = []
        const once = Effect.suspend(() => failures-- > 0 ? Effect.fail("refused") : Effect.void)
        const h = yield* Harness.oneInput(intoSink(books(calls, () => Effect.retry(once, { times }))))
        yield* h.element(1)
        yield* h.snapshot(1)
        const exit = yield* Effect.exit(h.notifyCheckpointComplete(1))
        assert.deepStrictEqual(exit, times === 0 ? Exit.fail("refused") : Exit.void)
        assert.strictEqual(calls.includes("commit 1: 1"), times === 1)
      }
    }))
})

describe("a plain sink", () => {
  const writing = (calls: Array<string>) => {
    let held: Array<number> = []
    return DataSink.make({
      name: "writing",
      open: () =>
        Effect.succeed<DataSink.SinkWriter<number>>({
          write: (n) => void held.push(n),
          flush: Effect.sync(() => {
            calls.push(`flush ${held.join()}`)
            held = []
          })
        })
    })
  }

  it.scoped("2P-07: is flushed with every checkpoint, and emits nothing", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const h = yield* Harness.oneInput(intoSink(writing(calls)))
      yield* h.element(1)
      assert.deepStrictEqual(calls, [])
      yield* h.snapshot(1)
      assert.deepStrictEqual(calls, ["flush 1"])
      assert.deepStrictEqual((yield* h.output).map(({ _tag }) => _tag), ["CheckpointBarrier"])
    }))

  // a writer is not told of watermarks here
  it.scoped("2P-08: what it holds at the end of the input is flushed once, a checkpoint after that finds nothing; watermarks go on", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const h = yield* Harness.oneInput(
        (input: DataStream.DataStream<number>) => intoSink(writing(calls))(DataStream.map(input, (n) => n)),
        { finalCheckpoint: true }
      )
      yield* h.watermark(5)
      assert.deepStrictEqual((yield* h.output).map((each) => each._tag === "Watermark" ? each.timestamp : each._tag), [5])
      yield* h.element(1)
      yield* h.endInput
      assert.deepStrictEqual(calls, ["flush 1"])
      yield* h.snapshot(1)
      assert.deepStrictEqual(calls.filter((each) => each.includes("1")), ["flush 1"])
      yield* h.notifyCheckpointComplete(1)
      assert.strictEqual((yield* h.finish)._tag, "finished")
    }))
})
