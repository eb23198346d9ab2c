/**
 * What every `CheckpointStorage` must do, run for each of them.
 */
import { describe, expect, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FC from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import type { CheckpointMetadata, StateHandle } from "../../src/Checkpoint.js"
import { checkpoint, FORMAT_VERSION, savepoint } from "../../src/Checkpoint.js"
import type { CheckpointStorage, CheckpointStore, CheckpointWriter } from "../../src/CheckpointStorage.js"
import { CheckpointCorrupt, JobAlreadyRunning, StorageFailed } from "../../src/StreamError.js"

export type Storage = Context.Tag.Service<CheckpointStorage>

/** bytes that are not all alike */
export const someBytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 0xff)

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** the failure of an effect that must fail; vitest is slow to print what is no error, as a flipped success would be */
export const failure = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.matchEffect(effect, { onFailure: Effect.succeed, onSuccess: () => Effect.dieMessage("this was to fail, and succeeded") })

/** the metadata of checkpoint `id` with one subtask for each handle */
export const metadataOf = (id: number, handles: ReadonlyArray<StateHandle | undefined> = []): CheckpointMetadata => ({
  version: FORMAT_VERSION,
  job: "flights",
  id,
  kind: id % 2 === 0 ? savepoint("drain") : checkpoint,
  timestamp: 1_700_000_000_000 + id,
  operators: [{
    uid: "näive \"uid\"\n",
    name: "count",
    parallelism: handles.length,
    maxParallelism: 128,
    subtasks: handles.map((handle, subtask) => ({
      subtask,
      phase: "running",
      handle,
      states: [{
        name: "counts",
        kind: "keyed",
        redistribution: "split",
        shape: { kind: "struct", fields: { n: { shape: { kind: "leaf", type: "number" }, optional: false } } },
        entries: 3
      }]
    }))
  }]
})

export const writePieces = (writer: CheckpointWriter, file: string, ...pieces: ReadonlyArray<Uint8Array>) =>
  writer.write(file, (append) => Effect.forEach(pieces, append, { discard: true }))

/** writes a whole checkpoint of one file */
export const put = Effect.fnUntraced(function*(store: CheckpointStore, id: number, bytes: Uint8Array = someBytes(100, id)) {
  const writer = yield* store.begin(id)
  const handle = yield* writePieces(writer, "count-0", bytes)
  yield* writer.complete(metadataOf(id, [handle, undefined]))
  return handle
})

const names = FC.oneof(
  FC.constantFrom("_metadata", "_lock", ".", "..", "", "a/b", "../../x", "count-0", "zähler", "%2E", "x".repeat(400), "CON:", "a\0b", " "),
  FC.string({ unit: "binary", minLength: 0, maxLength: 20 })
)

