/** Rows of area CH: the operators of one task. CH-05 is in test/graph/JobGraph.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { StreamOperator } from "sluice"
import { ConnectedStreams, DataStream, Job, OutputTag } from "sluice"
import { Harness } from "sluice/testing"

type Numbers = DataStream.DataStream<number>

const quietly = { checkpoint: undefined, restart: "none" } as const

describe("a chain", () => {
  it.scoped("CH-01: each of eleven operators is stored and restored by itself, by its id", () =>
    Effect.gen(function*() {
      const restored: Array<readonly [operator: number, items: ReadonlyArray<number>]> = []
      const keeping = (i: number): StreamOperator.PushOperator<number, number> => {
        let state: StreamOperator.OperatorListState<number>
        return {
          initializeState: (ctx) => {
            state = ctx.list<number>("numbers", undefined)
            if (ctx.restoredCheckpointId !== undefined) restored.push([i, state.get()])
          },
          push: (n, timestamp, out) => out.emit(n, timestamp),
          snapshotState: () => state.set([42, 4711, i])
        }
      }
      const eleven = (input: Numbers) => {
        let stream = input
        for (let i = 0; i < 11; i++) {
          stream = stream.pipe(DataStream.transform(`keeping ${i}`, Effect.sync(() => keeping(i))), DataStream.uid(`keeping-${i}`))
        }
        return stream
      }
      const first = yield* Harness.oneInput(eleven)
      assert.deepStrictEqual(restored, [])
      const snapshot = yield* first.snapshot(1)
      assert.lengthOf(snapshot.metadata.operators.filter(({ subtasks }) => subtasks.some(({ states }) => states.length > 0)), 11)
      yield* Harness.oneInput(eleven, { restore: snapshot })
      assert.sameDeepMembers(restored, Array.from({ length: 11 }, (_, i) => [i, [42, 4711, i]] as const))
    }))

  it.effect.each([[true], [false]])(
    "CH-02: two sinks behind one operator, in its task: each gets everything, in order (codegen: %s)",
    ([codegen]) =>
      Effect.gen(function*() {
        const [first, second]: [Array<string>, Array<string>] = [[], []]
        const mapped = DataStream.range(1, 3).pipe(DataStream.map((n) => `${n}`))
        const job = Job.make(
          "fan out",
          mapped.pipe(DataStream.map((n) => `First: ${n}`), DataStream.runForEach((word) => void first.push(word))),
          mapped.pipe(DataStream.map((n) => `Second: ${n}`), DataStream.runForEach((word) => void second.push(word)))
        )
        const { records } = yield* Job.run(job, { ...quietly, codegen })
        assert.lengthOf(records, 1)
        assert.deepStrictEqual(first, ["First: 1", "First: 2", "First: 3"])
        assert.deepStrictEqual(second, ["Second: 1", "Second: 2", "Second: 3"])
      })
  )

  it.effect.each([[true], [false]])(
    "CH-02: tags lead to all who read them, in the same task, and to nobody else (codegen: %s)",
    ([codegen]) =>
      Effect.gen(function*() {
        const [one, other] = [OutputTag.make<number>("one"), OutputTag.make<number>("other")]
        const seen: Array<string> = []
        const split = DataStream.range(1, 3).pipe(
          DataStream.process({ onElement: (n, ctx) => ctx.output(n === 1 ? one : other, n) })
        )
        const to = (name: string, tag: OutputTag.OutputTag<number>) =>
          split.pipe(DataStream.sideOutput(tag), DataStream.runForEach((n) => void seen.push(`${name} ${n}`)))
        const job = Job.make("tags", to("a", one), to("b", one), to("c", other), DataStream.runForEach(split, () => void seen.push("main")))
        const { records } = yield* Job.run(job, { ...quietly, codegen })
        assert.lengthOf(records, 1)
        assert.deepStrictEqual(seen, ["a 1", "b 1", "c 2", "c 3"])
      })
  )
})

const twice = DataStream.flatMap((n: number) => [n, n])

describe("the counters of a task", () => {
  it.effect.each([[true], [false]])(
    "CH-03: in is what its head takes, out what its tail gives (codegen: %s)",
    ([codegen]) =>
      Effect.gen(function*() {
        const stream = DataStream.range(1, 5).pipe(twice, DataStream.startNewChain, DataStream.named("twice"), twice, twice)
        const job = Job.make("counters", stream.pipe(DataStream.map((n) => n), DataStream.startNewChain, DataStream.runForEach(() => {})))
        const { records } = yield* Job.run(job, { ...quietly, codegen })
        assert.deepStrictEqual(records.map((vertex) => [vertex.in, vertex.out]), [[5, 5], [5, 40], [40, 0]])
      })
  )

  it.effect("CH-03: with two inputs, in is what both take", () =>
    Effect.gen(function*() {
      const both = ConnectedStreams.map(
        ConnectedStreams.connect(DataStream.range(1, 5), DataStream.range(1, 3)),
        (n) => n,
        (n) => n
      )
      const stream = both.pipe(twice, twice, twice)
      const job = Job.make("counters", stream.pipe(DataStream.map((n) => n), DataStream.startNewChain, DataStream.runForEach(() => {})))
      const { records } = yield* Job.run(job, quietly)
      assert.sameDeepMembers(records.map((vertex) => [vertex.in, vertex.out]), [[5, 5], [3, 3], [8, 64], [64, 0]])
    }))

  it.effect.each([[true], [false]])(
    "CH-04: out counts what leaves the task by each tag once, however many read it (codegen: %s)",
    ([codegen]) =>
      Effect.gen(function*() {
        const odd = OutputTag.make<number>("odd")
        const apart = (stream: Numbers) => stream.pipe(DataStream.map((n) => n), DataStream.startNewChain, DataStream.runForEach(() => {}))
        const split = DataStream.fromIterable([2, 4, 6, 8, 10, 1, 3, 5]).pipe(
          DataStream.map((n) => n),
          DataStream.startNewChain,
          DataStream.named("pass"),
          DataStream.process({
            onElement: (n, ctx) => {
              if (n % 2 === 1) ctx.output(odd, n)
              return [n]
            }
          })
        )
        const side = DataStream.sideOutput(split, odd)
        const job = Job.make("counters", apart(side), apart(side), apart(split), apart(twice(split)))
        const { records } = yield* Job.run(job, { ...quietly, codegen })
        assert.deepStrictEqual(records.filter(({ vertex }) => vertex.startsWith("pass")).map((vertex) => [vertex.in, vertex.out]), [[
          8,
          27
        ]])
      })
  )
})
