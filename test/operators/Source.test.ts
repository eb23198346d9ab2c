/** Sources: how splits are dealt out, read, left and taken up again; and the sources that come with the language. */
import { it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Context,
  Deferred,
  Effect,
  Exit,
  FastCheck as fc,
  FiberId,
  Layer,
  Logger,
  Schedule,
  Schema,
  Stream,
  TestClock
} from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, DataSource, DataStream, Job, Lifecycle, OutputTag } from "sluice"
import { describe, expect } from "vitest"

const quiet = Logger.remove(Logger.defaultLogger)

const memory = Layer.merge(CheckpointStorage.layerMemory, quiet)

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** lets all that can run now run */
const settle = Effect.repeatN(turn, 15)

/** waits for what other fibers do, and fails rather than hang */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    const deadline = performance.now() + 5000
    while (!holds()) {
      if (performance.now() > deadline) throw new Error("it never came")
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  })

/** fails where an Effect hangs */
const ends = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.raceFirst(Effect.exit(effect), Effect.promise(() => new Promise<"hangs">((resolve) => setTimeout(resolve, 2000, "hangs"))))

const ascending = (a: number, b: number) => a - b

const failureOf = (exit: unknown) => Exit.isExit(exit) && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit

interface Row {
  readonly split: number
  readonly i: number
}

/** what happens to the splits of a source, over all its subtasks, attempts and runs */
class Reading {
  lists = 0
  readonly reads: Array<{ readonly split: number; readonly position: number | undefined }> = []
  /** readers whose Scope is open */
  readonly open = new Set<number>()
  readonly log: Array<string> = []
  readonly interrupted: Array<number> = []
  /** records that may still be given in this run */
  left = Infinity
  reached = Deferred.unsafeMake<void>(FiberId.none)

  /** rows 0 to `sizes[s]` of split `s`; `perFetch` come to hand at a time */
  readonly source = (sizes: ReadonlyArray<number>, perFetch: number) =>
    DataSource.make({
      name: "rows",
      splits: Effect.sync(() => {
        this.lists++
        return sizes.map((size, split) => ({ split, size }))
      }),
      split: Schema.Struct({ split: Schema.Number, size: Schema.Number }),
      position: Schema.NumberFromString,
      read: ({ size, split }, position: number | undefined) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            this.reads.push({ split, position })
            this.log.push(`open ${split}`)
            this.open.add(split)
          }),
          () =>
            Effect.sync(() => {
              this.log.push(`close ${split}`)
              this.open.delete(split)
            })
        ).pipe(Effect.map((): DataSource.SplitReader<Row, number> => {
          let at = position ?? 0
          let ready = at
          return {
            poll: (max) => {
              const take = Math.min(max, ready - at, this.left)
              if (take <= 0) return undefined
              this.left -= take
              const values = Array.from({ length: take }, (_, n) => ({ split, i: at + n }))
              at += take
              return { values, position: at }
            },
            fetch: Effect.suspend(() => {
              if (at === size) return Effect.succeed(false)
              ready = Math.min(size, at + perFetch)
              if (this.left > 0) return Effect.as(turn, true)
              Deferred.unsafeDone(this.reached, Effect.void)
              return Effect.never
            }).pipe(Effect.onInterrupt(() => Effect.sync(() => void this.interrupted.push(split))))
          }
        }))
    })
}

interface Seen extends Row {
  readonly subtask: number
}

/** writes down which subtask gives which row */
const watching = (out: Array<Seen>) =>
  Effect.sync((): StreamOperator.StreamOperator<Row, Row> => {
    let subtask = -1
    return {
      setup: (ctx) => {
        subtask = ctx.subtask
      },
      processElement: ({ timestamp, value }, output) => {
        out.push({ ...value, subtask })
        output.emit(value, timestamp)
      }
    }
  })

