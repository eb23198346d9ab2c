/** Rows of area ST: keyed state. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { DataStream } from "sluice"
import { KeyedStream, State } from "sluice"
import { Harness } from "sluice/testing"

interface Command {
  readonly key: number
  readonly set?: string
}

describe("keyed state", () => {
  it.scoped("ST-01: the value of one key is not that of another", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((commands: DataStream.DataStream<Command>) =>
        commands.pipe(
          KeyedStream.keyBy(({ key }) => key),
          KeyedStream.process({
            state: { word: State.value(Schema.String) },
            onElement: ({ key, set }, { state }) => {
              if (set === undefined) return [`${key}:${state.word.get()}`]
              state.word.set(set)
            }
          })
        )
      )
      yield* h.element({ key: 0, set: "HELLO" })
      yield* h.element({ key: 1, set: "CIAO" })
      yield* h.element({ key: 1 })
      yield* h.element({ key: 0 })
      yield* h.element({ key: 2 })
      assert.deepStrictEqual(yield* h.values, ["1:CIAO", "0:HELLO", "2:undefined"])
    }))

  it.scoped.each([[true], [false]])(
    "ST-02: the key is the record's, and a timer's own (codegen: %s)",
    ([codegen]) =>
      Effect.gen(function*() {
        const h = yield* Harness.oneInput(
          (numbers: DataStream.DataStream<number>) =>
            numbers.pipe(
              KeyedStream.keyBy((n) => `key of ${n}`),
              KeyedStream.process({
                state: { seen: State.list(Schema.Number) },
                onElement: (n, ctx) => {
                  ctx.state.seen.add(n)
                  ctx.timers.eventTime(10 - n)
                  ctx.timers.processingTime(10 - n)
                  return [`${n}: ${ctx.key}`]
                },
                onTimer: ({ domain }, ctx) => [`${domain} of ${ctx.state.seen.get().join()}: ${ctx.key}`]
              })
            ),
          { codegen }
        )
        for (const n of [1, 2, 3]) yield* h.element(n)
        assert.deepStrictEqual(yield* h.values, ["1: key of 1", "2: key of 2", "3: key of 3"])
        yield* h.watermark(100)
        assert.deepStrictEqual(yield* h.values, [3, 2, 1].map((n) => `event-time of ${n}: key of ${n}`))
        yield* h.advanceProcessingTime(100)
        assert.deepStrictEqual(yield* h.values, [3, 2, 1].map((n) => `processing-time of ${n}: key of ${n}`))
      })
  )
})
