/**
 * One run of a job from its beginning to its end, through all its crashes: its schedule, its time, its storage, and the numbered points it passes.
 *
 * A process that dies takes no further step, and closes nothing; what is in the storage, and what became visible, stays. Then the job is started again.
 *
 * W1. A run is a function of the seed and of the crashes, as far as the job keeps to Effect's clock, randomness and scheduler.
 * W2. Whatever can be seen from outside of a process happens between two points, one right before it and one right after.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type { CheckpointStore, CheckpointWriter } from "../../CheckpointStorage.js"
import { CheckpointStorage } from "../../CheckpointStorage.js"
import { AroundCommit } from "../../DataSink.js"
import type { LifecycleEvent } from "../../Lifecycle.js"
import { LifecycleObserver } from "../../Lifecycle.js"
import * as memory from "../../storage/memoryStorage.js"
import { StorageFailed } from "../../StreamError.js"
import type { Item } from "../../task/Channel.js"
import { EventLoop, turn } from "../../task/EventLoop.js"
import type { TaskEnvironment } from "../../task/Invokable.js"
import { Wiring } from "../../task/Invokable.js"
import { SteppingClock } from "../SteppingClock.js"
import { Dice } from "./Dice.js"
import { SeededScheduler } from "./SeededScheduler.js"

/**
 * How a crash goes: `kill` ends the process, and the job is started again from the storage; `fail` fails what is under way, and the job restarts in the
 * same run. Where nothing can fail, `fail` kills too.
 */
export type CrashKind = "kill" | "fail"

/** A crash at a point, counted from 0 over the whole run. */
export interface Crash {
  readonly point: number
  readonly kind: CrashKind
}

/** A point that was passed. */
export interface Passed {
  readonly label: string
  /** whether what comes here can fail */
  readonly fails: boolean
  /** the crash that happened here */
  readonly crash: CrashKind | undefined
}

/** How a run, or one life of its process, ended. */
export type End =
  | { readonly _tag: "finished" }
  | { readonly _tag: "killed" }
  | { readonly _tag: "failed"; readonly reason: string }

/** The failure that a `fail` stands for. */
class InjectedFailure extends Error {
  constructor(readonly label: string) {
    super(`injected ${label}`)
    this.name = "InjectedFailure"
    // where it was thrown says nothing, and is dear to find out
    this.stack = `InjectedFailure: ${this.message}`
  }
}

/** what is thrown where a process dies, so that not even the code in hand goes on */
class Died extends Error {}

/** turns of the event loop in a row in which nobody has a step to take: something outside of the simulation may still be under way */
const QUIET_TURNS = 3

/** the same where nobody sleeps either */
const STUCK_TURNS = 1000

/** steps between two turns of the real event loop */
const BURST = 512

/** steps in one life after which a job is thought not to end */
const MAX_STEPS = 400_000

/** how long a process stays dead */
const DOWN_MS = 100

/** tells the attempts of different runs of one job value apart: a run of the same seed gives the same random numbers */
let runs = 0

const describe = (item: Item): string => {
  switch (item._tag) {
    case "Batch":
      return `${item.count} record${item.count === 1 ? "" : "s"}`
    case "CheckpointBarrier":
      return `barrier ${item.id}`
    case "CancelCheckpointMarker":
      return `cancel marker ${item.id}`
    case "Watermark":
      return "a watermark"
    default:
      return item._tag
  }
}

/** One run. */
export class World {
  readonly trace: Array<Passed> = []
  private readonly run = ++runs
  private readonly dice: Dice
  private readonly random: Random.Random
  private readonly plan: ReadonlyMap<number, CrashKind>
  private readonly watchers = new Map<number, () => void>()
  private readonly disk = Effect.runSync(memory.make)
  private scheduler!: SeededScheduler
  /** time goes by while tasks work */
  private readonly cost = (): number => this.dice.seed === 0 ? 5 : this.dice.choose(10)
  private clock = new SteppingClock(0, this.cost)
  private killed = false
  lives = 0
  restarts = 0

  constructor(readonly seed: number, crashes: ReadonlyArray<Crash>, private readonly name: string) {
    this.dice = new Dice(seed)
    this.random = Random.make(seed)
    this.plan = new Map(crashes.map(({ kind, point }) => [point, kind]))
  }

