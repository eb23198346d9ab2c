import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Schema } from "effect"
import * as JsonLines from "../../src/connectors/JsonLines.js"
import * as OutputTag from "../../src/OutputTag.js"
import { MalformedRecord } from "../../src/StreamError.js"
import { holds, readAll, readFrom, reading, temporary } from "./driver.js"

const Flight = Schema.Struct({ origin: Schema.String, delay: Schema.Number })
const malformed = OutputTag.make<MalformedRecord>("malformed")

interface Line {
  readonly text: string
  readonly place: "value" | "malformed" | "blank"
}

const line: fc.Arbitrary<Line> = fc.oneof(
  { weight: 5, arbitrary: fc.jsonValue().map((value): Line => ({ text: JSON.stringify(value), place: "value" })) },
  { weight: 1, arbitrary: fc.constantFrom("", " ", "\t ").map((text): Line => ({ text, place: "blank" })) },
  { weight: 1, arbitrary: fc.constantFrom("{", "{\"a\":}", "x é", "1 2").map((text): Line => ({ text, place: "malformed" })) }
)
const file = fc.record({
  lines: fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 15 }),
  bom: fc.boolean(),
  ended: fc.boolean()
})

describe("JsonLines.source", () => {
  it("J1: reading on after any batch gives what reading through gives, and what JSON.parse gives", () =>
    holds(fc.tuple(file, reading), ([{ bom, ended, lines }, { chunkBytes, max, restartEvery }]) =>
      Effect.gen(function*() {
        const { write } = yield* temporary
        const content = (bom ? "\ufeff" : "") +
          lines.map(([{ text }, end], i) => text + (ended || i < lines.length - 1 ? end : "")).join("")
        const path = yield* write("a.jsonl", content)
        const read = yield* readAll(JsonLines.source(path, { chunkBytes, onMalformed: malformed }), { max, restartEvery })
        assert.deepStrictEqual(
          read.values,
          lines.filter(([{ place }]) => place === "value").map(([{ text }]) => JSON.parse(text))
        )
        assert.deepStrictEqual(
          read.side.map((error) => (error as MalformedRecord).position),
          lines.flatMap(([{ place }], i) => place === "malformed" ? [i + 1] : [])
        )
      }), 300))

  it.scoped("J2: names file, line and reason of a line that is no JSON", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const path = yield* write("a.jsonl", "{\"a\":1}\n\n{\"a\":\n{\"a\":2}\n")
      const error = yield* Effect.flip(readAll(JsonLines.source(path)))
      assert.instanceOf(error, MalformedRecord)
      assert.match(error.message, /a\.jsonl, line 3: is not JSON: \S/)
      assert.isFalse(error.message.includes("\n"))
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("J2: names the path to the field that does not fit the schema, with the file's line also after a restore", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const first = "{\"origin\":\"LAS\",\"delay\":1}\n"
      const path = yield* write("a.jsonl", `${first}{"origin":"ATL","delay":"x"}\n{"origin":"ATL"}\n[]\n{"origin":{},"delay":1}\n`)
      const source = JsonLines.source(path, { schema: Flight })
      const expected = new MalformedRecord({ file: path, unit: "line", position: 2, reason: "[\"delay\"]: Expected number, actual \"x\"" })
      assert.deepStrictEqual(yield* Effect.flip(readAll(source)), expected)
      assert.deepStrictEqual(yield* Effect.flip(readFrom(source, { offset: first.length, line: 1 })), expected)
      const read = yield* readAll(JsonLines.source(path, { schema: Flight, onMalformed: malformed, timestamp: (flight) => flight.delay }))
      assert.deepStrictEqual(read.values, [{ origin: "LAS", delay: 1 }])
      assert.deepStrictEqual(read.timestamps, [1])
      assert.deepStrictEqual(read.side.map((error) => (error as MalformedRecord).reason), [
        "[\"delay\"]: Expected number, actual \"x\"",
        "[\"delay\"]: is missing",
        "Expected { readonly origin: string; readonly delay: number }, actual []",
        "[\"origin\"]: Expected string, actual {}"
      ])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("decodes by a schema that transforms, and says on one line what it refuses", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const schema = Schema.Struct({
        at: Schema.Date,
        tags: Schema.Array(Schema.NonEmptyString.annotations({ message: () => "no\n\n  tag" }))
      })
      const path = yield* write(
        "a.jsonl",
        "{\"at\":\"2001-01-01T00:00:00.000Z\",\"tags\":[\"a\"]}\n{\"at\":\"2001-01-01T00:00:00.000Z\",\"tags\":[\"a\",\"\"]}"
      )
      const read = yield* readAll(JsonLines.source(path, { schema, timestamp: ({ at }) => at.getTime(), onMalformed: malformed }))
      assert.deepStrictEqual(read.values, [{ at: new Date(978307200000), tags: ["a"] }])
      assert.deepStrictEqual(read.timestamps, [978307200000])
      assert.deepStrictEqual(read.side, [
        new MalformedRecord({ file: path, unit: "line", position: 2, reason: "[\"tags\"][1]: no tag" })
      ])
    }).pipe(Effect.provide(NodeContext.layer)))
})
