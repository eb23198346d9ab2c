/** BA: barriers at a real task; the aligner alone is tested in test/task/BarrierAligner.test.ts. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { StreamOperator } from "sluice"
import { ConnectedStreams, DataStream, StreamElement } from "sluice"
import * as Rig from "../support/TaskRig.js"

type Numbers = DataStream.DataStream<any, any>

const one = (input: Numbers): Numbers => DataStream.map(input, (value) => value)

const both = (first: Numbers, second: Numbers): Numbers =>
  ConnectedStreams.transform(
    ConnectedStreams.connect(first, second),
    "op",
    Effect.succeed<StreamOperator.TwoInputStreamOperator<any, any, any, any>>({
      processElement1: ({ value }, out) => out.emit(value, undefined),
      processElement2: ({ value }, out) => out.emit(value, undefined)
    })
  )

const four = [["one input", one, [4]], ["two inputs", both, [2, 2]]] as const

describe("barriers at a task", () => {
  it.scoped.each(four)(
    "BA-02: of %s, records wait behind their barrier and come through in their order, checkpoint after checkpoint",
    ([, pipeline, channels]) =>
      Effect.gen(function*() {
        const rig = yield* Rig.make(pipeline as typeof both, { channels })
        for (const id of [1, 2]) {
          yield* rig.barrier(id, 3, 1)
          yield* rig.data(3, `${id} behind, first`)
          yield* rig.data(2, `${id} before`)
          yield* rig.data(3, `${id} behind, second`)
          yield* rig.barrier(id, 0, 2)
        }
        expect(rig.sent[0]).toEqual(
          [1, 2].flatMap((id) => [`${id} before`, `barrier ${id}`, `${id} behind, first`, `${id} behind, second`])
        )
        expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1", "acknowledge 2"])
      })
  )

  it.scoped.each(four)(
    "BA-04: of %s, one that is overtaken is canceled downstream and declined, once; its late barriers do nothing",
    ([, pipeline, channels]) =>
      Effect.gen(function*() {
        const rig = yield* Rig.make(pipeline as typeof both, { channels })
        yield* rig.barrier(1, 0)
        yield* rig.data(3, "x")
        yield* rig.data(3, "y")
        yield* rig.barrier(2)
        expect(rig.sent[0]).toEqual(["x", "y", "cancel 1", "barrier 2"])
        yield* rig.barrier(1, 1, 2, 3)
        yield* rig.data(1, "z")
        expect(rig.sent[0]).toEqual(["x", "y", "cancel 1", "barrier 2", "z"])
        expect(rig.logged("acknowledge", "decline")).toEqual(["decline 1 SUBSUMED", "acknowledge 2"])
      })
  )

  it.scoped("BA-05, BA-08: a cancel marker sets free what waits, goes on once, and late barriers of its checkpoint hold nothing up", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [3] })
      yield* rig.barrier(1, 1)
      yield* rig.data(1, "waits")
      yield* rig.put(0, StreamElement.cancelCheckpointMarker(1))
      yield* rig.put(2, StreamElement.cancelCheckpointMarker(1))
      expect(rig.sent[0]).toEqual(["cancel 1", "waits"])
      yield* rig.barrier(1, 2)
      yield* rig.data(2, "free")
      yield* rig.barrier(2)
      expect(rig.sent[0]).toEqual(["cancel 1", "waits", "free", "barrier 2"])
      expect(rig.logged("acknowledge", "decline")).toEqual(["decline 1 DECLINED_ON_CANCELLATION_BARRIER", "acknowledge 2"])
    }))

  it.scoped("BA-10, BA-11: channels that end are not waited for, before their barrier or in its place", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [3] })
      yield* rig.ends(2)
      yield* rig.barrier(1, 0)
      yield* rig.data(0, "behind")
      expect(rig.sent[0]).toEqual([])
      yield* rig.ends(1)
      expect(rig.sent[0]).toEqual(["barrier 1", "behind"])
      yield* rig.barrier(2, 0)
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1", "acknowledge 2"])
    }))

  it.scoped("BA-14: the end of a channel aborts nothing, with a final checkpoint or without", () =>
    Effect.gen(function*() {
      for (const finalCheckpoint of [true, false]) {
        const rig = yield* Rig.make(one, { channels: [2], finalCheckpoint })
        yield* rig.barrier(1, 0)
        yield* rig.ends(1)
        expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1"])
        expect(rig.sent[0]).toEqual(["barrier 1"])
      }
    }))

  it.scoped("BA-01: the barrier goes behind every record that came before it, also those whose Effect takes its time", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make((input) => DataStream.tap(input, (n) => n === "slow" ? Effect.sleep(10) : undefined))
      yield* rig.data(0, "slow")
      yield* rig.data(0, "fast")
      yield* rig.barrier(1)
      expect(rig.sent[0]).toEqual([])
      yield* rig.advance(10)
      expect(rig.sent[0]).toEqual(["slow", "fast", "barrier 1"])
    }))
})
