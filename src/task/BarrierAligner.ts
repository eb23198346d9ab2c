/**
 * Decides what the barriers of one checkpoint do as they arrive on each channel, exactly-once mode.
 *
 * Owns which channels are blocked. Knows nothing of records, tasks or storage. Follows Flink's SingleCheckpointBarrierHandler.
 *
 * B1. Between a channel's barrier and the end of alignment that channel stays blocked (L8).
 * B2. A checkpoint is aborted at most once, however many cancel markers arrive.
 * B3. A barrier of an older, triggered or aborted checkpoint changes nothing.
 * B4. A barrier or marker of a newer checkpoint aborts the pending one and unblocks its channels.
 * B5. A channel that ended counts as having given every barrier.
 * B6. An unaligned checkpoint is triggered by its first barrier and blocks nothing; it is captured when the last one has come. An aligned one that takes too
 *     long becomes unaligned (BA-21 to BA-23).
 *
 * @since 0.1.0
 */
import type { CheckpointBarrier, CheckpointFailureReason } from "../Checkpoint.js"

/** What is known of the barriers so far. */
export interface State {
  readonly channels: number
  /** the channels that have ended */
  readonly ended: ReadonlySet<number>
  /** the highest checkpoint seen in any way */
  readonly lastId: number
  /** the checkpoint some of whose barriers are still to come; an unaligned one has been triggered */
  readonly pending: { readonly barrier: CheckpointBarrier; readonly arrived: ReadonlySet<number> } | undefined
}

/** What can happen on a channel; `Abort` comes from the coordinator, and matters only to the pending checkpoint: of others the subtask remembers it. */
export type Event =
  | { readonly _tag: "Barrier"; readonly channel: number; readonly barrier: CheckpointBarrier }
  | { readonly _tag: "Cancel"; readonly channel: number; readonly id: number }
  | { readonly _tag: "End"; readonly channel: number }
  | { readonly _tag: "Abort"; readonly id: number }
  | { readonly _tag: "Timeout"; readonly id: number }

/** What is to be done, in this order. */
export type Action =
  | { readonly _tag: "Block"; readonly channel: number }
  | { readonly _tag: "UnblockAll" }
  | { readonly _tag: "Trigger"; readonly barrier: CheckpointBarrier }
  /** of an unaligned checkpoint: what the channel gives from here on is not part of it */
  | { readonly _tag: "Arrived"; readonly channel: number }
  /** of an unaligned checkpoint: every barrier has come */
  | { readonly _tag: "Captured"; readonly id: number }
  | { readonly _tag: "AbortCheckpoint"; readonly id: number; readonly reason: CheckpointFailureReason }

/** The aligner of a gate, after a restore from checkpoint `lastId`. */
export const initial = (channels: number, lastId = 0): State => ({ channels, ended: new Set(), lastId, pending: undefined })

type Step = readonly [State, ReadonlyArray<Action>]

/** Takes one event. */
export const step = (state: State, event: Event): Step => {
  switch (event._tag) {
    case "Barrier":
      return barrier(state, event.channel, event.barrier)
    case "Cancel":
      return abort(state, event.id, "DECLINED_ON_CANCELLATION_BARRIER")
    case "Abort":
      return state.pending?.barrier.id === event.id
        ? [{ ...state, pending: undefined }, [{ _tag: "UnblockAll" }]]
        : [state, []]
    case "Timeout":
      return state.pending?.barrier.id === event.id && state.pending.barrier.unaligned !== true
        ? overtake(state, state.pending, [])
        : [state, []]
    case "End":
      return trigger({ ...state, ended: new Set(state.ended).add(event.channel) }, [])
  }
}

const barrier = (state: State, channel: number, barrier: CheckpointBarrier): Step => {
  const { pending } = state
  if (pending !== undefined && pending.barrier.id === barrier.id) {
    const next = { barrier: pending.barrier, arrived: new Set(pending.arrived).add(channel) }
    if (barrier.unaligned === true && pending.barrier.unaligned !== true) return overtake(state, next, [])
    const arrived: Action = { _tag: pending.barrier.unaligned === true ? "Arrived" : "Block", channel }
    return trigger({ ...state, pending: next }, [arrived])
  }
  if (barrier.id <= state.lastId) return [state, []]
  const first = { barrier, arrived: new Set([channel]) }
  const begun: State = { ...state, lastId: barrier.id, pending: first }
  if (barrier.unaligned === true) return overtake(begun, first, subsume(pending))
  return trigger(begun, [...subsume(pending), { _tag: "Block", channel }])
}

/** triggers a checkpoint that no longer waits for its other barriers */
const overtake = (state: State, { arrived, barrier }: NonNullable<State["pending"]>, before: ReadonlyArray<Action>): Step => {
  const unaligned: CheckpointBarrier = { ...barrier, unaligned: true }
  const unblock: ReadonlyArray<Action> = barrier.unaligned === true ? [] : [{ _tag: "UnblockAll" }]
  return trigger({ ...state, pending: { barrier: unaligned, arrived } }, [
    ...before,
    ...unblock,
    { _tag: "Trigger", barrier: unaligned },
    ...Array.from(arrived, (channel): Action => ({ _tag: "Arrived", channel }))
  ])
}

const abort = (state: State, id: number, reason: CheckpointFailureReason): Step => {
  const { pending } = state
  const aborted: Action = { _tag: "AbortCheckpoint", id, reason }
  if (pending !== undefined && pending.barrier.id === id) return [{ ...state, pending: undefined }, [{ _tag: "UnblockAll" }, aborted]]
  if (id <= state.lastId) return [state, []]
  return [{ ...state, lastId: id, pending: undefined }, [...subsume(pending), aborted]]
}

const subsume = (pending: State["pending"]): ReadonlyArray<Action> =>
  pending === undefined
    ? []
    : [{ _tag: "UnblockAll" }, { _tag: "AbortCheckpoint", id: pending.barrier.id, reason: "SUBSUMED" }]

/** triggers, or has captured, when every channel has given its barrier or has ended */
const trigger = (state: State, actions: ReadonlyArray<Action>): Step => {
  const { ended, pending } = state
  if (pending === undefined) return [state, actions]
  for (let channel = 0; channel < state.channels; channel++) {
    if (!pending.arrived.has(channel) && !ended.has(channel)) return [state, actions]
  }
  const { barrier } = pending
  const last: ReadonlyArray<Action> = barrier.unaligned === true
    ? [{ _tag: "Captured", id: barrier.id }]
    : [{ _tag: "UnblockAll" }, { _tag: "Trigger", barrier }]
  return [{ ...state, pending: undefined }, [...actions, ...last]]
}
