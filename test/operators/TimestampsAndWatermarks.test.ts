/** Event time: timestamps, when which watermark follows, and when an input counts as idle. */
import { it } from "@effect/vitest"
import { Cause, Effect, Exit, FastCheck as fc, Layer, Logger, Stream, TestClock, TestContext } from "effect"
import type { StreamOperator } from "sluice"
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
import { describe, expect } from "vitest"

const quiet = Logger.remove(Logger.defaultLogger)

const memory = Layer.merge(CheckpointStorage.layerMemory, quiet)

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** lets all that can run now run */
const settle = Effect.repeatN(turn, 20)

/** waits for what other fibers do, and fails rather than hang */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    const deadline = performance.now() + 5000
    while (!holds()) {
      if (performance.now() > deadline) throw new Error("it never came")
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  })

const failureOf = (exit: unknown) => Exit.isExit(exit) && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit

const written = (timestamp: number) => timestamp === Watermark.MAX ? "MAX" : `${timestamp}`

/** writes down all that passes */
const probe = <A>(log: Array<string>) =>
  Effect.sync((): StreamOperator.StreamOperator<A, A> => ({
    processElement: ({ timestamp, value }, out) => {
      log.push(`@${timestamp === undefined ? "none" : written(timestamp)}`)
      out.emit(value, timestamp)
    },
    processWatermark: (watermark, out) => {
      log.push(`W${written(watermark)}`)
      out.emitWatermark(watermark)
    },
    processWatermarkStatus: (idle, out) => {
      log.push(idle ? "IDLE" : "ACTIVE")
      out.emitStatus(idle)
    }
  }))

/** A source that gives what is put into it, and ends when it is told to. */
const feed = <A>() => {
  const items: Array<A> = []
  let ended = false
  let waiting = () => {}
  const pull: Effect.Effect<A, boolean> = Effect.suspend(() =>
    at < items.length ? Effect.succeed(items[at++]) : ended ? Effect.fail(true) : wait
  )
  let at = 0
  const wait = Effect.async<void>((resume) => {
    waiting = () => resume(Effect.void)
  }).pipe(Effect.flatMap(() => pull))
  return {
    stream: DataStream.fromStream(Stream.repeatEffect(pull).pipe(Stream.catchAll(() => Stream.empty))),
    put: (...more: ReadonlyArray<A>) => {
      items.push(...more)
      waiting()
    },
    end: () => {
      ended = true
      waiting()
    }
  }
}

type Kind = "monotonic" | "bounded" | "punctuated" | "none"

interface Row {
  readonly at: number
  readonly watermark: number | undefined
}

const runs = Number(process.env.SLUICE_RUNS ?? 200)

