/**
 * The contract of all that a task manager can run, as Flink's AbstractInvokable; and what a task asks of those who run it.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CheckpointBarrier, CheckpointFailureReason, OperatorPhase, StateDescription, StateHandle } from "../Checkpoint.js"
import type { CheckpointWriter } from "../CheckpointStorage.js"
import type { JobVertex } from "../graph/JobGraph.js"
import type { SubtaskMetrics } from "../JobMetrics.js"
import type { ResolvedOptions } from "../JobOptions.js"
import type { TaskState } from "../Lifecycle.js"
import type { OutputTag } from "../OutputTag.js"
import type { TaskHung } from "../StreamError.js"
import type { Channel } from "./Channel.js"
import type { OperatorRestore } from "./OperatorRestore.js"

/**
 * How a task ended. The first terminal state wins (L1).
 *
 * @since 0.1.0
 * @category models
 */
export type TaskEnd =
  | { readonly _tag: "finished"; readonly stopped: boolean }
  | { readonly _tag: "canceled" }
  | { readonly _tag: "failed"; readonly cause: Cause.Cause<any> }

/**
 * A subtask that can be run and checkpointed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Invokable {
  readonly vertex: JobVertex
  readonly subtask: number
  readonly state: TaskState
  readonly metrics: SubtaskMetrics
  readonly counters: ReadonlyMap<string, number>
  /** what did not even end when it was interrupted, and was left behind */
  readonly abandoned: TaskHung | undefined
  /** the whole life of the task; interrupting it cancels the task; it never fails, it tells how it ended */
  readonly invoke: Effect.Effect<TaskEnd, never, any>
  /** takes a checkpoint of a task that has no barriers to wait for; false where it cannot be taken */
  readonly triggerCheckpointAsync: (barrier: CheckpointBarrier) => Effect.Effect<boolean>
  /** takes a checkpoint whose barriers have all arrived; under the lock */
  readonly triggerCheckpointOnBarrier: (barrier: CheckpointBarrier) => Effect.Effect<void, any>
  /** gives up a checkpoint because of what came through the channels; under the lock */
  readonly abortCheckpointOnBarrier: (id: number, reason: CheckpointFailureReason) => Effect.Effect<void, any>
  readonly notifyCheckpointCompleteAsync: (id: number) => Effect.Effect<void>
  readonly notifyCheckpointAbortAsync: (id: number, latestCompleted: number) => Effect.Effect<void>
}

/**
 * What one subtask put into a checkpoint.
 *
 * @since 0.1.0
 * @category models
 */
export interface SubtaskReport {
  readonly handle: StateHandle | undefined
  readonly operators: ReadonlyArray<{
    readonly uid: string
    readonly phase: OperatorPhase
    readonly states: ReadonlyArray<StateDescription>
  }>
}

/**
 * Who coordinates checkpoints, as a task sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointResponder {
  /** where to write a checkpoint that is still wanted */
  readonly writer: (id: number) => CheckpointWriter | undefined
  readonly acknowledge: (task: Invokable, id: number, report: SubtaskReport) => Effect.Effect<void>
  readonly decline: (task: Invokable, id: number, reason: CheckpointFailureReason, cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** whether a task that has ended its data waits for one more checkpoint */
  readonly finalCheckpoint: () => boolean
  /** the task has ended its data and now waits for its final checkpoint */
  readonly awaitsFinalCheckpoint: (task: Invokable) => Effect.Effect<void>
}

/**
 * All that a subtask is given.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskEnvironment {
  readonly job: string
  readonly vertex: JobVertex
  readonly subtask: number
  readonly maxParallelism: number
  readonly attempt: number
  readonly attemptId: string
  readonly options: ResolvedOptions
  /** the channels of each input it reads; a source has no input */
  readonly inputs: ReadonlyArray<ReadonlyArray<Channel>>
  /** for each of the vertex's outputs, the channels to the subtasks of its reader: all of them in order, or its own one of a forward edge */
  readonly outputs: ReadonlyArray<ReadonlyArray<Channel>>
  /** what is done with side outputs that nobody reads; default nothing */
  readonly unreadOutput?: (<A>(tag: OutputTag<A>, value: A, timestamp: number | undefined) => void) | undefined
  /** what an operator is restored with, by uid */
  readonly restore: (uid: string) => OperatorRestore | undefined
  readonly restoredId: number
  readonly responder: CheckpointResponder
  /** waits until all tasks of the job have initialized their state */
  readonly allInitialized: Effect.Effect<void>
  /** tells that the task has opened and runs */
  readonly running: Effect.Effect<void>
}

/**
 * What each task is given goes through here before the task is made; by default as it is. A simulation numbers what goes in and out of a task.
 *
 * @since 0.1.0
 * @category services
 */
export class Wiring extends Context.Reference<Wiring>()("sluice/Wiring", {
  defaultValue: (): { readonly wire: (env: TaskEnvironment) => TaskEnvironment } => ({ wire: (env) => env })
}) {}
