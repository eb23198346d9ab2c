/** Windows of event time against an oracle that keeps every record in a list and knows nothing of panes, slides or state tables. */
import { Deferred, Effect, FastCheck as fc, FiberId, Layer, Logger, Option, Schema, Stream } from "effect"
import type { JobMetrics, JobOptions } from "sluice"
import {
  Aggregator,
  CheckpointStorage,
  DataSource,
  DataStream,
  Job,
  KeyedStream,
  OutputTag,
  Watermark,
  WatermarkStrategy,
  Window,
  WindowedStream
} from "sluice"
import { describe, expect, it } from "vitest"

const quiet = Logger.remove(Logger.defaultLogger)

const memory = Layer.merge(CheckpointStorage.layerMemory, quiet)

/** waits for what other fibers do, and fails rather than hang */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    const deadline = performance.now() + 5000
    while (!holds()) {
      if (performance.now() > deadline) throw new Error("it never came")
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  })

/** `v` tells a record from all others */
interface Value {
  readonly key: string
  readonly at: number
  readonly v: string
}

/** a record, the watermark that follows it, or both */
interface Item {
  readonly value: Value | undefined
  readonly watermark: number | undefined
}

const variants = ["aggregate", "collect", "reduce", "process"] as const

interface Spec {
  readonly size: number
  readonly slide: number
  readonly offset: number
  readonly lateness: number
  readonly variant: typeof variants[number]
  readonly batchSize: number
  readonly chaining: boolean
}

const spec: fc.Arbitrary<Spec> = fc.record({
  size: fc.integer({ min: 1, max: 24 }),
  slide: fc.option(fc.integer({ min: 1, max: 24 }), { nil: undefined }),
  offset: fc.integer({ min: -23, max: 23 }),
  lateness: fc.constantFrom(0, 0, 3, 17, 1_000_000),
  variant: fc.constantFrom(...variants),
  batchSize: fc.constantFrom(1, 2, 5, 64),
  chaining: fc.boolean()
}).map(({ offset, size, slide = size, ...rest }) => ({ ...rest, size, slide, offset: offset % slide }))

const items = ({ offset, slide }: Spec): fc.Arbitrary<ReadonlyArray<Item>> => {
  // before the epoch too, and many exactly on the borders of windows or next to them
  const time = fc.oneof(
    fc.integer({ min: -40, max: 80 }),
    fc.tuple(fc.integer({ min: -3, max: 6 }), fc.constantFrom(-1, 0, 1)).map(([k, by]) => offset + k * slide + by)
  )
  return fc.array(
    fc.record({
      value: fc.option(fc.record({ key: fc.constantFrom("a", "b", "c"), at: time }), { nil: undefined, freq: 6 }),
      watermark: fc.option(time, { nil: undefined, freq: 3 })
    }),
    { maxLength: 40 }
  ).map((all) => all.map(({ value, watermark }, i) => ({ value: value === undefined ? undefined : { ...value, v: `,${i}` }, watermark })))
}

const scenario = spec.chain((spec) => items(spec).map((items) => ({ spec, items })))

/** what one item brings about: results in groups, within which their order is free, and records that are late */
interface Consequence {
  readonly groups: ReadonlyArray<ReadonlyArray<string>>
  readonly late: ReadonlyArray<string>
}

/** the consequences of each item, and of the end of event time */
const oracle = ({ lateness, offset, size, slide, variant }: Spec, items: ReadonlyArray<Item>): ReadonlyArray<Consequence> => {
  const taken: Array<{ readonly value: Value; readonly end: number }> = []
  let watermark: number = Watermark.MIN
  const endsOf = (at: number) => {
    const ends: Array<number> = []
    for (let k = -200; k <= 200; k++) {
      const start = offset + k * slide
      if (start <= at && at < start + size) ends.push(start + size)
    }
    return ends
  }
  const result = (end: number, key: string) => {
    const vs = taken.filter((each) => each.end === end && each.value.key === key).map(({ value }) => value.v).join("")
    return `${variant === "reduce" ? "" : `${end - size}..${end} `}${key}${vs} @${end - 1}`
  }
  return [...items, { value: undefined, watermark: Watermark.MAX }].map((item) => {
    const groups: Array<ReadonlyArray<string>> = []
    const late: Array<string> = []
    const { value } = item
    if (value !== undefined) {
      const open = endsOf(value.at).filter((end) => end - 1 + lateness > watermark)
      for (const end of open) taken.push({ value, end })
      groups.push(open.filter((end) => end - 1 <= watermark).map((end) => result(end, value.key)))
      if (open.length === 0) late.push(`${value.key}${value.v} @${value.at}`)
    }
    if (item.watermark !== undefined && item.watermark > watermark) {
      const before = watermark
      watermark = item.watermark
      const due = new Set(taken.map(({ end }) => end).filter((end) => end - 1 > before && end - 1 <= watermark))
      for (const end of Array.from(due).sort((a, b) => a - b)) {
        groups.push(Array.from(new Set(taken.filter((each) => each.end === end).map(({ value }) => value.key)), (key) => result(end, key)))
      }
    }
    return { groups, late }
  })
}

