/** Every built-in operator in a harness, as generated code and without; those with state through a snapshot as well. */
import { assert, describe, it } from "@effect/vitest"
import type { Scope } from "effect"
import { Effect, Option, Schema } from "effect"
import type { StreamOperator } from "sluice"
import {
  Aggregator,
  ConnectedStreams,
  DataSink,
  DataStream,
  KeyedStream,
  OutputTag,
  State,
  StreamElement,
  Watermark,
  WatermarkStrategy,
  Window,
  WindowedStream
} from "sluice"
import { Harness } from "sluice/testing"
import { intoSink } from "../support/intoSink.js"

type Numbers = DataStream.DataStream<number>

const { record } = StreamElement
const watermark = Watermark.make

const odd = OutputTag.make<number>("odd")

/** what an Effect takes that is not done at once */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** all at once: nothing is processed before everything is there */
const together = <E>(effects: ReadonlyArray<Effect.Effect<void, E>>) => Effect.all(effects, { concurrency: "unbounded", discard: true })

/** both ways in which a chain runs */
const both = <E>(title: string, body: (options: Harness.Options) => Effect.Effect<void, E, Scope.Scope>) =>
  it.scoped.each([[true], [false]])(`${title} (codegen: %s)`, ([codegen]) => body({ codegen }))

/** a harness that goes on from a snapshot of the first one, which is canceled; what the first one gave is thrown away */
const resumed = <Out, E, H extends Harness.Harness<Out, E>, E2, R>(
  first: H,
  again: (restore: Harness.OperatorSnapshot) => Effect.Effect<H, E2, R>
) =>
  Effect.gen(function*() {
    const snapshot = yield* first.snapshot(1)
    yield* first.close
    return yield* again(snapshot)
  })

describe("without state", () => {
  both("map gives one result for each record, with its timestamp; watermarks and statuses pass", (options) =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.map(input, (n) => `${n}!`), options)
      yield* h.element(1, 10)
      yield* h.element(2)
      yield* h.watermark(11)
      yield* h.idle
      assert.deepStrictEqual(yield* h.output, [record("1!", 10), record("2!"), watermark(11), StreamElement.WatermarkStatus.idle])
    }))

  both("filter gives the records that hold", (options) =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.filter(input, (n) => n > 1), options)
      for (const n of [1, 2, 3]) yield* h.element(n, n)
      assert.deepStrictEqual(yield* h.output, [record(2, 2), record(3, 3)])
    }))

  both("filterMap gives the results that are there", (options) =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput(
        (input: Numbers) => DataStream.filterMap(input, (n) => n > 1 ? Option.some(`${n}`) : Option.none()),
        options
      )
      for (const n of [1, 2, 3]) yield* h.element(n, n)
      assert.deepStrictEqual(yield* h.output, [record("2", 2), record("3", 3)])
    }))

  both("flatMap gives any number of results, from arrays and from other iterables", (options) =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput(
        (input: Numbers) => DataStream.flatMap(input, (n): Iterable<number> => n === 3 ? new Set([30, 31]) : Array(n).fill(n)),
        options
      )
      for (const n of [0, 1, 2, 3]) yield* h.element(n, n)
      assert.deepStrictEqual(yield* h.output, [record(1, 1), record(2, 2), record(2, 2), record(30, 3), record(31, 3)])
    }))

  both("tap looks at each record, and runs an Effect to its end before the next one", (options) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const h = yield* Harness.oneInput(
        (input: Numbers) =>
          DataStream.tap(input, (n) => {
            seen.push(`${n}`)
            if (n === 2) return Effect.zipRight(turn, Effect.sync(() => void seen.push("done")))
          }),
        options
      )
      yield* together([...[1, 2, 3].map((n) => h.element(n, n)), h.watermark(5)])
      assert.deepStrictEqual(seen, ["1", "2", "done", "3"])
      assert.deepStrictEqual(yield* h.output, [record(1, 1), record(2, 2), record(3, 3), watermark(5)])
    }))

  both("process knows the timestamp, the watermark and the time, and sends to side outputs", (options) =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.process(input, {
          onElement: (n, ctx) => {
            if (n % 2 === 1) return ctx.output(odd, n)
            return [`${n} TS:${ctx.timestamp} WM:${ctx.watermark === Watermark.MIN ? "MIN" : ctx.watermark} PT:${ctx.processingTime()}`]
          }
        }), options)
      yield* h.element(2, 5)
      yield* h.watermark(7)
      yield* h.advanceProcessingTime(3)
      yield* h.element(3, 8)
      yield* h.element(4)
      assert.deepStrictEqual(yield* h.output, [record("2 TS:5 WM:MIN PT:0", 5), watermark(7), record("4 TS:undefined WM:7 PT:3")])
      assert.deepStrictEqual(yield* h.sideOutput(odd), [record(3, 8)])
    }))
})

