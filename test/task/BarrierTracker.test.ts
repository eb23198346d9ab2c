import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Checkpoint } from "sluice"
import type { BarrierAligner } from "sluice/task"
import * as BarrierTracker from "../../src/task/BarrierTracker.js"

type Event = BarrierAligner.Event

const barrierOf = (id: number): Checkpoint.CheckpointBarrier => ({
  _tag: "CheckpointBarrier",
  id,
  timestamp: 1000 + id,
  kind: Checkpoint.checkpoint
})

// the notation of BarrierAligner.test.ts: B(n, c) barrier, X(n, c) cancel marker, E(c) end of partition, A(n) abort from the coordinator
const B = (id: number, channel: number): Event => ({ _tag: "Barrier", channel, barrier: barrierOf(id) })
const X = (id: number, channel: number): Event => ({ _tag: "Cancel", channel, id })
const E = (channel: number): Event => ({ _tag: "End", channel })
const A = (id: number): Event => ({ _tag: "Abort", id })

const triggered = (id: number) => `trigger ${id}`
const declined = (id: number) => `abort ${id} DECLINED_ON_CANCELLATION_BARRIER`

/** equality of flat lists; chai's own is too slow for a hundred thousand of them */
const same = (found: ReadonlyArray<unknown>, expected: ReadonlyArray<unknown>): void => {
  if (found.length !== expected.length || found.some((each, i) => each !== expected[i])) assert.deepStrictEqual(found, expected)
}

/** takes events, and notes what came of each */
class Tracker {
  readonly log: Array<string> = []
  state: BarrierTracker.State

  constructor(channels: number, restoredId?: number) {
    this.state = BarrierTracker.initial(channels, restoredId)
  }

  take(event: Event): ReadonlyArray<string> {
    const before = this.log.length
    const [next, actions] = BarrierTracker.step(this.state, event)
    this.state = next
    for (const action of actions) {
      if (action._tag === "Block") assert.fail("a tracker blocks nothing")
      if (action._tag === "Trigger") {
        assert.strictEqual(action.barrier.timestamp, barrierOf(action.barrier.id).timestamp)
        this.log.push(triggered(action.barrier.id))
      }
      if (action._tag === "AbortCheckpoint") this.log.push(`abort ${action.id} ${action.reason}`)
    }
    return this.log.slice(before)
  }

  get pending(): ReadonlyArray<number> {
    return this.state.pending.map(({ id }) => id)
  }
}

/** each row: what happens, and what came of it */
type Row = readonly [event: Event, ...outcome: ReadonlyArray<string>]

const follow = (tracker: Tracker, rows: ReadonlyArray<Row>): void =>
  rows.forEach(([event, ...outcome], i) => assert.deepStrictEqual(tracker.take(event), outcome, `row ${i}`))

