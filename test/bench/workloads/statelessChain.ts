/**
 * Three operators without state in one task: map, filter, map. Load with `fresh`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Rx from "rxjs"
import { DataStream } from "sluice"
import { fresh } from "../fresh.js"
import type { Run } from "../measure.js"
import type { Reading } from "../records.js"
import { chunks4096, readings, readingSlices } from "../records.js"
import type { Checksum } from "../slicedJob.js"
import { runs, slicedSource } from "../slicedJob.js"

const { check, keep, mask, scale } = await fresh<typeof import("../functions/chain.js")>("../functions/chain.ts", import.meta.url)

const checksum: Checksum<Reading> = {
  value: 0,
  write: (x) => {
    checksum.value = check(checksum.value, x)
  }
}

export const handLoop: Run = () => {
  let sum = 0
  for (let i = 0; i < readings.length; i++) {
    const scaled = scale(readings[i])
    if (keep(scaled)) sum = check(sum, mask(scaled))
  }
  return sum
}

export const sluice: Run = runs(
  "stateless chain",
  DataStream.fromSource(slicedSource(readingSlices)).pipe(DataStream.map(scale), DataStream.filter(keep), DataStream.map(mask)),
  checksum
)

export const rxjs: Run = () => {
  checksum.value = 0
  Rx.from(readings).pipe(Rx.map(scale), Rx.filter(keep), Rx.map(mask)).subscribe(checksum.write)
  return checksum.value
}

export const stream: Run = () =>
  Effect.runPromise(
    Stream.fromChunks(...chunks4096).pipe(Stream.map(scale), Stream.filter(keep), Stream.map(mask), Stream.runFold(0, check))
  )