describe("watermarks", () => {
  it(
    `WM-14, WM-16, L10: ${runs} random streams: timestamps pass, a watermark follows its batch, one of a record follows it at once, none goes back`,
    {
      timeout: 300_000
    },
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.record({
              at: fc.oneof(
                { weight: 8, arbitrary: fc.integer({ min: -50, max: 50 }) },
                { weight: 1, arbitrary: fc.constantFrom(Watermark.MIN, Watermark.MIN + 1, Watermark.MAX - 1, Watermark.MAX) }
              ),
              watermark: fc.option(fc.integer({ min: -60, max: 60 }), { nil: undefined })
            }),
            { maxLength: 30 }
          ),
          fc.constantFrom<Kind>("monotonic", "bounded", "punctuated", "none"),
          fc.integer({ min: 0, max: 20 }),
          fc.constantFrom(1, 2, 5, 64),
          fc.boolean(),
          fc.boolean(),
          async (rows, kind, bound, batchSize, chaining, bySource) => {
            const strategy: WatermarkStrategy.WatermarkStrategy<Row> = kind === "monotonic"
              ? WatermarkStrategy.monotonic
              : kind === "bounded"
              ? WatermarkStrategy.boundedOutOfOrderness(bound)
              : kind === "none"
              ? WatermarkStrategy.none
              : WatermarkStrategy.punctuated((row) => row.watermark)
            const expected: Array<string> = []
            let highest = -Infinity
            let last: number = Watermark.MIN
            const advance = (watermark: number) => {
              if (watermark <= last) return
              last = watermark
              expected.push(`W${written(watermark)}`)
            }
            rows.forEach(({ at, watermark }, i) => {
              expected.push(`@${written(at)}`)
              highest = Math.max(highest, at)
              if (kind === "punctuated" && watermark !== undefined) advance(watermark)
              if ((i + 1) % batchSize !== 0 && i + 1 < rows.length) return
              if (kind === "monotonic") advance(highest - 1)
              if (kind === "bounded") advance(highest - bound - 1)
            })
            expected.push("WMAX")
            const log: Array<string> = []
            const timed = bySource
              ? DataStream.fromSource(
                DataSource.make({
                  name: "timed",
                  splits: Effect.succeed([0]),
                  read: (_: number, __: number | undefined) =>
                    Effect.sync((): DataSource.SplitReader<Row, number> => {
                      let at = 0
                      return {
                        poll: (max) => {
                          const values = rows.slice(at, at += max)
                          return values.length === 0 ? undefined : { values, timestamps: values.map((row) => row.at), position: at }
                        },
                        fetch: Effect.sync(() => at < rows.length)
                      }
                    })
                }),
                { watermarks: strategy }
              )
              : DataStream.assignTimestamps(DataStream.fromIterable(rows), (row) => row.at, strategy)
            await Effect.runPromise(
              DataStream.runCollect(timed.pipe(DataStream.transform("probe", probe(log))), { batchSize, chaining })
                .pipe(
                  Effect.provide(quiet)
                )
            )
            expect(log).toEqual(expected)
          }
        ),
        { numRuns: runs }
      )
  )

  it("WM-16: out of order by 10 ms at the most: nothing before any record; after 1337 it is 1326; after 12345 and others 12334", async () => {
    const log: Array<string> = []
    const stream = DataStream.fromIterable([1337, 12345, 12300, 12340, 12280, 723456, 723456]).pipe(
      DataStream.assignTimestamps((at) => at, WatermarkStrategy.boundedOutOfOrderness("10 millis")),
      DataStream.transform("probe", probe(log))
    )
    await Effect.runPromise(DataStream.runCollect(stream, { batchSize: 1 }).pipe(Effect.provide(quiet)))
    expect(log.filter((each) => each.startsWith("W"))).toEqual(["W1326", "W12334", "W723445", "WMAX"])
  })

  it("WM-14: watermarks from upstream go no further, but the last one does, once", async () => {
    const log: Array<string> = []
    const stream = DataStream.fromIterable([10, 20, 30]).pipe(
      DataStream.assignTimestamps((at) => at, WatermarkStrategy.monotonic),
      DataStream.assignTimestamps((at) => -at, WatermarkStrategy.punctuated((at, timestamp) => at === 20 ? timestamp : undefined)),
      DataStream.transform("probe", probe(log))
    )
    await Effect.runPromise(DataStream.runCollect(stream, { batchSize: 1 }).pipe(Effect.provide(quiet)))
    expect(log).toEqual(["@-10", "@-20", "W-20", "@-30", "WMAX"])
  })

  it("WM-14: statuses from upstream go no further either", async () => {
    const log: Array<string> = []
    const dozing: StreamOperator.StreamOperator<number, number> = {
      processElement: ({ timestamp, value }, out) => {
        out.emitStatus(false)
        out.emit(value, timestamp)
        out.emitStatus(true)
      }
    }
    const stream = DataStream.range(1, 2).pipe(
      DataStream.transform("dozing", Effect.succeed(dozing)),
      DataStream.assignTimestamps((at) => at, WatermarkStrategy.punctuated((at) => at)),
      DataStream.transform("probe", probe(log))
    )
    await Effect.runPromise(DataStream.runCollect(stream).pipe(Effect.provide(quiet)))
    expect(log).toEqual(["@1", "W1", "@2", "W2", "WMAX"])
  })

  it.each<readonly [string, (row: { readonly at?: number }) => any, string]>([
    ["undefined", (row) => row.at, "undefined"],
    ["NaN", () => new Date("no date").getTime(), "NaN"],
    ["Infinity, which would end event time", () => 1 / 0, "Infinity"],
    ["a text", () => "2001-01-01", "2001-01-01"],
    ["a Date", () => new Date(0), "1970"]
  ])("a timestamp that is %s fails the job with the operator's name, what it got and what to do", async (_, timestampOf, got) => {
    const stream = DataStream.fromIterable([{}]).pipe(
      DataStream.assignTimestamps(timestampOf, WatermarkStrategy.monotonic),
      DataStream.named("event time")
    )
    const exit = await Effect.runPromise(Effect.exit(DataStream.runCollect(stream)).pipe(Effect.provide(quiet)))
    expect(failureOf(exit)).toMatchObject({
      _tag: "JobFailed",
      message: expect.stringMatching(
        new RegExp(`event time: a record has no timestamp \\(got [^)]*${got}.*give assignTimestamps a function`)
      )
    })
  })

  it("a source that is asked for watermarks and gives no timestamps fails the job likewise", async () => {
    const source = DataSource.make({
      name: "untimed",
      splits: Effect.succeed([0]),
      read: (_: number, __: number | undefined) =>
        Effect.sync((): DataSource.SplitReader<number, number> => {
          let n = 0
          return { poll: () => n < 1 ? { values: [n++], position: n } : undefined, fetch: Effect.sync(() => n < 1) }
        })
    })
    const exit = await Effect.runPromise(
      Effect.exit(DataStream.runCollect(DataStream.fromSource(source, { watermarks: WatermarkStrategy.monotonic }))).pipe(
        Effect.provide(quiet)
      )
    )
    expect(failureOf(exit)).toMatchObject({
      _tag: "JobFailed",
      message: expect.stringContaining("watermarks: a record has no timestamp (got undefined)")
    })
  })
})

