/**
 * What a checkpoint storage is made of: the contract that `CheckpointStorage` publishes and the storages fulfil.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CheckpointMetadata, StateHandle } from "../Checkpoint.js"
import type { CheckpointCorrupt, JobAlreadyRunning, StorageFailed } from "../StreamError.js"

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
  /** what a finished run left, as long as no later checkpoint is complete, so that the next one can say that it begins anew */
  readonly finished: Effect.Effect<{ readonly lastId: number } | undefined, StorageFailed>
  /** the job has run to its end: its checkpoints go, a mark stays; savepoints stay where `keep` says so */
  readonly finish: (lastId: number, keep: ReadonlyArray<number>) => Effect.Effect<void, StorageFailed>
  /** where checkpoint `id` lies, for people */
  readonly location: (id: number) => string
}

/**
 * Keeps the checkpoints of any number of jobs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Storage {
  /** opens the store of a job and holds it until the Scope closes */
  readonly open: (job: string) => Effect.Effect<CheckpointStore, StorageFailed | JobAlreadyRunning, Scope.Scope>
}

/** The checkpoints from which a job may go on, newest first: none after a run that finished, whatever savepoints it kept. */
export const resumable = (store: CheckpointStore): Effect.Effect<ReadonlyArray<number>, StorageFailed> =>
  Effect.flatMap(store.finished, (finished) => finished === undefined ? store.list : Effect.succeed([]))
