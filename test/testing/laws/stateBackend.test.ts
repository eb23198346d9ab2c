import { describe, it } from "@effect/vitest"
import { StateBackend } from "sluice"
import { Laws } from "sluice/testing"
import { afterAll } from "vitest"
import { caught, printTable } from "./caught.js"
import * as mutants from "./mutants.js"

afterAll(printTable)

describe("Laws.stateBackend finds", () => {
  for (
    const [bug, ...laws] of [
      ["forgets deletes", "B1"],
      ["mixes namespaces", "B1"],
      ["takes keys of different types for one", "B1"],
      ["shares state over subtasks", "B2"],
      ["shares state over names", "B2"],
      ["shares state over operators", "B2"],
      ["shows later writes in a snapshot", "V1"],
      ["takes a dropped namespace from open snapshots", "V1"],
      ["restores the keys of other subtasks", "B3"],
      ["loses namespaces on restore", "B3"]
    ] as const
  ) {
    it.effect(`a backend that ${bug}`, () => caught(bug, laws, (options) => Laws.stateBackend(mutants.backend(bug), options)))
  }
})

describe("Laws.stateBackend lets pass", () => {
  it.effect("memory", () => Laws.stateBackend(StateBackend.layerMemory))
})
