/**
 * Whole jobs under a schedule, a clock and a storage of their own: crashed at every point of their life, run in any order that a seed decides, and
 * compared with the run in which nothing happens (L9, L11).
 *
 * A run passes numbered points: before and after each hook of each operator, each batch, watermark and barrier that enters a channel, each operation of the
 * checkpoint storage, each acknowledgement, and each commit of a transactional sink. The process can die at any of them (`kill`): it takes no further step,
 * closes nothing, and the job is started again from the storage. Or what happens there fails (`fail`), and the job restarts by its schedule.
 *
 * Time begins at 0, goes by a little while tasks work, and jumps to the next sleeper when nobody has anything to do. What a job computes must not depend on
 * it. What a job does beside Effect's clock, randomness and scheduler, such as reading a file, works, but is not a function of the seed.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Schedule from "effect/Schedule"
import type { Job } from "../Job.js"
import * as Jobs from "../Job.js"
import type { JobOptions, Restore } from "../JobOptions.js"
import type { Ledger } from "./Ledger.js"
import { Dice } from "./simulation/Dice.js"
import * as Outcome from "./simulation/Outcome.js"
import type { Passed } from "./simulation/World.js"
import { World } from "./simulation/World.js"

/**
 * A crash at a point, counted from 0 over the whole run: `kill` ends the process, `fail` fails what happens there. Where nothing can fail, `fail` kills too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Crash {
  readonly point: number
  readonly kind: "kill" | "fail"
}

/**
 * A job, or how to make one for each process: for a job that holds something of its own in memory, or is built after its options.
 *
 * @since 0.1.0
 * @category models
 */
export type Subject<E, R> = Job<E, R> | ((options: JobOptions) => Job<E, R>)

/**
 * All that decides a run. Seed 0 is the plain schedule, in which nobody overtakes anybody.
 *
 * @since 0.1.0
 * @category models
 */
export interface Plan {
  readonly seed: number
  readonly crashes: ReadonlyArray<Crash>
}

/**
 * What is visible outside of the job: an Effect that gives it, with another one that empties it before each run, or a ledger.
 *
 * @since 0.1.0
 * @category models
 */
export type Observe<A, E = never, R = never> = Ledger<A> | {
  readonly visible: Effect.Effect<ReadonlyArray<A>, E, R>
  readonly reset: Effect.Effect<void, E, R>
}

/**
 * How each run is set up.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunOptions<A, E = never, R = never> {
  readonly observe: Observe<A, E, R>
  /** whether the order counts in which results became visible; default false */
  readonly ordered?: boolean | undefined
  /** default 10 ms of the simulation's time */
  readonly checkpointInterval?: Duration.DurationInput | undefined
  /** default: batches of 2, and a restart after 1 ms, up to 50 times */
  readonly jobOptions?: JobOptions | undefined
  /** what the job begins with after its process died; default "latest" */
  readonly restore?: Restore | undefined
}

/**
 * Which crashes there are.
 *
 * @since 0.1.0
 * @category models
 */
export interface CrashOptions<A, E = never, R = never> extends RunOptions<A, E, R> {
  /** how a crash goes; default both ways at each point */
  readonly kinds?: ReadonlyArray<Crash["kind"]> | undefined
  /** crashes in the plain schedule at the most, taken evenly from all points; default all */
  readonly maxPoints?: number | undefined
  /** random schedules in addition, or their seeds; default 0 */
  readonly seeds?: number | ReadonlyArray<number> | undefined
  /** crashes in each random schedule; default 1 */
  readonly crashes?: number | undefined
}

/**
 * What was tried. `points` are those of the plain run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report<A> {
  readonly schedules: number
  readonly crashes: number
  readonly points: ReadonlyArray<string>
  readonly visible: ReadonlyArray<A>
}

/**
 * What one run was: its points in order, and what is visible after it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run<A> {
  readonly plan: Plan
  readonly points: ReadonlyArray<string>
  readonly visible: ReadonlyArray<A>
}

/**
 * A run did not come to what the run without crash came to. `plan` is the shortest found that shows it, for `replay`.
 *
 * @since 0.1.0
 * @category errors
 */
