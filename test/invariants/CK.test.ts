/** CK: one task's part in checkpoints. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Deferred, Effect, Layer, Logger, Stream } from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, ConnectedStreams, DataStream, Job, StreamElement } from "sluice"
import * as Rig from "../support/TaskRig.js"

type Numbers = DataStream.DataStream<any, any>
type Hooks = Partial<StreamOperator.StreamOperator<any, any, any>>

const never = Stream.never

/** an operator that hands on what it gets */
const passing = (name: string, hooks: Hooks = {}) => (input: Numbers): Numbers =>
  DataStream.transform(
    input,
    name,
    Effect.succeed<StreamOperator.StreamOperator<any, any, any>>({
      processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
      ...hooks
    })
  )

/** a chain of three */
const three = (hooks: { readonly a?: Hooks; readonly b?: Hooks; readonly c?: Hooks } = {}) => (input: Numbers) =>
  input.pipe(passing("a", hooks.a), passing("b", hooks.b), passing("c", hooks.c))

const one = (hooks: Hooks = {}) => passing("op", hooks)

const both = (first: Numbers, second: Numbers): Numbers =>
  ConnectedStreams.transform(
    ConnectedStreams.connect(first, second),
    "op",
    Effect.succeed<StreamOperator.TwoInputStreamOperator<any, any, any, any>>({
      processElement1: ({ value }, out) => out.emit(value, undefined),
      processElement2: ({ value }, out) => out.emit(value, undefined)
    })
  )

const memory = Layer.merge(CheckpointStorage.layerMemory, Logger.remove(Logger.defaultLogger))

const settle = Effect.repeatN(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), 20)

const afterRun = (log: ReadonlyArray<string>) => log.slice(log.findLastIndex((line) => line.endsWith(".run")) + 1)

describe("the order of one checkpoint", () => {
  it.scoped("CK-01: pre-barrier hooks head to tail, the barrier, snapshots tail to head, then what is stored, then the acknowledgement", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(three())
      yield* rig.barrier(7)
      expect(afterRun(rig.log)).toEqual([
        "a.prepareSnapshotPreBarrier 7",
        "b.prepareSnapshotPreBarrier 7",
        "c.prepareSnapshotPreBarrier 7",
        "out0 barrier 7",
        "c.snapshotState 7",
        "b.snapshotState 7",
        "a.snapshotState 7",
        "stored 7",
        "acknowledge 7"
      ])
    }))

  it.scoped.each(["prepareSnapshotPreBarrier", "snapshotState"] as const)(
    "CK-01: while %s is under way no record, watermark, timer or notification gets in between",
    (hook) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const seen: Array<string> = []
        const rig = yield* Rig.make(
          three({
            b: {
              setup: (ctx) => void ctx.processingTime.schedule(10, () => void seen.push("timer")),
              processElement: ({ value }) => void seen.push(`record ${value}`),
              processWatermark: (watermark) => void seen.push(`watermark ${watermark}`),
              notifyCheckpointComplete: (id) => void seen.push(`complete ${id}`),
              [hook]: () => Deferred.await(gate)
            }
          })
        )
        yield* rig.barrier(1)
        yield* rig.data(0, "x")
        yield* rig.put(0, StreamElement.Watermark.make(5))
        yield* rig.advance(10)
        yield* Effect.forkScoped(rig.task.notifyCheckpointCompleteAsync(1))
        yield* rig.settle
        expect(seen).toEqual([])
        expect(rig.logged("acknowledge")).toEqual([])
        yield* Deferred.succeed(gate, undefined)
        yield* rig.settle
        expect(seen.toSorted()).toEqual(["complete 1", "record x", "timer", "watermark 5"])
        expect(rig.logged("acknowledge")).toEqual(["acknowledge 1"])
      })
  )

  it.scoped.each([["one input", one(), [2]], ["two inputs", both, [1, 1]]] as const)(
    "CK-02: cancel markers on all channels of %s: one decline, and one marker downstream",
    ([, pipeline, channels]) =>
      Effect.gen(function*() {
        const rig = yield* Rig.make(pipeline as typeof both, { channels })
        yield* rig.onAll(StreamElement.cancelCheckpointMarker(2))
        expect(rig.logged("decline", "acknowledge", "op.snapshot")).toEqual(["decline 2 DECLINED_ON_CANCELLATION_BARRIER"])
        expect(rig.sent[0]).toEqual(["cancel 2"])
      })
  )

  it.scoped("CK-07: what is triggered with an id that is not above the last one is neither sent on nor snapshotted", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(() => passing("op")(DataStream.fromStream(never)), { channels: [] })
      for (const id of [5, 5, 4, 6]) yield* rig.trigger(id)
      expect(rig.sent[0]).toEqual(["barrier 5", "barrier 6"])
      expect(rig.logged("op.snapshot", "acknowledge")).toEqual([
        "op.snapshotState 5",
        "acknowledge 5",
        "op.snapshotState 6",
        "acknowledge 6"
      ])
    }))

  it.scoped("CK-15: a chain without state acknowledges without a file and without states", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(three())
      yield* rig.barrier(1)
      const report = rig.reports.get(1)!
      expect(report.handle).toBeUndefined()
      expect(report.operators.map(({ states }) => states)).toEqual([[], [], []])
    }))

  it.scoped.each([["one input", one(), [4]], ["two inputs", both, [2, 2]]] as const)(
    "CK-16: of %s, a channel that gave its barrier waits, the others go on; then one barrier, and what has waited",
    ([, pipeline, channels]) =>
      Effect.gen(function*() {
        const rig = yield* Rig.make(pipeline as typeof both, { channels })
        yield* rig.barrier(1, 0)
        yield* rig.data(0, "behind")
        yield* rig.data(3, "x")
        yield* rig.data(3, "y")
        expect(rig.sent[0]).toEqual(["x", "y"])
        yield* rig.barrier(1, 1, 2)
        expect(rig.sent[0]).toEqual(["x", "y"])
        yield* rig.barrier(1, 3)
        expect(rig.sent[0]).toEqual(["x", "y", "barrier 1", "behind"])
      })
  )
})

