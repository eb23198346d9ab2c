/**
 * A task's clock and its physical timers: one fiber that sleeps until the earliest, takes the checkpoint lock and runs what is due.
 *
 * Y1. Callbacks run under the lock, in the order of (time, registration), each with the time it was registered with; a time that was over by
 *     then counts as the time of registration (TI-01).
 * Y2. After `quiesce` nothing that has not started runs any more, and registering is legal and without effect (TI-16).
 * Y3. A callback that registers a timer for now, again and again, keeps neither input nor the event loop waiting (MB-08).
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ProcessingTimeService } from "../StreamOperator.js"
import type { CheckpointLock } from "./CheckpointLock.js"
import { turn } from "./EventLoop.js"
import { Heap } from "./Heap.js"
import { Parker } from "./Parker.js"

/** The longest that a host's timer can wait, in milliseconds; Effect's clock never wakes who sleeps longer. */
const LONGEST_SLEEP = 2 ** 31 - 1

interface Scheduled {
  readonly at: number
  /** the time it was registered with */
  readonly wanted: number
  readonly sequence: number
  readonly callback: (at: number) => void
  live: boolean
}

/** The processing time of one task. */
export class ProcessingTime implements ProcessingTimeService {
  private readonly due = new Heap<Scheduled>((a, b) => a.at < b.at || (a.at === b.at && a.sequence < b.sequence))
  private readonly parker = new Parker()
  private sequence = 0
  private quiesced = false

  constructor(private readonly clock: Clock.Clock) {}

  readonly now = (): number => this.clock.unsafeCurrentTimeMillis()

  readonly schedule = (at: number, callback: (at: number) => void): () => void => {
    if (this.quiesced) return () => {}
    const scheduled: Scheduled = { at: Math.max(at, this.now()), wanted: at, sequence: this.sequence++, callback, live: true }
    const earliest = this.due.peek()
    this.due.push(scheduled)
    if (earliest === undefined || scheduled.at < earliest.at) this.parker.wake()
    return () => {
      scheduled.live = false
    }
  }

  /** Refuses and drops timers from here on; called under the lock, so none is running. */
  quiesce(): void {
    this.quiesced = true
  }

  /** Runs timers for ever; `after` runs under the lock when some have fired. */
  run<E>(lock: CheckpointLock, after: Effect.Effect<void, E>): Effect.Effect<never, E> {
    const fire = lock.hold(Effect.suspend(() => {
      const now = this.now()
      const { sequence } = this
      let next = this.due.peek()
      while (!this.quiesced && next !== undefined && next.at <= now && next.sequence < sequence) {
        this.due.pop()
        if (next.live) {
          next.live = false
          next.callback(next.wanted)
        }
        next = this.due.peek()
      }
      return after
    }))
    return Effect.forever(Effect.suspend((): Effect.Effect<void, E> => {
      let next = this.due.peek()
      while (next !== undefined && !next.live) {
        this.due.pop()
        next = this.due.peek()
      }
      if (next === undefined || this.quiesced) return this.parker.park
      const delay = next.at - this.now()
      return delay <= 0 ? Effect.zipRight(fire, turn) : Effect.raceFirst(Effect.sleep(Math.min(delay, LONGEST_SLEEP)), this.parker.park)
    }))
  }
}
