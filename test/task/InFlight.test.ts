import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, FastCheck as fc } from "effect"
import { Checkpoint, StreamElement, Watermark } from "sluice"
import { BarrierAligner } from "sluice/task"
import type { JobVertex } from "../../src/graph/JobGraph.js"
import type { Partitioning } from "../../src/graph/StreamGraph.js"
import * as KeyGroup from "../../src/KeyGroup.js"
import * as KeyCodec from "../../src/state/KeyCodec.js"
import type { ChannelOrigin, Item } from "../../src/task/Channel.js"
import { Batch, Channel } from "../../src/task/Channel.js"
import { InFlight, recordsOf } from "../../src/task/InFlight.js"
import { InputGate } from "../../src/task/InputGate.js"

interface Row {
  n: number
}

const batchOf = (rows: ReadonlyArray<number>): Batch => {
  const batch = new Batch(0)
  for (const n of rows) batch.add({ n } satisfies Row, n % 2 === 0 ? n : undefined)
  return batch
}

/** what an item holds: records as their number, watermarks as text */
const contentOf = (item: Item): ReadonlyArray<number | string> => {
  if (item._tag === "Watermark") return [`w${item.timestamp}`]
  if (item._tag !== "Batch") return []
  const rows: Array<number> = []
  item.peek(({ n }: Row, timestamp) => {
    assert.strictEqual(timestamp, n % 2 === 0 ? n : undefined)
    rows.push(n)
  })
  return rows
}

const vertexOf = (parallelism: number) => ({ parallelism }) as JobVertex

const MAX_PARALLELISM = 8

const originOf = (edge: string, from: number, writers: number, partitioning: Partitioning): ChannelOrigin => ({
  edge,
  from,
  writers,
  partitioning,
  maxParallelism: MAX_PARALLELISM,
  unaligned: true
})

/** what was put back into a gate, channel by channel */
const putBackInto = (gate: InputGate): ReadonlyArray<ReadonlyArray<number | string>> =>
  gate.channels.map((_, at) => gate.putBackIn(at).flatMap(contentOf))

/** what is stored of one channel of a subtask, as it would be put back where nothing has changed */
const storedOf = (items: ReadonlyArray<unknown>, channels: number): ReadonlyArray<ReadonlyArray<number | string>> => {
  const gate = new InputGate([
    Array.from({ length: channels }, (_, from) => new Channel(originOf("a", from, channels, { _tag: "Rebalance" })))
  ])
  new InFlight(gate, vertexOf(1), 0).restore(items)
  return putBackInto(gate)
}

// ------------------------------------------------------------------------------------------------------------------------------ F1

type Step =
  | { readonly _tag: "put"; readonly channel: number; readonly records: number }
  | { readonly _tag: "barrier"; readonly channel: number; readonly overtakes: boolean }
  | { readonly _tag: "end"; readonly channel: number }
  | { readonly _tag: "poll" | "timeout" }

const stepsOf = (channels: number): fc.Arbitrary<ReadonlyArray<Step>> => {
  const channel = fc.nat({ max: channels - 1 })
  return fc.array(
    fc.oneof(
      {
        weight: 12,
        arbitrary: fc.tuple(channel, fc.nat({ max: 3 })).map(([channel, records]): Step => ({ _tag: "put", channel, records }))
      },
      {
        weight: 5,
        arbitrary: fc.tuple(channel, fc.boolean()).map(([channel, overtakes]): Step => ({ _tag: "barrier", channel, overtakes }))
      },
      { weight: 1, arbitrary: channel.map((channel): Step => ({ _tag: "end", channel })) },
      { weight: 8, arbitrary: fc.constant<Step>({ _tag: "poll" }) },
      { weight: 2, arbitrary: fc.constant<Step>({ _tag: "timeout" }) }
    ),
    { maxLength: 60, size: "max" }
  )
}

/** A task that reads one gate: does what the aligner says, as an InputStreamTask does, and notes what went through when. */
class Reader {
  readonly channels: ReadonlyArray<Channel>
  readonly gate: InputGate
  readonly inFlight: InFlight
  state: BarrierAligner.State
  readonly ended = new Set<number>()
  /** of each channel, all that was put, and what came out */
  readonly put: ReadonlyArray<Array<number | string>>
  readonly processed: ReadonlyArray<Array<number | string>>
  /** of each checkpoint: how much was put before each channel's barrier, and how much had been processed at its snapshot */
  readonly before = new Map<number, Map<number, number>>()
  readonly snapshots = new Map<number, ReadonlyArray<number>>()
  readonly captured: Array<number> = []
  /** the checkpoint of each channel's last barrier */
  readonly given: Array<number>
  readonly over: Array<boolean>