describe("aborts", () => {
  it.scoped("CK-03, CK-04: one that comes before its trigger: a cancel marker goes on and nothing else is done, and it is forgotten", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one(), { channels: [2] })
      yield* rig.abort(42)
      expect(rig.sent[0]).toEqual([])
      yield* rig.barrier(42)
      expect(rig.sent[0]).toEqual(["cancel 42"])
      expect(rig.logged("op.prepare", "op.snapshot", "stored", "acknowledge", "decline")).toEqual([])
      yield* rig.data(0, "x")
      yield* rig.barrier(43)
      expect(rig.sent[0]).toEqual(["cancel 42", "x", "barrier 43"])
      expect(rig.logged("acknowledge")).toEqual(["acknowledge 43"])
    }))

  it.scoped("CK-04: so does a source", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(() => passing("op")(DataStream.fromStream(never)), { channels: [] })
      yield* rig.abort(42)
      yield* rig.trigger(42)
      expect(rig.sent[0]).toEqual(["cancel 42"])
      expect(rig.logged("op.snapshot", "acknowledge", "decline")).toEqual([])
    }))

  it.scoped("CK-04: one that comes while it waits for barriers, or for the end of its channels: those behind it are told not to wait", () =>
    Effect.gen(function*() {
      const aligning = yield* Rig.make(one(), { channels: [2] })
      yield* aligning.barrier(1, 0)
      yield* aligning.abort(1)
      yield* aligning.barrier(1, 1)
      yield* aligning.data(0, "x")
      expect(aligning.sent[0]).toEqual(["cancel 1", "x"])

      const ending = yield* Rig.make(one(), { finalCheckpoint: true })
      yield* ending.trigger(1)
      yield* ending.abort(1)
      yield* ending.ends(0)
      expect(ending.sent[0]).toEqual(["cancel 1", "end of data"])
      for (const rig of [aligning, ending]) expect(rig.logged("op.snapshot", "acknowledge", "decline")).toEqual([])
    }))

  // `last` reads a source twice: straight, and through `middle`
  it.scoped("CK-04: so nobody waits for ever, whichever of abort and barriers come first", () =>
    Effect.gen(function*() {
      const middle = yield* Rig.make(one(), { channels: [2] })
      const last = yield* Rig.make(one(), { channels: [2] })
      yield* middle.barrier(1, 0)
      yield* middle.abort(1)
      yield* last.abort(1)
      yield* middle.barrier(1, 1)
      yield* last.barrier(1, 0)
      if (middle.sent[0].includes("cancel 1")) yield* last.put(1, StreamElement.cancelCheckpointMarker(1))
      yield* last.data(0, "x")
      expect(last.sent[0]).toContain("x")
    }))

  it.scoped("CK-04: nor does a job: a savepoint is declined while its barriers are on their way, and all records come through", () =>
    Effect.gen(function*() {
      const [more, slow, reader] = [yield* Deferred.make<void>(), yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const given: Array<unknown> = []
      const decline: Hooks = { snapshotState: (ctx) => ctx.defer(Effect.fail("declined")) }
      const first = DataStream.fromStream(
        Stream.make(1).pipe(Stream.concat(Stream.fromEffect(Effect.as(Deferred.await(more), 2))), Stream.concat(never))
      ).pipe(
        passing("first", decline)
      )
      // takes no checkpoint while it waits
      const second = DataStream.fromStream(Stream.concat(Stream.make(3), never)).pipe(
        passing("second", { processElement: () => Deferred.await(slow) })
      )
      const middle = DataStream.union(first, second).pipe(DataStream.map((n) => `through ${n}`))
      const last = DataStream.union(first, middle).pipe(
        DataStream.runForEach((n) => Effect.map(Deferred.await(reader), () => void given.push(n)))
      )
      const handle = yield* Job.start(Job.make("diamond", last), { batchSize: 1 })
      yield* settle
      yield* Effect.exit(handle.savepoint)
      yield* settle
      yield* Deferred.succeed(reader, undefined)
      yield* settle
      yield* Deferred.succeed(more, undefined)
      yield* settle
      expect(new Set(given)).toEqual(new Set([1, 2, "through 1", "through 2"]))
    }).pipe(Effect.provide(memory)))

  it.scoped("CK-05: one that comes while the asynchronous part runs ends that, and nothing is said of it any more", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one(), { store: (id) => id === 1 ? Effect.never : Effect.void })
      yield* rig.barrier(1)
      yield* rig.abort(1)
      expect(rig.logged("stor", "acknowledge", "decline")).toEqual(["storing 1 interrupted"])
      yield* rig.barrier(2)
      expect(rig.sent[0]).toEqual(["barrier 1", "barrier 2"])
      expect(rig.logged("acknowledge")).toEqual(["acknowledge 2"])
    }))

  it.scoped("CK-06: one that comes after the snapshot still reaches every operator, and is not remembered", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(three())
      yield* rig.barrier(1)
      yield* rig.abort(1)
      expect(rig.logged("a.notify", "b.notify", "c.notify")).toEqual([
        "c.notifyCheckpointAborted 1",
        "b.notifyCheckpointAborted 1",
        "a.notifyCheckpointAborted 1"
      ])
      yield* rig.barrier(2)
      expect(rig.logged("acknowledge")).toEqual(["acknowledge 1", "acknowledge 2"])
    }))

  it.scoped("CK-18: 256 aborts of what was never triggered are remembered, of 297 the newest", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one())
      for (let id = 1; id <= 297; id++) yield* rig.task.notifyCheckpointAbortAsync(id, 0)
      for (const id of [40, 41, 42, 43, 297]) yield* rig.barrier(id)
      expect(rig.sent[0]).toEqual(["barrier 40", "barrier 41", "cancel 42", "cancel 43", "cancel 297"])
    }))
})

