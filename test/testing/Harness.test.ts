import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema } from "effect"
import {
  Aggregator,
  ConnectedStreams,
  DataStream,
  KeyedStream,
  OutputTag,
  State,
  StreamElement,
  type StreamOperator,
  Watermark,
  WatermarkStrategy,
  Window,
  WindowedStream
} from "sluice"
import { Harness } from "sluice/testing"

type Numbers = DataStream.DataStream<number>

const { record } = StreamElement

const sums = (input: Numbers) =>
  input.pipe(
    KeyedStream.keyBy((n) => n % 2),
    WindowedStream.window(Window.tumbling(10)),
    WindowedStream.aggregate(Aggregator.sum((n: number) => n), (sum, { key }) => ({ key, sum }))
  )

const phases = (events: ReadonlyArray<{ readonly operator: string | undefined; readonly phase: string }>) =>
  events.filter(({ operator }) => operator !== undefined).map(({ operator, phase }) => `${operator}.${phase}`)

describe("Harness.oneInput", () => {
  it.scoped("elements and watermarks go through the operators in order, with timestamps", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput(sums)
      yield* h.element(1, 3)
      yield* h.element(2, 4)
      yield* h.element(5, 9)
      assert.deepStrictEqual(yield* h.output, [])
      yield* h.watermark(9)
      assert.deepStrictEqual(yield* h.output, [record({ key: 1, sum: 6 }, 9), record({ key: 0, sum: 2 }, 9), Watermark.make(9)])
      yield* h.element(7, 3)
      assert.deepStrictEqual(Array.from(yield* h.counters), [["late", 1]])
      assert.deepStrictEqual(yield* h.output, [])
    }))

  it.scoped("an idle input, and the end of it: the whole life in its order", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => input.pipe(DataStream.map((n) => n + 1), DataStream.filter((n) => n > 1)))
      yield* h.idle
      yield* h.active
      yield* h.element(1)
      assert.deepStrictEqual(yield* h.output, [
        { _tag: "WatermarkStatus", idle: true },
        { _tag: "WatermarkStatus", idle: false },
        record(2, undefined)
      ])
      assert.deepStrictEqual(yield* h.finish, { _tag: "finished", stopped: false })
      assert.deepStrictEqual(yield* h.output, [
        Watermark.make(Watermark.MAX),
        StreamElement.endOfData(true),
        StreamElement.endOfPartition
      ])
      assert.deepStrictEqual(phases(yield* h.lifecycle), [
        "filter.setup",
        "filter.setRuntimeContext",
        "map.setup",
        "map.setRuntimeContext",
        "filter.initializeState",
        "map.initializeState",
        "filter.open",
        "map.open",
        "map.run",
        "filter.run",
        "map.endInput",
        "map.finish",
        "filter.endInput",
        "filter.finish",
        "map.close",
        "filter.close"
      ])
    }))

  it.scoped("processing time stands still until it is told to step; timers fire one time after the other", () =>
    Effect.gen(function*() {
      const fired: Array<number> = []
      const h = yield* Harness.oneInput((input: Numbers) =>
        input.pipe(
          KeyedStream.keyBy((n) => n),
          KeyedStream.process({
            onElement: (n, ctx) => {
              ctx.timers.processingTime(ctx.processingTime() + n)
              ctx.timers.eventTime(n)
            },
            onTimer: ({ domain, timestamp }, ctx) => {
              fired.push(ctx.processingTime())
              return [`${domain} ${timestamp}`]
            }
          })
        )
      )
      yield* h.element(50)
      yield* h.element(20)
      assert.deepStrictEqual(yield* h.timers, { eventTime: 2, processingTime: 2 })
      yield* h.advanceProcessingTime(19)
      assert.deepStrictEqual(yield* h.values, [])
      yield* h.advanceProcessingTime("1 minute")
      assert.deepStrictEqual(yield* h.output, [record("processing-time 20", undefined), record("processing-time 50", undefined)])
      assert.deepStrictEqual(fired, [20, 50])
      yield* h.watermark(30)
      assert.deepStrictEqual(yield* h.output, [record("event-time 20", 20), Watermark.make(30)])
      assert.deepStrictEqual(yield* h.timers, { eventTime: 1, processingTime: 0 })
    }))

  it.scoped("a sleeping Effect wakes when its time comes", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.mapEffect(input, (n) => Effect.as(Effect.sleep(n), n)))
      yield* h.element(1000)
      yield* h.element(10)
      yield* h.advanceProcessingTime(999)
      assert.deepStrictEqual(yield* h.values, [])
      yield* h.advanceProcessingTime(1)
      assert.deepStrictEqual(yield* h.values, [1000, 10])
    }))

  it.scoped("an Effect of a hook sleeps as well: the call comes to rest, and the clock can be stepped", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.tap(input, () => Effect.sleep(10)))
      yield* h.element(1)
      assert.deepStrictEqual(yield* h.values, [])
      yield* h.advanceProcessingTime(10)
      assert.deepStrictEqual(yield* h.values, [1])
    }))

  it.scoped("side outputs, also those that nobody names beforehand", () =>
    Effect.gen(function*() {
      const odd = OutputTag.make<number>("odd")
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.process(input, {
          onElement: (n, ctx) => {
            if (n % 2 === 0) return [n]
            ctx.output(odd, n)
          }
        })
      )
      for (const n of [1, 2, 3]) yield* h.element(n, n)
      assert.deepStrictEqual(yield* h.values, [2])
      assert.deepStrictEqual(yield* h.sideOutput(odd), [record(1, 1), record(3, 3)])
      assert.deepStrictEqual(yield* h.sideOutput(odd), [])
    }))

  it.scoped("a snapshot is taken while the task goes on, and restored into other subtasks at another parallelism", () =>
    Effect.gen(function*() {
      const counts = (input: Numbers) =>
        input.pipe(KeyedStream.keyBy((n) => n), KeyedStream.aggregate(Aggregator.count, (n, { key }) => `${key}:${n}`))
      const h = yield* Harness.oneInput(counts)
      for (let n = 0; n < 50; n++) yield* h.element(n)
      const snapshot = yield* h.snapshot(7)
      for (let n = 0; n < 50; n++) yield* h.element(n)
      assert.lengthOf((yield* h.output).filter(({ _tag }) => _tag === "CheckpointBarrier"), 1)

      const halves: Array<Harness.OperatorSnapshot> = []
      for (const subtask of [0, 1]) {
        const half = yield* Harness.oneInput(counts, { restore: snapshot, subtask, parallelism: 2 })
        halves.push(yield* half.snapshot(8))
        const { tasks: _, ...counted } = { tasks: half.task, restored: halves[subtask].files.size }
        assert.strictEqual(counted.restored, 1)
      }
      const whole = yield* Harness.oneInput(counts, { restore: Harness.merge([halves[0], halves[1]]) })
      for (let n = 0; n < 50; n++) yield* whole.element(n)
      assert.deepStrictEqual(yield* whole.values, Array.from({ length: 50 }, (_, n) => `${n}:2`))
      // one half alone knows only its own keys
      const alone = yield* Harness.oneInput(counts, { restore: halves[0] })
      for (let n = 0; n < 50; n++) yield* alone.element(n)
      const known = (yield* alone.values).filter((value) => value.endsWith(":2")).length
      assert.isTrue(known > 5 && known < 45, `${known}`)
    }))

  it.scoped("a snapshot of many states is waited for, however many turns it takes", () =>
    Effect.gen(function*() {
      const state = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`state ${i}`, State.value(Schema.Number, { default: 0 })]))
      const many = (input: Numbers) =>
        input.pipe(
          KeyedStream.keyBy((n) => n),
          KeyedStream.process({
            state,
            onElement: (_, ctx) => {
              let sum = 0
              for (const each of Object.values(ctx.state)) {
                each.update((n: number) => n + 1)
                sum += each.get()
              }
              return [sum]
            }
          })
        )
      const h = yield* Harness.oneInput(many)
      for (let n = 0; n < 100; n++) yield* h.element(n)
      const restore = yield* h.snapshot(1)
      const again = yield* Harness.oneInput(many, { restore })
      yield* again.element(99)
      assert.deepStrictEqual(yield* again.values, [80])
    }))

  it.scoped("a failure fails the call during which it happened, and later ones; its operators are closed", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.tap(input, (n) => n === 2 ? Effect.fail("two" as const) : undefined))
      yield* h.element(1)
      assert.deepStrictEqual(yield* Effect.exit(h.element(2)), Exit.fail("two" as const))
      assert.deepStrictEqual(yield* Effect.exit(h.watermark(1)), Exit.fail("two" as const))
      const snapshot = yield* Effect.exit(h.snapshot(1))
      assert.isTrue(Exit.isFailure(snapshot))
      const end = yield* h.close
      assert.strictEqual(end._tag, "failed")
      assert.include(phases(yield* h.lifecycle), "tap.close")
    }))

  it.scoped("close cancels: no end of input, no finish", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.map(input, (n) => n))
      yield* h.element(1)
      assert.deepStrictEqual(yield* h.close, { _tag: "canceled" })
      assert.deepStrictEqual(phases(yield* h.lifecycle).slice(-2), ["map.run", "map.close"])
      assert.deepStrictEqual(yield* h.values, [1])
    }))

  it.scoped("the input itself is a pipeline; one that needs two tasks is none", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => input)
      yield* h.element(1, 1)
      assert.deepStrictEqual(yield* h.output, [record(1, 1)])
      const two = yield* Effect.exit(
        Harness.oneInput((input: Numbers) => input.pipe(DataStream.map((n) => n), DataStream.map((n) => n), DataStream.startNewChain))
      )
      assert.isTrue(Exit.isFailure(two) && Cause.pretty(two.cause).includes("this pipeline needs 2: [map], [map]"))
    }))

  it.scoped("a final checkpoint, where it is wanted", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.map(input, (n) => n), { finalCheckpoint: true })
      yield* h.endInput
      assert.strictEqual(h.task.state, "awaitingFinalCheckpoint")
      yield* h.snapshot(1)
      yield* h.notifyCheckpointComplete(1)
      assert.deepStrictEqual(yield* h.finish, { _tag: "finished", stopped: false })
    }))

  it.scoped("the clock begins where it is told to, and a snapshot waits for what is slow", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.transform(
          input,
          "slow",
          Effect.sync((): StreamOperator.StreamOperator<number, string> => {
            let name = ""
            let now = () => 0
            return {
              setup: (ctx) => {
                name = `${ctx.attemptId} ${ctx.checkpointing}`
                now = ctx.processingTime.now
              },
              processElement: (_, out) => out.emit(`${name} ${now()}`, undefined),
              snapshotState: ({ defer }) => defer(Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 30))))
            }
          })
        ), { time: 5_000, attemptId: "second", finalCheckpoint: true })
      yield* h.advanceProcessingTime(10)
      yield* h.element(1)
      assert.deepStrictEqual(yield* h.values, ["second true 5010"])
      assert.strictEqual((yield* h.snapshot(1)).metadata.id, 1)
    }))

  it.scoped("event time of the pipeline's own", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.assignTimestamps(input, (n) => n, WatermarkStrategy.boundedOutOfOrderness(5))
      )
      yield* h.element(10)
      yield* h.watermark(1000)
      assert.deepStrictEqual(yield* h.output, [record(10, 10), Watermark.make(4)])
    }))
})

