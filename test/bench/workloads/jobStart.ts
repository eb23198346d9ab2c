/**
 * Starting and stopping: a job, an observable, a stream of one record each, from start to finish. Load with `fresh`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Rx from "rxjs"
import { DataStream } from "sluice"
import type { Run } from "../measure.js"
import type { Reading } from "../records.js"
import { readings } from "../records.js"
import type { Checksum } from "../slicedJob.js"
import { runs, slicedSource } from "../slicedJob.js"

const one = readings.slice(0, 1)

const check = (sum: number, x: Reading): number => sum + x.value

const checksum: Checksum<Reading> = {
  value: 0,
  write: (x) => {
    checksum.value = check(checksum.value, x)
  }
}

export const runPromise: Run = () => Effect.runPromise(Effect.sync(() => check(0, one[0])))

export const oneTask: Run = runs("one task", DataStream.fromSource(slicedSource([one])), checksum)

export const threeTasks: Run = runs(
  "three tasks",
  DataStream.fromSource(slicedSource([one])).pipe(DataStream.filter(() => true), DataStream.disableChaining),
  checksum
)

export const rxjs: Run = () => {
  checksum.value = 0
  Rx.from(one).subscribe(checksum.write)
  return checksum.value
}

export const stream: Run = () => Effect.runPromise(Stream.runFold(Stream.fromIterable(one), 0, check))
