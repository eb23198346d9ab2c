/** A sink as a stream that ends in it, which a harness can run. */
import type { Effect } from "effect"
import type { DataSink, StreamOperator } from "sluice"
import { DataStream } from "sluice"

type Factory<A, E, R> = Effect.Effect<StreamOperator.Operator<A, never, E>, never, R>

export const intoSink =
  <A, E, R>(sink: DataSink.DataSink<A, E, R>) => (input: DataStream.DataStream<A>): DataStream.DataStream<never, E, R> =>
    DataStream.transform(input, sink.name, DataStream.to(input, sink).end.factory as Factory<A, E, R>)
