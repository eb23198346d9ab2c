import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, Schema } from "effect"
import type { CheckpointStorage } from "sluice"
import { Checkpoint, DataStream, Job, JobOptions, KeyedStream, KeyGroup, StreamError } from "sluice"
import * as StateAssignment from "../../src/checkpoint/StateAssignment.js"
import * as JobGraph from "../../src/graph/JobGraph.js"
import * as Codec from "../../src/state/Codec.js"
import * as Shape from "../../src/state/Shape.js"
import { NO_NAMESPACE, StateTable } from "../../src/state/StateTable.js"
import type { OperatorRestore } from "../../src/task/OperatorRestore.js"
import * as SnapshotFile from "../../src/task/SnapshotFile.js"

type MapKey = KeyGroup.MapKey

/** what one subtask of one operator holds */
interface SubtaskState {
  readonly phase: Checkpoint.OperatorPhase
  readonly keyed: { readonly [state: string]: ReadonlyMap<MapKey, number> }
  readonly split: { readonly [state: string]: ReadonlyArray<unknown> }
  readonly union: { readonly [state: string]: ReadonlyArray<unknown> }
}

interface OperatorStates {
  readonly uid: string
  readonly maxParallelism: number
  readonly subtasks: ReadonlyArray<Partial<SubtaskState>>
}

const codec = Codec.fromSchema(Schema.Number)
const shape = Shape.fromSchema(Schema.Number)

const chunksOf = (entries: ReadonlyMap<MapKey, number>): ReadonlyArray<Uint8Array> => {
  const table = new StateTable<number>(codec)
  for (const [key, value] of entries) table.set(table.only, NO_NAMESPACE, key, value)
  const snapshot = table.snapshot()
  const chunks: Array<Uint8Array> = []
  for (let chunk = snapshot.next(); chunk !== undefined; chunk = snapshot.next()) chunks.push(chunk)
  return chunks
}

/** a checkpoint in memory: one file for each subtask of all operators, as of a chain, and what was read of it */
const storeOf = (id: number, operators: ReadonlyArray<OperatorStates>, version = Checkpoint.FORMAT_VERSION) => {
  const files = new Map<string, Uint8Array>()
  const read: Array<string> = []
  const described = new Map<string, ReadonlyArray<Checkpoint.StateDescription>>()
  const subtasks = Math.max(0, ...operators.map((operator) => operator.subtasks.length))
  for (let subtask = 0; subtask < subtasks; subtask++) {
    const bytes: Array<number> = []
    const snapshots = operators.flatMap(({ subtasks, uid }) => {
      const state = subtasks[subtask]
      if (state === undefined) return []
      const states = [
        ...Object.entries(state.split ?? {}).map(([name, items]) => ({
          name,
          kind: "operator" as const,
          redistribution: "split" as const,
          items
        })),
        ...Object.entries(state.union ?? {}).map(([name, items]) => ({
          name,
          kind: "operator" as const,
          redistribution: "union" as const,
          items
        })),
        ...Object.entries(state.keyed ?? {}).map(([name, entries]) => ({
          name,
          kind: "keyed" as const,
          redistribution: "split" as const,
          entries
        }))
      ]
      return [{
        uid,
        phase: state.phase ?? "running",
        cancel: () => {},
        write: <E>(sink: {
          readonly begin: (state: Omit<Checkpoint.StateDescription, "entries">) => Effect.Effect<void, E>
          readonly chunk: (bytes: Uint8Array) => Effect.Effect<void, E>
        }) =>
          Effect.forEach(states, (each) => {
            const description = { name: each.name, kind: each.kind, redistribution: each.redistribution, shape }
            const chunks = each.kind === "keyed" ? chunksOf(each.entries) : each.items.length === 0 ? [] : [Codec.pack(each.items)]
            return sink.begin(description).pipe(
              Effect.zipRight(Effect.forEach(chunks, sink.chunk)),
              Effect.as({ ...description, entries: each.kind === "keyed" ? each.entries.size : each.items.length })
            )
          })
      }]
    })
    const written = Effect.runSync(
      SnapshotFile.write(snapshots, { start: 0, end: 0 }, (piece) => Effect.sync(() => void bytes.push(...piece)))
    )
    for (const { states, uid } of written) described.set(`${uid} ${subtask}`, states)
    files.set(`subtask-${subtask}`, Uint8Array.from(bytes))
  }
  const metadata: Checkpoint.CheckpointMetadata = {
    version,
    job: "job",
    id,
    kind: Checkpoint.checkpoint,
    timestamp: 1,
    operators: operators.map(({ maxParallelism, subtasks, uid }) => ({
      uid,
      name: `name of ${uid}`,
      parallelism: subtasks.length,
      maxParallelism,
      subtasks: subtasks.map(({ phase }, subtask) => {
        const states = described.get(`${uid} ${subtask}`)!
        const file = `subtask-${subtask}`
        return {
          subtask,
          phase: phase ?? "running",
          handle: states.length === 0 ? undefined : { file, bytes: files.get(file)!.length, checksum: "of no matter" },
          states
        }
      })
    }))
  }
  const unused = Effect.die("not asked for by a restore")
  const store: CheckpointStorage.CheckpointStore = {
    begin: () => unused,
    list: unused,
    metadata: (asked) => asked === id ? Effect.succeed(metadata) : Effect.die(`no checkpoint ${asked}`),
    read: (asked, { file }) =>
      Effect.suspend(() => {
        assert.strictEqual(asked, id)
        read.push(file)
        const bytes = files.get(file)
        return bytes === undefined ? new StreamError.CheckpointCorrupt({ file, expected: "x", found: "missing" }) : Effect.succeed(bytes)
      }),
    discard: () => unused,
    highestId: unused,
    finished: unused,
    finish: () => unused,
    location: (asked) => `here/chk-${asked}`
  }
  return { files, read, store }
}

