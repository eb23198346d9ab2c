/**
 * Runs an Effect with a yield after every operation, on a clock of its own, and interrupts it after any number of operations.
 *
 * A run is a function of its program and options: time passes with operations (a microsecond each), and jumps ahead to the next sleeper when nothing else
 * can run. So a fiber that waits for ever is found at once, and a seed shows a failure again.
 *
 * V1. A fiber yields after each of its operations, and all others that can run come before it goes on; or, shuffled, any of them.
 */
import type { Context, Exit, Fiber, Scheduler } from "effect"
import { Clock, Duration, Effect, FiberId, Supervisor } from "effect"

/** How a run is disturbed. */
export interface Options {
  /** after how many operations it is interrupted; default never */
  readonly interruptAt?: number | undefined
  /** the seed with which the next fiber is drawn; default they take turns */
  readonly shuffle?: number | undefined
}

/** What became of a run. */
export interface Run<A, E> {
  /** `undefined`: it waits for ever */
  readonly exit: Exit.Exit<A, E> | undefined
  /** how many operations all its fibers made, until nothing was left to do */
  readonly operations: number
  /** whether it was still under way when it was interrupted */
  readonly interrupted: boolean
  /** the fibers that lived on when it had ended, and what they were at */
  readonly left: ReadonlyArray<string>
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** milliseconds of the run's clock after which it is taken to go on for ever */
const LIMIT = 5_000

/** operations after which it is taken to go on for ever */
const MOST_OPERATIONS = 1_000_000

/** turns of the event loop without anything to run, after which nothing but time can go on */
const QUIET_TURNS = 3

class Census extends Supervisor.AbstractSupervisor<void> {
  readonly live = new Set<Fiber.RuntimeFiber<any, any>>()
  readonly value = Effect.void

  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    _parent: unknown,
    fiber: Fiber.RuntimeFiber<A, E>
  ) {
    this.live.add(fiber)
  }

  override onEnd<A, E>(_exit: Exit.Exit<A, E>, fiber: Fiber.RuntimeFiber<A, E>) {
    this.live.delete(fiber)
  }
}

/** a yield with a priority sets and restores a FiberRef: operations, after each of which it would yield again */
const noPriority = undefined as unknown as number

/**
 * Whether a fiber is about to start the fibers of a race. Effect makes them in one operation and starts them in the next, and interrupted in between
 * it waits for ever for fibers that never began (3.22.4): nothing that a program could do about it.
 */
const startsRace = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean => {
  const children: ReadonlySet<any> | null = (fiber as any)._children
  if (children === null) return false
  for (const child of children) {
    if (!child._running && child._exitValue === null && child._asyncInterruptor === null && child._queue.length === 0) return true
  }
  return false
}

class Machine implements Scheduler.Scheduler, Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  operations = 0
  private tasks: Array<() => void> = []
  private jumped = 0
  private seed: number
  private interruptAt: number
  private sleepers: Array<Sleeper> = []

  constructor(private readonly options: Options, private readonly interrupt: () => void) {
    this.seed = options.shuffle ?? 0
    this.interruptAt = options.interruptAt ?? Infinity
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if (startsRace(fiber)) return false
    if (this.operations++ >= this.interruptAt) {
      this.interruptAt = Infinity
      this.interrupt()
    }
    // after a yield the first operation is to come back, the second the one that was put off
    return fiber.currentOpCount > 2 ? noPriority : false
  }

  scheduleTask(task: () => void): void {
    // a fiber that is interrupted on its way into a yield is asked no more whether it should: time has to pass all the same
    this.operations++
    this.tasks.push(task)
  }

  readonly unsafeCurrentTimeMillis = (): number => Math.floor(this.operations / 1000) + this.jumped
  readonly unsafeCurrentTimeNanos = (): bigint => BigInt(this.unsafeCurrentTimeMillis()) * 1_000_000n
  readonly currentTimeMillis = Effect.sync(this.unsafeCurrentTimeMillis)
  readonly currentTimeNanos = Effect.sync(this.unsafeCurrentTimeNanos)

  readonly sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.async((resume) => {
      const sleeper: Sleeper = { at: this.unsafeCurrentTimeMillis() + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      })
    })

  /** runs all that can run before the event loop has a turn; gives whether there was anything */
  runTasks(): boolean {
    this.wakeDue()
    if (this.tasks.length === 0) return false
    for (let left = 10_000; this.tasks.length > 0 && left > 0; left--) {
      const tasks = this.tasks
      this.tasks = []
      if (this.options.shuffle !== undefined) this.mix(tasks)
      for (const task of tasks) task()
      this.wakeDue()
    }
    return true
  }

  /** wakes the next sleeper before its time; gives whether there was one */
  jump(): boolean {
    const next = Math.min(...this.sleepers.map(({ at }) => at))
    if (next === Infinity) return false
    this.jumped += Math.max(0, next - this.unsafeCurrentTimeMillis())
    return true
  }

  private wakeDue(): void {
    if (this.sleepers.length === 0) return
    const now = this.unsafeCurrentTimeMillis()
    const due = this.sleepers.filter(({ at }) => at <= now)
    if (due.length === 0) return
    this.sleepers = this.sleepers.filter(({ at }) => at > now)
    for (const { wake } of due) wake()
  }

  private mix(tasks: Array<() => void>): void {
    for (let i = tasks.length - 1; i > 0; i--) {
      this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0
      const other = this.seed % (i + 1)
      const task = tasks[i]
      tasks[i] = tasks[other]
      tasks[other] = task
    }
  }
}

/** what a fiber still has to do, innermost last; it is not asked itself, since it may never answer */
const dump = (fiber: Fiber.RuntimeFiber<any, any>): string => {
  const frames: ReadonlyArray<any> = (fiber as any)._stack
  const steps = frames.map((frame) => String(frame.effect_instruction_i1 ?? frame._op).replace(/\s+/g, " ").slice(0, 120))
  return [`fiber ${fiber.id().id}`, ...steps].join("\n  ")
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Runs an Effect until it and all it started have come to rest. */
export const run = async <A, E>(effect: Effect.Effect<A, E>, options: Options = {}): Promise<Run<A, E>> => {
  const census = new Census()
  let interrupted = false
  let exit: Exit.Exit<A, E> | undefined
  let left: ReadonlyArray<string> = []
  const machine = new Machine(options, () => {
    if (exit !== undefined) return
    interrupted = true
    fiber.unsafeInterruptAsFork(FiberId.none)
  })
  const fiber: Fiber.RuntimeFiber<A, E> = Effect.runFork(effect.pipe(Effect.supervised(census), Effect.withClock(machine)), {
    scheduler: machine,
    immediate: false
  })
  fiber.addObserver((ended) => {
    exit = ended
    left = Array.from(census.live, dump)
  })
  for (let quiet = 0;;) {
    if (machine.operations > MOST_OPERATIONS) break
    if (machine.runTasks()) quiet = 0
    else if (++quiet >= QUIET_TURNS) {
      if (exit !== undefined || machine.unsafeCurrentTimeMillis() > LIMIT || !machine.jump()) break
    }
    await turn()
  }
  const { operations } = machine
  if (exit === undefined) left = Array.from(census.live, dump)
  return { exit, operations, interrupted, left }
}
