import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Watermark, Window } from "sluice"

const HOUR = 3_600_000

describe("Window", () => {
  it.each<readonly [offset: number, cases: ReadonlyArray<readonly [timestamp: number, start: number]>]>([
    [0, [[-8, -14], [-7, -7], [-1, -7], [1, 0], [6, 0], [7, 7]]],
    [3, [[-10, -11], [-3, -4], [2, -4], [3, 3], [9, 3], [10, 10]]],
    [-2, [[-12, -16], [-7, -9], [-3, -9], [-2, -2], [4, -2], [7, 5], [12, 12]]]
  ])("WI-01: the starts of windows of 7 at offset %i", (offset, cases) => {
    for (const [timestamp, start] of cases) assert.strictEqual(Window.start(timestamp, offset, 7), start, `${timestamp}`)
  })

  it("WI-01: days that begin at 8 h before midnight", () =>
    assert.strictEqual(Window.start(1470902048450, -8 * HOUR, 24 * HOUR), 1470844800000))

  it("WI-02: tumbling windows of 5000 ms, at offsets 0, 100 and -100", () => {
    const window = (timestamp: number, offset: number) => Window.assign(Window.tumbling(5000, { offset }), timestamp)
    assert.deepStrictEqual(window(0, 0), [{ start: 0, end: 5000 }])
    assert.deepStrictEqual(window(4999, 0), [{ start: 0, end: 5000 }])
    assert.deepStrictEqual(window(5000, 0), [{ start: 5000, end: 10000 }])
    assert.deepStrictEqual(window(5099, 100), [{ start: 100, end: 5100 }])
    assert.deepStrictEqual(window(5100, 100), [{ start: 5100, end: 10100 }])
    assert.deepStrictEqual(window(0, -100), [{ start: -100, end: 4900 }])
    assert.deepStrictEqual(window(4900, -100), [{ start: 4900, end: 9900 }])
  })

  it.each<readonly [string, () => unknown]>([
    ["a size of 0", () => Window.tumbling(0)],
    ["a negative size", () => Window.tumbling(-1)],
    ["an offset of the size", () => Window.tumbling(5000, { offset: 5000 })],
    ["an offset below minus the size", () => Window.tumbling(5000, { offset: -5001 })],
    ["a sliding window of size 0", () => Window.sliding(0, 10)],
    ["a slide of 0", () => Window.sliding(10, 0)],
    ["an offset of the slide", () => Window.sliding(10, 5, { offset: 5 })],
    ["an offset that is no number", () => Window.tumbling(5000, { offset: NaN })]
  ])(
    "WI-02: %s is rejected, with what was given",
    (_, make) => assert.throws(make, RangeError, /Window\.(tumbling|sliding): .*, got size /)
  )

  it("durations are durations, whether size, slide or offset", () =>
    assert.deepStrictEqual(Window.sliding("1 hour", "15 minutes", { offset: "5 minutes" }), {
      _tag: "AlignedWindows",
      size: HOUR,
      slide: HOUR / 4,
      offset: HOUR / 12
    }))

  it("WI-01: any timestamp lies in the window that starts there, and windows start at the offset and every size from it", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.maxSafeInteger().map((n) => Math.trunc(n / 4)),
        fc.nat(),
        fc.boolean(),
        (size, timestamp, n, negative) => {
          const offset = (n % size) * (negative ? -1 : 1)
          const start = Window.start(timestamp, offset, size)
          assert.isTrue(start <= timestamp && timestamp < start + size)
          assert.strictEqual((BigInt(start) - BigInt(offset)) % BigInt(size), 0n)
        }
      ),
      { numRuns: 10_000 }
    ))

  it("assign gives exactly the windows that hold a timestamp, earliest first, for any size, slide and offset, before the epoch too", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: -39, max: 39 }),
        fc.integer({ min: -200, max: 200 }),
        (size, slide, n, timestamp) => {
          const offset = n % slide
          // every window of the neighbourhood, by its number
          const expected: Array<Window.TimeWindow> = []
          for (let k = -600; k <= 600; k++) {
            const start = offset + k * slide
            if (start <= timestamp && timestamp < start + size) expected.push({ start, end: start + size })
          }
          assert.deepStrictEqual(Window.assign(Window.sliding(size, slide, { offset }), timestamp), expected)
          if (size === slide) assert.deepStrictEqual(Window.assign(Window.tumbling(size, { offset }), timestamp), expected)
        }
      ),
      { numRuns: 3_000 }
    ))

  it("the end of a window does not belong to it", () => {
    assert.strictEqual(Window.maxTimestamp({ start: 0, end: 5000 }), 4999)
    assert.deepStrictEqual(Window.assign(Window.sliding(10, 5), 10), [{ start: 5, end: 15 }, { start: 10, end: 20 }])
  })

  it("WI-16: state is cleaned up at the last timestamp plus the lateness", () => {
    assert.strictEqual(Window.cleanupTime(5000, 0), 4999)
    assert.strictEqual(Window.cleanupTime(5000, 2000), 6999)
    assert.strictEqual(Window.cleanupTime(-5000, 10), -4991)
  })

  it("WI-16: never beyond the end of event time, so that a late watermark before it drops no window near it", () => {
    const [{ end }] = Window.assign(Window.tumbling(1000), Watermark.MAX - 1750)
    assert.strictEqual(Window.cleanupTime(end, 2000), Watermark.MAX)
    assert.isAbove(Window.cleanupTime(end, 2000), Watermark.MAX - 1500)
    assert.strictEqual(Window.cleanupTime(Watermark.MAX, Number.MAX_VALUE), Watermark.MAX)
  })
})
