/**
 * The loop of a task: works in slices under the checkpoint lock, and rests between them.
 *
 * A slice ends when there is nothing to do, the output is full, an operator can take no more, somebody waits for the lock, or its time is over. What operators
 * asked to be run (`execute`) is run between two batches.
 *
 * I1. Whoever waits for the lock gets it after the batch in hand, and the event loop gets a turn every few milliseconds (L5).
 * I2. Whoever gets the lock finds nothing parked: what an operator answered with an Effect has been run.
 * I3. What operators ask for is run in order, before the task goes on to its end; what asks for itself again does not keep input waiting (LC-25, MB-08).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { HookResult } from "../StreamOperator.js"
import type { CheckpointLock } from "./CheckpointLock.js"
import { turn } from "./EventLoop.js"
import type { OperatorChain } from "./OperatorChain.js"
import type { Parker } from "./Parker.js"

/** How long a slice holds the lock, in milliseconds. */
const SLICE_MS = 5

/** How many batches a slice takes at the most, also where the clock stands still. */
const SLICE_BATCHES = 128

/** How many slices may pass without a turn of the event loop, also where the clock stands still. */
const SLICES_PER_TURN = 32

/** What a step of input came to: go on, nothing there, the end; or an Effect to run first, under the lock. */
export type InputStatus = "more" | "nothing" | "end" | Effect.Effect<void, any>

/** What the loop does once the lock is free again. */
type Rest = "again" | "park" | "turn" | "ended"

/** The slices of one task. */
export class Slices {
  private mails: Array<() => HookResult<any>> = []
  private rest: Rest = "again"
  private slices = 0
  private lastTurn = 0
  /** something was emitted since the last `endBatch` */
  private dirty = false
  /** what was asked for has been run, and input has had no step since */
  private inputIsDue = false
  private quiesced = false

  constructor(
    private readonly lock: CheckpointLock,
    private readonly parker: Parker,
    private readonly chainOf: () => OperatorChain,
    private readonly now: () => number,
    private readonly processInput: () => InputStatus,
    /** input that is taken also where the output is full */
    private readonly processUrgent: () => Effect.Effect<void, any> | undefined,
    /** whether the task is to stop now, whatever its operators and readers are at; asked until it says so once */
    private readonly stops: () => boolean
  ) {}

  /** Has an action run under the lock, between two batches. */
  readonly execute = (action: () => HookResult<any>): void => {
    if (this.quiesced) return
    this.mails.push(action)
    this.parker.wake()
  }

  /** whether something is to be run */
  get hasMails(): boolean {
    return this.mails.length > 0
  }

  /** From here on what operators ask for is not run: what they hold is in their state (AS-09). */
  quiesce(): void {
    this.quiesced = true
    this.mails = []
  }

  /** After something was emitted outside of a slice: brings it on its way; under the lock. */
  readonly settle: Effect.Effect<void, any> = Effect.suspend(() => {
    const chain = this.chainOf()
    return Effect.flatMap(chain.drain, () => {
      chain.endBatch()
      return Effect.map(chain.drain, () => chain.flush())
    })
  })

  /** Runs slices until the input has ended, or `until` says so. */
  run(until: () => boolean): Effect.Effect<void, any> {
    let ended = false
    this.lastTurn = this.now()
    return Effect.whileLoop({
      while: () => !ended && !until(),
      body: () => Effect.flatMap(this.lock.slice(this.slice), () => this.afterSlice),
      step: () => {
        ended = this.rest === "ended"
      }
    })
  }

  /** Runs what operators have asked for, and goes on with that until `done` holds; nothing is read meanwhile. */
  waitFor(done: () => boolean): Effect.Effect<void, any> {
    const work = this.lock.slice(Effect.suspend(() => Effect.zipRight(this.runMails() ?? Effect.void, this.settle)))
    const wait = Effect.whileLoop({
      while: () => !done(),
      body: () => Effect.flatMap(work, () => done() ? Effect.void : this.mails.length > 0 ? turn : this.parker.park),
      step: () => {}
    })
    return Effect.suspend(() => this.mails.length > 0 ? Effect.zipRight(work, wait) : wait)
  }

  /** Hot: see test/bench. */
  private readonly slice: Effect.Effect<void, any> = Effect.suspend(() => {
    const chain = this.chainOf()
    const start = this.now()
    this.rest = "again"
    for (let batches = 0;;) {
      // a batch has ended for an operator when all that those before it were parked on is through
      if (chain.isParked) return chain.drain
      if (this.mails.length > 0 && !this.inputIsDue) {
        this.dirty = true
        this.inputIsDue = true
        const effect = this.runMails()
        if (effect !== undefined) return Effect.zipRight(effect, chain.drain)
        continue
      }
      if (this.dirty) {
        this.dirty = false
        chain.endBatch()
        continue
      }
      if (this.stops()) {
        chain.flush()
        this.rest = "ended"
        return Effect.void
      }
      const urgent = this.processUrgent()
      if (urgent !== undefined) return urgent
      this.inputIsDue = false
      if (chain.isBackpressured) {
        chain.flush()
        this.rest = "park"
        return Effect.void
      }
      const status = this.processInput()
      if (typeof status !== "string") return status
      if (status !== "more") {
        chain.flush()
        this.rest = status === "end" ? "ended" : "park"
        return chain.isParked ? this.settle : Effect.void
      }
      this.dirty = true
      if (this.lock.contended || ++batches >= SLICE_BATCHES || this.now() - start >= SLICE_MS) {
        this.rest = "turn"
        return chain.isParked ? chain.drain : Effect.void
      }
    }
  })

  private readonly afterSlice: Effect.Effect<void> = Effect.suspend(() => {
    const { rest } = this
    if (rest === "ended") return Effect.void
    // also who was to park asks again after a turn: there may be work by then
    if (rest === "turn" || this.lock.contended || ++this.slices >= SLICES_PER_TURN || this.now() - this.lastTurn >= SLICE_MS) {
      return this.turn
    }
    return rest === "park" ? this.parker.park : Effect.void
  })

  private readonly turn: Effect.Effect<void> = Effect.map(turn, () => {
    this.slices = 0
    this.lastTurn = this.now()
  })

  /** runs what has been asked for so far; what that asks for comes after */
  private runMails(): Effect.Effect<void, any> | undefined {
    const mails = this.mails
    this.mails = []
    return runFrom(mails, 0)
  }
}

const runFrom = (mails: ReadonlyArray<() => HookResult<any>>, from: number): Effect.Effect<void, any> | undefined => {
  for (let i = from; i < mails.length; i++) {
    const effect = mails[i]()
    if (effect !== undefined) return Effect.flatMap(effect, () => runFrom(mails, i + 1) ?? Effect.void)
  }
  return undefined
}
