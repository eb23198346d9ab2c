/** FC: checkpoints at and after the end of data, and savepoints that stop a job. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Schedule, Stream } from "effect"
import type { StreamOperator } from "sluice"
import { Checkpoint, CheckpointStorage, ConnectedStreams, DataStream, Job, Lifecycle, StreamElement, Watermark } from "sluice"
import { Ledger, Observer } from "sluice/testing"
import * as Rig from "../support/TaskRig.js"

type Numbers = DataStream.DataStream<any, any>
type Hooks = Partial<StreamOperator.StreamOperator<any, any, any>>

const never = Stream.never

const passing = (name: string, hooks: Hooks = {}) => (input: Numbers): Numbers =>
  DataStream.transform(
    input,
    name,
    Effect.succeed<StreamOperator.StreamOperator<any, any, any>>({
      processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
      ...hooks
    })
  )

/** a task that waits for a final checkpoint */
const waiting = (options: Rig.Options = {}, hooks: Hooks = {}) => Rig.make(passing("op", hooks), { finalCheckpoint: true, ...options })

/** records, then nothing until the test ends */
const source = (...values: ReadonlyArray<number>) => () =>
  passing("op")(DataStream.fromStream(Stream.concat(Stream.fromIterable(values), never)))

/** a source that ends */
const bounded = () => passing("op")(DataStream.range(1, 2))

const memory = Layer.merge(CheckpointStorage.layerMemory, Logger.remove(Logger.defaultLogger))

const stop = { suspend: Checkpoint.savepoint("suspend"), drain: Checkpoint.savepoint("drain") }