/** records with the time that they carry; statuses and watermarks of the operator that gives them event time */
const idling = (log: Array<string>, stream: DataStream.DataStream<number>, strategy: WatermarkStrategy.WatermarkStrategy<number>) =>
  stream.pipe(
    DataStream.uid("feed"),
    DataStream.assignTimestamps((at) => at, strategy),
    DataStream.uid("timestamps"),
    DataStream.transform("probe", probe(log))
  )

const afterASecond = WatermarkStrategy.monotonic.pipe(WatermarkStrategy.withIdleness("1 second"))

describe("idleness", () => {
  it.effect("WM-04: an input is idle once nothing came for the timeout, and active again before the next record; each is told once", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { end, put, stream } = feed<number>()
      const handle = yield* Job.start(Job.make("idle", DataStream.runForEach(idling(log, stream, afterASecond), () => {})))
      yield* settle
      yield* TestClock.adjust(999)
      yield* settle
      expect(log).toEqual([])
      yield* TestClock.adjust(1)
      yield* settle
      expect(log).toEqual(["IDLE"])
      yield* TestClock.adjust("10 seconds")
      yield* settle
      expect(log).toEqual(["IDLE"])
      put(5, 7)
      yield* until(() => log.length === 6)
      expect(log.splice(0)).toEqual(["IDLE", "ACTIVE", "@5", "W4", "@7", "W6"])
      // looked at once a second: idle after one second without a record, at the latest after two
      yield* TestClock.adjust(999)
      yield* settle
      expect(log).toEqual([])
      yield* TestClock.adjust(1001)
      yield* settle
      expect(log).toEqual(["IDLE"])
      end()
      yield* handle.await
      expect(log).toEqual(["IDLE", "WMAX"])
    }).pipe(Effect.scoped, Effect.provide(quiet)))

  it("WM-04: at any pace: not idle before the timeout is over, idle after twice that, and never idle with a record", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.constant("record" as const), fc.integer({ min: 1, max: 2500 })), { maxLength: 15 }),
        (steps) =>
          Effect.gen(function*() {
            const log: Array<string> = []
            const { put, stream } = feed<number>()
            const handle = yield* Job.start(Job.make("pace", DataStream.runForEach(idling(log, stream, afterASecond), () => {})))
            yield* settle
            let quietFor = 0
            let records = 0
            const status = () => log.findLast((each) => each === "IDLE" || each === "ACTIVE") ?? "ACTIVE"
            for (const step of steps) {
              if (step === "record") {
                put(++records)
                yield* until(() => log.filter((each) => each.startsWith("@")).length === records)
                quietFor = 0
                expect(status()).toBe("ACTIVE")
              } else {
                yield* TestClock.adjust(step)
                yield* settle
                quietFor += step
                if (quietFor < 1000) expect(status()).toBe("ACTIVE")
                if (quietFor >= 2000) expect(status()).toBe("IDLE")
              }
            }
            const statuses = log.filter((each) => each === "IDLE" || each === "ACTIVE")
            expect(statuses).toEqual(statuses.map((_, i) => i % 2 === 0 ? "IDLE" : "ACTIVE"))
            yield* handle.cancel
          }).pipe(Effect.scoped, Effect.provide([quiet, TestContext.TestContext]), Effect.runPromise)
      ),
      { numRuns: 25 }
    ))

  it.effect("WM-15: an input that is held back is not idle, however long; it is once it is let go and nothing comes", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let open = false
      const stream = DataStream.fromStream(Stream.concat(Stream.range(1, 100), Stream.never))
      const job = Job.make(
        "held back",
        idling(log, stream, afterASecond).pipe(
          DataStream.mapEffect((n) => Effect.suspend(() => open ? Effect.succeed(n) : Effect.as(until(() => open), n)), { concurrency: 1 }),
          DataStream.runForEach(() => {})
        )
      )
      const handle = yield* Job.start(job, { batchSize: 10 })
      yield* until(() => log.includes("@10"))
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      expect(log).not.toContain("IDLE")
      open = true
      yield* until(() => log.includes("@100"))
      yield* TestClock.adjust("2 seconds")
      yield* settle
      expect(log.filter((each) => each === "IDLE")).toHaveLength(1)
      yield* handle.cancel
    }).pipe(Effect.scoped, Effect.provide(quiet)))

  it.effect("WM-15: nor is one whose reader, in another task, takes no more", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let open = false
      const job = Job.make(
        "blocked",
        idling(log, DataStream.range(1, 1e9), afterASecond).pipe(
          DataStream.tap(() => Effect.suspend(() => open ? Effect.void : until(() => open))),
          DataStream.disableChaining,
          DataStream.runForEach(() => {})
        )
      )
      const handle = yield* Job.start(job, { batchSize: 1 })
      yield* until(() => log.length > 0)
      yield* settle
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      expect(log).not.toContain("IDLE")
      open = true
      yield* handle.cancel
    }).pipe(Effect.scoped, Effect.provide(quiet)))

  const late = OutputTag.make<number>("late")

  /** windows of 10 ms over two inputs */
  const both = (out: Array<string>, lates: Array<number>, a: DataStream.DataStream<number>, b: DataStream.DataStream<number>) => {
    const windows = DataStream.union(a, b).pipe(
      KeyedStream.keyBy(() => "all"),
      WindowedStream.window(Window.tumbling(10)),
      WindowedStream.lateOutput(late),
      WindowedStream.aggregate(Aggregator.count, (n, { window }) => `${window.start}: ${n}`)
    )
    return Job.make(
      "both",
      DataStream.runForEach(windows, (each) => void out.push(each)),
      DataStream.runForEach(DataStream.sideOutput(windows, late), (at) => void lates.push(at))
    )
  }

  it.effect("L10: an idle input does not hold the others back, one without idleness does", () =>
    Effect.gen(function*() {
      for (const strategy of [afterASecond, WatermarkStrategy.monotonic]) {
        const out: Array<string> = []
        const lates: Array<number> = []
        const a = feed<number>()
        const b = feed<number>()
        const timed = (stream: DataStream.DataStream<number>, strategy: WatermarkStrategy.WatermarkStrategy<number>) =>
          DataStream.assignTimestamps(stream, (at) => at, strategy)
        const handle = yield* Job.start(both(out, lates, timed(a.stream, WatermarkStrategy.monotonic), timed(b.stream, strategy)))
        a.put(1, 2, 15)
        yield* settle
        expect(out).toEqual([])
        yield* TestClock.adjust("1 second")
        yield* settle
        if (strategy === afterASecond) {
          expect(out).toEqual(["0: 2"])
          // it comes back behind the others, and is late
          b.put(5, 16)
          yield* until(() => lates.length === 1)
          // it takes part again once it has caught up
          yield* settle
          expect(lates).toEqual([5])
        } else {
          expect(out).toEqual([])
          b.put(5, 16)
          yield* until(() => out.length === 1)
          expect(out).toEqual(["0: 3"])
        }
        a.end()
        b.end()
        yield* handle.await
        expect(out.at(-1)).toBe("10: 2")
      }
    }).pipe(Effect.scoped, Effect.provide(quiet)))

  it.effect("L10: where all inputs are idle, the furthest of them counts; the last watermark ends event time all the same", () =>
    Effect.gen(function*() {
      const out: Array<string> = []
      const a = feed<number>()
      const b = feed<number>()
      const timed = (stream: DataStream.DataStream<number>) => DataStream.assignTimestamps(stream, (at) => at, afterASecond)
      const handle = yield* Job.start(both(out, [], timed(a.stream), timed(b.stream)))
      a.put(1, 15)
      b.put(3)
      yield* settle
      expect(out).toEqual([])
      yield* TestClock.adjust("2 seconds")
      yield* settle
      expect(out).toEqual(["0: 2"])
      a.end()
      b.end()
      yield* handle.await
      expect(out).toEqual(["0: 2", "10: 1"])
    }).pipe(Effect.scoped, Effect.provide(quiet)))
})

