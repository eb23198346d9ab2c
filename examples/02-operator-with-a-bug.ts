/**
 * How a test finds what an operator forgets: it is right in every run, until a process dies at the wrong moment.
 *
 *     npx tsx examples/02-operator-with-a-bug.ts
 *
 * Prints the script that breaks a law, the shortest schedule that shows the bug, and that the mended operator stands every crash. In a test it is one line, see test/examples.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schema } from "effect"
import { DataStream, Job } from "sluice"
import { Laws, Ledger, Simulation } from "sluice/testing"
import { forgetful, mended } from "./operator-with-a-bug/pages.js"

const tryOut = (name: string, operator: typeof mended) => {
  const ledger = Ledger.make<ReadonlyArray<number>>()
  const pages = DataStream.range(1, 20).pipe(DataStream.transform("pages", operator(3)))
  const job = Job.make(name, DataStream.to(pages, ledger.sink))
  return Simulation.crashEverywhere(job, { observe: ledger, seeds: 20, crashes: 2 })
}

const program = Effect.gen(function*() {
  const broken = yield* Effect.flip(Laws.operator(forgetful(3), Schema.Int))
  yield* Console.log(broken.message)
  yield* Laws.operator(mended(3), Schema.Int)
  const found = yield* Effect.flip(tryOut("forgetful", forgetful))
  yield* Console.log(found.message)
  const report = yield* tryOut("mended", mended)
  yield* Console.log(`mended: the same result in ${report.schedules} schedules with ${report.crashes} crashes`)
})

program.pipe(NodeRuntime.runMain)
