import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Fold from "../../src/operators/Fold.js"
import * as Codec from "../../src/state/Codec.js"
import type { TableSnapshot } from "../../src/state/StateTable.js"
import { StateTable } from "../../src/state/StateTable.js"
import { GeneratedOutput } from "../../src/task/ChainCode.js"
import { collecting } from "../support/collecting.js"

interface Sum {
  readonly values: Array<number>
}

/** one accumulator is changed where it stands, the other replaced */
const folds: ReadonlyArray<Fold.Fold<number, Sum, unknown, unknown>> = [
  {
    init: () => ({ values: [] }),
    add: (acc, n) => {
      acc.values.push(n)
      return acc
    },
    result: undefined,
    project: undefined
  },
  { init: () => ({ values: [] }), add: (acc, n) => ({ values: [...acc.values, n] }), result: undefined, project: undefined }
]

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ _tag: fc.constant("add" as const), key: fc.constantFrom("a", "b", "c", 1), value: fc.nat({ max: 9 }) })
  },
  { weight: 2, arbitrary: fc.constant({ _tag: "snapshot" as const }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "walk" as const }) }
)

describe("Fold", () => {
  it("V1: a snapshot holds what there was when it was taken, whatever generated code adds before it is walked", () =>
    fc.assert(
      fc.property(fc.constantFrom(...folds), fc.array(step, { maxLength: 40 }), (fold, steps) => {
        const table = new StateTable<Sum>(Codec.make<Sum>(undefined))
        const { output } = collecting<unknown>()
        const add = new GeneratedOutput(output, [], "fold").compile(["key", "value"], (code) =>
          Fold.addCode(
            { ...code, value: "value", timestamp: "undefined", key: "key", mapKey: "key", park: () => "" },
            fold,
            table,
            "entry",
            code.bind(table.only),
            "null"
          ))
        const now = new Map<string | number, Array<number>>()
        const open: Array<
          {
            readonly snapshot: TableSnapshot<Sum>
            readonly expected: Map<string | number | boolean | bigint | null | undefined, Array<number>>
          }
        > = []
        const walk = () => {
          const taken = open.shift()
          if (taken === undefined) return
          const restored = new StateTable<Sum>(Codec.make<Sum>(undefined))
          for (let chunk = taken.snapshot.next(); chunk !== undefined; chunk = taken.snapshot.next()) restored.load(chunk, () => true)
          assert.deepStrictEqual(
            new Map(Array.from(restored.only, ([key, { value }]) => [key, value.values])),
            taken.expected
          )
        }
        for (const each of steps) {
          if (each._tag === "add") {
            add(each.key, each.value)
            now.set(each.key, [...now.get(each.key) ?? [], each.value])
          } else if (each._tag === "snapshot") {
            open.push({ snapshot: table.snapshot(), expected: new Map(now) })
          } else walk()
        }
        while (open.length > 0) {
          walk()
        }
      }),
      { numRuns: 1_000 }
    ))
})
