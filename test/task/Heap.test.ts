import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Heap } from "../../src/task/Heap.js"

interface Timed {
  readonly time: number
  readonly sequence: number
}

const earlier = (a: Timed, b: Timed): boolean => a.time < b.time || (a.time === b.time && a.sequence < b.sequence)

describe("Heap", () => {
  it("an empty one gives nothing", () => {
    const heap = new Heap<number>((a, b) => a < b)
    assert.isUndefined(heap.peek())
    assert.isUndefined(heap.pop())
    assert.strictEqual(heap.size, 0)
  })

  it("gives a permutation back in order, whatever order it came in", () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 60, size: "max" }), (numbers) => {
        const heap = new Heap<number>((a, b) => a < b)
        for (const n of numbers) heap.push(n)
        const out: Array<number> = []
        while (heap.size > 0) out.push(heap.pop()!)
        assert.deepStrictEqual(out, [...numbers].sort((a, b) => a - b))
        assert.isUndefined(heap.pop())
      }),
      { numRuns: 1_500 }
    ))

  it("L7: pushes and pops in any order give the least by (time, registration) each time, as a sorted list does", () =>
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat({ max: 8 }), { freq: 3 }), { maxLength: 80, size: "max" }), (steps) => {
        const heap = new Heap<Timed>(earlier)
        const list: Array<Timed> = []
        steps.forEach((time, sequence) => {
          if (time === null) {
            if (heap.pop() !== list.shift()) assert.fail(`step ${sequence}`)
          } else {
            const item = { time, sequence }
            heap.push(item)
            list.push(item)
            list.sort((a, b) => a.time - b.time || a.sequence - b.sequence)
          }
          if (heap.size !== list.length || heap.peek() !== list[0]) assert.fail(`step ${sequence}`)
        })
      }),
      { numRuns: 1_500 }
    ))
})
