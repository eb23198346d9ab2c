/**
 * Checkpoints in a directory, one folder for each job:
 *
 *     <directory>/<job>/chk-7/               a complete checkpoint: a file for each subtask's state, and `_metadata`
 *                       chk-8.inprogress/    one that is being written
 *                       chk-6.deleted/       one that is being removed
 *                       _progress            the highest id that was begun; how the last run that finished did so
 *                       _lock                who runs the job
 *
 * Owns the layout and the order of its writes. Knows nothing of what the files hold.
 *
 * D1. `chk-<id>` appears by one rename, after all that is in it was synced; `complete` returns after the rename was.
 * D2. `chk-<id>` disappears by one rename, before anything in it is removed.
 * D3. What a crash left half written or half removed is never listed, and is gone after the next `open`.
 * D4. `highestId` never goes back, whatever is discarded, aborted or lost in a crash.
 * D5. A run that lost its lock changes nothing that the next run reads: it completes, begins, discards and finishes nothing.
 * D6. `finished` tells of the last run that finished as long as no later checkpoint is complete, so that what it kept is not taken for
 *     the state of a next run that had none yet.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { CheckpointMetadata, StateHandle } from "../Checkpoint.js"
import { FORMAT_VERSION } from "../Checkpoint.js"
import { CheckpointCorrupt, StorageFailed } from "../StreamError.js"
import type { CheckpointStore, CheckpointWriter, Storage } from "./CheckpointStore.js"
import * as Checksum from "./checksum.js"
import { codeOf, failedBy, reasonOf, remove, replace, step, syncDirectory, toStorageFailed, writeWhole } from "./durable.js"
import * as FileLock from "./fileLock.js"
import { thisProcess } from "./host.js"

/** How many bytes go to the disk, come from it, and are hashed, in one step. */
const BLOCK = 1 << 20

const PROGRESS_VERSION = 1

interface Progress {
  readonly job: string
  readonly highestId: number
  /** the last finished run; `upTo` is the highest id of its time */
  readonly finished: { readonly lastId: number; readonly upTo: number } | null
  /** what that run did not keep and has not discarded yet */
  readonly going: ReadonlyArray<number>
}

/** a directory's entry that belongs to a checkpoint */
const parse = (name: string): { readonly id: number; readonly phase: "complete" | "left" } | undefined => {
  const match = /^chk-(0|[1-9]\d{0,14})(\.inprogress|\.deleted)?$/.exec(name)
  return match === null ? undefined : { id: Number(match[1]), phase: match[2] === undefined ? "complete" : "left" }
}