  /** Does something at a point that is yet to come. */
  at(point: number, action: () => void): void {
    this.watchers.set(point, action)
  }

  // ---------------------------------------------------------------------------------------------------------------- points

  /** A point is passed; throws where a crash is due. */
  private pass(label: string, fails: boolean): void {
    if (this.killed) throw new Died()
    const n = this.trace.length
    const wanted = this.plan.get(n)
    const crash = wanted === "fail" && !fails ? "kill" : wanted
    this.trace.push({ label, fails, crash })
    this.watchers.get(n)?.()
    if (crash === undefined) return
    if (crash === "fail") throw new InjectedFailure(label)
    this.killed = true
    this.scheduler.kill()
    throw new Died()
  }

  /** points around an effect; `failing` says how it fails there, where it can */
  private around<A, E, R>(
    what: string,
    effect: Effect.Effect<A, E, R>,
    failing?: (reason: string) => Effect.Effect<never, E>
  ): Effect.Effect<A, E, R> {
    const pass = (label: string): Effect.Effect<void, E> =>
      Effect.suspend(() => {
        try {
          this.pass(label, failing !== undefined)
          return Effect.void
        } catch (error) {
          return error instanceof InjectedFailure && failing !== undefined ? failing(error.message) : Effect.die(error)
        }
      })
    return Effect.zipLeft(Effect.zipRight(pass(`before ${what}`), effect), Effect.suspend(() => pass(`after ${what}`)))
  }

  // ---------------------------------------------------------------------------------------------------------------- what is numbered

  private readonly observer = (users: Effect.Effect.Success<typeof LifecycleObserver>): typeof users => {
    const label = (moment: string, { checkpointId, operator, phase, subtask, vertex }: LifecycleEvent) =>
      `${moment} ${phase} of ${operator ?? vertex}[${subtask}]${checkpointId === undefined ? "" : ` (checkpoint ${checkpointId})`}`
    return {
      observe: (event) => {
        this.pass(label("before", event), true)
        users.observe(event)
      },
      passed: (event) => {
        users.passed?.(event)
        this.pass(label("after", event), true)
      }
    }
  }

  private readonly wire = (env: TaskEnvironment): TaskEnvironment => {
    const task = `${env.vertex.name}[${env.subtask}]`
    env.outputs.forEach((channels, edge) =>
      channels.forEach((channel, i) => {
        const put = channel.put.bind(channel)
        channel.put = (item) => {
          // what ends a task cannot fail any more
          this.pass(`before ${describe(item)} from ${task} into channel ${edge}.${i}`, item._tag !== "EndOfPartition")
          put(item)
        }
      })
    )
    const { responder } = env
    return {
      ...env,
      attemptId: `${env.attemptId}.${this.run.toString(36)}`,
      responder: {
        writer: (id) => responder.writer(id),
        acknowledge: (task_, id, report) =>
          this.around(`acknowledgement of checkpoint ${id} by ${task}`, responder.acknowledge(task_, id, report)),
        decline: (task_, id, reason, cause) => responder.decline(task_, id, reason, cause),
        finalCheckpoint: () => responder.finalCheckpoint(),
        awaitsFinalCheckpoint: (task_) => responder.awaitsFinalCheckpoint(task_)
      }
    }
  }

  private store(store: CheckpointStore): CheckpointStore {
    const failing = (operation: string, id: number) => (reason: string) =>
      Effect.fail(new StorageFailed({ operation, path: store.location(id), reason }))
    const writer = (id: number, writer: CheckpointWriter): CheckpointWriter => ({
      write: (file, body) => this.around(`write of ${file} of checkpoint ${id}`, writer.write(file, body), failing("write", id)),
      complete: (metadata) => this.around(`complete of checkpoint ${id}`, writer.complete(metadata), failing("complete", id)),
      abort: this.around(`abort of checkpoint ${id}`, writer.abort)
    })
    return {
      ...store,
      begin: (id) =>
        Effect.map(this.around(`begin of checkpoint ${id}`, store.begin(id), failing("begin", id)), (begun) => writer(id, begun)),
      metadata: (id) => this.around(`read of the metadata of checkpoint ${id}`, store.metadata(id)),
      read: (id, handle) => this.around(`read of ${handle.file} of checkpoint ${id}`, store.read(id, handle)),
      discard: (id) => this.around(`discard of checkpoint ${id}`, store.discard(id), failing("discard", id)),
      finish: (lastId, keep) => this.around("the mark that the run has finished", store.finish(lastId, keep))
    }
  }