  constructor(n: number) {
    this.channels = Array.from({ length: n }, (_, from) => new Channel(originOf("a", from, n, { _tag: "Rebalance" })))
    this.gate = new InputGate([this.channels])
    this.inFlight = new InFlight(this.gate, vertexOf(1), 0)
    this.state = BarrierAligner.initial(n)
    this.put = this.channels.map(() => [])
    this.processed = this.channels.map(() => [])
    this.given = this.channels.map(() => 0)
    this.over = this.channels.map(() => false)
  }

  putBack(channel: number, item: Item): void {
    this.put[channel].push(...contentOf(item))
    this.gate.putBack(channel, item)
  }

  write(channel: number, item: Item): void {
    if (this.over[channel]) return
    this.put[channel].push(...contentOf(item))
    this.channels[channel].put(item)
  }

  end(channel: number): void {
    this.write(channel, StreamElement.endOfPartition)
    this.over[channel] = true
  }

  barrier(channel: number, overtakes: boolean): void {
    if (this.over[channel]) return
    const id = ++this.given[channel]
    if (!this.before.has(id)) this.before.set(id, new Map())
    this.before.get(id)!.set(channel, this.put[channel].length)
    const barrier: Checkpoint.CheckpointBarrier = { _tag: "CheckpointBarrier", id, timestamp: 0, kind: Checkpoint.checkpoint }
    if (overtakes) this.channels[channel].overtake({ ...barrier, unaligned: true })
    else this.channels[channel].put(barrier)
  }

  /** the alignment under way, or the next one, takes too long */
  timeout(): void {
    const id = this.state.pending?.barrier.id ?? this.state.lastId + 1
    const [first] = this.inFlight.queued(id)
    if (first === undefined) return this.align({ _tag: "Timeout", id })
    this.align({ _tag: "Barrier", channel: first.channel, barrier: { ...first.barrier, unaligned: true } }, first.upTo)
  }

  /** takes one item, or one barrier that has overtaken others; false where there is nothing to take */
  poll(): boolean {
    const urgent = this.gate.pollOvertaking()
    if (urgent !== undefined) {
      this.align({ _tag: "Barrier", channel: this.gate.channel, barrier: urgent.barrier }, urgent.upTo)
      return true
    }
    const item = this.gate.poll()
    if (item === undefined) return false
    const { channel, place } = this.gate
    this.inFlight.polled(channel, place, item)
    this.processed[channel].push(...contentOf(item))
    // functions may change what they are given
    if (item._tag === "Batch") item.peek((row: Row) => (row.n = -1))
    if (item._tag === "CheckpointBarrier") this.align({ _tag: "Barrier", channel, barrier: item })
    if (item._tag === "EndOfPartition") {
      this.ended.add(channel)
      this.align({ _tag: "End", channel })
    }
    return true
  }

  private align(event: BarrierAligner.Event, upTo = 0): void {
    const [next, actions] = BarrierAligner.step(this.state, event)
    this.state = next
    for (const action of actions) {
      switch (action._tag) {
        case "Arrived":
          this.inFlight.arrived(action.channel, event._tag === "Barrier" && event.channel === action.channel ? upTo : 0)
          break
        case "Captured":
          this.inFlight.captured(action.id)
          this.captured.push(action.id)
          break
        case "Block":
          this.gate.block(action.channel)
          break
        case "UnblockAll":
          this.gate.unblockAll()
          break
        case "Trigger":
          this.snapshots.set(action.barrier.id, this.processed.map(({ length }) => length))
          if (action.barrier.unaligned === true) this.inFlight.begin(action.barrier.id, this.ended)
          else this.captured.push(action.barrier.id)
          break
        case "AbortCheckpoint":
          this.inFlight.forget(action.id)
          this.snapshots.delete(action.id)
      }
    }
    const id = event._tag === "Barrier" ? event.barrier.id : event._tag === "Timeout" ? event.id : 0
    for (const { barrier, channel, upTo } of this.inFlight.inLine(id)) this.align({ _tag: "Barrier", channel, barrier }, upTo)
  }
}

