/**
 * Random jobs and what they must compute: a job is made from plain data that FastCheck can generate and shrink, and an interpreter of that data, which
 * knows nothing of the runtime, says which results there must be.
 *
 * The results do not depend on the order in which subtasks get on, except where the spec keeps one order all along (`reduce`).
 */
import { Effect, FastCheck as fc, Schema } from "effect"
import type { JobOptions, StreamElement, StreamOperator } from "sluice"
import { Aggregator, ConnectedStreams, DataSource, DataStream, KeyedStream, State, WatermarkStrategy, Window, WindowedStream } from "sluice"
import { turn } from "../../src/task/EventLoop.js"

/** A record; `ts` is its event time. */
export interface Item {
  readonly id: number
  readonly key: number
  readonly v: number
  readonly ts: number
}

type Step =
  | { readonly op: "map" | "filter" | "flatMap" | "mapEffect" | "tap"; readonly parallelism: number | undefined }
  | { readonly op: "rebalance" | "global" }
  /** the stream goes on in two branches, which an operator with two inputs joins again: as they are, or one of them broadcast */
  | { readonly op: "connect" | "connectBroadcast"; readonly parallelism: number | undefined }

type End = "plain" | "tumbling" | "sliding" | "timers" | "reduce" | "pairs"

export interface Spec {
  readonly sources: ReadonlyArray<{ readonly splits: ReadonlyArray<number>; readonly parallelism: number; readonly perFetch: number }>
  readonly steps: ReadonlyArray<Step>
  readonly end: End
  readonly endParallelism: number
  readonly lateness: number
  readonly batchSize: number
  readonly chaining: boolean
  readonly codegen: boolean
  readonly alignment: NonNullable<JobOptions.CheckpointOptions["alignment"]>
}

interface Bounds {
  readonly records: number
  readonly splits: number
  readonly sources: number
  readonly steps: number
  readonly parallelism: number
}

const specOf = ({ parallelism: most, records, sources, splits, steps }: Bounds): fc.Arbitrary<Spec> => {
  const parallelism = fc.integer({ min: 1, max: most })
  return fc.record({
    sources: fc.array(
      fc.record({
        splits: fc.array(fc.integer({ min: 0, max: records }), { minLength: 1, maxLength: splits }),
        parallelism,
        perFetch: fc.integer({ min: 1, max: 16 })
      }),
      { minLength: 1, maxLength: sources }
    ),
    steps: fc.array(
      fc.oneof(
        fc.record({
          op: fc.constantFrom("map" as const, "filter" as const, "flatMap" as const, "mapEffect" as const, "tap" as const),
          parallelism: fc.option(parallelism, { nil: undefined })
        }),
        fc.record({ op: fc.constantFrom("rebalance" as const, "global" as const) }),
        fc.record({
          op: fc.constantFrom("connect" as const, "connectBroadcast" as const),
          parallelism: fc.option(parallelism, { nil: undefined })
        })
      ),
      { maxLength: steps }
    ),
    end: fc.constantFrom<End>("plain", "tumbling", "sliding", "timers", "reduce", "pairs"),
    endParallelism: parallelism,
    lateness: fc.constantFrom(0, 500),
    batchSize: fc.constantFrom(1, 7, 64),
    chaining: fc.boolean(),
    codegen: fc.boolean(),
    alignment: fc.constantFrom<Spec["alignment"]>("aligned", "unaligned", { alignedTimeout: "1 millis" })
  })
}

export const spec = specOf({ records: 60, splits: 4, sources: 3, steps: 4, parallelism: 4 })

/** jobs that are through soon */
export const smallSpec = specOf({ records: 8, splits: 2, sources: 2, steps: 2, parallelism: 2 })

/** jobs of any shape, of few records */
export const shortSpec = specOf({ records: 8, splits: 3, sources: 3, steps: 4, parallelism: 4 })

const SPAN = 1000
const BOUND = 40

const item = (source: number, split: number, i: number, of: number): Item => {
  const id = source * 100_000 + split * 1000 + i
  // the splits of a source follow each other in time, and records are out of order within the bound
  const ts = split * SPAN + Math.floor((i / of) * (SPAN - BOUND)) + ((id * 7919) % BOUND)
  return { id, key: (id * 31) % 7, v: (id * 17) % 101, ts }
}

const functions = {
  map: (a: Item): Item => ({ ...a, v: a.v * 2 + 1 }),
  filter: (a: Item): boolean => a.v % 3 !== 0,
  flatMap: (a: Item): ReadonlyArray<Item> => a.id % 4 === 0 ? [] : a.id % 5 === 0 ? [a, { ...a, id: -a.id - 1 }] : [a],
  mapEffect: (a: Item): Item => ({ ...a, v: a.v + 1000 }),
  tap: (a: Item): Item => a
}

/** `reduce` wants one order: a single subtask that reads one split after the other, and nothing that deals records out before the key. */
const isOrdered = ({ sources, steps }: Spec): boolean =>
  sources.length === 1 && sources[0].parallelism === 1 &&
  steps.every((step) => !("parallelism" in step) ? false : !step.op.startsWith("connect") && (step.parallelism ?? 1) === 1)

