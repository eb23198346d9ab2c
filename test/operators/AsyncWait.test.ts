/** `mapEffect`: order, capacity, failures, and what is in flight across a savepoint, with Effects that end when the test says so. */
import { it } from "@effect/vitest"
import { Cause, Effect, Exit, FastCheck as fc, Layer, Logger, Schedule, Schema, Stream, TestClock } from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, DataStream, Job, Lifecycle, Watermark, WatermarkStrategy } from "sluice"
import { Ledger, Observer } from "sluice/testing"
import { describe, expect } from "vitest"

const quiet = Logger.remove(Logger.defaultLogger)

const memory = Layer.merge(CheckpointStorage.layerMemory, quiet)

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const ascending = (a: number, b: number) => a - b

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

/** Effects that end when their value is opened; counts those that run */
class Gates {
  private readonly opened = new Set<number>()
  private readonly waiting = new Map<number, () => void>()
  readonly started: Array<number> = []
  readonly interrupted: Array<number> = []
  running = 0
  most = 0

  readonly pass = (value: number): Effect.Effect<number> =>
    Effect.async<number>((resume) => {
      this.started.push(value)
      this.most = Math.max(this.most, ++this.running)
      const done = () => {
        this.running--
        resume(Effect.succeed(value * 10))
      }
      if (this.opened.has(value)) return done()
      this.waiting.set(value, done)
      return Effect.sync(() => {
        this.running--
        this.interrupted.push(value)
      })
    })

  open(value: number): void {
    this.opened.add(value)
    this.waiting.get(value)?.()
  }
}

/** a record with its timestamp, or a watermark */
type Element = { readonly n: number } | { readonly watermark: number }

/** writes down what reaches it */
const recording = (log: Array<string>): StreamOperator.StreamOperator<number, number> => ({
  processElement: ({ timestamp, value }, out) => {
    log.push(`${value}@${timestamp}`)
    out.emit(value, timestamp)
  },
  processWatermark: (watermark, out) => {
    log.push(watermark === Watermark.MAX ? "MAX" : `W${watermark}`)
    out.emitWatermark(watermark)
  }
})

const elements = (count: number, watermarks: ReadonlyArray<boolean>): ReadonlyArray<Element> => {
  const all: Array<Element> = []
  for (let n = 0; n < count; n++) {
    all.push({ n })
    if (watermarks[n]) all.push({ watermark: n })
  }
  return all
}

/** record `n` has timestamp `n`, and the watermarks that stand between records follow the record before at once */
const source = (all: ReadonlyArray<Element>) => {
  const records: Array<{ readonly n: number; readonly watermark: number | undefined }> = []
  for (const each of all) {
    if ("n" in each) records.push({ n: each.n, watermark: undefined })
    else records[records.length - 1] = { ...records[records.length - 1], watermark: each.watermark }
  }
  return DataStream.fromIterable(records).pipe(
    DataStream.assignTimestamps(({ n }) => n, WatermarkStrategy.punctuated(({ watermark }) => watermark)),
    DataStream.map(({ n }) => n)
  )
}

const runs = Number(process.env.SLUICE_RUNS ?? 120)