describe("mapEffect", () => {
  both(
    "gives results in the order of the records, watermarks in their place; the end of input waits for them",
    (options) =>
      Effect.gen(function*() {
        const h = yield* Harness.oneInput(
          (input: Numbers) => DataStream.mapEffect(input, (n) => Effect.delay(Effect.succeed(n * 10), n), { concurrency: 2 }),
          options
        )
        yield* h.element(30, 1)
        yield* h.watermark(1)
        yield* h.element(10, 2)
        yield* h.advanceProcessingTime(29)
        assert.deepStrictEqual(yield* h.output, [])
        yield* h.advanceProcessingTime(1)
        assert.deepStrictEqual(yield* h.output, [record(300, 1), watermark(1), record(100, 2)])
        yield* h.element(5, 3)
        yield* h.endInput
        assert.deepStrictEqual(yield* h.output, [])
        yield* h.advanceProcessingTime(5)
        assert.deepStrictEqual((yield* h.output).slice(0, 2), [record(50, 3), watermark(Watermark.MAX)])
        assert.strictEqual((yield* h.finish)._tag, "finished")
      })
  )

  both("runs what was under way again after a restore, before anything new, with its timestamps", (options) =>
    Effect.gen(function*() {
      const started: Array<number> = []
      const slow = (more: Harness.Options = {}) =>
        Harness.oneInput((input: Numbers) =>
          DataStream.mapEffect(input, (n) => {
            started.push(n)
            return Effect.delay(Effect.succeed(n), 10)
          }, { concurrency: 3, schema: Schema.Number }), { ...options, ...more })
      const first = yield* slow()
      yield* first.watermark(4)
      for (const n of [1, 2]) yield* first.element(n, n + 4)
      const h = yield* resumed(first, (restore) => slow({ restore }))
      yield* h.element(3, 7)
      yield* h.advanceProcessingTime(10)
      assert.deepStrictEqual(started, [1, 2, 1, 2, 3])
      assert.deepStrictEqual(yield* h.output, [watermark(4), record(1, 5), record(2, 6), record(3, 7)])
    }))
})

describe("assignTimestamps", () => {
  const timed = (input: Numbers) =>
    DataStream.assignTimestamps(
      input,
      (n) => n,
      WatermarkStrategy.boundedOutOfOrderness(3).pipe(WatermarkStrategy.withIdleness(100))
    )

  both("gives timestamps and watermarks, and is idle where nothing comes", (options) =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput(timed, options)
      yield* h.element(10, 99)
      yield* h.element(8)
      assert.deepStrictEqual(yield* h.output, [record(10, 10), watermark(6), record(8, 8)])
      yield* h.advanceProcessingTime(100)
      assert.deepStrictEqual(yield* h.output, [])
      yield* h.advanceProcessingTime(100)
      assert.deepStrictEqual(yield* h.output, [StreamElement.WatermarkStatus.idle])
      yield* h.element(20)
      assert.deepStrictEqual(yield* h.output, [StreamElement.WatermarkStatus.active, record(20, 20), watermark(16)])
    }))

  both("goes on with the event time of before a restore", (options) =>
    Effect.gen(function*() {
      const first = yield* Harness.oneInput(timed, options)
      yield* first.element(10)
      const h = yield* resumed(first, (restore) => Harness.oneInput(timed, { ...options, restore }))
      yield* h.element(2)
      yield* h.element(11)
      assert.deepStrictEqual(yield* h.output, [watermark(6), record(2, 2), record(11, 11), watermark(7)])
    }))
})