export const endOf = (spec: Spec): End => spec.end === "reduce" && !isOrdered(spec) ? "timers" : spec.end

/** at most two branches: what is broadcast comes as often as there are subtasks, and only the first takes it */
const isRule = (a: Item): boolean => a.id % 7 === 0

const stateful = { key: Schema.Number, v: Schema.Number, id: Schema.Number, ts: Schema.Number }

/** The stream that a spec describes; `scale` is added to every parallelism, to run the same job at another one. */
export const build = (spec: Spec, scale = 0): DataStream.DataStream<string> => {
  const at = (parallelism: number) => Math.max(1, ((parallelism + scale - 1) % 4) + 1)
  // an order that was kept must stay kept
  const fixed = endOf(spec) === "reduce" ? (parallelism: number) => parallelism : at
  const streams = spec.sources.map(({ parallelism, perFetch, splits }, source) =>
    DataStream.fromSource(
      DataSource.make({
        name: `source${source}`,
        splits: Effect.succeed(splits.map((n, split) => ({ n, split }))),
        read: ({ n, split }: { readonly n: number; readonly split: number }, position: number | undefined) =>
          Effect.sync((): DataSource.SplitReader<Item, number> => {
            let next = position ?? 0
            let ready = 0
            return {
              poll: (max) => {
                const take = Math.min(max, ready, n - next)
                if (take <= 0) return undefined
                const values = Array.from({ length: take }, (_, i) => item(source, split, next + i, n))
                next += take
                ready -= take
                return { values, position: next }
              },
              fetch: Effect.suspend(() => {
                if (next >= n) return Effect.succeed(false)
                ready = perFetch
                return Effect.as(turn, true)
              })
            }
          })
      }),
      { uid: `source${source}`, parallelism: fixed(parallelism) }
    ).pipe(
      // before anything mixes subtasks: only there are records out of order within the bound
      DataStream.assignTimestamps((a) => a.ts, WatermarkStrategy.boundedOutOfOrderness(BOUND)),
      DataStream.uid(`timestamps${source}`),
      DataStream.parallelism(fixed(parallelism))
    )
  )
  let stream: DataStream.DataStream<Item> = streams.reduce((a, b) => DataStream.union(a, b))
  spec.steps.forEach((step, i) => {
    switch (step.op) {
      case "rebalance":
        stream = DataStream.rebalance(stream)
        return
      case "global":
        stream = DataStream.global(stream)
        return
      case "connect": {
        const odd = DataStream.filter(stream, (a) => a.v % 2 !== 0).pipe(DataStream.uid(`step${i}odd`), DataStream.parallelism(fixed(2)))
        const even = DataStream.filter(stream, (a) => a.v % 2 === 0).pipe(DataStream.uid(`step${i}even`))
        stream = ConnectedStreams.connect(odd, even).pipe(ConnectedStreams.map(functions.map, functions.mapEffect))
        break
      }
      case "connectBroadcast": {
        const rules = DataStream.filter(stream, isRule).pipe(DataStream.uid(`step${i}rules`), DataStream.broadcast)
        const others = DataStream.filter(stream, (a) => !isRule(a)).pipe(DataStream.uid(`step${i}others`), DataStream.rebalance)
        stream = ConnectedStreams.connect(others, rules).pipe(
          ConnectedStreams.transform(
            `broadcast${i}`,
            Effect.sync(() => {
              let subtask = 0
              return {
                setup: (ctx: StreamOperator.OperatorContext<Item>) => {
                  subtask = ctx.subtask
                },
                processElement1: ({ timestamp, value }: StreamElement.StreamRecord<Item>, out: StreamOperator.Output<Item>) =>
                  out.emit(value, timestamp),
                processElement2: ({ timestamp, value }: StreamElement.StreamRecord<Item>, out: StreamOperator.Output<Item>) => {
                  if (subtask === 0) out.emit(value, timestamp)
                }
              }
            })
          )
        )
        break
      }
      case "map":
        stream = DataStream.map(stream, functions.map)
        break
      case "filter":
        stream = DataStream.filter(stream, functions.filter)
        break
      case "flatMap":
        stream = DataStream.flatMap(stream, functions.flatMap)
        break
      case "tap":
        stream = DataStream.tap(stream, () => Effect.void)
        break
      case "mapEffect":
        stream = DataStream.mapEffect(
          stream,
          (a) => Effect.as(a.id % 3 === 0 ? Effect.sleep(1) : Effect.void, functions.mapEffect(a)),
          { concurrency: 4 }
        )
    }
    stream = stream.pipe(DataStream.uid(`step${i}`), DataStream.parallelism(fixed(step.parallelism ?? 1)))
  })
  const end = endOf(spec)
  if (end === "plain") return stream.pipe(DataStream.map((a) => JSON.stringify(a)), DataStream.uid("end"))
  const timed = KeyedStream.keyBy(stream, (a) => a.key)
  const finish = <A>(result: DataStream.DataStream<A>) =>
    result.pipe(DataStream.uid("end"), DataStream.parallelism(at(spec.endParallelism)), DataStream.map((a) => JSON.stringify(a)))
  switch (end) {
    case "pairs": {
      // two inputs with keys and timers: what each input has of a key is told once event time is past it
      const [odd, even] = [1, 0].map((rest) =>
        DataStream.filter(stream, (a) => Math.abs(a.v % 2) === rest).pipe(
          DataStream.uid(rest === 1 ? "odd" : "even"),
          DataStream.parallelism(at(2))
        )
      )
      const add = (ts: number, n: number, ctx: { readonly state: any; readonly timers: any }) => {
        const due = Math.floor(ts / 100) * 100 + 100
        ctx.state.set(due, (ctx.state.get(due) ?? 0) + n)
        ctx.timers.eventTime(due)
      }
      return finish(
        ConnectedStreams.connect(odd, even).pipe(
          ConnectedStreams.keyBy((a) => a.key, (a) => a.key),
          ConnectedStreams.process({
            state: { odd: State.map(Schema.Number, Schema.Number), even: State.map(Schema.Number, Schema.Number) },
            onElement1: (a: Item, ctx) => add(a.ts, 1, { state: ctx.state.odd, timers: ctx.timers }),
            onElement2: (a: Item, ctx) => add(a.ts, a.v, { state: ctx.state.even, timers: ctx.timers }),
            onTimer: ({ timestamp }, ctx) => {
              const pair = {
                key: ctx.key,
                end: timestamp,
                odd: ctx.state.odd.get(timestamp) ?? 0,
                even: ctx.state.even.get(timestamp) ?? 0
              }
              ctx.state.odd.delete(timestamp)
              ctx.state.even.delete(timestamp)
              return [pair]
            }
          })
        )
      )
    }
    case "reduce":
      return finish(KeyedStream.reduce(timed, (a, b) => ({ ...b, v: a.v + b.v }), Schema.Struct(stateful)))
    case "timers":
      return finish(timed.pipe(KeyedStream.process({
        state: { sums: State.map(Schema.Number, Schema.Number), seen: State.value(Schema.Number, { default: 0 }) },
        onElement: (a, ctx) => {
          const due = Math.floor(a.ts / 100) * 100 + 100
          ctx.state.sums.set(due, (ctx.state.sums.get(due) ?? 0) + a.v)
          ctx.timers.eventTime(due)
        },
        onTimer: ({ timestamp }, ctx) => {
          const sum = ctx.state.sums.get(timestamp)
          ctx.state.sums.delete(timestamp)
          ctx.state.seen.update((n) => n + 1)
          return [{ key: ctx.key, end: timestamp, sum, nth: ctx.state.seen.get() }]
        }
      })))
    default:
      return finish(timed.pipe(
        WindowedStream.window(end === "tumbling" ? Window.tumbling(100) : Window.sliding(300, 100)),
        WindowedStream.allowedLateness(spec.lateness),
        WindowedStream.aggregate(
          Aggregator.struct({ n: Aggregator.count, sum: Aggregator.sum((a: Item) => a.v) }),
          (result, { key, window }) => ({ key, end: window.end, ...result })
        )
      ))
  }
}

