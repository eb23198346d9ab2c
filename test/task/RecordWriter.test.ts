import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc, Schema } from "effect"
import { Checkpoint, StreamElement, Watermark } from "sluice"
import type { Partitioning } from "../../src/graph/StreamGraph.js"
import * as KeyCodec from "../../src/state/KeyCodec.js"
import { GeneratedOutput } from "../../src/task/ChainCode.js"
import { CAPACITY, Channel } from "../../src/task/Channel.js"
import { RecordWriter } from "../../src/task/RecordWriter.js"
import { collecting } from "../support/collecting.js"

interface Trade {
  readonly symbol: string | number
  readonly n: number
}

const hash: Partitioning = {
  _tag: "Hash",
  key: { select: (trade: Trade) => trade.symbol, codec: KeyCodec.make(Schema.Union(Schema.String, Schema.Number)) }
}

const barrier: StreamElement.StreamEvent = { _tag: "CheckpointBarrier", id: 1, timestamp: 5, kind: Checkpoint.checkpoint }

const make = (partitioning: Partitioning, options: {
  readonly channels: number
  readonly subtask?: number
  readonly maxParallelism?: number
  readonly batchSize?: number
}) => {
  const channels = Array.from({ length: options.channels }, () => new Channel())
  const writer = new RecordWriter(channels, partitioning, options.subtask ?? 0, options.maxParallelism ?? 128, options.batchSize ?? 4)
  return { channels, writer }
}

/** what a channel holds, batches taken apart */
const elements = (channel: Channel, batchSize: number): ReadonlyArray<StreamElement.StreamElement<Trade>> => {
  const out: Array<StreamElement.StreamElement<Trade>> = []
  for (let item = channel.poll(); item !== undefined; item = channel.poll()) {
    if (item._tag !== "Batch") {
      out.push(item)
      continue
    }
    if (item.count < 1 || item.count > batchSize) assert.fail(`a batch of ${item.count}`)
    const { output, records } = collecting<Trade>()
    item.emitTo(output)
    out.push(...records)
  }
  return out
}

// key groups once more, from the published algorithm, in arithmetic of unlimited size
const u32 = (n: bigint): bigint => BigInt.asUintN(32, n)
const rotate = (n: bigint, by: bigint): bigint => u32((n << by) | (n >> (32n - by)))
const keyGroup = (symbol: string | number, maxParallelism: number): number => {
  const code = typeof symbol === "number"
    ? BigInt(symbol)
    : Array.from({ length: symbol.length }, (_, i) => symbol.charCodeAt(i)).reduce((h, c) => u32(h * 31n + BigInt(c)), 0n)
  let h = u32(rotate(u32(u32(code) * 0xcc9e2d51n), 15n) * 0x1b873593n)
  h = u32(rotate(h, 13n) * 5n + 0xe6546b64n) ^ 4n
  h ^= h >> 16n
  h = u32(h * 0x85ebca6bn)
  h ^= h >> 13n
  h = u32(h * 0xc2b2ae35n)
  h ^= h >> 16n
  const signed = Number(BigInt.asIntN(32, h))
  return (signed === -2147483648 ? 0 : Math.abs(signed)) % maxParallelism
}

/** to which channels the i-th record goes */
const target = (partitioning: Partitioning, trade: Trade, i: number, options: {
  readonly channels: number
  readonly subtask: number
  readonly maxParallelism: number
}): ReadonlyArray<number> => {
  switch (partitioning._tag) {
    case "Forward":
    case "Global":
      return [0]
    case "Rebalance":
      return [(options.subtask + i) % options.channels]
    case "Broadcast":
      return Array.from({ length: options.channels }, (_, c) => c)
    case "Hash":
      return [Math.floor(keyGroup(trade.symbol, options.maxParallelism) * options.channels / options.maxParallelism)]
  }
}

type Step =
  | { readonly _tag: "emit"; readonly symbol: string | number; readonly timestamp: number | undefined }
  | { readonly _tag: "watermark"; readonly timestamp: number }
  | { readonly _tag: "status"; readonly idle: boolean }
  | { readonly _tag: "barrier" }
  | { readonly _tag: "flush" }

const symbol = fc.oneof(fc.constantFrom("a", "b", "SAP", "日本"), fc.integer({ min: -3, max: 3 }), fc.string({ maxLength: 4 }))

const scenario = fc.record({
  partitioning: fc.constantFrom<Partitioning>({ _tag: "Rebalance" }, { _tag: "Broadcast" }, { _tag: "Global" }, { _tag: "Forward" }, hash),
  channels: fc.integer({ min: 1, max: 5 }),
  subtask: fc.nat({ max: 6 }),
  maxParallelism: fc.integer({ min: 5, max: 128 }),
  batchSize: fc.integer({ min: 1, max: 6 }),
  codegen: fc.boolean(),
  steps: fc.array(
    fc.oneof(
      {
        weight: 12,
        arbitrary: fc.record({
          _tag: fc.constant("emit" as const),
          symbol,
          timestamp: fc.option(fc.nat({ max: 99 }), { nil: undefined })
        })
      },
      {
        weight: 2,
        arbitrary: fc.record({
          _tag: fc.constant("watermark" as const),
          timestamp: fc.oneof(fc.nat({ max: 99 }), fc.constant(Watermark.MAX))
        })
      },
      { weight: 2, arbitrary: fc.record({ _tag: fc.constant("status" as const), idle: fc.boolean() }) },
      { weight: 1, arbitrary: fc.constant({ _tag: "barrier" as const }) },
      { weight: 1, arbitrary: fc.constant({ _tag: "flush" as const }) }
    ) as fc.Arbitrary<Step>,
    { maxLength: 40, size: "max" }
  )
})

