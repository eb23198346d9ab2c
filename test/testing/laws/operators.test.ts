import { describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Aggregator, ConnectedStreams, DataStream, KeyedStream, State, WatermarkStrategy, Window, WindowedStream } from "sluice"
import { Laws } from "sluice/testing"

type Numbers = DataStream.DataStream<number>

const numbers = Schema.Int.pipe(Schema.between(0, 9))
const key = (n: number) => n % 3
const keyed = { keyed: key }

describe("built-in operators keep the laws", () => {
  it.effect("map, filter, flatMap, filterMap, tap and process in a chain", () =>
    Laws.operator(
      (input: Numbers) =>
        input.pipe(
          DataStream.map((n) => n + 1),
          DataStream.filter((n) => n % 2 === 0),
          DataStream.tap(() => Effect.void),
          DataStream.flatMap((n) => [n, -n]),
          DataStream.process({ onElement: (n) => [n, n] })
        ),
      numbers
    ))

  it.effect("mapEffect", () =>
    Laws.operator(
      (input: Numbers) =>
        DataStream.mapEffect(input, (n) => Effect.as(n % 2 === 0 ? Effect.sleep(n * 10) : Effect.void, n), { concurrency: 3 }),
      numbers
    ))

  it.effect("assignTimestamps", () =>
    Laws.operator(
      (input: Numbers) => DataStream.assignTimestamps(input, (n) => n * 10, WatermarkStrategy.boundedOutOfOrderness(5)),
      numbers,
      { ownEventTime: true }
    ))

  it.effect("reduce", () =>
    Laws.operator((input: Numbers) => input.pipe(KeyedStream.keyBy(key), KeyedStream.reduce((a, b) => a + b)), numbers, keyed))

  it.effect("aggregate", () =>
    Laws.operator(
      (input: Numbers) => input.pipe(KeyedStream.keyBy(key), KeyedStream.aggregate(Aggregator.count, (n, { key }) => `${key}: ${n}`)),
      numbers,
      keyed
    ))

  it.effect("process with state and timers", () =>
    Laws.operator(
      (input: Numbers) =>
        input.pipe(
          KeyedStream.keyBy(key),
          KeyedStream.process({
            state: {
              sum: State.value(Schema.Number, { default: 0 }),
              all: State.list(Schema.Number),
              times: State.map(Schema.Number, Schema.Number),
              greatest: State.reducing(Schema.Number, Math.max)
            },
            onElement: (n, { state, timers, timestamp }) => {
              state.sum.update((sum) => sum + n)
              state.all.add(n)
              state.times.set(n, (state.times.get(n) ?? 0) + 1)
              state.greatest.add(n)
              timers.eventTime(timestamp! + n)
              if (n === 9) timers.deleteEventTime(timestamp! + 4)
              return [`${state.sum.get()} ${state.greatest.get()}`]
            },
            onTimer: ({ timestamp }, { key, state }) => {
              const all = state.all.get().join()
              state.all.clear()
              return [`${key}@${timestamp}: ${all} ${JSON.stringify(Array.from(state.times.entries()))}`]
            }
          })
        ),
      numbers,
      keyed
    ))

  it.effect("process with timers in processing time", () =>
    Laws.operator(
      (input: Numbers) =>
        input.pipe(
          KeyedStream.keyBy(key),
          KeyedStream.process({
            onElement: (n, ctx) => ctx.timers.processingTime(ctx.processingTime() + n * 10),
            onTimer: ({ timestamp }, { key }) => [`${key}@${timestamp}`]
          })
        ),
      numbers,
      keyed
    ))

  for (
    const [name, window] of [["tumbling", Window.tumbling(10)], ["sliding", Window.sliding(20, 5)]] as const
  ) {
    it.effect(`${name} windows`, () =>
      Laws.operator(
        (input: Numbers) =>
          input.pipe(
            KeyedStream.keyBy(key),
            WindowedStream.window(window),
            WindowedStream.allowedLateness(7),
            WindowedStream.aggregate(Aggregator.sum((n: number) => n), (sum, { key, window }) => `${key} ${window.start}: ${sum}`)
          ),
        numbers,
        keyed
      ))
  }

  it.effect("a window's own function", () =>
    Laws.operator(
      (input: Numbers) =>
        input.pipe(
          KeyedStream.keyBy(key),
          WindowedStream.window(Window.tumbling(10)),
          WindowedStream.process((elements, { key }) => [[key, ...elements]])
        ),
      numbers,
      keyed
    ))

  it.effect("connect.map", () =>
    Laws.twoInputOperator(
      (a: Numbers, b: Numbers) => ConnectedStreams.map(ConnectedStreams.connect(a, b), (n) => n, (n) => -n),
      numbers,
      numbers
    ))

  it.effect("union", () =>
    Laws.twoInputOperator((a: Numbers, b: Numbers) => DataStream.union(a, b).pipe(DataStream.map((n) => n)), numbers, numbers))

  it.effect("connect.process with state and timers", () =>
    Laws.twoInputOperator(
      (a: Numbers, b: Numbers) =>
        ConnectedStreams.connect(a, b).pipe(
          ConnectedStreams.keyBy(key, key),
          ConnectedStreams.process({
            state: { left: State.list(Schema.Number) },
            onElement1: (n, { state, timers, timestamp }) => {
              state.left.add(n)
              timers.eventTime(timestamp! + 15)
            },
            onElement2: (n, { state }) => state.left.get().map((left) => `${left} ${n}`),
            onTimer: ({ timestamp }, { key, state }) => {
              const left = state.left.get()
              state.left.clear()
              return [`${key}@${timestamp}: ${left.join()}`]
            }
          })
        ),
      numbers,
      numbers,
      { keyed: [key, key] }
    ))
})
