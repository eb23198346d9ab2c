import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as JsonLines from "sluice/connectors/JsonLines"
import { Laws, Ledger } from "sluice/testing"
import { afterAll } from "vitest"
import { caught, printTable } from "./caught.js"
import * as mutants from "./mutants.js"

const numbers = Schema.Int.pipe(Schema.between(0, 9))

afterAll(printTable)

describe("Laws.sink finds", () => {
  for (
    const [bug, ...laws] of [
      ["commits too early", "T1"],
      ["commits twice", "T2"],
      ["forgets what is pending", "T1", "T3"],
      ["forgets the records in hand", "T1", "T3"],
      ["leaves temporary files visible", "T1", "T2"],
      ["leaves what dead attempts wrote", "T3"],
      ["removes what the checkpoint holds", "T3"],
      ["names transactions alike in every attempt", "T1", "T2", "T3"],
      ["makes nothing durable before the commit", "T3"],
      ["commits when it closes", "T1", "T2"]
    ] as const
  ) {
    it.effect(`a sink that ${bug}`, () =>
      caught(bug, laws, (options) => Laws.sink(Effect.sync(() => mutants.directory(bug)), numbers, options)))
  }
  for (const bug of ["does not flush", "writes what nobody wrote"] as const) {
    it.effect(`a plain sink that ${bug}`, () =>
      caught(bug, ["T0"], (options) => Laws.sink(Effect.sync(() => mutants.gatheringSink(bug)), numbers, options)))
  }
})

describe("Laws.sink lets pass", () => {
  it.effect("a directory in memory", () => Laws.sink(Effect.sync(() => mutants.directory("none")), numbers))
  it.effect("a plain sink", () => Laws.sink(Effect.sync(() => mutants.gatheringSink("none")), numbers))
  it.effect("a ledger", () =>
    Laws.sink(
      Effect.sync(() => {
        const ledger = Ledger.make<number>()
        return { sink: ledger.sink, visible: Effect.sync(ledger.visible) }
      }),
      numbers,
      { order: "same" }
    ))
  it.effect("JsonLines.sink", () =>
    Laws.sink(
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        const directory = yield* fs.makeTempDirectoryScoped()
        const names = fs.readDirectory(directory)
        return {
          sink: JsonLines.sink<number>(directory),
          visible: Effect.gen(function*() {
            const values: Array<number> = []
            for (const name of (yield* names).filter((name) => !name.startsWith("."))) {
              const text = yield* fs.readFileString(path.join(directory, name))
              values.push(...text.trimEnd().split("\n").map(Number))
            }
            return values
          }),
          leftovers: Effect.map(names, (names) => names.filter((name) => name.startsWith(".")))
        }
      }),
      numbers,
      { numRuns: 30 }
    ).pipe(Effect.provide(NodeContext.layer)))
})
