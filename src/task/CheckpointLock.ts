/**
 * The lock under which records, timers, snapshots and notifications of one task run, one at a time (L4): a semaphore of one permit.
 *
 * The task's loop takes it in slices. Whoever else wants it says so by waiting, and the loop ends its slice after the batch in hand and gives the
 * event loop a turn, in which the waiter gets the permit (L5): in Effect v3 a fiber that releases and takes again at once would win every time.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** The checkpoint lock of one task. */
export class CheckpointLock {
  private readonly semaphore = Effect.unsafeMakeSemaphore(1)
  private waiting = 0

  /** whether somebody besides the loop waits */
  get contended(): boolean {
    return this.waiting > 0
  }

  /** For the task's own loop, which gives way to all others. */
  readonly slice = this.semaphore.withPermits(1)

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
            return effect
          }))
        ),
        Effect.sync(stop)
      )
    })
}