export class SimulationFailed extends Data.TaggedError("SimulationFailed")<{
  readonly job: string
  readonly plan: Plan
  /** what differed, in lines */
  readonly found: ReadonlyArray<string>
  /** what the run was, for people */
  readonly story: ReadonlyArray<string>
  readonly schedules: number
}> {
  override get message() {
    return [`job ${this.job}: ${this.found[0]}`, ...this.found.slice(1).map((line) => `  ${line}`), ...this.story].join("\n")
  }
}

// -------------------------------------------------------------------------------------------------------------------- one run

interface Ran {
  readonly plan: Plan
  readonly trace: ReadonlyArray<Passed>
  readonly visible: ReadonlyArray<any>
  readonly found: ReadonlyArray<string>
}

const visibleOf = <A, E, R>(observe: Observe<A, E, R>): Effect.Effect<ReadonlyArray<A>, E, R> =>
  "sink" in observe ? Effect.sync(() => observe.visible().slice()) : observe.visible

const resetOf = <A, E, R>(observe: Observe<A, E, R>): Effect.Effect<void, E, R> =>
  "sink" in observe ? Effect.sync(observe.reset) : observe.reset

const restart = Schedule.intersect(Schedule.recurs(50), Schedule.spaced("1 millis"))

const optionsOf = ({ checkpointInterval = "10 millis", jobOptions = {} }: RunOptions<any, any, any>): JobOptions => ({
  batchSize: 2,
  restart,
  ...jobOptions,
  checkpoint: { ...jobOptions.checkpoint, interval: jobOptions.checkpoint?.interval ?? checkpointInterval }
})

const jobOf = <E, R>(subject: Subject<E, R>, options: JobOptions = {}): Job<E, R> =>
  typeof subject === "function" ? subject(options) : subject

type Program<R> = (world: World) => (life: number) => Effect.Effect<unknown, unknown, R>

/** runs, and compares with `expected` where there is something to compare with */
const run = <R, E2, R2>(
  name: string,
  program: Program<R>,
  plan: Plan,
  options: RunOptions<any, E2, R2>,
  expected: ReadonlyArray<unknown> | undefined
): Effect.Effect<Ran, E2, R | R2> =>
  Effect.gen(function*() {
    yield* resetOf(options.observe)
    const world = new World(plan.seed, plan.crashes, name)
    const found: Array<string> = []
    // L9: also what is visible while the job is dead is right as far as it goes
    const look = Effect.map(visibleOf(options.observe), (visible) => {
      if (expected !== undefined && found.length === 0) found.push(...Outcome.compareMeanwhile(expected, visible))
    })
    const end = yield* world.live(program(world), look)
    const visible = yield* visibleOf(options.observe)
    if (end._tag === "failed") found.push(...end.reason.split("\n"))
    else if (expected !== undefined && found.length === 0) found.push(...Outcome.compare(expected, visible, options.ordered ?? false))
    return { plan, trace: world.trace, visible, found }
  })

const running = <E, R>(subject: Subject<E, R>, options: RunOptions<any, any, any>): Program<R> => () => (life) =>
  Effect.suspend(() => {
    const jobOptions = { ...optionsOf(options), restore: life === 0 ? options.jobOptions?.restore : options.restore }
    return Jobs.run(jobOf(subject, jobOptions), jobOptions)
  })

/** without loggers, not without logging: what fibers do must be the same when a run is looked at */
const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.locally(effect, FiberRef.currentLoggers, HashSet.empty())

// -------------------------------------------------------------------------------------------------------------------- findings

/** points shown before each crash */
const BEFORE = 6

/** runs spent to find a shorter plan */
const SHRINKS = 60