describe("order and capacity", () => {
  it("AS-02: [1, 2, WM 2, 3]: 2 and 3 release nothing; 1 releases 10, 20, WM 2 and 30", async () => {
    const log: Array<string> = []
    const gates = new Gates()
    const after: Array<ReadonlyArray<string>> = []
    const records = [{ n: 1, watermark: undefined }, { n: 2, watermark: 2 }, { n: 3, watermark: undefined }]
    const job = Job.make(
      "ordered",
      DataStream.fromIterable<{ readonly n: number; readonly watermark: number | undefined }>(records).pipe(
        DataStream.assignTimestamps(({ n }) => n, WatermarkStrategy.punctuated(({ watermark }) => watermark)),
        DataStream.mapEffect(({ n }) => gates.pass(n)),
        DataStream.transform("log", Effect.sync(() => recording(log))),
        DataStream.runForEach(() => {})
      )
    )
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job)
        yield* until(() => gates.started.length === 3)
        for (const n of [2, 3, 1]) {
          gates.open(n)
          yield* settle
          after.push([...log])
        }
        yield* handle.await
      })).pipe(Effect.provide(quiet))
    )
    expect(after[0]).toEqual([])
    expect(after[1]).toEqual([])
    expect(log).toEqual(["10@1", "20@2", "W2", "30@3", "MAX"])
  })

  it(
    `AS-02, AS-04: ${runs} random orders of completion: results and watermarks leave in place, as soon as they can, and never more run than may`,
    {
      timeout: 300_000
    },
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 9 }).chain((n) =>
            fc.tuple(
              fc.array(fc.boolean(), { minLength: n, maxLength: n }),
              fc.shuffledSubarray(Array.from({ length: n }, (_, i) => i), { minLength: n })
            )
          ),
          fc.integer({ min: 1, max: 5 }),
          fc.constantFrom(1, 2, 64),
          fc.boolean(),
          async ([watermarks, order], concurrency, batchSize, chaining) => {
            const all = elements(order.length, watermarks)
            const log: Array<string> = []
            const gates = new Gates()
            const opened = new Set<number>()
            /** what must be out: everything before the first record that has not been opened */
            const released = () => {
              const first = all.findIndex((each) => "n" in each && !opened.has(each.n))
              return all.slice(0, first === -1 ? all.length : first).map((each) =>
                "n" in each ? `${each.n * 10}@${each.n}` : `W${each.watermark}`
              )
            }
            /** which must have been started: in order, one more as soon as one has ended, as far as batches have been taken */
            const started = () => {
              let count = 0
              for (;;) {
                const queue = Array.from({ length: count }, (_, n) => n)
                const head = queue.findIndex((n) => !opened.has(n))
                const waiting = head === -1 ? 0 : count - head
                if (waiting >= concurrency || count >= order.length) break
                count = Math.min(order.length, count + batchSize)
              }
              let running = 0
              let n = 0
              for (; n < count && running < concurrency; n++) if (!opened.has(n)) running++
              return n
            }
            const job = Job.make(
              "random",
              source(all).pipe(
                DataStream.mapEffect(gates.pass, { concurrency }),
                DataStream.transform("log", Effect.sync(() => recording(log))),
                DataStream.runForEach(() => {})
              )
            )
            await Effect.runPromise(
              Effect.scoped(Effect.gen(function*() {
                const handle = yield* Job.start(job, { batchSize, chaining })
                yield* settle
                for (const n of order) {
                  if (chaining) expect(gates.started.length).toBe(started())
                  gates.open(n)
                  opened.add(n)
                  yield* settle
                  if (opened.size < order.length) expect(log).toEqual(released())
                }
                yield* handle.await
              })).pipe(Effect.provide(quiet))
            )
            expect(log).toEqual([...released(), "MAX"])
            expect(gates.started).toEqual(Array.from(order, (_, n) => n))
            expect(gates.most).toBeLessThanOrEqual(concurrency)
          }
        ),
        { numRuns: runs }
      )
  )

  it("AS-04: while it is full the source is not read: of a stream without end, what may wait and one batch", async () => {
    const gates = new Gates()
    let made = 0
    const job = Job.make(
      "full",
      DataStream.generate({ make: (i) => (made = i + 1, i) }).pipe(
        DataStream.mapEffect(gates.pass, { concurrency: 4 }),
        DataStream.runForEach(() => {})
      )
    )
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job, { batchSize: 8 })
        yield* until(() => gates.started.length === 4)
        yield* settle
        expect(made).toBe(8)
        // one out, one in, but seven wait
        gates.open(0)
        yield* settle
        expect(gates.started).toEqual([0, 1, 2, 3, 4])
        expect(made).toBe(8)
        // the last that keeps it full
        for (const n of [1, 2, 3, 4]) gates.open(n)
        yield* settle
        expect(made).toBe(16)
        expect(gates.most).toBe(4)
        yield* handle.cancel
      })).pipe(Effect.provide(quiet))
    )
  })

  it("a concurrency that is no whole number from 1 on is refused when the job is made", async () => {
    for (const concurrency of [0, -1, 1.5, NaN]) {
      const exit = await Effect.runPromise(
        Effect.exit(DataStream.runCollect(DataStream.mapEffect(DataStream.range(1, 2), Effect.succeed, { concurrency })))
      )
      expect(exit).toMatchObject({ _tag: "Failure", cause: { error: { _tag: "GraphError", node: "mapEffect" } } })
    }
  })
})

