import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FastCheck as fc } from "effect"
import * as TextLines from "../../src/connectors/TextLines.js"
import * as OutputTag from "../../src/OutputTag.js"
import { FileError, MalformedRecord } from "../../src/StreamError.js"
import { holds, readAll, readFrom, reading, temporary } from "./driver.js"

const linesOf = (text: string): Array<string> => {
  const lines = text.replace(/^\ufeff/, "").split("\n").map((line, i, all) => i < all.length - 1 ? line.replace(/\r$/, "") : line)
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines
}

const piece = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("\n", "\r\n", "\r", "a", "é", "€", "𝄞", "\ufeff", "\ufffd", "") },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 6 }) }
)
const text = fc.array(piece, { maxLength: 25 }).map((pieces) => pieces.join(""))

describe("TextLines", () => {
  it("X1: reading on after any batch gives what reading through gives, and what split gives", () =>
    holds(fc.tuple(text, reading), ([content, { chunkBytes, max, restartEvery }]) =>
      Effect.gen(function*() {
        const { write } = yield* temporary
        const file = yield* write("a.txt", content)
        const source = TextLines.source(file, { chunkBytes })
        const read = yield* readAll(source, { max, restartEvery })
        assert.deepStrictEqual(read.values, linesOf(content))
      }), 400))

  it.scoped("reads the files of a directory by name, without hidden ones", () =>
    Effect.gen(function*() {
      const { directory, path, write } = yield* temporary
      for (const name of ["b.txt", "a/z.txt", "a/10.txt", "a/9.txt", ".hidden", "_SUCCESS", ".git/x", "a/_tmp/y", "c"]) {
        yield* write(name, name)
      }
      const expected = ["a/10.txt", "a/9.txt", "a/z.txt", "b.txt", "c"]
      assert.deepStrictEqual((yield* readAll(TextLines.source(directory + path.sep))).values, expected)
      assert.deepStrictEqual((yield* readAll(TextLines.source(directory, { directory: true }))).values, expected)
      const both = TextLines.source([path.join(directory, "c"), path.join(directory, "a/")])
      assert.deepStrictEqual((yield* readAll(both)).values, ["c", "a/10.txt", "a/9.txt", "a/z.txt"])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("names a missing file, and says what to do about a directory", () =>
    Effect.gen(function*() {
      const { directory, path, write } = yield* temporary
      const missing = path.join(directory, "no.txt")
      assert.deepStrictEqual(
        yield* Effect.exit(readAll(TextLines.source(missing))),
        Exit.fail(new FileError({ operation: "open", file: missing, reason: "there is no such file or directory" }))
      )
      const error = yield* Effect.flip(readAll(TextLines.source(directory)))
      assert.strictEqual(
        error.message,
        `open ${directory}: is a directory: write "${directory}/" or set directory: true to read all files in it`
      )
      const file = yield* write("plain.txt", "")
      assert.strictEqual((yield* Effect.flip(readAll(TextLines.source(`${file}/`)))).message, `open ${file}/: not a directory`)
      assert.deepStrictEqual((yield* readAll(TextLines.source([]))).values, [])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a line that is too long is malformed with its number, and the lines around it are read", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const file = yield* write("long.txt", `ab\n${"x".repeat(100)}\r\ncd\n${"y".repeat(11)}`)
      const tag = OutputTag.make<MalformedRecord>("malformed")
      const reason = (length: number) => `the line is ${length} bytes long, more than the 10 that maxLineBytes allows`
      for (const chunkBytes of [1, 7, 64, 1024]) {
        const read = yield* readAll(TextLines.source(file, { maxLineBytes: 10, chunkBytes, onMalformed: tag }), { max: 1, restartEvery: 1 })
        assert.deepStrictEqual(read.values, ["ab", "cd"])
        assert.deepStrictEqual(read.side, [
          new MalformedRecord({ file, unit: "line", position: 2, reason: reason(101) }),
          new MalformedRecord({ file, unit: "line", position: 4, reason: reason(11) })
        ])
        assert.strictEqual(
          (yield* Effect.flip(readAll(TextLines.source(file, { maxLineBytes: 10, chunkBytes })))).message,
          `${file}, line 2: ${reason(101)}`
        )
      }
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("X2: records before a malformed one are handed out before fetch fails, and it fails again", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const file = yield* write("a.txt", Uint8Array.from([97, 10, 98, 10, 0xc3, 10, 99, 10]))
      const source = TextLines.source(file, { timestamp: (line) => line.charCodeAt(0) })
      const reader = yield* source.read((yield* source.splits)[0], undefined)
      assert.isUndefined(reader.poll(10))
      assert.isTrue(yield* reader.fetch)
      assert.deepStrictEqual(reader.poll(10), { values: ["a", "b"], timestamps: [97, 98], position: { offset: 4, line: 2 } })
      const expected = Exit.fail(
        new MalformedRecord({ file, unit: "line", position: 3, reason: "is not UTF-8: convert the file, or set encoding: \"latin1\"" })
      )
      for (let i = 0; i < 2; i++) {
        assert.deepStrictEqual(yield* Effect.exit(reader.fetch), expected)
        assert.isUndefined(reader.poll(10))
      }
      assert.deepStrictEqual((yield* readAll(TextLines.source(file, { encoding: "latin1" }))).values, ["a", "b", "Ã", "c"])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a timestamp that is no number makes the line malformed", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const file = yield* write("a.txt", "1\nx\n")
      const error = yield* Effect.flip(readAll(TextLines.source(file, { timestamp: Number })))
      assert.strictEqual(error.message, `${file}, line 2: its timestamp is NaN, not a number of milliseconds`)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("reads from a position with the line numbers of the file, and refuses a file that has shrunk", () =>
    Effect.gen(function*() {
      const { fs, write } = yield* temporary
      const file = yield* write("a.txt", "one\ntwo\nthree\n")
      const source = TextLines.source(file)
      assert.deepStrictEqual(yield* readFrom(source, { offset: 4, line: 1 }), ["two", "three"])
      assert.deepStrictEqual(yield* readFrom(source, { offset: 14, line: 3 }), [])
      const error = yield* Effect.flip(readFrom(TextLines.source(file, { maxLineBytes: 4 }), { offset: 4, line: 1 }))
      assert.strictEqual(error.message, `${file}, line 3: the line is 5 bytes long, more than the 4 that maxLineBytes allows`)
      yield* fs.truncate(file, 3)
      const shrunk = yield* Effect.flip(readFrom(source, { offset: 4, line: 1 }))
      assert.match(shrunk.message, /^read .*a\.txt: is 3 bytes long, but was read up to byte 4 when the checkpoint was taken/)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("reads many lines in several fetches", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const lines = Array.from({ length: 10_000 }, (_, i) => `line ${i} ${"é".repeat(i % 50)}`)
      const file = yield* write("a.txt", lines.join("\r\n"))
      assert.deepStrictEqual((yield* readAll(TextLines.source(file))).values, lines)
      assert.deepStrictEqual((yield* readAll(TextLines.source(file), { max: 700, restartEvery: 3 })).values, lines)
    }).pipe(Effect.provide(NodeContext.layer)))
})
