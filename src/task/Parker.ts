/**
 * Where one fiber waits until somebody has work for it.
 *
 * P1. A `wake` that comes before `park` makes the next `park` return at once: none is lost (LC-28).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** One waiting place for one fiber. */
export class Parker {
  private signaled = false
  private resume: ((effect: Effect.Effect<void>) => void) | undefined

  /** whether a fiber waits here */
  get isParked(): boolean {
    return this.resume !== undefined
  }

  /** Waits for a wake-up; takes all that came so far. */
  readonly park: Effect.Effect<void> = Effect.async((resume) => {
    if (this.signaled) {
      this.signaled = false
      return resume(Effect.void)
    }
    this.resume = resume
    return Effect.sync(() => {
      if (this.resume === resume) this.resume = undefined
    })
  })

  /** Wakes the fiber, now or when it next parks. */
  readonly wake = (): void => {
    const resume = this.resume
    if (resume === undefined) {
      this.signaled = true
      return
    }
    this.resume = undefined
    resume(Effect.void)
  }
}
