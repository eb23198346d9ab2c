/** G1: a chain does the same as generated code and as operator objects. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, FastCheck as fc, Logger, Option, Schema } from "effect"
import { spawnSync } from "node:child_process"
import { Aggregator, DataSource, DataStream, Job, KeyedStream, OutputTag, State, WatermarkStrategy, Window, WindowedStream } from "sluice"
import { GeneratedOutput, Source } from "../../src/task/ChainCode.js"
import { collecting } from "../support/collecting.js"

interface Item {
  readonly id: number
  readonly key: unknown
  readonly at: number | undefined
}

const key = fc.oneof(
  fc.constantFrom<unknown>("a", "", "\u0000", "\u0000{}", 0, -0, NaN, 1.5, true, null, undefined, { a: 1 }, [1, "x"]),
  fc.string({ maxLength: 2 }),
  fc.integer({ min: -2, max: 2 })
)

// close together, and close to where windows of 30 end
const time = fc.tuple(fc.integer({ min: -5, max: 20 }), fc.constantFrom(0, -1)).map(([tens, off]) => tens * 10 + off)

const items = fc.array(
  fc.record({ key, at: fc.option(time, { nil: undefined, freq: 40 }) }),
  { maxLength: 60, size: "max" }
).map((all) => all.map((each, id): Item => ({ ...each, id })))

const step = fc.constantFrom(
  "map",
  "filter",
  "filterMap",
  "flatMap",
  "iterable",
  "tap",
  "tapEffect",
  "process",
  "assign",
  "assignBad",
  "rebalance",
  "throws"
)
const end = fc.constantFrom("none", "reduce", "aggregate", "project", "process", "tumbling", "sliding", "late", "elements")

type Step = typeof step extends fc.Arbitrary<infer A> ? A : never
type End = typeof end extends fc.Arbitrary<infer A> ? A : never
type Items = DataStream.DataStream<Item, any>

const late = OutputTag.make<Item>("late")

const steps: Record<Step, (self: Items) => Items> = {
  map: DataStream.map((item) => ({ ...item, id: item.id + 1000 })),
  filter: DataStream.filter(({ id }) => id % 3 !== 0),
  filterMap: DataStream.filterMap((item) => item.id % 4 === 0 ? Option.none() : Option.some({ ...item, id: -item.id })),
  flatMap: DataStream.flatMap((item) => item.id % 2 === 0 ? [item, item] : []),
  iterable: DataStream.flatMap((item) => new Set([item])),
  tap: DataStream.tap(() => undefined),
  tapEffect: DataStream.tap(({ id }) => id % 5 === 0 ? Effect.yieldNow() : undefined),
  process: DataStream.process({ onElement: (item, ctx) => item.id % 7 === 0 ? undefined : [{ ...item, at: ctx.timestamp }] }),
  assign: DataStream.assignTimestamps(({ at }) => at ?? 40, WatermarkStrategy.boundedOutOfOrderness(19)),
  assignBad: DataStream.assignTimestamps(({ id }) => id === 17 ? NaN : id === 23 ? Infinity : id, WatermarkStrategy.monotonic),
  rebalance: DataStream.rebalance,
  throws: DataStream.map((item) => {
    if (item.id === 13) throw new Error(`no luck with ${item.id}`)
    return item
  })
}

const counting = Aggregator.make({
  accumulator: Schema.mutable(Schema.Struct({ n: Schema.Number, ids: Schema.Number })),
  init: () => ({ n: 0, ids: 0 }),
  add: (acc, { id }: Item) => {
    acc.n++
    acc.ids += id
    return acc
  },
  result: ({ ids, n }) => `${n}/${ids}`
})

const keyed = KeyedStream.keyBy((item: Item) => item.key)
const project = (result: string, context: { readonly key: unknown; readonly window?: unknown }) => ({ result, ...context })

const ends: Record<End, (self: Items) => DataStream.DataStream<unknown, any>> = {
  none: (self) => self,
  reduce: (self) => self.pipe(keyed, KeyedStream.reduce((a, b) => ({ ...b, id: a.id + b.id }))),
  aggregate: (self) => self.pipe(keyed, KeyedStream.aggregate(counting)),
  project: (self) => self.pipe(keyed, KeyedStream.aggregate(counting, project)),
  process: (self) =>
    self.pipe(
      keyed,
      KeyedStream.process({
        state: { n: State.value(Schema.Number, { default: 0 }) },
        onElement: (item, ctx) => {
          ctx.state.n.set(ctx.state.n.get() + 1)
          return ctx.state.n.get() % 2 === 0 ? [[item.id, ctx.key, ctx.timestamp, ctx.state.n.get()]] : undefined
        }
      })
    ),
  tumbling: (self) =>
    self.pipe(keyed, WindowedStream.window(Window.tumbling(50, { offset: 7 })), WindowedStream.aggregate(counting, project)),
  sliding: (self) => self.pipe(keyed, WindowedStream.window(Window.sliding(60, 20)), WindowedStream.aggregate(counting, project)),
  late: (self) => {
    const windows = self.pipe(
      keyed,
      WindowedStream.window(Window.tumbling(30)),
      WindowedStream.allowedLateness(10),
      WindowedStream.lateOutput(late),
      WindowedStream.reduce((a, b) => ({ ...b, id: a.id + b.id }))
    )
    return DataStream.union(windows, DataStream.sideOutput(windows, late))
  },
  elements: (self) =>
    self.pipe(
      keyed,
      WindowedStream.window(Window.tumbling(50)),
      WindowedStream.process((all, { key, window }) => [all.map(({ id }) => id), { key, window }])
    )
}

/** gives the items in slices, with a timestamp for each that has one where all of a slice have */
const source = (all: ReadonlyArray<Item>, size: number) =>
  DataSource.make({
    name: "items",
    splits: Effect.succeed([0]),
    read: () =>
      Effect.sync((): DataSource.SplitReader<Item, number> => {
        let next = 0
        return {
          poll: () => {
            if (next >= all.length) return undefined
            const values = all.slice(next, next += size)
            const timestamps = values.flatMap(({ at }) => at === undefined ? [] : [at])
            return { values, timestamps: timestamps.length === values.length ? timestamps : undefined, position: next }
          },
          fetch: Effect.succeed(false)
        }
      })
  })

