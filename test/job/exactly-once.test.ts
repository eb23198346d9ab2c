/** L8, L9, L11: whatever crashes wherever, what becomes visible is that of a run without crash. */
import { Effect, Exit, FastCheck as fc, Fiber, Logger, Schedule } from "effect"
import type { JobOptions } from "sluice"
import { CheckpointStorage, DataStream, Job, Lifecycle } from "sluice"
import { expect, it } from "vitest"
import { checkSubset, Ledger } from "../support/Ledger.js"
import type { Spec } from "../support/RandomJob.js"
import { build, expected, spec } from "../support/RandomJob.js"

const options = (spec: Spec): JobOptions.JobOptions => ({
  batchSize: spec.batchSize,
  chaining: spec.chaining,
  maxParallelism: 16,
  checkpoint: { interval: "2 millis", tolerableFailures: 1000 },
  restart: Schedule.intersect(Schedule.recurs(20), Schedule.spaced("1 millis"))
})

/** counts lifecycle events, and lets something happen at some of them */
const observing = (at: ReadonlyArray<number>, happen: (event: Lifecycle.LifecycleEvent) => void) => {
  let n = 0
  return {
    count: () => n,
    observe: (event: Lifecycle.LifecycleEvent) => {
      if (at.includes(n++)) happen(event)
    }
  }
}

const quiet = Logger.remove(Logger.defaultLogger)

const runs = Number(process.env.SLUICE_RUNS ?? 200)

it(
  `L9, L11: ${runs} random jobs give what the oracle says, at any parallelism, batch size and chaining`,
  { timeout: 300_000 },
  () =>
    fc.assert(
      fc.asyncProperty(spec, async (spec) => {
        const all = expected(spec)
        const ledger = new Ledger(checkSubset(all))
        const job = Job.make("random", DataStream.to(build(spec), ledger.sink, { uid: "sink" }))
        await Effect.runPromise(Job.run(job, options(spec)).pipe(Effect.provide(quiet)))
        expect([...ledger.visible].sort()).toEqual(all)
      }),
      { numRuns: runs }
    )
)

it(`L8, L9: ${runs} random jobs in which steps of the life cycle crash, and which restart`, { timeout: 300_000 }, () =>
  fc.assert(
    fc.asyncProperty(spec, fc.array(fc.nat(400), { minLength: 1, maxLength: 3 }), async (spec, at) => {
      const all = expected(spec)
      const ledger = new Ledger(checkSubset(all))
      const job = Job.make("random", DataStream.to(build(spec), ledger.sink, { uid: "sink" }))
      const observer = observing(at, (event) => {
        throw new Error(`injected at ${event.phase} of ${event.operator ?? event.vertex}`)
      })
      await Effect.runPromise(
        Job.run(job, options(spec)).pipe(
          Effect.provideService(Lifecycle.LifecycleObserver, observer),
          Effect.provide(quiet)
        )
      )
      expect([...ledger.visible].sort()).toEqual(all)
    }),
    { numRuns: runs }
  ))

it(`L8, L9, L11: ${runs} random jobs that are killed and started again at another parallelism`, { timeout: 300_000 }, () =>
  fc.assert(
    fc.asyncProperty(spec, fc.array(fc.nat(200), { minLength: 1, maxLength: 3 }), async (spec, kills) => {
      const all = expected(spec)
      const ledger = new Ledger(checkSubset(all))
      const run = (attempt: number) =>
        Job.run(Job.make("random", DataStream.to(build(spec, attempt), ledger.sink, { uid: "sink" })), options(spec))
      await Effect.runPromise(
        Effect.gen(function*() {
          for (let attempt = 0; attempt < kills.length; attempt++) {
            const exit = yield* Effect.gen(function*() {
              let kill = () => {}
              const observer = observing([kills[attempt]], () => kill())
              const fiber = yield* Effect.fork(Effect.provideService(run(attempt), Lifecycle.LifecycleObserver, observer))
              kill = () => fiber.unsafeInterruptAsFork(fiber.id())
              return yield* Fiber.await(fiber)
            })
            if (Exit.isSuccess(exit)) return
          }
          yield* run(kills.length)
        }).pipe(Effect.provide([CheckpointStorage.layerMemory, quiet]))
      )
      expect([...ledger.visible].sort()).toEqual(all)
    }),
    { numRuns: runs }
  ))
