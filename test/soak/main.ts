/**
 * Random jobs, schedules and crashes for as long as one likes; ends with 1 at the first finding, and says which seed shows it again.
 *
 *     npm run soak -- --minutes n [--seed s]
 *
 * `--seed s --minutes 0` tries that one seed again.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect } from "effect"
import { parseArgs } from "node:util"
import { tryOne } from "../support/schedules.js"

const { values: flags } = parseArgs({ options: { minutes: { type: "string", default: "1" }, seed: { type: "string" } } })

const PER_JOB = 8

const program = Effect.gen(function*() {
  const start = yield* Clock.currentTimeMillis
  const end = start + Number(flags.minutes) * 60_000
  let seed = flags.seed === undefined ? start % 1_000_000 : Number(flags.seed)
  let [jobs, schedules, crashes, told] = [0, 0, 0, start]
  yield* Console.log(`from seed ${seed}`)
  for (;;) {
    const tried = yield* tryOne(seed, PER_JOB)
    jobs++
    schedules += tried.schedules
    crashes += tried.crashes
    const now = yield* Clock.currentTimeMillis
    const figures = `${jobs} jobs, ${schedules} schedules, ${crashes} crashes in ${Math.round((now - start) / 1000)} s`
    if (tried.finding !== undefined) {
      yield* Console.log(`${tried.finding}\n${figures}, 1 finding; again: npm run soak -- --minutes 0 --seed ${seed}`)
      return yield* Effect.fail("a finding")
    }
    if (now >= end) return yield* Console.log(`${figures}, no finding`)
    if (now - told > 30_000) {
      told = now
      yield* Console.log(`${figures}, at seed ${seed}`)
    }
    seed++
  }
})

program.pipe(NodeRuntime.runMain({ disableErrorReporting: true }))
