/**
 * A clock that stands still until it is told to step: sleepers wake in the order of their times, and nothing waits for real.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/**
 * Time in the hand of a test, in milliseconds; it begins at 0, or where it is told to.
 *
 * @since 0.1.0
 * @category models
 */
export class SteppingClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private sleepers: Array<Sleeper> = []

  /** It begins at `now`; `cost` says how much time goes by while somebody looks at it. */
  constructor(private now = 0, private readonly cost: () => number = () => 0) {}

  readonly unsafeCurrentTimeMillis = (): number => this.now += this.cost()
  readonly unsafeCurrentTimeNanos = (): bigint => BigInt(Math.round(this.now * 1e6))
  readonly currentTimeMillis = Effect.sync(this.unsafeCurrentTimeMillis)
  readonly currentTimeNanos = Effect.sync(this.unsafeCurrentTimeNanos)

  /** whether somebody sleeps */
  get isAwaited(): boolean {
    return this.sleepers.length > 0
  }

  readonly sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.async((resume) => {
      const sleeper: Sleeper = { at: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      if (sleeper.at <= this.now) return resume(Effect.void)
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      })
    })

  /** when the next sleeper wakes; `Infinity` if nobody sleeps */
  get next(): number {
    return Math.min(...this.sleepers.map(({ at }) => at))
  }

  /** Goes on to a time, or stays where it is later, and wakes whoever slept until then; gives whether there was somebody. */
  readonly goTo = (time: number): boolean => {
    this.now = Math.max(time, this.now)
    const due = this.sleepers.filter(({ at }) => at <= this.now)
    if (due.length === 0) return false
    this.sleepers = this.sleepers.filter(({ at }) => at > this.now)
    for (const { wake } of due.sort((a, b) => a.at - b.at)) wake()
    return true
  }

  /** Steps `duration` ahead, stopping at every time at which somebody wakes; `settle` is run after each stop. */
  readonly advance = <E>(duration: Duration.DurationInput, settle: Effect.Effect<void, E>): Effect.Effect<void, E> =>
    Effect.suspend(() => {
      const end = this.now + Duration.toMillis(duration)
      const step: Effect.Effect<void, E> = Effect.suspend(() => {
        const woke = this.goTo(Math.min(end, this.next))
        return Effect.flatMap(settle, () => !woke && this.now >= end ? Effect.void : step)
      })
      return step
    })
}