describe("the final checkpoint of a task", () => {
  it.scoped("FC-01, FC-07: before the end of data operators are reported as running, after it a checkpoint is still taken, as finishing", () =>
    Effect.gen(function*() {
      const rig = yield* waiting()
      yield* rig.barrier(2)
      yield* rig.put(0, StreamElement.endOfData(true))
      expect(rig.logged("op.finish")).toEqual(["op.finish"])
      yield* rig.barrier(4)
      expect([2, 4].map((id) => rig.reports.get(id)!.operators.map(({ phase }) => phase))).toEqual([["running"], ["finishing"]])
    }))

  it.scoped("FC-02: channels end one by one; the task ends after the checkpoint that was triggered behind them all", () =>
    Effect.gen(function*() {
      const rig = yield* waiting({ channels: [3], outputs: 2 })
      yield* rig.barrier(2)
      yield* rig.complete(2)
      yield* rig.ends(0)
      yield* rig.barrier(4, 1, 2)
      yield* rig.complete(4)
      yield* rig.ends(1)
      yield* rig.ends(2)
      expect(rig.task.state).toBe("awaitingFinalCheckpoint")
      expect(yield* rig.trigger(6)).toBe(true)
      expect(rig.task.state).toBe("awaitingFinalCheckpoint")
      yield* rig.complete(6)
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.logged("acknowledge", "op.notify")).toEqual([
        "acknowledge 2",
        "op.notifyCheckpointComplete 2",
        "acknowledge 4",
        "op.notifyCheckpointComplete 4",
        "acknowledge 6",
        "op.notifyCheckpointComplete 6"
      ])
      for (const sent of rig.sent) expect(sent).toEqual(["barrier 2", "barrier 4", "end of data", "barrier 6", "end of partition"])
    }))

  it.scoped("FC-03: of three triggered behind the end only the last completes, and is the final one; one from before it is not", () =>
    Effect.gen(function*() {
      const rig = yield* waiting()
      yield* rig.barrier(1)
      yield* rig.put(0, StreamElement.endOfData(true))
      yield* rig.complete(1)
      expect(rig.task.state).toBe("awaitingFinalCheckpoint")
      for (const id of [2, 3, 4]) yield* rig.barrier(id)
      yield* rig.abort(2, 1)
      expect(rig.task.state).toBe("awaitingFinalCheckpoint")
      yield* rig.complete(4)
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.sent[0]).toEqual(["barrier 1", "end of data", "barrier 2", "barrier 3", "barrier 4", "end of partition"])
    }))

  // the end of data itself is always sent on: it is what ends the readers
  it.scoped("FC-04: where none is wanted the task does not wait", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(passing("op"))
      yield* rig.ends(0)
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.life.map(({ phase }) => phase)).not.toContain("finalCheckpoint")
    }))

  it.scoped.each(["input", "source"])(
    "FC-06: a savepoint that stops the job, triggered behind the final checkpoint of %s, is what it ends with",
    (kind) =>
      Effect.gen(function*() {
        for (const savepoint of [stop.suspend, stop.drain]) {
          const rig = kind === "input" ? yield* waiting() : yield* Rig.make(bounded, { channels: [], finalCheckpoint: true })
          if (kind === "input") yield* rig.ends(0)
          yield* rig.trigger(6)
          yield* rig.trigger(7, savepoint)
          yield* rig.complete(6)
          expect(rig.task.state).toBe("awaitingFinalCheckpoint")
          yield* rig.complete(7)
          expect(rig.end()).toEqual({ _tag: "finished", stopped: true })
          expect(rig.sent[0].slice(-4)).toEqual(["end of data", "barrier 6", "barrier 7", "end of partition"])
        }
      })
  )

  it.scoped.each(
    [
      ["aligned", undefined],
      ["unaligned", { alignment: "unaligned" }],
      ["aligned with a timeout", { alignment: { alignedTimeout: 10 } }]
    ] as const
  )("FC-27: channels end between checkpoints that are %s, and each one completes", ([kind, checkpoint]) =>
    Effect.gen(function*() {
      const rig = yield* waiting({ channels: [3], ...checkpoint === undefined ? {} : { checkpoint } })
      const barriers = kind === "unaligned" ? rig.overtake : rig.barrier
      yield* barriers(2)
      yield* rig.complete(2)
      yield* rig.ends(0)
      yield* barriers(4, 1)
      // what has to wait for it does so for longer than the timeout
      if (kind !== "unaligned") yield* rig.advance(10)
      yield* rig.data(2, "before")
      yield* rig.data(1, "behind")
      yield* barriers(4, 2)
      yield* rig.complete(4)
      yield* rig.ends(1)
      yield* rig.ends(2)
      expect(yield* rig.trigger(6)).toBe(true)
      yield* rig.complete(6)
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 2", "acknowledge 4", "acknowledge 6"])
      expect([2, 4, 6].map(rig.captured)).toEqual([0, kind === "aligned" ? 0 : 1, 0])
      const sent = rig.sent[0].filter((line) => !line.includes("barrier"))
      expect(sent).toEqual(["before", "behind", "end of data", "end of partition"])
    }))

  it.scoped("FC-02: two that were triggered before the channels had ended are both taken, behind what was in them", () =>
    Effect.gen(function*() {
      const rig = yield* waiting()
      yield* rig.trigger(5, Checkpoint.savepoint())
      yield* rig.trigger(6)
      yield* rig.data(0, "x")
      yield* rig.ends(0)
      expect(rig.sent[0]).toEqual(["x", "end of data", "barrier 5", "barrier 6"])
      expect(rig.logged("acknowledge")).toEqual(["acknowledge 5", "acknowledge 6"])
    }))

  it.scoped("FC-02: of two, one that is aborted meanwhile is not", () =>
    Effect.gen(function*() {
      const rig = yield* waiting()
      yield* rig.trigger(5)
      yield* rig.trigger(6)
      yield* rig.abort(5)
      yield* rig.ends(0)
      expect(rig.logged("acknowledge", "op.snapshot")).toEqual(["op.snapshotState 6", "acknowledge 6"])
      expect(rig.sent[0]).toEqual(["cancel 5", "end of data", "barrier 6"])
    }))

  it.scoped("FC-08: the task does not end while what it stores of another checkpoint is under way", () =>
    Effect.gen(function*() {
      const disk = yield* Deferred.make<void>()
      const rig = yield* waiting({ store: (id) => id === 2 ? Deferred.await(disk) : Effect.void })
      yield* rig.ends(0)
      yield* rig.trigger(1)
      yield* rig.trigger(2)
      yield* rig.complete(1)
      expect(rig.end()).toBeUndefined()
      expect(rig.logged("op.close")).toEqual([])
      yield* Deferred.succeed(disk, undefined)
      yield* rig.settle
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.logged("acknowledge", "op.close")).toEqual(["acknowledge 1", "acknowledge 2", "op.close"])
    }))

  it.scoped("FC-09: a source that has ended: the end of event time, the end of data, then the barrier", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(bounded, { channels: [], outputs: 2, finalCheckpoint: true })
      yield* rig.trigger(2)
      for (const sent of rig.sent) expect(sent).toEqual(["1", "2", "watermark MAX", "end of data", "barrier 2"])
    }))
})

