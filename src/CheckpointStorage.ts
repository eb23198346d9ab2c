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
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Storage } from "./storage/CheckpointStore.js"
import { resumable } from "./storage/CheckpointStore.js"
import * as file from "./storage/fileStorage.js"
import * as memory from "./storage/memoryStorage.js"
import type { JobAlreadyRunning, StorageFailed } from "./StreamError.js"

export type { CheckpointStore, CheckpointWriter, Storage } from "./storage/CheckpointStore.js"

/**
 * Where the checkpoints of jobs are kept.
 *
 * @since 0.1.0
 * @category services
 */
export class CheckpointStorage extends Context.Tag("sluice/CheckpointStorage")<CheckpointStorage, Storage>() {}

/**
 * The checkpoint or savepoint from which the next run of a job goes on with `restore: "latest"`: `undefined` where there is none, or where the last run
 * finished. Fails with `JobAlreadyRunning` while the job runs.
 *
 * @since 0.1.0
 * @category accessors
 */
export const latest = (job: string): Effect.Effect<number | undefined, StorageFailed | JobAlreadyRunning, CheckpointStorage> =>
  Effect.scoped(Effect.gen(function*() {
    const store = yield* (yield* CheckpointStorage).open(job)
    return (yield* resumable(store))[0]
  }))

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