const sink = { _tag: "WriterSink", name: "sink", open: () => Effect.succeed({ write: () => {} }) } as const

/** a job with a keyed operator "count", and with a stateless one "out" in its chain */
const graphOf = (parallelism: number, maxParallelism: number): JobGraph.JobGraph => {
  const stream = DataStream.range(0, 9).pipe(
    DataStream.uid("in"),
    KeyedStream.keyBy((n) => n),
    KeyedStream.reduce((a, b) => a + b),
    DataStream.uid("count"),
    DataStream.disableChaining
  )
  const job = Job.make("job", DataStream.to(stream, sink, { uid: "out" }))
  return Either.getOrThrow(JobGraph.make(job.name, job.ends, JobOptions.resolve({ parallelism, maxParallelism })))
}

const vertexOf = (graph: JobGraph.JobGraph, uid: string) =>
  graph.vertices.find((vertex) => vertex.chain.some((operator) => operator.uid === uid))!

const assign = (operators: ReadonlyArray<OperatorStates>, parallelism: number, maxParallelism: number, allowNonRestoredState = false) => {
  const graph = graphOf(parallelism, maxParallelism)
  const { read, store } = storeOf(7, operators)
  const assignment = Effect.runSync(StateAssignment.make(graph, store, 7, allowNonRestoredState))
  const vertex = vertexOf(graph, "count")
  return { read, assignment, restores: Array.from({ length: parallelism }, (_, subtask) => assignment.restore(vertex, subtask)("count")) }
}

const refused = (operators: ReadonlyArray<OperatorStates>, maxParallelism: number, allowNonRestoredState = false, version?: number) =>
  Effect.runSync(
    Effect.flip(StateAssignment.make(graphOf(2, maxParallelism), storeOf(7, operators, version).store, 7, allowNonRestoredState))
  )

/** which subtask has a key */
const owner = (key: MapKey, parallelism: number, maxParallelism: number): number =>
  Math.floor(KeyGroup.of(key, maxParallelism) * parallelism / maxParallelism)

/** what a task makes of the keyed state that it is given */
const load = (restore: OperatorRestore, state: string, wanted: (key: MapKey) => boolean): ReadonlyMap<MapKey, number> => {
  const table = new StateTable<number>(codec)
  let loaded = 0
  const accept = (key: MapKey) => {
    const take = !restore.filter || wanted(key)
    if (take) loaded++
    return take
  }
  for (const chunk of restore.keyed.get(state)?.chunks ?? []) table.load(chunk, accept)
  assert.strictEqual(table.size, loaded, "no key comes twice")
  return new Map(Array.from(table.only, ([key, { value }]) => [key, value]))
}

const keyOf = fc.oneof(
  fc.integer({ min: -50, max: 50 }),
  fc.string({ maxLength: 3 }),
  fc.boolean(),
  fc.constantFrom<MapKey>(null, "\0{\"a\":1}", 1.5, 7n)
)
const entries = fc.array(fc.tuple(keyOf, fc.nat()), { maxLength: 60, size: "max" }).map((all): ReadonlyMap<MapKey, number> => new Map(all))