class Refused {
  readonly _tag = "Refused"
  constructor(readonly value: number) {}
}

const failureOf = (exit: unknown) => Exit.isExit(exit) && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit

describe("failures, timeouts and retries", () => {
  it("Y3, AS-08, L6: a failure of one of several Effects fails the job with the user's own error, and nothing hangs", async () => {
    const gates = new Gates()
    const stream = DataStream.range(1, 6).pipe(
      DataStream.mapEffect((n): Effect.Effect<number, Refused> => n === 4 ? Effect.fail(new Refused(n)) : gates.pass(n), { concurrency: 6 })
    )
    const exit = await Effect.runPromise(ends(DataStream.runCollect(stream)).pipe(Effect.provide(quiet)))
    expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", restarts: 0, cause: { _tag: "Fail", error: { _tag: "Refused", value: 4 } } })
    expect(gates.interrupted.sort(ascending)).toEqual([1, 2, 3, 5, 6])
  })

  it("AS-08: a failure while the end of input waits for it fails the job too", async () => {
    const exit = await Effect.runPromise(
      ends(DataStream.runCollect(DataStream.mapEffect(DataStream.range(1, 2), () => Effect.zipRight(settle, Effect.fail("late"))))).pipe(
        Effect.provide(quiet)
      )
    )
    expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", cause: { error: "late" } })
  })

  it("L6: a function that throws fails the job with what it threw", async () => {
    const thrown = new Error("no Effect at all")
    const exit = await Effect.runPromise(
      ends(DataStream.runCollect(DataStream.mapEffect(DataStream.range(1, 2), (): Effect.Effect<number> => {
        throw thrown
      }))).pipe(Effect.provide(quiet))
    )
    expect(failureOf(exit)).toMatchObject({ _tag: "JobFailed", cause: { _tag: "Die", defect: thrown } })
  })

  it("AS-08, CA-18: an Effect that interrupts itself ends the job, and nothing hangs", async () => {
    const exit = await Effect.runPromise(
      ends(DataStream.runCollect(DataStream.mapEffect(DataStream.range(1, 3), (n) => n === 2 ? Effect.interrupt : Effect.succeed(n)))).pipe(
        Effect.provide(quiet)
      )
    )
    expect(exit).not.toBe("hangs")
    expect(exit).toMatchObject({ _tag: "Failure" })
  })

  it.effect("AS-07: an Effect that takes longer than the timeout is interrupted and fails the job", () =>
    Effect.gen(function*() {
      const gates = new Gates()
      const handle = yield* Job.start(Job.make(
        "timeout",
        DataStream.range(1, 1).pipe(DataStream.mapEffect(gates.pass, { timeout: "10 millis" }), DataStream.runForEach(() => {}))
      ))
      yield* until(() => gates.started.length === 1)
      yield* TestClock.adjust("9 millis")
      yield* settle
      expect(yield* handle.status).toBe("running")
      yield* TestClock.adjust("1 millis")
      expect(failureOf(yield* Effect.exit(handle.await))).toMatchObject({
        _tag: "JobFailed",
        cause: { error: { _tag: "TimeoutException" } }
      })
      expect(gates.interrupted).toEqual([1])
    }).pipe(Effect.provide(quiet), Effect.scoped))

  it.effect("AS-07: a timeout leaves alone what is done in time, also once it would be over", () =>
    Effect.gen(function*() {
      const gates = new Gates()
      const out: Array<number> = []
      const handle = yield* Job.start(Job.make(
        "in time",
        DataStream.generate({ make: (i) => i, rate: 1 }).pipe(
          DataStream.mapEffect(gates.pass, { timeout: "10 millis" }),
          DataStream.runForEach((n) => void out.push(n))
        )
      ))
      yield* until(() => gates.started.length === 1)
      yield* TestClock.adjust("9 millis")
      gates.open(0)
      yield* until(() => out.length === 1)
      yield* TestClock.adjust("100 millis")
      yield* settle
      expect(yield* handle.status).toBe("running")
      expect(gates.interrupted).toEqual([])
      yield* handle.cancel
    }).pipe(Effect.provide(quiet), Effect.scoped))

  it.effect("retries by the schedule, each attempt with a timeout of its own; results stay in order", () =>
    Effect.gen(function*() {
      const attempts = new Map<number, number>()
      const out: Array<number> = []
      const lookup = (n: number): Effect.Effect<number, string> =>
        Effect.suspend(() => {
          const attempt = (attempts.get(n) ?? 0) + 1
          attempts.set(n, attempt)
          if (n === 2 && attempt === 1) return Effect.never
          return n === 2 && attempt < 4 ? Effect.fail("again") : Effect.succeed(n)
        })
      const handle = yield* Job.start(Job.make(
        "retry",
        DataStream.range(1, 3).pipe(
          DataStream.mapEffect(lookup, {
            timeout: "50 millis",
            retry: Schedule.intersect(Schedule.recurs(3), Schedule.spaced("20 millis"))
          }),
          DataStream.runForEach((n) => void out.push(n))
        )
      ))
      yield* until(() => attempts.has(3))
      yield* settle
      expect(out).toEqual([1])
      for (const [after, tried] of [[49, 1], [1, 1], [20, 2], [20, 3]] as const) {
        yield* TestClock.adjust(after)
        yield* settle
        expect(attempts.get(2)).toBe(tried)
      }
      expect(out).toEqual([1])
      yield* TestClock.adjust(20)
      yield* handle.await
      expect(out).toEqual([1, 2, 3])
      expect(Array.from(attempts)).toEqual([[1, 1], [2, 4], [3, 1]])
    }).pipe(Effect.provide(quiet), Effect.scoped))

  it.effect("Y3: once the schedule is through, the last failure fails the job", () =>
    Effect.gen(function*() {
      let attempts = 0
      const exit = yield* Effect.exit(DataStream.runCollect(
        DataStream.range(1, 1).pipe(
          DataStream.mapEffect(() => Effect.suspend(() => Effect.fail(new Refused(++attempts))), { retry: Schedule.recurs(2) })
        )
      ))
      expect(failureOf(exit)).toMatchObject({ cause: { error: { _tag: "Refused", value: 3 } } })
    }).pipe(Effect.provide(quiet)))
})

