/** Rows of area AS: Effects for records. AS-02, -04, -05, -08 and -09 are in test/operators/AsyncWait.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schedule } from "effect"
import { DataStream, StreamElement } from "sluice"
import { Harness } from "sluice/testing"

type Numbers = DataStream.DataStream<number>

const { record } = StreamElement

describe("the time an Effect takes", () => {
  it.scoped("AS-07: beyond its timeout it fails the task; what was done before is out", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.mapEffect(input, (n) => n === 2 ? Effect.never : Effect.succeed(n), { timeout: 10 })
      )
      yield* h.element(1, 0)
      yield* h.element(2, 5)
      yield* h.advanceProcessingTime(9)
      assert.deepStrictEqual(yield* h.output, [record(1, 0)])
      const exit = yield* Effect.exit(h.advanceProcessingTime(1))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Cause.TimeoutException)
    }))

  // the handler of a timeout is the user's own Effect, inside the one that is run
  it.scoped("AS-07: what the user gives in its place goes out instead, in order; once an Effect is done that is not asked for", () =>
    Effect.gen(function*() {
      const timedOut: Array<number> = []
      const lookup = (n: number) =>
        Effect.succeed(n * 2).pipe(
          Effect.delay(n === 1 ? 1000 : 3),
          Effect.timeoutTo({
            duration: 10,
            onSuccess: (doubled) => doubled,
            onTimeout: () => {
              timedOut.push(n)
              return 3
            }
          })
        )
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.mapEffect(input, lookup))
      yield* h.element(1, 0)
      yield* h.element(2, 5)
      yield* h.advanceProcessingTime(9)
      assert.deepStrictEqual(yield* h.output, [])
      yield* h.advanceProcessingTime(1)
      assert.deepStrictEqual(yield* h.output, [record(3, 0), record(4, 5)])
      yield* h.advanceProcessingTime(10_000)
      assert.deepStrictEqual(timedOut, [1])
      assert.deepStrictEqual(yield* h.output, [])
    }))
})

describe("Effects that are tried again", () => {
  it.scoped("AS-10: by a schedule; what comes to nothing can be dropped behind it, and the others stay in order", () =>
    Effect.gen(function*() {
      const tries = new Map<number, number>()
      const lookup = (n: number) =>
        Effect.suspend(() => {
          tries.set(n, (tries.get(n) ?? 0) + 1)
          return n % 2 === 1 ? Effect.fail("empty") : Effect.succeed(n * 2)
        }).pipe(Effect.retry({ times: 2, schedule: Schedule.spaced(10) }), Effect.option)
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.mapEffect(input, lookup).pipe(DataStream.filterMap((found) => found))
      )
      for (let n = 1; n <= 6; n++) yield* h.element(n, n)
      yield* h.advanceProcessingTime(19)
      assert.deepStrictEqual(yield* h.output, [])
      yield* h.advanceProcessingTime(1)
      assert.deepStrictEqual(yield* h.output, [record(4, 2), record(8, 4), record(12, 6)])
      assert.deepStrictEqual(Array.from(tries), [[1, 3], [2, 1], [3, 3], [4, 1], [5, 3], [6, 1]])
    }))

  it.scoped("AS-10: `retry` waits between attempts, each with a timeout of its own, and fails with the last failure", () =>
    Effect.gen(function*() {
      let tries = 0
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.mapEffect(input, () => Effect.suspend(() => ++tries === 1 ? Effect.never : Effect.fail(`try ${tries}`)), {
          timeout: 100,
          retry: Schedule.intersect(Schedule.recurs(2), Schedule.spaced(10))
        })
      )
      yield* h.element(1)
      yield* h.advanceProcessingTime(109)
      assert.strictEqual(tries, 1)
      yield* h.advanceProcessingTime(1)
      assert.strictEqual(tries, 2)
      assert.deepStrictEqual(yield* Effect.exit(h.advanceProcessingTime(10)), Exit.fail("try 3"))
    }))

  // Flink's timeout is that of all attempts together; here `timeout` is each attempt's, and one around them all is the user's own
  it.scoped("AS-10: the time of all attempts together is bounded by a timeout around them", () =>
    Effect.gen(function*() {
      const tries = new Map<number, number>()
      const lookup = (n: number) =>
        Effect.suspend(() => {
          tries.set(n, (tries.get(n) ?? 0) + 1)
          return Effect.delay(Effect.fail("again"), 501)
        }).pipe(
          Effect.retry(Schedule.spaced(0)),
          Effect.timeoutTo({ duration: 1000, onSuccess: () => 0, onTimeout: () => -1 })
        )
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.mapEffect(input, lookup))
      for (let n = 1; n <= 3; n++) yield* h.element(n, n)
      yield* h.advanceProcessingTime(999)
      assert.deepStrictEqual(yield* h.output, [])
      yield* h.advanceProcessingTime(1)
      assert.deepStrictEqual(yield* h.output, [record(-1, 1), record(-1, 2), record(-1, 3)])
      assert.deepStrictEqual(Array.from(tries.values()), [2, 2, 2])
      yield* h.advanceProcessingTime(5000)
      assert.deepStrictEqual(Array.from(tries.values()), [2, 2, 2])
    }))
})
