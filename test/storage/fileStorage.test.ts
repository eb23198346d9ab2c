import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { execFileSync } from "node:child_process"
import { CheckpointStorage, layerFileSystem } from "../../src/CheckpointStorage.js"
import * as file from "../../src/storage/fileStorage.js"
import { thisProcess } from "../../src/storage/host.js"
import { CheckpointCorrupt, StorageFailed } from "../../src/StreamError.js"
import type { Storage } from "./conformance.js"
import { conformance, failure, metadataOf, put, someBytes, writePieces } from "./conformance.js"
import type { Around, Call } from "./interceptedFileSystem.js"
import { changes, failing, intercept, powerCut, systemError } from "./interceptedFileSystem.js"

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "sluice-storage-" })).pipe(
  Effect.orDie
)

conformance("file", Effect.flatMap(temporary, file.make).pipe(Effect.provide(NodeContext.layer)))

/** a storage whose file system does each call inside `around` */
const within = (directory: string, around: Around) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* file.make(directory).pipe(Effect.provideService(FileSystem.FileSystem, intercept(fs, around)))
  })

const files = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  return (yield* fs.readDirectory(directory, { recursive: true })).sort()
})

/** what a process that died left: its lock names a pid that is no more */
const forgetHolder = (directory: string, job: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.remove(`${directory}/${job}/_lock`, { force: true }))

