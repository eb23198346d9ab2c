import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { parse } from "csv-parse/sync"
import { Effect, FastCheck as fc, Schema } from "effect"
import * as Csv from "../../src/connectors/Csv.js"
import * as OutputTag from "../../src/OutputTag.js"
import { MalformedRecord } from "../../src/StreamError.js"
import { holds, readAll, readFrom, reading, temporary } from "./driver.js"

const malformed = OutputTag.make<MalformedRecord>("malformed")
const ends = fc.constantFrom("\n", "\r\n", "\r")

const field = fc.array(fc.constantFrom("a", "b", "1", " ", ",", ";", "\"", "\n", "\r\n", "\r", "é", "€", "𝄞", "\ufffd"), { maxLength: 6 })
  .map((pieces) => pieces.join(""))
const quoted = (text: string) => `"${text.replaceAll("\"", "\"\"")}"`
const written = fc.tuple(field, fc.boolean()).map(([text, always]) => always || /[",\r\n]/.test(text) ? quoted(text) : text)

/** rows with the same number of fields, mostly, and their line ends */
const rows = (width: number) =>
  fc.array(
    fc.tuple(
      fc.oneof(
        { weight: 8, arbitrary: fc.array(written, { minLength: width, maxLength: width }) },
        { weight: 1, arbitrary: fc.array(written, { maxLength: width + 2 }) }
      ),
      ends
    ),
    { maxLength: 10 }
  )

const table = fc.integer({ min: 1, max: 3 }).chain((width) => fc.record({ width: fc.constant(width), content: rows(width) }))

const lineCount = (text: string): number => text.match(/\r\n|\n|\r/g)?.length ?? 0

/** where each row begins, and what csv-parse makes of the whole */
const oracle = (content: string) =>
  parse(content, { relax_column_count: true, skip_empty_lines: true, record_delimiter: ["\r\n", "\n", "\r"], raw: true, info: true })
    .map((row) => row as unknown as { readonly record: Array<string>; readonly info: { readonly bytes: number } })

describe("Csv", () => {
  it("R1: reading on after any batch gives what reading through gives, and what csv-parse gives of the whole", () =>
    holds(
      fc.tuple(table, fc.boolean(), reading),
      ([{ content, width }, ended, { chunkBytes, max, restartEvery }]) =>
        Effect.gen(function*() {
          const { write } = yield* temporary
          const text = content.map(([fields, end], i) => fields.join(",") + (ended || i < content.length - 1 ? end : "")).join("")
          const file = yield* write("a.csv", text)
          const columns = ["a", "b", "c"].slice(0, width)
          const source = Csv.source(file, { header: columns, chunkBytes, onMalformed: malformed })
          const read = yield* readAll(source, { max, restartEvery })
          const expected = oracle(text)
          const bytes = new TextEncoder().encode(text)
          let before = 0
          const lines = expected.map(({ info }) => {
            const skipped = /^[\r\n]*/.exec(new TextDecoder().decode(bytes.subarray(before)))![0]
            const line = lineCount(new TextDecoder().decode(bytes.subarray(0, before)) + skipped) + 1
            before = info.bytes
            return line
          })
          assert.deepStrictEqual(
            read.values,
            expected.filter(({ record }) => record.length === width).map(({ record }) =>
              Object.fromEntries(record.map((v, i) => [columns[i]!, v]))
            )
          )
          assert.deepStrictEqual(
            read.side,
            expected.flatMap(({ record }, i) =>
              record.length === width ? [] : [
                new MalformedRecord({ file, unit: "line", position: lines[i]!, reason: `expected ${width} fields, found ${record.length}` })
              ]
            )
          )
        }),
      500
    ))

  it("R1, R2: also where quotes are broken anywhere", () =>
    holds(
      fc.tuple(fc.array(fc.constantFrom("a", "é", ",", "\"", "\n", "\r\n", "\"\"", "\",\"", "\"\n\""), { maxLength: 25 }), reading),
      ([pieces, { chunkBytes, max, restartEvery }]) =>
        Effect.gen(function*() {
          const { write } = yield* temporary
          const text = pieces.join("")
          const file = yield* write("a.csv", text)
          const options = { header: ["a", "b"], onMalformed: malformed }
          const through = yield* readAll(Csv.source(file, options))
          const stopped = yield* readAll(Csv.source(file, { ...options, chunkBytes }), { max, restartEvery })
          assert.deepStrictEqual(stopped.values, through.values)
          assert.deepStrictEqual(stopped.side, through.side)
          const lines = through.side.map((error) => (error as MalformedRecord).position)
          assert.deepStrictEqual(lines, [...lines].sort((a, b) => a - b))
          // nothing is dropped: what is not blank is in a row or reported
          if (/[^\r\n]/.test(text)) assert.isAbove(through.values.length + through.side.length, 0)
        }),
      500
    ))

  it.scoped("takes the columns from the header of each file, and keeps them in the position", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const one = yield* write("1.csv", "\ufeff\"a\",b,\r\n1,\"x\ny\",\r\n\r\n2,,z\r\n")
      const two = yield* write("2.csv", "b,a\nq,3")
      const none = yield* write("3.csv", "")
      const only = yield* write("4.csv", "a,b")
      const source = Csv.source([one, two, none, only], { chunkBytes: 4 })
      for (const restartEvery of [1, Infinity]) {
        const read = yield* readAll(source, { max: 1, restartEvery })
        assert.deepStrictEqual(read.values, [{ a: "1", b: "x\ny" }, { a: "2", b: "" }, { b: "q", a: "3" }])
      }
      assert.deepStrictEqual((yield* readAll(Csv.source(one), { max: 1 })).positions, [
        { offset: 21, line: 3, columns: ["a", "b", ""] },
        { offset: 29, line: 5, columns: ["a", "b", ""] }
      ])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("decodes rows by the schema, and names line and column of what does not fit", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const City = Schema.Struct({ city: Schema.String, people: Schema.NumberFromString })
      const file = yield* write("a.csv", "city;people;x\nA;1;\n\"B\r\nB\";many;\nC;3\nD;4;\n")
      const options = { schema: City, delimiter: ";", timestamp: (city: typeof City.Type) => city.people }
      const read = yield* readAll(Csv.source(file, { ...options, onMalformed: malformed }))
      assert.deepStrictEqual(read.values, [{ city: "A", people: 1 }, { city: "D", people: 4 }])
      assert.deepStrictEqual(read.timestamps, [1, 4])
      const [first, second] = read.side as Array<MalformedRecord>
      assert.strictEqual(first!.message, `${file}, line 3: ["people"]: Unable to decode "many" into a number`)
      assert.strictEqual(second!.message, `${file}, line 5: expected 3 fields, found 2`)
      assert.strictEqual((yield* Effect.flip(readAll(Csv.source(file, options)))).message, first!.message)
      const resumed = Csv.source(file, { ...options, chunkBytes: 5 })
      assert.strictEqual(
        (yield* Effect.flip(readFrom(resumed, { offset: 19, line: 2, columns: ["city", "people", "x"] }))).message,
        first!.message
      )
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("R2: goes on with the next line after a record that has no end", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const file = yield* write("a.csv", "a,b\n1,x\n\"2,y\n3,\"z\"\n4,u\"v\n\"5\"5,w\n6,t\n")
      for (const chunkBytes of [1, 3, 1000]) {
        const read = yield* readAll(Csv.source(file, { onMalformed: malformed, chunkBytes }))
        assert.deepStrictEqual(read.values, [{ a: "1", b: "x" }, { a: "3", b: "z" }, { a: "6", b: "t" }])
        assert.deepStrictEqual(read.side.map((error) => (error as MalformedRecord).message), [
          `${file}, line 3: Invalid Closing Quote: got "z" instead of delimiter, record delimiter, trimable character (if activated) or comment`,
          `${file}, line 5: Invalid Opening Quote: a quote is found on field 1, value is "u"`,
          `${file}, line 6: Invalid Closing Quote: got "5" instead of delimiter, record delimiter, trimable character (if activated) or comment`
        ])
      }
      const open = yield* write("b.csv", "a\n1\n\"2\n3\n")
      assert.strictEqual((yield* Effect.flip(readAll(Csv.source(open)))).message, `${open}, line 3: a quote is not closed`)
      const long = yield* write("c.csv", `a\n1\n"${"x\n".repeat(50)}`)
      assert.strictEqual(
        (yield* Effect.flip(readAll(Csv.source(long, { maxRecordBytes: 20, chunkBytes: 8 })))).message,
        `${long}, line 3: the record is longer than the 20 bytes that maxRecordBytes allows; is a quote not closed?`
      )
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("names a column that the schema needs and the header lacks, and one that is there twice", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const schema = Schema.Struct({ a: Schema.String, delay: Schema.String, maybe: Schema.optional(Schema.String) })
      const file = yield* write("a.csv", "\na,dalay\n1,2\n")
      assert.deepStrictEqual(
        yield* Effect.flip(readAll(Csv.source(file, { schema, onMalformed: malformed }))),
        new MalformedRecord({ file, unit: "line", position: 2, reason: "there is no column \"delay\"; there are: \"a\", \"dalay\"" })
      )
      const twice = yield* write("b.csv", "a,a\n")
      assert.strictEqual((yield* Effect.flip(readAll(Csv.source(twice)))).message, `${twice}, line 1: there are two columns "a"`)
      assert.deepStrictEqual((yield* readAll(Csv.source(file, { schema, header: ["a", "delay"] }))).values, [
        { a: "a", delay: "dalay" },
        { a: "1", delay: "2" }
      ])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("bytes that are no UTF-8 are malformed, and latin1 reads them", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const file = yield* write("a.csv", Buffer.from("a\nx\n\"\xe9\n\"\ny\n", "latin1"))
      const read = yield* readAll(Csv.source(file, { onMalformed: malformed }))
      assert.deepStrictEqual(read.values, [{ a: "x" }, { a: "y" }])
      assert.strictEqual(
        (read.side[0] as MalformedRecord).message,
        `${file}, line 3: is not UTF-8: convert the file, or set encoding: "latin1"`
      )
      assert.deepStrictEqual((yield* readAll(Csv.source(file, { encoding: "latin1" }))).values, [{ a: "x" }, { a: "é\n" }, { a: "y" }])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("reads other quotes and escapes, or none", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const file = yield* write("a.csv", "a\tb\n'x''y'\t\"z\n")
      assert.deepStrictEqual((yield* readAll(Csv.source(file, { delimiter: "\t", quote: "'" }))).values, [{ a: "x'y", b: "\"z" }])
      assert.deepStrictEqual((yield* readAll(Csv.source(file, { delimiter: "\t", quote: null }))).values, [{ a: "'x''y'", b: "\"z" }])
      const escaped = yield* write("b.csv", "a\n\"x\\\"y\"\n")
      assert.deepStrictEqual((yield* readAll(Csv.source(escaped, { escape: "\\" }))).values, [{ a: "x\"y" }])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("reads a file of many chunks", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const expected = Array.from({ length: 20_000 }, (_, i) => ({ id: String(i), text: `é"\n,${"x".repeat(i % 30)}` }))
      const file = yield* write("a.csv", "id,text\n" + expected.map(({ id, text }) => `${id},${quoted(text)}\n`).join(""))
      assert.deepStrictEqual((yield* readAll(Csv.source(file))).values, expected)
      assert.deepStrictEqual((yield* readAll(Csv.source(file), { max: 1000, restartEvery: 2 })).values, expected)
    }).pipe(Effect.provide(NodeContext.layer)))
})