export const conformance = (name: string, storage: Effect.Effect<Storage, never, Scope.Scope>): void => {
  describe(`${name}, as every checkpoint storage`, () => {
    it.scoped.prop(
      "H2: gives back what was written, however it was cut into pieces",
      [FC.uniqueArray(FC.tuple(names, FC.array(FC.uint8Array({ maxLength: 50 }), { maxLength: 4 })), {
        selector: ([name]) => name,
        maxLength: 4
      })],
      ([files]) =>
        Effect.gen(function*() {
          const store = yield* (yield* storage).open("flights")
          const writer = yield* store.begin(1)
          const handles = yield* Effect.forEach(files, ([file, pieces]) => writePieces(writer, file, ...pieces), {
            concurrency: "unbounded"
          })
          yield* writer.complete(metadataOf(1, [...handles, undefined]))
          const found = yield* store.metadata(1)
          expect(found).toStrictEqual(metadataOf(1, [...handles, undefined]))
          for (const [i, [file, pieces]] of files.entries()) {
            const bytes = Uint8Array.from(pieces.flatMap((piece) => Array.from(piece)))
            expect(handles[i]).toStrictEqual({ file, bytes: bytes.length, checksum: sha256(bytes) })
            expect(yield* store.read(1, handles[i])).toStrictEqual(bytes)
          }
        }),
      { fastCheck: { numRuns: 60 } }
    )

    it.scoped("H2: holds at the borders of large blocks", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        const MiB = 1 << 20
        const whole = someBytes(3 * MiB + 5)
        const cuts = [[whole.length], [MiB - 1, 1, 1], [MiB, MiB], [MiB + 1], [1, 3 * MiB], [700_000, 700_000, 700_000], []]
        for (const [i, cut] of cuts.entries()) {
          let at = 0
          const pieces = cut.map((length) => whole.subarray(at, at += length))
          const handle = yield* writePieces(writer, `file-${i}`, ...pieces)
          expect(handle).toStrictEqual({ file: `file-${i}`, bytes: at, checksum: sha256(whole.subarray(0, at)) })
          cuts[i] = [handle.bytes]
        }
        yield* writer.complete(metadataOf(1))
        for (const [i, [bytes]] of cuts.entries()) {
          const expected = whole.subarray(0, bytes)
          const found = yield* store.read(1, { file: `file-${i}`, bytes, checksum: sha256(expected) })
          expect(Buffer.compare(found, expected)).toBe(0)
        }
      }))

    it.scoped("H1: lists a checkpoint from `complete` on, newest first, and not before", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        expect([yield* store.list, yield* store.highestId, yield* store.finished]).toEqual([[], 0, undefined])
        const writer = yield* store.begin(9)
        yield* put(store, 10)
        expect(yield* store.list).toEqual([10])
        yield* writePieces(writer, "a", someBytes(10))
        expect(yield* store.list).toEqual([10])
        yield* writer.complete(metadataOf(9))
        expect(yield* store.list).toEqual([10, 9])
      }))

    it.scoped("H1: leaves nothing of an aborted checkpoint, and lets nothing be added to it", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        yield* writePieces(writer, "a", someBytes(10))
        yield* writer.abort
        yield* writer.abort
        expect(yield* store.list).toEqual([])
        expect(yield* failure(writePieces(writer, "b", someBytes(10)))).toBeInstanceOf(StorageFailed)
        expect(yield* failure(writer.complete(metadataOf(1)))).toBeInstanceOf(StorageFailed)
        expect([yield* store.list, yield* store.highestId]).toEqual([[], 1])
      }))

    it.scoped("H1: a file whose body is still running when its checkpoint is aborted is not written", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        const running = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(writer.write("a", (append) =>
          append(someBytes(10)).pipe(
            Effect.zipRight(Deferred.succeed(running, undefined)),
            Effect.zipRight(Deferred.await(go)),
            Effect.zipRight(append(someBytes(10)))
          )))
        yield* Deferred.await(running)
        yield* writer.abort
        yield* Deferred.succeed(go, undefined)
        expect(yield* failure(Fiber.join(fiber))).toBeInstanceOf(StorageFailed)
        yield* put(store, 2)
        expect(yield* store.list).toEqual([2])
      }))

    it.scoped("H1: a completed checkpoint is not aborted, added to, or begun again", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        yield* writer.complete(metadataOf(1))
        yield* writer.abort
        expect(yield* failure(writePieces(writer, "b", someBytes(10)))).toBeInstanceOf(StorageFailed)
        expect(yield* failure(writer.complete(metadataOf(1)))).toBeInstanceOf(StorageFailed)
        expect(yield* failure(store.begin(1))).toBeInstanceOf(StorageFailed)
        expect(yield* store.metadata(1)).toStrictEqual(metadataOf(1))
      }))

    it.scoped("runs a body once, keeps its failure, and lets the file be written again", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        let runs = 0
        const failed = yield* Effect.exit(writer.write("a", (append) =>
          Effect.suspend(() => {
            runs++
            return Effect.zipRight(append(someBytes(10)), Effect.fail("no more" as const))
          })))
        expect([failed, runs]).toEqual([Exit.fail("no more"), 1])
        const handle = yield* writePieces(writer, "a", someBytes(20))
        expect(yield* failure(writePieces(writer, "a", someBytes(5)))).toBeInstanceOf(StorageFailed)
        yield* writer.complete(metadataOf(1, [handle]))
        expect(yield* store.read(1, handle)).toStrictEqual(someBytes(20))
      }))

    it.scoped("a body that is interrupted leaves no file", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        const running = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(writer.write("a", (append) =>
          append(someBytes(10)).pipe(Effect.zipRight(Deferred.succeed(running, undefined)), Effect.zipRight(Effect.never))))
        yield* Deferred.await(running)
        expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
        const handle = yield* writePieces(writer, "a", someBytes(20))
        yield* writer.complete(metadataOf(1, [handle]))
        expect(yield* store.read(1, handle)).toStrictEqual(someBytes(20))
      }))

    it.scoped("nothing is appended to a file after its body has ended", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        let kept: (bytes: Uint8Array) => Effect.Effect<void, StorageFailed> = () => Effect.void
        const handle = yield* writer.write("a", (append) => {
          kept = append
          return append(someBytes(10))
        })
        expect(yield* failure(kept(someBytes(3_000_000)))).toBeInstanceOf(StorageFailed)
        yield* writer.complete(metadataOf(1, [handle]))
        expect(yield* store.read(1, handle)).toStrictEqual(someBytes(10))
      }))

    it.scoped("a writer may use its buffer again, a reader may change what it got", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const writer = yield* store.begin(1)
        const buffer = Buffer.from(someBytes(10))
        const handle = yield* writer.write("a", (append) => Effect.map(append(buffer), () => void buffer.fill(0)))
        yield* writer.complete(metadataOf(1, [handle]))
        const first = yield* store.read(1, handle)
        expect(first).toStrictEqual(someBytes(10))
        first.fill(0)
        expect(yield* store.read(1, handle)).toStrictEqual(someBytes(10))
      }))

    it.scoped("H2: a handle that is not that of the file fails with CheckpointCorrupt", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const handle = yield* put(store, 1)
        const other = sha256(someBytes(99))
        const wrong = [{ ...handle, checksum: other }, { ...handle, bytes: 99 }, { ...handle, file: "count-1" }]
        const errors = yield* Effect.forEach(wrong, (handle) => failure(store.read(1, handle)))
        for (const error of errors) expect(error).toBeInstanceOf(CheckpointCorrupt)
        expect(errors).toMatchObject([
          { expected: other, found: handle.checksum },
          { expected: "99 bytes", found: "100 bytes" },
          { expected: handle.checksum, found: "missing" }
        ])
      }))

    it.scoped("a checkpoint that is not there is no damage", () =>
      Effect.gen(function*() {
        const store = yield* (yield* storage).open("flights")
        const handle = yield* put(store, 1)
        for (const error of yield* Effect.all([failure(store.metadata(2)), failure(store.read(2, handle))])) {
          expect(error).toMatchObject({ _tag: "StorageFailed", path: store.location(2), reason: "there is no such checkpoint" })
        }
        yield* store.discard(2)
      }))

    it.scoped("H3: a job is refused while another run holds it, other jobs are not", () =>
      Effect.gen(function*() {
        const service = yield* storage
        const scope = yield* Scope.make()
        const first = yield* Scope.extend(service.open("flights"), scope)
        yield* put(first, 1)
        const refused = yield* failure(service.open("flights"))
        expect(refused).toBeInstanceOf(JobAlreadyRunning)
        expect(refused).toMatchObject({ job: "flights" })
        for (const job of ["", ".", "..", "flights/..", "flights ", "Flüge", "x".repeat(300), "x".repeat(301)]) {
          const store = yield* service.open(job)
          expect(yield* store.list).toEqual([])
          yield* put(store, 7)
        }
        yield* Scope.close(scope, Exit.void)
        const second = yield* service.open("flights")
        expect(yield* second.list).toEqual([1])
      }))

    it.scoped("H3: of many that open a job at once, one gets it", () =>
      Effect.gen(function*() {
        const service = yield* storage
        const results = yield* Effect.forEach(Array.from({ length: 8 }), () => Effect.either(service.open("flights")), {
          concurrency: "unbounded"
        })
        expect(results.filter(Either.isRight).length).toBe(1)
        for (const result of results) if (Either.isLeft(result)) expect(result.left).toBeInstanceOf(JobAlreadyRunning)
      }))

    it.scoped("H3: a store whose Scope has closed changes nothing any more", () =>
      Effect.gen(function*() {
        const service = yield* storage
        const scope = yield* Scope.make()
        const old = yield* Scope.extend(service.open("flights"), scope)
        yield* put(old, 1)
        const writer = yield* old.begin(2)
        yield* Scope.close(scope, Exit.void)
        const failures = (store: CheckpointStore) =>
          Effect.all(
            [writer.complete(metadataOf(2)), store.begin(3), store.discard(1), store.finish(1, [])].map(failure)
          )
        for (const error of yield* failures(old)) expect(error).toMatchObject({ _tag: "StorageFailed", reason: /no longer holds/ })
        const next = yield* service.open("flights")
        for (const error of yield* failures(old)) {
          expect(error).toMatchObject({ _tag: "StorageFailed", reason: /another run took over/ })
        }
        expect([yield* next.list, yield* next.highestId, yield* next.finished]).toEqual([[1], 2, undefined])
      }))

    it.scoped("a run that finished leaves its mark and what it kept; the mark stands until a later checkpoint is complete", () =>
      Effect.gen(function*() {
        const service = yield* storage
        yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* service.open("flights")
          for (const id of [1, 2, 3, 4]) yield* put(store, id)
          yield* store.finish(4, [2])
          expect([yield* store.list, yield* store.finished, yield* store.highestId]).toEqual([[2], { lastId: 4 }, 4])
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* service.open("flights")
          expect([yield* store.list, yield* store.finished, yield* store.highestId]).toEqual([[2], { lastId: 4 }, 4])
          yield* store.begin(5)
          expect(yield* store.finished).toEqual({ lastId: 4 })
        }))
        const store = yield* service.open("flights")
        expect([yield* store.list, yield* store.finished, yield* store.highestId]).toEqual([[2], { lastId: 4 }, 5])
        yield* put(store, 6)
        expect([yield* store.list, yield* store.finished]).toEqual([[6, 2], undefined])
      }))

    interface Model {
      readonly list: ReadonlyArray<number>
      readonly highestId: number
      /** the highest id when a run last finished; -1 for never */
      readonly ended: number
    }
    const commands = FC.array(
      FC.oneof(
        FC.record({ do: FC.constantFrom("complete", "abort", "crash", "reopen"), n: FC.constant(0) }),
        FC.record({ do: FC.constantFrom("discard", "finish"), n: FC.nat(3) })
      ),
      { maxLength: 15 }
    )
    it.scoped.prop(
      "list, highestId and finished are those of a run over a plain model, over any life of a job",
      [commands],
      ([commands]) =>
        Effect.gen(function*() {
          const service = yield* storage
          let scope = yield* Scope.make()
          let store = yield* Scope.extend(service.open("flights"), scope)
          const reopen = Effect.gen(function*() {
            yield* Scope.close(scope, Exit.void)
            scope = yield* Scope.make()
            store = yield* Scope.extend(service.open("flights"), scope)
          })
          let model: Model = { list: [], highestId: 0, ended: -1 }
          for (const { do: command, n } of commands) {
            const id = model.highestId + 1
            switch (command) {
              case "complete":
                yield* put(store, id)
                model = { ...model, list: [id, ...model.list], highestId: id }
                break
              case "abort":
              case "crash": {
                const writer = yield* store.begin(id)
                yield* writePieces(writer, "a", someBytes(3))
                yield* command === "abort" ? writer.abort : reopen
                model = { ...model, highestId: id }
                break
              }
              case "reopen":
                yield* reopen
                break
              case "discard": {
                const gone = model.list[n] ?? 1_000
                yield* store.discard(gone)
                model = { ...model, list: model.list.filter((other) => other !== gone) }
                break
              }
              case "finish": {
                const keep = model.list.filter((_, i) => i === n)
                yield* store.finish(model.highestId, keep)
                model = { ...model, list: keep, ended: model.highestId }
                break
              }
            }
            // the end of a run is the last word until a later checkpoint is complete
            const finished = model.ended >= (model.list[0] ?? 0) ? { lastId: model.ended } : undefined
            expect([yield* store.list, yield* store.highestId, yield* store.finished]).toEqual([model.list, model.highestId, finished])
          }
          yield* Scope.close(scope, Exit.void)
        }),
      { fastCheck: { numRuns: 60 } }
    )
  })
}
