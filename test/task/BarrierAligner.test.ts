import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Checkpoint } from "sluice"
import { BarrierAligner } from "sluice/task"

type Event = BarrierAligner.Event

const barrierOf = (id: number): Checkpoint.CheckpointBarrier => ({
  _tag: "CheckpointBarrier",
  id,
  timestamp: 1000 + id,
  kind: Checkpoint.checkpoint
})

// the notation of INVARIANTS.md: B(n, c) barrier, X(n, c) cancel marker, E(c) end of partition, D(c) data; A(n) abort from the coordinator
const B = (id: number, channel: number): Event => ({ _tag: "Barrier", channel, barrier: barrierOf(id) })
const X = (id: number, channel: number): Event => ({ _tag: "Cancel", channel, id })
const E = (channel: number): Event => ({ _tag: "End", channel })
const A = (id: number): Event => ({ _tag: "Abort", id })
const D = (channel: number) => ({ _tag: "Data", channel }) as const

const triggered = (id: number) => `trigger ${id}`
const subsumed = (id: number) => `abort ${id} SUBSUMED`
const declined = (id: number) => `abort ${id} DECLINED_ON_CANCELLATION_BARRIER`

const ascending = (numbers: Iterable<number>): ReadonlyArray<number> => Array.from(numbers).sort((a, b) => a - b)

/** equality of flat lists; chai's own is too slow for a hundred thousand of them */
const same = (found: ReadonlyArray<unknown>, expected: ReadonlyArray<unknown>): void => {
  if (found.length !== expected.length || found.some((each, i) => each !== expected[i])) assert.deepStrictEqual(found, expected)
}

/** does what the aligner says, in order, and notes it */
class Gate {
  readonly blocked = new Set<number>()
  readonly log: Array<string> = []
  state: BarrierAligner.State

  constructor(channels: number, restoredId?: number) {
    this.state = BarrierAligner.initial(channels, restoredId)
  }

  take(event: Event): ReadonlyArray<string> {
    const before = this.log.length
    const [next, actions] = BarrierAligner.step(this.state, event)
    this.state = next
    for (const action of actions) {
      switch (action._tag) {
        case "Block":
          this.blocked.add(action.channel)
          break
        case "UnblockAll":
          this.blocked.clear()
          break
        case "Trigger":
          assert.strictEqual(action.barrier.timestamp, barrierOf(action.barrier.id).timestamp)
          this.log.push(triggered(action.barrier.id))
          break
        case "AbortCheckpoint":
          this.log.push(`abort ${action.id} ${action.reason}`)
      }
    }
    return this.log.slice(before)
  }
}

/** each row: what happens, which channels are blocked then, what came of it */
type Row = readonly [event: Event | ReturnType<typeof D>, blocked: ReadonlyArray<number>, outcome?: ReadonlyArray<string>]

const follow = (gate: Gate, rows: ReadonlyArray<Row>): void =>
  rows.forEach(([event, blocked, outcome = []], i) => {
    if (event._tag === "Data") assert.isFalse(gate.blocked.has(event.channel), `row ${i}: data passes`)
    else assert.deepStrictEqual(gate.take(event), outcome, `row ${i}: outcome`)
    assert.deepStrictEqual(ascending(gate.blocked), blocked, `row ${i}: blocked`)
  })

