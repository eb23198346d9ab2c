import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Watermark } from "sluice"
import type { Item } from "../../src/task/Channel.js"
import { Batch, CAPACITY, Channel } from "../../src/task/Channel.js"
import { InputGate } from "../../src/task/InputGate.js"
import { collecting } from "../support/collecting.js"

/** items that can be told apart */
const item = (n: number): Item => {
  if (n % 3 !== 0) return Watermark.make(n)
  const batch = new Batch(0)
  batch.add(n, undefined)
  return batch
}

const drain = (channel: Channel): ReadonlyArray<Item> => {
  const items: Array<Item> = []
  for (let next = channel.poll(); next !== undefined; next = channel.poll()) items.push(next)
  return items
}

/** equality of flat lists; chai's own is too slow for a hundred thousand of them */
const same = (found: ReadonlyArray<unknown>, expected: ReadonlyArray<unknown>): void => {
  if (found.length !== expected.length || found.some((each, i) => each !== expected[i])) assert.deepStrictEqual(found, expected)
}

type Step = { readonly _tag: "put"; readonly n: number } | { readonly _tag: "poll"; readonly n: number } | { readonly _tag: "clear" }

const steps = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: fc.integer({ min: 1, max: 20 }).map((n): Step => ({ _tag: "put", n })) },
    { weight: 10, arbitrary: fc.integer({ min: 1, max: 20 }).map((n): Step => ({ _tag: "poll", n })) },
    { weight: 1, arbitrary: fc.constant<Step>({ _tag: "clear" }) }
  ),
  { maxLength: 30, size: "max" }
)

describe("Channel", () => {
  it("C1: far more than its capacity comes out as it was put, the very same items", () => {
    const channel = new Channel()
    const items = Array.from({ length: CAPACITY * 20 + 7 }, (_, n) => item(n))
    for (const each of items) channel.put(each)
    const out = drain(channel)
    assert.strictEqual(out.length, items.length)
    out.forEach((each, i) => assert.strictEqual(each, items[i]))
    assert.isUndefined(channel.poll())
  })

  it("C2: full from its capacity on, and a full one takes all the same", () => {
    const channel = new Channel()
    for (let n = 1; n <= CAPACITY + 3; n++) {
      channel.put(item(n))
      assert.strictEqual(channel.isFull, n >= CAPACITY)
      assert.strictEqual(channel.size, n)
    }
    for (let n = CAPACITY + 2; n >= 0; n--) {
      channel.poll()
      assert.strictEqual(channel.isFull, n >= CAPACITY)
      assert.strictEqual(channel.size, n)
    }
  })

  it("C1, C2, C3: like a list; it wakes its reader exactly when it stops being empty, its writer exactly when it stops being full", () =>
    fc.assert(
      fc.property(steps, (steps) => {
        const channel = new Channel()
        const list: Array<Item> = []
        const wakes: Array<string> = []
        const expected: Array<string> = []
        channel.onData = () => wakes.push("data")
        channel.onSpace = () => wakes.push("space")
        let n = 0
        const take = () => {
          if (list.length === CAPACITY) expected.push("space")
          return list.shift()
        }
        for (const step of steps) {
          if (step._tag === "put") {
            for (let i = 0; i < step.n; i++) {
              if (list.length === 0) expected.push("data")
              list.push(item(n))
              channel.put(list[list.length - 1])
              n++
            }
          } else if (step._tag === "poll") {
            for (let i = 0; i < step.n; i++) same([channel.poll()], [take()])
          } else {
            while (list.length > 0) take()
            channel.clear()
          }
          same([channel.size, channel.isFull], [list.length, list.length >= CAPACITY])
        }
        same(wakes, expected)
        same(drain(channel), list)
      }),
      { numRuns: 2_000 }
    ))

  it("C3: a writer and a reader that sleep until they are woken hand everything over, whoever runs when", () =>
    fc.assert(
      fc.property(
        fc.nat({ max: 120 }),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 25 })), { minLength: 1, maxLength: 20 }),
        (total, schedule) => {
          const channel = new Channel()
          const asleep = { writer: false, reader: false }
          channel.onData = () => {
            asleep.reader = false
          }
          channel.onSpace = () => {
            asleep.writer = false
          }
          let written = 0
          const read: Array<number> = []
          // a batch in hand may give more items than there is room for
          const write = (burst: number) => {
            if (channel.isFull) asleep.writer = true
            else for (let i = 0; i < burst && written < total; i++) channel.put(Watermark.make(written++))
          }
          const take = (burst: number) => {
            for (let i = 0; i < burst; i++) {
              const next = channel.poll()
              if (next === undefined) {
                asleep.reader = true
                return
              }
              read.push((next as Watermark).timestamp)
            }
          }
          for (let turn = 0; read.length < total; turn++) {
            assert.isFalse(asleep.reader && (asleep.writer || written === total), "everybody sleeps")
            const [writerFirst, burst] = schedule[turn % schedule.length]
            const writes = asleep.reader || (!asleep.writer && written < total && writerFirst)
            if (writes) write(burst)
            else take(burst)
          }
          assert.deepStrictEqual(read, Array.from({ length: total }, (_, i) => i))
        }
      ),
      { numRuns: 2_000 }
    ))
})

