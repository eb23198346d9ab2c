/**
 * A count for each key and tumbling window of event time. Load with `fresh`.
 *
 * Records come out of order, but none too late. Event time is looked at after every slice, by the hand loop too.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Rx from "rxjs"
import { Aggregator, DataStream, KeyedStream, WatermarkStrategy, Window, WindowedStream } from "sluice"
import { fresh } from "../fresh.js"
import type { Count } from "../functions/count.js"
import type { Run } from "../measure.js"
import { chunks4096, OUT_OF_ORDER, readings, readingSlices, SLICE, timestampSlices } from "../records.js"
import type { Checksum } from "../slicedJob.js"
import { runs, slicedSource } from "../slicedJob.js"

const { add, check, init, key, project, remembering, result } = await fresh<typeof import("../functions/count.js")>(
  "../functions/count.ts",
  import.meta.url
)

const checksum: Checksum<Count> = {
  value: 0,
  write: (x) => {
    checksum.value = check(checksum.value, x)
  }
}

export const handLoop = (size: number): Run => () => {
  const panes = new Map<number, Map<string, { n: number }>>()
  let highest = 0
  let watermark = -Infinity
  let next = size
  let sum = 0
  const fire = () => {
    for (; next - 1 <= watermark && panes.size > 0; next += size) {
      const pane = panes.get(next)
      if (pane === undefined) continue
      for (const [k, entry] of pane) sum = check(sum, project(result(entry.n), { key: k, window: { start: next - size, end: next } }))
      panes.delete(next)
    }
  }
  for (let i = 0; i < readings.length; i++) {
    const x = readings[i]
    const { ts } = x
    const end = ts - ts % size + size
    if (end - 1 > watermark) {
      let pane = panes.get(end)
      if (pane === undefined) panes.set(end, pane = new Map())
      const k = key(x)
      const entry = pane.get(k)
      if (entry === undefined) pane.set(k, { n: add(init(), x) })
      else entry.n = add(entry.n, x)
    }
    if (ts > highest) highest = ts
    if ((i + 1) % SLICE === 0) {
      watermark = highest - OUT_OF_ORDER - 1
      fire()
    }
  }
  watermark = Infinity
  fire()
  return sum
}

export const sluice = (size: number): Run =>
  runs(
    "window count",
    DataStream.fromSource(slicedSource(readingSlices, timestampSlices), {
      watermarks: WatermarkStrategy.boundedOutOfOrderness(OUT_OF_ORDER)
    }).pipe(
      KeyedStream.keyBy(key),
      WindowedStream.window(Window.tumbling(size)),
      WindowedStream.aggregate(Aggregator.make({ accumulator: Schema.Number, init, add, result }), project)
    ),
    checksum
  )

export const rxjs = (size: number): Run => () => {
  const window = remembering(size)
  checksum.value = 0
  Rx.concat(Rx.from(readings).pipe(Rx.concatMap(window.push)), Rx.defer(window.end)).subscribe(checksum.write)
  return checksum.value
}

/** adds up chunk by chunk: `Stream.runFold` recurses over a chunk, and a window's results are too many for the stack */
export const stream = (size: number): Run => () => {
  const window = remembering(size)
  let sum = 0
  const results = Stream.fromChunks(...chunks4096).pipe(
    Stream.mapConcat(window.push),
    Stream.concat(Stream.suspend(() => Stream.fromIterable(window.end()))),
    Stream.runForEachChunk((chunk) =>
      Effect.sync(() => {
        const values = Chunk.toReadonlyArray(chunk)
        for (let i = 0; i < values.length; i++) sum = check(sum, values[i])
      })
    )
  )
  return Effect.runPromise(Effect.map(results, () => sum))
}
