/**
 * All that can go wrong, as tagged errors with the fields needed to act and a message that says what to do.
 *
 * A user function's typed failure keeps its type inside `JobFailed`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"

/**
 * A task failed and the job was not restarted (any more). `cause` is the first failure; what failed while closing is attached to it.
 *
 * @since 0.1.0
 * @category errors
 */
export class JobFailed<out E = unknown> extends (Data.TaggedError("JobFailed") as new<A>(
  fields: A
) => Cause.YieldableError & { readonly _tag: "JobFailed" } & Readonly<A>)<{
  readonly job: string
  readonly vertex: string
  readonly subtask: number
  readonly restarts: number
  readonly cause: Cause.Cause<any>
}> {
  declare readonly cause: Cause.Cause<E | CheckpointFailed | TaskHung>
  override get message() {
    const times = this.restarts === 0 ? "" : ` after ${this.restarts} restart${this.restarts === 1 ? "" : "s"}`
    return `job ${this.job}: ${this.vertex}[${this.subtask}] failed${times}: ${Cause.pretty(this.cause)}`
  }
}

/**
 * The job cannot be built as it is written. `node` names the operator.
 *
 * @since 0.1.0
 * @category errors
 */
export class GraphError extends Schema.TaggedError<GraphError>("sluice/GraphError")("GraphError", {
  job: Schema.String,
  node: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `job ${this.job}: ${this.node}: ${this.reason}`
  }
}

/**
 * What is stored for a state cannot be read as the job now declares it. Nothing was started.
 *
 * @since 0.1.0
 * @category errors
 */
export class StateIncompatible extends Schema.TaggedError<StateIncompatible>("sluice/StateIncompatible")("StateIncompatible", {
  operator: Schema.String,
  state: Schema.String,
  path: Schema.String,
  stored: Schema.String,
  wanted: Schema.String
}) {
  override get message() {
    return `operator ${this.operator}, state ${this.state}, at ${this.path}: the checkpoint holds ${this.stored}, the job wants ${this.wanted}; ` +
      "change the schema back, or start anew with restore: \"none\""
  }
}

/**
 * A file of a checkpoint is damaged.
 *
 * @since 0.1.0
 * @category errors
 */
export class CheckpointCorrupt extends Schema.TaggedError<CheckpointCorrupt>("sluice/CheckpointCorrupt")("CheckpointCorrupt", {
  file: Schema.String,
  expected: Schema.String,
  found: Schema.String
}) {
  override get message() {
    return `${this.file}: checksum ${this.found}, expected ${this.expected}; restore from an older checkpoint`
  }
}

/**
 * A checkpoint fits the job in format and bytes but not in its operators or parallelism.
 *
 * @since 0.1.0
 * @category errors
 */
export class RestoreRejected extends Schema.TaggedError<RestoreRejected>("sluice/RestoreRejected")("RestoreRejected", {
  job: Schema.String,
  checkpoint: Schema.String,
  operator: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `job ${this.job} cannot be restored from ${this.checkpoint}: ${this.operator}: ${this.reason}`
  }
}

/**
 * Why a job could not be restored.
 *
 * @since 0.1.0
 * @category errors
 */
export type RestoreError = StateIncompatible | CheckpointCorrupt | RestoreRejected

/**
 * The checkpoint storage could not do what was asked of it.
 *
 * @since 0.1.0
 * @category errors
 */
export class StorageFailed extends Schema.TaggedError<StorageFailed>("sluice/StorageFailed")("StorageFailed", {
  operation: Schema.String,
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `checkpoint storage: ${this.operation} ${this.path}: ${this.reason}`
  }
}

/**
 * Another run of a job with this name is alive; one job name has one writer.
 *
 * @since 0.1.0
 * @category errors
 */
export class JobAlreadyRunning extends Schema.TaggedError<JobAlreadyRunning>("sluice/JobAlreadyRunning")("JobAlreadyRunning", {
  job: Schema.String,
  holder: Schema.String
}) {
  override get message() {
    return `job ${this.job} is already running (${this.holder}); stop it first, or give this job another name or storage directory`
  }
}

/**
 * A checkpoint or savepoint was not completed. As a job's failure: more checkpoints failed than `tolerableFailures` allows.
 *
 * @since 0.1.0
 * @category errors
 */
export class CheckpointFailed extends Schema.TaggedError<CheckpointFailed>("sluice/CheckpointFailed")("CheckpointFailed", {
  job: Schema.String,
  id: Schema.Number,
  reason: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `job ${this.job}: checkpoint ${this.id} failed: ${this.reason}${this.detail === "" ? "" : `: ${this.detail}`}`
  }
}

/**
 * A schema, or a value stored without one, that a checkpoint cannot hold.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnsupportedSchema extends Schema.TaggedError<UnsupportedSchema>("sluice/UnsupportedSchema")("UnsupportedSchema", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * A record could not be read. `position` is a line or row number, counted from 1, or a byte offset where neither is known.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedRecord extends Schema.TaggedError<MalformedRecord>("sluice/MalformedRecord")("MalformedRecord", {
  file: Schema.String,
  unit: Schema.Literal("line", "row"),
  position: Schema.Number,
  reason: Schema.String
}) {
  override get message() {
    return `${this.file}, ${this.unit} ${this.position}: ${this.reason}`
  }
}

/**
 * A file could not be opened, read or written.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileError extends Schema.TaggedError<FileError>("sluice/FileError")("FileError", {
  operation: Schema.String,
  file: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.operation} ${this.file}: ${this.reason}`
  }
}

/**
 * A step in the life of a task did not end in its time (`JobOptions.deadlines`). Where even interruption did not end it, it was left behind, `abandoned`: the job
 * has ended without it, and what it holds may still be held.
 *
 * @since 0.1.0
 * @category errors
 */
export class TaskHung extends Schema.TaggedError<TaskHung>("sluice/TaskHung")("TaskHung", {
  job: Schema.String,
  vertex: Schema.String,
  subtask: Schema.Number,
  operator: Schema.UndefinedOr(Schema.String),
  phase: Schema.String,
  limit: Schema.Number,
  abandoned: Schema.Boolean
}) {
  override get message() {
    const { abandoned, job, limit, operator, phase, subtask, vertex } = this
    const what = `job ${job}: ${vertex}[${subtask}]${
      operator === undefined ? "" : `, operator ${operator}`
    }: ${phase} has not ended after ${limit} ms`
    return abandoned ? `${what}; it was left behind, and what it holds may still be held: make it interruptible, or raise deadlines` : what
  }
}

/**
 * All that running a job can fail with, besides what its own functions fail with inside `JobFailed`.
 *
 * @since 0.1.0
 * @category errors
 */
export type JobError<E = never> = JobFailed<E> | GraphError | RestoreError | StorageFailed | JobAlreadyRunning | TaskHung