const rowsJob = (reading: Reading, sizes: ReadonlyArray<number>, out: Array<Seen>, perFetch = 3) =>
  Job.make(
    "rows",
    DataStream.fromSource(reading.source(sizes, perFetch), { uid: "rows" }).pipe(
      DataStream.transform("watching", watching(out)),
      DataStream.runForEach(() => {})
    )
  )

/** the splits that a subtask gave rows of, in order */
const order = (out: ReadonlyArray<Seen>, subtask: number) => {
  const splits = out.filter((row) => row.subtask === subtask).map(({ split }) => split)
  return splits.filter((split, i) => split !== splits[i - 1])
}

const allRows = (sizes: ReadonlyArray<number>) => sizes.flatMap((size, split) => Array.from({ length: size }, (_, i) => `${split}/${i}`))

const runs = Number(process.env.SLUICE_RUNS ?? 120)

describe("splits", () => {
  it("X0: are listed once for all subtasks, and dealt out in turn: each subtask reads its own one after the other", async () => {
    const reading = new Reading()
    const out: Array<Seen> = []
    await Effect.runPromise(
      Job.run(rowsJob(reading, [4, 4, 4, 4, 4, 4, 4], out), { parallelism: 3, batchSize: 2 }).pipe(Effect.provide(quiet))
    )
    expect(reading.lists).toBe(1)
    expect([0, 1, 2].map((subtask) => order(out, subtask))).toEqual([[0, 3, 6], [1, 4], [2, 5]])
    expect(reading.reads.map(({ position }) => position)).toEqual(Array(7).fill(undefined))
  })

  it("X0: all subtasks see the same list, whatever a second look would give", async () => {
    let looks = 0
    const source = DataSource.make({
      name: "changing",
      splits: Effect.sync(() => looks++ === 0 ? [1, 2, 3, 4] : []),
      read: (split: number) =>
        Effect.sync((): DataSource.SplitReader<number, number> => {
          let given = false
          return {
            poll: () => given ? undefined : (given = true, { values: [split], position: 1 }),
            fetch: Effect.sync(() => !given)
          }
        })
    })
    const all = await Effect.runPromise(
      DataStream.runCollect(DataStream.fromSource(source), { parallelism: 4 }).pipe(Effect.provide(quiet))
    )
    expect(all.sort(ascending)).toEqual([1, 2, 3, 4])
    expect(looks).toBe(1)
  })

  it("X0: two jobs that run the same stream at the same time list for themselves", async () => {
    const reading = new Reading()
    const stream = DataStream.fromSource(reading.source([5, 5], 3))
    const both = await Effect.runPromise(
      Effect.all([DataStream.runCollect(stream), DataStream.runCollect(stream)], { concurrency: 2 }).pipe(Effect.provide(quiet))
    )
    expect(both.map((rows) => rows.length)).toEqual([10, 10])
    expect(reading.lists).toBe(2)
  })

  it("X0: an attempt that starts without state lists again; one that was restored does not", async () => {
    const reading = new Reading()
    const out: Array<Seen> = []
    let crashes = 1
    const observer = {
      observe: ({ phase }: Lifecycle.LifecycleEvent) => {
        if (phase === "finish" && crashes-- > 0) throw new Error("once")
      }
    }
    await Effect.runPromise(
      Job.run(rowsJob(reading, [3, 3], out), { parallelism: 2, restart: Schedule.recurs(1) }).pipe(
        Effect.provideService(Lifecycle.LifecycleObserver, observer),
        Effect.provide(quiet)
      )
    )
    expect(reading.lists).toBe(2)
    expect(Array.from(new Set(out.map(({ i, split }) => `${split}/${i}`))).sort()).toEqual(allRows([3, 3]))
  })

  it.each<readonly [string, ReadonlyArray<number>, number]>([
    ["no splits", [], 2],
    ["empty splits between others", [0, 3, 0, 0, 2, 0], 1],
    ["nothing but empty splits", [0, 0, 0], 2],
    ["more subtasks than splits", [3, 2], 4]
  ])("%s: all there is comes once, and the job ends", async (_, sizes, parallelism) => {
    const reading = new Reading()
    const out: Array<Seen> = []
    const result = await Effect.runPromise(
      Job.run(rowsJob(reading, sizes, out), { parallelism, checkpoint: { interval: "1 hour" } }).pipe(Effect.provide(memory))
    )
    expect(result.status).toBe("finished")
    expect(out.map(({ i, split }) => `${split}/${i}`).sort()).toEqual(allRows(sizes))
    expect(reading.open.size).toBe(0)
  })

  it(`S1, X1, X2, L11: ${runs} random sources stopped anywhere, restored at another parallelism: each row once, from where it was left`, {
    timeout: 300_000
  }, () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 6 }),
        fc.array(
          fc.record({
            parallelism: fc.integer({ min: 1, max: 3 }),
            batchSize: fc.constantFrom(1, 2, 3, 64),
            quota: fc.integer({ min: 0, max: 25 }),
            perFetch: fc.integer({ min: 1, max: 8 }),
            how: fc.constantFrom("stop", "cancel")
          }),
          { maxLength: 4 }
        ),
        fc.integer({ min: 1, max: 3 }),
        async (sizes, stops, last) => {
          const reading = new Reading()
          const given = new Map<number, number>()
          const rows: Array<string> = []
          let restored = false
          /** adds up what one run gave, and checks how it went about it */
          const account = (out: ReadonlyArray<Seen>, reads: number, parallelism: number) => {
            for (const { position, split } of reading.reads.slice(reads)) {
              // S1: from the beginning, or from the row that follows the last one
              expect(position ?? 0).toBe(given.get(split) ?? 0)
            }
            for (const { i, split, subtask } of out) {
              expect(split % parallelism).toBe(subtask)
              expect(i).toBe(given.get(split) ?? 0)
              given.set(split, i + 1)
              rows.push(`${split}/${i}`)
            }
            for (let subtask = 0; subtask < parallelism; subtask++) expect(order(out, subtask)).toEqual(order(out, subtask).sort(ascending))
            expect(reading.open.size).toBe(0)
          }
          await Effect.runPromise(
            Effect.gen(function*() {
              for (const { batchSize, how, parallelism, perFetch, quota } of stops) {
                const out: Array<Seen> = []
                const reads = reading.reads.length
                reading.left = quota
                reading.reached = Deferred.unsafeMake<void>(FiberId.none)
                yield* Effect.scoped(Effect.gen(function*() {
                  const handle = yield* Job.start(rowsJob(reading, sizes, out, perFetch), {
                    parallelism,
                    batchSize,
                    maxParallelism: 4,
                    // its end is not the last that is heard of it
                    checkpoint: { interval: "1 hour" }
                  })
                  const done = yield* Effect.raceFirst(
                    Effect.as(Deferred.await(reading.reached), false),
                    Effect.as(Effect.exit(handle.await), true)
                  )
                  if (done) return
                  yield* settle
                  if (how === "stop") yield* handle.stopWithSavepoint()
                  else {
                    yield* handle.savepoint
                    yield* handle.cancel
                  }
                }))
                account(out, reads, parallelism)
                restored = true
                if (rows.length === allRows(sizes).length) break
              }
              if (!restored || rows.length < allRows(sizes).length) {
                reading.left = Infinity
                const out: Array<Seen> = []
                const reads = reading.reads.length
                yield* Job.run(rowsJob(reading, sizes, out), { parallelism: last, maxParallelism: 4 })
                account(out, reads, last)
              }
            }).pipe(Effect.provide(memory))
          )
          expect([...rows].sort()).toEqual(allRows(sizes).sort())
          expect(reading.lists).toBe(1)
        }
      ),
      { numRuns: runs }
    ))
})

