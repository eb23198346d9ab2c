/**
 * The words of a checkpoint: its barrier, what a subtask reports, what a completed one holds.
 *
 * Pure data. Ids grow by one for each checkpoint or savepoint of a job, over restarts too.
 *
 * @since 0.1.0
 */
import type { Shape } from "./state/Shape.js"

/**
 * What a checkpoint is for. A `savepoint` is kept until somebody deletes it and subsumes nothing;
 * with `stop` the job ends once it is complete, after `drain` with the end of event time.
 *
 * @since 0.1.0
 * @category models
 */
export type CheckpointKind =
  | { readonly _tag: "Checkpoint" }
  | { readonly _tag: "Savepoint"; readonly stop: "no" | "suspend" | "drain" }

/**
 * Travels in band and cuts each channel into what belongs to checkpoint `id` and what comes after.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointBarrier {
  readonly _tag: "CheckpointBarrier"
  readonly id: number
  /** when the coordinator triggered it, ms since the epoch */
  readonly timestamp: number
  readonly kind: CheckpointKind
  /** whether it overtakes what is queued in channels; that is then part of the checkpoint */
  readonly unaligned?: boolean
}

/**
 * Why a checkpoint was not completed, in Flink's words.
 *
 * @since 0.1.0
 * @category models
 */
export type CheckpointFailureReason =
  | "EXPIRED"
  | "SUBSUMED"
  | "DECLINED_ON_CANCELLATION_BARRIER"
  | "TASK_NOT_READY"
  | "TASK_FAILURE"
  | "ASYNC_EXCEPTION"
  | "STORAGE"
  | "COORDINATOR_SHUTDOWN"
  | "NOT_ALL_REQUIRED_TASKS_RUNNING"

/**
 * How the operator state of all subtasks is given to the subtasks of a restored job:
 * `split` deals the items out in turn, `union` gives every subtask all of them.
 *
 * @since 0.1.0
 * @category models
 */
export type Redistribution = "split" | "union"

/**
 * How far an operator had come when its snapshot was taken: `running`; `finishing`, after its `finish` but before its final
 * checkpoint was confirmed; or `finished`.
 *
 * @since 0.1.0
 * @category models
 */
export type OperatorPhase = "running" | "finishing" | "finished"

/**
 * Where the bytes of one subtask's snapshot lie in a checkpoint.
 *
 * @since 0.1.0
 * @category models
 */
export interface StateHandle {
  readonly file: string
  readonly bytes: number
  /** SHA-256 of the file, hex */
  readonly checksum: string
}

/**
 * A state that a checkpoint holds, described without its bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface StateDescription {
  readonly name: string
  readonly kind: "keyed" | "operator"
  readonly redistribution: Redistribution
  readonly shape: Shape
  readonly entries: number
}

/**
 * One operator in a completed checkpoint: its subtasks in order.
 *
 * @since 0.1.0
 * @category models
 */
export interface OperatorState {
  readonly uid: string
  readonly name: string
  readonly parallelism: number
  readonly maxParallelism: number
  readonly subtasks: ReadonlyArray<{
    readonly subtask: number
    readonly phase: OperatorPhase
    readonly handle: StateHandle | undefined
    readonly states: ReadonlyArray<StateDescription>
  }>
}

/**
 * The metadata of a completed checkpoint; writing it is the commit point.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointMetadata {
  readonly version: number
  readonly job: string
  readonly id: number
  readonly kind: CheckpointKind
  /** when it was triggered, ms since the epoch */
  readonly timestamp: number
  readonly operators: ReadonlyArray<OperatorState>
}

/**
 * The version of the checkpoint format that this build writes.
 *
 * @since 0.1.0
 * @category constants
 */
export const FORMAT_VERSION = 1

/**
 * An ordinary checkpoint.
 *
 * @since 0.1.0
 * @category constructors
 */
export const checkpoint: CheckpointKind = { _tag: "Checkpoint" }

/**
 * A savepoint, and whether the job stops with it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const savepoint = (stop: "no" | "suspend" | "drain" = "no"): CheckpointKind => ({ _tag: "Savepoint", stop })
