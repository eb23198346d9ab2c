/** Rows of area WI: windows. WI-01, WI-02 and WI-16 are in test/Window.test.ts and test/operators/AlignedWindow.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { DataStream } from "sluice"
import { KeyedStream, StreamElement, Watermark, Window, WindowedStream } from "sluice"
import { Harness } from "sluice/testing"

type Numbers = DataStream.DataStream<number>
type Windowed = WindowedStream.WindowedStream<number, number, Window.TimeWindow>

const { record } = StreamElement

const ends: ReadonlyArray<readonly [string, (windows: Windowed) => Numbers]> = [
  ["reduce", WindowedStream.reduce((a, b) => a + b)],
  ["process", WindowedStream.process((all) => [all.reduce((a, b) => a + b, 0)])]
]

/** how much keyed state there is, by state, where there is any */
const entries = ({ metadata }: Harness.OperatorSnapshot) =>
  metadata.operators.flatMap(({ subtasks }) =>
    subtasks.flatMap(({ states }) => states.filter(({ kind }) => kind === "keyed").map((state) => state.entries))
  )

// nothing purges a window here; one that is empty of a key's records, or of all, is what there is
describe("the cleanup of a window", () => {
  for (const [name, end] of ends) {
    it.scoped(`WI-17: does not run the function again, nor fail, with records or without (${name})`, () =>
      Effect.gen(function*() {
        const h = yield* Harness.oneInput((input: Numbers) =>
          input.pipe(KeyedStream.keyBy((n) => n % 2), WindowedStream.window(Window.tumbling(10)), WindowedStream.allowedLateness(5), end)
        )
        yield* h.element(1, 1)
        yield* h.watermark(9)
        assert.deepStrictEqual(yield* h.output, [record(1, 9), Watermark.make(9)])
        assert.deepStrictEqual(entries(yield* h.snapshot(1)), [1])
        // 14 is the cleanup time of [0, 10); of [10, 20) nothing is ever there
        yield* h.watermark(13)
        yield* h.watermark(14)
        yield* h.watermark(30)
        assert.deepStrictEqual((yield* h.output).slice(1), [13, 14, 30].map(Watermark.make))
        // what it held is gone, and so is the window
        yield* h.element(3, 2)
        assert.deepStrictEqual(Array.from(yield* h.counters), [["late", 1]])
        assert.deepStrictEqual(yield* h.output, [])
        assert.deepStrictEqual(entries(yield* h.snapshot(2)), [])
      }))
  }
})
