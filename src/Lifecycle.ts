/**
 * The life of a task as one tagged state with legal transitions, and the events an observer sees.
 *
 * Owns the order of phases. Knows nothing of fibers, scopes or operators.
 *
 * F1. A task moves only along the transitions listed in `transitions`; anything else is a broken invariant.
 * F2. The terminal states are final: the first one reached wins (L1).
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * The named points in the life of a task and its operators, in the order of a normal run.
 *
 * @since 0.1.0
 * @category models
 */
export type LifecyclePhase =
  | "setInitialState"
  | "setup"
  | "setRuntimeContext"
  | "initializeState"
  | "open"
  | "run"
  | "endInput"
  | "quiesceTimers"
  | "finish"
  | "prepareSnapshotPreBarrier"
  | "snapshotState"
  | "notifyCheckpointComplete"
  | "notifyCheckpointAborted"
  | "finalCheckpoint"
  | "close"
  | "taskCleanup"
  | "commonCleanup"
  | "finished"
  | "canceled"
  | "failed"

/**
 * One step in the life of a task. `operator` is the operator's name, or `undefined` for a step of the task itself;
 * `at` is milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface LifecycleEvent {
  readonly job: string
  readonly vertex: string
  readonly subtask: number
  readonly operator: string | undefined
  readonly phase: LifecyclePhase
  readonly checkpointId?: number
  readonly at: number
}

/**
 * The states of a task. `initializing` restores and opens, `ending` has seen the end of its data, `closing` releases.
 *
 * @since 0.1.0
 * @category models
 */
export type TaskState =
  | "created"
  | "initializing"
  | "running"
  | "ending"
  | "awaitingFinalCheckpoint"
  | "closing"
  | "finished"
  | "canceled"
  | "failed"

/**
 * The legal transitions between the states of a task.
 *
 * @since 0.1.0
 * @category models
 */
export const transitions: { readonly [S in TaskState]: ReadonlyArray<TaskState> } = {
  created: ["initializing", "closing"],
  initializing: ["running", "closing"],
  running: ["ending", "closing"],
  ending: ["awaitingFinalCheckpoint", "closing"],
  awaitingFinalCheckpoint: ["closing"],
  closing: ["finished", "canceled", "failed"],
  finished: [],
  canceled: [],
  failed: []
}

/**
 * Whether a task may move from one state to another.
 *
 * @since 0.1.0
 * @category predicates
 */
export const canMove = (from: TaskState, to: TaskState): boolean => transitions[from].includes(to)

/**
 * Whether a task has ended.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTerminal = (state: TaskState): state is "finished" | "canceled" | "failed" => transitions[state].length === 0

/**
 * Sees every step in the life of every task, just before it is taken. By default nobody looks.
 *
 * An observer that throws makes the step fail as if the hook itself had thrown: that is how a test injects a crash at a
 * named point without test code in the runtime.
 *
 * @since 0.1.0
 * @category services
 */
export class LifecycleObserver extends Context.Reference<LifecycleObserver>()("sluice/LifecycleObserver", {
  defaultValue: (): {
    readonly observe: (event: LifecycleEvent) => void
    /** sees that an operator's hook has returned; what it throws fails the hook too */
    readonly passed?: ((event: LifecycleEvent) => void) | undefined
  } => ({ observe: () => {} })
}) {}