/** keeps the parity of a number as its key */
const byParity = KeyedStream.keyBy((n: number) => n % 2 === 0 ? "even" : "odd")

describe("by key", () => {
  const rolling: ReadonlyArray<
    readonly [string, (input: Numbers) => DataStream.DataStream<unknown>, before: ReadonlyArray<unknown>, after: ReadonlyArray<unknown>]
  > = [
    ["reduce", (input) => input.pipe(byParity, KeyedStream.reduce((a, b) => a + b)), [1, 2, 4, 6], [9, 12]],
    ["reduce with a schema", (input) => input.pipe(byParity, KeyedStream.reduce((a, b) => a + b, Schema.Number)), [1, 2, 4, 6], [9, 12]],
    [
      "aggregate",
      (input) => input.pipe(byParity, KeyedStream.aggregate(Aggregator.mean((n: number) => n), (mean, { key }) => `${key} ${mean}`)),
      ["odd 1", "even 2", "odd 2", "even 3"],
      ["odd 3", "even 4"]
    ],
    [
      "process",
      (input) =>
        input.pipe(
          byParity,
          KeyedStream.process({
            state: {
              count: State.value(Schema.Number, { default: 0 }),
              all: State.list(Schema.Number),
              squares: State.map(Schema.Number, Schema.Number),
              sum: State.reducing(Schema.Number, (a, b) => a + b)
            },
            onElement: (n, { key, state }) => {
              state.count.update((count) => count + 1)
              state.all.add(n)
              state.squares.set(n, n * n)
              state.sum.add(n)
              return [`${key} ${state.count.get()} [${state.all.get().join()}] ${state.squares.get(n - 2)} ${state.sum.get()}`]
            }
          })
        ),
      ["odd 1 [1] undefined 1", "even 1 [2] undefined 2", "odd 2 [1,3] 1 4", "even 2 [2,4] 4 6"],
      ["odd 3 [1,3,5] 9 9", "even 3 [2,4,6] 16 12"]
    ]
  ]

  for (const [name, pipeline, before, after] of rolling) {
    both(`${name} gives each key's own, with the record's timestamp, and goes on after a restore`, (options) =>
      Effect.gen(function*() {
        const first = yield* Harness.oneInput(pipeline, options)
        for (const n of [1, 2, 3, 4]) yield* first.element(n, n)
        assert.deepStrictEqual(yield* first.output, before.map((value, i) => record(value, i + 1)))
        const h = yield* resumed(first, (restore) => Harness.oneInput(pipeline, { ...options, restore }))
        for (const n of [5, 6]) yield* h.element(n, n)
        assert.deepStrictEqual(yield* h.output, after.map((value, i) => record(value, i + 5)))
      }))
  }

  both(
    "process: timers fire in order before the watermark goes on, can be deleted, and survive a restore",
    (options) =>
      Effect.gen(function*() {
        const pipeline = (input: Numbers) =>
          input.pipe(
            byParity,
            KeyedStream.process({
              state: { last: State.value(Schema.Number) },
              onElement: (n, { state, timers }) => {
                const last = state.last.get()
                if (last !== undefined) timers.deleteEventTime(last + 10)
                state.last.set(n)
                timers.eventTime(n + 10)
                timers.processingTime(n + 100)
              },
              onTimer: ({ domain, timestamp }, ctx) => {
                ctx.output(odd, timestamp)
                return [`${ctx.key} ${domain} ${timestamp} ${ctx.state.last.get()}`]
              }
            })
          )
        const first = yield* Harness.oneInput(pipeline, options)
        for (const n of [1, 2, 5]) yield* first.element(n, n)
        assert.deepStrictEqual(yield* first.timers, { eventTime: 2, processingTime: 3 })
        const h = yield* resumed(first, (restore) => Harness.oneInput(pipeline, { ...options, restore }))
        assert.deepStrictEqual(yield* h.timers, { eventTime: 2, processingTime: 3 })
        yield* h.watermark(20)
        assert.deepStrictEqual(yield* h.output, [
          record("even event-time 12 2", 12),
          record("odd event-time 15 5", 15),
          watermark(20)
        ])
        yield* h.advanceProcessingTime(102)
        assert.deepStrictEqual(yield* h.output, [record("odd processing-time 101 5"), record("even processing-time 102 2")])
        assert.deepStrictEqual(yield* h.timers, { eventTime: 0, processingTime: 1 })
        assert.deepStrictEqual(yield* h.sideOutput(odd), [record(12, 12), record(15, 15), record(101), record(102)])
      })
  )

  both("process, acquired: its state is there after a restore too, and what it acquired is released", (options) =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const pipeline = (input: Numbers) =>
        input.pipe(
          byParity,
          KeyedStream.process(Effect.gen(function*() {
            yield* Effect.acquireRelease(Effect.sync(() => void calls.push("acquire")), () => Effect.sync(() => void calls.push("release")))
            return {
              state: { sum: State.value(Schema.Number, { default: 0 }) },
              onElement: (n: number, { state }: { readonly state: { readonly sum: State.ValueState<number, number> } }) => {
                state.sum.update((sum) => sum + n)
                return [state.sum.get()]
              }
            }
          }))
        )
      const first = yield* Harness.oneInput(pipeline, options)
      yield* first.element(3)
      const h = yield* resumed(first, (restore) => Harness.oneInput(pipeline, { ...options, restore }))
      assert.deepStrictEqual(calls, ["acquire", "release", "acquire"])
      yield* h.element(4)
      yield* h.element(5)
      assert.deepStrictEqual(yield* h.values, [4, 8])
    }))
})

