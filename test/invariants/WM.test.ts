/** Rows of area WM that no unit test of the valve, the strategies or the assigner holds. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Either, Fiber, Stream, TestClock } from "effect"
import type { StreamOperator } from "sluice"
import {
  Aggregator,
  ConnectedStreams,
  DataStream,
  JobOptions,
  KeyedStream,
  StreamElement,
  Watermark,
  WatermarkStrategy,
  Window,
  WindowedStream
} from "sluice"
import type { StreamTask, TaskEnvironment } from "sluice/task"
import { Harness } from "sluice/testing"
import * as JobGraph from "../../src/graph/JobGraph.js"
import { forward } from "../../src/graph/StreamGraph.js"
import { Batch, Channel } from "../../src/task/Channel.js"
import { turn } from "../../src/task/EventLoop.js"
import { taskOf } from "../../src/task/kinds.js"

type Numbers = DataStream.DataStream<number>

const { record } = StreamElement
const idle = StreamElement.WatermarkStatus.idle
const active = StreamElement.WatermarkStatus.active

/** a task that reads two inputs of two channels each, and what comes out of it */
const fourChannels = Effect.gen(function*() {
  const both = ConnectedStreams.connect(DataStream.fromIterable([""]), DataStream.fromIterable([""])).pipe(
    ConnectedStreams.map((word) => word, (word) => word)
  )
  const options = JobOptions.resolve({ batchSize: 1 })
  const graph = Either.getOrThrow(JobGraph.make("channels", both.edges.map(({ node }) => node), options))
  const vertex = graph.vertices.find(({ inputs }) => inputs.length === 2)!
  const [a, b, c, d] = Array.from({ length: 4 }, () => new Channel())
  const out = new Channel()
  const env: TaskEnvironment = {
    job: "channels",
    vertex: {
      ...vertex,
      outputs: [{ index: 0, from: vertex.index, operator: 0, tag: undefined, to: -1, input: 0, partitioning: forward, written: "Forward" }]
    },
    subtask: 0,
    maxParallelism: 128,
    attempt: 0,
    attemptId: "channels",
    options,
    inputs: [[a, b], [c, d]],
    outputs: [[out]],
    restore: () => undefined,
    restoredId: 0,
    responder: {
      writer: () => undefined,
      acknowledge: () => Effect.void,
      decline: () => Effect.void,
      finalCheckpoint: () => false,
      awaitsFinalCheckpoint: () => Effect.void
    },
    allInitialized: Effect.void,
    running: Effect.void
  }
  const task = taskOf(env) as StreamTask
  yield* Effect.forkScoped(task.invoke)
  const output = Effect.gen(function*() {
    for (let rests = 0, turns = 0; rests < 3 && turns < 10_000; turns++) {
      yield* turn
      rests = task.isResting ? rests + 1 : 0
    }
    const given: Array<StreamElement.StreamElement<string>> = []
    for (let item = out.poll(); item !== undefined; item = out.poll()) {
      if (item._tag !== "Batch") given.push(item)
      else {while (
          item.emitNext({ emit: (value: string, timestamp: number | undefined) => void given.push(record(value, timestamp)) })
        )
        {
          /* the next one */
        }}
    }
    return given
  })
  const say = (channel: Channel, word: string) => {
    const batch = new Batch(1)
    batch.add(word, 0)
    channel.put(batch)
  }
  return { channels: [a, b, c, d] as const, say, output }
})

describe("watermarks and statuses of a task", () => {
  it.scoped("WM-10: two inputs of two channels: the least of the active ones, after the records before it; IDLE and ACTIVE once", () =>
    Effect.gen(function*() {
      const { channels: [a, b, c, d], output, say } = yield* fourChannels
      const put = (channel: Channel, ...events: ReadonlyArray<number | StreamElement.StreamEvent>) => {
        for (const event of events) channel.put(typeof event === "number" ? Watermark.make(event) : event)
        return output
      }
      for (const channel of [a, b, c]) assert.deepStrictEqual(yield* put(channel, 0), [])
      assert.deepStrictEqual(yield* put(d, 0), [Watermark.make(0)])
      say(a, "Hello")
      say(d, "Ciao")
      assert.sameDeepMembers(yield* output, [record("Hello", 0), record("Ciao", 0)])
      say(a, "Hello")
      say(d, "Ciao")
      for (const [channel, timestamp] of [[a, 4], [b, 3], [c, 3]] as const) channel.put(Watermark.make(timestamp))
      const given = yield* put(d, 2)
      assert.sameDeepMembers(given.slice(0, 2), [record("Hello", 0), record("Ciao", 0)])
      assert.deepStrictEqual(given.slice(2), [Watermark.make(2)])
      assert.deepStrictEqual(yield* put(d, 4), [Watermark.make(3)])
      assert.deepStrictEqual(yield* put(b, 4), [])
      assert.deepStrictEqual(yield* put(c, 4), [Watermark.make(4)])
      assert.deepStrictEqual(yield* put(b, idle), [])
      assert.deepStrictEqual(yield* put(c, idle), [])
      assert.deepStrictEqual(yield* put(a, 6), [])
      assert.deepStrictEqual(yield* put(d, 5), [Watermark.make(5)])
      assert.deepStrictEqual(yield* put(d, idle), [Watermark.make(6)])
      assert.deepStrictEqual(yield* put(a, idle), [idle])
      assert.deepStrictEqual(yield* put(b, active), [active])
      assert.deepStrictEqual(yield* put(c, active), [])
    }))

  // Flink has gauges for each operator's input and output; here a task has one, for its input, and operators in a chain have none
  it.scoped("WM-17: the gauge of a task is the watermark of its input: MIN at the start, whatever its operators make of it", () =>
    Effect.gen(function*() {
      const doubling: StreamOperator.PushOperator<number, number> = {
        push: (n, timestamp, out) => out.emit(n, timestamp),
        processWatermark: (watermark, out) => out.emitWatermark(watermark * 2)
      }
      const doubled = (input: Numbers) => DataStream.transform(input, "doubling", Effect.succeed(doubling))
      const h = yield* Harness.oneInput((input: Numbers) => doubled(doubled(input)))
      assert.strictEqual(h.task.metrics.watermark, Watermark.MIN)
      yield* h.watermark(1)
      assert.strictEqual(h.task.metrics.watermark, 1)
      assert.deepStrictEqual(yield* h.output, [Watermark.make(4)])
      yield* h.watermark(2)
      assert.strictEqual(h.task.metrics.watermark, 2)
      assert.deepStrictEqual(yield* h.output, [Watermark.make(8)])
    }))
})

