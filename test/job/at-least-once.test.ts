/** At-least-once checkpoints: whatever crashes wherever, every record arrives, some of them more than once. */
import { Effect, FastCheck as fc, Logger, Schedule, Schema } from "effect"
import { DataStream, Job, KeyedStream, Lifecycle, State } from "sluice"
import { Ledger, Observer } from "sluice/testing"
import { expect, it } from "vitest"
import { build, expected, spec } from "../support/RandomJob.js"

const quiet = Logger.remove(Logger.defaultLogger)

const runs = Number(process.env.SLUICE_RUNS ?? 100)

const checkpoint = { interval: "2 millis", tolerableFailures: 1000, maxConcurrent: 2, mode: "at-least-once" } as const

const crashes = fc.array(fc.nat(400), { minLength: 1, maxLength: 3 })

const crashing = <E>(job: Job.Job<E>, steps: ReadonlyArray<number>, batchSize: number) =>
  Effect.runPromise(
    Job.run(job, { checkpoint, batchSize, restart: Schedule.intersect(Schedule.recurs(20), Schedule.spaced("1 millis")) }).pipe(
      Effect.provideService(Lifecycle.LifecycleObserver, Observer.crashAt(steps)),
      Effect.provide(quiet)
    )
  )

const countsOf = (all: ReadonlyArray<string>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const each of all) counts.set(each, (counts.get(each) ?? 0) + 1)
  return counts
}

it(
  `BA-15: ${runs} random jobs without state that crash and restart: nothing is missing, nothing is made up`,
  { timeout: 600_000 },
  () =>
    fc.assert(
      fc.asyncProperty(spec, crashes, async (any, steps) => {
        const plain = { ...any, end: "plain", alignment: "aligned" } as const
        const right = countsOf(expected(plain))
        const ledger = Ledger.make<string>()
        await crashing(Job.make("random", DataStream.to(build(plain), ledger.sink, { uid: "sink" })), steps, plain.batchSize)
        const found = countsOf(ledger.visible())
        expect(Array.from(found.keys()).sort()).toEqual(Array.from(right.keys()).sort())
        for (const [each, n] of right) expect(found.get(each)).toBeGreaterThanOrEqual(n)
      }),
      { numRuns: runs }
    )
)

it(`BA-15: counts of ${runs} jobs that crash and restart are never too low`, { timeout: 600_000 }, () =>
  fc.assert(
    fc.asyncProperty(crashes, fc.integer({ min: 1, max: 3 }), fc.constantFrom(1, 7, 64), async (steps, parallelism, batchSize) => {
      const ledger = Ledger.make<readonly [key: number, count: number]>()
      const from = (source: string, first: number) =>
        DataStream.range(first, first + 199).pipe(DataStream.uid(source), DataStream.tap(() => Effect.yieldNow()), DataStream.rebalance)
      const job = Job.make(
        "counting",
        DataStream.union(from("a", 0), from("b", 1000)).pipe(
          KeyedStream.keyBy((n) => n % 5),
          KeyedStream.process({
            state: { count: State.value(Schema.Number, { default: 0 }) },
            onElement: (_, ctx) => {
              ctx.state.count.update((n) => n + 1)
              return [[ctx.key, ctx.state.count.get()] as const]
            }
          }),
          DataStream.uid("count"),
          DataStream.parallelism(parallelism),
          DataStream.to(ledger.sink, { uid: "sink" })
        )
      )
      await crashing(job, steps, batchSize)
      const highest = new Map<number, number>()
      for (const [key, count] of ledger.visible()) highest.set(key, Math.max(highest.get(key) ?? 0, count))
      for (const key of [0, 1, 2, 3, 4]) expect(highest.get(key)).toBeGreaterThanOrEqual(80)
    }),
    { numRuns: runs }
  ))