describe("notifications", () => {
  it.scoped("CK-09: after a restore from 3: none for 2 or 3, none for an abort that knows of nothing newer, and 5 and 6 once each", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one(), { restoredId: 3 })
      yield* rig.complete(2)
      yield* rig.complete(3)
      yield* rig.abort(4, 3)
      yield* rig.complete(5)
      yield* rig.abort(7, 6)
      yield* rig.complete(6)
      expect(rig.logged("op.notifyCheckpointComplete")).toEqual(["op.notifyCheckpointComplete 5", "op.notifyCheckpointComplete 6"])
    }))

  // what Flink's task keeps of its own beside its operators, and tells all the same, does not exist here
  it.scoped("CK-10: one that comes before the task runs, or after it has ended, reaches no operator", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const rig = yield* Rig.make(one(), { allInitialized: Deferred.await(gate) })
      yield* rig.complete(42)
      yield* Deferred.succeed(gate, undefined)
      yield* rig.settle
      expect(rig.task.state).toBe("running")
      yield* rig.ends(0)
      expect(rig.task.state).toBe("finished")
      yield* rig.complete(43)
      expect(rig.logged("op.notify")).toEqual([])
      expect(rig.logged("op.close")).toEqual(["op.close"])
    }))

  it.scoped.each(["notifyCheckpointComplete", "notifyCheckpointAborted"] as const)(
    "CK-17: %s goes from the tail to the head and reaches all, also where some fail; the first failure is the cause, the others follow it",
    (hook) =>
      Effect.gen(function*() {
        const told: Array<string> = []
        const telling = (name: string, failure: string | undefined): Hooks => ({
          [hook]: (id: number) => {
            told.push(`${name} ${id}`)
            return failure === undefined ? undefined : Effect.fail(failure)
          }
        })
        const rig = yield* Rig.make(three({ a: telling("a", "head"), b: telling("b", undefined), c: telling("c", "tail") }))
        yield* rig.barrier(1)
        yield* hook === "notifyCheckpointComplete" ? rig.complete(1) : rig.abort(1)
        expect(told).toEqual(["c 1", "b 1", "a 1"])
        const end = rig.end()!
        expect(end._tag === "failed" && Chunk.toArray(Cause.failures(end.cause))).toEqual(["tail", "head"])
      })
  )

  it.scoped("CK-17: operators that have finished are left out of snapshots and notifications, the others are not", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(three(), { restoredPhase: "finished" })
      yield* rig.barrier(1)
      yield* rig.complete(1)
      yield* rig.abort(2)
      expect(rig.logged("a.", "b.", "c.")).toEqual(["a.run", "b.run", "c.run"])
      expect(rig.reports.get(1)!.operators.map(({ phase }) => phase)).toEqual(["finished", "finished", "finished"])
    }))
})

