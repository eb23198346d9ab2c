/**
 * The source of the measured jobs, which hands out arrays made beforehand, and the way to run them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { JobOptions } from "sluice"
import { DataSink, DataSource, DataStream, Job } from "sluice"
import type { Run } from "./measure.js"

/** A source of slices, with a timestamp for each record where there are any. */
export const slicedSource = <A>(
  values: ReadonlyArray<ReadonlyArray<A>>,
  timestamps?: ReadonlyArray<ReadonlyArray<number>>
): DataSource.DataSource<A> =>
  DataSource.make({
    name: "slices",
    splits: Effect.succeed([0]),
    read: (_split: number, position: number | undefined) =>
      Effect.sync((): DataSource.SplitReader<A, number> => {
        let next = position ?? 0
        return {
          poll: () => {
            if (next === values.length) return undefined
            const at = next++
            return { values: values[at], timestamps: timestamps?.[at], position: next }
          },
          fetch: Effect.succeed(false)
        }
      })
  })

/** What the sink of a measured job adds up. It is part of the user's code: make it where the user functions are made. */
export interface Checksum<A> {
  value: number
  readonly write: (value: A) => void
}

/** Runs a job of this one stream each time it is called. */
export const runs = <A, E>(
  name: string,
  stream: DataStream.DataStream<A, E>,
  checksum: Checksum<A>,
  options?: JobOptions.JobOptions
): Run => {
  const sink = DataSink.make({ name: "checksum", open: () => Effect.succeed({ write: checksum.write }) })
  const job = Job.make(name, DataStream.to(stream, sink))
  return () => {
    checksum.value = 0
    return Effect.runPromise(Effect.map(Job.run(job, options), () => checksum.value))
  }
}
