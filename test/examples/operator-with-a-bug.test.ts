/** The operator of examples/02: in a harness, held to the laws, and in jobs that crash. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { StreamOperator } from "sluice"
import { DataStream, Job } from "sluice"
import { Harness, Laws, Ledger, Simulation } from "sluice/testing"
import { forgetful, mended } from "../../examples/operator-with-a-bug/pages.js"

type Pages = (n: number) => Effect.Effect<StreamOperator.StreamOperator<number, ReadonlyArray<number>>>

const pipeline = (pages: Pages) => (input: DataStream.DataStream<number>) => DataStream.transform(input, "pages", pages(3))

const simulated = (pages: Pages) => {
  const ledger = Ledger.make<ReadonlyArray<number>>()
  const job = Job.make("pages", DataStream.range(1, 20).pipe(pipeline(pages), DataStream.uid("pages"), DataStream.to(ledger.sink)))
  return Simulation.crashEverywhere(job, { observe: ledger, ordered: true, seeds: 20, crashes: 2 })
}

/** what comes out when a snapshot is taken after two records, and what goes on from it gets two more */
const restored = (pages: Pages) =>
  Effect.gen(function*() {
    const first = yield* Harness.oneInput(pipeline(pages))
    yield* first.element(1)
    yield* first.element(2)
    const snapshot = yield* first.snapshot(1)
    const second = yield* Harness.oneInput(pipeline(pages), { restore: snapshot })
    yield* second.element(3)
    yield* second.element(4)
    yield* second.finish
    return yield* second.values
  })

describe("the forgetful operator", () => {
  it.scoped("is right where nothing crashes", () =>
    Effect.gen(function*() {
      const harness = yield* Harness.oneInput(pipeline(forgetful))
      for (const n of [1, 2, 3, 4]) yield* harness.element(n)
      yield* harness.finish
      assert.deepStrictEqual(yield* harness.values, [[1, 2, 3], [4]])
    }))

  it.scoped("loses the page in hand in a harness that is restored", () =>
    Effect.map(restored(forgetful), (pages) => assert.deepStrictEqual(pages, [[3, 4]])))

  it.effect("breaks a law, shown by a script", () =>
    Effect.map(Effect.flip(Laws.operator(forgetful(3), Schema.Int)), (broken) => {
      assert.strictEqual(broken._tag, "LawBroken")
      assert.strictEqual(broken.law, "L9")
      assert.match(broken.message, /restore/)
    }), 60_000)

  it.effect("is found out by a simulation, with the crash that shows it", () =>
    Effect.map(Effect.flip(simulated(forgetful)), (failure) => {
      assert.instanceOf(failure, Simulation.SimulationFailed)
      assert.lengthOf(failure.plan.crashes, 1)
      assert.match(failure.message, /^job pages: (missing|too much|visible too early)/)
      // which point is the shortest depends on the schedule; the story names it
      assert.match(failure.message, /<- (the process dies|this fails)/)
    }), 60_000)
})

describe("the mended operator", () => {
  it.scoped("goes on with the page in hand", () => Effect.map(restored(mended), (pages) => assert.deepStrictEqual(pages, [[1, 2, 3], [4]])))

  it.effect("keeps the laws", () => Laws.operator(mended(3), Schema.Int), 60_000)

  it.effect("stands a crash at every point", () => Effect.map(simulated(mended), (report) => assert.lengthOf(report.visible, 7)), 60_000)
})