const storyOf = ({ plan, trace }: Ran): ReadonlyArray<string> => {
  const lines: Array<string> = [plan.seed === 0 ? "the plain schedule" : `the schedule of seed ${plan.seed}`]
  const crashes = trace.flatMap(({ crash, label }, n) => crash === undefined ? [] : [{ crash, label, n }])
  crashes.forEach(({ crash, label, n }, i) => {
    const from = Math.max(n - BEFORE, i === 0 ? 0 : crashes[i - 1].n + 1)
    if (from > (i === 0 ? 0 : crashes[i - 1].n + 1)) lines.push("  …")
    for (let at = from; at < n; at++) lines.push(`  ${at} ${trace[at].label}`)
    lines.push(`  ${n} ${label} <- ${crash === "kill" ? "the process dies" : "this fails"}`)
  })
  lines.push(crashes.length === 0 ? `  ${trace.length} points without a crash` : `  … ${trace.length} points in all`)
  const written = plan.crashes.map(({ kind, point }) => `{ point: ${point}, kind: "${kind}" }`).join(", ")
  lines.push(`again: Simulation.replay(job, { seed: ${plan.seed}, crashes: [${written}] }, options)`)
  return lines
}

/** simpler plans, the simplest first */
const simpler = ({ crashes, seed }: Plan): Array<Plan> => {
  const plans: Array<Plan> = []
  if (seed !== 0) plans.push({ seed: 0, crashes })
  if (crashes.length > 0) crashes.forEach((_, i) => plans.push({ seed, crashes: crashes.filter((__, j) => j !== i) }))
  crashes.forEach((crash, i) => {
    for (const point of new Set([0, crash.point >> 2, crash.point >> 1, (crash.point * 3) >> 2, crash.point - 3, crash.point - 1])) {
      if (point >= 0 && point < crash.point) plans.push({ seed, crashes: crashes.map((each, j) => j === i ? { ...each, point } : each) })
    }
  })
  return plans
}

const shrink = <E, R>(first: Ran, again: (plan: Plan) => Effect.Effect<Ran, E, R>): Effect.Effect<Ran, E, R> =>
  Effect.gen(function*() {
    let best = first
    const tried = new Set<string>()
    for (let left = SHRINKS, better = true; better;) {
      better = false
      for (const plan of simpler(best.plan)) {
        const key = JSON.stringify(plan)
        if (left === 0 || tried.has(key)) continue
        tried.add(key)
        left--
        const ran = yield* again(plan)
        if (ran.found.length === 0) continue
        best = ran
        better = true
        break
      }
    }
    return best
  })

const fail = (job: string, { found, plan }: Ran, story: ReadonlyArray<string>, schedules: number) =>
  Effect.fail(new SimulationFailed({ job, plan, found, story, schedules }))

// -------------------------------------------------------------------------------------------------------------------- public

/** as many of `all` as may be, at even distances */
const evenly = <A>(all: ReadonlyArray<A>, max: number): ReadonlyArray<A> =>
  all.length <= max ? all : Array.from({ length: max }, (_, i) => all[Math.floor((i * all.length) / max)])