describe("cancel and refusal", () => {
  it.scoped("CK-11: a cancel after the acknowledgement began removes nothing of what was stored", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one(), { acknowledge: () => Effect.never })
      yield* rig.barrier(1)
      yield* rig.cancel
      expect(rig.end()).toEqual({ _tag: "canceled" })
      expect(rig.logged("stor", "acknowledge", "decline", "remove")).toEqual(["stored 1", "acknowledge 1"])
    }))

  it.scoped("CK-12: a cancel before it: the asynchronous part ends, and nothing is acknowledged or declined", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(one(), { store: () => Effect.never })
      yield* rig.barrier(1)
      yield* rig.cancel
      expect(rig.end()).toEqual({ _tag: "canceled" })
      expect(rig.logged("stor", "acknowledge", "decline")).toEqual(["storing 1 interrupted"])
    }))

  it.scoped("CK-12: and what the job had stored of it is removed", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const memory = yield* CheckpointStorage.CheckpointStorage
      const watched: CheckpointStorage.Storage = {
        open: (job) =>
          Effect.map(memory.open(job), (store) => ({
            ...store,
            begin: (id) =>
              Effect.map(store.begin(id), (writer) => ({
                ...writer,
                abort: Effect.zipRight(writer.abort, Effect.sync(() => void calls.push(`remove ${id}`)))
              }))
          }))
      }
      const started = yield* Deferred.make<void>()
      const stuck: Hooks = { snapshotState: (ctx) => ctx.defer(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)) }
      const job = Job.make("stuck", DataStream.runForEach(passing("stuck", stuck)(DataStream.fromStream(never)), () => {}))
      const handle = yield* Effect.provideService(Job.start(job), CheckpointStorage.CheckpointStorage, watched)
      yield* Effect.forkScoped(handle.triggerCheckpoint)
      yield* Deferred.await(started)
      yield* handle.cancel
      expect(calls).toEqual(["remove 1"])
    }).pipe(Effect.provide(memory)))

  // the coordinator makes TASK_NOT_READY of the refusal (CC-10)
  it.scoped("CK-13: a task that does not run yet, or no longer, refuses, says nothing and sends nothing", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const source = yield* Rig.make(() => passing("op")(DataStream.range(1, 1)), { channels: [], allInitialized: Deferred.await(gate) })
      expect(source.task.state).toBe("initializing")
      expect(yield* source.trigger(1)).toBe(false)
      yield* Deferred.succeed(gate, undefined)
      yield* source.settle
      expect(source.task.state).toBe("finished")
      expect(yield* source.trigger(2)).toBe(false)
      expect(source.sent[0]).toEqual(["1", "watermark MAX", "end of data", "end of partition"])
      expect(source.logged("op.snapshot", "acknowledge", "decline")).toEqual([])
    }))

  // Flink's task sends a marker behind its refusal; here the coordinator's abort reaches every task, and the end of the channel counts as its barrier
  it.scoped.each(["before", "after"])(
    "CK-14: what reads a task that refused is not held up, the abort coming %s the other barrier",
    (when) =>
      Effect.gen(function*() {
        const reader = yield* Rig.make(one(), { channels: [2] })
        if (when === "before") yield* reader.abort(1)
        yield* reader.barrier(1, 0)
        yield* reader.data(0, "x")
        yield* when === "before" ? reader.ends(1) : reader.abort(1)
        expect(reader.sent[0].filter((line) => line !== "cancel 1")).toEqual(["x"])
        expect(reader.logged("op.snapshot", "acknowledge", "decline")).toEqual([])
      })
  )

  it.scoped.each(["prepareSnapshotPreBarrier", "snapshotState"] as const)(
    "CK-13: %s that throws fails the task, and nothing is acknowledged",
    (hook) =>
      Effect.gen(function*() {
        const rig = yield* Rig.make(one({
          [hook]: () => {
            throw new Error("broken")
          }
        }))
        yield* rig.barrier(1)
        const end = rig.end()!
        expect(end._tag === "failed" && String(Cause.squash(end.cause))).toBe("Error: broken")
        expect(rig.logged("acknowledge")).toEqual([])
      })
  )
})