/** results in the order of the groups, those of one group sorted */
const ordered = (found: ReadonlyArray<string>, consequences: ReadonlyArray<Consequence>): ReadonlyArray<string> => {
  const left = [...found]
  const sorted = consequences.flatMap(({ groups }) => groups.flatMap((group) => left.splice(0, group.length).sort()))
  return [...sorted, ...left]
}

const resultsOf = (consequences: ReadonlyArray<Consequence>) =>
  consequences.flatMap(({ groups }) => groups.flatMap((group) => [...group].sort()))

const latesOf = (consequences: ReadonlyArray<Consequence>) => consequences.flatMap(({ late }) => late)

const lateTag = OutputTag.make<Value>("late")

/** what came out of one run */
interface Out {
  readonly results: Array<string>
  readonly late: Array<string>
}

const emptyOut = (): Out => ({ results: [], late: [] })

const windowed = (spec: Spec, source: DataStream.DataStream<Item>) =>
  source.pipe(
    DataStream.assignTimestamps((item) => item.value?.at ?? 0, WatermarkStrategy.punctuated((item) => item.watermark)),
    DataStream.uid("timestamps"),
    DataStream.parallelism(1),
    DataStream.filterMap((item) => Option.fromNullable(item.value)),
    DataStream.parallelism(1),
    KeyedStream.keyBy((value) => value.key),
    WindowedStream.window(Window.sliding(spec.size, spec.slide, { offset: spec.offset })),
    WindowedStream.allowedLateness(spec.lateness),
    WindowedStream.lateOutput(lateTag)
  )

const joined = Aggregator.make({
  accumulator: Schema.String,
  init: () => "",
  add: (acc, value: Value) => acc + value.v,
  result: (acc) => acc
})

const describeWindow = (key: string, { end, start }: Window.TimeWindow, vs: string) => `${start}..${end} ${key}${vs}`

const apply = (spec: Spec, source: DataStream.DataStream<Item>): DataStream.DataStream<string> => {
  const windows = windowed(spec, source)
  switch (spec.variant) {
    case "aggregate":
      return WindowedStream.aggregate(windows, joined, (vs, { key, window }) => describeWindow(key, window, vs))
    case "collect":
      // an accumulator that is changed in place
      return WindowedStream.aggregate(
        windows,
        Aggregator.collect(Schema.Struct({ key: Schema.String, at: Schema.Number, v: Schema.String })),
        (all, { key, window }) => describeWindow(key, window, all.map(({ v }) => v).join(""))
      )
    case "reduce":
      return WindowedStream.reduce(windows, (a, b) => ({ ...b, v: a.v + b.v })).pipe(
        // the side output belongs to the window's own operator
        DataStream.uid("window")
      ) as DataStream.DataStream<any>
    case "process":
      return WindowedStream.process(windows, (all, { key, window }) => [describeWindow(key, window, all.map(({ v }) => v).join(""))])
  }
}

const makeJob = (spec: Spec, source: DataStream.DataStream<Item>, out: Out, parallelism = 1) => {
  const windows = apply(spec, source).pipe(DataStream.uid("window"), DataStream.parallelism(parallelism))
  return Job.make(
    "windows",
    windows.pipe(
      DataStream.process({
        onElement: (
          result: string | Value,
          ctx
        ) => [`${typeof result === "string" ? result : `${result.key}${result.v}`} @${ctx.timestamp}`]
      }),
      DataStream.runForEach((result) => void out.results.push(result))
    ),
    windows.pipe(
      DataStream.sideOutput(lateTag),
      DataStream.process({ onElement: ({ key, v }, ctx) => [`${key}${v} @${ctx.timestamp}`] }),
      DataStream.runForEach((late) => void out.late.push(late))
    )
  )
}

