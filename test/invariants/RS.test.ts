/** Rows of area RS: what a restored job begins with. RS-06 to RS-09 are in test/checkpoint/StateAssignment.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, FiberId, Layer, Logger, Stream } from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, DataSource, DataStream, Job, Lifecycle } from "sluice"
import { Harness } from "sluice/testing"

type Numbers = DataStream.DataStream<number>

const memory = Layer.merge(CheckpointStorage.layerMemory, Logger.remove(Logger.defaultLogger))

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** what each operator was told when it initialized */
type Told = Record<string, { readonly id: number | undefined; readonly items: ReadonlyArray<number> }>

const telling = (name: string, told: Told, kept: ReadonlyArray<number> = [1]) => (input: Numbers) =>
  DataStream.transform(
    input,
    name,
    Effect.sync((): StreamOperator.PushOperator<number, number> => {
      let state: StreamOperator.OperatorListState<number>
      return {
        initializeState: (ctx) => {
          state = ctx.list<number>("kept", undefined)
          told[name] = { id: ctx.restoredCheckpointId, items: state.get() }
        },
        push: (n, timestamp, out) => out.emit(n, timestamp),
        snapshotState: () => state.set(kept)
      }
    })
  )

describe("restored operators", () => {
  const chain = (told: Told, head = "head", tail = "tail") => (input: Numbers) =>
    input.pipe(telling("head", told), DataStream.uid(head), telling("tail", told), DataStream.uid(tail))

  it.scoped("RS-01: an operator is restored if the checkpoint has its id, and then knows which checkpoint that was", () =>
    Effect.gen(function*() {
      const told: Told = {}
      const snapshot = yield* Effect.flatMap(Harness.oneInput(chain(told)), (h) => h.snapshot(7))
      const [fresh, restored] = [{ id: undefined, items: [] }, { id: 7, items: [1] }]
      assert.deepStrictEqual(told, { head: fresh, tail: fresh })
      yield* Harness.oneInput(chain(told), { restore: snapshot })
      assert.deepStrictEqual(told, { head: restored, tail: restored })
      yield* Harness.oneInput(chain(told, "another head"), { restore: snapshot })
      assert.deepStrictEqual(told, { head: fresh, tail: restored })
      yield* Harness.oneInput(chain(told, "head", "another tail"), { restore: snapshot })
      assert.deepStrictEqual(told, { head: restored, tail: fresh })
    }))

  it.scoped("RS-02: one whose entry is empty is restored all the same, also in a subtask that was not there before", () =>
    Effect.gen(function*() {
      const told: Told = {}
      const empty = (input: Numbers) => input.pipe(telling("empty", told, []), DataStream.uid("empty"))
      const without = (input: Numbers) => DataStream.uid(DataStream.map(empty(input), (n) => n), "without")
      const snapshot = yield* Effect.flatMap(Harness.oneInput(without), (h) => h.snapshot(3))
      yield* Harness.oneInput(without, { restore: snapshot, subtask: 1, parallelism: 2 })
      assert.deepStrictEqual(told.empty, { id: 3, items: [] })
      const replaced = (input: Numbers) => input.pipe(empty, telling("without", told), DataStream.uid("without"))
      yield* Harness.oneInput(replaced, { restore: snapshot })
      assert.deepStrictEqual(told.without, { id: 3, items: [] })
    }))

  it.scoped("RS-03: state is there before anything opens, and no completion up to the restored checkpoint is passed on", () =>
    Effect.gen(function*() {
      const told: Told = {}
      const completed: Array<number> = []
      const opened: Array<string> = []
      const pipeline = (input: Numbers) =>
        chain(told)(input).pipe(DataStream.transform(
          "watching",
          Effect.succeed<StreamOperator.PushOperator<number, number>>({
            open: Effect.sync(() => void opened.push(JSON.stringify(told.head))),
            push: (n, timestamp, out) => out.emit(n, timestamp),
            notifyCheckpointComplete: (id) => void completed.push(id)
          })
        ))
      const snapshot = yield* Effect.flatMap(Harness.oneInput(pipeline), (h) => h.snapshot(7))
      const h = yield* Harness.oneInput(pipeline, { restore: snapshot })
      assert.deepStrictEqual(opened, [`{"items":[]}`, `{"id":7,"items":[1]}`])
      yield* h.notifyCheckpointComplete(6)
      yield* h.notifyCheckpointComplete(7)
      assert.deepStrictEqual(completed, [])
      yield* h.notifyCheckpointComplete(8)
      assert.deepStrictEqual(completed, [8])
    }))

  it.scoped("RS-12: state follows the id that the user gave, whatever the operator is called and wherever it stands", () =>
    Effect.gen(function*() {
      const told: Told = {}
      const snapshot = yield* Effect.flatMap(
        Harness.oneInput((input: Numbers) =>
          input.pipe(telling("a", told, [1]), DataStream.uid("one"), telling("b", told, [2]), DataStream.uid("two"))
        ),
        (h) => h.snapshot(1)
      )
      yield* Harness.oneInput((input: Numbers) =>
        input.pipe(
          DataStream.map((n) => n),
          telling("x", told),
          DataStream.uid("two"),
          DataStream.filter(() => true),
          telling("y", told),
          DataStream.uid("one")
        ), { restore: snapshot })
      assert.deepStrictEqual([told.x, told.y], [{ id: 1, items: [2] }, { id: 1, items: [1] }])
    }))
})