describe("BarrierTracker", () => {
  it("BA-15: on a single channel every barrier triggers at once, whatever ids there are between", () =>
    follow(new Tracker(1), [1, 3, 4, 6, 7, 10].map((id): Row => [B(id, 0), triggered(id)])))

  it("BA-15, B7: a checkpoint is triggered by its last barrier, and one that not every channel has is dropped", () => {
    const tracker = new Tracker(3)
    follow(tracker, [
      [B(1, 1)],
      [B(1, 2)],
      [B(1, 0), triggered(1)],
      [B(2, 1)],
      [B(2, 0)],
      [B(2, 2), triggered(2)],
      [B(3, 2)],
      [B(4, 0)],
      [B(4, 1)],
      [B(4, 2), triggered(4)]
    ])
    assert.deepStrictEqual(tracker.pending, [])
  })

  it("BA-16, B7: several are pending at once, and come to their end when the slow channel does, unless a newer one was before", () => {
    const tracker = new Tracker(3)
    follow(tracker, [
      [B(2, 1)],
      [B(2, 0)],
      [B(2, 2), triggered(2)],
      [B(3, 1)],
      [B(3, 2)],
      [B(4, 1)],
      [B(4, 2)],
      [B(3, 0), triggered(3)],
      [B(4, 0), triggered(4)],
      [B(5, 1)],
      [B(5, 2)],
      [B(5, 0), triggered(5)],
      // 6 never comes on channel 0
      [B(6, 1)],
      [B(7, 1)],
      [B(7, 0)],
      [B(6, 2)],
      [B(8, 0)],
      [B(8, 1)],
      [B(7, 2), triggered(7)],
      [B(9, 0)],
      [B(10, 0)],
      [B(8, 2), triggered(8)],
      [B(9, 2)],
      [B(9, 1), triggered(9)],
      [B(10, 2)],
      [B(10, 1), triggered(10)]
    ])
    assert.deepStrictEqual(tracker.log, [2, 3, 4, 5, 7, 8, 9, 10].map(triggered))
    assert.deepStrictEqual(tracker.pending, [])
  })

  it("BA-17, B8: markers of two checkpoints, one amid the other's: each is aborted once", () => {
    const tracker = new Tracker(3)
    follow(tracker, [[B(1, 0)], [X(2, 0), declined(1), declined(2)], [X(1, 1)], [X(2, 1)], [X(1, 2)], [X(2, 2)]])
    assert.deepStrictEqual(tracker.pending, [])
  })

  it("BA-18: the end of a channel is its barrier of all that is pending: the newest that is whole is triggered, the older ones dropped", () => {
    const tracker = new Tracker(3)
    follow(tracker, [[B(1, 0)], [B(2, 0)], [B(2, 1)], [B(3, 0)], [B(4, 0)], [B(4, 1)], [B(5, 1)], [E(2), triggered(4)]])
    assert.deepStrictEqual(tracker.pending, [5])
  })

  it("BA-19: markers after a channel has ended abort what is pending, and what nobody has heard of", () =>
    follow(new Tracker(3), [[E(2)], [B(5, 0)], [B(6, 0)], [X(6, 1), declined(5), declined(6)], [E(1)], [X(7, 0), declined(7)]]))

  it("BA-19, B8: an aborted one is not triggered by the end of a channel, and a newer one stays pending", () => {
    const tracker = new Tracker(3)
    follow(tracker, [[X(4, 0), declined(4)], [B(4, 1)], [B(5, 1)], [E(2)]])
    assert.deepStrictEqual(tracker.pending, [5])
  })

  it("BA-19: a channel that gave its barrier and then ends is counted once", () => {
    const tracker = new Tracker(2)
    follow(tracker, [[B(1, 0)], [E(0)], [B(1, 1), triggered(1)]])
    assert.deepStrictEqual(tracker.pending, [])
  })

  it("after a restore barriers and markers up to the restored id change nothing", () =>
    follow(new Tracker(2, 7), [[B(7, 0)], [B(7, 1)], [X(6, 0)], [B(8, 0)], [B(8, 1), triggered(8)]]))

  it("B8: an abort from the coordinator is not reported back, and is final; others go on", () =>
    follow(new Tracker(2), [
      [B(1, 0)],
      [B(2, 0)],
      [A(1)],
      [A(1)],
      [B(1, 1)],
      [X(1, 1)],
      [B(2, 1), triggered(2)],
      [A(2)]
    ]))

  it("only so many are remembered: a channel that is far behind holds no more than that", () => {
    const tracker = new Tracker(2)
    for (let id = 1; id <= 200; id++) assert.deepStrictEqual(tracker.take(B(id, 0)), [])
    assert.lengthOf(tracker.pending, 50)
    follow(tracker, [[B(150, 1)], [B(151, 1), triggered(151)], [B(200, 1), triggered(200)]])
  })

  // ------------------------------------------------------------------------------------------------------------------------------------------

  const anyRun = fc.integer({ min: 1, max: 4 }).chain((channels) => {
    const channel = fc.nat({ max: channels - 1 })
    const id = fc.integer({ min: 1, max: 6 })
    const event: fc.Arbitrary<Event> = fc.oneof(
      { weight: 10, arbitrary: fc.tuple(id, channel).map(([n, c]) => B(n, c)) },
      { weight: 2, arbitrary: fc.tuple(id, channel).map(([n, c]) => X(n, c)) },
      { weight: 1, arbitrary: channel.map(E) },
      { weight: 1, arbitrary: id.map(A) }
    )
    return fc.record({
      channels: fc.constant(channels),
      events: fc.array(event, { maxLength: 40, size: "max" }),
      restored: fc.nat({ max: 2 })
    })
  })

  /** B7 and B8 as they are worded, from all that has happened: who gave what, what is over, what was aborted */
  class Model {
    readonly ended = new Set<number>()
    readonly given = new Map<number, Set<number>>()
    readonly barriers = new Set<number>()
    readonly aborted = new Set<number>()
    /** this one and all that are older are over */
    over: number
    newest: number

    constructor(readonly channels: number, restored: number) {
      this.over = restored
      this.newest = restored
    }

    /** notes what a channel gave; one whose first sign comes after a newer one's is over before it began */
    private gives(id: number, channel: number): boolean {
      if (id <= this.over || (id < this.newest && !this.given.has(id))) return false
      this.newest = Math.max(this.newest, id)
      this.given.set(id, (this.given.get(id) ?? new Set()).add(channel))
      return true
    }

    private whole(): ReadonlyArray<string> {
      for (let id = this.newest; id > this.over; id--) {
        const given = this.given.get(id)
        if (given === undefined) continue
        let missing = false
        for (let c = 0; c < this.channels; c++) if (!given.has(c) && !this.ended.has(c)) missing = true
        if (missing) continue
        this.over = id
        return this.aborted.has(id) || !this.barriers.has(id) ? [] : [triggered(id)]
      }
      return []
    }

    take(event: Event): ReadonlyArray<string> {
      switch (event._tag) {
        case "Barrier":
          if (this.gives(event.barrier.id, event.channel)) this.barriers.add(event.barrier.id)
          return this.whole()
        case "Cancel": {
          if (!this.gives(event.id, event.channel)) return this.whole()
          // what is older can no longer come from this channel
          const outcome: Array<string> = []
          for (let id = this.over + 1; id <= event.id; id++) {
            if (!this.given.has(id) || this.aborted.has(id)) continue
            this.aborted.add(id)
            outcome.push(declined(id))
          }
          this.over = Math.max(this.over, event.id - 1)
          return [...outcome, ...this.whole()]
        }
        case "End":
          this.ended.add(event.channel)
          return this.whole()
        case "Abort":
          if (event.id > this.over && this.given.has(event.id)) this.aborted.add(event.id)
          return []
        case "Timeout":
          return []
      }
    }
  }

  it("B7, B8: any events in any order give what the laws say, step by step", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events, restored }) => {
        const tracker = new Tracker(channels, restored)
        const model = new Model(channels, restored)
        for (const event of events) same(tracker.take(event), model.take(event))
      }),
      { numRuns: 4_000 }
    ))

  it("B8: each checkpoint is triggered or aborted at most once, and those that are triggered come in the order of their ids", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events, restored }) => {
        const tracker = new Tracker(channels, restored)
        for (const event of events) tracker.take(event)
        const ids = tracker.log.map((line) => Number(line.split(" ")[1]))
        assert.strictEqual(new Set(ids).size, ids.length)
        const triggers = tracker.log.flatMap((line) => line.startsWith("trigger") ? [Number(line.split(" ")[1])] : [])
        assert.deepStrictEqual(triggers, [...triggers].sort((a, b) => a - b))
        assert.isTrue(ids.every((id) => id > restored))
      }),
      { numRuns: 2_000 }
    ))

  it("B7: channels that give every barrier, each at its own pace: every checkpoint is triggered, in order, and never before all have it", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 30 }),
        (channels, checkpoints, choices) => {
          const tracker = new Tracker(channels)
          const at = Array.from({ length: channels }, () => 0)
          for (let n = 0; at.some((each) => each < checkpoints); n++) {
            const open = at.flatMap((each, c) => each < checkpoints ? [c] : [])
            const c = open[choices[n % choices.length] % open.length]
            tracker.take(B(++at[c], c))
            assert.lengthOf(tracker.log, Math.min(...at))
          }
          assert.deepStrictEqual(tracker.log, Array.from({ length: checkpoints }, (_, i) => triggered(i + 1)))
          assert.deepStrictEqual(tracker.pending, [])
        }
      ),
      { numRuns: 1_000 }
    ))
})