describe("a reader", () => {
  it("is closed when its split ends, before the next one is opened", async () => {
    const reading = new Reading()
    await Effect.runPromise(Job.run(rowsJob(reading, [2, 0, 3], []), { batchSize: 1 }).pipe(Effect.provide(quiet)))
    expect(reading.log).toEqual(["open 0", "close 0", "open 1", "close 1", "open 2", "close 2"])
  })

  it("S2, CA-01, L2: a cancel interrupts its fetch and then closes it, once", async () => {
    const reading = new Reading()
    reading.left = 4
    const out: Array<Seen> = []
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(rowsJob(reading, [9, 9], out), { parallelism: 2 })
        yield* Deferred.await(reading.reached)
        yield* settle
        expect(reading.interrupted).toEqual([])
        yield* handle.cancel
      })).pipe(Effect.provide(quiet))
    )
    expect(reading.interrupted.sort(ascending)).toEqual([0, 1])
    expect(reading.log.sort()).toEqual(["close 0", "close 1", "open 0", "open 1"])
    expect(out).toHaveLength(4)
  })

  it("L2: is closed also where it is canceled half way through its opening", async () => {
    const log: Array<string> = []
    const source = DataSource.make({
      name: "slow",
      splits: Effect.succeed([0]),
      read: () =>
        Effect.acquireRelease(Effect.sync(() => void log.push("acquired")), () => Effect.sync(() => void log.push("released"))).pipe(
          Effect.zipRight(Effect.never)
        )
    })
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("slow", DataStream.runForEach(DataStream.fromSource(source), () => {})))
        yield* until(() => log.length === 1)
        yield* handle.cancel
      })).pipe(Effect.provide(quiet))
    )
    expect(log).toEqual(["acquired", "released"])
  })

  it("S2: a checkpoint does not wait for its fetch, and holds what was given so far", async () => {
    const reading = new Reading()
    reading.left = 4
    const first: Array<Seen> = []
    const second: Array<Seen> = []
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(rowsJob(reading, [9], first, 5))
        yield* Deferred.await(reading.reached)
        const { id } = yield* handle.savepoint
        yield* handle.cancel
        reading.left = Infinity
        yield* Job.run(rowsJob(reading, [9], second), { restore: { savepoint: id } })
      })).pipe(Effect.provide(memory))
    )
    expect(first.map(({ i }) => i)).toEqual([0, 1, 2, 3])
    expect(second.map(({ i }) => i)).toEqual([4, 5, 6, 7, 8])
    expect(reading.reads).toEqual([{ split: 0, position: undefined }, { split: 0, position: 4 }])
  })

  it("is asked for no more than a batch", async () => {
    const asked = new Set<number>()
    const source = DataSource.make({
      name: "asked",
      splits: Effect.succeed([0]),
      read: () =>
        Effect.sync((): DataSource.SplitReader<number, number> => {
          let n = 0
          return {
            poll: (max) => {
              asked.add(max)
              return n < 3 ? { values: [n++], position: n } : undefined
            },
            fetch: Effect.sync(() => n < 3)
          }
        })
    })
    const all = await Effect.runPromise(DataStream.runCollect(DataStream.fromSource(source), { batchSize: 17 }).pipe(Effect.provide(quiet)))
    expect(all).toEqual([0, 1, 2])
    expect(Array.from(asked)).toEqual([17])
  })

  it("SO-03: gives what goes to side outputs too, a batch of nothing else included, and that is counted by the tag", async () => {
    const bad = OutputTag.make<string>("bad")
    const batches: ReadonlyArray<DataSource.SourceBatch<number, number>> = [
      { values: [1], position: 1, side: [{ tag: bad, value: "a" }] },
      { values: [], position: 2, side: [{ tag: bad, value: "b" }, { tag: bad, value: "c" }] },
      { values: [2], timestamps: [70], position: 3 }
    ]
    const source = DataSource.make({
      name: "side",
      splits: Effect.succeed([0]),
      read: () =>
        Effect.sync((): DataSource.SplitReader<number, number> => {
          let n = 0
          return { poll: () => batches[n++], fetch: Effect.sync(() => n < batches.length) }
        })
    })
    const stream = DataStream.fromSource(source)
    const out: Array<string> = []
    const counters = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(Job.make(
          "side",
          stream.pipe(
            DataStream.process({ onElement: (n, ctx) => [`${n}@${ctx.timestamp}`] }),
            DataStream.runForEach((n) => void out.push(n))
          ),
          DataStream.runForEach(DataStream.sideOutput(stream, bad), (text) => void out.push(text))
        ))
        yield* handle.await
        return (yield* handle.metrics).vertices[0].counters
      })).pipe(Effect.provide(quiet))
    )
    expect(out.sort()).toEqual(["1@undefined", "2@70", "a", "b", "c"])
    expect(counters).toEqual({ bad: 3 })
  })

  type Part = "splits" | "read" | "fetch"

  const failing = (part: Part, how: Effect.Effect<never, string>) =>
    DataStream.fromSource(
      DataSource.make({
        name: "failing",
        splits: part === "splits" ? how : Effect.succeed([0]),
        read: (_: number, __: number | undefined) =>
          part === "read" ? how : Effect.succeed<DataSource.SplitReader<number, number, string>>({ poll: () => undefined, fetch: how })
      })
    )

  it.each<Part>(["splits", "read", "fetch"])("L6: a failure of %s fails the job with the source's own error", async (part) => {
    const exit = await Effect.runPromise(
      ends(DataStream.runCollect(failing(part, Effect.fail("no disk")), { parallelism: 2 })).pipe(Effect.provide(quiet))
    )
    expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", restarts: 0, cause: { _tag: "Fail", error: "no disk" } })
  })

  it.each<Part>(["splits", "read", "fetch"])("L6: a defect of %s fails the job", async (part) => {
    const exit = await Effect.runPromise(ends(DataStream.runCollect(failing(part, Effect.die("bug")))).pipe(Effect.provide(quiet)))
    expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", cause: { _tag: "Die", defect: "bug" } })
  })

  it.each<Part>(["splits", "read", "fetch"])("CA-18: an interruption inside %s is not swallowed: the job ends", async (part) => {
    const exit = await Effect.runPromise(ends(DataStream.runCollect(failing(part, Effect.interrupt))).pipe(Effect.provide(quiet)))
    expect(exit).not.toBe("hangs")
    expect(exit).toMatchObject({ _tag: "Failure" })
  })

  it("L6: a poll that throws fails the job", async () => {
    const thrown = new Error("broken reader")
    const source = DataSource.make({
      name: "throwing",
      splits: Effect.succeed([0]),
      read: (_: number, __: number | undefined) =>
        Effect.succeed<DataSource.SplitReader<number, number>>({
          poll: () => {
            throw thrown
          },
          fetch: Effect.succeed(true)
        })
    })
    const exit = await Effect.runPromise(ends(DataStream.runCollect(DataStream.fromSource(source))).pipe(Effect.provide(quiet)))
    expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", cause: { _tag: "Die", defect: thrown } })
  })
})

