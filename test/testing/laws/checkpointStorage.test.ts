import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CheckpointStorage } from "sluice"
import { Laws } from "sluice/testing"
import { afterAll } from "vitest"
import { caught, printTable } from "./caught.js"
import * as mutants from "./mutants.js"

afterAll(printTable)

describe("Laws.checkpointStorage finds", () => {
  for (
    const [bug, ...laws] of [
      ["lists an incomplete checkpoint", "H1"],
      ["ignores abort", "H1"],
      ["allows two writers", "H3"],
      ["gives all jobs one store", "H3"],
      ["returns altered bytes", "H2"],
      ["keeps the writer's buffer", "H2"],
      ["does not compare checksums", "H2"],
      ["forgets ids that were aborted", "H4"],
      ["forgets that a run has finished", "H5"],
      ["lists the oldest first", "H1"],
      ["keeps what it discards", "H1", "H3"]
    ] as const
  ) {
    it.effect(`a storage that ${bug}`, () => caught(bug, laws, (options) => Laws.checkpointStorage(mutants.storage(bug), options)))
  }
})

describe("Laws.checkpointStorage lets pass", () => {
  it.effect("memory", () => Laws.checkpointStorage(CheckpointStorage.layerMemory))

  it.scoped("files", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* Laws.checkpointStorage(CheckpointStorage.layerFileSystem(directory), {
        numRuns: 30,
        corrupt: ({ file, location }) =>
          Effect.gen(function*() {
            const whole = path.join(location, file)
            const bytes = yield* fs.readFile(whole)
            yield* fs.writeFile(whole, bytes.map((byte) => byte ^ 1))
          })
      })
    }).pipe(Effect.provide(NodeContext.layer)))
})
