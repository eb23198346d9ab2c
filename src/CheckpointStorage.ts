/**
 * Where checkpoints are kept: a store for each job name, with one writer.
 *
 * H1. A checkpoint is complete exactly when `complete` put its metadata; a crash before leaves none of it, after it all of it.
 * H2. What `read` gives is what was written, or it fails with `CheckpointCorrupt`.
 * H3. While one run holds a job's store, another cannot open it.
 *
 * @since 0.1.0
 */
import type { FileSystem } from "@effect/platform/FileSystem"
import type { Path } from "@effect/platform/Path"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { CheckpointMetadata, StateHandle } from "./Checkpoint.js"
import * as file from "./storage/fileStorage.js"
import * as memory from "./storage/memoryStorage.js"
import type { CheckpointCorrupt, JobAlreadyRunning, StorageFailed } from "./StreamError.js"

/**
 * A checkpoint that is being written.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointWriter {
  /** writes one file of the checkpoint piece by piece; `body` is run once */
  readonly write: <E>(
    file: string,
    body: (append: (bytes: Uint8Array) => Effect.Effect<void, StorageFailed>) => Effect.Effect<void, E>
  ) => Effect.Effect<StateHandle, E | StorageFailed>
  /** the commit point: after it the checkpoint is complete and durable */
  readonly complete: (metadata: CheckpointMetadata) => Effect.Effect<void, StorageFailed>
  /** removes what was written */
  readonly abort: Effect.Effect<void>
}

/**
 * The checkpoints of one job name, held by one run.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointStore {
  readonly begin: (id: number) => Effect.Effect<CheckpointWriter, StorageFailed>
  /** the ids of the complete ones, newest first */
  readonly list: Effect.Effect<ReadonlyArray<number>, StorageFailed>
  readonly metadata: (id: number) => Effect.Effect<CheckpointMetadata, StorageFailed | CheckpointCorrupt>
  readonly read: (id: number, handle: StateHandle) => Effect.Effect<Uint8Array, StorageFailed | CheckpointCorrupt>
  readonly discard: (id: number) => Effect.Effect<void, StorageFailed>
  /** the highest id that was ever begun, complete or not; 0 for none */
  readonly highestId: Effect.Effect<number, StorageFailed>
  /** what a finished run left, so that the next one can say that it begins anew */
  readonly finished: Effect.Effect<{ readonly lastId: number } | undefined, StorageFailed>
  /** the job has run to its end: its checkpoints go, a mark stays; savepoints stay where `keep` says so */
  readonly finish: (lastId: number, keep: ReadonlyArray<number>) => Effect.Effect<void, StorageFailed>
  /** where checkpoint `id` lies, for people */
  readonly location: (id: number) => string
}

/**
 * Where the checkpoints of jobs are kept.
 *
 * @since 0.1.0
 * @category services
 */
export class CheckpointStorage extends Context.Tag("sluice/CheckpointStorage")<CheckpointStorage, {
  /** opens the store of a job and holds it until the Scope closes */
  readonly open: (job: string) => Effect.Effect<CheckpointStore, StorageFailed | JobAlreadyRunning, Scope.Scope>
}>() {}

/**
 * Keeps checkpoints in memory: they survive a restart of the job, not of the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<CheckpointStorage> = Layer.effect(CheckpointStorage, memory.make)

/**
 * Keeps checkpoints in a directory, one folder for each job: `<directory>/<job>/chk-<id>/`. Each is written aside, synced and renamed.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFileSystem = (directory: string): Layer.Layer<CheckpointStorage, never, FileSystem | Path> =>
  Layer.effect(CheckpointStorage, file.make(directory))