/** a maxParallelism and parallelisms that it allows */
const parallelisms = (length: number) =>
  fc.integer({ min: 1, max: 40 }).chain((max) =>
    fc.tuple(fc.constant(max), fc.array(fc.integer({ min: 1, max: Math.min(9, max) }), { minLength: length, maxLength: length }))
  )

const dealt = (all: ReadonlyMap<MapKey, number>, parallelism: number, max: number): ReadonlyArray<ReadonlyMap<MapKey, number>> =>
  Array.from({ length: parallelism }, (_, subtask) => new Map(Array.from(all).filter(([key]) => owner(key, parallelism, max) === subtask)))

const byKey = (all: Iterable<readonly [MapKey, number]>): ReadonlyArray<string> =>
  Array.from(all, ([key, value]) => `${typeof key} ${String(key)} ${value}`).sort()

describe("StateAssignment, keyed state", () => {
  it("RS-08, A1: after any sequence of rescales each key is with its owner, once, with its value, in every state", () =>
    fc.assert(
      fc.property(parallelisms(4), entries, entries, ([max, sequence], counts, sums) => {
        let subtasks: ReadonlyArray<Partial<SubtaskState>> = dealt(counts, sequence[0], max).map((counts, subtask) => ({
          keyed: { counts, sums: dealt(sums, sequence[0], max)[subtask] }
        }))
        for (const parallelism of sequence.slice(1)) {
          const { restores } = assign([{ uid: "count", maxParallelism: max, subtasks }], parallelism, max)
          subtasks = restores.map((restore, subtask) => {
            const mine = (key: MapKey) => owner(key, parallelism, max) === subtask
            const loaded = { counts: load(restore!, "counts", mine), sums: load(restore!, "sums", mine) }
            // also where nothing is filtered, what comes is the subtask's own
            for (const state of [loaded.counts, loaded.sums]) {
              for (const key of state.keys()) if (!mine(key)) assert.fail(`${String(key)} on ${subtask}`)
            }
            return { keyed: loaded }
          })
          assert.deepStrictEqual(byKey(subtasks.flatMap((subtask) => Array.from(subtask.keyed!.counts))), byKey(counts))
          assert.deepStrictEqual(byKey(subtasks.flatMap((subtask) => Array.from(subtask.keyed!.sums))), byKey(sums))
        }
      }),
      { numRuns: 250 }
    ))

  it.each([[2, 13], [13, 2], [3, 3]])(
    "RS-08: from parallelism %i to %i with 13 key groups, every subtask gets exactly its key groups",
    (from, to) => {
      const all = new Map<MapKey, number>(Array.from({ length: 500 }, (_, key) => [key, key]))
      const subtasks = dealt(all, from, 13).map((counts) => ({ keyed: { counts } }))
      assign([{ uid: "count", maxParallelism: 13, subtasks }], to, 13).restores.forEach((restore, subtask) => {
        const loaded = load(restore!, "counts", (key) => owner(key, to, 13) === subtask)
        assert.deepStrictEqual(byKey(loaded), byKey(dealt(all, to, 13)[subtask]))
      })
    }
  )

  it("RS-07: at the same parallelism each subtask gets its own chunks, byte for byte, and nothing need be filtered", () => {
    const all = new Map<MapKey, number>(Array.from({ length: 2000 }, (_, key) => [key, key]))
    const subtasks = dealt(all, 3, 128).map((counts) => ({ keyed: { counts } }))
    assign([{ uid: "count", maxParallelism: 128, subtasks }], 3, 128).restores.forEach((restore, subtask) => {
      assert.isFalse(restore!.filter)
      assert.deepStrictEqual(
        restore!.keyed.get("counts")!.chunks.map((chunk) => Array.from(chunk)),
        chunksOf(subtasks[subtask].keyed.counts).map((chunk) => Array.from(chunk))
      )
      assert.deepStrictEqual(restore!.keyed.get("counts")!.shape, shape)
    })
  })

  it("a subtask without entries leaves the others theirs", () => {
    const subtasks = [{ keyed: { counts: new Map<MapKey, number>() } }, { keyed: { counts: new Map<MapKey, number>([["a", 1]]) } }, {}]
    const { restores } = assign([{ uid: "count", maxParallelism: 10, subtasks }], 1, 10)
    assert.deepStrictEqual(byKey(load(restores[0]!, "counts", () => true)), ["string a 1"])
  })
})