describe("a task that ends before those behind it", () => {
  // Flink's task waits until its readers have confirmed all that it sent; here its channels outlive it
  it.scoped("FC-05: loses nothing of what they have not read yet", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const observer = {
        observe: ({ phase, vertex }: Lifecycle.LifecycleEvent) => {
          if (phase === "finished" && vertex === "range") Deferred.unsafeDone(ended, Effect.void)
        }
      }
      const given: Array<number> = []
      const stream = DataStream.range(1, 10).pipe(
        DataStream.rebalance,
        DataStream.runForEach((n) => Effect.map(Deferred.await(gate), () => void given.push(n)))
      )
      const handle = yield* Effect.provideService(
        Job.start(Job.make("slow reader", stream), { chaining: false, batchSize: 1 }),
        Lifecycle.LifecycleObserver,
        observer
      )
      yield* Deferred.await(ended)
      expect(given).toEqual([])
      yield* Deferred.succeed(gate, undefined)
      yield* handle.await
      expect(given).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    }).pipe(Effect.provide(memory)))
})

describe("restored as finished", () => {
  /** an operator that must not even be made */
  const forbidden = (name: string) => (input: Numbers): Numbers =>
    DataStream.transform(input, name, Effect.dieMessage(`${name} is made`) as Effect.Effect<StreamOperator.StreamOperator<any, any>>)

  it.scoped("FC-28: a checkpoint whose barriers overtake is acknowledged once they have come from all channels", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(forbidden("op"), {
        channels: [3],
        restoredPhase: "finished",
        checkpoint: { alignment: "unaligned" }
      })
      yield* rig.overtake(2, 0, 1)
      expect(rig.sent[0]).toEqual(["overtaking barrier 2"])
      expect(rig.logged("acknowledge")).toEqual([])
      yield* rig.overtake(2, 2)
      expect(rig.logged("acknowledge", "decline")).toEqual(["acknowledge 2"])
    }))

  it.scoped("FC-10, FC-13: no operator is made or called; a checkpoint passes and reports them as finished; event time and data end", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make((input) => input.pipe(forbidden("a"), forbidden("b")), { channels: [3], restoredPhase: "finished" })
      yield* rig.barrier(2)
      expect(rig.reports.get(2)).toEqual({
        handle: undefined,
        operators: ["a", "b"].map((name) => ({ uid: expect.stringContaining(name), phase: "finished", states: [] }))
      })
      yield* rig.complete(2)
      yield* rig.onAll(StreamElement.Watermark.make(Watermark.MAX), StreamElement.endOfData(true), StreamElement.endOfPartition)
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.sent[0]).toEqual(["barrier 2", "watermark MAX", "end of data", "end of partition"])
      expect(rig.logged("a.", "b.")).toEqual(["a.run", "b.run"])
    }))

  it.scoped("FC-11: nor of two inputs", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(
        (first, second) =>
          ConnectedStreams.transform(
            ConnectedStreams.connect(first, second),
            "op",
            Effect.dieMessage("op is made") as Effect.Effect<StreamOperator.TwoInputStreamOperator<any, any, any>>
          ),
        { channels: [1, 2], restoredPhase: "finished" }
      )
      yield* rig.onAll(StreamElement.Watermark.make(Watermark.MAX), StreamElement.endOfData(true), StreamElement.endOfPartition)
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.sent[0]).toEqual(["watermark MAX", "end of data", "end of partition"])
      expect(rig.logged("op.")).toEqual(["op.run"])
    }))

  it.scoped("FC-12: nor of a source: it reads nothing", () =>
    Effect.gen(function*() {
      let read = 0
      const stream = DataStream.fromStream(Stream.sync(() => ++read))
      const rig = yield* Rig.make(() => forbidden("op")(stream), { channels: [], restoredPhase: "finished" })
      expect(rig.end()).toEqual({ _tag: "finished", stopped: false })
      expect(rig.sent[0]).toEqual(["watermark MAX", "end of data", "end of partition"])
      expect(read).toBe(0)
    }))
})

