/**
 * Decides when the barriers of checkpoints have arrived on every channel, at-least-once mode: nothing is ever blocked, so what a channel gives between its
 * barrier and the last one is processed before the snapshot, and comes again after a restore.
 *
 * Several checkpoints may be under way. Follows Flink's CheckpointBarrierTracker; events and actions are those of `BarrierAligner`.
 *
 * B7. A checkpoint is triggered by its last barrier, unless a newer one was before; those older than it are dropped.
 * B8. A checkpoint is aborted at most once; an aborted one is never triggered.
 *
 * @since 0.1.0
 */
import type { CheckpointBarrier } from "../Checkpoint.js"
import type { Action, Event } from "./BarrierAligner.js"

/** A checkpoint some of whose barriers have come; one without a barrier was aborted by a marker. */
interface Pending {
  readonly id: number
  readonly barrier: CheckpointBarrier | undefined
  readonly arrived: ReadonlySet<number>
  readonly aborted: boolean
}

/** What is known of the barriers so far. */
export interface State {
  readonly channels: number
  readonly ended: ReadonlySet<number>
  /** the highest checkpoint seen in any way */
  readonly lastId: number
  /** oldest first */
  readonly pending: ReadonlyArray<Pending>
}

/** How many checkpoints are remembered that have not come from every channel. */
const REMEMBERED = 50

/** The tracker of a gate, after a restore from checkpoint `lastId`. */
export const initial = (channels: number, lastId = 0): State => ({ channels, ended: new Set(), lastId, pending: [] })

type Step = readonly [State, ReadonlyArray<Action>]

/** Takes one event. */
export const step = (state: State, event: Event): Step => {
  switch (event._tag) {
    case "Barrier": {
      const { barrier, channel } = event
      return settle(arrive(state, barrier.id, channel, { barrier }), [])
    }
    case "Cancel": {
      const { channel, id } = event
      const seen = id <= state.lastId && !state.pending.some((each) => each.id === id)
      if (seen) return [state, []]
      // what is older than a marker cannot complete any more
      const aborted = state.pending.filter((each) => each.id <= id && !each.aborted).map((each) => each.id)
      const all = state.pending.some((each) => each.id === id) ? aborted : [...aborted, id]
      const newer = { ...state, pending: state.pending.filter((each) => each.id >= id) }
      return settle(
        arrive(newer, id, channel, { aborted: true }),
        all.map((each): Action => ({ _tag: "AbortCheckpoint", id: each, reason: "DECLINED_ON_CANCELLATION_BARRIER" }))
      )
    }
    case "Abort":
      if (!state.pending.some((each) => each.id === event.id && !each.aborted)) return [state, []]
      return [
        { ...state, pending: state.pending.map((each) => each.id === event.id ? { ...each, aborted: true } : each) },
        [{ _tag: "UnblockAll" }]
      ]
    case "End":
      return settle({ ...state, ended: new Set(state.ended).add(event.channel) }, [])
    case "Timeout":
      return [state, []]
  }
}

const arrive = (state: State, id: number, channel: number, with_: Partial<Pick<Pending, "barrier" | "aborted">>): State => {
  const at = state.pending.findIndex((each) => each.id === id)
  if (at >= 0) {
    const pending = state.pending.map((each, i) =>
      i !== at ? each : {
        ...each,
        barrier: each.barrier ?? with_.barrier,
        arrived: new Set(each.arrived).add(channel),
        aborted: each.aborted || with_.aborted === true
      }
    )
    return { ...state, pending }
  }
  if (id <= state.lastId) return state
  const begun: Pending = { id, barrier: with_.barrier, arrived: new Set([channel]), aborted: with_.aborted === true }
  return { ...state, lastId: id, pending: [...state.pending, begun].slice(-REMEMBERED) }
}

/** triggers the newest checkpoint that has come from every channel, and drops it with all that are older */
const settle = (state: State, actions: ReadonlyArray<Action>): Step => {
  const complete = ({ arrived }: Pending) => {
    for (let channel = 0; channel < state.channels; channel++) if (!arrived.has(channel) && !state.ended.has(channel)) return false
    return true
  }
  const at = state.pending.findLastIndex(complete)
  if (at < 0) return [state, actions]
  const { aborted, barrier } = state.pending[at]
  const next = { ...state, pending: state.pending.slice(at + 1) }
  return [next, aborted || barrier === undefined ? actions : [...actions, { _tag: "Trigger", barrier }]]
}
