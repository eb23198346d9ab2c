/**
 * Something that is done once for each attempt of a job, for all subtasks of an operator: by the first that asks.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"

/** How many attempts are remembered: more than jobs that start at the same time from one stream. */
const REMEMBERED = 16

/** Remembers what came of it, by the id of the attempt. */
export class OncePerAttempt<A, E> {
  private readonly done = new Map<string, Deferred.Deferred<A, E>>()

  /** Runs the Effect, or waits for what another subtask's came to. */
  readonly run = (attemptId: string, effect: Effect.Effect<A, E, any>): Effect.Effect<A, E, any> =>
    Effect.suspend(() => {
      const known = this.done.get(attemptId)
      if (known !== undefined) return Deferred.await(known)
      const result = Deferred.unsafeMake<A, E>(FiberId.none)
      this.done.set(attemptId, result)
      if (this.done.size > REMEMBERED) this.done.delete(this.done.keys().next().value!)
      return Effect.onExit(effect, (exit) => Deferred.done(result, exit))
    })
}