describe("windows", () => {
  type Windowed = WindowedStream.WindowedStream<string, number, Window.TimeWindow>
  const functions: ReadonlyArray<
    readonly [
      string,
      (windows: Windowed) => DataStream.DataStream<unknown>,
      (key: string, all: ReadonlyArray<number>, start: number) => unknown
    ]
  > = [
    ["reduce", WindowedStream.reduce((a, b) => Math.max(a, b)), (_, all) => Math.max(...all)],
    ["aggregate", WindowedStream.aggregate(Aggregator.count), (_, all) => all.length],
    [
      "aggregate, projected",
      WindowedStream.aggregate(Aggregator.sum((n: number) => n), (sum, { key, window }) => `${key} ${window.start} ${sum}`),
      (key, all, start) => `${key} ${start} ${all.reduce((a, b) => a + b, 0)}`
    ],
    [
      "process",
      WindowedStream.process((all, { key, window }) => [`${key} ${window.start}`, ...all.map(String)]),
      (key, all, start) => [`${key} ${start}`, ...all.map(String)]
    ]
  ]

  for (const [name, end, expected] of functions) {
    /** the results of a window that ends there, with its last timestamp */
    const results = (start: number, end: number, ...keys: ReadonlyArray<readonly [string, ReadonlyArray<number>]>) =>
      keys.flatMap(([key, all]) => {
        const result = expected(key, all, start)
        return (Array.isArray(result) ? result : [result]).map((each) => record(each, end - 1))
      })

    both(
      `tumbling, ${name}: fires once its last timestamp has passed, also what was there before a restore; late records are counted`,
      (options) =>
        Effect.gen(function*() {
          const late = OutputTag.make<number>("late")
          const pipeline = (input: Numbers) =>
            input.pipe(byParity, WindowedStream.window(Window.tumbling(10)), WindowedStream.lateOutput(late), end)
          const first = yield* Harness.oneInput(pipeline, options)
          yield* first.element(1, 1)
          yield* first.element(12, 12)
          yield* first.element(2, 2)
          const h = yield* resumed(first, (restore) => Harness.oneInput(pipeline, { ...options, restore }))
          yield* h.element(3, 0)
          yield* h.watermark(8)
          assert.deepStrictEqual(yield* h.output, [watermark(8)])
          yield* h.watermark(9)
          assert.deepStrictEqual(yield* h.output, [...results(0, 10, ["odd", [1, 3]], ["even", [2]]), watermark(9)])
          yield* h.element(5, 5)
          assert.deepStrictEqual(yield* h.sideOutput(late), [record(5, 5)])
          assert.deepStrictEqual(Array.from(yield* h.counters), [["late", 1]])
          yield* h.endInput
          assert.deepStrictEqual((yield* h.output).slice(0, -2), [...results(10, 20, ["even", [12]]), watermark(Watermark.MAX)])
        })
    )

    both(
      `sliding, ${name}: a record is in every window that holds it, also in those that fire after a restore`,
      (options) =>
        Effect.gen(function*() {
          const pipeline = (input: Numbers) => input.pipe(byParity, WindowedStream.window(Window.sliding(10, 5)), end)
          const first = yield* Harness.oneInput(pipeline, options)
          yield* first.element(1, 6)
          yield* first.element(3, 4)
          yield* first.watermark(5)
          assert.deepStrictEqual(yield* first.output, [...results(-5, 5, ["odd", [3]]), watermark(5)])
          const h = yield* resumed(first, (restore) => Harness.oneInput(pipeline, { ...options, restore }))
          yield* h.watermark(9)
          assert.deepStrictEqual(yield* h.output, [...results(0, 10, ["odd", [1, 3]]), watermark(9)])
          yield* h.element(2, 11)
          yield* h.watermark(14)
          assert.deepStrictEqual(yield* h.output, [...results(5, 15, ["odd", [1]], ["even", [2]]), watermark(14)])
          yield* h.watermark(30)
          assert.deepStrictEqual(yield* h.output, [...results(10, 20, ["even", [2]]), watermark(30)])
        })
    )
  }

  both(
    "with lateness: a late record makes its window fire again, also after a restore, until its cleanup time",
    (options) =>
      Effect.gen(function*() {
        const pipeline = (input: Numbers) =>
          input.pipe(
            byParity,
            WindowedStream.window(Window.tumbling(10)),
            WindowedStream.allowedLateness(5),
            WindowedStream.reduce((a, b) => a + b)
          )
        const first = yield* Harness.oneInput(pipeline, options)
        yield* first.element(1, 1)
        yield* first.watermark(9)
        assert.deepStrictEqual(yield* first.output, [record(1, 9), watermark(9)])
        const h = yield* resumed(first, (restore) => Harness.oneInput(pipeline, { ...options, restore }))
        yield* h.element(3, 2)
        assert.deepStrictEqual(yield* h.output, [record(4, 9)])
        yield* h.watermark(14)
        yield* h.element(5, 3)
        assert.deepStrictEqual(yield* h.output, [watermark(14)])
        assert.deepStrictEqual(Array.from(yield* h.counters), [["late", 1]])
      })
  )
})

