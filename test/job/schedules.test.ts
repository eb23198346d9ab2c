/** L8, L9: random jobs under random schedules, with up to three crashes each; see `npm run soak` for more of it. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { tryOne } from "../support/schedules.js"

const PER_JOB = 19
const JOBS = 50

it.effect(
  `L8, L9: ${JOBS} random jobs give the same result in ${JOBS * (PER_JOB + 1)} schedules, whatever crashes`,
  () =>
    Effect.gen(function*() {
      let schedules = 0
      for (let seed = 0; seed < JOBS; seed++) {
        const tried = yield* tryOne(seed, PER_JOB)
        assert.isUndefined(tried.finding, tried.finding)
        schedules += tried.schedules
      }
      assert.strictEqual(schedules, JOBS * (PER_JOB + 1))
    }),
  240_000
)