describe("InFlight, captured", () => {
  it("BA-21, F1: what was queued before a barrier that overtakes, and what still comes where there is none yet", () => {
    const reader = new Reader(3)
    reader.barrier(1, true)
    reader.barrier(2, true)
    while (reader.poll()) { /* both barriers */ }
    for (const channel of [2, 1, 0]) reader.write(channel, batchOf([channel * 10]))
    reader.barrier(0, true)
    assert.isTrue(reader.poll())
    assert.deepStrictEqual(reader.captured, [1])
    assert.deepStrictEqual(storedOf(reader.inFlight.items(1), 3), [[0], [], []])
    assert.deepStrictEqual(reader.processed, [[], [], []])
  })

  it("F1: of each channel what was put before its barrier is either in the state or captured: once, in its order, as it was", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }).chain((channels) => fc.tuple(fc.constant(channels), stepsOf(channels))),
        fc.boolean(),
        ([channels, steps], restored) => {
          const reader = new Reader(channels)
          let n = 0
          const some = (length: number): Item => length === 0 ? Watermark.make(n++) : batchOf(Array.from({ length }, () => n++))
          if (restored) { for (let c = 0; c < channels; c++) for (const length of [2, 0, 1]) reader.putBack(c, some(length)) }
          for (const step of steps) {
            if (step._tag === "put") reader.write(step.channel, some(step.records))
            else if (step._tag === "barrier") reader.barrier(step.channel, step.overtakes)
            else if (step._tag === "end") reader.end(step.channel)
            else if (step._tag === "poll") reader.poll()
            else reader.timeout()
          }
          // what waits for barriers that never come is blocked: the channels end
          for (let c = 0; c < channels; c++) reader.end(c)
          while (reader.poll()) { /* all that is left */ }
          // C1: whatever overtook whatever, everything came through
          assert.deepStrictEqual(reader.processed, reader.put)
          assert.isUndefined(reader.state.pending)
          for (const id of reader.captured) {
            const stored = storedOf(reader.inFlight.items(id), channels)
            for (let c = 0; c < channels; c++) {
              const before = reader.put[c].slice(0, reader.before.get(id)!.get(c) ?? reader.put[c].length)
              const processed = reader.put[c].slice(0, reader.snapshots.get(id)![c])
              assert.deepStrictEqual([...processed, ...stored[c]], before, `checkpoint ${id}, channel ${c}`)
            }
          }
        }
      ),
      { numRuns: 3_000 }
    ))
})

// ------------------------------------------------------------------------------------------------------------------------------ F2

const codec = KeyCodec.make<number>(undefined)

const keyOf = (n: number): number => n % 13

const partitionings: Record<Partitioning["_tag"], Partitioning> = {
  Forward: { _tag: "Forward" },
  Rebalance: { _tag: "Rebalance" },
  Broadcast: { _tag: "Broadcast" },
  Global: { _tag: "Global" },
  Hash: { _tag: "Hash", key: { select: ({ n }: Row) => keyOf(n), codec } }
}

const ownerOf = (n: number, readers: number): number =>
  KeyGroup.subtask(KeyGroup.of(codec.toMapKey(keyOf(n)), MAX_PARALLELISM), readers, MAX_PARALLELISM)

interface Edge {
  readonly name: string
  readonly tag: Partitioning["_tag"]
  readonly writers: number
}

/** the subtasks that read some edges, all of them one input */
const readersOf = (edges: ReadonlyArray<Edge>, readers: number) =>
  Array.from({ length: readers }, (_, to) => {
    const gate = new InputGate([
      edges.flatMap(({ name, tag, writers }) =>
        Array.from({ length: tag === "Forward" ? readers : writers }, (_, from) => from)
          .filter((from) => tag !== "Forward" || from === to)
          .map((from) => new Channel(originOf(name, from, tag === "Forward" ? readers : writers, partitionings[tag])))
      )
    ])
    return { gate, inFlight: new InFlight(gate, vertexOf(readers), to) }
  })

type Readers = ReturnType<typeof readersOf>