describe("fileStorage: layout", () => {
  it.scoped("lies where people look for it, under names that every system has", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const store = yield* (yield* file.make(directory)).open("a/b")
      yield* put(store, 7)
      const writer = yield* store.begin(8)
      yield* writePieces(writer, "../x", someBytes(3))
      expect(yield* files(directory)).toEqual(
        [
          "a%2Fb",
          "a%2Fb/_lock",
          "a%2Fb/_progress",
          "a%2Fb/chk-7",
          "a%2Fb/chk-7/_metadata",
          "a%2Fb/chk-7/count-0",
          "a%2Fb/chk-8.inprogress",
          "a%2Fb/chk-8.inprogress/%2E.%2Fx"
        ]
      )
      expect(store.location(7)).toBe(`${directory}/a%2Fb/chk-7`)
      const [header, body] = (yield* fs.readFileString(`${store.location(7)}/_metadata`)).split("\n")
      expect(header).toMatch(/^sluice-checkpoint 1 [0-9a-f]{64}$/)
      expect(JSON.parse(body)).toMatchObject({ id: 7 })
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("is the same storage through every layer of the directory, absolute or relative", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = yield* Path.Path
      const open = (directory: string) =>
        Effect.flatMap(CheckpointStorage, (storage) => storage.open("flights")).pipe(
          Effect.provide(Layer.provide(layerFileSystem(directory), NodeContext.layer))
        )
      yield* Effect.scoped(Effect.flatMap(open(`${directory}/new`), (store) => put(store, 1)))
      const store = yield* open(path.relative(path.resolve("."), `${directory}/new`))
      expect(yield* store.list).toEqual([1])
      expect(yield* failure(open(`${directory}/new`))).toMatchObject({
        _tag: "JobAlreadyRunning",
        job: "flights",
        holder: expect.stringContaining(`pid ${thisProcess.pid} on ${thisProcess.name}`)
      })
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("refuses a job whose folder is another's, as where a file system does not tell upper from lower case", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const storage = yield* file.make(directory)
      yield* Effect.scoped(Effect.flatMap(storage.open("flights"), (store) => put(store, 1)))
      yield* fs.rename(`${directory}/flights`, `${directory}/Flights`)
      expect(yield* failure(storage.open("Flights"))).toMatchObject({
        _tag: "StorageFailed",
        reason: expect.stringContaining("job flights")
      })
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("fileStorage: damage", () => {
  const damaged = Effect.gen(function*() {
    const directory = yield* temporary
    const fs = yield* FileSystem.FileSystem
    const store = yield* (yield* file.make(directory)).open("flights")
    const writer = yield* store.begin(1)
    const handles = [
      yield* writePieces(writer, "a", someBytes(80)),
      yield* writePieces(writer, "b", someBytes(1)),
      yield* writePieces(writer, "c")
    ]
    yield* writer.complete(metadataOf(1, handles))
    /** reads everything of the checkpoint */
    const read = Effect.flatMap(
      store.metadata(1),
      ({ operators }) => Effect.forEach(operators[0].subtasks, ({ handle }) => store.read(1, handle!), { discard: true })
    )
    const names = (yield* fs.readDirectory(store.location(1))).map((name) => `${store.location(1)}/${name}`)
    expect(names.length).toBe(4)
    yield* read
    return { fs, store, read, names }
  })

  it.scoped("H2: a flipped byte in any file of a checkpoint is found, every byte of it", () =>
    Effect.gen(function*() {
      const { fs, names, read } = yield* damaged
      for (const name of names) {
        const whole = yield* fs.readFile(name)
        for (let i = 0; i < whole.length; i++) {
          const bytes = Uint8Array.from(whole)
          bytes[i] ^= 1 << (i % 8)
          yield* fs.writeFile(name, bytes)
          const error = yield* failure(read)
          expect(error, `${name} at ${i}`).toBeInstanceOf(CheckpointCorrupt)
          expect(error).toMatchObject({ file: name })
          expect((error as CheckpointCorrupt).found).not.toBe((error as CheckpointCorrupt).expected)
        }
        yield* fs.writeFile(name, whole)
      }
      yield* read
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("H2: files cut off, longer, missing, swapped or replaced by a directory are found", () =>
    Effect.gen(function*() {
      const { fs, names, read } = yield* damaged
      for (const name of names) {
        const whole = yield* fs.readFile(name)
        const corrupt = Effect.gen(function*() {
          const error = yield* failure(read)
          expect(error).toBeInstanceOf(CheckpointCorrupt)
          expect(error).toMatchObject({ file: name })
          return error as CheckpointCorrupt
        })
        for (const length of [0, whole.length >> 1, whole.length - 1].filter((n) => n >= 0 && n < whole.length)) {
          yield* fs.writeFile(name, whole.subarray(0, length))
          yield* corrupt
        }
        yield* fs.writeFile(name, Uint8Array.of(...whole, 10))
        yield* corrupt
        yield* fs.remove(name)
        expect(yield* corrupt).toMatchObject({ found: "missing" })
        yield* fs.makeDirectory(name)
        yield* corrupt
        yield* fs.remove(name, { recursive: true })
        yield* fs.writeFile(name, whole)
      }
      yield* read
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("H2: a checkpoint under another's name, and one of another format, are refused", () =>
    Effect.gen(function*() {
      const { fs, store } = yield* damaged
      yield* fs.rename(store.location(1), store.location(5))
      expect(yield* failure(store.metadata(5))).toMatchObject({
        _tag: "CheckpointCorrupt",
        expected: "checkpoint 5",
        found: "checkpoint 1"
      })
      const text = yield* fs.readFileString(`${store.location(5)}/_metadata`)
      yield* fs.writeFileString(`${store.location(5)}/_metadata`, text.replace(" 1 ", " 2 "))
      expect(yield* failure(store.metadata(5))).toMatchObject({ _tag: "CheckpointCorrupt", found: "format version 2" })
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("H2: a bad sector is damage, a forbidden file is not", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      let code = "none"
      const around = failing((call) =>
        code !== "none" && (call.op === "readFile" && call.path.endsWith("_metadata") || call.op === "read")
          ? systemError(code, "text", call)
          : undefined
      )
      const store = yield* (yield* within(directory, around)).open("flights")
      const handle = yield* put(store, 1)
      code = "EIO"
      expect(yield* failure(store.metadata(1))).toMatchObject({ _tag: "CheckpointCorrupt", found: "unreadable: text (EIO)" })
      expect(yield* failure(store.read(1, handle))).toMatchObject({ _tag: "CheckpointCorrupt", found: "unreadable: text (EIO)" })
      code = "EACCES"
      expect(yield* failure(store.metadata(1))).toMatchObject({ _tag: "StorageFailed", operation: "read", reason: "text (EACCES)" })
      expect(yield* failure(store.read(1, handle))).toMatchObject({ _tag: "StorageFailed", operation: "read", reason: "text (EACCES)" })
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("D4: a damaged _progress fails `open` and is never taken for a job without a past", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const storage = yield* file.make(directory)
      yield* Effect.scoped(Effect.flatMap(storage.open("flights"), (store) => store.begin(3)))
      const name = `${directory}/flights/_progress`
      const whole = yield* fs.readFile(name)
      for (let i = 0; i < whole.length; i++) {
        const bytes = Uint8Array.from(whole)
        bytes[i] ^= 1 << (i % 8)
        yield* fs.writeFile(name, bytes)
        expect(yield* failure(Effect.scoped(storage.open("flights")))).toMatchObject({
          _tag: "StorageFailed",
          operation: "open",
          path: name,
          reason: expect.stringMatching(/^damaged/)
        })
      }
      yield* fs.writeFile(name, whole)
      expect(yield* Effect.flatMap(storage.open("flights"), (store) => store.highestId)).toBe(3)
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("fileStorage: crashes", () => {
  it.scoped("D1, D3: what a crash left before `complete` is never listed and is gone after the next open", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const storage = yield* file.make(directory)
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* storage.open("flights")
        yield* put(store, 1)
        const writer = yield* store.begin(2)
        yield* writePieces(writer, "a", someBytes(10))
        expect(yield* store.list).toEqual([1])
      }))
      yield* fs.makeDirectory(`${directory}/flights/chk-7.deleted`)
      yield* fs.writeFileString(`${directory}/flights/chk-7.deleted/a`, "")
      yield* fs.makeDirectory(`${directory}/flights/chk-007`)
      expect(yield* files(`${directory}/flights`)).toContain("chk-2.inprogress/a")
      const store = yield* storage.open("flights")
      expect(yield* store.list).toEqual([1])
      expect(yield* store.highestId).toBe(7)
      expect((yield* fs.readDirectory(`${directory}/flights`)).sort()).toEqual(["_lock", "_progress", "chk-007", "chk-1"])
    }).pipe(Effect.provide(NodeContext.layer)))

  /** what is sure to be there, what may be there while something is being done, and the highest id that is sure to have been begun */
  interface Sure {
    readonly list: ReadonlyArray<number>
    readonly doing: ReadonlyArray<number>
    readonly begun: number
  }

  /** a life of a job with everything that changes the disk; tells what becomes sure */
  const life = (storage: Storage, tell: (sure: Sure) => void) =>
    Effect.gen(function*() {
      const store = yield* storage.open("flights")
      let list: ReadonlyArray<number> = []
      const step = <A, E>(effect: Effect.Effect<A, E>, next: ReadonlyArray<number>, begun: number) =>
        Effect.suspend(() => {
          tell({ list, doing: next, begun: begun === 0 ? 0 : begun - 1 })
          return Effect.tap(effect, () => tell({ list: list = next, doing: next, begun }))
        })
      for (const id of [1, 2, 3]) {
        const writer = yield* step(store.begin(id), list, id)
        const handle = yield* writePieces(writer, "count-0", someBytes(100, id))
        yield* step(writer.complete(metadataOf(id, [handle, undefined])), [id, ...list], id)
      }
      yield* step(store.discard(1), [3, 2], 3)
      const writer = yield* step(store.begin(4), list, 4)
      yield* writePieces(writer, "count-0", someBytes(100))
      yield* step(writer.abort, list, 4)
      yield* step(store.finish(4, [2]), [2], 4)
    })

  it.scoped("D1 to D4: a power cut at each change of the disk leaves complete checkpoints, those that were sure or that were being made so", () =>
    Effect.gen(function*() {
      let cuts = 0
      for (let n = 0, done = false; !done; n++) {
        const directory = yield* temporary
        const cut = powerCut(n)
        let sure: Sure = { list: [], doing: [], begun: 0 }
        yield* within(directory, cut.around).pipe(
          Effect.flatMap((storage) =>
            life(storage, (now) => {
              sure = now
            })
          ),
          Effect.scoped,
          Effect.exit
        )
        done = !cut.happened()
        if (!done) cuts++
        yield* forgetHolder(directory, "flights")
        const store = yield* (yield* file.make(directory)).open("flights")
        const found = yield* store.list
        const finished = yield* store.finished
        expect([sure.list, sure.doing], `cut ${n}`).toContainEqual(found)
        if (finished !== undefined) expect(found, `cut ${n}`).toEqual([2])
        expect(yield* store.highestId).toBeGreaterThanOrEqual(sure.begun)
        for (const id of found) {
          const { operators } = yield* store.metadata(id)
          expect(yield* store.read(id, operators[0].subtasks[0].handle!)).toStrictEqual(someBytes(100, id))
        }
        const names = yield* files(`${directory}/flights`)
        expect(names.filter((name) => /inprogress|deleted/.test(name))).toEqual([])
      }
      expect(cuts).toBeGreaterThan(60)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("D1, D2: everything is synced before the rename that shows or hides a checkpoint, and the rename before anything goes on", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const home = `${directory}/flights`
      const parent = (path: string) => path.slice(0, path.lastIndexOf("/"))
      /** what a power cut would lose: bytes of files, names in directories */
      const unsynced = new Set<string>()
      /** checkpoints whose disappearance a power cut would undo */
      const hidden = new Set<string>()
      const seen = { shown: 0, hidden: 0, sure: 0 }
      const watch = ({ op, path, to }: Call) => {
        if (op === "write") unsynced.add(path)
        if (op === "open" && to !== "r" || op === "makeDirectory") unsynced.add(parent(path))
        if (op === "sync") {
          unsynced.delete(path)
          if (path === home) hidden.clear()
        }
        if (op === "remove") expect(hidden.has(path)).toBe(false)
        if (op === "rename") {
          if (/chk-\d+$/.test(to!)) {
            seen.shown++
            expect(Array.from(unsynced).filter((name) => name.startsWith(path))).toEqual([])
          }
          if (/chk-\d+$/.test(path)) {
            seen.hidden++
            hidden.add(to!)
          }
          for (const name of unsynced) if (name.startsWith(path)) unsynced.delete(name)
          unsynced.add(parent(to!))
        }
      }
      const storage = yield* within(directory, (call, effect) => Effect.tap(effect, () => Effect.sync(() => watch(call))))
      let before: ReadonlyArray<number> = []
      yield* life(storage, ({ list }) => {
        if (list === before || list.length === 0) return
        before = list
        seen.sure++
        expect(Array.from(unsynced).filter((name) => !name.endsWith("_lock"))).toEqual([])
      })
      expect(seen).toEqual({ shown: 3, hidden: 2, sure: 5 })
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("fileStorage: one run", () => {
  /** the job was taken over by another process, as one that thinks us dead would */
  const takeOver = Effect.fnUntraced(function*(directory: string) {
    const fs = yield* FileSystem.FileSystem
    const lock = `${directory}/flights/_lock`
    yield* fs.writeFileString(
      `${lock}.x`,
      JSON.stringify({ token: "other", pid: 7, host: "elsewhere", born: 1, startedAt: "2024-01-01T00:00:00.000Z" })
    )
    yield* fs.rename(`${lock}.x`, lock)
  })
  const tookOver = { _tag: "StorageFailed", reason: "another run took over the job (pid 7 on elsewhere, since 2024-01-01T00:00:00.000Z)" }

  it.scoped("D5: a run that was taken over completes, begins, discards and finishes nothing, and says why; it leaves the lock of its successor", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const storage = yield* file.make(directory)
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* storage.open("flights")
        yield* put(store, 1)
        const writer = yield* store.begin(2)
        const handle = yield* writePieces(writer, "a", someBytes(10))
        const before = yield* files(directory)
        yield* takeOver(directory)
        expect(yield* failure(writer.complete(metadataOf(2, [handle])))).toMatchObject({ ...tookOver, path: store.location(2) })
        expect(yield* failure(store.begin(3))).toMatchObject(tookOver)
        expect(yield* failure(store.discard(1))).toMatchObject(tookOver)
        expect(yield* failure(store.finish(1, []))).toMatchObject(tookOver)
        return before
      }))
      expect(yield* files(directory)).toEqual(before)
      expect(yield* fs.readFileString(`${directory}/flights/_lock`)).toContain("elsewhere")
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("D5: a take-over while `complete` is writing is noticed just before the rename", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const storage = yield* within(directory, (call, effect) =>
        call.op === "sync" && call.path.endsWith("chk-1.inprogress")
          ? Effect.zipRight(Effect.orDie(Effect.provide(takeOver(directory), NodeContext.layer)), effect)
          : effect)
      const store = yield* storage.open("flights")
      const writer = yield* store.begin(1)
      expect(yield* failure(writer.complete(metadataOf(1)))).toMatchObject(tookOver)
      expect(yield* store.list).toEqual([])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("D5: a run whose unfinished checkpoint was removed by its successor is told so", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const store = yield* (yield* file.make(directory)).open("flights")
      const writer = yield* store.begin(1)
      yield* takeOver(directory)
      yield* fs.remove(`${directory}/flights/chk-1.inprogress`, { recursive: true })
      expect(yield* failure(writePieces(writer, "a", someBytes(10)))).toMatchObject(tookOver)
      expect(yield* failure(writer.complete(metadataOf(1)))).toMatchObject(tookOver)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a run whose mark could not be written has not finished, and later writes do not say that it has", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      let full = false
      const around = failing((call) => full && call.op === "write" ? systemError("ENOSPC", "no space left on device", call) : undefined)
      const storage = yield* within(directory, around)
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* storage.open("flights")
        yield* put(store, 1)
        full = true
        expect(yield* failure(store.finish(1, []))).toMatchObject({ _tag: "StorageFailed", reason: "no space left on device (ENOSPC)" })
        full = false
        expect([yield* store.list, yield* store.finished]).toEqual([[1], undefined])
        yield* (yield* store.begin(2)).abort
      }))
      const store = yield* storage.open("flights")
      expect([yield* store.list, yield* store.finished, yield* store.highestId]).toEqual([[1], undefined, 2])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a run that finished but could not discard what it did not keep leaves that to the next open", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      let broken = false
      const around = failing((call) =>
        broken && call.op === "rename" && call.path.endsWith("chk-1") ? systemError("EIO", "i/o error", call) : undefined
      )
      const storage = yield* within(directory, around)
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* storage.open("flights")
        for (const id of [1, 2, 3]) yield* put(store, id)
        broken = true
        expect(yield* failure(store.finish(3, [2]))).toMatchObject({
          _tag: "StorageFailed",
          operation: "discard",
          reason: "i/o error (EIO)"
        })
        expect(yield* store.list).toEqual([2, 1])
      }))
      broken = false
      const store = yield* storage.open("flights")
      expect([yield* store.list, yield* store.finished, yield* store.highestId]).toEqual([[2], { lastId: 3 }, 3])
      // what somebody puts there later is not taken for a leftover
      const fs = yield* FileSystem.FileSystem
      yield* fs.copy(`${directory}/flights/chk-2`, `${directory}/flights/chk-1`)
      expect(yield* store.list).toEqual([2, 1])
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("fileStorage: writing", () => {
  it.scoped("goes to the disk as it comes, a block at a time, and syncs once at the end", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const trace: Array<string> = []
      const storage = yield* within(directory, (call, effect) => {
        if (!call.path.endsWith("/a")) return effect
        return Effect.tap(effect, () => Effect.sync(() => trace.push(call.op)))
      })
      const store = yield* storage.open("flights")
      const writer = yield* store.begin(1)
      yield* writer.write("a", (append) =>
        Effect.gen(function*() {
          for (let i = 0; i < 100; i++) yield* append(someBytes(10_000))
          expect(trace).toEqual(["open"])
          for (let i = 0; i < 100; i++) yield* append(someBytes(10_000))
          expect(trace).toEqual(["open", "write"])
          yield* append(someBytes(1 << 21))
          expect(trace).toEqual(["open", "write", "write", "write"])
        }))
      expect(trace).toEqual(["open", "write", "write", "write", "write", "sync", "close"])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("keeps each piece whole when pieces are appended at once", () =>
    Effect.gen(function*() {
      const store = yield* (yield* file.make(yield* temporary)).open("flights")
      const writer = yield* store.begin(1)
      const pieces = Array.from({ length: 8 }, (_, i) => new Uint8Array(700_001).fill(i))
      const handle = yield* writer.write("a", (append) => Effect.forEach(pieces, append, { concurrency: "unbounded", discard: true }))
      yield* writer.complete(metadataOf(1, [handle]))
      const bytes = yield* store.read(1, handle)
      expect(bytes.length).toBe(8 * 700_001)
      const found = pieces.map((_, i) => bytes.subarray(i * 700_001, (i + 1) * 700_001)).map((piece) => new Set(piece).size)
      expect(found).toEqual(pieces.map(() => 1))
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped.each([1 << 20, 10])(
    "closes the file however its body ends, and not while a write is on its way (F2): %i bytes",
    (length) =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const trace: Array<string> = []
        const writing = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const storage = yield* within(directory, (call, effect) => {
          if (!/chk-1.inprogress\/./.test(call.path)) return effect
          const name = call.path.slice(call.path.lastIndexOf("/") + 1)
          const held = name === "slow" && call.op === "write"
            ? Effect.zipRight(Deferred.succeed(writing, undefined), Effect.zipRight(Deferred.await(go), effect))
            : effect
          return Effect.tap(held, () => Effect.sync(() => trace.push(`${call.op} ${name}`)))
        })
        const store = yield* storage.open("flights")
        const writer = yield* store.begin(1)
        yield* failure(writer.write("fails", (append) => Effect.zipRight(append(someBytes(3)), Effect.fail("no more"))))
        yield* Effect.exit(writer.write("dies", () => Effect.die("a bug")))
        const fiber = yield* Effect.fork(writer.write("slow", (append) => append(someBytes(length))))
        yield* Deferred.await(writing)
        const interrupted = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* Effect.yieldNow()
        expect(trace.filter((line) => line.endsWith("slow"))).toEqual(["open slow"])
        yield* Deferred.succeed(go, undefined)
        expect(Exit.isInterrupted(yield* Fiber.join(interrupted))).toBe(true)
        expect(trace).toEqual([
          "open fails",
          "remove fails",
          "close fails",
          "open dies",
          "remove dies",
          "close dies",
          "open slow",
          "write slow",
          "remove slow",
          "close slow"
        ])
      }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scoped("a body that hides a failed append still fails", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      let full = true
      const storage = yield* within(
        directory,
        failing((call) =>
          full && call.op === "write" && call.path.endsWith("/a") ? systemError("ENOSPC", "no space left on device", call) : undefined
        )
      )
      const store = yield* storage.open("flights")
      const writer = yield* store.begin(1)
      const error = yield* failure(writer.write("a", (append) =>
        Effect.gen(function*() {
          yield* Effect.ignore(append(someBytes(1 << 20)))
          full = false
          yield* Effect.ignore(append(someBytes(1 << 20)))
        })))
      expect(error).toMatchObject({ _tag: "StorageFailed", operation: "write", reason: "no space left on device (ENOSPC)" })
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("fileStorage: failing systems", () => {
  it.scoped("a full disk at any write, sync or rename fails with its reason, and the checkpoint is not there; with space again, the next one is", () =>
    Effect.gen(function*() {
      let cases = 0
      for (let n = 0, done = false; !done; n++) {
        const directory = yield* temporary
        let left = Infinity
        const around = failing((call) =>
          changes(call) && call.op !== "remove" && left-- === 0 ? systemError("ENOSPC", "no space left on device", call) : undefined
        )
        const storage = yield* within(directory, around)
        const store = yield* storage.open("flights")
        yield* put(store, 1)
        left = n
        const writer = yield* Effect.either(store.begin(2))
        const result = yield* Effect.exit(Effect.gen(function*() {
          const handle = yield* writePieces(yield* writer, "count-0", someBytes(100))
          yield* (yield* writer).complete(metadataOf(2, [handle]))
        }))
        done = left >= 0
        left = Infinity
        if (Exit.isFailure(result)) {
          cases++
          const error = yield* failure(result)
          expect(error, `at ${n}`).toMatchObject({ _tag: "StorageFailed", reason: "no space left on device (ENOSPC)" })
          expect((error as StorageFailed).path).toContain(`${directory}/flights`)
          expect(yield* store.list, `at ${n}`).toEqual([1])
          if (writer._tag === "Right") yield* writer.right.abort
          expect((yield* files(`${directory}/flights`)).filter((name) => /inprogress|deleted/.test(name))).toEqual([])
        } else expect(done).toBe(true)
        const handle = yield* put(store, 3)
        expect(yield* store.read(3, handle)).toStrictEqual(someBytes(100, 3))
      }
      expect(cases).toBeGreaterThan(10)
    }).pipe(Effect.provide(NodeContext.layer)))

  const mounts = (() => {
    try {
      const at = execFileSync("mktemp", ["-d"]).toString().trim()
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", at], { stdio: "ignore" })
      execFileSync("umount", [at])
      execFileSync("rmdir", [at])
      return true
    } catch {
      return false
    }
  })()

  it.scoped.runIf(mounts)(
    "a disk that is really full fails a checkpoint, leaves the one before, and takes the next when there is space",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const path = `${directory}/disk`
        execFileSync("mkdir", [path])
        yield* Effect.acquireRelease(
          Effect.sync(() => execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path])),
          () => Effect.sync(() => execFileSync("umount", [path]))
        )
        const store = yield* (yield* file.make(path)).open("flights")
        const handle = yield* put(store, 1)
        const writer = yield* store.begin(2)
        expect(yield* failure(writePieces(writer, "count-0", someBytes(200_000)))).toMatchObject({
          _tag: "StorageFailed",
          operation: "write",
          path: `${path}/flights/chk-2.inprogress/count-0`,
          reason: "no space left on device (ENOSPC)"
        })
        yield* writer.abort
        expect(yield* store.list).toEqual([1])
        expect(yield* store.read(1, handle)).toStrictEqual(someBytes(100, 1))
        yield* put(store, 3, someBytes(10_000))
        expect(yield* store.list).toEqual([3, 1])
      }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scoped("a directory that cannot be used fails `open` with its path and what is wrong with it", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fs = yield* FileSystem.FileSystem
      yield* fs.writeFileString(`${directory}/file`, "")
      const open = (directory: string) => failure(Effect.scoped(Effect.flatMap(file.make(directory), (storage) => storage.open("flights"))))
      expect(yield* open(`${directory}/file`)).toEqual(
        new StorageFailed({ operation: "open", path: `${directory}/file`, reason: "not a directory" })
      )
      expect(yield* open(`${directory}/file/below`)).toEqual(
        new StorageFailed({ operation: "open", path: `${directory}/file/below`, reason: "not a directory (ENOTDIR)" })
      )
      yield* Effect.scoped(Effect.flatMap(file.make(`${directory}/no/such`), (storage) => storage.open("flights")))
      expect(yield* fs.exists(`${directory}/no/such/flights`)).toBe(true)
      expect(yield* open(`${directory}/a\0b`)).toMatchObject({
        _tag: "StorageFailed",
        operation: "open",
        reason: expect.stringMatching(/null bytes/)
      })
      yield* fs.makeDirectory(`${directory}/taken`)
      yield* fs.writeFileString(`${directory}/taken/flights`, "")
      expect(yield* open(`${directory}/taken`)).toEqual(
        new StorageFailed({ operation: "open", path: `${directory}/taken/flights`, reason: "not a directory" })
      )
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a directory that may not be written, or not at all be looked into, fails `open` with permission denied", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const denied = (ops: (call: Call) => boolean) =>
        within(directory, failing((call) => ops(call) ? systemError("EACCES", "permission denied", call) : undefined)).pipe(
          Effect.flatMap((storage) => storage.open("flights")),
          Effect.scoped,
          failure
        )
      const reason = "permission denied (EACCES)"
      expect(yield* denied(() => true)).toEqual(new StorageFailed({ operation: "open", path: directory, reason }))
      expect(yield* denied(changes)).toEqual(new StorageFailed({ operation: "open", path: `${directory}/flights`, reason }))
      expect(yield* denied((call) => call.op === "open" && call.to === "wx")).toEqual(
        new StorageFailed({ operation: "lock", path: `${directory}/flights/_lock`, reason })
      )
      const noop = FileSystem.makeNoop({
        makeDirectory: (path) => Effect.fail(systemError("EROFS", "read-only file system", { op: "makeDirectory", path }))
      })
      const without = yield* Effect.provideService(file.make(directory), FileSystem.FileSystem, noop)
      expect(yield* failure(Effect.scoped(without.open("flights")))).toEqual(
        new StorageFailed({ operation: "open", path: directory, reason: "read-only file system (EROFS)" })
      )
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a system that cannot sync directories is written to all the same", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const storage = yield* within(
        directory,
        failing((call) =>
          call.op === "sync" && !/\/(_[a-z]+(\.new)?|count-0)$/.test(call.path)
            ? systemError("EPERM", "operation not permitted", call)
            : undefined
        )
      )
      const store = yield* storage.open("flights")
      yield* put(store, 1)
      expect(yield* store.list).toEqual([1])
    }).pipe(Effect.provide(NodeContext.layer)))
})
