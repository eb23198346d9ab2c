/** An Effect of a hook (tap, a sink's write) that sleeps on the harness' own clock: the call never comes to rest, so the clock cannot be stepped. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { DataStream } from "sluice"
import { Harness } from "sluice/testing"

it.scoped("a hook that sleeps", () =>
  Effect.gen(function*() {
    const h = yield* Harness.oneInput((input: DataStream.DataStream<number>) => DataStream.tap(input, () => Effect.sleep(10)))
    yield* h.element(1)
    yield* h.advanceProcessingTime(10)
    assert.deepStrictEqual(yield* h.values, [1])
  }))