/** a name that is one file name on every system, differs from those of this layout, and stays readable */
const escape = (name: string): string => {
  const bytes = new TextEncoder()
  const safe = name.replace(
    /[^A-Za-z0-9._-]|^[._]|\.$/gu,
    (char) => Array.from(bytes.encode(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")
  )
  return safe === "" ? "%" : safe.length <= 200 ? safe : `${safe.slice(0, 160)}%${Checksum.of(bytes.encode(name)).slice(0, 32)}`
}

const noCheckpoint = (path: string) => new StorageFailed({ operation: "read", path, reason: "there is no such checkpoint" })

/** what of a file that cannot be read is damage, and not a fault of the system around it */
const damage = (error: PlatformError): string | undefined => {
  if (failedBy(error, "NotFound")) return "missing"
  return ["EIO", "EISDIR", "ENOTDIR"].includes(codeOf(error) ?? "") ? `unreadable: ${reasonOf(error)}` : undefined
}

// json leaves out what is undefined
const parseMetadata = (body: string): CheckpointMetadata => {
  const metadata = JSON.parse(body) as CheckpointMetadata
  return {
    ...metadata,
    operators: metadata.operators.map((operator) => ({
      ...operator,
      subtasks: operator.subtasks.map((subtask) => ({ ...subtask, handle: subtask.handle }))
    }))
  }
}

/**
 * The storage in `directory`, which is created where it does not exist, with its parents.
 */
export const make = (
  directory: string
): Effect.Effect<Storage, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = path.resolve(directory)

    const ensureDirectory = Effect.fnUntraced(function*(at: string): Effect.fn.Return<void, StorageFailed> {
      const found = yield* fs.stat(at).pipe(
        Effect.map((info) => info.type),
        Effect.catchAll((error) =>
          failedBy(error, "NotFound") ? Effect.succeed(undefined) : Effect.fail(toStorageFailed("open", at)(error))
        )
      )
      if (found === "Directory") return
      if (found !== undefined) return yield* new StorageFailed({ operation: "open", path: at, reason: "not a directory" })
      const create = (whenMissing: Effect.Effect<void, StorageFailed>): Effect.Effect<void, StorageFailed> =>
        Effect.uninterruptible(fs.makeDirectory(at)).pipe(
          Effect.catchAll((error) => {
            if (failedBy(error, "AlreadyExists")) return Effect.void
            return failedBy(error, "NotFound") ? whenMissing : Effect.fail(toStorageFailed("open", at)(error))
          })
        )
      const parent = path.dirname(at)
      const missing = new StorageFailed({ operation: "open", path: at, reason: "its parent directory does not exist" })
      yield* create(parent === at ? missing : Effect.zipRight(Effect.suspend(() => ensureDirectory(parent)), create(missing)))
      yield* syncDirectory(fs, path.dirname(at))
    })

    const makeWriter = (id: number, home: string, lock: FileLock.Lock): Effect.Effect<CheckpointWriter> =>
      Effect.gen(function*() {
        const final = path.join(home, `chk-${id}`)
        const aside = `${final}.inprogress`
        let phase: "writing" | "complete" | "aborted" = "writing"
        const writing = (operation: string) =>
          Effect.suspend(() =>
            phase === "writing" ? Effect.void : new StorageFailed({ operation, path: final, reason: `the checkpoint is ${phase}` })
          )
        const ending = yield* Effect.makeSemaphore(1)

        const write = Effect.fnUntraced(
          function*<E>(
            file: string,
            body: (append: (bytes: Uint8Array) => Effect.Effect<void, StorageFailed>) => Effect.Effect<void, E>
          ) {
            yield* writing("write")
            const at = path.join(aside, escape(file))
            const opened = yield* step("write", at, fs.open(at, { flag: "wx" })).pipe(
              // without our lock, the next run has removed what we were writing
              Effect.tapError(() => lock.check("write", at))
            )
            const turns = yield* Effect.makeSemaphore(1)
            const sha = Checksum.make()
            const block = new Uint8Array(BLOCK)
            let filled = 0
            let bytes = 0
            let failure: StorageFailed | undefined
            yield* Effect.addFinalizer((exit) =>
              turns.withPermits(1)(Effect.suspend(() => {
                // the file's handle may soon be another file's
                failure ??= new StorageFailed({ operation: "write", path: at, reason: "the file is written already" })
                return Exit.isFailure(exit) ? Effect.ignore(remove(fs, at)) : Effect.void
              }))
            )
            const flush = Effect.suspend(() => {
              const full = block.subarray(0, filled)
              filled = 0
              bytes += full.length
              sha.update(full)
              return step("write", at, opened.writeAll(full))
            }).pipe(Effect.tapError((error) =>
              Effect.sync(() => {
                failure = error
              })
            ))
            const fill = (piece: Uint8Array, from: number): Effect.Effect<void, StorageFailed> => {
              if (failure !== undefined) return failure
              const count = Math.min(BLOCK - filled, piece.length - from)
              block.set(piece.subarray(from, from + count), filled)
              filled += count
              return filled < BLOCK ? Effect.void : Effect.flatMap(flush, () => fill(piece, from + count))
            }
            // not interrupted halfway: a body that goes on after it would have half a piece
            const append = (piece: Uint8Array) => Effect.uninterruptible(turns.withPermits(1)(Effect.suspend(() => fill(piece, 0))))
            yield* body(append)
            yield* turns.withPermits(1)(Effect.suspend(() => failure ?? (filled === 0 ? Effect.void : flush)))
            yield* step("sync", at, opened.sync)
            yield* writing("write")
            return { file, bytes, checksum: sha.digest("hex") } satisfies StateHandle
          },
          Effect.scoped
        )

        const complete = (metadata: CheckpointMetadata) =>
          Effect.gen(function*() {
            yield* writing("complete")
            yield* lock.check("complete", final)
            yield* writeWhole(fs, path.join(aside, "_metadata"), Checksum.frame("checkpoint", FORMAT_VERSION, JSON.stringify(metadata)))
            yield* syncDirectory(fs, aside)
            yield* lock.check("complete", final)
            yield* step("complete", final, fs.rename(aside, final))
            // a checkpoint that was called failed must not be found by the next run
            yield* Effect.onError(syncDirectory(fs, home), () => Effect.ignore(fs.rename(final, aside)))
            phase = "complete"
          }).pipe(ending.withPermits(1), Effect.uninterruptible)

        const abort = Effect.suspend(() => {
          if (phase !== "writing") return Effect.void
          phase = "aborted"
          return Effect.zipRight(
            Effect.ignore(fs.remove(`${final}.deleted`, { recursive: true, force: true })),
            // first its name, so that no subtask that is still writing creates another file in it; what stays, the next open removes
            Effect.ignore(Effect.zipRight(fs.rename(aside, `${final}.deleted`), remove(fs, `${final}.deleted`)))
          )
        }).pipe(ending.withPermits(1), Effect.uninterruptible)

        return { write, complete, abort }
      })

    const openStore = Effect.fnUntraced(function*(job: string, home: string, lock: FileLock.Lock) {
      const location = (id: number) => path.join(home, `chk-${id}`)
      const progressFile = path.join(home, "_progress")
      const mutations = yield* Effect.makeSemaphore(1)

      const entries = step("list", home, fs.readDirectory(home))
      const list = Effect.map(entries, (names) =>
        names.flatMap((name) => {
          const entry = parse(name)
          return entry?.phase === "complete" ? [entry.id] : []
        }).sort((a, b) => b - a))

      const discard = Effect.fnUntraced(function*(id: number) {
        const gone = `${location(id)}.deleted`
        yield* remove(fs, gone)
        const was = yield* fs.rename(location(id), gone).pipe(
          Effect.as(true),
          Effect.catchAll((error) =>
            failedBy(error, "NotFound") ? Effect.succeed(false) : Effect.fail(toStorageFailed("discard", location(id))(error))
          )
        )
        if (!was) return
        yield* syncDirectory(fs, home)
        yield* remove(fs, gone)
      }, Effect.uninterruptible)

      const readProgress = fs.readFile(progressFile).pipe(
        Effect.matchEffect({
          onFailure: (error) =>
            failedBy(error, "NotFound") ? Effect.succeed(undefined) : Effect.fail(toStorageFailed("open", progressFile)(error)),
          onSuccess: (bytes) =>
            Effect.map(
              Effect.mapError(Checksum.unframe("progress", PROGRESS_VERSION, progressFile, bytes), ({ expected, found }) =>
                new StorageFailed({
                  operation: "open",
                  path: progressFile,
                  reason: `damaged: found ${found}, expected ${expected}; delete it to go on after the newest checkpoint there is`
                })),
              (body) => JSON.parse(body) as Progress
            )
        })
      )
      let progress: Progress = { job, highestId: 0, finished: null, going: [] }
      const record = (change: Partial<Progress>) =>
        Effect.suspend(() => {
          const next = { ...progress, ...change }
          // in memory first: an id that may have reached the disk is never given out again
          progress = { ...progress, highestId: next.highestId }
          return Effect.map(replace(fs, path, progressFile, Checksum.frame("progress", PROGRESS_VERSION, JSON.stringify(next))), () => {
            progress = next
          })
        })
      const discardGoing = Effect.suspend(() =>
        progress.going.length === 0 ? Effect.void : Effect.zipRight(Effect.forEach(progress.going, discard), record({ going: [] }))
      )

      // what an earlier run left
      const stored = yield* readProgress
      if (stored !== undefined && stored.job !== job) {
        return yield* new StorageFailed({
          operation: "open",
          path: home,
          reason: `this file system takes the job's name for that of job ${stored.job}`
        })
      }
      const names = yield* entries
      const highestId = Math.max(stored?.highestId ?? 0, ...names.map((name) => parse(name)?.id ?? 0))
      if (stored !== undefined) progress = stored
      if (stored?.highestId !== highestId) yield* record({ highestId })
      for (const name of names) {
        if (parse(name)?.phase === "left") yield* remove(fs, path.join(home, name))
      }
      yield* discardGoing

      /** what a file that is not there, or not readable, means */
      const lost =
        (id: number, file: string, expected: string) => (error: PlatformError): Effect.Effect<never, CheckpointCorrupt | StorageFailed> => {
          const found = damage(error)
          return found === undefined ? toStorageFailed("read", file)(error) : Effect.flatMap(
            Effect.orElseSucceed(fs.exists(location(id)), () => true),
            (exists) => Effect.fail(exists ? new CheckpointCorrupt({ file, expected, found }) : noCheckpoint(location(id)))
          )
        }

      const read = Effect.fnUntraced(function*(id: number, handle: StateHandle) {
        const file = path.join(location(id), escape(handle.file))
        const damaged = lost(id, file, handle.checksum)
        const opened = yield* Effect.catchAll(fs.open(file, { flag: "r" }), damaged)
        const { size } = yield* Effect.catchAll(opened.stat, damaged)
        if (size !== BigInt(handle.bytes)) {
          return yield* new CheckpointCorrupt({ file, expected: `${handle.bytes} bytes`, found: `${size} bytes` })
        }
        const bytes = new Uint8Array(handle.bytes)
        const sha = Checksum.make()
        for (let from = 0; from < bytes.length;) {
          const block = bytes.subarray(from, from + BLOCK)
          const count = Number(yield* Effect.catchAll(Effect.uninterruptible(opened.read(block)), damaged))
          if (count === 0) return yield* new CheckpointCorrupt({ file, expected: `${handle.bytes} bytes`, found: `${from} bytes` })
          sha.update(block.subarray(0, count))
          from += count
        }
        const found = sha.digest("hex")
        return found === handle.checksum ? bytes : yield* new CheckpointCorrupt({ file, expected: handle.checksum, found })
      }, Effect.scoped)

      const store: CheckpointStore = {
        begin: (id) =>
          Effect.gen(function*() {
            const aside = `${location(id)}.inprogress`
            yield* lock.check("begin", location(id))
            if (yield* step("begin", location(id), fs.exists(location(id)))) {
              return yield* new StorageFailed({ operation: "begin", path: location(id), reason: "the checkpoint is complete already" })
            }
            yield* record({ highestId: Math.max(progress.highestId, id) })
            yield* remove(fs, aside)
            yield* step("begin", aside, fs.makeDirectory(aside))
            return yield* makeWriter(id, home, lock)
          }).pipe(mutations.withPermits(1), Effect.uninterruptible),
        list,
        metadata: Effect.fnUntraced(function*(id) {
          const file = path.join(location(id), "_metadata")
          const bytes = yield* Effect.catchAll(fs.readFile(file), lost(id, file, "the metadata of a checkpoint"))
          const metadata = parseMetadata(yield* Checksum.unframe("checkpoint", FORMAT_VERSION, file, bytes))
          return metadata.id === id
            ? metadata
            : yield* new CheckpointCorrupt({ file, expected: `checkpoint ${id}`, found: `checkpoint ${metadata.id}` })
        }),
        read,
        discard: (id) => Effect.zipRight(lock.check("discard", location(id)), discard(id)).pipe(mutations.withPermits(1)),
        highestId: Effect.sync(() => progress.highestId),
        finished: Effect.map(
          list,
          ([newest = 0]) => progress.finished === null || newest > progress.finished.upTo ? undefined : { lastId: progress.finished.lastId }
        ),
        finish: (lastId, keep) =>
          Effect.gen(function*() {
            yield* lock.check("finish", home)
            const upTo = Math.max(progress.highestId, lastId)
            const going = (yield* list).filter((id) => !keep.includes(id))
            yield* record({ highestId: upTo, finished: { lastId, upTo }, going })
            yield* discardGoing
          }).pipe(mutations.withPermits(1)),
        location
      }
      return store
    })

    return {
      open: Effect.fnUntraced(function*(job: string) {
        const home = path.join(root, escape(job))
        yield* ensureDirectory(root)
        yield* ensureDirectory(home)
        const lock = yield* FileLock.acquire(fs, path, thisProcess, job, path.join(home, "_lock"))
        return yield* openStore(job, home, lock)
      })
    }
  })
