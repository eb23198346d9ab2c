import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Watermark, WatermarkStrategy } from "sluice"

/** what a generator probes: the strategy's watermark for the highest of the timestamps so far, or the beginning of event time */
const probe = (strategy: WatermarkStrategy.WatermarkStrategy<unknown>, timestamps: ReadonlyArray<number>): number => {
  let highest: number = Watermark.MIN
  for (const timestamp of timestamps) highest = Math.max(highest, timestamp)
  return WatermarkStrategy.clamp(strategy.fromHighest!(highest))
}

describe("WatermarkStrategy", () => {
  it("WM-16: out of order by 10 ms at the most: the watermark is 11 ms behind the highest timestamp", () => {
    const strategy = WatermarkStrategy.boundedOutOfOrderness("10 millis")
    assert.strictEqual(probe(strategy, []), Watermark.MIN)
    assert.strictEqual(probe(strategy, [1337]), 1326)
    assert.strictEqual(probe(strategy, [1337, 12345, 12300, 12340, 12280]), 12334)
    assert.strictEqual(probe(strategy, [12345, 723456]), 723445)
    assert.strictEqual(probe(strategy, [12345, 723456]), 723445)
  })

  it("timestamps that never go back: 1 ms behind the highest", () => {
    assert.strictEqual(probe(WatermarkStrategy.monotonic, [0]), -1)
    assert.strictEqual(probe(WatermarkStrategy.monotonic, [5, 5, 7]), 6)
    assert.strictEqual(probe(WatermarkStrategy.boundedOutOfOrderness(0), [5, 5, 7]), 6)
  })

  it("W1: what has not come yet and is in bounds is not late, and the watermarks of a generator never go back", () =>
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.constantFrom(Watermark.MIN, Watermark.MAX)), { minLength: 1 }),
        fc.nat({ max: 500 }),
        (timestamps, bound) => {
          const strategy = WatermarkStrategy.boundedOutOfOrderness(bound)
          let last: number = Watermark.MIN
          timestamps.forEach((_, i) => {
            const seen = timestamps.slice(0, i + 1)
            const watermark = probe(strategy, seen)
            assert.isAtLeast(watermark, last)
            assert.isTrue(watermark >= Watermark.MIN && watermark <= Watermark.MAX)
            // the latest record that may still come is not covered by the watermark; one a millisecond older is
            const latest = Math.max(...seen) - bound
            if (latest > Watermark.MIN) assert.isBelow(watermark, latest)
            if (latest > Watermark.MIN) assert.isAtLeast(watermark, latest - 1)
            last = watermark
          })
        }
      ),
      { numRuns: 2_000 }
    ))

  it("punctuated: a record's own watermark, and none that follows from timestamps", () => {
    const strategy = WatermarkStrategy.punctuated((value: { readonly mark?: number }, timestamp) =>
      value.mark === undefined ? undefined : value.mark + timestamp
    )
    assert.isUndefined(strategy.fromHighest)
    assert.strictEqual(strategy.fromRecord!({ mark: 5 }, 100), 105)
    assert.isUndefined(strategy.fromRecord!({}, 100))
  })

  it("none: neither", () => {
    assert.isUndefined(WatermarkStrategy.none.fromHighest)
    assert.isUndefined(WatermarkStrategy.none.fromRecord)
  })

  it("withIdleness: the same watermarks, idle after a timeout in milliseconds; the strategy itself stays as it was", () => {
    for (const strategy of [WatermarkStrategy.monotonic, WatermarkStrategy.boundedOutOfOrderness("1 second"), WatermarkStrategy.none]) {
      const idling = strategy.pipe(WatermarkStrategy.withIdleness("2 seconds"))
      assert.strictEqual(idling.idleAfter, 2000)
      assert.strictEqual(idling.fromHighest, strategy.fromHighest)
      assert.strictEqual(idling.fromRecord, strategy.fromRecord)
      assert.isUndefined(strategy.idleAfter)
      assert.strictEqual(idling.pipe(WatermarkStrategy.withIdleness(10)).idleAfter, 10)
    }
  })

  it("a watermark is never beyond the ends of event time", () =>
    assert.deepStrictEqual([-Infinity, Watermark.MIN - 1, Watermark.MIN, 0, Watermark.MAX, Infinity].map(WatermarkStrategy.clamp), [
      Watermark.MIN,
      Watermark.MIN,
      Watermark.MIN,
      0,
      Watermark.MAX,
      Watermark.MAX
    ]))
})