const options = ({ batchSize, chaining }: Spec): JobOptions.JobOptions => ({ batchSize, chaining, maxParallelism: 8 })

const counted = ({ vertices }: JobMetrics.JobMetrics) => vertices.reduce((n, { counters }) => n + (counters["late"] ?? 0), 0)

const runs = Number(process.env.SLUICE_RUNS ?? 250)

describe("windows of event time", () => {
  it(
    `I1 to I3: ${runs} random streams fire what a brute-force oracle says: order, timestamps, lateness, late output`,
    { timeout: 300_000 },
    () =>
      fc.assert(
        fc.asyncProperty(scenario, async ({ items, spec }) => {
          const expected = oracle(spec, items)
          const out = emptyOut()
          const metrics = await Effect.runPromise(
            Effect.scoped(Effect.gen(function*() {
              const handle = yield* Job.start(makeJob(spec, DataStream.fromIterable(items), out), options(spec))
              yield* handle.await
              return yield* handle.metrics
            })).pipe(Effect.provide(quiet))
          )
          expect(ordered(out.results, expected)).toEqual(resultsOf(expected))
          expect(out.late).toEqual(latesOf(expected))
          expect(counted(metrics)).toBe(out.late.length)
        }),
        { numRuns: runs }
      )
  )
})

/** A source that stops giving items at `cut` until it is let go, and tells when everything before has been through its task. */
const tape = (items: ReadonlyArray<Item>, cut: number) => {
  const reached = Deferred.unsafeMake<void>(FiberId.none)
  const released = Deferred.unsafeMake<void>(FiberId.none)
  let until = cut
  const stream = DataStream.fromSource(
    DataSource.make({
      name: "tape",
      splits: Effect.succeed([0]),
      read: (_: number, position: number | undefined) =>
        Effect.sync((): DataSource.SplitReader<Item, number> => {
          let at = position ?? 0
          return {
            poll: (max) => {
              const values = items.slice(at, Math.min(at + max, until))
              at += values.length
              return values.length === 0 ? undefined : { values, position: at }
            },
            fetch: Effect.suspend(() => {
              if (at < until) return Effect.succeed(true)
              if (until === items.length && at === until && cut === until) return Effect.succeed(false)
              Deferred.unsafeDone(reached, Effect.void)
              return Effect.as(Deferred.await(released), at < items.length)
            })
          }
        })
    }),
    { uid: "tape", parallelism: 1 }
  )
  const release = Effect.suspend(() => {
    until = items.length
    return Deferred.succeed(released, undefined)
  })
  return { stream, reached: Deferred.await(reached), release }
}

