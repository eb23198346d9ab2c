/** Random jobs under random schedules with random crashes: all of it a function of one number. */
import { Effect, FastCheck as fc, Schedule } from "effect"
import { DataStream, Job } from "sluice"
import { Ledger, Simulation } from "sluice/testing"
import type { Spec } from "./RandomJob.js"
import { build, expected, shortSpec, smallSpec } from "./RandomJob.js"

export interface Tried {
  readonly seed: number
  readonly schedules: number
  readonly crashes: number
  /** what is wrong, for people */
  readonly finding: string | undefined
}

/** The job that a number stands for; every eighth is of any shape. */
const specOf = (seed: number): Spec => fc.sample(seed % 8 === 7 ? shortSpec : smallSpec, { seed, numRuns: 1 })[0]

/** A job's plain run against the oracle, then `perJob` random schedules with up to three crashes each against the plain run. */
export const tryOne = (seed: number, perJob: number): Effect.Effect<Tried> =>
  Effect.suspend(() => {
    const spec = specOf(seed)
    const ledger = Ledger.make<string>()
    const job = Job.make("random", DataStream.to(build(spec), ledger.sink, { uid: "sink" }))
    const wrong = (finding: string) => `seed ${seed}: ${finding}\n${JSON.stringify(spec)}`
    const all = expected(spec)
    return Simulation.crashEverywhere(job, {
      observe: ledger,
      maxPoints: 0,
      seeds: Array.from({ length: perJob }, (_, i) => seed * 1000 + i + 1),
      crashes: 1 + (seed % 3),
      jobOptions: {
        batchSize: spec.batchSize,
        chaining: spec.chaining,
        codegen: spec.codegen,
        maxParallelism: 16,
        checkpoint: {
          interval: seed % 3 === 2 ? 5 : 20 + (seed % 4) * 40,
          tolerableFailures: seed % 2 === 0 ? 1000 : 0,
          maxConcurrent: 1 + (seed % 3)
        },
        restart: Schedule.intersect(Schedule.recurs(50), Schedule.spaced("1 millis"))
      }
    }).pipe(
      Effect.map(({ crashes, schedules, visible }) => {
        const right = visible.slice().sort().join("\n") === all.join("\n")
        return { seed, schedules, crashes, finding: right ? undefined : wrong("the plain run is not what the oracle says") }
      }),
      Effect.catchAll((failure) =>
        Effect.succeed({ seed, schedules: failure.schedules, crashes: failure.plan.crashes.length, finding: wrong(failure.message) })
      )
    )
  })
