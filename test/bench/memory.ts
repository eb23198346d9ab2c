/**
 * Whether memory grows with the number of records: the flights job over the same file once and several times, each run a process of its own.
 *
 *     npm run bench:memory [-- --times 4]
 *
 * Every pass over the file is moved on by half a year, so that event time goes on and old windows close.
 */
import { NodeContext } from "@effect/platform-node"
import { Effect, Logger, Schema } from "effect"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { DataSource } from "sluice"
import { Aggregator, DataStream, Job, KeyedStream, WatermarkStrategy, Window, WindowedStream } from "sluice"
import * as Parquet from "sluice/connectors/Parquet"

const { values: flags } = parseArgs({ options: { times: { type: "string", default: "4" }, child: { type: "string" } } })

const file = fileURLToPath(new URL("../../node_modules/vega-datasets/data/flights-3m.parquet", import.meta.url))
const PASS_MS = 182 * 86_400_000

const Flight = Schema.Struct({ date: Schema.Number, delay: Schema.Number, origin: Schema.String, destination: Schema.String })

/** the same source over and over */
const repeated = <A, E, R>(source: DataSource.DataSource<A, E, R>, times: number): DataSource.DataSource<readonly [number, A], E, R> => ({
  ...source,
  splits: Effect.map(
    source.splits,
    (splits) => Array.from({ length: times }, (_, pass) => splits.map((split) => ({ pass, split }))).flat()
  ),
  split: undefined,
  read: ({ pass, split }, position) =>
    Effect.map(source.read(split, position), (reader) => ({
      poll: (max) => {
        const batch = reader.poll(max)
        return batch && { ...batch, values: batch.values.map((value) => [pass, value] as const), timestamps: undefined }
      },
      fetch: reader.fetch
    }))
})

const job = (times: number) => {
  const flights = DataStream.fromSource(repeated(Parquet.source(file, { schema: Flight, dates: "millis" }), times)).pipe(
    DataStream.map(([pass, flight]) => ({ ...flight, date: flight.date + pass * PASS_MS })),
    DataStream.assignTimestamps((flight) => flight.date, WatermarkStrategy.monotonic)
  )
  const mean = Aggregator.struct({ n: Aggregator.count, mean: Aggregator.mean((flight: typeof Flight.Type) => flight.delay) })
  return Job.make(
    "memory",
    flights.pipe(
      KeyedStream.keyBy((flight) => flight.origin),
      WindowedStream.window(Window.tumbling("1 day")),
      WindowedStream.aggregate(mean),
      DataStream.runForEach(() => {})
    ),
    flights.pipe(
      KeyedStream.keyBy((flight) => flight.destination),
      WindowedStream.window(Window.sliding("7 days", "1 day")),
      WindowedStream.aggregate(mean),
      DataStream.runForEach(() => {})
    )
  )
}

if (flags.child !== undefined) {
  const result = await Effect.runPromise(
    Job.run(job(Number(flags.child)), { checkpoint: { interval: "1 second" } }).pipe(
      Effect.provide([NodeContext.layer, Logger.remove(Logger.defaultLogger)])
    )
  )
  const records = result.records[0].in
  process.stdout.write(
    `${JSON.stringify({ records, seconds: result.durationMs / 1000, peakMiB: process.resourceUsage().maxRSS / 1024 })}\n`
  )
} else {
  const runs = [1, Number(flags.times)].map((times) => {
    const child = spawnSync(process.execPath, ["--import", "tsx", fileURLToPath(import.meta.url), "--child", String(times)], {
      encoding: "utf8"
    })
    if (child.status !== 0) throw new Error(child.stderr)
    const run = JSON.parse(child.stdout) as { readonly records: number; readonly seconds: number; readonly peakMiB: number }
    process.stdout.write(
      `${times}x: ${run.records.toLocaleString("en-US")} records in ${run.seconds.toFixed(1)} s, peak RSS ${run.peakMiB.toFixed(0)} MiB\n`
    )
    return run
  })
  const growth = runs[1].peakMiB / runs[0].peakMiB
  process.stdout.write(`${flags.times} times the records: ${growth.toFixed(2)} times the memory\n`)
}
