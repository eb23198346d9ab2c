/**
 * Random jobs and what they must compute: a job is made from plain data that FastCheck can generate and shrink, and an interpreter of that data, which
 * knows nothing of the runtime, says which results there must be.
 *
 * The results do not depend on the order in which subtasks get on, except where the spec keeps one order all along (`reduce`).
 */
import { Effect, FastCheck as fc, Schema } from "effect"
import type { JobOptions } from "sluice"
import { Aggregator, DataSource, DataStream, KeyedStream, State, WatermarkStrategy, Window, WindowedStream } from "sluice"

/** A record; `ts` is its event time. */
export interface Item {
  readonly id: number
  readonly key: number
  readonly v: number
  readonly ts: number
}

type Step =
  | { readonly op: "map" | "filter" | "flatMap" | "mapEffect" | "tap"; readonly parallelism: number | undefined }
  | { readonly op: "rebalance" }

type End = "plain" | "tumbling" | "sliding" | "timers" | "reduce"

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

const parallelism = fc.integer({ min: 1, max: 3 })

export const spec: fc.Arbitrary<Spec> = fc.record({
  sources: fc.array(
    fc.record({
      splits: fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 4 }),
      parallelism,
      perFetch: fc.integer({ min: 1, max: 16 })
    }),
    { minLength: 1, maxLength: 2 }
  ),
  steps: fc.array(
    fc.oneof(
      fc.record({
        op: fc.constantFrom("map" as const, "filter" as const, "flatMap" as const, "mapEffect" as const, "tap" as const),
        parallelism: fc.option(parallelism, { nil: undefined })
      }),
      fc.record({ op: fc.constant("rebalance" as const) })
    ),
    { maxLength: 4 }
  ),
  end: fc.constantFrom<End>("plain", "tumbling", "sliding", "timers", "reduce"),
  endParallelism: parallelism,
  lateness: fc.constantFrom(0, 500),
  batchSize: fc.constantFrom(1, 7, 64),
  chaining: fc.boolean(),
  codegen: fc.boolean(),
  alignment: fc.constantFrom<Spec["alignment"]>("aligned", "unaligned", { alignedTimeout: "1 millis" })
})

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
  steps.every((step) => step.op !== "rebalance" && (step.parallelism ?? 1) === 1)

export const endOf = (spec: Spec): End => spec.end === "reduce" && !isOrdered(spec) ? "timers" : spec.end

const stateful = { key: Schema.Number, v: Schema.Number, id: Schema.Number, ts: Schema.Number }

/** The stream that a spec describes; `scale` is added to every parallelism, to run the same job at another one. */
export const build = (spec: Spec, scale = 0): DataStream.DataStream<string> => {
  const at = (parallelism: number) => Math.max(1, ((parallelism + scale - 1) % 3) + 1)
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
                return Effect.as(Effect.promise(() => new Promise((resolve) => setImmediate(resolve))), true)
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
        results.push(end === "timers" ? { key, end: e, sum, nth: i + 1 } : { key, end: e, n: inside.length, sum })
      })
    }
  }
  return results.map((each) => JSON.stringify(each)).sort()
}