describe("windows and savepoints", () => {
  const restores = Math.ceil(runs / 2)

  it(`I4: ${restores} times stopped in the middle and restored, at another parallelism too: nothing fires twice, nothing is lost`, {
    timeout: 300_000
  }, () =>
    fc.assert(
      fc.asyncProperty(scenario, fc.nat(), fc.integer({ min: 1, max: 3 }), async ({ items, spec }, n, parallelism) => {
        const cut = n % (items.length + 1)
        // what has been read decides, whether or not event time has ended with it
        const whole = [...items, { value: undefined, watermark: undefined }]
        const expected = oracle(spec, whole)
        const [before, after] = [expected.slice(0, cut), expected.slice(cut)]
        const first = emptyOut()
        const second = emptyOut()
        await Effect.runPromise(
          Effect.scoped(Effect.gen(function*() {
            const { reached, stream } = tape(whole, cut)
            // what leaves one task for another is through as well once the savepoint has followed it
            const handle = yield* Job.start(makeJob(spec, stream, first), options(spec))
            yield* reached
            yield* handle.stopWithSavepoint()
            const again = yield* Job.start(makeJob(spec, tape(whole, whole.length).stream, second, parallelism), options(spec))
            yield* again.await
            expect(counted(yield* again.metrics)).toBe(second.late.length)
          })).pipe(Effect.provide(memory))
        )
        expect(ordered(first.results, before)).toEqual(resultsOf(before))
        expect(first.late).toEqual(latesOf(before))
        if (parallelism === 1) expect(ordered(second.results, after)).toEqual(resultsOf(after))
        else expect([...second.results].sort()).toEqual([...resultsOf(after)].sort())
        expect([...second.late].sort()).toEqual([...latesOf(after)].sort())
      }),
      { numRuns: restores }
    ))

  it("I4, CC-23: a savepoint in the middle changes nothing for the run that goes on, and one restored from it gives what followed", {
    timeout: 300_000
  }, () =>
    fc.assert(
      fc.asyncProperty(scenario, fc.nat(), async ({ items, spec }, n) => {
        const whole = [...items, { value: undefined, watermark: undefined }]
        const cut = n % whole.length
        const expected = oracle(spec, whole)
        const first = emptyOut()
        const second = emptyOut()
        await Effect.runPromise(
          Effect.scoped(Effect.gen(function*() {
            const { reached, release, stream } = tape(whole, cut)
            const handle = yield* Job.start(makeJob(spec, stream, first), options(spec))
            yield* reached
            const savepoint = yield* handle.savepoint
            yield* release
            yield* handle.await
            yield* Job.run(makeJob(spec, tape(whole, whole.length).stream, second), {
              ...options(spec),
              restore: { savepoint: savepoint.id }
            })
          })).pipe(Effect.provide(memory))
        )
        expect(ordered(first.results, expected)).toEqual(resultsOf(expected))
        expect(ordered(second.results, expected.slice(cut))).toEqual(resultsOf(expected.slice(cut)))
        expect(second.late).toEqual(latesOf(expected.slice(cut)))
      }),
      { numRuns: Math.ceil(runs / 5) }
    ))
})

const at = (time: number, v = "x"): Item => ({ value: { key: "a", at: time, v: `,${v}` }, watermark: undefined })

const mark = (watermark: number): Item => ({ value: undefined, watermark })

describe("the state of a window", () => {
  /** how many entries the window's keyed state holds in a savepoint after these items */
  const entries = (lateness: number, items: ReadonlyArray<Item>) => {
    const spec: Spec = { size: 10, slide: 10, offset: 0, lateness, variant: "aggregate", batchSize: 1, chaining: true }
    const { reached, stream } = tape([...items, mark(1000)], items.length)
    return Effect.gen(function*() {
      const handle = yield* Job.start(makeJob(spec, stream, emptyOut()), options(spec))
      yield* reached
      const { id } = yield* handle.savepoint
      yield* handle.cancel
      const store = yield* Effect.flatMap(CheckpointStorage.CheckpointStorage, (storage) => storage.open("windows"))
      const { operators } = yield* store.metadata(id)
      const states = operators.filter(({ uid }) => uid === "window").flatMap(({ subtasks }) =>
        subtasks.flatMap((subtask) => subtask.states)
      )
      return states.reduce((sum, state) => sum + (state.kind === "keyed" ? state.entries : 0), 0)
    }).pipe(Effect.scoped, Effect.provide(memory), Effect.runPromise)
  }

  it("I2: is there until the watermark reaches its last timestamp plus the lateness, and gone then", async () => {
    const items = [at(1), at(2), at(11)]
    for (const lateness of [0, 5]) {
      expect(await entries(lateness, items)).toBe(2)
      expect(await entries(lateness, [...items, mark(8 + lateness)])).toBe(2)
      expect(await entries(lateness, [...items, mark(9 + lateness)])).toBe(1)
      expect(await entries(lateness, [...items, mark(18 + lateness)])).toBe(1)
      expect(await entries(lateness, [...items, mark(19 + lateness)])).toBe(0)
    }
  })

  it("I2, I3: a record that is late leaves none behind", async () => {
    expect(await entries(5, [at(1), mark(14), at(2)])).toBe(0)
    expect(await entries(5, [mark(13), at(2), mark(14)])).toBe(0)
  })
})

