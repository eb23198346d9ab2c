/**
 * Files as the connectors need them: listed from paths, read by byte ranges, with every failure a `FileError` that says what to do.
 *
 * Owns what a path means. Knows nothing of lines, columns or records.
 *
 * F1. The files of a directory come in the order of their names, name by name, whatever the file system's own order is.
 * F2. A read may be interrupted and run again: it says itself where it starts.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Buffer } from "node:buffer"
import { FileError } from "../../StreamError.js"

const reasonOf = (error: PlatformError): string => {
  if (error._tag === "SystemError") {
    if (error.reason === "NotFound") return "there is no such file or directory"
    if (error.reason === "PermissionDenied") return "permission denied"
  }
  // node's "ENOTDIR: not a directory, stat '/a/b'" without what the message says already
  return (error.description ?? error.message).replace(/^E[A-Z0-9]+: /, "").replace(/, [a-z]+( '.*)?$/, "")
}

/** turns the platform's errors into `FileError` */
export const failed = (operation: string, file: string) => (error: PlatformError): FileError =>
  new FileError({ operation, file, reason: reasonOf(error) })

const hidden = (name: string): boolean => name.startsWith(".") || name.startsWith("_")

const filesIn = (directory: string): Effect.Effect<Array<string>, FileError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const files: Array<string> = []
    const names = yield* Effect.mapError(fs.readDirectory(directory), failed("list", directory))
    for (const name of names.filter((name) => !hidden(name)).sort()) {
      const file = path.join(directory, name)
      const info = yield* Effect.mapError(fs.stat(file), failed("list", file))
      if (info.type === "Directory") files.push(...(yield* filesIn(file)))
      else if (info.type === "File") files.push(file)
    }
    return files
  })

/** the files that paths name: each a file, or a directory where that is asked for */
export const list = Effect.fnUntraced(function*(paths: string | ReadonlyArray<string>, directories: boolean) {
  const fs = yield* FileSystem.FileSystem
  const { sep } = yield* Path.Path
  const files: Array<string> = []
  for (const path of typeof paths === "string" ? [paths] : paths) {
    const info = yield* Effect.mapError(fs.stat(path), failed("open", path))
    if (info.type === "File") {
      files.push(path)
    } else if (info.type !== "Directory") {
      return yield* new FileError({
        operation: "open",
        file: path,
        reason: `is a ${info.type}, which cannot be read again after a restart: copy it to a regular file`
      })
    } else if (directories || path.endsWith("/") || path.endsWith(sep)) {
      files.push(...(yield* filesIn(path)))
    } else {
      return yield* new FileError({
        operation: "open",
        file: path,
        reason: `is a directory: write "${path}${sep}" or set directory: true to read all files in it`
      })
    }
  }
  return files
})

/** a file that is open for reading */
export interface OpenFile {
  readonly path: string
  readonly size: number
  readonly modified: number
  /** the bytes from `offset` on, at most `length`; fewer only at the end of the file */
  readonly read: (offset: number, length: number) => Effect.Effect<Buffer, FileError>
}

/** opens a file until the Scope closes */
export const open = (path: string): Effect.Effect<OpenFile, FileError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const file = yield* fs.open(path, { flag: "r" })
    const info = yield* file.stat
    const readInto = (buffer: Buffer, offset: number, have: number): Effect.Effect<Buffer, PlatformError> =>
      have === buffer.length ? Effect.succeed(buffer) : Effect.flatMap(
        Effect.zipRight(file.seek(offset + have, "start"), file.read(buffer.subarray(have))),
        (size) => Number(size) === 0 ? Effect.succeed(buffer.subarray(0, have)) : readInto(buffer, offset, have + Number(size))
      )
    return {
      path,
      size: Number(info.size),
      modified: info.mtime._tag === "Some" ? info.mtime.value.getTime() : 0,
      read: (offset: number, length: number) =>
        Effect.mapError(Effect.suspend(() => readInto(Buffer.allocUnsafeSlow(length), offset, 0)), failed("read", path))
    }
  }).pipe(Effect.mapError(failed("open", path)))

/** the bytes of a text file, chunk by chunk */
interface Chunks {
  /** where the first chunk begins: behind a byte order mark, if the file begins with one */
  readonly start: number
  /** the chunk at an offset; empty at the end of the file */
  readonly at: (offset: number) => Effect.Effect<Buffer, FileError>
}

/** opens a text file to be read from an offset on */
export const chunks = Effect.fnUntraced(function*(path: string, offset: number, chunkBytes: number) {
  const file = yield* open(path)
  if (offset > file.size) {
    return yield* new FileError({
      operation: "read",
      file: path,
      reason: `is ${file.size} bytes long, but was read up to byte ${offset} when the checkpoint was taken: ` +
        "put the file back as it was, or start anew with restore: \"none\""
    })
  }
  let start = offset
  if (offset === 0) {
    const head = yield* file.read(0, 3)
    if (head.length === 3 && head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf) start = 3
  }
  const result: Chunks = { start, at: (offset) => file.read(offset, chunkBytes) }
  return result
})
