/**
 * What one operator's subtask is restored with.
 *
 * @since 0.1.0
 */
import type { OperatorPhase } from "../Checkpoint.js"
import type { Shape } from "../state/Shape.js"

/** A stored state: its shape, and chunks that may hold entries of other subtasks too. */
export interface StoredState {
  readonly shape: Shape
  readonly chunks: ReadonlyArray<Uint8Array>
}

/** The part of a checkpoint that concerns one operator's subtask. */
export interface OperatorRestore {
  readonly checkpointId: number
  readonly phase: OperatorPhase
  /** keyed state by name; `filter` where the chunks hold keys of other subtasks */
  readonly keyed: ReadonlyMap<string, StoredState>
  readonly filter: boolean
  /** operator state by name: the items, redistributed */
  readonly lists: ReadonlyMap<string, { readonly shape: Shape; readonly items: ReadonlyArray<unknown> }>
}