describe("the end of event time", () => {
  // a source itself emits no watermarks here: a strategy does, and `none` is the one without progress
  it.effect.each(
    [
      ["without a strategy", (source: Numbers) => source, []],
      ["none", (source: Numbers) => DataStream.assignTimestamps(source, (n) => n, WatermarkStrategy.none), []],
      ["monotonic", (source: Numbers) => DataStream.assignTimestamps(source, (n) => n, WatermarkStrategy.monotonic), [999, 1999]]
    ] as const
  )("WM-12: a finite source ends event time once, %s", ([_, timed, before]) =>
    Effect.gen(function*() {
      const watermarks: Array<number> = []
      const seen: StreamOperator.PushOperator<number, number> = {
        push: (n, timestamp, out) => out.emit(n, timestamp),
        processWatermark: (watermark, out) => {
          watermarks.push(watermark)
          out.emitWatermark(watermark)
        }
      }
      yield* DataStream.runCollect(
        timed(DataStream.fromIterable([1000, 2000])).pipe(DataStream.transform("seen", Effect.succeed(seen))),
        { batchSize: 1 }
      )
      assert.deepStrictEqual(watermarks, [...before, Watermark.MAX])
    }))
})

describe("a source that is idle", () => {
  it.effect("WM-09: records that come after a pause are not late, though the other source has ended meanwhile", () =>
    Effect.gen(function*() {
      const [paused, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const times = DataStream.assignTimestamps(
        (n: number) => n,
        WatermarkStrategy.monotonic.pipe(WatermarkStrategy.withIdleness("50 millis"))
      )
      const short = DataStream.fromIterable([1, 2]).pipe(times)
      const pause = Effect.zipRight(Deferred.succeed(paused, undefined), Deferred.await(go))
      const long = DataStream.fromStream(
        Stream.make(1).pipe(Stream.concat(Stream.drain(Stream.fromEffect(pause))), Stream.concat(Stream.make(2, 15, 25)))
      ).pipe(times)
      const counts = DataStream.union(short, long).pipe(
        KeyedStream.keyBy(() => "all"),
        WindowedStream.window(Window.tumbling(10)),
        WindowedStream.aggregate(Aggregator.count)
      )
      const fiber = yield* Effect.fork(DataStream.runCollect(counts))
      yield* Deferred.await(paused)
      for (let n = 0; n < 20; n++) {
        yield* Effect.repeatN(turn, 5)
        yield* TestClock.adjust("50 millis")
      }
      yield* Deferred.succeed(go, undefined)
      yield* Effect.repeatN(turn, 5)
      // [0, 10): 1 and 2 of the one, 1 and 2 of the other; then 15; then 25
      assert.deepStrictEqual(yield* Fiber.join(fiber), [4, 1, 1])
    }))
})

describe("the assigner of timestamps", () => {
  // Flink's periodic tick is a clock's; here a watermark follows the batch in which event time advanced.
  // That batch mode emits none comes with batch mode
  it.scoped("WM-14: a watermark follows its batch, and upstream's goes no further but the last", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.assignTimestamps(input, (n) => n, WatermarkStrategy.monotonic))
      yield* h.element(2)
      yield* h.element(4)
      yield* h.element(3)
      yield* h.watermark(100)
      yield* h.idle
      yield* h.active
      assert.deepStrictEqual(yield* h.output, [record(2, 2), Watermark.make(1), record(4, 4), Watermark.make(3), record(3, 3)])
      yield* h.watermark(Watermark.MAX)
      assert.deepStrictEqual(yield* h.output, [Watermark.make(Watermark.MAX)])
      yield* h.endInput
      assert.deepStrictEqual((yield* h.output).filter(({ _tag }) => _tag === "Watermark"), [])
    }))

  it.scoped("WM-14: a watermark that a record carries follows it at once, and none goes back", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) =>
        DataStream.assignTimestamps(input, (n) => n, WatermarkStrategy.punctuated((n) => n % 2 === 0 ? n : undefined))
      )
      for (const n of [2, 3, 1, 0, 4]) yield* h.element(n)
      assert.deepStrictEqual(yield* h.output, [
        record(2, 2),
        Watermark.make(2),
        record(3, 3),
        record(1, 1),
        record(0, 0),
        record(4, 4),
        Watermark.make(4)
      ])
    }))

  it.scoped("WM-14: timestamps pass as they are, before the epoch and at both ends of event time too", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => DataStream.assignTimestamps(input, (n) => n, WatermarkStrategy.none))
      const all = [-7, Watermark.MIN, Watermark.MAX, 0]
      for (const n of all) yield* h.element(n, 5)
      assert.deepStrictEqual(yield* h.output, all.map((n) => record(n, n)))
    }))
})