/** the results of one tumbling window each, with their timestamps */
const fired = (size: number, lateness: number, items: ReadonlyArray<Item>) => {
  const out = emptyOut()
  const spec: Spec = { size, slide: size, offset: 0, lateness, variant: "aggregate", batchSize: 1, chaining: true }
  return Effect.map(Job.run(makeJob(spec, DataStream.fromIterable(items), out), options(spec)), () => out).pipe(
    Effect.provide(quiet),
    Effect.runPromise
  )
}

describe("the end of event time", () => {
  it("WI-16: a window near it whose cleanup time would lie beyond is not dropped by a watermark shortly before it", async () => {
    const time = Watermark.MAX - 1750
    const [{ end, start }] = Window.assign(Window.tumbling(1000), time)
    expect(end - 1).toBeGreaterThan(Watermark.MAX - 1500)
    expect(end).toBeLessThan(Watermark.MAX)
    const out = await fired(1000, 2000, [
      at(time, "1"),
      mark(Watermark.MAX - 1500),
      mark(end - 1),
      at(time, "2"),
      mark(Watermark.MAX - 1),
      at(time, "3")
    ])
    expect(out).toEqual({
      results: [`${start}..${end} a,1 @${end - 1}`, `${start}..${end} a,1,2 @${end - 1}`, `${start}..${end} a,1,2,3 @${end - 1}`],
      late: []
    })
  })

  it("I1, WI-16: a record in a window that ends beyond it still has a result, or counts as late: none is lost in silence", async () => {
    const out = await fired(1000, 0, [at(Watermark.MAX - 1)])
    expect(out.results.length + out.late.length).toBe(1)
  })
})

describe("what a window gives out", () => {
  it("I2: stays as it was when a late record makes the window fire again", async () => {
    const results: Array<ReadonlyArray<string>> = []
    const items = [at(1, "1"), mark(20), at(2, "2")]
    const source = DataStream.fromIterable(items).pipe(
      DataStream.assignTimestamps((item) => item.value?.at ?? 0, WatermarkStrategy.punctuated((item) => item.watermark)),
      DataStream.filterMap((item) => Option.fromNullable(item.value)),
      DataStream.map(({ v }) => v),
      KeyedStream.keyBy(() => "all"),
      WindowedStream.window(Window.tumbling(10)),
      WindowedStream.allowedLateness(100),
      WindowedStream.process((elements) => [elements])
    )
    await Effect.runPromise(
      Job.run(Job.make("kept", DataStream.runForEach(source, (all) => void results.push(all)))).pipe(Effect.provide(quiet))
    )
    expect(results).toEqual([[",1"], [",1", ",2"]])
  })

  it("a record without a timestamp fails the job with the operator's name and the way out", async () => {
    const exit = await Effect.runPromise(
      Effect.exit(DataStream.runCollect(
        DataStream.range(1, 3).pipe(
          KeyedStream.keyBy(() => "all"),
          WindowedStream.window(Window.tumbling(10)),
          WindowedStream.aggregate(Aggregator.count),
          DataStream.named("hourly")
        )
      )).pipe(Effect.provide(quiet))
    )
    expect(exit).toMatchObject({
      _tag: "Failure",
      cause: {
        error: { _tag: "JobFailed", message: expect.stringMatching(/hourly: a record without a timestamp.*DataStream\.assignTimestamps/) }
      }
    })
  })
})

