import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Aggregator, DataSink, DataStream, Job, KeyedStream, State } from "sluice"
import { Ledger, Simulation } from "sluice/testing"

const ledger = Ledger.make<number>()

const job = Job.make(
  "odd and even",
  DataStream.range(1, 20).pipe(
    DataStream.rebalance,
    DataStream.map((n) => n * 3),
    DataStream.parallelism(2),
    KeyedStream.keyBy((n) => n % 2),
    KeyedStream.aggregate(Aggregator.count),
    DataStream.to(ledger.sink, { uid: "ledger" })
  )
)

it.effect("a plan gives the same points each time, with a log or without, and seeds give different ones", () =>
  Effect.gen(function*() {
    const points = new Set<string>()
    for (let seed = 0; seed < 12; seed++) {
      const plan = { seed, crashes: [{ point: 60 + seed, kind: "kill" as const }, { point: 150, kind: "fail" as const }] }
      const first = yield* Simulation.replay(job, plan, { observe: ledger })
      const second = yield* Simulation.replay(job, plan, { observe: ledger })
      assert.deepStrictEqual(second, first)
      points.add(first.points.join("\n"))
    }
    assert.strictEqual(points.size, 12)
  }), 60_000)

it.effect("L8, L9: a crash at every point, and random schedules with three", () =>
  Effect.gen(function*() {
    const report = yield* Simulation.crashEverywhere(job, { observe: ledger, seeds: 60, crashes: 3 })
    assert.isAbove(report.crashes, 2 * report.points.length - 100)
    const passed = (label: RegExp) => assert.isTrue(report.points.some((point) => label.test(point)), String(label))
    passed(/^before open of/)
    passed(/^after snapshotState of/)
    passed(/records from .* into channel/)
    passed(/barrier 1 from/)
    for (const moment of ["before", "after"]) {
      for (const what of ["begin", "write", "complete", "acknowledgement", "commit"]) passed(new RegExp(`^${moment} ${what}`))
    }
  }), 60_000)

it.effect(
  "L11: the same result at any parallelism, batch size and interval, chained and generated or not, and rescaled",
  () =>
    Effect.gen(function*() {
      const scaled = Ledger.make<number>()
      const report = yield* Simulation.metamorphic(
        () =>
          Job.make(
            "scaled",
            DataStream.range(1, 40).pipe(
              DataStream.rebalance,
              DataStream.map((n) => n * 3),
              KeyedStream.keyBy((n) => n % 5),
              KeyedStream.aggregate(Aggregator.count),
              DataStream.uid("count"),
              DataStream.to(scaled.sink, { uid: "ledger" })
            )
          ),
        { observe: scaled, seeds: 2 }
      )
      assert.strictEqual(report.visible.length, 40)
      assert.strictEqual(report.schedules, 1 + 3 * (4 + 3 + 3 + 3 + 8))
    }),
  60_000
)

it.effect("finds a sink that does not wait for the checkpoint, and prints a plan that shows it again", () =>
  Effect.gen(function*() {
    const visible: Array<number> = []
    const eager = Job.make(
      "eager",
      DataStream.range(1, 20).pipe(DataStream.to(DataSink.forEach((n) => void visible.push(n))))
    )
    const observe = { visible: Effect.sync(() => visible.slice()), reset: Effect.sync(() => void visible.splice(0)) }
    const failure = yield* Effect.flip(Simulation.crashEverywhere(eager, { observe, maxPoints: 30, seeds: 10, crashes: 4 }))
    assert.instanceOf(failure, Simulation.SimulationFailed)
    assert.lengthOf(failure.plan.crashes, 1)
    assert.match(failure.message, /^job eager: visible too early, or too often: |^job eager: too much: /)
    assert.match(
      failure.message,
      /again: Simulation\.replay\(job, \{ seed: 0, crashes: \[\{ point: \d+, kind: "(kill|fail)" \}\] \}, options\)$/
    )
    const again = yield* Effect.flip(Simulation.replay(eager, failure.plan, { observe }))
    assert.deepStrictEqual([again.found, again.story, again.plan], [failure.found, failure.story, failure.plan])
  }), 60_000)

it.effect("finds a job that depends on its parallelism", () =>
  Effect.gen(function*() {
    const seen = Ledger.make<number>()
    const numbered = () =>
      Job.make(
        "numbered",
        DataStream.range(1, 12).pipe(
          DataStream.rebalance,
          KeyedStream.keyBy((n) => n % 3),
          KeyedStream.process(Effect.sync(() => {
            // counts over all keys of a subtask
            let n = 0
            return { state: { unused: State.value(Schema.Number) }, onElement: () => [++n] }
          })),
          DataStream.to(seen.sink)
        )
      )
    const failure = yield* Effect.flip(Simulation.metamorphic(numbered, { observe: seen }))
    assert.match(failure.message, /^job numbered: another result with parallelism \d\n  missing: /)
  }), 60_000)

it.effect(
  "found by simulation: a task that ended before its sink had committed",
  () => Simulation.crashEverywhere(job, { observe: ledger, maxPoints: 0, seeds: 300, crashes: 2 }),
  60_000
)

it.effect("found by simulation: a checkpoint of a task in which a record had failed half way", () =>
  Simulation.crashEverywhere(job, {
    observe: ledger,
    maxPoints: 0,
    seeds: 200,
    crashes: 3,
    kinds: ["fail"],
    jobOptions: { batchSize: 2, checkpoint: { interval: 10, tolerableFailures: 1000 } }
  }), 60_000)

it.effect("found by simulation: a job that had ended before anybody said that it runs", () => {
  const short = Job.make("short", DataStream.range(1, 1).pipe(DataStream.to(ledger.sink, { uid: "ledger" })))
  const jobOptions = { checkpoint: { interval: 1000, finalCheckpoint: false } }
  return Simulation.crashEverywhere(short, { observe: ledger, maxPoints: 0, seeds: 400, crashes: 0, jobOptions })
}, 60_000)

it.effect("found by simulation: an older checkpoint that completed later, and was kept instead", () =>
  Simulation.crashEverywhere(job, {
    observe: ledger,
    maxPoints: 0,
    seeds: 400,
    crashes: 2,
    jobOptions: { batchSize: 1, checkpoint: { interval: 4, maxConcurrent: 3, tolerableFailures: 1000 } }
  }), 60_000)

it.effect("a job that fails without a crash is told at once", () =>
  Effect.gen(function*() {
    const broken = Job.make("broken", DataStream.range(1, 3).pipe(DataStream.tap(() => Effect.fail("no")), DataStream.to(ledger.sink)))
    const failure = yield* Effect.flip(Simulation.crashEverywhere(broken, { observe: ledger, jobOptions: { restart: "none" } }))
    assert.strictEqual(failure.schedules, 1)
    assert.match(failure.message, /no/)
  }), 60_000)
