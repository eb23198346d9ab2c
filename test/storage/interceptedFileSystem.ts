/**
 * The real file system with something around each of its calls: a trace, a fault, a pause.
 */
import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"

export interface Call {
  readonly op:
    | "open"
    | "close"
    | "write"
    | "sync"
    | "read"
    | "rename"
    | "remove"
    | "makeDirectory"
    | "readFile"
    | "readDirectory"
    | "stat"
    | "access"
  readonly path: string
  /** where `rename` moves it, or the flag of `open` */
  readonly to?: string | undefined
}

export type Around = <A, R>(
  call: Call,
  effect: Effect.Effect<A, PlatformError.PlatformError, R>
) => Effect.Effect<A, PlatformError.PlatformError, R>

const changing = new Set(["open", "write", "sync", "rename", "remove", "makeDirectory"])

/** whether a call may change what is on the disk */
export const changes = (call: Call): boolean => changing.has(call.op) && !(call.op === "open" && call.to === "r")

/** the error of a system call, as platform-node makes it */
export const systemError = (code: string, text: string, call: Call): PlatformError.SystemError =>
  new PlatformError.SystemError({
    module: "FileSystem",
    method: call.op,
    reason: code === "EACCES" ? "PermissionDenied" : "Unknown",
    pathOrDescriptor: call.path,
    description: `${code}: ${text}, ${call.op} '${call.path}'`
  })

export const intercept = (fs: FileSystem.FileSystem, around: Around): FileSystem.FileSystem => {
  const file = (path: string, inner: FileSystem.File): FileSystem.File => ({
    [FileSystem.FileTypeId]: FileSystem.FileTypeId,
    fd: inner.fd,
    stat: around({ op: "stat", path }, inner.stat),
    seek: (offset, from) => inner.seek(offset, from),
    sync: around({ op: "sync", path }, inner.sync),
    read: (buffer) => around({ op: "read", path }, inner.read(buffer)),
    readAlloc: (size) => inner.readAlloc(size),
    truncate: (length) => inner.truncate(length),
    write: (buffer) => inner.write(buffer),
    writeAll: (buffer) => around({ op: "write", path }, inner.writeAll(buffer))
  })
  return FileSystem.make({
    ...fs,
    open: (path, options) =>
      Effect.addFinalizer(() => Effect.ignore(around({ op: "close", path }, Effect.void))).pipe(
        Effect.zipRight(around({ op: "open", path, to: options?.flag ?? "r" }, fs.open(path, options))),
        Effect.map((inner) => file(path, inner))
      ),
    rename: (from, to) => around({ op: "rename", path: from, to }, fs.rename(from, to)),
    remove: (path, options) => around({ op: "remove", path }, fs.remove(path, options)),
    makeDirectory: (path, options) => around({ op: "makeDirectory", path }, fs.makeDirectory(path, options)),
    readFile: (path) => around({ op: "readFile", path }, fs.readFile(path)),
    readDirectory: (path, options) => around({ op: "readDirectory", path }, fs.readDirectory(path, options)),
    stat: (path) => around({ op: "stat", path }, fs.stat(path)),
    access: (path, options) => around({ op: "access", path }, fs.access(path, options))
  })
}

/** fails the calls for which `fault` gives an error, before they do anything */
export const failing = (fault: (call: Call) => PlatformError.PlatformError | undefined): Around => (call, effect) =>
  Effect.suspend(() => {
    const error = fault(call)
    return error === undefined ? effect : Effect.fail(error)
  })

/** the power fails at the `n`th call that changes the disk: neither that one nor any later one does anything */
export const powerCut = (n: number) => {
  let left = n
  const around = failing((call) => changes(call) && --left < 0 ? systemError("EIO", "i/o error", call) : undefined)
  return { around, happened: () => left < 0 }
}
