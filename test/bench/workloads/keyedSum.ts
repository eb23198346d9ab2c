/**
 * A rolling sum for each of ten thousand keys, in one task: every record makes a result. Load with `fresh`.
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
import { chunks4096, readings, readingSlices } from "../records.js"
import type { Checksum } from "../slicedJob.js"
import { runs, slicedSource } from "../slicedJob.js"

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
    const x = readings[i]
    const k = key(x)
    let entry = sums.get(k)
    if (entry === undefined) sums.set(k, entry = { sum: add(init(), x) })
    else entry.sum = add(entry.sum, x)
    sum = check(sum, project(result(entry.sum), { key: k }))
  }
  return sum
}

export const sluice: Run = runs(
  "keyed sum",
  DataStream.fromSource(slicedSource(readingSlices)).pipe(
    KeyedStream.keyBy(key),
    KeyedStream.aggregate(Aggregator.make({ accumulator: Schema.Number, init, add, result }), project)
  ),
  checksum
)

export const rxjs: Run = () => {
  checksum.value = 0
  Rx.from(readings).pipe(Rx.map(remembering())).subscribe(checksum.write)
  return checksum.value
}

export const stream: Run = () =>
  Effect.runPromise(Stream.fromChunks(...chunks4096).pipe(Stream.map(remembering()), Stream.runFold(0, check)))