/** a checkpoint of all of them, before they have read anything */
const checkpointOf = (all: Readers): ReadonlyArray<unknown> =>
  all.flatMap(({ gate, inFlight }) => {
    inFlight.begin(1, new Set())
    gate.channels.forEach((channel, at) => inFlight.arrived(at, channel.end))
    inFlight.captured(1)
    return inFlight.items(1)
  })

/** each edge gives its records as its partitioning says */
const fill = (all: Readers, edges: ReadonlyArray<Edge>, rows: ReadonlyArray<number>): void => {
  const readers = all.length
  edges.forEach(({ name, tag, writers }, e) => {
    rows.filter((n) => n % edges.length === e).forEach((n, i) => {
      const from = i % (tag === "Forward" ? readers : writers)
      const to = tag === "Forward" ? from : tag === "Hash" ? ownerOf(n, readers) : tag === "Global" ? 0 : n % readers
      all.forEach(({ gate }, reader) => {
        if (tag !== "Broadcast" && reader !== to) return
        gate.channels.find(({ origin }) => origin!.edge === name && origin!.from === from)!.put(batchOf([n]))
      })
    })
  })
}

const restored = (edges: ReadonlyArray<Edge>, readers: number, items: ReadonlyArray<unknown>): Readers => {
  const all = readersOf(edges, readers)
  for (const { inFlight } of all) inFlight.restore(items)
  return all
}

const ascending = (rows: ReadonlyArray<number | string>) => [...rows].sort((a, b) => Number(a) - Number(b))

const tags = Object.keys(partitionings) as ReadonlyArray<Partitioning["_tag"]>

const parallelism = fc.integer({ min: 1, max: 4 })