/**
 * Runs a job once as it is, then once for each point of that run with a crash there, then under random schedules with crashes, and compares what became
 * visible each time with the first run. Fails with the shortest plan found that shows a difference.
 *
 * The job is restored from memory, and needs no `CheckpointStorage`. Its services are outside of the process: they live on when it dies. Give a function where
 * the job itself holds something in memory.
 *
 * @example
 * ```ts
 * import { Aggregator, DataStream, Job, KeyedStream } from "sluice"
 * import { Ledger, Simulation } from "sluice/testing"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const ledger = Ledger.make<number>()
 * const job = Job.make(
 *   "even and odd",
 *   DataStream.range(1, 6).pipe(
 *     KeyedStream.keyBy((n) => n % 2),
 *     KeyedStream.aggregate(Aggregator.count),
 *     DataStream.to(ledger.sink)
 *   )
 * )
 * // with @effect/vitest: it.effect("exactly once", () => Simulation.crashEverywhere(job, { observe: ledger }))
 * const report = await Effect.runPromise(Simulation.crashEverywhere(job, { observe: ledger, maxPoints: 20, seeds: 5 }))
 * assert.deepEqual(report.visible, [1, 1, 2, 2, 3, 3])
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const crashEverywhere = <A, E, R, E2 = never, R2 = never>(
  job: Subject<E, R>,
  options: CrashOptions<A, E2, R2>
): Effect.Effect<Report<A>, SimulationFailed | E2, R | R2> =>
  quietly(Effect.gen(function*() {
    const { crashes = 1, kinds = ["kill", "fail"], maxPoints = Infinity, seeds = 0 } = options
    const { name } = jobOf(job)
    const program = running(job, options)
    let schedules = 0
    let happened = 0
    const first = yield* run(name, program, { seed: 0, crashes: [] }, options, undefined)
    schedules++
    if (first.found.length > 0) return yield* fail(name, first, storyOf(first), schedules)
    const again = (plan: Plan) => run(name, program, plan, options, first.visible)
    const attempt = (plan: Plan) =>
      Effect.gen(function*() {
        const ran = yield* again(plan)
        schedules++
        happened += ran.trace.filter(({ crash }) => crash !== undefined).length
        if (ran.found.length === 0) return
        const shortest = yield* shrink(ran, again)
        return yield* fail(name, shortest, storyOf(shortest), schedules)
      })
    const all = first.trace.flatMap(({ fails }, point) =>
      kinds.flatMap((kind): ReadonlyArray<Crash> => kind === "kill" || fails ? [{ point, kind }] : [])
    )
    for (const crash of evenly(all, maxPoints)) yield* attempt({ seed: 0, crashes: [crash] })
    for (const seed of typeof seeds === "number" ? Array.from({ length: seeds }, (_, i) => i + 1) : seeds) {
      yield* attempt({ seed, crashes: randomCrashes(seed, crashes, first.trace.length, kinds) })
    }
    return { schedules, crashes: happened, points: first.trace.map(({ label }) => label), visible: first.visible }
  }))

/** the crashes of a random schedule, which is as long as the plain one, more or less */
const randomCrashes = (seed: number, n: number, points: number, kinds: ReadonlyArray<Crash["kind"]>): ReadonlyArray<Crash> => {
  const dice = new Dice(seed ^ 0x5eed)
  return Array.from({ length: n }, () => ({ point: dice.choose(Math.ceil(points * 1.2)), kind: kinds[dice.choose(kinds.length)] }))
}

/**
 * Runs one plan again, with the program's own log, and compares it with the plain run. Gives all points it passed.
 *
 * @since 0.1.0
 * @category running
 */
export const replay = <A, E, R, E2 = never, R2 = never>(
  job: Subject<E, R>,
  plan: Plan,
  options: RunOptions<A, E2, R2>
): Effect.Effect<Run<A>, SimulationFailed | E2, R | R2> =>
  Effect.gen(function*() {
    const { name } = jobOf(job)
    const program = running(job, options)
    const first = yield* quietly(run(name, program, { seed: 0, crashes: [] }, options, undefined))
    const ran = yield* run(name, program, plan, options, first.visible)
    if (ran.found.length > 0) return yield* fail(name, ran, storyOf(ran), 2)
    return { plan, points: ran.trace.map(({ label }) => label), visible: ran.visible }
  })

/**
 * What is varied; each alone, against the job as it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface MetamorphicOptions<A, E = never, R = never> extends RunOptions<A, E, R> {
  /** default 1 to 4 */
  readonly parallelism?: ReadonlyArray<number> | undefined
  /** default 1, 3 and 64 */
  readonly batchSizes?: ReadonlyArray<number> | undefined
  /** default 4 ms, 25 ms and 1 s */
  readonly checkpointIntervals?: ReadonlyArray<Duration.DurationInput> | undefined
  /** how often the job is stopped with a savepoint on its way, and goes on at another parallelism; default 8 */
  readonly rescales?: number | undefined
  /** random schedules of each variant, beside the plain one; default 1 */
  readonly seeds?: number | undefined
}