const run = (
  all: ReadonlyArray<Item>,
  size: number,
  chosen: ReadonlyArray<Step>,
  last: End,
  options: { codegen: boolean; parallelism: number }
) => {
  let stream: Items = DataStream.fromSource(source(all, size), { parallelism: 1 })
  for (const each of chosen) stream = steps[each](stream)
  return DataStream.runCollect(ends[last](stream), options).pipe(
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.exit,
    Effect.map((exit) =>
      Exit.isSuccess(exit)
        ? exit.value
        : Array.from(Cause.failures(exit.cause), (error) => String((error as Error).message).split("\n    at")[0])
    )
  )
}

describe("ChainCode", () => {
  it.effect(
    "G1: what a chain gives, and how it fails, is the same as generated code and as operator objects",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            items,
            fc.integer({ min: 1, max: 20 }),
            fc.oneof(fc.array(step, { maxLength: 5 }), fc.array(step, { maxLength: 2 }).map((some): Array<Step> => ["assign", ...some])),
            end,
            async (all, size, chosen, last) => {
              const [code, objects] = await Effect.runPromise(Effect.all([
                run(all, size, chosen, last, { codegen: true, parallelism: 1 }),
                run(all, size, chosen, last, { codegen: false, parallelism: 1 })
              ]))
              // a union has no order of its own
              const comparable = (results: ReadonlyArray<unknown>) =>
                last === "late" ? results.map((each) => JSON.stringify(each)).sort() : results
              assert.deepStrictEqual(comparable(code), comparable(objects))
            }
          ),
          { numRuns: 500 }
        )
      ),
    60_000
  )

  it("names: the same thing has one, locals never meet; the second emission is a call", () => {
    const { output, records } = collecting<number>()
    const generated = new GeneratedOutput(output, [{
      write: (source, value, timestamp) => `${source.bind(output)}.emit(${value} * 10, ${timestamp})\n`
    }], "x")
    const twice = generated.compile(["n"], ({ bind, emit }) => {
      assert.strictEqual(bind(output), bind(output))
      assert.notStrictEqual(bind(output), bind(records))
      return `${emit("n", "undefined")}${emit("n + 1", "5")}`
    })
    twice(1)
    twice(2)
    assert.deepStrictEqual(records.map(({ timestamp, value }) => [value, timestamp]), [[10, undefined], [20, 5], [20, undefined], [30, 5]])
    const source = new Source()
    assert.strictEqual(new Set(Array.from({ length: 20 }, source.local)).size, 20)
  })

  it("an operator may have any name", async () => {
    const named = DataStream.named(DataStream.map(DataStream.range(0, 2), (n) => n + 1), "\ud800*/\n`${0}`")
    assert.deepStrictEqual(await Effect.runPromise(DataStream.runCollect(named)), [1, 2, 3])
  })

  it("a value that nobody reads is still computed, and what throws keeps the user's stack", async () => {
    const tooOld = () => {
      throw new Error("too old")
    }
    const exit = await Effect.runPromiseExit(
      Job.run(Job.make("stack", DataStream.runForEach(DataStream.map(DataStream.range(0, 3), tooOld), () => {})))
    )
    assert.isTrue(Exit.isFailure(exit))
    const stack = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
    assert.include(stack, "too old")
    assert.include(stack, "tooOld")
  })

  it("where the host forbids code from strings, operator objects run", () => {
    const program = `
      import { Effect } from "effect"
      import { DataStream } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)}
      try { new Function("") } catch { console.log("forbidden") }
      console.log(await Effect.runPromise(DataStream.runCollect(DataStream.map(DataStream.range(0, 3), (n) => n * 2))))`
    const loader = new URL("../../node_modules/tsx/dist/loader.mjs", import.meta.url).href
    const child = spawnSync(process.execPath, [
      "--import",
      loader,
      "--disallow-code-generation-from-strings",
      "--input-type=module",
      "-e",
      program
    ], {
      encoding: "utf8",
      timeout: 60_000
    })
    assert.strictEqual(child.stderr, "")
    assert.strictEqual(child.stdout, "forbidden\n[ 0, 2, 4, 6 ]\n")
  })
})
