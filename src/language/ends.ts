/**
 * Streams that end: in a sink, or in a function.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import type * as Types from "effect/Types"
import * as DataSink from "../DataSink.js"
import type { StreamNode } from "../graph/StreamGraph.js"
import { OncePerAttempt } from "../operators/OncePerAttempt.js"
import * as sinks from "../operators/sinks.js"
import type { DataStream } from "./DataStream.js"
import { operatorNode, TypeId, unkeyed } from "./DataStream.js"

/**
 * A stream that ends in a sink.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pipeline<out E = never, out R = never> extends Pipeable {
  readonly _tag: "Pipeline"
  readonly [TypeId]: { readonly _E: Types.Covariant<E>; readonly _R: Types.Covariant<R> }
  /** @internal */
  readonly end: StreamNode
}

const variance = { _E: (_: never) => _, _R: (_: never) => _ }

/** one for all subtasks */
const sinkFactory = <A, E, R>(sink: DataSink.DataSink<A, E, R>) => {
  const recovery = new OncePerAttempt<void, E>()
  return Effect.sync(() => sinks.make(sink, recovery))
}

/**
 * Ends the stream in a sink.
 *
 * @since 0.1.0
 * @category ends
 */
export const to: {
  <A, E2, R2>(
    sink: DataSink.DataSink<A, E2, R2>,
    options?: { readonly name?: string | undefined; readonly uid?: string | undefined; readonly parallelism?: number | undefined }
  ): <E, R>(self: DataStream<A, E, R>) => Pipeline<E | E2, R | R2>
  <A, E, R, E2, R2>(
    self: DataStream<A, E, R>,
    sink: DataSink.DataSink<A, E2, R2>,
    options?: { readonly name?: string | undefined; readonly uid?: string | undefined; readonly parallelism?: number | undefined }
  ): Pipeline<E | E2, R | R2>
} = dual(
  (args) => TypeId in args[0],
  <A, E, R, E2, R2>(
    self: DataStream<A, E, R>,
    sink: DataSink.DataSink<A, E2, R2>,
    options: { readonly name?: string | undefined; readonly uid?: string | undefined; readonly parallelism?: number | undefined } = {}
  ): Pipeline<E | E2, R | R2> => ({
    _tag: "Pipeline",
    [TypeId]: variance,
    end: operatorNode(options.name ?? sink.name, [unkeyed(self)], sinkFactory(sink), {
      uid: options.uid,
      parallelism: options.parallelism
    }),
    pipe() {
      return pipeArguments(this, arguments)
    }
  })
)

/**
 * Ends the stream in a function; a restart may run it again for some records.
 *
 * @since 0.1.0
 * @category ends
 */
export const runForEach: {
  <A, E2 = never, R2 = never>(
    f: (value: A) => void | Effect.Effect<void, E2, R2>
  ): <E, R>(self: DataStream<A, E, R>) => Pipeline<E | E2, R | R2>
  <A, E, R, E2 = never, R2 = never>(
    self: DataStream<A, E, R>,
    f: (value: A) => void | Effect.Effect<void, E2, R2>
  ): Pipeline<E | E2, R | R2>
} = dual(
  2,
  <A, E, R, E2, R2>(self: DataStream<A, E, R>, f: (value: A) => void | Effect.Effect<void, E2, R2>): Pipeline<E | E2, R | R2> =>
    to(self, DataSink.forEach(f))
)
