/**
 * A transactional system outside the job, in memory: what a database would be to a sink. It outlives the job, so a test can crash the job and look at what
 * became visible.
 *
 * E1. Nothing that was not made durable can be committed, and nothing is committed twice.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DataSink } from "../DataSink.js"
import * as Sink from "../DataSink.js"

/**
 * A ledger of `A`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ledger<A> {
  /** commits with each checkpoint; committing again does nothing, committing what is not durable is a defect */
  readonly sink: DataSink<A>
  /** everything that is visible, in the order of the commits */
  readonly visible: () => ReadonlyArray<A>
  /** how many transactions were committed */
  readonly commits: () => number
  /** empties it, for another run */
  readonly reset: () => void
}

/**
 * Makes an empty ledger. `onCommit` sees everything that is visible after each commit; where it throws, the commit fails the task.
 *
 * @example
 * ```ts
 * import { DataStream, Job } from "sluice"
 * import { Ledger } from "sluice/testing"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const ledger = Ledger.make<number>()
 * const job = Job.make("ledger", DataStream.range(1, 3).pipe(DataStream.to(ledger.sink)))
 * await Effect.runPromise(Job.run(job, { checkpoint: { interval: "1 second" } }))
 * assert.deepEqual(ledger.visible(), [1, 2, 3])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A>(onCommit: (visible: ReadonlyArray<A>) => void = () => {}): Ledger<A> => {
  const durable = new Map<string, ReadonlyArray<A>>()
  const committed = new Set<string>()
  const visible: Array<A> = []
  const commit = (token: string) =>
    Effect.suspend(() => {
      const values = durable.get(token)
      if (values === undefined) return Effect.dieMessage(`E1: transaction ${token} was committed before it was durable`)
      if (committed.has(token)) return Effect.void
      committed.add(token)
      for (const value of values) visible.push(value)
      onCommit(visible)
      return Effect.void
    })
  const open = (attempt: string) => {
    let values: Array<A> = []
    let n = 0
    return {
      write: (value: A) => {
        values.push(value)
      },
      prepare: () => {
        const token = `${attempt}/${n++}`
        const taken = values
        values = []
        return {
          committables: taken.length === 0 ? [] : [token],
          persist: Effect.map(Effect.yieldNow(), () => {
            durable.set(token, taken)
          })
        }
      },
      commit
    }
  }
  return {
    sink: Sink.transactional({
      name: "ledger",
      open: ({ attemptId, subtask, uid }) => Effect.sync(() => open(`${attemptId}/${uid}/${subtask}`))
    }),
    visible: () => visible,
    commits: () => committed.size,
    reset: () => {
      durable.clear()
      committed.clear()
      visible.length = 0
    }
  }
}