describe("a savepoint that stops a task", () => {
  it.scoped.each(
    [
      ["drain", ["watermark MAX", "end of data"]],
      ["suspend", ["end of data, no drain"]]
    ] as const
  )(
    "FC-14: a source, with %s: its records, its end, the barrier; it ends when the savepoint is complete",
    ([mode, ends]) =>
      Effect.gen(function*() {
        // as the coordinator says while it stops a job
        const rig = yield* Rig.make(source(1, 2, 3), { channels: [], finalCheckpoint: true })
        yield* rig.trigger(31)
        expect(rig.sent[0]).toEqual(["1", "2", "3", "barrier 31"])
        yield* rig.complete(31)
        expect(yield* rig.trigger(34, stop[mode])).toBe(true)
        expect(rig.sent[0].slice(4)).toEqual([...ends, "barrier 34"])
        expect(rig.task.state).toBe("awaitingFinalCheckpoint")
        yield* rig.complete(34)
        expect(rig.end()).toEqual({ _tag: "finished", stopped: true })
        expect(rig.logged("op.endInput", "op.finish")).toEqual(mode === "drain" ? ["op.endInput", "op.finish"] : [])
      })
  )

  it.scoped.each(["drain", "suspend"] as const)(
    "FC-14: %s of a source that is ending by itself: its end comes first all the same",
    (mode) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const busy = DataStream.mapEffect(DataStream.range(1, 2), (n) => Effect.as(Deferred.await(gate), n))
        const rig = yield* Rig.make(() => busy, { channels: [], finalCheckpoint: true })
        expect(rig.task.state).toBe("ending")
        yield* rig.trigger(7, stop[mode])
        yield* Deferred.succeed(gate, undefined)
        yield* rig.settle
        expect(rig.sent[0]).toEqual(["1", "2", "watermark MAX", "end of data", "barrier 7"])
        yield* rig.complete(7)
        expect(rig.end()).toEqual({ _tag: "finished", stopped: true })
      })
  )

  it.scoped.each(["drain", "suspend"] as const)(
    "FC-15: what reads it, with %s: the input ends for its operators only with drain",
    (mode) =>
      Effect.gen(function*() {
        const rig = yield* waiting()
        yield* rig.put(0, StreamElement.endOfData(mode === "drain"), Rig.barrierOf(1, stop[mode]))
        yield* rig.complete(1)
        expect(rig.end()).toEqual({ _tag: "finished", stopped: true })
        expect(rig.logged("op.endInput", "op.finish")).toEqual(mode === "drain" ? ["op.endInput", "op.finish"] : [])
      })
  )

  it.scoped("FC-16: without drain timers are quiesced and what was to be run has run; only the end of input and finish are left out", () =>
    Effect.gen(function*() {
      const done: Array<string> = []
      let context: StreamOperator.OperatorContext<any>
      const rig = yield* waiting({}, {
        setup: (ctx) => {
          context = ctx
        },
        processElement: ({ value }) => {
          context.processingTime.schedule(10, () => void done.push("timer"))
          context.execute(() => void done.push(`mail of ${value}`))
        }
      })
      yield* rig.data(0, 1)
      yield* rig.data(0, 2)
      yield* rig.put(0, StreamElement.endOfData(false), Rig.barrierOf(1, stop.suspend))
      yield* rig.advance(1000)
      expect(done).toEqual(["mail of 1", "mail of 2"])
      expect(rig.life.map(({ phase }) => phase)).toContain("quiesceTimers")
      yield* rig.complete(1)
      expect(rig.logged("op.endInput", "op.finish", "op.snapshotState")).toEqual(["op.snapshotState 1"])
    }))

  it.scoped("FC-17: a source that is being stopped is not stopped once more", () =>
    Effect.gen(function*() {
      const rig = yield* Rig.make(source(1), { channels: [] })
      yield* rig.task.triggerCheckpointAsync(Rig.barrierOf(1, stop.suspend))
      yield* rig.trigger(2, stop.drain)
      expect(rig.sent[0]).toEqual(["1", "end of data, no drain", "barrier 1"])
    }))
})

