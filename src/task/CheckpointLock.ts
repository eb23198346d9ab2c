/**
 * The lock under which records, timers, snapshots and notifications of one task run, one at a time (L4): a semaphore of one permit.
 *
 * The task's loop takes it in slices. Whoever else wants it says so by waiting, and the loop ends its slice after the batch in hand and gives the
 * event loop a turn, in which the waiter gets the permit (L5): in Effect v3 a fiber that releases and takes again at once would win every time.
 *
 * What fails under the lock may leave a record half processed: nobody gets it again, so that no checkpoint holds that. Who waits is interrupted with the task.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** until it is interrupted; `Effect.never` would hold the process with a timer */
const ended: Effect.Effect<never> = Effect.async(() => {})

/** The checkpoint lock of one task. */
export class CheckpointLock {
  private readonly semaphore = Effect.unsafeMakeSemaphore(1)
  private waiting = 0
  private state: "whole" | "broken" = "whole"

  /** whether somebody besides the loop waits */
  get contended(): boolean {
    return this.waiting > 0
  }

  /** For the task's own loop, which gives way to all others. */
  readonly slice = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => this.semaphore.withPermits(1)(this.whole(effect))

  /** For all others. */
  readonly hold = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    // not to be interrupted between counting itself and what takes that back
    Effect.uninterruptibleMask((restore) => {
      let waits = true
      const stop = () => {
        if (waits) this.waiting--
        waits = false
      }
      this.waiting++
      return Effect.ensuring(
        restore(
          this.semaphore.withPermits(1)(Effect.suspend(() => {
            stop()
            return this.whole(effect)
          }))
        ),
        Effect.sync(stop)
      )
    })

  private whole<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const broken = Effect.sync(() => {
      this.state = "broken"
    })
    return Effect.suspend(() => this.state === "broken" ? ended : Effect.onError(effect, () => broken))
  }
}
