/** Rows of area TW: two inputs in one task. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger } from "effect"
import type { StreamOperator } from "sluice"
import { ConnectedStreams, DataStream, Job, StreamElement, Watermark } from "sluice"
import { Harness } from "sluice/testing"

type Operator = StreamOperator.TwoInputStreamOperator<string, number, string>

/** hands on what it reads; `hooks` say in which order */
const reading = (hooks: () => Partial<Operator> = () => ({})) => (a: DataStream.DataStream<string>, b: DataStream.DataStream<number>) =>
  ConnectedStreams.transform(
    ConnectedStreams.connect(a, b),
    "reading",
    Effect.sync((): Operator => ({
      processElement1: ({ timestamp, value }, out) => out.emit(value, timestamp),
      processElement2: ({ timestamp, value }, out) => out.emit(`${value}`, timestamp),
      ...hooks()
    }))
  )

/** all at once: nothing is processed before everything is there */
const together = <E>(effects: ReadonlyArray<Effect.Effect<void, E>>) => Effect.all(effects, { concurrency: "unbounded", discard: true })

describe("two inputs", () => {
  it.scoped("TW-01: the watermark of the operator is the lower one of its inputs", () =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(reading())
      yield* h.watermark1(1)
      assert.deepStrictEqual(yield* h.output, [])
      yield* h.watermark2(2)
      assert.deepStrictEqual(yield* h.output, [Watermark.make(1)])
      yield* h.watermark1(3)
      assert.deepStrictEqual(yield* h.output, [Watermark.make(2)])
      assert.strictEqual(h.task.metrics.watermark, 2)
    }))

  it.scoped.each([["without a selection", {}], ["any", { nextSelection: () => "any" as const }]] as const)(
    "TW-03: data on both, %s: the inputs take turns",
    ([_, hooks]) =>
      Effect.gen(function*() {
        const h = yield* Harness.twoInput(reading(() => hooks))
        yield* together([
          ...[1, 2, 3].map((n) => h.element1(`Hello-${n}`)),
          ...[1, 2, 3, 4].map((n) => h.element2(n))
        ])
        assert.deepStrictEqual(yield* h.values, ["Hello-1", "1", "Hello-2", "2", "Hello-3", "3", "4"])
      })
  )

  it.scoped("TW-04: first the one, then the other: the second waits, though its data is there before", () =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(reading(() => {
        let selection: StreamOperator.InputSelection = 1
        return {
          nextSelection: () => selection,
          endInput: () => {
            selection = 2
          }
        }
      }))
      yield* together([1, 2, 3, 4].map((n) => h.element2(n)))
      yield* together([1, 2, 3].map((n) => h.element1(`Hello-${n}`)))
      assert.deepStrictEqual(yield* h.values, ["Hello-1", "Hello-2", "Hello-3"])
      yield* h.endInput1
      assert.deepStrictEqual(yield* h.values, ["1", "2", "3", "4"])
      yield* h.endInput2
      assert.deepStrictEqual(yield* h.finish, { _tag: "finished", stopped: false })
    }))

  it.scoped("TW-04: two in a row from each, and from the other alone once one has ended", () =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(reading(() => {
        let selection: StreamOperator.InputSelection = 1
        let [read, ended] = [0, 0]
        const count = (value: unknown, timestamp: number | undefined, out: StreamOperator.Output<string>) => {
          out.emit(`${value}`, timestamp)
          if (++read % 2 === 0 && ended === 0) selection = selection === 1 ? 2 : 1
        }
        return {
          nextSelection: () => selection,
          processElement1: ({ timestamp, value }, out) => count(value, timestamp, out),
          processElement2: ({ timestamp, value }, out) => count(value, timestamp, out),
          endInput: (_out, input) => {
            ended = input
            selection = input === 1 ? 2 : 1
          }
        }
      }))
      yield* together([
        ...[1, 2, 3, 4].map((n) => h.element2(n)),
        ...[1, 2, 3].map((n) => h.element1(`Hello-${n}`)),
        h.endInput1,
        h.endInput2
      ])
      assert.deepStrictEqual(yield* h.values, ["Hello-1", "Hello-2", "1", "2", "Hello-3", "3", "4"])
    }))

  // Flink's row has three inputs; an operator here has one or two
  it.scoped("TW-05: an input with a rare record is not starved by one that always has some", () =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(reading(() => ({ nextSelection: () => "any" })))
      yield* together([1, 2, 3, 4].map((n) => h.element2(n)).concat(h.element1("rare"), [5, 6, 7, 8].map((n) => h.element2(n))))
      const values = yield* h.values
      assert.isAtMost(values.indexOf("rare"), 2, values.join())
      assert.lengthOf(values, 9)
    }))

  it.scoped("TW-05: an input that is not selected is never read", () =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(reading(() => ({ nextSelection: () => 1 })))
      yield* together([1, 2, 3].map((n) => h.element2(n)))
      yield* h.watermark2(5)
      for (let n = 0; n < 50; n++) yield* h.element1("a")
      yield* h.watermark1(6)
      assert.deepStrictEqual(Array.from(new Set(yield* h.values)), ["a"])
      assert.strictEqual(h.task.metrics.recordsIn, 50)
      assert.strictEqual(h.task.metrics.watermark, Watermark.MIN)
    }))

  it.scoped("TW-04: to select an input that has ended fails the task, which would wait for ever", () =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(reading(() => ({ nextSelection: () => 1 })))
      const exit = yield* Effect.exit(h.endInput1)
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual((yield* h.close)._tag, "failed")
      assert.notInclude((yield* h.output).map(({ _tag }) => _tag), StreamElement.endOfPartition._tag)
    }))

  it.effect("TW-04: with checkpoints an operator that selects its inputs is refused before anything is read, and told why", () =>
    Effect.gen(function*() {
      const read: Array<string> = []
      const job = Job.make(
        "selecting",
        reading(() => ({ nextSelection: () => "any" }))(DataStream.fromIterable(["a"]), DataStream.fromIterable([1])).pipe(
          DataStream.runForEach((each) => void read.push(each))
        )
      )
      const exit = yield* Effect.exit(Job.run(job, { checkpoint: { interval: "1 hour" }, restart: "none" }))
      const { message } = Exit.isFailure(exit) ? Cause.squash(exit.cause) as Error : new Error("it ran")
      assert.include(message, "reading: an operator that selects its inputs cannot be part of checkpoints")
      assert.include(message, "leave out nextSelection, or run the job without checkpoints")
      assert.deepStrictEqual(read, [])
      yield* Job.run(job)
      assert.deepStrictEqual(read, ["a", "1"])
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))
})
