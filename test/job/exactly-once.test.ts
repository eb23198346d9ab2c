/** L8, L9, L11: whatever crashes wherever, what becomes visible is that of a run without crash. */
import { Effect, Exit, FastCheck as fc, Fiber, Logger, Schedule } from "effect"
import type { JobOptions } from "sluice"
import { CheckpointStorage, DataStream, Job, Lifecycle } from "sluice"
import { Ledger, Observer } from "sluice/testing"
import { expect, it } from "vitest"
import type { Spec } from "../support/RandomJob.js"
import { build, expected, spec } from "../support/RandomJob.js"
import { checkSubset } from "../support/subset.js"

const options = (spec: Spec): JobOptions.JobOptions => ({
  batchSize: spec.batchSize,
  chaining: spec.chaining,
  codegen: spec.codegen,
  maxParallelism: 16,
  checkpoint: {
    interval: "2 millis",
    tolerableFailures: 1000,
    maxConcurrent: spec.batchSize === 7 ? 3 : 1,
    retain: spec.endParallelism,
    alignment: spec.alignment
  },
  restart: Schedule.intersect(Schedule.recurs(20), Schedule.spaced("1 millis"))
})

const quiet = Logger.remove(Logger.defaultLogger)

const runs = Number(process.env.SLUICE_RUNS ?? 200)

const jobOf = (spec: Spec, ledger: Ledger.Ledger<string>, scale = 0) =>
  Job.make("random", DataStream.to(build(spec, scale), ledger.sink, { uid: "sink" }))

const sorted = (ledger: Ledger.Ledger<string>) => Array.from(ledger.visible()).sort()

it(
  `L9, L11: ${runs} random jobs give what the oracle says, at any parallelism, batch size and chaining, as generated code or not`,
  { timeout: 600_000 },
  () =>
    fc.assert(
      fc.asyncProperty(spec, async (spec) => {
        const all = expected(spec)
        const ledger = Ledger.make(checkSubset(all))
        await Effect.runPromise(Effect.provide(Job.run(jobOf(spec, ledger), options(spec)), quiet))
        expect(sorted(ledger)).toEqual(all)
      }),
      { numRuns: runs }
    )
)

it(`L8, L9: ${runs} random jobs in which steps of the life cycle crash, and which restart`, { timeout: 600_000 }, () =>
  fc.assert(
    fc.asyncProperty(spec, fc.array(fc.nat(400), { minLength: 1, maxLength: 3 }), async (spec, steps) => {
      const all = expected(spec)
      const ledger = Ledger.make(checkSubset(all))
      await Effect.runPromise(
        Job.run(jobOf(spec, ledger), options(spec)).pipe(
          Effect.provideService(Lifecycle.LifecycleObserver, Observer.crashAt(steps)),
          Effect.provide(quiet)
        )
      )
      expect(sorted(ledger)).toEqual(all)
    }),
    { numRuns: runs }
  ))

it(`L8, L9, L11: ${runs} random jobs that are killed and started again at another parallelism`, { timeout: 600_000 }, () =>
  fc.assert(
    fc.asyncProperty(spec, fc.array(fc.nat(200), { minLength: 1, maxLength: 3 }), async (spec, kills) => {
      const all = expected(spec)
      const ledger = Ledger.make(checkSubset(all))
      const run = (attempt: number) => Job.run(jobOf(spec, ledger, attempt), options(spec))
      const killed = (attempt: number) =>
        Effect.gen(function*() {
          let kill = () => {}
          const observer = Observer.crashAt([kills[attempt]], () => kill())
          const fiber = yield* Effect.fork(Effect.provideService(run(attempt), Lifecycle.LifecycleObserver, observer))
          kill = () => fiber.unsafeInterruptAsFork(fiber.id())
          return yield* Fiber.await(fiber)
        })
      await Effect.runPromise(
        Effect.gen(function*() {
          for (let attempt = 0; attempt < kills.length; attempt++) if (Exit.isSuccess(yield* killed(attempt))) return
          yield* run(kills.length)
        }).pipe(Effect.provide([CheckpointStorage.layerMemory, quiet]))
      )
      expect(sorted(ledger)).toEqual(all)
    }),
    { numRuns: runs }
  ))
