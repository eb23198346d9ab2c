/** Rows of area SO: side outputs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { DataStream, Job, OutputTag } from "sluice"
import { Harness } from "sluice/testing"

type Numbers = DataStream.DataStream<number>

const word = OutputTag.make<string>("word")
const thirteen = OutputTag.make<number>("thirteen")

const inputs = [1, 2, 5, 3, 4]

/** every record to the main output, and one to each tag */
const tagging = DataStream.process<number, number>({
  onElement: (n, ctx) => {
    ctx.output(word, `sideout-${n}`)
    ctx.output(thirteen, 13)
    return [n]
  }
})

const collected = <A>(stream: DataStream.DataStream<A>) => {
  const into: Array<A> = []
  return { into, pipeline: DataStream.runForEach(stream, (value) => void into.push(value)) }
}

describe("side outputs", () => {
  for (const chaining of [true, false]) {
    it.effect(`SO-03: all who read one tag get all of it, and so does the main output (chaining: ${chaining})`, () =>
      Effect.gen(function*() {
        const tagged = tagging(DataStream.fromIterable(inputs))
        const [first, second, main] = [
          collected(DataStream.sideOutput(tagged, word)),
          collected(DataStream.sideOutput(tagged, word)),
          collected(tagged)
        ]
        yield* Job.run(Job.make("tags", first.pipeline, second.pipeline, main.pipeline), { chaining })
        const words = inputs.map((n) => `sideout-${n}`)
        assert.deepStrictEqual([first.into, second.into, main.into], [words, words, inputs])
      }))

    it.effect(`SO-03: a union of side outputs has the records of both, of one with itself each twice (chaining: ${chaining})`, () =>
      Effect.gen(function*() {
        const [odd, even] = [OutputTag.make<number>("odd"), OutputTag.make<number>("even")]
        const split = DataStream.range(1, 4).pipe(DataStream.process({ onElement: (n, ctx) => ctx.output(n % 2 === 1 ? odd : even, n) }))
        const [odds, evens] = [DataStream.sideOutput(split, odd), DataStream.sideOutput(split, even)]
        const united = [
          DataStream.union(odds, evens),
          DataStream.union(odds, odds),
          DataStream.union(odds, DataStream.fromIterable([2, 4]))
        ]
        const results = united.map(collected)
        const [one, ...others] = results.map(({ pipeline }) => pipeline)
        yield* Job.run(Job.make("unions", one, ...others), { chaining })
        assert.deepStrictEqual(results.map(({ into }) => into.sort((a, b) => a - b)), [[1, 2, 3, 4], [1, 1, 3, 3], [1, 2, 3, 4]])
      }))
  }

  // two tags of one id are one output whatever their types, which are not there when a job is made: that they clash cannot be seen
  it.scoped("SO-03: two tags stay apart, each with its own type and the record's timestamp", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) => tagging(input))
      for (const n of inputs) yield* h.element(n, n * 10)
      assert.deepStrictEqual(yield* h.values, inputs)
      assert.deepStrictEqual(
        (yield* h.sideOutput(word)).map(({ timestamp, value }) => `${value}@${timestamp}`),
        inputs.map((n) => `sideout-${n}@${n * 10}`)
      )
      assert.deepStrictEqual((yield* h.sideOutput(thirteen)).map(({ value }) => value), [13, 13, 13, 13, 13])
    }))
})
