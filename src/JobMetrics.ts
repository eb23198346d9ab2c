/**
 * What a running job tells of itself, as plain data.
 *
 * @since 0.1.0
 */

/**
 * One subtask's counts since the start of the attempt.
 *
 * @since 0.1.0
 * @category models
 */
export interface SubtaskMetrics {
  readonly subtask: number
  readonly recordsIn: number
  /** what operators of the task gave to other tasks, each record once, however many read it */
  readonly recordsOut: number
  /** the task's event time, `Watermark.MIN` before the first watermark */
  readonly watermark: number
}

/**
 * One vertex: the sums over its subtasks, and the least of their watermarks.
 *
 * @since 0.1.0
 * @category models
 */
export interface VertexMetrics {
  readonly name: string
  readonly parallelism: number
  readonly recordsIn: number
  readonly recordsOut: number
  readonly watermark: number
  /** what operators count: late and malformed records, for instance */
  readonly counters: { readonly [name: string]: number }
  readonly subtasks: ReadonlyArray<SubtaskMetrics>
}

/**
 * A completed checkpoint: times in milliseconds, size in bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointStats {
  readonly id: number
  readonly savepoint: boolean
  readonly bytes: number
  readonly durationMs: number
  readonly completedAt: number
  /** where it lies, for people */
  readonly location: string
}

/**
 * All of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobMetrics {
  readonly vertices: ReadonlyArray<VertexMetrics>
  readonly checkpoints: { readonly completed: number; readonly failed: number; readonly last: CheckpointStats | undefined }
  readonly restarts: number
}
