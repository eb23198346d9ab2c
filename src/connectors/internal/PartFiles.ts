/**
 * Text written into part files of a directory, exactly once, by two-phase commit.
 *
 * Owns the names and the life of a part: writing (hidden, in memory and on disk), prepared (taken away from the writer), durable (all bytes
 * and its name are on disk), visible (renamed). Knows nothing of what a line holds.
 *
 * W1. A part becomes visible by one rename, after all its bytes are on disk.
 * W2. `persist` and `commit` may be interrupted or fail, and be run again: the outcome is that of running them once.
 * W3. A writer that closes removes the part that it is writing, and leaves those that it gave away.
 * W4. `recover` removes the hidden parts of this directory and prefix that the checkpoint does not name, and nothing else.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { Buffer } from "node:buffer"
import * as DataSink from "../../DataSink.js"
import { FileError } from "../../StreamError.js"
import { failed } from "./Files.js"

/** what to make visible: both are whole paths */
interface Committable {
  readonly temporary: string
  readonly final: string
}

const suffix = ".inprogress"

type File =
  | { readonly _tag: "None" }
  /** `owner` lives in the writer's Scope, `scope` holds the descriptor */
  | { readonly _tag: "Owned"; readonly owner: Scope.CloseableScope; readonly scope: Scope.CloseableScope }
  | { readonly _tag: "Open"; readonly owner: Scope.CloseableScope; readonly scope: Scope.CloseableScope; readonly file: FileSystem.File }
  | { readonly _tag: "Released" }

/** one transaction */
interface Part extends Committable {
  phase: "writing" | "prepared" | "durable"
  records: number
  /** lines that are not bytes yet */
  text: string
  /** bytes that may not be in the file yet, and how many are before them */
  pending: Buffer
  written: number
  file: File
  /** held by whoever uses the file */
  readonly turn: Effect.Semaphore
}

const empty = Buffer.alloc(0)

// what platforms answer that cannot open or sync a directory; there a rename is as durable as they make it
const cannot = new Set(["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP", "ENOSYS", "EBADF"])

/** makes the names in a directory durable */
const syncDirectory = (fs: FileSystem.FileSystem, directory: string): Effect.Effect<void, FileError> =>
  Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (file) => file.sync)).pipe(
    Effect.catchAll((error) =>
      cannot.has(String((error.cause as { readonly code?: unknown } | undefined)?.code))
        ? Effect.void
        : Effect.fail(failed("sync", directory)(error))
    )
  )

const makeDirectory = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.mapError(
    fs.makeDirectory(directory, { recursive: true }),
    (error) =>
      error._tag === "SystemError" && (error.reason === "AlreadyExists" || error.reason === "BadResource")
        ? new FileError({
          operation: "create",
          file: directory,
          reason: "it, or a directory above it, is a file: give the sink another directory"
        })
        : failed("create", directory)(error)
  )
  yield* Effect.mapError(fs.access(directory, { writable: true }), failed("write", directory))
})