describe("RecordWriter", () => {
  it("R1: per channel, the order of emission, events after all records before them, under every partitioning and batch size, as code or not", () =>
    fc.assert(
      fc.property(scenario, (options) => {
        const { channels, writer } = make(options.partitioning, options)
        const output = options.codegen ? new GeneratedOutput(writer, [writer], "writer") : writer
        const expected = channels.map((): Array<StreamElement.StreamElement<Trade>> => [])
        const toAll = (event: StreamElement.StreamEvent) => expected.forEach((each) => each.push(event))
        let n = 0
        let idle = false
        const becomes = (next: boolean) => {
          if (idle !== next) toAll({ _tag: "WatermarkStatus", idle: next })
          idle = next
        }
        for (const step of options.steps) {
          switch (step._tag) {
            case "emit": {
              const trade = { symbol: step.symbol, n }
              for (const c of target(options.partitioning, trade, n, options)) expected[c].push(StreamElement.record(trade, step.timestamp))
              output.emit(trade, step.timestamp)
              n++
              break
            }
            case "watermark":
              if (step.timestamp === Watermark.MAX) becomes(false)
              if (!idle) toAll(Watermark.make(step.timestamp))
              writer.emitWatermark(step.timestamp)
              break
            case "status":
              becomes(step.idle)
              writer.emitStatus(step.idle)
              break
            case "barrier":
              toAll(barrier)
              writer.event(barrier)
              break
            case "flush":
              writer.flush()
          }
        }
        writer.flush()
        channels.forEach((channel, c) => assert.deepStrictEqual(elements(channel, options.batchSize), expected[c], `channel ${c}`))
        assert.strictEqual(writer.records, n)
      }),
      { numRuns: 2_000 }
    ))

  it("KG-06: a key goes to one channel, whatever else the record holds, for 1, 2 and 1024 channels", () => {
    for (const n of [1, 2, 1024]) {
      const { channels, writer } = make(hash, { channels: n, maxParallelism: 32768, batchSize: 1 })
      for (let i = 0; i < 8; i++) writer.emit({ symbol: "test", n: i }, i)
      const used = channels.flatMap((channel, c) => channel.size > 0 ? [[c, channel.size]] : [])
      assert.deepStrictEqual(used, [[Math.floor(keyGroup("test", 32768) * n / 32768), 8]])
    }
  })

  it("rebalance deals records out in turn, beginning at the writer's own number", () => {
    const { channels, writer } = make({ _tag: "Rebalance" }, { channels: 3, subtask: 4, batchSize: 1 })
    for (let n = 0; n < 5; n++) writer.emit({ symbol: "a", n }, undefined)
    const numbers = channels.map((channel) => elements(channel, 1).map((each) => each._tag === "Record" ? each.value.n : undefined))
    assert.deepStrictEqual(numbers, [[2], [0, 3], [1, 4]])
  })

  it("trap 5: an idle output gives no watermark, but says that it is active before the last one", () => {
    const { channels, writer } = make({ _tag: "Rebalance" }, { channels: 2 })
    writer.emitWatermark(5)
    writer.emitStatus(true)
    writer.emitStatus(true)
    writer.emitWatermark(6)
    writer.emitWatermark(Watermark.MAX)
    for (const channel of channels) {
      assert.deepStrictEqual(elements(channel, 4), [
        Watermark.make(5),
        { _tag: "WatermarkStatus", idle: true },
        { _tag: "WatermarkStatus", idle: false },
        Watermark.make(Watermark.MAX)
      ])
    }
  })

  it("a batch is handed on as soon as it is full, and not before", () => {
    const { channels: [channel], writer } = make({ _tag: "Global" }, { channels: 1, batchSize: 3 })
    writer.emit({ symbol: "a", n: 0 }, 0)
    writer.emit({ symbol: "a", n: 1 }, 1)
    assert.strictEqual(channel.size, 0)
    writer.emit({ symbol: "a", n: 2 }, 2)
    assert.strictEqual(channel.size, 1)
    writer.flush()
    assert.strictEqual(channel.size, 1)
  })

  it("C2: the writer is blocked while any of its channels is full", () => {
    const { channels, writer } = make({ _tag: "Rebalance" }, { channels: 2, batchSize: 1 })
    for (let n = 0; n < CAPACITY - 1; n++) channels[1].put(Watermark.make(n))
    assert.isFalse(writer.isBlocked)
    writer.event(Watermark.make(99))
    assert.isTrue(writer.isBlocked)
    channels[1].poll()
    assert.isFalse(writer.isBlocked)
  })
})
