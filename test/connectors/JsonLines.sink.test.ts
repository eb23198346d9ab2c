import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { SystemError } from "@effect/platform/Error"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, FastCheck as fc, Schema, Scope } from "effect"
import * as JsonLines from "../../src/connectors/JsonLines.js"
import type { SinkContext, TransactionWriter } from "../../src/DataSink.js"
import * as Codec from "../../src/state/Codec.js"
import { FileError } from "../../src/StreamError.js"
import { holds, temporary } from "./driver.js"

const context = (attempt: number, subtask = 0): SinkContext => ({
  job: "job",
  uid: "sink",
  subtask,
  parallelism: 1,
  attemptId: `run-${attempt}`
})

const transactional = <A>(directory: string, options?: JsonLines.SinkOptions<A>) => {
  const sink = JsonLines.sink<A>(directory, options)
  if (sink._tag !== "TransactionalSink") throw new Error("not transactional")
  return sink
}

const stored = <A>(value: A): A => Codec.unpack(Codec.pack(Codec.plain.copy(value))) as A

/** the visible lines, and the hidden names */
const look = (directory: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const names = yield* fs.readDirectory(directory)
    const lines: Array<number> = []
    for (const name of names.filter((name) => !name.startsWith("."))) {
      const content = yield* fs.readFileString(path.join(directory, name))
      assert.isTrue(content.endsWith("\n"), `${name} is whole`)
      lines.push(...content.trimEnd().split("\n").map(Number))
    }
    return { lines, hidden: names.filter((name) => name.startsWith(".")) }
  })

class Crash {
  readonly _tag = "Crash"
}

/** what happens to a job's sink: records, checkpoints that complete, and checkpoints that are aborted before or after they were persisted */
type Step = "record" | "checkpoint" | "abort" | "abortPersisted"

/** an attempt that dies at a point, counted over all attempts: by a failure that closes its resources, or by a kill that does not */
interface Death {
  readonly at: number
  readonly kind: "kill" | "close"
}

/** counts points, and dies at some of them */
const deaths = (crashes: ReadonlyArray<Death>) => {
  let points = 0
  let last: Death["kind"] | undefined
  const next = () => {
    last = crashes.find(({ at }) => at === points)?.kind
    points++
    return last !== undefined
  }
  const die = Effect.die(new Crash())
  const point = Effect.suspend(() => next() ? die : Effect.void)
  return {
    point,
    next,
    die,
    points: () => points,
    last: () => last
  }
}

/** a file system that may die before and after everything that changes it, and in the middle of writing */
const dying = (fs: FileSystem.FileSystem, { die, next, point }: ReturnType<typeof deaths>): FileSystem.FileSystem => {
  const around = <A, E, R>(effect: Effect.Effect<A, E, R>) => point.pipe(Effect.zipRight(effect), Effect.zipLeft(point))
  const file = (file: FileSystem.File): FileSystem.File => ({
    [FileSystem.FileTypeId]: FileSystem.FileTypeId,
    fd: file.fd,
    stat: file.stat,
    seek: (offset, from) => file.seek(offset, from),
    sync: around(file.sync),
    read: (buffer) => file.read(buffer),
    readAlloc: (size) => file.readAlloc(size),
    truncate: (length) => file.truncate(length),
    write: (buffer) => file.write(buffer),
    writeAll: (buffer) =>
      Effect.suspend(() =>
        next() ? Effect.zipRight(file.writeAll(buffer.subarray(0, buffer.length >> 1)), die) : Effect.zipLeft(file.writeAll(buffer), point)
      )
  })
  return {
    ...fs,
    open: (path, options) => Effect.map(around(fs.open(path, options)), file),
    rename: (from, to) => around(fs.rename(from, to)),
    remove: (path, options) => around(fs.remove(path, options)),
    makeDirectory: (path, options) => around(fs.makeDirectory(path, options))
  }
}

