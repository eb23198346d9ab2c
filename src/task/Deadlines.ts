/**
 * Waits that end.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { ResolvedOptions } from "../JobOptions.js"
import { TaskHung } from "../StreamError.js"
import type { TaskEnvironment } from "./Invokable.js"

/** What a task is at. */
export interface Step {
  readonly operator: string | undefined
  readonly phase: string
}

/** The deadlines of one task. */
export class Deadlines {
  /** the first step that was left behind */
  abandoned: TaskHung | undefined

  constructor(private readonly env: TaskEnvironment) {}

  /** The failure of a step that takes too long. */
  hung(limit: keyof ResolvedOptions["deadlines"], { operator, phase }: Step, abandoned: boolean): TaskHung {
    const { job, options, subtask, vertex } = this.env
    return new TaskHung({ job, vertex: vertex.name, subtask, operator, phase, limit: options.deadlines[limit], abandoned })
  }

  /** Waits for an Effect that cannot be interrupted, but no longer than its deadline; then it is left behind. */
  readonly within = (limit: "cancel" | "close", step: () => Step, effect: Effect.Effect<void>): Effect.Effect<void> =>
    this.env.options.deadlines[limit] === Infinity ? effect : Effect.gen(this, function*() {
      const over = Deferred.unsafeMake<boolean>(FiberId.none)
      const worker = yield* Effect.forkDaemon(effect)
      worker.addObserver(() => Deferred.unsafeDone(over, Effect.succeed(true)))
      const timer = yield* Effect.forkDaemon(
        Effect.interruptible(Effect.zipRight(Effect.sleep(this.env.options.deadlines[limit]), Deferred.succeed(over, false)))
      )
      if (!(yield* Deferred.await(over))) {
        const hung = this.hung(limit, step(), true)
        this.abandoned ??= hung
        yield* Effect.logError(hung.message)
      }
      yield* Fiber.interruptFork(timer)
    })
}