  private readonly aroundCommit: Effect.Effect.Success<typeof AroundCommit> = {
    around: (commit, { subtask, uid }) => this.around(`commit of ${uid}[${subtask}]`, commit, (reason) => Effect.die(new Error(reason)))
  }

  // ---------------------------------------------------------------------------------------------------------------- lives

  /** Runs the job until it has ended, starting it again as often as the process dies; `died` runs after each death. */
  readonly live = <A, E, R, E2, R2>(
    program: (life: number) => Effect.Effect<A, E, R>,
    died: Effect.Effect<void, E2, R2>
  ): Effect.Effect<End, E2, R | R2> =>
    Effect.gen(this, function*() {
      for (;;) {
        // the hold on the job is the process', and ends with it, however it ends
        const end = yield* Effect.scoped(
          Effect.flatMap(Effect.orDie(this.disk.open(this.name)), (store) => this.oneLife(program(this.lives++), this.store(store)))
        )
        if (end._tag !== "killed") return end
        yield* died
        if (yield* this.hasFinished) return { _tag: "finished" }
        this.clock = new SteppingClock(this.clock.unsafeCurrentTimeMillis() + DOWN_MS, this.cost)
      }
    })

  /** whether the job had told the storage that it is through */
  private readonly hasFinished = Effect.suspend(() => Effect.scoped(Effect.flatMap(this.disk.open(this.name), (store) => store.finished)))
    .pipe(Effect.orDie, Effect.map((finished) => finished !== undefined))

  private oneLife<A, E, R>(program: Effect.Effect<A, E, R>, store: CheckpointStore): Effect.Effect<End, never, R> {
    return Effect.gen(this, function*() {
      const scheduler = this.scheduler = new SeededScheduler(this.dice)
      const clock = this.clock = new SteppingClock(this.clock.unsafeCurrentTimeMillis(), this.cost)
      this.killed = false
      const users = yield* LifecycleObserver
      const runtime = yield* Effect.runtime<R>()
      const fiber = Runtime.runFork(runtime)(
        program.pipe(
          Effect.provideService(CheckpointStorage, { open: () => Effect.succeed(store) }),
          Effect.provideService(LifecycleObserver, this.observer(users)),
          Effect.provideService(EventLoop, { turn: Effect.yieldNow() }),
          Effect.provideService(Wiring, { wire: this.wire }),
          Effect.provideService(AroundCommit, this.aroundCommit),
          Effect.withClock(clock),
          Effect.withRandom(this.random)
        ),
        { scheduler, immediate: false }
      )
      let exit: Exit.Exit<A, E> | undefined
      fiber.addObserver((how) => {
        exit = how
      })
      let quietTurns = 0
      let stuck: string | undefined
      const burst = () => {
        for (let i = 0; i < BURST && exit === undefined && !this.killed; i++) {
          clock.goTo(0)
          if (!scheduler.isResting) {
            quietTurns = 0
            scheduler.step()
          } else if (quietTurns < QUIET_TURNS) {
            quietTurns++
            return
          } else if (clock.next < Infinity) {
            clock.goTo(clock.next)
          } else {
            if (++quietTurns > STUCK_TURNS) stuck = "the job does not go on: no fiber can take a step, and nobody sleeps"
            return
          }
        }
        if (scheduler.steps > MAX_STEPS) stuck = `the job has not ended after ${MAX_STEPS} steps`
      }
      yield* Effect.whileLoop({
        while: () => exit === undefined && !this.killed && stuck === undefined,
        body: () => turn,
        step: burst
      }).pipe(Effect.onExit(() =>
        Effect.sync(() => {
          scheduler.kill()
        })
      ))
      if (this.killed) return { _tag: "killed" as const }
      if (stuck !== undefined) return { _tag: "failed" as const, reason: stuck }
      return exit === undefined || Exit.isSuccess(exit)
        ? { _tag: "finished" as const }
        : { _tag: "failed" as const, reason: Cause.pretty(exit.cause, { renderErrorCause: true }) }
    })
  }
}
