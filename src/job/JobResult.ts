/**
 * What a run of a job comes to, and what it tells on the way.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type { CheckpointStats } from "../JobMetrics.js"
import type { CheckpointFailed, JobError } from "../StreamError.js"

/**
 * Where a job is in its life.
 *
 * @since 0.1.0
 * @category models
 */
export type JobStatus = "created" | "running" | "restarting" | "finished" | "stopped" | "canceled" | "failed"

/**
 * How a run ended well: `finished` at the end of all input, `stopped` with a savepoint.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobResult {
  readonly id: string
  readonly name: string
  readonly status: "finished" | "stopped"
  readonly restarts: number
  readonly checkpoints: { readonly completed: number; readonly failed: number; readonly lastId: number | undefined }
  /** the checkpoint or savepoint from which the run began */
  readonly restoredFrom: number | undefined
  readonly durationMs: number
  /** records of the last attempt, by vertex */
  readonly records: ReadonlyArray<{ readonly vertex: string; readonly in: number; readonly out: number }>
}

/**
 * What happens to a running job.
 *
 * @since 0.1.0
 * @category models
 */
export type JobEvent =
  | { readonly _tag: "Restored"; readonly checkpointId: number }
  | { readonly _tag: "Started"; readonly attempt: number }
  | { readonly _tag: "CheckpointCompleted"; readonly stats: CheckpointStats }
  | { readonly _tag: "CheckpointFailed"; readonly failure: CheckpointFailed }
  | { readonly _tag: "Restarting"; readonly attempt: number; readonly cause: Cause.Cause<unknown> }
  | { readonly _tag: "Ended"; readonly status: JobStatus }
  | { readonly _tag: "Canceled" }
  | { readonly _tag: "Failed"; readonly error: JobError<unknown> }
