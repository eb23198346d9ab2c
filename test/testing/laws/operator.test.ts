import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { DataStream } from "sluice"
import { Laws } from "sluice/testing"
import { afterAll } from "vitest"
import { caught, printTable } from "./caught.js"
import * as mutants from "./mutants.js"

const numbers = Schema.Int.pipe(Schema.between(0, 9))
const words = Schema.String.pipe(Schema.maxLength(2))

afterAll(printTable)

describe("Laws.operator finds", () => {
  for (
    const [bug, ...laws] of [
      ["forgets its buffer in the snapshot", "L9"],
      ["emits from close", "O1", "L9"],
      ["emits from close when canceled", "O1"]
    ] as const
  ) {
    it.effect(`an operator that ${bug}`, () => caught(bug, laws, (options) => Laws.operator(mutants.pairs(bug), numbers, options)))
  }

  for (const bug of ["does not release", "releases twice", "releases in finish"] as const) {
    it.effect(`an operator that ${bug} what it acquired in open`, () =>
      caught(bug, ["L2"], (options) => {
        const { operator, resources } = mutants.acquiring(bug)
        return Laws.operator(operator, numbers, { ...options, resources })
      }))
  }

  for (
    const [bug, ...laws] of [
      ["forwards the watermark first", "L7"],
      ["fires a timer late", "L7"],
      ["loses its timers on restore", "L9"],
      ["fires its timers twice", "L7"],
      ["fires after finish", "L7"]
    ] as const
  ) {
    it.effect(`an operator that ${bug}`, () => caught(bug, laws, (options) => Laws.operator(mutants.delaying(bug), numbers, options)))
  }

  for (
    const bug of [
      "emits a regressing watermark",
      "runs ahead of its input",
      "keeps the last watermark to itself",
      "forwards it twice at the end"
    ] as const
  ) {
    it.effect(`an operator that ${bug}`, () => caught(bug, ["L10"], (options) => Laws.operator(mutants.forwarding(bug), numbers, options)))
  }

  for (const bug of ["keeps its state in a module variable", "keeps its state in the factory's closure"] as const) {
    it.effect(`an operator that ${bug}`, () => caught(bug, ["L9"], (options) => Laws.operator(mutants.numbering(bug), numbers, options)))
  }

  for (const bug of ["counts all keys as one", "keeps counts outside of keyed state"] as const) {
    it.effect(`a keyed operator that ${bug}`, () =>
      caught(bug, ["L9", "L11"], (options) => Laws.operator(mutants.counting(bug), numbers, { ...options, keyed: (n) => n % 3 })))
  }

  it.effect("an operator that hangs in close", () =>
    caught("hangs in close", ["L1"], (options) => Laws.operator(mutants.failing("hangs in close"), numbers, { ...options, deadline: 20 }), [
      1
    ]))

  for (
    const [bug, ...laws] of [
      ["ends its input twice", "L9"],
      ["ends event time with its first input", "L10"],
      ["forgets its left side in the snapshot", "L9"]
    ] as const
  ) {
    it.effect(`an operator of two inputs that ${bug}`, () =>
      caught(bug, laws, (options) => Laws.twoInputOperator(mutants.gathering(bug), numbers, words, options)))
  }
})

describe("Laws.operator lets pass", () => {
  for (
    const [name, part] of [
      ["pairs", mutants.pairs("none")],
      ["delaying", mutants.delaying("none")],
      ["forwarding", mutants.forwarding("none")],
      ["numbering", mutants.numbering("none")]
    ] as const
  ) it.effect(`${name}, without a bug`, () => Laws.operator<number, unknown, never, never, never>(part, numbers))

  it.effect("acquiring, without a bug", () => {
    const { operator, resources } = mutants.acquiring("none")
    return Laws.operator(operator, numbers, { resources })
  })
  it.effect("counting, without a bug", () => Laws.operator(mutants.counting("none"), numbers, { keyed: (n) => n % 3 }))
  it.effect("gathering, without a bug", () => Laws.twoInputOperator(mutants.gathering("none"), numbers, words))
})

describe("LawBroken", () => {
  it.effect("a failure that nobody planted is one too", () =>
    Effect.gen(function*() {
      const failing = (input: DataStream.DataStream<number>) =>
        DataStream.tap(input, (n) => n > 5 ? Effect.fail(`${n} is too much`) : undefined)
      const broken = yield* Effect.flip(Laws.operator(failing, numbers, { seed: 1 }))
      assert.deepStrictEqual([broken.law, broken.script, broken.expected], ["O0", "element 6@0, finish", "no failure"])
      assert.include(broken.found, "6 is too much")
      yield* Laws.operator(failing, numbers.pipe(Schema.lessThan(6)), { seed: 1 })
    }))

  it.effect("names the script, and how to run it again", () =>
    Effect.gen(function*() {
      const run = (options: Laws.RunOptions) => Laws.operator(mutants.pairs("forgets its buffer in the snapshot"), numbers, options)
      const { message, path, seed } = yield* Effect.flip(run({ seed: 1 }))
      assert.deepStrictEqual(message.split("\n").map((line) => line.split(":")[0].trim().replace(/\d+ runs?/, "n runs")), [
        "the operator breaks L9",
        "script",
        "expected",
        "found",
        "after n runs; to run this script first"
      ])
      const again = yield* Effect.flip(run({ seed, path }))
      assert.strictEqual(again.runs, 1)
    }))
})
