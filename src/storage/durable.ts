/**
 * Steps on the file system that either happened, and last, or failed with a reason for people.
 *
 * Owns how a platform's error is told. Knows nothing of checkpoints.
 *
 * F1. What `writeWhole` wrote is on the disk when it returns; its name is, once the directory is synced.
 * F2. A step that has begun is not interrupted: the system call would go on with a file handle that may by then belong to another file.
 *
 * @since 0.1.0
 */
import type { PlatformError, SystemErrorReason } from "@effect/platform/Error"
import type { FileSystem } from "@effect/platform/FileSystem"
import type { Path } from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import { StorageFailed } from "../StreamError.js"

const ERRNO = /^(E[A-Z0-9]+): ([^,]+)/

/**
 * The system's code of an error, `ENOSPC` for instance, where it told one.
 */
export const codeOf = (error: PlatformError): string | undefined => ERRNO.exec(error.description ?? "")?.[1]

/**
 * Whether a step failed for this reason.
 */
export const failedBy = (error: PlatformError, reason: SystemErrorReason): boolean =>
  error._tag === "SystemError" && error.reason === reason

/**
 * An error in words, such as "no space left on device (ENOSPC)".
 */
export const reasonOf = (error: PlatformError): string => {
  const errno = ERRNO.exec(error.description ?? "")
  if (errno !== null) return `${errno[2]} (${errno[1]})`
  if (error._tag === "BadArgument") return error.description ?? (error.cause instanceof Error ? error.cause.message : "bad argument")
  const words = error.reason.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase()
  return error.description === undefined ? words : `${words}: ${error.description}`
}

/**
 * What a platform's error becomes.
 */
export const toStorageFailed = (operation: string, path: string) => (error: PlatformError): StorageFailed =>
  new StorageFailed({ operation, path, reason: reasonOf(error) })

/**
 * One step, not interrupted (F2), whose error says what was attempted on which path.
 */
export const step = <A, R>(
  operation: string,
  path: string,
  effect: Effect.Effect<A, PlatformError, R>
): Effect.Effect<A, StorageFailed, R> => Effect.uninterruptible(Effect.mapError(effect, toStorageFailed(operation, path)))

// some systems cannot sync a directory, and need not
const unsyncable = new Set<string | undefined>(["EISDIR", "EPERM", "EINVAL", "ENOTSUP"])

/**
 * Makes the names in a directory last.
 */
export const syncDirectory = (fs: FileSystem, path: string): Effect.Effect<void, StorageFailed> =>
  step(
    "sync",
    path,
    Effect.scoped(Effect.flatMap(fs.open(path, { flag: "r" }), (directory) => directory.sync)).pipe(
      Effect.catchAll((error) => unsyncable.has(codeOf(error)) ? Effect.void : Effect.fail(error))
    )
  )

/**
 * Writes a file and syncs it. What was there is lost, also when it fails.
 */
export const writeWhole = (fs: FileSystem, path: string, bytes: Uint8Array): Effect.Effect<void, StorageFailed> =>
  step(
    "write",
    path,
    Effect.scoped(Effect.flatMap(fs.open(path, { flag: "w" }), (file) => Effect.zipRight(file.writeAll(bytes), file.sync)))
  )

/**
 * Puts a file in one step: after a crash its content is the old one or the new one.
 */
export const replace = (fs: FileSystem, path: Path, file: string, bytes: Uint8Array): Effect.Effect<void, StorageFailed> =>
  writeWhole(fs, `${file}.new`, bytes).pipe(
    Effect.zipRight(step("rename", file, fs.rename(`${file}.new`, file))),
    Effect.zipRight(syncDirectory(fs, path.dirname(file)))
  )

/**
 * Removes a file or a directory with all that is in it; one that is not there is no error.
 */
export const remove = (fs: FileSystem, path: string): Effect.Effect<void, StorageFailed> =>
  step("remove", path, fs.remove(path, { recursive: true, force: true }))