describe("what is in flight", () => {
  it("CA-01, L2: a cancel interrupts every Effect that runs, before anything is closed, and starts none that waits", async () => {
    const gates = new Gates()
    const phases: Array<string> = []
    let runningAtClose = -1
    const observer = {
      observe: ({ phase }: Lifecycle.LifecycleEvent) => {
        if (phase === "close" && runningAtClose === -1) runningAtClose = gates.running
        phases.push(phase)
      }
    }
    const job = Job.make(
      "cancel",
      DataStream.range(1, 9).pipe(DataStream.mapEffect(gates.pass, { concurrency: 3 }), DataStream.runForEach(() => {}))
    )
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job)
        yield* until(() => gates.started.length === 3)
        yield* handle.cancel
      })).pipe(Effect.provideService(Lifecycle.LifecycleObserver, observer), Effect.provide(quiet))
    )
    expect(gates.started).toEqual([1, 2, 3])
    expect(gates.interrupted.sort(ascending)).toEqual([1, 2, 3])
    expect(runningAtClose).toBe(0)
    expect(phases.at(-1)).toBe("canceled")
  })

  /** 1 to `to`, but nothing after `cut` */
  const numbers = (to: number, cut: number) =>
    DataStream.fromStream(Stream.concat(Stream.range(1, Math.min(cut, to)), cut < to ? Stream.never : Stream.empty)).pipe(
      DataStream.uid("numbers")
    )

  it("AS-05: 1 to 4 in flight at a savepoint are run again before 5 to 8, in order; a full queue is no obstacle", async () => {
    const gates = new Gates()
    const later = new Gates()
    for (let n = 1; n <= 8; n++) later.open(n)
    const ledger = Ledger.make<number>()
    const job = (pass: (n: number) => Effect.Effect<number>, cut: number) =>
      Job.make(
        "restart",
        numbers(8, cut).pipe(
          DataStream.mapEffect(pass, { concurrency: 4 }),
          DataStream.uid("pass"),
          DataStream.to(ledger.sink, { uid: "sink" })
        )
      )
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job(gates.pass, 4))
        yield* until(() => gates.started.length === 4)
        yield* handle.savepoint
        yield* handle.cancel
        expect(ledger.visible()).toEqual([])
        yield* Job.run(job(later.pass, 8))
      })).pipe(Effect.provide(memory))
    )
    expect(gates.interrupted.sort(ascending)).toEqual([1, 2, 3, 4])
    expect(later.started).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(ledger.visible()).toEqual([10, 20, 30, 40, 50, 60, 70, 80])
  })

  it("AS-05, FC-14: nor is it one for a savepoint with which the job stops: nothing has to end first", async () => {
    const gates = new Gates()
    const job = Job.make(
      "full stop",
      numbers(8, 4).pipe(DataStream.mapEffect(gates.pass, { concurrency: 4 }), DataStream.runForEach(() => {}))
    )
    const stopped = await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job)
        yield* until(() => gates.started.length === 4)
        return yield* ends(handle.stopWithSavepoint())
      })).pipe(Effect.provide(memory))
    )
    expect(stopped).toMatchObject({ _tag: "Success", value: { savepoint: true } })
  })

  it(`AS-05, L9: ${runs} savepoints with some done and some not, restored at another parallelism too: each input comes out once`, () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.nat(12),
        fc.uniqueArray(fc.integer({ min: 1, max: 12 })),
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(1, 3, 64),
        fc.integer({ min: 1, max: 3 }),
        fc.boolean(),
        async (to, cut, opened, concurrency, batchSize, parallelism, chaining) => {
          const gates = new Gates()
          for (const n of opened) gates.open(n)
          const later = new Gates()
          for (let n = 1; n <= to; n++) later.open(n)
          const ledger = Ledger.make<number>()
          const options = { batchSize, chaining, maxParallelism: 4 }
          const job = (pass: (n: number) => Effect.Effect<number>, cut: number, parallelism: number) =>
            Job.make(
              "random",
              numbers(to, cut).pipe(
                DataStream.mapEffect(pass, { concurrency, schema: Schema.NumberFromString }),
                DataStream.uid("pass"),
                DataStream.parallelism(parallelism),
                DataStream.to(ledger.sink, { uid: "sink", parallelism: 1 })
              )
            )
          await Effect.runPromise(
            Effect.scoped(Effect.gen(function*() {
              // data that has not ended, and a final checkpoint that does not come: only the savepoint makes anything visible
              const handle = yield* Job.start(job(gates.pass, Math.min(cut, to - 1), 1), options)
              yield* settle
              if (chaining) yield* handle.savepoint
              else {
                // behind a task that takes no more a savepoint waits like everything else
                for (let n = 1; n <= to; n++) gates.open(n)
                yield* handle.savepoint
              }
              yield* handle.cancel
              yield* Job.run(job(later.pass, to, parallelism), options)
            })).pipe(Effect.provide(memory))
          )
          const expected = Array.from({ length: to }, (_, i) => (i + 1) * 10)
          expect([...ledger.visible()].sort(ascending)).toEqual(expected)
          if (parallelism === 1) expect(ledger.visible()).toEqual(expected)
        }
      ),
      { numRuns: runs }
    ))

  it("AS-09: what is done while the task waits for the savepoint with which it stops is not given out: the next run does it again", async () => {
    const gates = new Gates()
    const later = new Gates()
    for (let n = 1; n <= 4; n++) later.open(n)
    const out: Array<string> = []
    let snapshot = false
    let stored = false
    // holds the savepoint open behind its barrier
    const slow: StreamOperator.StreamOperator<number, number> = {
      processElement: ({ timestamp, value }, output) => output.emit(value, timestamp),
      snapshotState: (ctx) => {
        snapshot = true
        ctx.defer(until(() => stored))
      }
    }
    const job = (run: string, pass: (n: number) => Effect.Effect<number>, cut: number) =>
      Job.make(
        "stopping",
        numbers(4, cut).pipe(
          DataStream.mapEffect(pass),
          DataStream.uid("pass"),
          DataStream.transform("slow", Effect.succeed(slow)),
          DataStream.runForEach((n) => void out.push(`${run} ${n}`))
        )
      )
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job("first", gates.pass, 2))
        yield* until(() => gates.started.length === 2)
        const stop = yield* Effect.fork(handle.stopWithSavepoint())
        yield* until(() => snapshot)
        gates.open(1)
        gates.open(2)
        yield* settle
        stored = true
        yield* stop
        yield* Job.run(job("second", later.pass, 4))
      })).pipe(Effect.provide(memory))
    )
    expect(later.started).toEqual([1, 2, 3, 4])
    expect(out).toEqual(["second 10", "second 20", "second 30", "second 40"])
  })

  it("LC-13, FC-14: stopped with drain, all that is in flight is done and given out first", async () => {
    const gates = new Gates()
    const out: Array<number> = []
    const events = Observer.recording()
    const job = Job.make(
      "drain",
      DataStream.range(1, 4).pipe(DataStream.mapEffect(gates.pass), DataStream.runForEach((n) => void out.push(n)))
    )
    await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(job, { checkpoint: { interval: "1 hour" } })
        yield* until(() => gates.started.length === 4)
        const stop = yield* Effect.fork(handle.stopWithSavepoint({ drain: true }))
        yield* settle
        expect(events.events.some(({ operator, phase }) => operator === "mapEffect" && phase === "endInput")).toBe(false)
        for (const n of [4, 3, 2, 1]) gates.open(n)
        yield* stop
      })).pipe(Effect.provideService(Lifecycle.LifecycleObserver, events), Effect.provide(memory))
    )
    expect(out).toEqual([10, 20, 30, 40])
  })

  it("a result that comes when nothing is left to read reaches a live reader all the same", async () => {
    const seen = await Effect.runPromise(
      ends(
        DataStream.toStream(
          DataStream.fromStream(Stream.concat(Stream.make(1, 2), Stream.never)).pipe(DataStream.mapEffect((n) => Effect.as(settle, n)))
        ).pipe(Stream.take(2), Stream.runCollect, Effect.map((all) => Array.from(all)))
      ).pipe(Effect.provide(quiet))
    )
    expect(seen).toEqual(Exit.succeed([1, 2]))
  })

  it("AS-02, WM-04: statuses keep their place between records too, and pass at once where nothing is in flight", async () => {
    const gates = new Gates()
    const log: Array<string> = []
    /** goes idle after each record, and active again before the next */
    const dozing: StreamOperator.StreamOperator<number, number> = {
      processElement: ({ timestamp, value }, out) => {
        if (value === 1) out.emitStatus(true)
        out.emitStatus(false)
        out.emit(value, timestamp)
        out.emitStatus(true)
      }
    }
    const watching: StreamOperator.StreamOperator<number, number> = {
      ...recording(log),
      processWatermarkStatus: (idle) => void log.push(idle ? "IDLE" : "ACTIVE")
    }
    const stream = DataStream.range(1, 2).pipe(
      DataStream.transform("dozing", Effect.succeed(dozing)),
      DataStream.mapEffect(gates.pass),
      DataStream.transform("watching", Effect.succeed(watching))
    )
    await Effect.runPromise(
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(DataStream.runCollect(stream))
        yield* until(() => gates.started.length === 2)
        gates.open(2)
        yield* settle
        expect(log).toEqual(["IDLE", "ACTIVE"])
        gates.open(1)
        yield* fiber
      }).pipe(Effect.provide(quiet))
    )
    expect(log).toEqual(["IDLE", "ACTIVE", "10@undefined", "IDLE", "ACTIVE", "20@undefined", "IDLE", "MAX"])
  })
})
