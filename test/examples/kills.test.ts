/**
 * L9 on the real thing: the main job over three million flights, killed by SIGKILL at random times, again and again, and resumed each time.
 *
 * `SLUICE_KILLS` is how often, `SLUICE_SEED` the seed of the times.
 */
import { FastCheck as fc } from "effect"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { Kill, Right } from "../support/flights.js"
import { expectPart, expectRight, makeFolders, newestCheckpoint, oracle, start } from "../support/flights.js"

const kills = Number(process.env.SLUICE_KILLS ?? 10)
const seed = Number(process.env.SLUICE_SEED ?? 1)

/** A start of the job and when to kill it: so long after the start, or after some checkpoints. */
interface Run {
  readonly parallelism: number
  /** between checkpoints, in milliseconds */
  readonly interval: number
  readonly checkpoints: number
  /** in milliseconds */
  readonly delay: number
}

const common = { parallelism: fc.integer({ min: 1, max: 4 }), interval: fc.constantFrom(20, 40, 80) }

const plan: fc.Arbitrary<Run> = fc.oneof(
  // while it starts, restores, and reads its first records
  { weight: 1, arbitrary: fc.record({ ...common, checkpoints: fc.constant(0), delay: fc.integer({ min: 0, max: 1500 }) }) },
  // around the end of a checkpoint and the commits that follow it
  { weight: 3, arbitrary: fc.record({ ...common, checkpoints: fc.integer({ min: 1, max: 2 }), delay: fc.integer({ min: 0, max: 40 }) }) }
)

/** how often it looks for a new checkpoint, in milliseconds */
const LOOK = 2

/** starts the job in `cwd` and kills it as planned, unless it ends before */
const runAndKill = async (cwd: string, { checkpoints, delay, interval, parallelism }: Run) => {
  const before = newestCheckpoint(cwd)
  let looking: NodeJS.Timeout | undefined
  let killing: NodeJS.Timeout | undefined
  const killLater = (kill: Kill) => {
    killing = setTimeout(() => kill("SIGKILL"), delay)
  }
  const ended = await start(cwd, ["--parallelism", String(parallelism), "--interval", String(interval)], undefined, (kill) => {
    if (checkpoints === 0) return killLater(kill)
    looking = setInterval(() => {
      if (newestCheckpoint(cwd) < before + checkpoints) return
      clearInterval(looking)
      killLater(kill)
    }, LOOK)
  })
  clearInterval(looking)
  clearTimeout(killing)
  return ended
}

let right: Right
const folders = makeFolders()

beforeAll(async () => {
  right = await oracle()
}, 60_000)

afterAll(folders.remove)

it(`L9: killed ${kills} times in a row at random times and parallelisms, the job comes to the lines of a plain loop`, {
  timeout: 60_000 + kills * 10_000
}, async () => {
  const startedAt = performance.now()
  let cwd = folders.make()
  let killed = 0
  let rounds = 0
  let resumed = 0
  for (const run of fc.sample(plan, { seed, numRuns: kills * 2 })) {
    if (killed === kills) break
    const { code, output, signal } = await runAndKill(cwd, run)
    if (/restored from checkpoint/.test(output)) resumed++
    if (signal === "SIGKILL") {
      killed++
      expectPart(cwd, right)
      continue
    }
    // it got to its end before it was killed: the next one begins anew
    expect(code, output).toBe(0)
    expectRight(cwd, right)
    rounds++
    cwd = folders.make()
  }
  expect(killed).toBe(kills)
  const { code, output } = await start(cwd, ["--parallelism", "2"])
  expect(code, output).toBe(0)
  expectRight(cwd, right)
  rounds++
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`seed ${seed}: ${killed} kills, ${resumed} resumed from a checkpoint, ${rounds} runs to the end, ${seconds} s`)
})
