/**
 * Shows that a law kit finds a mutant: by which law, and after how many scripts.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Laws } from "sluice/testing"

const rows: Array<string> = []

/** seeds of the scripts by which each mutant has to be found */
const SEEDS = [1, 2, 3]

/** The mutant is found by one of these laws, with each of a few seeds. */
export const caught = <R>(
  name: string,
  laws: ReadonlyArray<string>,
  run: (options: Laws.RunOptions) => Effect.Effect<void, Laws.LawBroken, R>,
  seeds: ReadonlyArray<number> = SEEDS
): Effect.Effect<Laws.LawBroken, never, R> =>
  Effect.gen(function*() {
    const found: Array<Laws.LawBroken> = []
    for (const seed of seeds) {
      const broken = yield* Effect.flip(run({ seed, shrink: seed === seeds[0] })).pipe(
        Effect.catchAll(() => Effect.dieMessage(`${name}: not found with seed ${seed}`))
      )
      assert.include(laws, broken.law, `${name}, seed ${seed}: ${broken.message}`)
      found.push(broken)
    }
    const runs = found.map(({ runs }) => runs)
    rows.push(
      `${name.padEnd(52)} ${Array.from(new Set(found.map(({ law }) => law))).join(" ").padEnd(8)} ${runs.join(" ").padEnd(16)} ${
        found[0].script
      }`
    )
    return found[0]
  })

/** Prints what was found. */
export const printTable = (): void =>
  console.log(["mutant | law | runs until found, by seed | shortest script of the first", ...rows.splice(0)].join("\n"))