/** runs a stream until it has given `n` records, stops it with a savepoint, and runs it again to its end or for `n` more */
const inTwo = <A, E>(stream: DataStream.DataStream<A, E>, n: number, batchSize = 4) =>
  Effect.gen(function*() {
    const run = (name: "first" | "second", out: Array<A>, limit: number) =>
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(
          Job.make("inTwo", stream.pipe(DataStream.uid("source"), DataStream.runForEach((a) => void out.push(a)))),
          { batchSize }
        )
        const ended = yield* Effect.raceFirst(
          Effect.as(until(() => out.length >= limit), false),
          Effect.as(Effect.exit(handle.await), true)
        )
        if (!ended) yield* handle.stopWithSavepoint()
        return name
      }))
    const first: Array<A> = []
    const second: Array<A> = []
    yield* run("first", first, n)
    yield* run("second", second, Infinity)
    return { first, second }
  }).pipe(Effect.provide(memory))

describe("sources of the language", () => {
  it("range, fromIterable: all of it, in order, for any batch size and any bounds", () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: -20, max: 20 }),
        fc.integer({ min: -20, max: 40 }),
        fc.integer({ min: 1, max: 20 }),
        async (from, to, batchSize) => {
          const expected = []
          for (let n = from; n <= to; n++) expected.push(n)
          const streams = [DataStream.range(from, to), DataStream.fromIterable(expected), DataStream.fromIterable(new Set(expected))]
          for (const stream of streams) {
            expect(await Effect.runPromise(DataStream.runCollect(stream, { batchSize }).pipe(Effect.provide(quiet)))).toEqual(expected)
          }
        }
      ),
      { numRuns: 40 }
    ))

  it("range has one subtask, whatever the parallelism of the job: nothing comes twice", async () => {
    expect(
      (await Effect.runPromise(DataStream.runCollect(DataStream.range(1, 50), { parallelism: 3 }).pipe(Effect.provide(quiet)))).sort(
        ascending
      )
    )
      .toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  })

  const endless = {
    *[Symbol.iterator]() {
      for (let n = 0;; n++) yield n
    }
  }

  it.each<readonly [string, () => DataStream.DataStream<number>]>([
    ["range", () => DataStream.range(0, 1e9)],
    ["fromIterable of an iterable without end", () => DataStream.fromIterable(endless)],
    ["generate", () => DataStream.generate({ make: (i) => i })],
    ["fromStream", () => DataStream.fromStream(Stream.iterate(0, (n) => n + 1))]
  ])("X1, X2: %s goes on with the next record after a stop", async (_, make) => {
    const out: Array<number> = []
    const stops = [50, 120, 200]
    await Effect.runPromise(
      Effect.gen(function*() {
        for (const n of stops) {
          yield* Effect.scoped(Effect.gen(function*() {
            const stream = make().pipe(DataStream.uid("source"))
            const handle = yield* Job.start(Job.make("go on", DataStream.runForEach(stream, (i) => void out.push(i))), { batchSize: 7 })
            yield* until(() => out.length >= n)
            yield* handle.stopWithSavepoint()
          }))
        }
      }).pipe(Effect.provide(memory))
    )
    expect(out.length).toBeGreaterThanOrEqual(200)
    expect(out.every((n, i) => n === i)).toBe(true)
  })

  it("X1: an array, a Set and a Stream that are stopped with a savepoint come to their end in the next run", async () => {
    const items = Array.from({ length: 400 }, (_, i) => i)
    const slowly = <A>(stream: DataStream.DataStream<A>) => DataStream.tap(stream, () => turn)
    for (
      const stream of [
        DataStream.fromIterable(items),
        DataStream.fromIterable(new Set(items)),
        DataStream.fromStream(Stream.fromIterable(items)),
        DataStream.generate({ make: (i) => i, count: 400 })
      ]
    ) {
      const { first, second } = await Effect.runPromise(inTwo(slowly(stream.pipe(DataStream.uid("items"))), 20))
      expect(first.length).toBeGreaterThanOrEqual(20)
      expect(first.length).toBeLessThan(400)
      expect([...first, ...second]).toEqual(items)
    }
  })

  it.effect("generate: a rate in records a second, from the first record on; no more than the count", () =>
    Effect.gen(function*() {
      const out: Array<number> = []
      const handle = yield* Job.start(
        Job.make(
          "rate",
          DataStream.generate({ make: (i) => i * i, rate: 8, count: 30 }).pipe(DataStream.runForEach((n) => void out.push(n)))
        )
      )
      yield* until(() => out.length === 1)
      let time = 0
      for (const step of [124, 1, 125, 600, 1000, 1, 999]) {
        yield* TestClock.adjust(step)
        yield* settle
        time += step
        expect(out.length).toBe(1 + Math.floor(time * 8 / 1000))
      }
      yield* TestClock.adjust(10_000)
      expect((yield* handle.await).status).toBe("finished")
      expect(out).toEqual(Array.from({ length: 30 }, (_, i) => i * i))
    }).pipe(Effect.scoped, Effect.provide(quiet)))

  it.effect("generate: after a restore the rate holds from there on, and the numbers go on", () =>
    Effect.gen(function*() {
      const out: Array<number> = []
      const job = Job.make("rate", DataStream.generate({ make: (i) => i, rate: 10 }).pipe(DataStream.runForEach((n) => void out.push(n))))
      const run = (n: number, after: number) =>
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* Job.start(job)
          yield* until(() => out.length === n)
          yield* TestClock.adjust(after)
          yield* settle
          expect(out.length).toBe(n + Math.floor(after / 100))
          yield* handle.stopWithSavepoint()
        }))
      yield* run(1, 1000)
      yield* TestClock.adjust("1 hour")
      yield* run(12, 250)
      expect(out).toEqual(Array.from({ length: 14 }, (_, i) => i))
    }).pipe(Effect.provide(memory)))

  it("generate: without a rate, exactly the count, none for 0", async () => {
    for (const count of [0, 1, 100]) {
      const all = await Effect.runPromise(
        DataStream.runCollect(DataStream.generate({ make: (i) => i, count }), { batchSize: 8 }).pipe(Effect.provide(quiet))
      )
      expect(all).toEqual(Array.from({ length: count }, (_, i) => i))
    }
  })

  it("fromStream: all elements in order, whatever the chunks, empty ones and larger ones than a batch included", async () => {
    const chunks = [[], [1, 2, 3], [], [4], Array.from({ length: 20 }, (_, i) => i + 5), []]
    const stream = DataStream.fromStream(Stream.fromChunks(...chunks.map((each) => Chunk.fromIterable(each))))
    const all = await Effect.runPromise(DataStream.runCollect(stream, { batchSize: 4 }).pipe(Effect.provide(quiet)))
    expect(all).toEqual(chunks.flat())
  })

  it("fromStream: a Stream that fails fails the job with its own error, after what it gave", async () => {
    const seen: Array<number> = []
    const job: Job.Job<"bad line"> = Job.make(
      "failing",
      DataStream.fromStream(Stream.concat(Stream.make(1, 2), Stream.fail("bad line" as const))).pipe(
        DataStream.runForEach((n) => void seen.push(n))
      )
    )
    const exit = await Effect.runPromise(ends(Job.run(job)).pipe(Effect.provide(quiet)))
    expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", cause: { _tag: "Fail", error: "bad line" } })
    expect(seen).toEqual([1, 2])
  })

  class Prefix extends Context.Tag("test/Prefix")<Prefix, string>() {}

  it("fromStream: finds its services where the job runs, and is released when it ends and when the job is canceled", async () => {
    const log: Array<string> = []
    const stream = Stream.acquireRelease(
      Effect.map(Prefix, (prefix) => (log.push("acquired"), prefix)),
      () => Effect.sync(() => void log.push("released"))
    )
    const finite: DataStream.DataStream<string, never, Prefix> = DataStream.fromStream(
      Stream.flatMap(stream, (prefix) => Stream.make(`${prefix}1`, `${prefix}2`))
    )
    const all = await Effect.runPromise(DataStream.runCollect(finite).pipe(Effect.provideService(Prefix, "n"), Effect.provide(quiet)))
    expect(all).toEqual(["n1", "n2"])
    expect(log.splice(0)).toEqual(["acquired", "released"])
    const infinite = DataStream.fromStream(Stream.concat(stream, Stream.never))
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("canceled", DataStream.runForEach(infinite, () => {})))
        yield* until(() => log.length > 0)
        yield* settle
        yield* handle.cancel
      })).pipe(Effect.provideService(Prefix, "n"), Effect.provide(quiet))
    )
    expect(log.filter((each) => each === "acquired")).toHaveLength(1)
    expect(log.filter((each) => each === "released")).toHaveLength(1)
  })
})