/** makes a sink of lines; `encode` gives the text of one, or why there is none */
export const sink = <A>(options: {
  readonly name: string
  readonly directory: string
  readonly prefix: string
  readonly extension: string
  readonly flushLength: number
  readonly encode: (value: A) => Either.Either<string, string>
}): DataSink.DataSink<A, FileError, FileSystem.FileSystem | Path.Path> => {
  const open = Effect.fnUntraced(function*(ctx: DataSink.SinkContext) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const scope = yield* Effect.scope
    const directory = path.resolve(options.directory)
    if (!/^[^._/\\][^/\\]*$/.test(options.prefix)) {
      return yield* new FileError({
        operation: "create",
        file: path.join(directory, options.prefix),
        reason: "the prefix must not be empty, begin with \".\" or \"_\", or hold a separator"
      })
    }
    yield* makeDirectory(directory)
    let count = 0
    const begin = (): Part => {
      const name = `${options.prefix}-${ctx.subtask}-${count++}-${encodeURIComponent(ctx.attemptId)}.${options.extension}`
      return {
        temporary: path.join(directory, `.${name}${suffix}`),
        final: path.join(directory, name),
        phase: "writing",
        records: 0,
        text: "",
        pending: empty,
        written: 0,
        file: { _tag: "None" },
        turn: Effect.unsafeMakeSemaphore(1)
      }
    }

    // waits for its turn, so that no descriptor is closed, and given to another file, while it is being written
    const release = (part: Part): Effect.Effect<void> =>
      part.turn.withPermits(1)(Effect.gen(function*() {
        if (part.file._tag === "Open" || part.file._tag === "Owned") yield* Scope.close(part.file.scope, Exit.void)
        if (part.file._tag === "Open" && part.phase === "writing") yield* Effect.ignore(fs.remove(part.temporary))
        part.file = { _tag: "Released" }
      }))

    const own = (part: Part): Effect.Effect<void> =>
      Effect.suspend(() =>
        part.file._tag !== "None" || part.phase === "durable" ? Effect.void : Effect.gen(function*() {
          const owner = yield* Scope.fork(scope, ExecutionStrategy.sequential)
          part.file = { _tag: "Owned", owner, scope: yield* Scope.make() }
          yield* Scope.addFinalizer(owner, release(part))
        })
      )

    /** uses the file of a part, which is made when it is first used */
    const use = (part: Part, f: (file: FileSystem.File) => Effect.Effect<void, FileError>): Effect.Effect<void, FileError> =>
      Effect.zipRight(
        own(part),
        part.turn.withPermits(1)(Effect.suspend(() => {
          const { file } = part
          if (part.phase === "durable") return Effect.void
          if (file._tag === "Open") return f(file.file)
          if (file._tag !== "Owned") {
            return Effect.fail(new FileError({ operation: "write", file: part.temporary, reason: "the task has ended" }))
          }
          return fs.open(part.temporary, { flag: "w" }).pipe(
            Scope.extend(file.scope),
            Effect.mapError(failed("create", part.temporary)),
            Effect.tap((opened) => Effect.sync(() => part.file = { ...file, _tag: "Open", file: opened })),
            Effect.flatMap(f)
          )
        }))
      ).pipe(Effect.uninterruptible)

    const append = (part: Part) => (file: FileSystem.File): Effect.Effect<void, FileError> =>
      Effect.suspend(() => {
        if (part.text !== "") {
          const bytes = Buffer.from(part.text, "utf8")
          part.pending = part.pending.length === 0 ? bytes : Buffer.concat([part.pending, bytes])
          part.text = ""
        }
        if (part.pending.length === 0) return Effect.void
        // seeks first, so that what a failed write left is written over
        return file.seek(part.written, "start").pipe(
          Effect.zipRight(Effect.mapError(file.writeAll(part.pending), failed("write", part.temporary))),
          Effect.zipRight(Effect.sync(() => {
            part.written += part.pending.length
            part.pending = empty
          }))
        )
      })

    const makeDurable = (part: Part) => (file: FileSystem.File): Effect.Effect<void, FileError> =>
      append(part)(file).pipe(
        Effect.zipRight(Effect.mapError(file.sync, failed("sync", part.temporary))),
        Effect.zipRight(syncDirectory(fs, directory)),
        Effect.zipRight(Effect.sync(() => part.phase = "durable"))
      )

    const persist = (part: Part): Effect.Effect<void, FileError> =>
      use(part, makeDurable(part)).pipe(
        Effect.zipRight(Effect.suspend(() => part.file._tag === "Open" ? Scope.close(part.file.owner, Exit.void) : Effect.void))
      )

    let part = begin()
    const writer: DataSink.TransactionWriter<A, Committable, FileError> = {
      write: (value) => {
        const line = options.encode(value)
        if (Either.isLeft(line)) {
          return Effect.fail(
            new FileError({
              operation: "write",
              file: part.final,
              reason: `record ${part.records + 1} cannot be written: ${line.left}`
            })
          )
        }
        part.records++
        part.text += line.right + "\n"
        if (part.text.length >= options.flushLength) return use(part, append(part))
      },
      prepare: () => {
        const taken = part
        if (taken.records === 0) return { committables: [], persist: Effect.void }
        taken.phase = "prepared"
        part = begin()
        return { committables: [{ temporary: taken.temporary, final: taken.final }], persist: persist(taken) }
      },
      commit: ({ final, temporary }) =>
        fs.rename(temporary, final).pipe(
          Effect.catchIf((error) => error._tag === "SystemError" && error.reason === "NotFound", (error) =>
            Effect.flatMap(fs.exists(final), (committed) => committed ? Effect.void : Effect.fail(error))),
          Effect.mapError((error) =>
            error._tag === "SystemError" && error.reason === "NotFound"
              ? new FileError({
                operation: "commit",
                file: final,
                reason: `neither it nor ${temporary} is there: data of a completed checkpoint was removed; put it back, ` +
                  "or start anew with restore: \"none\""
              })
              : failed("commit", final)(error)
          ),
          Effect.zipRight(syncDirectory(fs, path.dirname(final)))
        )
    }
    return writer
  })

  const recover = Effect.fnUntraced(function*(restored: ReadonlyArray<Committable>) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = path.resolve(options.directory)
    const exists = yield* Effect.mapError(fs.exists(directory), failed("open", directory))
    if (!exists) return
    const kept = new Set(restored.map((committable) => path.basename(committable.temporary)))
    const ours = new RegExp(`^\\.${options.prefix.replace(/[^A-Za-z0-9]/g, "\\$&")}-\\d+-\\d+-.*\\.${options.extension}\\${suffix}$`)
    for (const name of yield* Effect.mapError(fs.readDirectory(directory), failed("list", directory))) {
      const file = path.join(directory, name)
      if (ours.test(name) && !kept.has(name)) {
        yield* Effect.mapError(fs.remove(file, { force: true }), failed("remove", file))
      }
    }
  })

  return DataSink.transactional({
    name: options.name,
    open,
    recover
  })
}