describe("sinks", () => {
  both("forEach runs a function or an Effect on every record, one after the other", (options) =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const sink = DataSink.forEach((n: number) =>
        n === 1 ? Effect.zipRight(turn, Effect.sync(() => void seen.push(n))) : void seen.push(n)
      )
      const h = yield* Harness.oneInput(intoSink(sink), options)
      yield* together([1, 2].map((n) => h.element(n)))
      assert.deepStrictEqual(seen, [1, 2])
    }))

  both("a plain sink gets records with their timestamps, is told of batches, flushed and released", (options) =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const say = (call: string) => Effect.sync(() => void calls.push(call))
      const sink = DataSink.make({
        name: "calls",
        open: ({ subtask }) =>
          Effect.acquireRelease(say(`open ${subtask}`), () => say("release")).pipe(Effect.as<DataSink.SinkWriter<number>>({
            write: (n, timestamp) => void calls.push(`${n}@${timestamp}`),
            endBatch: () => void calls.push("endBatch"),
            flush: say("flush")
          }))
      })
      const h = yield* Harness.oneInput(intoSink(sink), options)
      yield* h.element(1, 10)
      yield* h.snapshot(1)
      assert.deepStrictEqual(calls.splice(0).filter((call) => call !== "endBatch"), ["open 0", "1@10", "flush"])
      yield* h.element(2)
      yield* h.finish
      assert.deepStrictEqual(calls.filter((call) => call !== "endBatch"), ["2@undefined", "flush", "release"])
      assert.include(calls, "endBatch")
    }))

  both(
    "a transactional sink commits what completed checkpoints hold, and after a restore what was not told",
    (options) =>
      Effect.gen(function*() {
        const committed: Array<string> = []
        const recovered: Array<ReadonlyArray<string>> = []
        const sink = DataSink.transactional({
          name: "transactions",
          committable: Schema.String,
          recover: (restored: ReadonlyArray<string>) => Effect.sync(() => void recovered.push(restored)),
          open: () =>
            Effect.sync((): DataSink.TransactionWriter<number, string> => {
              const values: Array<number> = []
              return {
                write: (n) => void values.push(n),
                prepare: () => ({ committables: [values.splice(0).join()], persist: Effect.void }),
                commit: (token) => Effect.sync(() => void committed.push(token))
              }
            })
        })
        const first = yield* Harness.oneInput(intoSink(sink), options)
        yield* first.element(42)
        yield* first.snapshot(1)
        yield* first.element(43)
        const restore = yield* first.snapshot(2)
        yield* first.notifyCheckpointComplete(1)
        assert.deepStrictEqual(committed.splice(0), ["42"])
        yield* first.element(44)
        yield* first.close
        const h = yield* Harness.oneInput(intoSink(sink), { ...options, restore })
        // the snapshot is from before checkpoint 1 was told of: committing again changes nothing
        assert.deepStrictEqual(committed.splice(0), ["42", "43"])
        assert.deepStrictEqual(recovered, [[], ["42", "43"]])
        yield* h.element(45)
        yield* h.snapshot(3)
        yield* h.notifyCheckpointComplete(3)
        assert.deepStrictEqual(committed, ["45"])
      })
  )
})

