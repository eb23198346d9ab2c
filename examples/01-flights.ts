/**
 * Three million flights, exactly once: per airport and day, and per destination and sliding week.
 *
 *     npm start -- [--parallelism n] [--kill-after n] [--fresh] [--interval ms] [--input file]
 *
 * Kill it and start it again: it goes on from its last checkpoint. Ctrl-C stops it with a savepoint. See README.md.
 */
import { FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema, Stream } from "effect"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Aggregator, CheckpointStorage, DataStream, Job, KeyedStream, WatermarkStrategy, Window, WindowedStream } from "sluice"
import * as JsonLines from "sluice/connectors/JsonLines"
import * as Parquet from "sluice/connectors/Parquet"
import { withProgress } from "./flights/progress.js"
import { showWorst } from "./flights/worst.js"

const { values: flags } = parseArgs({
  options: {
    parallelism: { type: "string", default: "1" },
    "kill-after": { type: "string" },
    fresh: { type: "boolean", default: false },
    interval: { type: "string", default: "1000" },
    input: { type: "string", default: fileURLToPath(new URL("../node_modules/vega-datasets/data/flights-3m.parquet", import.meta.url)) }
  }
})

const Flight = Schema.Struct({ date: Schema.Number, delay: Schema.Number, origin: Schema.String, destination: Schema.String })
type Flight = typeof Flight.Type

const day = (timestamp: number) => new Date(timestamp).toISOString().slice(0, 10)

const flights = DataStream.fromSource(
  Parquet.source(flags.input, { schema: Flight, dates: "millis", timestamp: (flight) => flight.date }),
  {
    name: "flights",
    uid: "flights",
    watermarks: WatermarkStrategy.monotonic
  }
)

const airportDays = flights.pipe(
  KeyedStream.keyBy((flight) => flight.origin),
  WindowedStream.window(Window.tumbling("1 day")),
  WindowedStream.aggregate(
    Aggregator.struct({
      flights: Aggregator.count,
      meanDelay: Aggregator.mean((flight: Flight) => flight.delay),
      maxDelay: Aggregator.max((flight: Flight) => flight.delay),
      lateShare: Aggregator.mean((flight: Flight) => flight.delay > 15 ? 1 : 0)
    }),
    (result, { key, window }) => ({ origin: key, day: day(window.start), ...result })
  ),
  DataStream.named("airport days"),
  DataStream.uid("airport-days"),
  DataStream.to(JsonLines.sink("out/airport-days"), { uid: "airport-days-sink" })
)

const destinationWeeks = flights.pipe(
  KeyedStream.keyBy((flight) => flight.destination),
  WindowedStream.window(Window.sliding("7 days", "1 day")),
  WindowedStream.aggregate(
    Aggregator.struct({ flights: Aggregator.count, meanDelay: Aggregator.mean((flight: Flight) => flight.delay) }),
    (result, { key, window }) => ({ destination: key, from: day(window.start), to: day(window.end), ...result })
  ),
  DataStream.named("destination weeks"),
  DataStream.uid("destination-weeks"),
  DataStream.to(JsonLines.sink("out/destination-weeks"), { uid: "destination-weeks-sink" })
)

const job = Job.make("flights", airportDays, destinationWeeks)

const program = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  if (flags.fresh) yield* fs.remove(".sluice", { recursive: true, force: true })
  // nothing to go on from: what an earlier run wrote is not part of this one
  if ((yield* CheckpointStorage.latest(job.name)) === undefined) yield* fs.remove("out", { recursive: true, force: true })

  const handle = yield* Job.start(job, {
    parallelism: Number(flags.parallelism),
    checkpoint: { interval: `${Number(flags.interval)} millis` }
  })
  const killAfter = flags["kill-after"] === undefined ? Infinity : Number(flags["kill-after"])
  yield* handle.events.pipe(
    Stream.filter((event) => event._tag === "CheckpointCompleted"),
    Stream.take(killAfter),
    Stream.runDrain,
    Effect.tap(() => Effect.sync(() => process.kill(process.pid, "SIGKILL"))),
    Effect.forkScoped
  )
  const result = yield* withProgress(handle, handle.await).pipe(
    Effect.onInterrupt(() =>
      Effect.flatMap(
        Effect.exit(handle.stopWithSavepoint()),
        (stopped) =>
          Effect.logInfo(
            stopped._tag === "Success" ? `stopped with savepoint ${stopped.value.id}` : "stopped before a savepoint was complete"
          )
      )
    )
  )
  yield* Effect.logInfo(`${result.status} in ${(result.durationMs / 1000).toFixed(1)} s, ${result.checkpoints.completed} checkpoints`)
  yield* showWorst("out/airport-days", 10)
})

program.pipe(
  Effect.scoped,
  Effect.provide(Layer.provideMerge(CheckpointStorage.layerFileSystem(".sluice"), NodeContext.layer)),
  NodeRuntime.runMain
)
