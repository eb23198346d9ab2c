// A job that loses records: one source has ended, another is idle for a while. Copy into test/ and run with vitest.
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Aggregator, DataStream, KeyedStream, WatermarkStrategy, Window, WindowedStream } from "sluice"

it.live("records that come after a pause are counted, though the other source has ended meanwhile", () =>
  Effect.gen(function*() {
    const times = DataStream.assignTimestamps(
      (n: number) => n,
      WatermarkStrategy.monotonic.pipe(WatermarkStrategy.withIdleness("50 millis"))
    )
    const short = DataStream.fromIterable([1, 2]).pipe(times)
    const paused = DataStream.fromStream(
      Stream.make(1).pipe(
        Stream.concat(Stream.drain(Stream.fromEffect(Effect.sleep("400 millis")))),
        Stream.concat(Stream.make(2, 15, 25))
      )
    ).pipe(times)
    const counts = DataStream.union(short, paused).pipe(
      KeyedStream.keyBy(() => "all"),
      WindowedStream.window(Window.tumbling(10)),
      WindowedStream.aggregate(Aggregator.count)
    )
    // [0, 10): 1 and 2 of the one, 1 and 2 of the other; then 15; then 25
    assert.deepEqual(yield* DataStream.runCollect(counts), [4, 1, 1])
  }))
