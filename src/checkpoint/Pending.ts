/**
 * The bookkeeping of checkpoints under way: who has acknowledged what.
 *
 * A pure machine. Knows nothing of fibers, storage or time.
 *
 * P1. A checkpoint is completed exactly when every task it needs has acknowledged it, and at most once.
 * P2. Completing one gives up all older ones that are no savepoints (SUBSUMED).
 * P3. What comes for a checkpoint that is no longer pending, or twice, changes nothing.
 *
 * @since 0.1.0
 */
import type { CheckpointFailureReason, CheckpointKind } from "../Checkpoint.js"

/** A checkpoint under way; `Report` is what a task acknowledges with. */
export interface PendingCheckpoint<Report> {
  readonly id: number
  readonly kind: CheckpointKind
  readonly timestamp: number
  readonly needed: ReadonlySet<string>
  readonly reports: ReadonlyMap<string, Report>
}

/** All checkpoints under way, by id. */
export type State<Report> = ReadonlyMap<number, PendingCheckpoint<Report>>

/** What can happen. */
export type Event<Report> =
  | { readonly _tag: "Triggered"; readonly checkpoint: PendingCheckpoint<Report> }
  | { readonly _tag: "Acknowledged"; readonly id: number; readonly task: string; readonly report: Report }
  | { readonly _tag: "GivenUp"; readonly id: number; readonly reason: CheckpointFailureReason }

/** What follows. */
export type Action<Report> =
  | { readonly _tag: "Complete"; readonly checkpoint: PendingCheckpoint<Report> }
  | { readonly _tag: "Abort"; readonly checkpoint: PendingCheckpoint<Report>; readonly reason: CheckpointFailureReason }

/** None under way. */
export const empty: State<never> = new Map()

/** Takes one event. */
export const step = <Report>(state: State<Report>, event: Event<Report>): readonly [State<Report>, ReadonlyArray<Action<Report>>] => {
  const next = new Map(state)
  switch (event._tag) {
    case "Triggered":
      next.set(event.checkpoint.id, event.checkpoint)
      return complete(next, event.checkpoint)
    case "Acknowledged": {
      const pending = state.get(event.id)
      if (pending === undefined || !pending.needed.has(event.task) || pending.reports.has(event.task)) return [state, []]
      const checkpoint = { ...pending, reports: new Map(pending.reports).set(event.task, event.report) }
      next.set(event.id, checkpoint)
      return complete(next, checkpoint)
    }
    case "GivenUp": {
      const pending = state.get(event.id)
      if (pending === undefined) return [state, []]
      next.delete(event.id)
      return [next, [{ _tag: "Abort", checkpoint: pending, reason: event.reason }]]
    }
  }
}

const complete = <Report>(
  next: Map<number, PendingCheckpoint<Report>>,
  checkpoint: PendingCheckpoint<Report>
): readonly [State<Report>, ReadonlyArray<Action<Report>>] => {
  if (checkpoint.reports.size < checkpoint.needed.size) return [next, []]
  next.delete(checkpoint.id)
  const actions: Array<Action<Report>> = [{ _tag: "Complete", checkpoint }]
  // a savepoint subsumes nothing and is subsumed by nothing (CC-23)
  if (checkpoint.kind._tag === "Checkpoint") {
    for (const older of Array.from(next.values())) {
      if (older.id > checkpoint.id || older.kind._tag === "Savepoint") continue
      next.delete(older.id)
      actions.push({ _tag: "Abort", checkpoint: older, reason: "SUBSUMED" })
    }
  }
  return [next, actions]
}