describe("InputGate", () => {
  const gateOf = (contents: ReadonlyArray<number>) => {
    const channels = contents.map(() => new Channel())
    const gate = new InputGate([channels])
    // the timestamp says where an item comes from
    contents.forEach((n, c) => {
      for (let i = 0; i < n; i++) channels[c].put(Watermark.make(c * 1000 + i))
    })
    return { channels, gate }
  }

  it("takes from the channels in turn, and says from which", () => {
    const { gate } = gateOf([2, 3, 1])
    const taken: Array<readonly [number, number]> = []
    for (let next = gate.poll(); next !== undefined; next = gate.poll()) taken.push([gate.channel, (next as Watermark).timestamp])
    assert.deepStrictEqual(taken, [[0, 0], [1, 1000], [2, 2000], [0, 1], [1, 1001], [1, 1002]])
  })

  it("L8: leaves a blocked channel alone until all are unblocked, and loses nothing of it", () => {
    const { channels, gate } = gateOf([2, 1])
    gate.block(0)
    assert.deepStrictEqual(gate.poll(), Watermark.make(1000))
    assert.isUndefined(gate.poll())
    assert.strictEqual(channels[0].size, 2)
    gate.unblockAll()
    assert.deepStrictEqual(gate.poll(), Watermark.make(0))
    assert.deepStrictEqual(gate.poll(), Watermark.make(1))
  })

  it("wakes its reader whichever channel stops being empty", () => {
    const { channels, gate } = gateOf([0, 0, 0])
    let wakes = 0
    gate.onData(() => wakes++)
    channels[2].put(item(1))
    channels[2].put(item(2))
    channels[0].put(item(3))
    assert.strictEqual(wakes, 2)
  })

  type Move =
    | { readonly _tag: "put"; readonly channel: number; readonly n: number }
    | { readonly _tag: "poll"; readonly n: number }
    | { readonly _tag: "block"; readonly channel: number }
    | { readonly _tag: "unblockAll" }

  const scenario = fc.integer({ min: 1, max: 5 }).chain((channels) => {
    const channel = fc.nat({ max: channels - 1 })
    return fc.tuple(
      fc.constant(channels),
      fc.array(
        fc.oneof(
          { weight: 5, arbitrary: fc.record({ _tag: fc.constant("put" as const), channel, n: fc.integer({ min: 1, max: 6 }) }) },
          { weight: 5, arbitrary: fc.record({ _tag: fc.constant("poll" as const), n: fc.integer({ min: 1, max: 8 }) }) },
          { weight: 2, arbitrary: fc.record({ _tag: fc.constant("block" as const), channel }) },
          { weight: 1, arbitrary: fc.constant({ _tag: "unblockAll" as const }) }
        ) as fc.Arbitrary<Move>,
        { maxLength: 40, size: "max" }
      )
    )
  })

  it("C1, L8: each channel in its own order, never a blocked one, nothing only where nothing can be taken, nobody passed over twice", () =>
    fc.assert(
      fc.property(scenario, ([n, moves]) => {
        const { channels, gate } = gateOf(Array.from({ length: n }, () => 0))
        const waiting = channels.map((): Array<number> => [])
        const blocked = channels.map(() => false)
        /** how often others were served since a channel had something to give */
        const passedOver = channels.map(() => 0)
        let next = 0
        for (const move of moves) {
          if (move._tag === "put") {
            for (let i = 0; i < move.n; i++) {
              waiting[move.channel].push(next)
              channels[move.channel].put(Watermark.make(next++))
            }
          } else if (move._tag === "block") {
            blocked[move.channel] = true
            gate.block(move.channel)
          } else if (move._tag === "unblockAll") {
            blocked.fill(false)
            gate.unblockAll()
          } else {
            for (let i = 0; i < move.n; i++) {
              const ready = channels.flatMap((_, c) => !blocked[c] && waiting[c].length > 0 ? [c] : [])
              const taken = gate.poll()
              if (ready.length === 0) {
                same([taken], [undefined])
                continue
              }
              same([ready.includes(gate.channel), (taken as Watermark).timestamp], [true, waiting[gate.channel].shift()])
              channels.forEach((_, c) => {
                passedOver[c] = ready.includes(c) && c !== gate.channel ? passedOver[c] + 1 : 0
                if (passedOver[c] === n) assert.fail(`not fair: ${n} others came before channel ${c}`)
              })
            }
          }
        }
      }),
      { numRuns: 2_000 }
    ))
})

describe("Batch", () => {
  it("records come out as they were added, with and without timestamps, whatever was expected of it", () =>
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: undefined }), { maxLength: 20 }),
        fc.nat({ max: 30 }),
        (timestamps, expected) => {
          const batch = new Batch(expected)
          timestamps.forEach((timestamp, i) => batch.add(i, timestamp))
          const { output, records } = collecting<number>()
          batch.emitTo(output)
          assert.strictEqual(batch.count, timestamps.length)
          assert.deepStrictEqual(records, timestamps.map((timestamp, value) => ({ _tag: "Record" as const, value, timestamp })))
        }
      ),
      { numRuns: 2_000 }
    ))
})

describe("InputGate, what is put back", () => {
  it("N1: the rest of an item comes before what was put back behind it", () => {
    const gate = new InputGate([[new Channel()]])
    const [first, second] = [item(3), item(6)]
    gate.putBack(0, first)
    gate.putBack(0, second)
    assert.strictEqual(gate.poll(), first)
    gate.giveBack(0, first)
    assert.strictEqual(gate.poll(), first)
    assert.strictEqual(gate.poll(), second)
    assert.isUndefined(gate.poll())
  })
})