describe("I4: after a restore, what was late before is late still", () => {
  /** two subtasks: one whose split ends at once, one that goes on past the savepoint */
  const uneven = (splits: ReadonlyArray<ReadonlyArray<Item>>, cut: number) => {
    const reached = Deferred.unsafeMake<void>(FiberId.none)
    const stream = DataStream.fromSource(
      DataSource.make({
        name: "uneven",
        splits: Effect.succeed(splits.map((_, i) => i)),
        read: (split: number, position: number | undefined) =>
          Effect.sync((): DataSource.SplitReader<Item, number> => {
            let at = position ?? 0
            const until = split === 0 ? splits[0].length : cut
            return {
              poll: (max) => {
                const values = splits[split].slice(at, Math.min(at + max, until))
                at += values.length
                return values.length === 0 ? undefined : { values, position: at }
              },
              fetch: Effect.suspend(() => {
                if (until === splits[split].length) return Effect.succeed(false)
                Deferred.unsafeDone(reached, Effect.void)
                return Effect.never
              })
            }
          })
      }),
      { uid: "uneven", parallelism: 2 }
    ).pipe(
      DataStream.assignTimestamps((item) => item.value?.at ?? 0, WatermarkStrategy.punctuated((item) => item.watermark)),
      DataStream.uid("timestamps"),
      DataStream.parallelism(2),
      DataStream.filterMap((item) => Option.fromNullable(item.value)),
      DataStream.parallelism(2),
      KeyedStream.keyBy((value) => value.key),
      WindowedStream.window(Window.tumbling(10)),
      WindowedStream.lateOutput(lateTag),
      WindowedStream.aggregate(joined, (vs, { key, window }) => describeWindow(key, window, vs)),
      DataStream.uid("window"),
      DataStream.parallelism(1)
    )
    return { stream, reached: Deferred.await(reached) }
  }

  const collect = (stream: DataStream.DataStream<string>, out: Out) =>
    Job.make(
      "uneven",
      DataStream.runForEach(stream, (result) => void out.results.push(result)),
      DataStream.runForEach(DataStream.sideOutput(stream, lateTag), ({ v }) => void out.late.push(v))
    )

  it.each<readonly [string, JobOptions.JobOptions]>([
    ["has finished", {}],
    ["has ended and waits for its final checkpoint", { checkpoint: { interval: "1 hour" } }]
  ])("also where one subtask of the source %s: no window fires a second time", async (_, options) => {
    const splits = [[], [at(1, "1"), mark(20), at(2, "late"), at(25, "2")]]
    const first = emptyOut()
    const second = emptyOut()
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const { reached, stream } = uneven(splits, 2)
        const handle = yield* Job.start(collect(stream, first), options)
        yield* reached
        // the other subtask has ended, and the window has fired
        yield* until(() => first.results.length > 0)
        yield* handle.stopWithSavepoint()
        yield* Job.run(collect(uneven(splits, 4).stream, second), options)
      })).pipe(Effect.provide(memory))
    )
    expect(first).toEqual({ results: ["0..10 a,1"], late: [] })
    expect(second).toEqual({ results: ["20..30 a,2"], late: [",late"] })
  })

  it.each<readonly [string, lateness: number, after: Out]>([
    ["no window fires a second time", 0, { results: ["20..30 a,2"], late: [",late"] }],
    ["within the allowed lateness the window fires again with all its records", 100, {
      results: ["0..10 a,1,late", "20..30 a,2"],
      late: []
    }]
  ])("also where it was in an asynchronous operator when the savepoint was taken: %s", async (_, lateness, after) => {
    const items = [at(1, "1"), mark(20), at(2, "late"), at(25, "2")]
    let called = 0
    const job = (cut: number, lookup: (v: string) => Effect.Effect<void>, out: Out) => {
      const { reached, stream } = tape(items, cut)
      const windows = stream.pipe(
        DataStream.assignTimestamps((item) => item.value?.at ?? 0, WatermarkStrategy.punctuated((item) => item.watermark)),
        DataStream.filterMap((item) => Option.fromNullable(item.value)),
        DataStream.mapEffect((value) => Effect.as(lookup(value.v), value)),
        DataStream.uid("lookup"),
        KeyedStream.keyBy((value) => value.key),
        WindowedStream.window(Window.tumbling(10)),
        WindowedStream.allowedLateness(lateness),
        WindowedStream.lateOutput(lateTag),
        WindowedStream.aggregate(joined, (vs, { key, window }) => describeWindow(key, window, vs)),
        DataStream.uid("window")
      )
      return { job: collect(windows, out), reached }
    }
    const first = emptyOut()
    const second = emptyOut()
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const { job: one, reached } = job(3, (v) => Effect.suspend(() => v === ",late" ? (called++, Effect.never) : Effect.void), first)
        const handle = yield* Job.start(one)
        yield* reached
        yield* until(() => called === 1 && first.results.length > 0)
        yield* handle.stopWithSavepoint()
        yield* Job.run(job(4, () => Effect.void, second).job)
      })).pipe(Effect.provide(memory))
    )
    expect(first).toEqual({ results: ["0..10 a,1"], late: [] })
    expect(second).toEqual(after)
  })

  it("also where an input that was idle comes back first: event time does not go back, and no window fires a second time", async () => {
    const first = emptyOut()
    const second = emptyOut()
    /** one input with watermarks, and one that is idle at once */
    const job = (busy: ReadonlyArray<Item>, dozing: ReadonlyArray<Item>, out: Out) => {
      const timed = (name: string, items: ReadonlyArray<Item>, strategy: WatermarkStrategy.WatermarkStrategy<Item>) =>
        DataStream.fromStream(Stream.concat(Stream.fromIterable(items), Stream.never)).pipe(
          DataStream.uid(name),
          DataStream.assignTimestamps((item) => item.value?.at ?? 0, strategy),
          DataStream.uid(`${name} timestamps`)
        )
      const punctuated = WatermarkStrategy.punctuated((item: Item) => item.watermark)
      return collect(
        DataStream.union(timed("busy", busy, punctuated), timed("dozing", dozing, punctuated.pipe(WatermarkStrategy.withIdleness(1)))).pipe(
          DataStream.filterMap((item) => Option.fromNullable(item.value)),
          KeyedStream.keyBy((value) => value.key),
          WindowedStream.window(Window.tumbling(10)),
          WindowedStream.lateOutput(lateTag),
          WindowedStream.aggregate(joined, (vs, { key, window }) => describeWindow(key, window, vs)),
          DataStream.uid("window")
        ),
        out
      )
    }
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const busy = [at(1, "1"), mark(20)]
        const one = yield* Job.start(job(busy, [], first))
        yield* until(() => first.results.length > 0)
        yield* one.stopWithSavepoint()
        const two = yield* Job.start(job([...busy, at(3, "too"), at(25, "2"), mark(40)], [mark(4), at(2, "late")], second))
        yield* until(() => second.late.length + second.results.length >= 3)
        yield* two.cancel
      })).pipe(Effect.provide(memory))
    )
    expect(first).toEqual({ results: ["0..10 a,1"], late: [] })
    expect([...second.results, ...second.late].sort()).toEqual([",late", ",too", "20..30 a,2"])
  })

  it("also where a subtask has nothing to say before another one's late record comes", async () => {
    const splits = [[at(3, "0"), mark(20), at(4, "late")], [at(1, "1"), mark(20)]]
    const first = emptyOut()
    const second = emptyOut()
    const job = (cut: number, out: Out) => {
      let reached = 0
      const stream = DataStream.fromSource(
        DataSource.make({
          name: "two",
          splits: Effect.succeed([0, 1]),
          read: (split: number, position: number | undefined) =>
            Effect.sync((): DataSource.SplitReader<Item, number> => {
              let n = position ?? 0
              const rows = splits[split].slice(0, cut)
              return {
                poll: () => n < rows.length ? { values: [rows[n++]], position: n } : undefined,
                fetch: Effect.suspend(() => {
                  reached++
                  return Effect.never
                }).pipe(Effect.whenEffect(Effect.sync(() => n >= rows.length)), Effect.as(true))
              }
            })
        }),
        { uid: "two", parallelism: 2 }
      ).pipe(
        DataStream.assignTimestamps((item) => item.value?.at ?? 0, WatermarkStrategy.punctuated((item) => item.watermark)),
        DataStream.uid("timestamps"),
        DataStream.parallelism(2),
        DataStream.filterMap((item) => Option.fromNullable(item.value)),
        DataStream.parallelism(2),
        KeyedStream.keyBy((value) => value.key),
        WindowedStream.window(Window.tumbling(10)),
        WindowedStream.lateOutput(lateTag),
        WindowedStream.aggregate(joined, (vs, { key, window }) => describeWindow(key, window, vs)),
        DataStream.uid("window"),
        DataStream.parallelism(1)
      )
      return { job: collect(stream, out), reached: until(() => reached === 2) }
    }
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const one = job(2, first)
        const handle = yield* Job.start(one.job)
        yield* one.reached
        yield* until(() => first.results.length > 0)
        yield* handle.stopWithSavepoint()
        const two = yield* Job.start(job(3, second).job)
        yield* until(() => second.late.length + second.results.length > 0)
        yield* two.stopWithSavepoint({ drain: true })
      })).pipe(Effect.provide(memory))
    )
    expect(first.results).toHaveLength(1)
    expect(second).toEqual({ results: [], late: [",late"] })
  })
})