interface Variant {
  readonly name: string
  readonly options: JobOptions
  /** where to stop with a savepoint, and how to go on */
  readonly next?: { readonly point: number; readonly options: JobOptions } | undefined
}

/** stops with a savepoint at a point, unless the job has ended by then, and goes on */
const rescaling =
  <E, R>(subject: Subject<E, R>, first: JobOptions, { options, point }: NonNullable<Variant["next"]>): Program<R> => (world) => () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      world.at(point, () => Deferred.unsafeDone(reached, Effect.void))
      const result = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Jobs.start(jobOf(subject, first), first)
        const stop = Effect.zipRight(Deferred.await(reached), Effect.exit(handle.stopWithSavepoint()))
        yield* Effect.forkScoped(stop)
        return yield* handle.await
      }))
      if (result.status === "stopped") yield* Jobs.run(jobOf(subject, options), options)
    })

/**
 * Runs a job at other parallelisms, batch sizes and checkpoint intervals, without chaining, without generated code, and stopped with a savepoint on its way to go
 * on at another parallelism: what becomes visible must be the same each time (L11).
 *
 * @since 0.1.0
 * @category running
 */
export const metamorphic = <A, E, R, E2 = never, R2 = never>(
  job: Subject<E, R>,
  options: MetamorphicOptions<A, E2, R2>
): Effect.Effect<Report<A>, SimulationFailed | E2, R | R2> =>
  quietly(Effect.gen(function*() {
    const { batchSizes = [1, 3, 64], checkpointIntervals = ["4 millis", "25 millis", "1 second"], rescales = 8, seeds = 1 } = options
    const parallelism = options.parallelism ?? [1, 2, 3, 4]
    const base = optionsOf(options)
    const { name } = jobOf(job, base)
    const first = yield* run(name, running(job, options), { seed: 0, crashes: [] }, options, undefined)
    if (first.found.length > 0) return yield* fail(name, first, storyOf(first), 1)
    const points = first.trace.length
    const variants: ReadonlyArray<Variant> = [
      ...parallelism.map((parallelism): Variant => ({ name: `parallelism ${parallelism}`, options: { parallelism } })),
      ...batchSizes.map((batchSize): Variant => ({ name: `batch size ${batchSize}`, options: { batchSize } })),
      ...checkpointIntervals.map((interval): Variant => ({
        name: `checkpoint interval ${Duration.format(interval)}`,
        options: { checkpoint: { ...base.checkpoint, interval } }
      })),
      { name: "no chaining", options: { chaining: false } },
      { name: "no generated code", options: { codegen: false } },
      { name: "neither chaining nor generated code", options: { chaining: false, codegen: false } },
      ...Array.from({ length: rescales }, (_, i): Variant => {
        const from = parallelism[i % parallelism.length]
        const to = parallelism[(i + 1 + Math.floor(i / parallelism.length)) % parallelism.length]
        const point = Math.floor(((i + 1) * points) / (rescales + 1))
        return {
          name: `stopped with a savepoint at point ${point} of parallelism ${from}, then parallelism ${to}`,
          options: { parallelism: from },
          next: { point, options: { ...base, parallelism: to } }
        }
      })
    ]
    let schedules = 1
    for (const { name: variant, options: varied, next } of variants) {
      const jobOptions = { ...base, ...varied }
      const program = next === undefined ? running(job, { ...options, jobOptions }) : rescaling(job, jobOptions, next)
      for (let seed = 0; seed <= seeds; seed++) {
        schedules++
        const ran = yield* run(name, program, { seed, crashes: [] }, options, first.visible)
        if (ran.found.length === 0) continue
        const found = [`another result with ${variant}`, ...ran.found]
        return yield* fail(name, { ...ran, found }, [seed === 0 ? "the plain schedule" : `the schedule of seed ${seed}`], schedules)
      }
    }
    return { schedules, crashes: 0, points: first.trace.map(({ label }) => label), visible: first.visible }
  }))