describe("Harness.twoInput", () => {
  const joined = (first: DataStream.DataStream<string>, second: Numbers) =>
    ConnectedStreams.connect(first, second).pipe(
      ConnectedStreams.keyBy((word) => word.length, (n) => n),
      ConnectedStreams.process({
        state: { words: State.list(Schema.String) },
        onElement1: (word, { state }) => state.words.add(word),
        onElement2: (n, { state, timers }) => {
          timers.eventTime(n + 100)
          return state.words.get().map((word) => `${word}/${n}`)
        },
        onTimer: ({ timestamp }, { key }) => [`${key}@${timestamp}`]
      })
    )

  it.scoped("both inputs share state and timers by key; event time is that of the slower one", () =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(joined)
      yield* h.element1("ab", 1)
      yield* h.element1("cd", 2)
      yield* h.element1("xyz", 3)
      yield* h.element2(2, 4)
      assert.deepStrictEqual(yield* h.output, [record("ab/2", 4), record("cd/2", 4)])
      yield* h.watermark1(200)
      assert.deepStrictEqual(yield* h.output, [])
      yield* h.watermark2(150)
      assert.deepStrictEqual(yield* h.output, [record("2@102", 102), Watermark.make(150)])
      const snapshot = yield* h.snapshot(1)
      const again = yield* Harness.twoInput(joined, { restore: snapshot })
      yield* again.element2(3, 5)
      assert.deepStrictEqual(yield* again.values, ["xyz/3"])
    }))

  it.scoped("a pipeline may unite its inputs, and read them the other way round; one that reads an input twice is none", () =>
    Effect.gen(function*() {
      const united = yield* Harness.twoInput((a: Numbers, b: Numbers) => DataStream.map(DataStream.union(a, b), (n) => n))
      yield* united.element1(1)
      yield* united.element2(2)
      yield* united.watermark1(9)
      yield* united.watermark2(5)
      assert.deepStrictEqual(yield* united.output, [record(1, undefined), record(2, undefined), Watermark.make(5)])
      const swapped = yield* Harness.twoInput((a: Numbers, b: Numbers) =>
        ConnectedStreams.connect(b, a).pipe(ConnectedStreams.map((n) => `second ${n}`, (n) => `first ${n}`))
      )
      yield* swapped.element1(1)
      yield* swapped.element2(2)
      assert.deepStrictEqual(yield* swapped.values, ["first 1", "second 2"])
      const twice = yield* Effect.exit(
        Harness.twoInput((a: Numbers, _: Numbers) => ConnectedStreams.connect(a, a).pipe(ConnectedStreams.map((n) => n, (n) => n)))
      )
      assert.isTrue(Exit.isFailure(twice) && Cause.pretty(twice.cause).includes("reads each of its 2 inputs once, and this one reads 2"))
    }))

  it.scoped.each(["active again", "idle"])(
    "WM-09, L10: event time does not end with one input while the other, %s, has not ended",
    (status) =>
      Effect.gen(function*() {
        const h = yield* Harness.twoInput((a: Numbers, b: Numbers) =>
          ConnectedStreams.map(ConnectedStreams.connect(a, b), (n) => n, (n) => -n)
        )
        yield* h.watermark1(0)
        yield* h.idle2
        if (status !== "idle") yield* h.active2
        yield* h.endInput1
        const end = Watermark.make(Watermark.MAX)
        assert.notDeepInclude(yield* h.output, end)
        yield* h.endInput2
        assert.deepInclude(yield* h.output, end)
      })
  )

  it.scoped("LC-14: each input ends once, and the task after both", () =>
    Effect.gen(function*() {
      const ends: Array<string> = []
      const h = yield* Harness.twoInput((a: Numbers, b: Numbers) =>
        ConnectedStreams.transform(
          ConnectedStreams.connect(a, b),
          "both",
          Effect.succeed({
            processElement1: () => {},
            processElement2: () => {},
            processInputWatermark: (watermark, input) => void ends.push(`${input}: ${watermark === Watermark.MAX ? "MAX" : watermark}`),
            processWatermark: (watermark, out) => {
              ends.push(`both: ${watermark === Watermark.MAX ? "MAX" : watermark}`)
              out.emitWatermark(watermark)
            },
            endInput: (_out, input) => void ends.push(`end ${input}`),
            finish: () => void ends.push("finish")
          })
        )
      )
      yield* h.watermark1(5)
      yield* h.endInput1
      yield* h.watermark2(7)
      yield* h.endInput2
      assert.deepStrictEqual(ends, ["1: 5", "1: MAX", "end 1", "2: 7", "both: 7", "2: MAX", "both: MAX", "end 2", "finish"])
      assert.deepStrictEqual(yield* h.finish, { _tag: "finished", stopped: false })
    }))
})
