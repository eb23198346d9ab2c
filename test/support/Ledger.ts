/**
 * A transactional system outside the job, as a database would be: what is prepared survives a crash, what is committed is visible for good.
 */
import { Effect } from "effect"
import { DataSink } from "sluice"

export class Ledger {
  private readonly prepared = new Map<string, ReadonlyArray<string>>()
  private readonly committed = new Set<string>()
  readonly visible: Array<string> = []
  commits = 0

  /** what must hold at each commit */
  constructor(private readonly check: (visible: ReadonlyArray<string>) => void = () => {}) {}

  readonly sink: DataSink.DataSink<string> = DataSink.transactional({
    name: "ledger",
    open: ({ attemptId, subtask }) =>
      Effect.sync((): DataSink.TransactionWriter<string, string> => {
        let values: Array<string> = []
        let n = 0
        return {
          write: (value) => {
            values.push(value)
          },
          prepare: () => {
            const token = `${attemptId}/${subtask}/${n++}`
            const taken = values
            values = []
            return {
              committables: taken.length === 0 ? [] : [token],
              // not durable before it was persisted
              persist: Effect.map(Effect.yieldNow(), () => void this.prepared.set(token, taken))
            }
          },
          commit: (token) =>
            Effect.suspend(() => {
              const taken = this.prepared.get(token)
              if (taken === undefined) return Effect.dieMessage(`${token} was committed before it was durable`)
              if (this.committed.has(token)) return Effect.void
              this.committed.add(token)
              this.commits++
              this.visible.push(...taken)
              this.check(this.visible)
              return Effect.void
            })
        }
      })
  })
}

/** Fails where `visible` holds something that is not in `all`, or more often. */
export const checkSubset = (all: ReadonlyArray<string>) => {
  const allowed = new Map<string, number>()
  for (const each of all) allowed.set(each, (allowed.get(each) ?? 0) + 1)
  return (visible: ReadonlyArray<string>): void => {
    const seen = new Map<string, number>()
    for (const each of visible) {
      const n = (seen.get(each) ?? 0) + 1
      seen.set(each, n)
      if (n > (allowed.get(each) ?? 0)) throw new Error(`L9: ${each} is visible ${n} times, ${allowed.get(each) ?? 0} are right`)
    }
  }
}