describe("ConnectedStreams", () => {
  type Words = DataStream.DataStream<string>

  both(
    "map gives one result for each record of either stream; watermarks are those of the slower one",
    (options) =>
      Effect.gen(function*() {
        const h = yield* Harness.twoInput(
          (words: Words, numbers: Numbers) =>
            ConnectedStreams.connect(words, numbers).pipe(ConnectedStreams.map((word) => word.length, (n) => `${n}`)),
          options
        )
        yield* h.element1("three", 3)
        yield* h.watermark1(9)
        yield* h.element2(5, 5)
        yield* h.watermark2(7)
        yield* h.idle2
        assert.deepStrictEqual(yield* h.output, [record(5, 3), record("5", 5), watermark(7), watermark(9)])
      })
  )

  both("process, without keys: both see the watermark and their timestamp, and send to side outputs", (options) =>
    Effect.gen(function*() {
      const h = yield* Harness.twoInput(
        (words: Words, numbers: Numbers) =>
          ConnectedStreams.connect(words, numbers).pipe(ConnectedStreams.process({
            onElement1: (word, ctx) => [`${word} WM:${ctx.watermark} TS:${ctx.timestamp}`],
            onElement2: (n, ctx) => ctx.output(odd, ctx.watermark + n)
          })),
        options
      )
      yield* h.watermark1(10)
      yield* h.watermark2(20)
      yield* h.element1("a", 12)
      yield* h.element2(1, 13)
      assert.deepStrictEqual(yield* h.output, [watermark(10), record("a WM:10 TS:12", 12)])
      yield* h.watermark1(40)
      yield* h.element2(2, 15)
      assert.deepStrictEqual(yield* h.sideOutput(odd), [record(11, 13), record(22, 15)])
    }))

  both(
    "process, with keys: state and timers are of both, and survive a restore, at another parallelism too",
    (options) =>
      Effect.gen(function*() {
        const pipeline = (words: Words, numbers: Numbers) =>
          ConnectedStreams.connect(words, numbers).pipe(
            ConnectedStreams.keyBy((word) => word.length, (n) => n),
            ConnectedStreams.process({
              state: { words: State.list(Schema.String) },
              onElement1: (word, { state, timers }) => {
                state.words.add(word)
                timers.eventTime(100 + word.length)
              },
              onElement2: (n, { key, state }) => [`${n} is ${key}: ${state.words.get().join()}`],
              onTimer: ({ timestamp }, { key, state }) => [`${timestamp} of ${key}: ${state.words.get().join()}`]
            })
          )
        const first = yield* Harness.twoInput(pipeline, options)
        for (const word of ["a", "bb", "cc"]) yield* first.element1(word, 1)
        yield* first.element2(2, 2)
        assert.deepStrictEqual(yield* first.output, [record("2 is 2: bb,cc", 2)])
        const restore = yield* first.snapshot(1)
        const given: Array<unknown> = []
        for (const subtask of [0, 1]) {
          const half = yield* Harness.twoInput(pipeline, { ...options, restore, subtask, parallelism: 2 })
          yield* half.watermark1(200)
          yield* half.watermark2(200)
          given.push(...yield* half.values)
        }
        assert.sameMembers(given, ["101 of 1: a", "102 of 2: bb,cc"])
        const h = yield* Harness.twoInput(pipeline, { ...options, restore })
        yield* h.element1("dd", 3)
        yield* h.element2(2, 4)
        assert.deepStrictEqual(yield* h.values, ["2 is 2: bb,cc,dd"])
      })
  )

  both("transform: all hooks of an operator with two inputs, with its own state", (options) =>
    Effect.gen(function*() {
      const ended: Array<number> = []
      const pipeline = (words: Words, numbers: Numbers) =>
        ConnectedStreams.transform(
          ConnectedStreams.connect(words, numbers),
          "counting",
          Effect.sync(() => {
            const counts: [number, number] = [0, 0]
            let kept: StreamOperator.OperatorListState<number>
            return {
              initializeState: (ctx: StreamOperator.StateContext) => {
                kept = ctx.list<number>("counts", Schema.Number)
                kept.get().forEach((n, i) => {
                  counts[i] = n
                })
              },
              processElement1: () => void counts[0]++,
              processElement2: () => void counts[1]++,
              snapshotState: () => kept.set(counts),
              endInput: (_out: unknown, input: number) => void ended.push(input),
              finish: (out: StreamOperator.Output<string>) => out.emit(counts.join(" and "), undefined)
            }
          })
        )
      const first = yield* Harness.twoInput(pipeline, options)
      yield* first.element1("a")
      yield* first.element2(1)
      yield* first.element2(2)
      const h = yield* resumed(first, (restore) => Harness.twoInput(pipeline, { ...options, restore }))
      yield* h.element1("b")
      yield* h.endInput2
      yield* h.endInput1
      assert.deepStrictEqual(ended, [2, 1])
      assert.deepStrictEqual(yield* h.values, ["2 and 2"])
    }))
})