const ascending = (lines: ReadonlyArray<number>) => [...lines].sort((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

/**
 * Runs a job of one source and this sink as the runtime does: the checkpoint holds how much of the source was read and what was prepared
 * but not committed. An attempt that dies is followed by one that restores.
 */
const simulate = (directory: string, steps: ReadonlyArray<Step>, crashes: ReadonlyArray<Death>) =>
  Effect.gen(function*() {
    const real = yield* FileSystem.FileSystem
    const death = deaths(crashes)
    const { point } = death
    const sink = transactional<number>(directory, { flushBytes: 4 })
    let durable: { readonly step: number; readonly record: number; readonly pending: ReadonlyArray<any> } = {
      step: 0,
      record: 0,
      pending: []
    }

    const attempt = (number: number, scope: Scope.Scope) =>
      Effect.gen(function*() {
        let { record, step } = durable
        let pending: Array<any> = [...durable.pending]
        let persisting: Array<Effect.Effect<void, FileError>> = []
        yield* sink.recover(stored(pending), context(number))
        const writer: TransactionWriter<number, any, FileError> = yield* Scope.extend(sink.open(context(number)), scope)
        const commit = Effect.gen(function*() {
          const all = pending
          pending = []
          for (const committable of stored(all)) {
            yield* writer.commit(committable)
            yield* writer.commit(committable)
          }
          assert.deepStrictEqual(ascending((yield* look(directory)).lines), upTo(durable.record))
        })
        const prepare = (id: number) => {
          const { committables, persist } = writer.prepare(id)
          pending = [...pending, ...committables]
          persisting = [...persisting, persist]
        }
        const checkpoint = (id: number) =>
          Effect.gen(function*() {
            prepare(id)
            yield* point
            for (const persist of persisting) yield* persist
            persisting = []
            yield* point
            durable = { step: id, record, pending: stored(pending) }
            yield* point
            yield* commit
            yield* point
          })
        yield* commit
        for (; step < steps.length; step++) {
          switch (steps[step]!) {
            case "record": {
              const effect = writer.write(record++, undefined)
              if (effect !== undefined) yield* effect
              break
            }
            case "checkpoint":
              yield* checkpoint(step + 1)
              break
            case "abort":
              prepare(step)
              break
            case "abortPersisted":
              prepare(step)
              yield* persisting.at(-1)!
              break
          }
          yield* point
        }
        yield* checkpoint(steps.length)
      }).pipe(Effect.provideService(FileSystem.FileSystem, dying(real, death)))

    for (let number = 0;; number++) {
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(attempt(number, scope))
      if (Exit.isSuccess(exit)) {
        yield* Scope.close(scope, exit)
        return { points: death.points(), records: durable.record, attempts: number + 1 }
      }
      if (!Cause.isDieType(exit.cause) || !(exit.cause.defect instanceof Crash)) return yield* Effect.failCause(exit.cause)
      // L9: what is visible is the effect of a prefix of completed checkpoints
      const { lines } = yield* look(directory)
      assert.deepStrictEqual(ascending(lines), upTo(lines.length))
      assert.isAtMost(lines.length, durable.record)
      // a killed process closes nothing
      if (death.last() === "close") yield* Effect.exit(Scope.close(scope, exit))
    }
  })

const check = (steps: ReadonlyArray<Step>, crashes: ReadonlyArray<Death>) =>
  Effect.scoped(Effect.gen(function*() {
    const { directory } = yield* temporary
    const result = yield* simulate(directory, steps, crashes)
    const { hidden, lines } = yield* look(directory)
    assert.strictEqual(result.records, steps.filter((step) => step === "record").length)
    assert.deepStrictEqual(ascending(lines), upTo(result.records))
    assert.deepStrictEqual(hidden, [])
    return result
  }))

describe("JsonLines.sink", () => {
  it.effect("J3, L9: a crash at any point, and again at any later one, leaves what a run without crash leaves", () =>
    Effect.gen(function*() {
      const steps: ReadonlyArray<Step> = [
        "record",
        "record",
        "record",
        "checkpoint",
        "record",
        "abort",
        "record",
        "abortPersisted",
        "checkpoint",
        "checkpoint",
        "record"
      ]
      const { points } = yield* check(steps, [])
      assert.isAbove(points, 60)
      for (let at = 0; at < points; at++) {
        assert.strictEqual((yield* check(steps, [{ at, kind: "close" }])).attempts, 2)
        yield* check(steps, [{ at, kind: "kill" }, { at: at + 1 + at % 7, kind: "close" }])
      }
    }).pipe(Effect.provide(NodeContext.layer)))

  it("J3: also for any order of records, checkpoints and crashes", () =>
    holds(
      fc.tuple(
        fc.array(fc.constantFrom("record", "record", "checkpoint", "abort", "abortPersisted") as fc.Arbitrary<Step>, { maxLength: 15 }),
        fc.array(fc.record({ at: fc.integer({ min: 0, max: 150 }), kind: fc.constantFrom<"kill" | "close">("kill", "close") }), {
          maxLength: 4
        })
      ),
      ([steps, crashes]) => Effect.asVoid(check(steps, crashes)),
      150
    ))

  it.scoped("hides a part until it is committed, under names that say what it is; an empty transaction is none", () =>
    Effect.gen(function*() {
      const { directory, fs, path } = yield* temporary
      const nested = path.join(directory, "a/b")
      const writer = yield* transactional<unknown>(nested, { prefix: "out", flushBytes: 1 }).open(context(7, 3))
      assert.deepStrictEqual(writer.prepare(1).committables, [])
      yield* writer.write({ a: 1, b: undefined, c: NaN }, undefined) as Effect.Effect<void, FileError>
      assert.deepStrictEqual(yield* fs.readDirectory(nested), [".out-3-0-run-7.jsonl.inprogress"])
      const { committables: [first], persist } = writer.prepare(2)
      yield* persist
      yield* persist
      assert.deepStrictEqual(first, {
        temporary: path.join(nested, ".out-3-0-run-7.jsonl.inprogress"),
        final: path.join(nested, "out-3-0-run-7.jsonl")
      })
      yield* writer.commit(first)
      yield* writer.commit(first)
      assert.deepStrictEqual(yield* fs.readDirectory(nested), ["out-3-0-run-7.jsonl"])
      assert.strictEqual(yield* fs.readFileString(first.final), "{\"a\":1,\"c\":null}\n")
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("W2: persist that failed in the middle of writing can be run again", () =>
    Effect.gen(function*() {
      const { directory, fs } = yield* temporary
      let broken = true
      const disk = new SystemError({
        reason: "Unknown",
        module: "FileSystem",
        method: "writeAll",
        description: "ENOSPC: no space left, write"
      })
      const failing: FileSystem.FileSystem = {
        ...fs,
        open: (path, options) =>
          Effect.map(fs.open(path, options), (file) =>
            new Proxy(file, {
              get: (file, key: keyof FileSystem.File) => {
                if (key !== "writeAll") return typeof file[key] === "function" ? (file[key] as any).bind(file) : file[key]
                return (buffer: Uint8Array) =>
                  broken ? Effect.zipRight(file.writeAll(buffer.subarray(0, 3)), Effect.fail(disk)) : file.writeAll(buffer)
              }
            }))
      }
      const writer = yield* transactional<string>(directory).open(context(0)).pipe(Effect.provideService(FileSystem.FileSystem, failing))
      writer.write("one", undefined)
      const { committables: [part], persist } = writer.prepare(1)
      assert.strictEqual((yield* Effect.flip(persist)).message, `write ${part.temporary}: no space left`)
      broken = false
      yield* persist
      yield* writer.commit(part)
      assert.strictEqual(yield* fs.readFileString(part.final), "\"one\"\n")
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("W3: closing removes the part in hand, and leaves the prepared ones to the checkpoint", () =>
    Effect.gen(function*() {
      const { directory, fs } = yield* temporary
      const scope = yield* Scope.make()
      const writer = yield* Scope.extend(transactional<number>(directory, { flushBytes: 1 }).open(context(0)), scope)
      yield* writer.write(1, undefined)!
      yield* writer.prepare(1).persist
      yield* writer.write(2, undefined)!
      assert.strictEqual((yield* fs.readDirectory(directory)).length, 2)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* fs.readDirectory(directory), [".part-0-0-run-0.jsonl.inprogress"])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("W2, W3: persist may run twice at once, and after the writer has closed it fails without touching a file", () =>
    Effect.gen(function*() {
      const { directory, fs } = yield* temporary
      const scope = yield* Scope.make()
      const writer = yield* Scope.extend(transactional<number>(directory, { flushBytes: 1 }).open(context(0)), scope)
      yield* writer.write(1, undefined)!
      const first = writer.prepare(1)
      yield* Effect.all([first.persist, first.persist, first.persist], { concurrency: "unbounded" })
      yield* writer.write(2, undefined)!
      const second = writer.prepare(2)
      writer.write(3, undefined)
      const third = writer.prepare(3)
      yield* Scope.close(scope, Exit.void)
      yield* first.persist
      for (const { committables: [part], persist } of [second, third]) {
        assert.deepStrictEqual(
          yield* Effect.exit(persist),
          Exit.fail(new FileError({ operation: "write", file: part.temporary, reason: "the task has ended" }))
        )
      }
      assert.deepStrictEqual((yield* fs.readDirectory(directory)).sort(), [0, 1].map((n) => `.part-0-${n}-run-0.jsonl.inprogress`))
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("W4: recover removes nothing but this sink's hidden parts that the checkpoint does not name", () =>
    Effect.gen(function*() {
      const { directory, fs, path, write } = yield* temporary
      const kept = [
        ".other-0-0-x.jsonl.inprogress",
        ".part-0-1-x.csv.inprogress",
        ".part-0-1-x.jsonl",
        ".part-0-2-x.jsonl.inprogress",
        ".part-a-0-1-x.jsonl.inprogress",
        "part-0-0-x.jsonl"
      ]
      for (const name of [...kept, ".part-0-1-x.jsonl.inprogress", ".part-11-1-%2F.jsonl.inprogress"]) yield* write(name, "")
      const sink = transactional(directory)
      const name = ".part-0-2-x.jsonl.inprogress"
      yield* sink.recover([{ temporary: path.join(directory, name), final: path.join(directory, name.slice(1)) }], context(0))
      assert.deepStrictEqual((yield* fs.readDirectory(directory)).sort(), kept)
      yield* transactional(path.join(directory, "not/there")).recover([], context(0))
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("says that committed data was removed", () =>
    Effect.gen(function*() {
      const { directory, fs, path } = yield* temporary
      const writer = yield* transactional<number>(directory).open(context(0))
      writer.write(1, undefined)
      const { committables: [part], persist } = writer.prepare(1)
      yield* persist
      yield* fs.remove(part.temporary)
      assert.deepStrictEqual(
        yield* Effect.exit(writer.commit(part)),
        Exit.fail(
          new FileError({
            operation: "commit",
            file: path.join(directory, "part-0-0-run-0.jsonl"),
            reason: `neither it nor ${part.temporary} is there: data of a completed checkpoint was removed; put it back, ` +
              "or start anew with restore: \"none\""
          })
        )
      )
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("fails before the first record where it cannot write", () =>
    Effect.gen(function*() {
      const { path, write } = yield* temporary
      const file = yield* write("file", "")
      for (const directory of [file, path.join(file, "below"), path.join(file, "far/below")]) {
        assert.deepStrictEqual(
          yield* Effect.exit(transactional(directory).open(context(0))),
          Exit.fail(
            new FileError({
              operation: "create",
              file: directory,
              reason: "it, or a directory above it, is a file: give the sink another directory"
            })
          )
        )
      }
      for (const prefix of ["", ".part", "_part", "a/b"]) {
        const error = yield* Effect.flip(transactional(path.dirname(file), { prefix }).open(context(0)))
        assert.match(error.message, /the prefix must not be empty, begin with "\." or "_", or hold a separator$/)
      }
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("says which record JSON or the schema cannot hold", () =>
    Effect.gen(function*() {
      const { directory, path } = yield* temporary
      const writer = yield* transactional<unknown>(directory).open(context(0))
      writer.write(1, undefined)
      const cyclic: Array<unknown> = []
      cyclic.push(cyclic)
      for (
        const [value, reason] of [
          [undefined, /^JSON has no undefined$/],
          [() => 1, /^JSON has no function$/],
          [1n, /BigInt/],
          [cyclic, /^Converting circular structure to JSON [^\n]*$/]
        ] as const
      ) {
        const error = yield* Effect.flip(writer.write(value, undefined) as Effect.Effect<void, FileError>)
        assert.strictEqual(error.file, path.join(directory, "part-0-0-run-0.jsonl"))
        const prefix = "record 2 cannot be written: "
        assert.isTrue(error.reason.startsWith(prefix))
        assert.match(error.reason.slice(prefix.length), reason)
      }
      const schema = Schema.Struct({ at: Schema.Date })
      const dates = transactional<{ readonly at: Date }>(directory, { schema, prefix: "dates" })
      const encoded = yield* dates.open(context(0))
      assert.isUndefined(encoded.write({ at: new Date(0) }, undefined))
      const error = yield* Effect.flip(encoded.write({ at: "x" as never }, undefined) as Effect.Effect<void, FileError>)
      assert.strictEqual(error.reason, "record 2 cannot be written: [\"at\"]: Expected DateFromSelf, actual \"x\"")
    }).pipe(Effect.provide(NodeContext.layer)))
})
