/**
 * How a job is run: all that may differ from run to run without changing what it computes.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/**
 * When and how checkpoints are taken.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointOptions {
  /** from the trigger of one to the trigger of the next */
  readonly interval: Duration.DurationInput
  /** one that is not complete by then is aborted; default 10 minutes */
  readonly timeout?: Duration.DurationInput | undefined
  /** from the end of one to the trigger of the next; default none */
  readonly minPause?: Duration.DurationInput | undefined
  /** "at-least-once" does not wait for slower channels: after a restore some records are processed again; default "exactly-once" */
  readonly mode?: "exactly-once" | "at-least-once" | undefined
  /**
   * "unaligned" barriers overtake what is queued in channels, which then is in the checkpoint: under backpressure checkpoints stay fast. With a timeout they
   * do so where alignment takes longer. Savepoints are always aligned, and so are tasks with a forward or broadcast input: what is under way there belongs to
   * one subtask. Default "aligned".
   */
  readonly alignment?: "aligned" | "unaligned" | { readonly alignedTimeout: Duration.DurationInput } | undefined
  /** how many may be under way at once; default 1 */
  readonly maxConcurrent?: number | undefined
  /** how many in a row may fail before the job fails; default 0 */
  readonly tolerableFailures?: number | undefined
  /** how many complete ones are kept; default 1 */
  readonly retain?: number | undefined
  /** whether the job ends only after a checkpoint of everything; default true */
  readonly finalCheckpoint?: boolean | undefined
}

/**
 * What a run starts from: the newest complete checkpoint or savepoint of the job's name, nothing, or one savepoint.
 *
 * @since 0.1.0
 * @category models
 */
export type Restore = "latest" | "none" | { readonly savepoint: number; readonly allowNonRestoredState?: boolean | undefined }

/**
 * How long the steps of a task's life may take. What is not over by then fails the task; what does not end when it is interrupted is left behind, and the job
 * ends with `TaskHung`, which names operator and step. A loop that never lets go of the thread cannot be ended by anybody.
 *
 * @since 0.1.0
 * @category models
 */
export interface Deadlines {
  /** initializing and opening all operators of a task; default 10 minutes */
  readonly open?: Duration.DurationInput | undefined
  /** `endInput` and `finish` of all operators of a task; default 10 minutes */
  readonly finish?: Duration.DurationInput | undefined
  /** from the interruption of what runs until it has ended; default 3 minutes */
  readonly cancel?: Duration.DurationInput | undefined
  /** `close` of an operator, and releasing what it acquired; default 3 minutes */
  readonly close?: Duration.DurationInput | undefined
}

/**
 * How a job is run.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobOptions {
  /** subtasks of each operator that does not say otherwise; default 1 */
  readonly parallelism?: number | undefined
  /** the number of key groups, and the most that `parallelism` can ever be; default 128 */
  readonly maxParallelism?: number | undefined
  /** records in a batch at the most, 1 to 65536; default 1024 */
  readonly batchSize?: number | undefined
  /** whether operators that can run in one task do; default true */
  readonly chaining?: boolean | undefined
  /** whether each chain runs as code generated for it; default true, and by itself false where the host forbids it */
  readonly codegen?: boolean | undefined
  /** default: no checkpoints at an interval */
  readonly checkpoint?: CheckpointOptions | undefined
  /** when to start again after a failure; default "none" without checkpoints, else exponential backoff from 100 ms to 10 s with jitter */
  readonly restart?: Schedule.Schedule<unknown, unknown, never> | "none" | undefined
  /** default "latest" */
  readonly restore?: Restore | undefined
  /** after what time nothing is waited for any more */
  readonly deadlines?: Deadlines | undefined
}

/**
 * Options with every default filled in; times in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResolvedOptions {
  readonly parallelism: number
  readonly maxParallelism: number
  readonly batchSize: number
  readonly chaining: boolean
  readonly codegen: boolean
  readonly checkpoint: ResolvedCheckpointOptions | undefined
  readonly restart: Schedule.Schedule<unknown, unknown, never> | "none"
  readonly restore: Restore
  readonly deadlines: { readonly [D in keyof Deadlines]-?: number }
}

/**
 * Checkpoint options with every default filled in; times in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResolvedCheckpointOptions {
  readonly interval: number
  readonly timeout: number
  readonly minPause: number
  readonly mode: "exactly-once" | "at-least-once"
  /** after how long a barrier overtakes what is queued: 0 for at once, `Infinity` for never */
  readonly alignedTimeout: number
  readonly maxConcurrent: number
  readonly tolerableFailures: number
  readonly retain: number
  readonly finalCheckpoint: boolean
}

/**
 * The restart strategy of a job with checkpoints: 100 ms, doubling up to 10 s, with jitter, for ever.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaultRestart: Schedule.Schedule<unknown> = Schedule.exponential("100 millis").pipe(
  Schedule.union(Schedule.spaced("10 seconds")),
  Schedule.jittered
)

const alignedTimeout = (alignment: NonNullable<CheckpointOptions["alignment"]>): number =>
  alignment === "aligned" ? Infinity : alignment === "unaligned" ? 0 : Duration.toMillis(alignment.alignedTimeout)

/**
 * Fills in the defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const resolve = (options: JobOptions = {}): ResolvedOptions => ({
  parallelism: options.parallelism ?? 1,
  maxParallelism: options.maxParallelism ?? 128,
  batchSize: options.batchSize ?? 1024,
  chaining: options.chaining ?? true,
  codegen: options.codegen ?? true,
  checkpoint: options.checkpoint === undefined ? undefined : {
    interval: Duration.toMillis(options.checkpoint.interval),
    timeout: Duration.toMillis(options.checkpoint.timeout ?? "10 minutes"),
    minPause: Duration.toMillis(options.checkpoint.minPause ?? 0),
    mode: options.checkpoint.mode ?? "exactly-once",
    alignedTimeout: alignedTimeout(options.checkpoint.alignment ?? "aligned"),
    maxConcurrent: options.checkpoint.maxConcurrent ?? 1,
    tolerableFailures: options.checkpoint.tolerableFailures ?? 0,
    retain: options.checkpoint.retain ?? 1,
    finalCheckpoint: options.checkpoint.finalCheckpoint ?? true
  },
  restart: options.restart ?? (options.checkpoint === undefined ? "none" : defaultRestart),
  restore: options.restore ?? "latest",
  deadlines: {
    open: Duration.toMillis(options.deadlines?.open ?? "10 minutes"),
    finish: Duration.toMillis(options.deadlines?.finish ?? "10 minutes"),
    cancel: Duration.toMillis(options.deadlines?.cancel ?? "3 minutes"),
    close: Duration.toMillis(options.deadlines?.close ?? "3 minutes")
  }
})