describe("InFlight, restored", () => {
  it.each(tags)("RS-13, F2: %s: each record reaches the one subtask that owns it, however often the job is rescaled", (tag) =>
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat({ max: 500 }), { maxLength: 30 }),
        fc.array(fc.tuple(parallelism, parallelism), { minLength: 2, maxLength: 4 }),
        (rows, [[writers, readers], ...scales]) => {
          const edge = (writers: number): ReadonlyArray<Edge> => [{ name: "a", tag, writers }]
          let all = readersOf(edge(writers), readers)
          fill(all, edge(writers), rows)
          for (const [writers, readers] of scales) {
            all = restored(edge(writers), readers, checkpointOf(all))
            const found = all.map(({ gate }) => putBackInto(gate).flat() as ReadonlyArray<number>)
            if (tag === "Broadcast") found.forEach((each) => assert.deepStrictEqual(ascending(each), ascending(rows)))
            else assert.deepStrictEqual(ascending(found.flat()), ascending(rows))
            if (tag === "Global") assert.deepStrictEqual(found.slice(1).flat(), [])
            if (tag === "Hash") found.forEach((each, to) => each.forEach((n) => assert.strictEqual(ownerOf(n, readers), to)))
          }
        }
      ),
      { numRuns: 300 }
    ))

  it("RS-13, F2: streams that are united, each with its partitioning, keep it when the job is rescaled more than once", () =>
    fc.assert(
      fc.property(
        fc.constantFrom(...tags),
        fc.constantFrom(...tags),
        fc.uniqueArray(fc.nat({ max: 500 }), { maxLength: 30 }),
        fc.array(fc.tuple(parallelism, parallelism, parallelism), { minLength: 2, maxLength: 4 }),
        (first, second, rows, [[a, b, readers], ...scales]) => {
          const edges = (a: number, b: number): ReadonlyArray<Edge> => [
            { name: "a", tag: first, writers: a },
            { name: "b", tag: second, writers: b }
          ]
          let all = readersOf(edges(a, b), readers)
          fill(all, edges(a, b), rows)
          for (const [a, b, readers] of scales) {
            all = restored(edges(a, b), readers, checkpointOf(all))
            const found = all.flatMap(({ gate }) => putBackInto(gate).flat() as ReadonlyArray<number>)
            const copies = (n: number) => (n % 2 === 0 ? first : second) === "Broadcast" ? readers : 1
            assert.deepStrictEqual(ascending(found), ascending(rows.flatMap((n) => Arr.replicate(n, copies(n)))))
          }
        }
      ),
      { numRuns: 1_000 }
    ))

  it("F2: where nothing has changed each channel has its own again, in its order, watermarks too", () => {
    const edges: ReadonlyArray<Edge> = [{ name: "a", tag: "Rebalance", writers: 2 }]
    const all = readersOf(edges, 2)
    all.forEach(({ gate }, to) =>
      gate.channels.forEach((channel, from) => {
        for (const item of [batchOf([from * 10 + to, 2]), Watermark.make(from), batchOf([3])]) channel.put(item)
      })
    )
    assert.deepStrictEqual(restored(edges, 2, checkpointOf(all)).map(({ gate }) => putBackInto(gate)), [
      [[0, 2, "w0", 3], [10, 2, "w1", 3]],
      [[1, 2, "w0", 3], [11, 2, "w1", 3]]
    ])
    // at another parallelism event time is behind what is put back, wherever it stood
    const moved = restored(edges, 1, checkpointOf(all)).flatMap(({ gate }) => putBackInto(gate).flat())
    assert.deepStrictEqual(ascending(moved), [0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 10, 11])
  })

  it("BA-27, F2: of 11 channels nothing new is read before what was put back: in its channel, and after a rescale on its whole edge", () => {
    const edges = (a: number): ReadonlyArray<Edge> => [{ name: "a", tag: "Rebalance", writers: a }, { name: "b", tag: "Hash", writers: 2 }]
    const old = readersOf(edges(11), 1)
    fill(old, edges(11), Array.from({ length: 100 }, (_, n) => n))
    const items = checkpointOf(old)
    for (const [a, readers] of [[11, 1], [7, 1], [11, 2], [3, 3]]) {
      for (const { gate, inFlight } of restored(edges(a), readers, items)) {
        const waiting = (at: number) =>
          gate.channels.some((channel, other) =>
            gate.putBackIn(other).length > 0 &&
            (a === 11 && readers === 1 ? other === at : channel.origin!.edge === gate.channels[at].origin!.edge)
          )
        gate.channels.forEach((channel) => channel.put(batchOf([1000])))
        for (let item = gate.poll(); item !== undefined; item = gate.poll()) {
          inFlight.polled(gate.channel, gate.place, item)
          if (contentOf(item)[0] === 1000) assert.isFalse(waiting(gate.channel))
        }
      }
    }
  })

  it("F2: a reader of a broadcast that was ahead of the others stays so when only the writers are rescaled", () => {
    const edge = (writers: number): ReadonlyArray<Edge> => [{ name: "a", tag: "Broadcast", writers }]
    const all = readersOf(edge(1), 2)
    // the first reader has processed it
    all[1].gate.channels[0].put(batchOf([7]))
    assert.deepStrictEqual(restored(edge(2), 2, checkpointOf(all)).map(({ gate }) => putBackInto(gate).flat()), [[], [7]])
  })

  it("F2: what was under way on an edge that is gone is left behind", () => {
    const all = readersOf([{ name: "a", tag: "Rebalance", writers: 1 }], 1)
    all[0].gate.channels[0].put(batchOf([7]))
    const other = restored([{ name: "b", tag: "Rebalance", writers: 1 }], 1, checkpointOf(all))
    assert.deepStrictEqual(other.map(({ gate }) => putBackInto(gate).flat()), [[]])
  })

  it("F2: where the edge is gone, since its operators are one task now, each record is one subtask's, and watermarks nobody's", () =>
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 3 }), { maxLength: 12 }), parallelism, parallelism, (sizes, writers, readers) => {
        let n = 0
        const all = readersOf([{ name: "a", tag: "Rebalance", writers }], readers)
        sizes.forEach((size, i) => {
          const item = size === 0 ? Watermark.make(i) : batchOf(Array.from({ length: size }, () => n++))
          all[i % readers].gate.channels[i % writers].put(item)
        })
        const items = checkpointOf(all)
        for (let parallelism = 1; parallelism <= 4; parallelism++) {
          const found = Array.from({ length: parallelism }, (_, subtask) => recordsOf(items, subtask, parallelism)).flat()
          assert.deepStrictEqual(ascending(found.map(([row]) => (row as Row).n)), Array.from({ length: n }, (_, i) => i))
          for (const [row, timestamp] of found) assert.strictEqual(timestamp, (row as Row).n % 2 === 0 ? (row as Row).n : undefined)
        }
      }),
      { numRuns: 200 }
    ))
})
