/**
 * Streams by key: what follows has state of its own for each key.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import type * as Aggregator from "../Aggregator.js"
import type { KeySelector } from "../graph/StreamGraph.js"
import * as keyed from "../operators/keyed.js"
import type { KeyedProcessFunction, States } from "../ProcessFunction.js"
import * as KeyCodec from "../state/KeyCodec.js"
import type { DataStream } from "./DataStream.js"
import { fromEdges, operator } from "./DataStream.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("sluice/KeyedStream")

/**
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

/**
 * A stream whose records are together by key.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedStream<out K, out A, out E = never, out R = never> extends DataStream<A, E, R> {
  readonly [TypeId]: { readonly _K: Types.Covariant<K> }
}

const variance = { _K: (_: never) => _ }

/**
 * Brings the records of each key together. A key is a string, number, boolean or bigint, or plain data with a schema for anything else;
 * two keys are one when their encoded forms are.
 *
 * @since 0.1.0
 * @category keys
 */
export const keyBy: {
  <A, K>(f: (value: A) => K, keySchema?: Schema.Schema<K, any>): <E, R>(self: DataStream<A, E, R>) => KeyedStream<K, A, E, R>
  <A, E, R, K>(self: DataStream<A, E, R>, f: (value: A) => K, keySchema?: Schema.Schema<K, any>): KeyedStream<K, A, E, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <A, E, R, K>(self: DataStream<A, E, R>, f: (value: A) => K, keySchema?: Schema.Schema<K, any>): KeyedStream<K, A, E, R> => {
    const key: KeySelector = { select: f, codec: KeyCodec.make(keySchema) }
    const edges = self.edges.map((edge) => ({ ...edge, partitioning: { _tag: "Hash" as const, key } }))
    return { ...fromEdges<A, E, R>(edges, key), [TypeId]: variance }
  }
)

/**
 * For each record its key's reduction so far: the first record, then `f` of what there is and the record.
 *
 * @since 0.1.0
 * @category aggregating
 */
export const reduce: {
  <A>(f: (self: A, that: A) => A, schema?: Schema.Schema<NoInfer<A>, any>): <K, E, R>(self: KeyedStream<K, A, E, R>) => DataStream<A, E, R>
  <K, A, E, R>(self: KeyedStream<K, A, E, R>, f: (self: A, that: A) => A, schema?: Schema.Schema<A, any>): DataStream<A, E, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <K, A, E, R>(self: KeyedStream<K, A, E, R>, f: (self: A, that: A) => A, schema?: Schema.Schema<A, any>): DataStream<A, E, R> =>
    operator("reduce", self, () => keyed.reduce(f, schema))
)

/**
 * For each record its key's aggregation so far, or what `project` makes of it and the key.
 *
 * @example
 * ```ts
 * import { Aggregator, DataStream, KeyedStream } from "sluice"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const counts = DataStream.fromIterable(["a", "b", "a"]).pipe(
 *   KeyedStream.keyBy((word) => word),
 *   KeyedStream.aggregate(Aggregator.count, (n, { key }) => `${key}${n}`)
 * )
 * assert.deepEqual(await Effect.runPromise(DataStream.runCollect(counts)), ["a1", "b1", "a2"])
 * ```
 *
 * @since 0.1.0
 * @category aggregating
 */
export const aggregate: {
  <A, Acc, Out>(aggregator: Aggregator.Aggregator<A, Acc, Out>): <K, E, R>(self: KeyedStream<K, A, E, R>) => DataStream<Out, E, R>
  <K, A, Acc, Out, B>(
    aggregator: Aggregator.Aggregator<A, Acc, Out>,
    project: (result: Out, context: { readonly key: K }) => B
  ): <E, R>(self: KeyedStream<K, A, E, R>) => DataStream<B, E, R>
  <K, A, E, R, Acc, Out>(self: KeyedStream<K, A, E, R>, aggregator: Aggregator.Aggregator<A, Acc, Out>): DataStream<Out, E, R>
  <K, A, E, R, Acc, Out, B>(
    self: KeyedStream<K, A, E, R>,
    aggregator: Aggregator.Aggregator<A, Acc, Out>,
    project: (result: Out, context: { readonly key: K }) => B
  ): DataStream<B, E, R>
} = dual(
  (args) => TypeId in args[0],
  <K, A, E, R, Acc, Out, B>(
    self: KeyedStream<K, A, E, R>,
    aggregator: Aggregator.Aggregator<A, Acc, Out>,
    project?: (result: Out, context: { readonly key: K }) => B
  ): DataStream<B, E, R> => operator("aggregate", self, () => keyed.aggregate(aggregator, project))
)

/**
 * A function of each record with state and timers of its key. Given as an Effect it is acquired when the task opens and released when it closes.
 *
 * @since 0.1.0
 * @category processing
 */
export const process: {
  <K, A, S extends States = {}, Out = never, Out2 = never, E2 = never, R2 = never>(
    fn: Effect.Effect<KeyedProcessFunction<K, A, S, Out, Out2>, E2, R2>
  ): <E, R>(self: KeyedStream<K, A, E, R>) => DataStream<Out | Out2, E | E2, R | Exclude<R2, Scope.Scope>>
  <K, A, S extends States = {}, Out = never, Out2 = never>(
    fn: KeyedProcessFunction<K, A, S, Out, Out2>
  ): <E, R>(self: KeyedStream<K, A, E, R>) => DataStream<Out | Out2, E, R>
} = (fn: any) => (self: any): any => operator("process", self, () => keyed.process<any, any, any, any>(fn))
