import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStorage, layerMemory } from "../../src/CheckpointStorage.js"
import * as memory from "../../src/storage/memoryStorage.js"
import { conformance, metadataOf, put } from "./conformance.js"

conformance("memory", memory.make)

describe("memoryStorage", () => {
  it.scoped("M1: metadata that is changed after `complete`, or after it was read, stays as it was", () =>
    Effect.gen(function*() {
      const store = yield* (yield* memory.make).open("flights")
      const metadata = metadataOf(1)
      const writer = yield* store.begin(1)
      yield* writer.complete(metadata)
      Object.assign(metadata, { job: "other" })
      Object.assign(yield* store.metadata(1), { job: "third" })
      expect(yield* store.metadata(1)).toStrictEqual(metadataOf(1))
    }))

  it.effect("one layer keeps checkpoints from run to run, another has its own", () =>
    Effect.gen(function*() {
      const service = yield* CheckpointStorage
      yield* Effect.scoped(Effect.flatMap(service.open("flights"), (store) => put(store, 1)))
      expect(yield* Effect.scoped(Effect.flatMap(service.open("flights"), (store) => store.list))).toEqual([1])
      const other = yield* Effect.provide(CheckpointStorage, layerMemory)
      expect(yield* Effect.scoped(Effect.flatMap(other.open("flights"), (store) => store.list))).toEqual([])
    }).pipe(Effect.provide(layerMemory)))
})