/** The results a spec must give, sorted. */
export const expected = (spec: Spec): ReadonlyArray<string> => {
  let items: Array<Item> = spec.sources.flatMap(({ splits }, source) =>
    splits.flatMap((n, split) => Array.from({ length: n }, (_, i) => item(source, split, i, n)))
  )
  for (const { op } of spec.steps) {
    if (op === "map" || op === "mapEffect") items = items.map(functions[op])
    else if (op === "filter") items = items.filter(functions.filter)
    else if (op === "flatMap") items = items.flatMap(functions.flatMap)
    else if (op === "connect") items = items.map((a) => a.v % 2 !== 0 ? functions.map(a) : functions.mapEffect(a))
  }
  const end = endOf(spec)
  const results: Array<unknown> = []
  const byKey = new Map<number, Array<Item>>()
  for (const a of items) byKey.set(a.key, [...byKey.get(a.key) ?? [], a])
  if (end === "plain") results.push(...items)
  else if (end === "reduce") {
    for (const all of byKey.values()) {
      let v = 0
      for (const a of all) results.push({ ...a, v: v += a.v })
    }
  } else {
    const size = end === "sliding" ? 300 : 100
    for (const [key, all] of byKey) {
      const ends = new Set<number>()
      for (const { ts } of all) for (let e = Math.floor(ts / 100) * 100 + 100; e <= ts + size; e += 100) ends.add(e)
      Array.from(ends).sort((a, b) => a - b).forEach((e, i) => {
        const inside = all.filter(({ ts }) => ts < e && ts >= e - size)
        const sum = inside.reduce((total, { v }) => total + v, 0)
        if (end === "pairs") {
          const even = inside.filter(({ v }) => v % 2 === 0).reduce((total, { v }) => total + v, 0)
          results.push({ key, end: e, odd: inside.filter(({ v }) => v % 2 !== 0).length, even })
          return
        }
        results.push(end === "timers" ? { key, end: e, sum, nth: i + 1 } : { key, end: e, n: inside.length, sum })
      })
    }
  }
  return results.map((each) => JSON.stringify(each)).sort()
}