const settle = Effect.repeatN(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), 20)

const failureOf = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit.value

const kept = (job: string) =>
  Effect.scoped(Effect.flatMap(CheckpointStorage.CheckpointStorage, (storage) => Effect.flatMap(storage.open(job), (store) => store.list)))

/** an endless job of two vertices */
const endless = (hooks: Hooks = {}, name = "endless") =>
  Job.make(name, DataStream.runForEach(passing("op", hooks)(DataStream.rebalance(DataStream.fromStream(never))), () => {}))

describe("a savepoint that stops a job", () => {
  it.scoped.each([true, false])(
    "FC-18: every operator snapshots it once and is told once, after that, with drain %s; nothing newer is taken",
    (drain) =>
      Effect.gen(function*() {
        const observer = Observer.recording()
        const job = Job.make(
          "stop",
          DataStream.runForEach(passing("op")(DataStream.rebalance(DataStream.range(1, 1_000_000_000))), () => {})
        )
        const handle = yield* Effect.provideService(Job.start(job, { parallelism: 2 }), Lifecycle.LifecycleObserver, observer)
        yield* handle.triggerCheckpoint
        const { id } = yield* handle.stopWithSavepoint({ drain })
        expect(yield* handle.status).toBe("stopped")
        const of = new Map<string, Array<string>>()
        for (const { checkpointId, operator, phase, subtask } of observer.events) {
          if (checkpointId === undefined || (phase !== "snapshotState" && phase !== "notifyCheckpointComplete")) continue
          const who = `${operator}[${subtask}]`
          of.set(who, [...of.get(who) ?? [], `${phase} ${checkpointId}`])
        }
        expect(of.size).toBe(5)
        for (const steps of of.values()) expect(steps.slice(-2)).toEqual([`snapshotState ${id}`, `notifyCheckpointComplete ${id}`])
        for (const steps of of.values()) expect(new Set(steps).size).toBe(steps.length)
      }).pipe(Effect.provide(memory))
  )

  it.scoped.each([true, false])(
    "FC-22, FC-24: complete, with drain %s, it is there, the job has stopped, and nothing newer is taken",
    (drain) =>
      Effect.gen(function*() {
        const handle = yield* Job.start(endless())
        const { id, location } = yield* handle.stopWithSavepoint({ drain })
        expect(location).toContain(String(id))
        expect(yield* handle.await).toMatchObject({ status: "stopped", checkpoints: { lastId: id } })
        expect(yield* kept("endless")).toEqual([id])
      }).pipe(Effect.provide(memory))
  )

  it.scoped("FC-17, FC-24: what is asked for while it stops is refused, and does not get in its way", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const given: Array<number> = []
      const stream = DataStream.fromStream(Stream.concat(Stream.make(1), never)).pipe(
        DataStream.mapEffect((n) => Effect.as(Deferred.await(gate), n)),
        DataStream.runForEach((n) => void given.push(n))
      )
      const handle = yield* Job.start(Job.make("busy", stream))
      yield* settle
      const stopping = yield* Effect.fork(handle.stopWithSavepoint({ drain: true }))
      yield* settle
      const others = yield* Effect.all([handle.triggerCheckpoint, handle.savepoint].map((other) => Effect.fork(other)))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      yield* settle
      expect(stopping.unsafePoll()).toMatchObject({ _tag: "Success", value: { id: 1 } })
      for (const other of others) {
        expect(failureOf(other.unsafePoll()!)).toMatchObject({ _tag: "CheckpointFailed", reason: "TASK_NOT_READY" })
      }
      expect(given).toEqual([1])
    }).pipe(Effect.provide(memory)))

  it.scoped("FC-14, L9: drained while a source is ending by itself, the job's sink has committed what was still under way", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const ledger = Ledger.make<number>()
      const stream = DataStream.range(1, 3).pipe(
        DataStream.mapEffect((n) => Effect.as(Deferred.await(gate), n)),
        DataStream.to(ledger.sink)
      )
      const handle = yield* Job.start(Job.make("ending", stream), { checkpoint: { interval: "1 hour" } })
      yield* settle
      const stopping = yield* Effect.fork(handle.stopWithSavepoint({ drain: true }))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stopping)
      expect(yield* handle.status).toBe("stopped")
      expect(ledger.visible()).toEqual([1, 2, 3])
    }).pipe(Effect.provide(memory)))

  const failing = (): Hooks => {
    let broken = true
    return {
      snapshotState: (ctx) => {
        if (!broken) return
        broken = false
        ctx.defer(Effect.fail("disk full"))
      }
    }
  }

  it.scoped("FC-15, FC-22, FC-25: failed, the request fails, and so does the job where it does not restart", () =>
    Effect.gen(function*() {
      const handle = yield* Job.start(endless(failing()))
      expect(failureOf(yield* Effect.exit(handle.stopWithSavepoint()))).toMatchObject({
        _tag: "CheckpointFailed",
        reason: "ASYNC_EXCEPTION"
      })
      expect(failureOf(yield* Effect.exit(handle.await))).toMatchObject({
        _tag: "JobFailed",
        cause: { error: { _tag: "CheckpointFailed", detail: expect.stringContaining("disk full") } }
      })
      expect(yield* handle.status).toBe("failed")
    }).pipe(Effect.provide(memory)))

  it.scoped("FC-22: where it does restart, the request fails, and the job goes on with its checkpoints", () =>
    Effect.gen(function*() {
      const handle = yield* Job.start(endless(failing()), { restart: Schedule.recurs(1) })
      expect(failureOf(yield* Effect.exit(handle.stopWithSavepoint()))).toMatchObject({ _tag: "CheckpointFailed" })
      yield* settle
      expect(yield* handle.status).toBe("running")
      for (let i = 0; i < 10; i++) yield* handle.triggerCheckpoint
      expect(yield* handle.metrics).toMatchObject({ restarts: 1, checkpoints: { completed: 10 } })
    }).pipe(Effect.provide(memory)))

  /** fails behind the savepoint */
  const late = (): Hooks => {
    let broken = true
    return {
      notifyCheckpointComplete: () => {
        if (!broken) return
        broken = false
        return Effect.fail("late")
      }
    }
  }

  it.scoped("FC-24: complete, but a task fails after it: the request fails with the job, and the savepoint stays", () =>
    Effect.gen(function*() {
      const handle = yield* Job.start(endless(late()))
      expect(failureOf(yield* Effect.exit(handle.stopWithSavepoint()))).toMatchObject({ _tag: "JobFailed", cause: { error: "late" } })
      expect(yield* kept("endless")).toEqual([1])
    }).pipe(Effect.provide(memory)))

  it.scoped("FC-24: where the job starts again instead, the request fails too, and the savepoint stays", () =>
    Effect.gen(function*() {
      const handle = yield* Job.start(endless(late()), { restart: Schedule.recurs(1) })
      const asked = yield* Effect.fork(handle.stopWithSavepoint())
      yield* settle
      yield* settle
      expect(yield* handle.status).toBe("running")
      const exit = asked.unsafePoll()
      expect(exit !== null && Exit.isFailure(exit)).toBe(true)
      yield* handle.cancel
      expect(yield* kept("endless")).toEqual([1])
    }).pipe(Effect.provide(memory)))
})
