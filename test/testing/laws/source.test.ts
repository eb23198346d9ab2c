import { NodeContext } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { StreamError } from "sluice"
import { OutputTag } from "sluice"
import * as Csv from "sluice/connectors/Csv"
import * as JsonLines from "sluice/connectors/JsonLines"
import * as Parquet from "sluice/connectors/Parquet"
import * as TextLines from "sluice/connectors/TextLines"
import { Laws } from "sluice/testing"
import { afterAll } from "vitest"
import { temporary } from "../../connectors/driver.js"
import { parquet } from "../../connectors/parquetWriter.js"
import { caught, printTable } from "./caught.js"
import * as mutants from "./mutants.js"

afterAll(printTable)

const malformed = OutputTag.make<StreamError.MalformedRecord>("malformed")

describe("Laws.source finds", () => {
  for (
    const [bug, ...laws] of [
      ["repeats a record after a restore", "S1"],
      ["skips a record after a restore", "S1"],
      ["gives the position of the batch before", "S1"],
      ["gives a position that cannot be stored", "S1"],
      ["gives more than was asked for", "S3"],
      ["says that there is more for ever", "S2"],
      ["drops what the last fetch brought", "S2"],
      ["shuffles its splits", "X0"],
      ["does not close its readers", "L2"]
    ] as const
  ) {
    it.effect(`a source that ${bug}`, () =>
      caught(bug, laws, (options) => {
        const { resources, source } = mutants.counted(bug)
        return Laws.source(source, { ...options, resources })
      }))
  }
  for (const bug of ["never ends a fetch", "cannot be interrupted in a fetch"] as const) {
    it.effect(`a source that ${bug}`, () =>
      caught(bug, ["S2"], (options) => Laws.source(mutants.counted(bug).source, { ...options, deadline: 100 }), [1]))
  }
})

describe("Laws.source lets pass", () => {
  it.effect("a source without a bug", () => {
    const { resources, source } = mutants.counted("none")
    return Laws.source(source, { resources })
  })

  const lines = Array.from({ length: 40 }, (_, i) => `${"x".repeat(i % 7)}${i}`)

  it.scoped("TextLines, JsonLines and Csv", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const text = yield* write("a.txt", lines.join("\r\n"))
      const more = yield* write("b.txt", `${lines.slice(3).join("\n")}\n`)
      yield* Laws.source(TextLines.source([text, more], { chunkBytes: 16 }))
      const json = yield* write("a.jsonl", lines.map((line, i) => i % 9 === 8 ? "{" : JSON.stringify({ line, i })).join("\n"))
      yield* Laws.source(JsonLines.source(json, { chunkBytes: 16, onMalformed: malformed }))
      const csv = yield* write("a.csv", `line,i\n${lines.map((line, i) => `"${line}\n",${i}`).join("\n")}\n`)
      yield* Laws.source(Csv.source(csv, { chunkBytes: 16, schema: Schema.Struct({ line: Schema.String, i: Schema.NumberFromString }) }))
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("Parquet", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const rows = lines.map((line, i) => ({ line, i }))
      const columns = [{ name: "line", type: "string" }, { name: "i", type: "int32" }] as const
      const file = yield* write("a.parquet", parquet(columns, [rows.slice(0, 15), [], rows.slice(15)], 4))
      yield* Laws.source(Parquet.source(file))
    }).pipe(Effect.provide(NodeContext.layer)))
})