describe("BarrierAligner", () => {
  it("BA-01: on a single channel every barrier triggers at once and nothing stays blocked", () =>
    follow(
      new Gate(1),
      [1, 2, 3, 4, 5, 6].flatMap((id): ReadonlyArray<Row> => [[D(0), []], [B(id, 0), [], [triggered(id)]], [D(0), []]])
    ))

  it("BA-02: a channel is blocked from its barrier until the last channel's; checkpoints without data between them complete too", () =>
    follow(new Gate(3), [
      [D(0), []],
      [D(2), []],
      [D(0), []],
      [B(1, 1), [1]],
      [B(1, 2), [1, 2]],
      [D(0), [1, 2]],
      [B(1, 0), [], [triggered(1)]],
      [D(1), []],
      [D(2), []],
      [B(2, 0), [0]],
      [D(1), [0]],
      [D(2), [0]],
      [B(2, 2), [0, 2]],
      [B(2, 1), [], [triggered(2)]],
      [D(0), []],
      [B(3, 2), [2]],
      [B(3, 0), [0, 2]],
      [B(3, 1), [], [triggered(3)]],
      [B(4, 1), [1]],
      [B(4, 2), [1, 2]],
      [B(4, 0), [], [triggered(4)]],
      [D(0), []]
    ]))

  // Flink's row ends with checkpoint-after-finish disabled, where E(0) aborts 4; here E(0) is its barrier (B5)
  it("BA-03, B4, B5: a newer barrier subsumes the pending checkpoint and frees its channels; an end of partition does not", () =>
    follow(new Gate(3), [
      [B(1, 1), [1]],
      [B(1, 2), [1, 2]],
      [B(1, 0), [], [triggered(1)]],
      [B(2, 1), [1]],
      [D(2), [1]],
      [B(2, 0), [0, 1]],
      [B(3, 2), [2], [subsumed(2)]],
      [D(0), [2]],
      [B(3, 0), [0, 2]],
      [B(4, 1), [1], [subsumed(3)]],
      [D(0), [1]],
      [E(0), [1]],
      [B(4, 2), [], [triggered(4)]]
    ]))

  it("BA-04: an overtaken checkpoint is aborted once, before the newer one is triggered; its late barriers do nothing", () =>
    follow(new Gate(4), [
      [B(1, 0), [0]],
      [D(3), [0]],
      [D(3), [0]],
      [B(2, 0), [0], [subsumed(1)]],
      [B(2, 1), [0, 1]],
      [B(2, 2), [0, 1, 2]],
      [B(2, 3), [], [triggered(2)]],
      [B(1, 1), []],
      [B(1, 2), []],
      [B(1, 3), []]
    ]))

  it("BA-05, B3: a late barrier of an aborted checkpoint leaves its channel unblocked", () =>
    follow(new Gate(3), [
      [B(1, 1), [1]],
      [X(1, 0), [], [declined(1)]],
      [B(2, 1), [1]],
      [B(1, 2), [1]],
      [D(2), [1]],
      [B(2, 0), [0, 1]],
      [B(2, 2), [], [triggered(2)]]
    ]))

  it("BA-06: a cancel marker of a subsumed checkpoint is ignored", () =>
    follow(new Gate(3), [
      [B(3, 1), [1]],
      [B(3, 0), [0, 1]],
      [B(5, 2), [2], [subsumed(3)]],
      [X(3, 0), [2]],
      [B(5, 0), [0, 2]],
      [B(5, 1), [], [triggered(5)]]
    ]))

  it("BA-07: on a single channel a cancel marker aborts its checkpoint at once, and those around it are triggered", () => {
    const gate = new Gate(1)
    follow(gate, [
      [B(1, 0), [], [triggered(1)]],
      [B(2, 0), [], [triggered(2)]],
      [X(4, 0), [], [declined(4)]]
    ])
    assert.strictEqual(gate.state.lastId, 4)
    follow(gate, [[B(5, 0), [], [triggered(5)]], [X(6, 0), [], [declined(6)]]])
  })

  it("BA-08, B2: a checkpoint is aborted once, whether its markers come first, in the middle or several times", () => {
    const gate = new Gate(3)
    follow(gate, [
      [B(1, 1), [1]],
      [B(1, 2), [1, 2]],
      [B(1, 0), [], [triggered(1)]],
      [B(2, 0), [0]],
      [B(2, 2), [0, 2]],
      [X(2, 1), [], [declined(2)]],
      [D(0), []],
      [B(3, 1), [1]],
      [B(3, 2), [1, 2]],
      [B(3, 0), [], [triggered(3)]],
      [X(4, 1), [], [declined(4)]],
      [B(4, 2), []],
      [B(4, 0), []],
      [B(5, 2), [2]],
      [B(5, 1), [1, 2]],
      [B(5, 0), [], [triggered(5)]],
      [X(6, 1), [], [declined(6)]],
      [X(6, 2), []],
      [B(6, 0), []]
    ])
    assert.deepStrictEqual(gate.log, [triggered(1), declined(2), triggered(3), declined(4), triggered(5), declined(6)])
  })

  it("BA-10, B5: channels that ended earlier are not waited for", () =>
    follow(new Gate(4), [
      [E(2), []],
      [E(1), []],
      [B(2, 3), [3]],
      [B(2, 0), [], [triggered(2)]],
      [B(3, 0), [0]],
      [B(3, 3), [], [triggered(3)]],
      [E(0), []],
      [B(4, 3), [], [triggered(4)]]
    ]))

  it("BA-11, B5: the end of a channel is its barrier of the pending checkpoint", () => {
    const gate = new Gate(3)
    follow(gate, [[B(1, 0), [0]], [B(1, 1), [0, 1]], [E(2), [], [triggered(1)]]])
    assert.isUndefined(gate.state.pending)
  })

  it("BA-13: ends before, between and after barriers abort nothing", () =>
    follow(new Gate(3), [[E(2), []], [B(6, 0), [0]], [B(6, 1), [], [triggered(6)]], [E(1), []], [B(7, 0), [], [triggered(7)]]]))

  it("trap 11: a channel that gave its barrier and then ends is counted once", () =>
    follow(new Gate(3), [[B(1, 0), [0]], [E(0), [0]], [B(1, 1), [0, 1]], [B(1, 2), [], [triggered(1)]]]))

  it("trap 11: the end of all channels triggers nothing where no checkpoint is pending", () =>
    follow(new Gate(2), [[E(0), []], [E(1), []]]))

  it("B3: after a restore barriers and markers up to the restored id change nothing", () =>
    follow(new Gate(2, 7), [[B(7, 0), []], [X(7, 1), []], [B(6, 1), []], [B(8, 0), [0]], [B(8, 1), [], [triggered(8)]]]))

  it("an abort from the coordinator frees the channels of the pending checkpoint, is not reported back, and is final", () =>
    follow(new Gate(2), [
      [B(1, 0), [0]],
      [A(2), [0]],
      [A(1), []],
      [A(1), []],
      [B(1, 1), []],
      [X(1, 1), []],
      [B(2, 1), [1]],
      [B(2, 0), [], [triggered(2)]]
    ]))

  it("a cancel marker of a newer checkpoint aborts the pending one too (B4), the older first", () =>
    follow(new Gate(2), [[B(1, 0), [0]], [X(2, 1), [], [subsumed(1), declined(2)]], [B(2, 0), []], [B(1, 1), []]]))

  // ------------------------------------------------------------------------------------------------------------------------------------------

  const anyEvent = (channels: number): fc.Arbitrary<Event> => {
    const channel = fc.nat({ max: channels - 1 })
    const id = fc.integer({ min: 1, max: 6 })
    return fc.oneof(
      { weight: 8, arbitrary: fc.tuple(id, channel).map(([n, c]) => B(n, c)) },
      { weight: 2, arbitrary: fc.tuple(id, channel).map(([n, c]) => X(n, c)) },
      { weight: 1, arbitrary: channel.map(E) },
      { weight: 1, arbitrary: id.map(A) }
    )
  }

  const anyRun = fc.integer({ min: 1, max: 4 }).chain((channels) =>
    fc.record({
      channels: fc.constant(channels),
      events: fc.array(anyEvent(channels), { maxLength: 40, size: "max" }),
      restored: fc.nat({ max: 2 })
    })
  )

  /** B1 to B5 as they are worded: a table of what became of each checkpoint, and who has given its barrier */
  class Model {
    readonly ended = new Set<number>()
    readonly fate = new Map<number, "triggered" | "aborted">()
    readonly given = new Map<number, Set<number>>()
    newest: number

    constructor(readonly channels: number, restored: number) {
      this.newest = restored
    }

    get pending(): number | undefined {
      return Array.from(this.given.keys()).find((id) => !this.fate.has(id))
    }

    get blocked(): ReadonlyArray<number> {
      return this.pending === undefined ? [] : ascending(this.given.get(this.pending)!)
    }

    private changesNothing(id: number): boolean {
      return id < this.newest || this.fate.has(id) || (id === this.newest && !this.given.has(id))
    }

    private overtake(id: number): ReadonlyArray<string> {
      const { pending } = this
      this.newest = id
      if (pending === undefined || pending === id) return []
      this.fate.set(pending, "aborted")
      return [subsumed(pending)]
    }

    private complete(): ReadonlyArray<string> {
      const { pending } = this
      if (pending === undefined) return []
      for (let c = 0; c < this.channels; c++) if (!this.given.get(pending)!.has(c) && !this.ended.has(c)) return []
      this.fate.set(pending, "triggered")
      return [triggered(pending)]
    }

    take(event: Exclude<Event, { readonly _tag: "Timeout" }>): ReadonlyArray<string> {
      switch (event._tag) {
        case "Barrier": {
          const { id } = event.barrier
          if (this.changesNothing(id)) return []
          const outcome = this.overtake(id)
          this.given.set(id, (this.given.get(id) ?? new Set()).add(event.channel))
          return [...outcome, ...this.complete()]
        }
        case "Cancel": {
          if (this.changesNothing(event.id)) return []
          const outcome = this.overtake(event.id)
          this.fate.set(event.id, "aborted")
          return [...outcome, declined(event.id)]
        }
        case "End":
          this.ended.add(event.channel)
          return this.complete()
        case "Abort":
          if (this.pending === event.id) this.fate.set(event.id, "aborted")
          return []
      }
    }
  }

  it("B1 to B5: any events in any order give what the laws say, step by step, blocked channels included", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events, restored }) => {
        const gate = new Gate(channels, restored)
        const model = new Model(channels, restored)
        for (const event of events) {
          if (event._tag !== "Timeout") same(gate.take(event), model.take(event))
          same(ascending(gate.blocked), model.blocked)
        }
      }),
      { numRuns: 4_000 }
    ))

  it("B2: each checkpoint is triggered or aborted at most once, and those that are triggered come in the order of their ids", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events, restored }) => {
        const gate = new Gate(channels, restored)
        for (const event of events) gate.take(event)
        const ids = gate.log.map((line) => Number(line.split(" ")[1]))
        assert.strictEqual(new Set(ids).size, ids.length)
        const triggers = gate.log.flatMap((line) => line.startsWith("trigger") ? [Number(line.split(" ")[1])] : [])
        assert.deepStrictEqual(triggers, [...triggers].sort((a, b) => a - b))
        assert.isTrue(ids.every((id) => id > restored))
      }),
      { numRuns: 3_000 }
    ))

  it("a step is a function: earlier states stay as they were and give the same again", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events, restored }) => {
        let state = BarrierAligner.initial(channels, restored)
        const steps = events.map((event) => {
          const from = state
          const result = BarrierAligner.step(from, event)
          state = result[0]
          return { event, from, before: structuredClone(from), result, copy: structuredClone(result) }
        })
        for (const { before, copy, event, from, result } of steps) {
          assert.deepStrictEqual(from, before)
          assert.deepStrictEqual(result, copy)
          assert.deepStrictEqual(BarrierAligner.step(from, event), result)
        }
      }),
      { numRuns: 500 }
    ))

  // ------------------------------------------------------------------------------------------------------------------------------------------

  type Item = Event | ReturnType<typeof D>

  /** what one channel carries: data, and for each checkpoint in turn its barrier, a cancel marker or nothing; then the end */
  const channelItems = (channel: number, checkpoints: number, lawless: boolean): fc.Arbitrary<ReadonlyArray<Item>> => {
    const data = fc.nat({ max: 2 }).map((n) => Array.from({ length: n }, () => D(channel)))
    const mark = lawless
      ? fc.constantFrom("B", "B", "B", "B", "B", "B", "X", "none")
      : fc.constant("B")
    const cut = lawless
      ? fc.oneof({ weight: 3, arbitrary: fc.constant(Infinity) }, { weight: 1, arbitrary: fc.nat({ max: 12 }) })
      : fc.constant(Infinity)
    return fc.tuple(fc.array(fc.tuple(data, mark), { minLength: checkpoints, maxLength: checkpoints }), data, cut).map(
      ([marks, rest, length]) => {
        const items: Array<Item> = marks.flatMap(([before, what], i): Array<Item> => [
          ...before,
          ...(what === "B" ? [B(i + 1, channel)] : what === "X" ? [X(i + 1, channel)] : [])
        ])
        return [...[...items, ...rest].slice(0, length), E(channel)]
      }
    )
  }

  const traffic = (lawless: boolean) =>
    fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 })).chain(([channels, checkpoints]) =>
      fc.record({
        checkpoints: fc.constant(checkpoints),
        channels: fc.tuple(...Array.from({ length: channels }, (_, c) => channelItems(c, checkpoints, lawless))),
        choices: fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 30 }),
        aborts: lawless ? fc.array(fc.tuple(fc.nat({ max: 40 }), fc.integer({ min: 1, max: 5 })), { maxLength: 2 }) : fc.constant([])
      })
    )

  /** reads all channels to their end, in a random order that leaves blocked ones alone; checks the cut of each triggered checkpoint */
  const read = (
    channels: ReadonlyArray<ReadonlyArray<Item>>,
    choices: ReadonlyArray<number>,
    aborts: ReadonlyArray<readonly [at: number, id: number]>
  ): Gate => {
    const gate = new Gate(channels.length)
    const at = channels.map(() => 0)
    for (let n = 0;; n++) {
      for (const [when, id] of aborts) if (when === n) gate.take(A(id))
      const open = channels.flatMap((items, c) => at[c] < items.length ? [c] : [])
      if (open.length === 0) return gate
      const ready = open.filter((c) => !gate.blocked.has(c))
      if (ready.length === 0) assert.fail("a blocked gate waits for nothing")
      const c = ready[choices[n % choices.length] % ready.length]
      const item = channels[c][at[c]++]
      if (item._tag === "Data") continue
      for (const line of gate.take(item)) {
        if (!line.startsWith("trigger")) continue
        const id = Number(line.split(" ")[1])
        // L8: what was read is, channel by channel, all that lies before the barrier, or all there was
        channels.forEach((items, other) => {
          const cut = items.findIndex((each) => each._tag === "Barrier" && each.barrier.id === id)
          assert.strictEqual(at[other], cut === -1 ? items.length : cut + 1, `checkpoint ${id}, channel ${other}`)
        })
      }
    }
  }

  it("L8, B1: whatever is read in which order, a triggered checkpoint cuts every channel at its barrier, and no gate waits for ever", () =>
    fc.assert(
      fc.property(traffic(true), ({ aborts, channels, choices }) => {
        assert.isUndefined(read(channels, choices, aborts).state.pending)
      }),
      { numRuns: 3_000 }
    ))

  it("L8: where every channel gives every barrier, every checkpoint is triggered, in order, and none is aborted", () =>
    fc.assert(
      fc.property(traffic(false), ({ channels, checkpoints, choices }) => {
        assert.deepStrictEqual(read(channels, choices, []).log, Array.from({ length: checkpoints }, (_, i) => triggered(i + 1)))
      }),
      { numRuns: 1_000 }
    ))

  // ------------------------------------------------------------------------------------------------------------------------------------------

  // U(n, c): a barrier that has overtaken what was queued in its channel; T(n): the alignment of n takes too long
  const U = (id: number, channel: number): Event => ({ _tag: "Barrier", channel, barrier: { ...barrierOf(id), unaligned: true } })
  const T = (id: number): Event => ({ _tag: "Timeout", id })

  /** what the aligner says, word for word */
  const words = (actions: ReadonlyArray<BarrierAligner.Action>): ReadonlyArray<string> =>
    actions.map((action) => {
      switch (action._tag) {
        case "Block":
          return `block ${action.channel}`
        case "UnblockAll":
          return "unblock"
        case "Trigger":
          return `${action.barrier.unaligned === true ? "overtake" : "trigger"} ${action.barrier.id}`
        case "Arrived":
          return `arrived ${action.channel}`
        case "Captured":
          return `captured ${action.id}`
        case "AbortCheckpoint":
          return `abort ${action.id} ${action.reason}`
      }
    })

  const overtaken = (id: number) => `overtake ${id}`
  const captured = (id: number) => `captured ${id}`

  /** each row: what happens, and what is to be done, in this order */
  type Said = readonly [event: Event, ...said: ReadonlyArray<string>]

  const hear = (channels: number, rows: ReadonlyArray<Said>): BarrierAligner.State => {
    let state = BarrierAligner.initial(channels)
    rows.forEach(([event, ...said], i) => {
      const [next, actions] = BarrierAligner.step(state, event)
      assert.deepStrictEqual(words(actions), said, `row ${i}`)
      state = next
    })
    return state
  }

  it("BA-21, B6: an unaligned checkpoint is triggered by its first barrier, blocks nothing, and is captured with the last", () => {
    const { pending } = hear(3, [
      [U(1, 1), overtaken(1), "arrived 1"],
      [U(1, 2), "arrived 2"],
      [U(1, 0), "arrived 0", captured(1)],
      [U(2, 0), overtaken(2), "arrived 0"],
      [E(0)],
      [E(1)],
      [U(2, 2), "arrived 2", captured(2)],
      [U(3, 2), overtaken(3), "arrived 2", captured(3)]
    ])
    assert.isUndefined(pending)
  })

  it.each(
    [
      [1, "X10 X20", ["aborted 10", "aborted 20"]],
      [1, "X20 X10", ["aborted 20"]],
      [1, "X10 B10", ["aborted 10"]],
      [1, "X10 B20", ["aborted 10", "triggered 20"]],
      [1, "X20 B10", ["aborted 20"]],
      [1, "B10 B10", ["triggered 10"]],
      [1, "B10 B20", ["triggered 10", "triggered 20"]],
      [2, "B10 B20", ["triggered 10", "aborted 10", "triggered 20"]],
      [1, "B20 B10", ["triggered 20"]],
      [1, "B10 X10", ["triggered 10"]],
      [2, "B10 X10", ["triggered 10", "aborted 10"]],
      [1, "B10 X20", ["triggered 10", "aborted 20"]],
      [1, "B20 X10", ["triggered 20"]]
    ] as const
  )("BA-22: unaligned, %i channels, %s", (channels, events, expected) => {
    let state = BarrierAligner.initial(channels)
    const outcome: Array<string> = []
    events.split(" ").forEach((event, i) => {
      const id = Number(event.slice(1))
      const channel = i % channels
      const [next, actions] = BarrierAligner.step(state, event[0] === "B" ? U(id, channel) : X(id, channel))
      state = next
      for (const action of actions) {
        if (action._tag === "Trigger") outcome.push(`triggered ${action.barrier.id}`)
        if (action._tag === "AbortCheckpoint") outcome.push(`aborted ${action.id}`)
      }
    })
    assert.deepStrictEqual(outcome, [...expected])
  })

  it("BA-23, B6: one that takes too long is triggered at once and sets its channels free; the next is aligned again", () =>
    void hear(3, [
      [B(1, 0), "block 0"],
      [B(1, 2), "block 2"],
      [T(1), "unblock", overtaken(1), "arrived 0", "arrived 2"],
      [T(1)],
      [B(1, 1), "arrived 1", captured(1)],
      [B(2, 1), "block 1"],
      [T(1)],
      [B(2, 0), "block 0"],
      [B(2, 2), "block 2", "unblock", "trigger 2"]
    ]))

  it("BA-23: a barrier that overtakes, since alignment took too long upstream, makes the whole checkpoint so", () =>
    void hear(3, [
      [B(1, 0), "block 0"],
      [U(1, 1), "unblock", overtaken(1), "arrived 0", "arrived 1"],
      [B(1, 2), "arrived 2", captured(1)]
    ]))

  it("BA-23: the time of a checkpoint that is over means nothing: after its last barrier, an abort, a newer one", () =>
    void hear(2, [
      [B(1, 0), "block 0"],
      [B(1, 1), "block 1", "unblock", "trigger 1"],
      [T(1)],
      [B(2, 0), "block 0"],
      [A(2), "unblock"],
      [T(2)],
      [B(3, 0), "block 0"],
      [B(4, 1), "unblock", subsumed(3), "block 1"],
      [T(3)],
      [T(5)]
    ]))

  it("BA-24: the end of a channel is its barrier, also where alignment has taken too long, or comes to an end by it", () =>
    void hear(3, [
      [B(1, 0), "block 0"],
      [E(1)],
      [T(1), "unblock", overtaken(1), "arrived 0"],
      [E(2), captured(1)],
      [B(2, 0), "block 0", "unblock", "trigger 2"]
    ]))

  it("BA-25: an aligned barrier of an older savepoint is ignored, also where the newer checkpoint is still being captured", () =>
    void hear(2, [
      [U(10, 0), overtaken(10), "arrived 0"],
      [B(5, 1)],
      [U(10, 1), "arrived 1", captured(10)],
      [B(5, 0)]
    ]))

  it("BA-25: 123 barriers on 123 channels, aligned and unaligned in turn: each is triggered once, in order", () => {
    const n = 123
    let state = BarrierAligner.initial(n)
    const outcome: Array<string> = []
    for (let id = 1; id <= n; id++) {
      for (let i = 0; i < n; i++) {
        const channel = (i + id) % n
        const [next, actions] = BarrierAligner.step(state, id % 2 === 0 ? U(id, channel) : B(id, channel))
        state = next
        outcome.push(...words(actions).filter((each) => /^(trigger|overtake|captured|abort)/.test(each)))
      }
    }
    assert.deepStrictEqual(
      outcome,
      Array.from({ length: n }, (_, i) => i % 2 === 0 ? [triggered(i + 1)] : [overtaken(i + 1), captured(i + 1)]).flat()
    )
  })

  const mixedRun = fc.integer({ min: 1, max: 4 }).chain((channels) => {
    const id = fc.integer({ min: 1, max: 6 })
    return fc.record({
      channels: fc.constant(channels),
      events: fc.array(
        fc.oneof(
          { weight: 5, arbitrary: fc.tuple(id, fc.nat({ max: channels - 1 })).map(([n, c]) => U(n, c)) },
          { weight: 8, arbitrary: anyEvent(channels) },
          { weight: 2, arbitrary: id.map(T) }
        ),
        { maxLength: 40, size: "max" }
      ),
      restored: fc.nat({ max: 2 })
    })
  })

  /** B1 to B6 as they are worded: of each checkpoint what became of it, who has given its barrier, and whether it still waits for the others */
  class Mixed {
    readonly ended = new Set<number>()
    readonly given = new Map<number, Set<number>>()
    readonly fate = new Map<number, "overtaking" | "over">()
    newest: number

    constructor(readonly channels: number, restored: number) {
      this.newest = restored
    }

    private get pending(): number | undefined {
      return Array.from(this.given.keys()).find((id) => this.fate.get(id) !== "over")
    }

    get blocked(): ReadonlyArray<number> {
      const { pending } = this
      return pending === undefined || this.fate.has(pending) ? [] : ascending(this.given.get(pending)!)
    }

    private whole(): ReadonlyArray<string> {
      const { pending } = this
      if (pending === undefined) return []
      for (let c = 0; c < this.channels; c++) if (!this.given.get(pending)!.has(c) && !this.ended.has(c)) return []
      const overtaking = this.fate.has(pending)
      this.fate.set(pending, "over")
      return [overtaking ? captured(pending) : triggered(pending)]
    }

    private overtake(id: number): ReadonlyArray<string> {
      if (this.fate.has(id)) return []
      this.fate.set(id, "overtaking")
      return [overtaken(id)]
    }

    private subsume(id: number): ReadonlyArray<string> {
      const { pending } = this
      this.newest = id
      if (pending === undefined || pending === id) return []
      this.fate.set(pending, "over")
      return [subsumed(pending)]
    }

    take(event: Event): ReadonlyArray<string> {
      switch (event._tag) {
        case "Barrier": {
          const { id, unaligned } = event.barrier
          if (id !== this.pending && id <= this.newest) return []
          const before = this.subsume(id)
          this.given.set(id, (this.given.get(id) ?? new Set()).add(event.channel))
          return [...before, ...unaligned === true ? this.overtake(id) : [], ...this.whole()]
        }
        case "Cancel": {
          if (event.id !== this.pending && event.id <= this.newest) return []
          const before = this.subsume(event.id)
          this.fate.set(event.id, "over")
          return [...before, declined(event.id)]
        }
        case "End":
          this.ended.add(event.channel)
          return this.whole()
        case "Abort":
          if (this.pending === event.id) this.fate.set(event.id, "over")
          return []
        case "Timeout":
          return this.pending === event.id ? [...this.overtake(event.id), ...this.whole()] : []
      }
    }
  }

  it("B1 to B6: aligned and unaligned barriers, times that are up, markers, ends and aborts in any order give what the laws say", () =>
    fc.assert(
      fc.property(mixedRun, ({ channels, events, restored }) => {
        let state = BarrierAligner.initial(channels, restored)
        const model = new Mixed(channels, restored)
        const blocked = new Set<number>()
        const arrived = new Map<number, Set<number>>()
        let current = 0
        const outcome: Array<string> = []
        for (const event of events) {
          const [next, actions] = BarrierAligner.step(state, event)
          state = next
          for (const action of actions) {
            if (action._tag === "Block") blocked.add(action.channel)
            if (action._tag === "UnblockAll") blocked.clear()
            if (action._tag === "Trigger" && action.barrier.unaligned === true) arrived.set(current = action.barrier.id, new Set())
            if (action._tag === "Arrived") arrived.get(current)!.add(action.channel)
            // what nobody has said to have arrived has ended
            if (action._tag === "Captured") {
              for (let c = 0; c < channels; c++) assert.isTrue(arrived.get(action.id)!.has(c) || model.ended.has(c) || event._tag === "End")
            }
          }
          const said = words(actions).filter((each) => /^(trigger|overtake|captured|abort)/.test(each))
          same(said, model.take(event))
          outcome.push(...said)
          same(ascending(blocked), model.blocked)
        }
        // each at most once
        const triggers = outcome.filter((each) => /^(trigger|overtake)/.test(each)).map((each) => each.split(" ")[1])
        assert.strictEqual(new Set(triggers).size, triggers.length)
        const ends = outcome.filter((each) => /^(captured|abort)/.test(each)).map((each) => each.split(" ")[1])
        assert.strictEqual(new Set(ends).size, ends.length)
      }),
      { numRuns: 4_000 }
    ))
})