describe("operators that had finished", () => {
  /** an input that ends at once, and one that waits to be let go */
  const two = (ending = "ending") => {
    const gate = Deferred.unsafeMake<void>(FiberId.none)
    const out: Array<number> = []
    const ended = DataStream.fromIterable([1, 2]).pipe(DataStream.uid(ending), DataStream.map((n) => n * 10), DataStream.uid("map"))
    const open = DataStream.fromStream(Stream.fromEffect(Effect.as(Deferred.await(gate), 3))).pipe(DataStream.uid("open"))
    const job = Job.make(
      "two",
      DataStream.union(ended, open).pipe(
        DataStream.map((n) => n),
        DataStream.uid("both"),
        DataStream.runForEach((n) => void out.push(n))
      )
    )
    return { job, gate, out }
  }

  /** stops once the first input has ended */
  const stopped = Effect.scoped(Effect.gen(function*() {
    const { job, out } = two()
    const ended: Array<string> = []
    const observe = ({ phase, vertex }: Lifecycle.LifecycleEvent) => void (phase === "finished" && ended.push(vertex))
    const start = Job.start(job, { checkpoint: { interval: "1 hour" } })
    const handle = yield* Effect.provideService(start, Lifecycle.LifecycleObserver, { observe })
    while (out.length < 2) yield* turn
    // one of its end, so that it has finished when the job stops
    yield* handle.triggerCheckpoint
    while (ended.length === 0) yield* turn
    yield* handle.stopWithSavepoint()
    assert.deepStrictEqual(out, [10, 20])
  }))

  it.effect("RS-10: they stay finished: none of their hooks runs, and the others go on", () =>
    Effect.gen(function*() {
      yield* stopped
      const events: Array<Lifecycle.LifecycleEvent> = []
      const { gate, job, out } = two()
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.provideService(Job.run(job), Lifecycle.LifecycleObserver, { observe: (event) => void events.push(event) })
      assert.deepStrictEqual(out, [3])
      const hooks = events.flatMap(({ operator, phase }) => operator === undefined || phase === "run" ? [] : [`${operator} ${phase}`])
      assert.deepStrictEqual(hooks.filter((each) => each.startsWith("fromIterable")), [])
      assert.include(hooks, "fromStream open")
    }).pipe(Effect.provide(memory)))

  it.effect("RS-11: one that had ended runs again where what it reads is new, and has not", () =>
    Effect.gen(function*() {
      yield* stopped
      const { gate, job, out } = two("new")
      yield* Deferred.succeed(gate, undefined)
      yield* Job.run(job, { restore: { savepoint: 2, allowNonRestoredState: true } })
      assert.deepStrictEqual(out.sort((a, b) => a - b), [3, 10, 20])
    }).pipe(Effect.provide(memory)))

  /** two splits: one is short, the other waits half way */
  const splits = (gate: Deferred.Deferred<void>) => {
    const size = { short: 2, long: 12 }
    return DataSource.make({
      name: "splits",
      splits: Effect.succeed(["short", "long"] as const),
      read: (split: "short" | "long", position: number | undefined) =>
        Effect.sync((): DataSource.SplitReader<string, number> => {
          let at = position ?? 0
          let ready = false
          return {
            poll: (max) => {
              if (!ready || at >= size[split]) return undefined
              ready = false
              const length = Math.min(max, at === 0 ? 2 : size[split] - at)
              const values = Array.from({ length }, (_, i) => `${split} ${at + i}`)
              at += length
              return { values, position: at }
            },
            fetch: Effect.suspend(() => {
              if (at >= size[split]) return Effect.succeed(false)
              ready = true
              return Effect.as(at > 0 ? Deferred.await(gate) : Effect.void, true)
            })
          }
        })
    })
  }

  it.effect("RS-11, L11: one whose first subtask had ended runs again as a whole where the source before it is rescaled", () => {
    const out: Array<string> = []
    const make = (gate: Deferred.Deferred<void>, parallelism: number) =>
      Job.make(
        "rescaled",
        DataStream.fromSource(splits(gate), { uid: "source", parallelism }).pipe(
          DataStream.map((row) => row),
          DataStream.uid("map"),
          DataStream.parallelism(2),
          DataStream.to({ _tag: "WriterSink", name: "out", open: () => Effect.succeed({ write: (row: string) => void out.push(row) }) }, {
            uid: "sink",
            parallelism: 2
          })
        )
      )
    return Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(make(gate, 2), { checkpoint: { interval: "1 hour" } })
        while (out.length < 4) yield* turn
        // one checkpoint lets the subtask of the short split finish
        yield* handle.triggerCheckpoint
        yield* Effect.repeatN(turn, 20)
        yield* handle.stopWithSavepoint()
      }))
      yield* Deferred.succeed(gate, undefined)
      yield* Job.run(make(gate, 3))
      const all = [...Array.from({ length: 12 }, (_, i) => `long ${i}`), "short 0", "short 1"]
      assert.deepStrictEqual(out.sort(), all.sort())
    }).pipe(Effect.provide(memory))
  })
})