describe("StateAssignment, operator state", () => {
  const lists = fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 9 })
  const items = (sizes: ReadonlyArray<number>) => sizes.map((n, subtask) => Array.from({ length: n }, (_, i) => `${subtask}/${i}`))

  it("RS-06, A1: split is dealt out whole, each item once, as evenly as can be; union goes to everybody, in the order of the subtasks", () =>
    fc.assert(
      fc.property(lists, lists, fc.integer({ min: 1, max: 9 }), (splitSizes, unionSizes, parallelism) => {
        const old = Math.min(splitSizes.length, unionSizes.length)
        const [splits, unions] = [items(splitSizes.slice(0, old)), items(unionSizes.slice(0, old))]
        const subtasks = splits.map((files, subtask) => ({ split: { files }, union: { seen: unions[subtask] } }))
        const { restores } = assign([{ uid: "count", maxParallelism: 128, subtasks }], parallelism, 128)
        const files = restores.map((restore) => restore!.lists.get("files")?.items ?? [])
        assert.sameMembers(files.flat(), splits.flat())
        for (const restore of restores) assert.deepStrictEqual(restore!.lists.get("seen")?.items ?? [], unions.flat())
        if (parallelism === old) assert.deepStrictEqual(files, splits)
        else assert.isAtMost(Math.max(...files.map((each) => each.length)) - Math.min(...files.map((each) => each.length)), 1)
      }),
      { numRuns: 500 }
    ))

  it("RS-07: at the same parallelism split stays where it was, however uneven", () => {
    const subtasks = items([5, 0, 1]).map((files) => ({ split: { files } }))
    const { restores } = assign([{ uid: "count", maxParallelism: 128, subtasks }], 3, 128)
    assert.deepStrictEqual(restores.map((restore) => restore!.lists.get("files")?.items), [["0/0", "0/1", "0/2", "0/3", "0/4"], [], [
      "2/0"
    ]])
  })

  it("several lists of one operator are dealt out each by itself", () => {
    const subtasks = [{ split: { a: [1, 2, 3], b: ["x"] } }, { split: { a: [4], b: ["y", "z"] } }]
    const { restores } = assign([{ uid: "count", maxParallelism: 128, subtasks }], 3, 128)
    assert.deepStrictEqual(restores.map((restore) => restore!.lists.get("a")?.items), [[1, 4], [2], [3]])
    assert.deepStrictEqual(restores.map((restore) => restore!.lists.get("b")?.items), [["x"], ["y"], ["z"]])
  })
})