describe("after a restore", () => {
  it.effect("event time goes on where it was: its watermark comes before the first record, however late that is", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const strategy = WatermarkStrategy.monotonic
      const run = (stream: DataStream.DataStream<number>, seen: number) =>
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* Job.start(Job.make("resume", DataStream.runForEach(idling(log, stream, strategy), () => {})), {
            batchSize: 1
          })
          yield* until(() => log.length >= seen)
          yield* settle
          yield* handle.stopWithSavepoint()
        }))
      yield* run(DataStream.fromStream(Stream.concat(Stream.make(20, 10), Stream.never)), 3)
      expect(log.splice(0)).toEqual(["@20", "W19", "@10"])
      yield* run(DataStream.fromStream(Stream.concat(Stream.make(20, 10, 5, 30), Stream.never)), 4)
      expect(log.splice(0)).toEqual(["W19", "@5", "@30", "W29"])
      // nothing came in between: it is not forgotten
      yield* run(DataStream.fromStream(Stream.concat(Stream.make(20, 10, 5, 30), Stream.never)), 0)
      expect(log.splice(0)).toEqual([])
      yield* run(DataStream.fromStream(Stream.concat(Stream.make(20, 10, 5, 30, 1), Stream.never)), 2)
      expect(log).toEqual(["W29", "@1"])
    }).pipe(Effect.provide(memory)))

  it.effect("event time goes on where it was also if the input was idle before the first record came", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const stream = DataStream.fromStream(Stream.concat(Stream.make(20), Stream.never))
        const handle = yield* Job.start(Job.make("resume", DataStream.runForEach(idling(log, stream, afterASecond), () => {})))
        yield* until(() => log.includes("W19"))
        return yield* handle.stopWithSavepoint()
      }))
      expect(first.id).toBe(1)
      log.length = 0
      yield* Effect.scoped(Effect.gen(function*() {
        let come = false
        const stream = DataStream.fromStream(
          Stream.make(20).pipe(
            Stream.concat(Stream.fromEffect(Effect.suspend(() => come ? Effect.succeed(5) : Effect.as(until(() => come), 5)))),
            Stream.concat(Stream.never)
          )
        )
        const handle = yield* Job.start(Job.make("resume", DataStream.runForEach(idling(log, stream, afterASecond), () => {})))
        yield* settle
        yield* TestClock.adjust("2 seconds")
        yield* settle
        expect(log).toContain("IDLE")
        come = true
        yield* until(() => log.includes("@5"))
        yield* settle
        yield* handle.cancel
      }))
      expect(log).toContain("W19")
      expect(log.indexOf("W19")).toBeLessThan(log.indexOf("@5"))
    }).pipe(Effect.provide(memory)))

  it("L10: at another parallelism, with the least of what subtasks had reached", async () => {
    const logs = new Map<number, Array<string>>()
    const source = (more: boolean) =>
      DataStream.fromSource(
        DataSource.make({
          name: "two",
          splits: Effect.succeed([[10, 11], [30, 31]]),
          read: (rows: ReadonlyArray<number>, position: number | undefined) =>
            Effect.sync((): DataSource.SplitReader<number, number> => {
              let at = position ?? 0
              const to = more ? 2 : 1
              return {
                poll: () => at < to ? { values: [rows[at++]], position: at } : undefined,
                fetch: Effect.suspend(() => at < to ? Effect.succeed(true) : more ? Effect.succeed(false) : Effect.never)
              }
            })
        }),
        { uid: "two" }
      ).pipe(
        DataStream.assignTimestamps((at) => at, WatermarkStrategy.monotonic),
        DataStream.uid("timestamps"),
        DataStream.transform(
          "probe",
          Effect.suspend(() => {
            const log: Array<string> = []
            return Effect.map(probe<number>(log), (operator): StreamOperator.StreamOperator<number, number> => ({
              ...operator,
              setup: (ctx) => void logs.set(ctx.subtask, log)
            }))
          })
        )
      )
    const job = (more: boolean) => Job.make("two", DataStream.runForEach(source(more), () => {}))
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job(false), { parallelism: 2, maxParallelism: 4 })
        yield* until(() => logs.size === 2 && Array.from(logs.values()).every((log) => log.length === 2))
        expect(logs.get(0)).toEqual(["@10", "W9"])
        expect(logs.get(1)).toEqual(["@30", "W29"])
        yield* handle.stopWithSavepoint()
        yield* Job.run(job(true), { parallelism: 1, maxParallelism: 4, batchSize: 1 })
      })).pipe(Effect.provide(memory))
    )
    expect(logs.get(0)).toEqual(["W9", "@11", "W10", "@31", "W30", "WMAX"])
  })
})
