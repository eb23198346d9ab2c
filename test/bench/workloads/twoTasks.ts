/**
 * Two tasks with a channel between them: map, filter, map in one; the rolling sum of ten thousand keys in the other. Load with `fresh`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Rx from "rxjs"
import { Aggregator, DataStream, KeyedStream } from "sluice"
import { fresh } from "../fresh.js"
import type { Total } from "../functions/sum.js"
import type { Run } from "../measure.js"
import { chunks1024, readings, readingSlices, SLICE } from "../records.js"
import type { Checksum } from "../slicedJob.js"
import { runs, slicedSource } from "../slicedJob.js"

const { keep, mask, scale } = await fresh<typeof import("../functions/chain.js")>("../functions/chain.ts", import.meta.url)
const { add, check, init, key, project, remembering, result } = await fresh<typeof import("../functions/sum.js")>(
  "../functions/sum.ts",
  import.meta.url
)

const checksum: Checksum<Total> = {
  value: 0,
  write: (x) => {
    checksum.value = check(checksum.value, x)
  }
}

export const handLoop: Run = () => {
  const sums = new Map<string, { sum: number }>()
  let sum = 0
  for (let i = 0; i < readings.length; i++) {
    const scaled = scale(readings[i])
    if (!keep(scaled)) continue
    const x = mask(scaled)
    const k = key(x)
    let entry = sums.get(k)
    if (entry === undefined) sums.set(k, entry = { sum: add(init(), x) })
    else entry.sum = add(entry.sum, x)
    sum = check(sum, project(result(entry.sum), { key: k }))
  }
  return sum
}

/** At parallelism 1 the graph makes the keyed edge a forward one; from two readers on the keys are hashed. */
export const sluice = (readers: number): Run =>
  runs(
    "two tasks",
    DataStream.fromSource(slicedSource(readingSlices), { parallelism: 1 }).pipe(
      DataStream.map(scale),
      DataStream.parallelism(1),
      DataStream.filter(keep),
      DataStream.parallelism(1),
      DataStream.map(mask),
      DataStream.parallelism(1),
      KeyedStream.keyBy(key),
      KeyedStream.aggregate(Aggregator.make({ accumulator: Schema.Number, init, add, result }), project),
      DataStream.startNewChain
    ),
    checksum,
    { parallelism: readers, batchSize: SLICE }
  )

export const rxjs: Run = () => {
  checksum.value = 0
  Rx.from(readings).pipe(Rx.map(scale), Rx.filter(keep), Rx.map(mask), Rx.map(remembering())).subscribe(checksum.write)
  return checksum.value
}

/** with a buffer of 8 chunks between two fibers, and chunks as large as the channel's batches */
export const stream: Run = () =>
  Effect.runPromise(
    Stream.fromChunks(...chunks1024).pipe(
      Stream.map(scale),
      Stream.filter(keep),
      Stream.map(mask),
      Stream.bufferChunks({ capacity: 8 }),
      Stream.map(remembering()),
      Stream.runFold(0, check)
    )
  )
