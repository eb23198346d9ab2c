/** BA: barriers at a real task; the aligner alone is tested in test/task/BarrierAligner.test.ts. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { StreamOperator } from "sluice"
import { Checkpoint, ConnectedStreams, DataStream, StreamElement } from "sluice"
import { Batch } from "../../src/task/Channel.js"
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

describe("barriers that block nothing", () => {
  it.scoped.each(four)(
    "BA-15: at least once, of %s: what is behind a barrier goes on, and the last one triggers",
    ([, pipeline, channels]) =>
      Effect.gen(function*() {
        const rig = yield* Rig.make(pipeline as typeof both, { channels, checkpoint: { mode: "at-least-once" } })
        yield* rig.barrier(1, 3, 1)
        yield* rig.data(3, "behind")
        yield* rig.barrier(2, 3)
        yield* rig.barrier(1, 0)
        yield* rig.data(2, "before")
        yield* rig.barrier(1, 2)
        yield* rig.barrier(2, 0, 1)
        yield* rig.put(2, StreamElement.cancelCheckpointMarker(2))
        expect(rig.sent[0]).toEqual(["behind", "before", "barrier 1", "cancel 2"])
        expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1", "decline 2 DECLINED_ON_CANCELLATION_BARRIER"])
      })
  )

  it.scoped("BA-17: at least once, one that the coordinator gives up is canceled downstream, and not taken by its late barriers", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [2], checkpoint: { mode: "at-least-once" } })
      yield* rig.barrier(1, 0)
      yield* rig.abort(1)
      yield* rig.barrier(1, 1)
      yield* rig.abort(2)
      yield* rig.barrier(2)
      yield* rig.barrier(3)
      expect(rig.sent[0]).toEqual(["cancel 1", "cancel 2", "barrier 3"])
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 3"])
    }))
})

describe("barriers that overtake", () => {
  const unaligned = { alignment: "unaligned" } as const

  const batchOf = (value: unknown) => {
    const batch = new Batch(1)
    batch.add(value, undefined)
    return batch
  }

  it.scoped("BA-21: the first triggers, and what comes before the others is stored and goes through; acknowledged after the last", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [3], checkpoint: unaligned })
      yield* rig.overtake(1, 1, 2)
      yield* rig.data(2, "two")
      yield* rig.data(1, "one")
      yield* rig.data(0, "zero")
      expect(rig.sent[0]).toEqual(["overtaking barrier 1", "two", "one", "zero"])
      expect(rig.logged("acknowledge")).toEqual([])
      yield* rig.overtake(1, 0)
      expect(rig.logged("acknowledge")).toEqual(["acknowledge 1"])
      expect(rig.captured(1)).toBe(1)
    }))

  it.scoped.each(four)("BA-21: of %s, what is queued when the barriers come is overtaken, stored, and goes through behind them", ([
    ,
    pipeline,
    channels
  ]) =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(pipeline as typeof both, { channels, checkpoint: unaligned })
      for (const id of [1, 2]) {
        rig.channels.forEach((channel, n) => channel.put(batchOf(`${id} ${n}`)))
        yield* rig.overtake(id)
      }
      const values = (id: number) => rig.sent[0].filter((line) => line.startsWith(`${id} `)).sort()
      for (const id of [1, 2]) expect(values(id)).toEqual([0, 1, 2, 3].map((n) => `${id} ${n}`))
      expect(rig.sent[0].filter((line) => line.startsWith("over"))).toEqual(["overtaking barrier 1", "overtaking barrier 2"])
      expect(rig.sent[0].indexOf("overtaking barrier 1")).toBe(0)
      expect([1, 2].map(rig.captured)).toEqual([4, 4])
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1", "acknowledge 2"])
    }))

  it.scoped("BA-22: one that a newer one overtakes is given up, also while it is still being stored; markers are as for aligned ones", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [2], checkpoint: unaligned })
      yield* rig.overtake(10, 0)
      yield* rig.overtake(20, 1)
      yield* rig.overtake(10, 1)
      yield* rig.overtake(20, 0)
      yield* rig.put(0, StreamElement.cancelCheckpointMarker(30))
      yield* rig.overtake(30, 1)
      expect(rig.sent[0]).toEqual(["overtaking barrier 10", "cancel 10", "overtaking barrier 20", "cancel 30"])
      expect(rig.logged("acknowledge", "decline")).toEqual([
        "decline 10 SUBSUMED",
        "acknowledge 20",
        "decline 30 DECLINED_ON_CANCELLATION_BARRIER"
      ])
    }))

  it.scoped("BA-23: an alignment that takes too long is given up: the barrier overtakes, and what was blocked goes on; the next aligns again", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [2], checkpoint: { alignment: { alignedTimeout: 10 } } })
      yield* rig.barrier(1, 0)
      yield* rig.data(0, "behind")
      yield* rig.advance(9)
      yield* rig.data(1, "before")
      expect(rig.sent[0]).toEqual(["before"])
      yield* rig.advance(1)
      expect(rig.sent[0]).toEqual(["before", "overtaking barrier 1", "behind"])
      yield* rig.data(1, "in flight")
      expect(rig.logged("acknowledge")).toEqual([])
      yield* rig.barrier(1, 1)
      yield* rig.barrier(2, 0)
      yield* rig.data(0, "behind 2")
      yield* rig.advance(5)
      yield* rig.barrier(2, 1)
      yield* rig.advance(100)
      expect(rig.sent[0].slice(3)).toEqual(["in flight", "barrier 2", "behind 2"])
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1", "acknowledge 2"])
      expect([1, 2].map(rig.captured)).toEqual([1, 0])
    }))

  it.scoped("BA-23: the time of one that was aborted, or whose task has ended, is over with it", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [2], checkpoint: { alignment: { alignedTimeout: 10 } } })
      yield* rig.barrier(1, 0)
      yield* rig.abort(1)
      yield* rig.advance(10)
      expect(rig.sent[0]).toEqual(["cancel 1"])
      yield* rig.barrier(2, 0)
      yield* rig.cancel
      yield* rig.advance(10)
      expect(rig.sent[0]).not.toContain("overtaking barrier 2")
      expect(rig.logged("acknowledge", "decline")).toEqual([])
    }))

  it.scoped("BA-23: barriers that stand in line when the time is up are taken out of it, with all that was before them", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make((input) => DataStream.tap(input, (n) => n === "slow" ? Effect.sleep(10) : undefined), {
        channels: [3],
        checkpoint: { alignment: { alignedTimeout: 10 } }
      })
      yield* rig.barrier(1, 0)
      yield* rig.data(1, "slow")
      rig.channels[1].put(batchOf("queued"))
      rig.channels[1].put(Rig.barrierOf(1))
      rig.channels[2].put(batchOf("queued too"))
      rig.channels[2].put(Rig.barrierOf(1))
      yield* rig.advance(10)
      expect(rig.logged("acknowledge")).toEqual(["acknowledge 1"])
      expect(rig.sent[0].slice(-4).sort()).toEqual(["overtaking barrier 1", "queued", "queued too", "slow"])
    }))

  it.scoped("BA-23, BA-24: the time begins with the first barrier in line, also where none is read; an end before it makes no difference", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make((input) => DataStream.mapEffect(input, (n) => Effect.as(Effect.sleep(100), n), { concurrency: 1 }), {
        channels: [3],
        checkpoint: { alignment: { alignedTimeout: 10 } }
      })
      yield* rig.ends(2)
      yield* rig.data(0, "taken")
      for (const n of [0, 1]) rig.channels[n].put(batchOf(`waits ${n}`))
      yield* rig.barrier(1, 0)
      yield* rig.advance(5)
      yield* rig.barrier(1, 1)
      yield* rig.advance(4)
      expect(rig.sent[0]).toEqual([])
      yield* rig.advance(1)
      expect(rig.sent[0]).toEqual(["overtaking barrier 1"])
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1"])
      expect(rig.captured(1)).toBe(2)
      yield* rig.advance(300)
      expect(rig.sent[0].slice(1).sort()).toEqual(["taken", "waits 0", "waits 1"])
    }))

  it.scoped("BA-24: a channel that ends is not waited for, also where alignment had taken too long before", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one, { channels: [3], checkpoint: { alignment: { alignedTimeout: 10 } } })
      yield* rig.barrier(1, 0)
      yield* rig.ends(1)
      yield* rig.advance(10)
      expect(rig.sent[0]).toEqual(["overtaking barrier 1"])
      yield* rig.data(2, "in flight")
      yield* rig.ends(2)
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1"])
      expect(rig.captured(1)).toBe(1)
    }))

  it.scoped("BA-25, BA-26: a savepoint is aligned whatever checkpoints are, for as long as it takes, and stores nothing that is under way", () =>
    Effect.gen(function*() {
      for (const alignment of ["unaligned", { alignedTimeout: 10 }] as const) {
        const rig = yield* Rig.make(one, { channels: [2], checkpoint: { alignment } })
        yield* rig.overtake(1)
        yield* rig.put(0, Rig.barrierOf(2, Checkpoint.savepoint()))
        yield* rig.data(0, "behind")
        yield* rig.data(1, "before")
        yield* rig.advance(100)
        expect(rig.sent[0]).toEqual(["overtaking barrier 1", "before"])
        yield* rig.put(1, Rig.barrierOf(2, Checkpoint.savepoint()))
        yield* rig.overtake(3)
        expect(rig.sent[0].slice(2)).toEqual(["barrier 2", "behind", "overtaking barrier 3"])
        expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 1", "acknowledge 2", "acknowledge 3"])
        expect(rig.captured(2)).toBe(0)
      }
    }))
})
