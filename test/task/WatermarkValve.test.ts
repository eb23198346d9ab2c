import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Watermark } from "sluice"
import { WatermarkValve } from "sluice/task"

type Given = number | "IDLE" | "ACTIVE"
type Event = readonly [channel: number, what: Given]

/** a valve, and all that it gives out */
const valve = (channels: number) => {
  const out: Array<Given> = []
  const self = new WatermarkValve(channels, (timestamp) => out.push(timestamp), (idle) => out.push(idle ? "IDLE" : "ACTIVE"))
  return {
    self,
    out,
    /** what the valve gives out for one event */
    take: ([channel, what]: Event): ReadonlyArray<Given> => {
      const before = out.length
      if (typeof what === "number") self.watermark(channel, what)
      else self.status(channel, what === "IDLE")
      return out.slice(before)
    }
  }
}

/** equality of flat lists; chai's own is too slow for a hundred thousand of them */
const same = (found: ReadonlyArray<unknown>, expected: ReadonlyArray<unknown>): void => {
  if (found.length !== expected.length || found.some((each, i) => each !== expected[i])) assert.deepStrictEqual(found, expected)
}

type Row = readonly [channel: number, what: Given, given: ReadonlyArray<Given>]

const follow = (channels: number, rows: ReadonlyArray<Row>): void => {
  const { take } = valve(channels)
  rows.forEach(([channel, what, given], i) => assert.deepStrictEqual(take([channel, what]), given, `row ${i}`))
}