describe("StateAssignment, operators", () => {
  const some: Partial<SubtaskState> = { keyed: { counts: new Map([["a", 1]]) } }

  it("A2: an operator without an entry in the checkpoint is given nothing, one with an empty entry is (RS-01, RS-02)", () => {
    const { assignment, restores } = assign([{ uid: "count", maxParallelism: 128, subtasks: [{}, {}] }], 2, 128)
    assert.isUndefined(assignment.restore(vertexOf(graphOf(2, 128), "count"), 0)("out"))
    assert.deepStrictEqual(restores.map((restore) => [restore!.checkpointId, restore!.keyed.size, restore!.lists.size]), [[7, 0, 0], [
      7,
      0,
      0
    ]])
    assert.strictEqual(assignment.checkpointId, 7)
  })

  it("A2, RS-12: state whose operator is gone is refused, naming it and its uid; it is left behind where that is allowed", () => {
    const operators = [{ uid: "gone", maxParallelism: 128, subtasks: [some] }, { uid: "count", maxParallelism: 128, subtasks: [some] }]
    const error = refused(operators, 128)
    assert.instanceOf(error, StreamError.RestoreRejected)
    assert.strictEqual((error as StreamError.RestoreRejected).operator, "name of gone")
    assert.match(error.message, /^job job cannot be restored from here\/chk-7: name of gone: .*uid "gone".* set allowNonRestoredState/)
    const { restores } = assign(operators, 1, 128, true)
    assert.deepStrictEqual(byKey(load(restores[0]!, "counts", () => true)), ["string a 1"])
  })

  it("A2: an operator that is gone and had no state is not missed", () => {
    const { restores } = assign(
      [{ uid: "gone", maxParallelism: 5, subtasks: [{}] }, { uid: "count", maxParallelism: 128, subtasks: [some] }],
      1,
      128
    )
    assert.isDefined(restores[0])
  })

  it("RS-09: another maxParallelism is refused, naming the operator and both numbers, also where state may be left behind", () => {
    for (const allow of [false, true]) {
      const error = refused([{ uid: "count", maxParallelism: 42, subtasks: [some, some] }], 20, allow)
      assert.instanceOf(error, StreamError.RestoreRejected)
      assert.match(error.message, /name of count: it was written with maxParallelism 42, the job has 20/)
    }
  })

  it("RS-09: an operator without state may have any maxParallelism", () => {
    const { restores } = assign([{ uid: "count", maxParallelism: 42, subtasks: [{}, {}] }], 2, 20)
    assert.strictEqual(restores.length, 2)
  })

  it("another format version is refused", () => {
    const error = refused([{ uid: "count", maxParallelism: 128, subtasks: [some] }], 128, true, Checkpoint.FORMAT_VERSION + 1)
    assert.match(error.message, /written in format version 2, this build reads 1/)
  })

  it("operators of one task have one file, and each gets its own states, of whatever name", () => {
    const operators = ["count", "out"].map((uid, i) => ({
      uid,
      maxParallelism: 128,
      subtasks: [{ keyed: { state: new Map<MapKey, number>([[uid, i]]) }, split: { list: [uid] } }]
    }))
    const { assignment, read } = assign(operators, 1, 128)
    const vertex = vertexOf(graphOf(1, 128), "count")
    for (const [i, uid] of ["count", "out"].entries()) {
      const restore = assignment.restore(vertex, 0)(uid)!
      assert.deepStrictEqual(byKey(load(restore, "state", () => true)), [`string ${uid} ${i}`])
      assert.deepStrictEqual(restore.lists.get("list")!.items, [uid])
    }
    assert.deepStrictEqual(read, ["subtask-0"])
  })

  it("A3: every file is read before anything is given out, each once, also those of other subtasks", () => {
    const subtasks = Array.from({ length: 5 }, () => some)
    const { read } = assign([{ uid: "count", maxParallelism: 128, subtasks }, { uid: "out", maxParallelism: 128, subtasks }], 2, 128)
    assert.deepStrictEqual(read.sort(), Array.from({ length: 5 }, (_, i) => `subtask-${i}`))
  })

  it("A3: a damaged file fails the whole restore", () => {
    const { files, store } = storeOf(7, [{ uid: "count", maxParallelism: 128, subtasks: [some, some, some] }])
    files.delete("subtask-2")
    const error = Effect.runSync(Effect.flip(StateAssignment.make(graphOf(1, 128), store, 7, true)))
    assert.deepStrictEqual(error, new StreamError.CheckpointCorrupt({ file: "subtask-2", expected: "x", found: "missing" }))
  })

  it("A4: what had ended runs again behind a source that is new", () => {
    const { restores } = assign([{ uid: "count", maxParallelism: 128, subtasks: [{ phase: "finished" }, { phase: "finishing" }] }], 2, 128)
    assert.deepStrictEqual(restores.map((restore) => restore!.phase), ["running", "running"])
  })

  const phasesOf = (phases: ReadonlyArray<Checkpoint.OperatorPhase>, parallelism: number) =>
    assign(
      [
        { uid: "in", maxParallelism: 128, subtasks: [{ phase: "finished" }] },
        { uid: "count", maxParallelism: 128, subtasks: phases.map((phase) => ({ phase })) }
      ],
      parallelism,
      128
    ).restores.map((
      restore
    ) => restore!.phase)

  it("at the same parallelism each subtask is as far as it was", () =>
    assert.deepStrictEqual(phasesOf(["finished", "running", "finishing"], 3), ["finished", "running", "finishing"]))

  it.each<readonly [ReadonlyArray<Checkpoint.OperatorPhase>, Checkpoint.OperatorPhase]>([
    [["finished", "running", "finishing"], "running"],
    [["finished", "finishing", "finished"], "finishing"],
    [["finished", "finished", "finished"], "finished"]
  ])("at another parallelism all are as far as the least of them was: %j", (phases, expected) => {
    assert.deepStrictEqual(phasesOf(phases, 2), [expected, expected])
    assert.deepStrictEqual(phasesOf(phases, 4), [expected, expected, expected, expected])
  })
})
