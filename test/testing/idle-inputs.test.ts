import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConnectedStreams, DataStream, Watermark } from "sluice"
import { Harness } from "sluice/testing"

type Numbers = DataStream.DataStream<number>
const both = (a: Numbers, b: Numbers) => ConnectedStreams.map(ConnectedStreams.connect(a, b), (n) => n, (n) => -n)
const ends = (h: Harness.TwoInputHarness<number, number, number, never>) =>
  Effect.map(h.output, (all) => all.some((each) => each._tag === "Watermark" && each.timestamp === Watermark.MAX))

it.scoped("L10: an active input that was idle holds the end of event time back when the other input ends", () =>
  Effect.gen(function*() {
    const h = yield* Harness.twoInput(both)
    yield* h.watermark1(0)
    yield* h.idle2
    yield* h.active2
    yield* h.endInput1
    assert.isFalse(yield* ends(h), "input 2 is active and has not ended, yet Watermark.MAX was emitted")
  }))

it.scoped("an idle input that has not ended does not let event time end", () =>
  Effect.gen(function*() {
    const h = yield* Harness.twoInput(both)
    yield* h.endInput1
    yield* h.idle2
    assert.isFalse(yield* ends(h), "input 2 is idle, not ended, yet Watermark.MAX was emitted")
  }))