describe("WatermarkValve", () => {
  it("WM-01: one channel: its watermarks, less those that go back", () =>
    follow(1, [[0, 0, [0]], [0, 25, [25]], [0, 18, []], [0, 42, [42]]]))

  it("WM-03: several channels: the least of them; what goes back on its channel gives nothing", () =>
    follow(3, [[0, 25, []], [1, 10, []], [2, 17, [10]], [0, 12, []], [1, 8, []], [2, 15, []]]))

  it("WM-04, W3: one channel: a status that changes nothing gives nothing", () =>
    follow(1, [[0, "ACTIVE", []], [0, "IDLE", ["IDLE"]], [0, "IDLE", []], [0, "ACTIVE", ["ACTIVE"]], [0, "ACTIVE", []]]))

  it("WM-04, W3: several channels: IDLE with the last that goes idle, ACTIVE with the first that comes back", () =>
    follow(2, [
      [0, "ACTIVE", []],
      [1, "ACTIVE", []],
      [1, "IDLE", []],
      [0, "IDLE", ["IDLE"]],
      [1, "ACTIVE", ["ACTIVE"]],
      [0, "ACTIVE", []],
      [0, "IDLE", []],
      [1, "IDLE", ["IDLE"]],
      [0, "ACTIVE", ["ACTIVE"]]
    ]))

  it("WM-05: a watermark on an idle channel is ignored", () =>
    follow(1, [[0, 25, [25]], [0, "IDLE", ["IDLE"]], [0, 50, []], [0, "ACTIVE", ["ACTIVE"]], [0, 50, [50]]]))

  it("W2: an idle channel does not hold the others back, and counts again once it has caught up", () =>
    follow(2, [
      [0, 10, []],
      [1, 3, [3]],
      [1, "IDLE", [10]],
      [0, 12, [12]],
      [1, "ACTIVE", []],
      [1, 11, []],
      [0, 14, [14]],
      [1, 14, []],
      [0, 20, []],
      [1, 17, [17]]
    ]))

  it("trap 14: when the slowest and last active channel goes idle, the others' watermarks are not lost", () =>
    follow(3, [[0, 5, []], [1, 10, []], [2, 20, [5]], [2, "IDLE", []], [1, "IDLE", []], [0, "IDLE", [20, "IDLE"]]]))

  it("WM-09, W4: where every active channel has to catch up nothing is given out, in particular not the end of event time", () =>
    follow(3, [[0, 10, []], [1, "IDLE", []], [2, "IDLE", [10]], [1, "ACTIVE", []], [2, "ACTIVE", []], [0, "IDLE", []]]))

  it("WM-09: a channel that has to catch up and goes idle again gives nothing", () =>
    follow(2, [[0, 10, []], [1, "IDLE", [10]], [1, "ACTIVE", []], [1, 9, []], [1, "IDLE", []]]))

  it("WM-10: two gates of two channels each are one input of four", () => {
    const [a, b, c, d] = [0, 1, 2, 3]
    follow(4, [
      [a, 0, []],
      [b, 0, []],
      [c, 0, []],
      [d, 0, [0]],
      [a, 4, []],
      [b, 3, []],
      [c, 3, []],
      [d, 2, [2]],
      [d, 4, [3]],
      [b, 4, []],
      [c, 4, [4]],
      [b, "IDLE", []],
      [c, "IDLE", []],
      [a, 6, []],
      [d, 5, [5]],
      [d, "IDLE", [6]],
      [a, "IDLE", ["IDLE"]],
      [b, "ACTIVE", ["ACTIVE"]],
      [c, "ACTIVE", []]
    ])
  })

  it("the end of event time passes once every channel has given it", () =>
    follow(2, [[0, Watermark.MAX, []], [1, 7, [7]], [1, Watermark.MAX, [Watermark.MAX]], [0, Watermark.MAX, []]]))

  it("before the first watermark the valve is at the beginning of event time", () => {
    const { self, take } = valve(2)
    assert.strictEqual(self.current, Watermark.MIN)
    take([0, 5])
    assert.strictEqual(self.current, Watermark.MIN)
    take([1, 4])
    assert.strictEqual(self.current, 4)
  })

  // ------------------------------------------------------------------------------------------------------------------------------------------

  const anyRun = fc.integer({ min: 1, max: 4 }).chain((channels) =>
    fc.record({
      channels: fc.constant(channels),
      events: fc.array(
        fc.tuple(
          fc.nat({ max: channels - 1 }),
          fc.oneof(
            { weight: 6, arbitrary: fc.integer({ min: -5, max: 25 }) as fc.Arbitrary<Given> },
            { weight: 2, arbitrary: fc.constant<Given>("IDLE") },
            { weight: 2, arbitrary: fc.constant<Given>("ACTIVE") },
            { weight: 1, arbitrary: fc.constantFrom<Given>(Watermark.MAX, Watermark.MIN) }
          )
        ),
        { maxLength: 60, size: "max" }
      )
    })
  )

  /**
   * The laws without a memory of who is aligned: a channel counts while it is active and not behind what was given out (W2).
   * Event time ends when it has ended on every channel. Going idle moves event time only where the channel held it back, to the least of who counts, or, with nobody left, to the greatest of all.
   */
  class Oracle {
    readonly highest: Array<number>
    readonly idle: Array<boolean>
    given: number = Watermark.MIN

    constructor(channels: number) {
      this.highest = Array.from({ length: channels }, () => Watermark.MIN)
      this.idle = Array.from({ length: channels }, () => false)
    }

    private get counting(): ReadonlyArray<number> {
      return this.highest.filter((watermark, c) => !this.idle[c] && watermark >= this.given)
    }

    private give(candidates: ReadonlyArray<number>): ReadonlyArray<Given> {
      const next = candidates.length === 0 ? this.given : candidates.reduce((a, b) => Math.min(a, b))
      if (next <= this.given || (next === Watermark.MAX && this.highest.some((each) => each !== next))) return []
      this.given = next
      return [next]
    }

    take([channel, what]: Event): ReadonlyArray<Given> {
      if (typeof what === "number") {
        if (this.idle[channel] || what <= this.highest[channel]) return []
        this.highest[channel] = what
        return this.give(this.counting)
      }
      const wasIdle = !this.idle.includes(false)
      if (this.idle[channel] === (what === "IDLE")) return []
      this.idle[channel] = what === "IDLE"
      if (what === "ACTIVE") return wasIdle ? ["ACTIVE"] : []
      const heldBack = this.highest[channel] === this.given
      if (this.idle.includes(false)) return heldBack ? this.give(this.counting) : []
      return [...(heldBack ? this.give([Math.max(...this.highest)]) : []), "IDLE"]
    }
  }

  it("W1 to W4: any watermarks and statuses give what a valve without a memory of alignment gives", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events }) => {
        const { self, take } = valve(channels)
        const oracle = new Oracle(channels)
        for (const event of events) {
          same(take(event), oracle.take(event))
          same([self.current], [oracle.given])
        }
      }),
      { numRuns: 4_000 }
    ))

  it("W1, W3, L10: what is given out: watermarks that only grow, IDLE and ACTIVE in turn, and nothing between IDLE and ACTIVE", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events }) => {
        const { out, take } = valve(channels)
        for (const event of events) take(event)
        let last: number = Watermark.MIN
        let idle = false
        for (const given of out) {
          if (typeof given === "number") {
            if (given <= last || idle) assert.fail(`${given} after ${last}, ${idle ? "idle" : "active"}`)
            last = given
          } else {
            same([given === "IDLE"], [!idle])
            idle = given === "IDLE"
          }
        }
      }),
      { numRuns: 2_000 }
    ))

  it("L10: without idleness event time is the least of what the channels have reached, after every event", () =>
    fc.assert(
      fc.property(anyRun, ({ channels, events }) => {
        const { self, take } = valve(channels)
        const reached = Array.from({ length: channels }, (): number => Watermark.MIN)
        for (const [channel, what] of events) {
          if (typeof what !== "number") continue
          take([channel, what])
          reached[channel] = Math.max(reached[channel], what)
          same([self.current], [Math.min(...reached)])
        }
      }),
      { numRuns: 1_000 }
    ))
})
