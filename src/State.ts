/**
 * Keyed state: what a job declares, and the handles its functions use.
 *
 * A descriptor names nothing: its name is its field in `state: { … }`. A handle always means the current key, and is synchronous.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type * as Aggregator_ from "./Aggregator.js"

/**
 * One value for each key.
 *
 * @since 0.1.0
 * @category handles
 */
export interface ValueState<in out A, out D = A | undefined> {
  readonly get: () => A | D
  readonly set: (value: A) => void
  readonly update: (f: (value: A | D) => A) => void
  readonly clear: () => void
}

/**
 * A list for each key, in the order of adding.
 *
 * @since 0.1.0
 * @category handles
 */
export interface ListState<in out A> {
  readonly get: () => ReadonlyArray<A>
  readonly add: (value: A) => void
  readonly addAll: (values: Iterable<A>) => void
  readonly set: (values: Iterable<A>) => void
  readonly clear: () => void
}

/**
 * A map for each key, in the order of first setting.
 *
 * @since 0.1.0
 * @category handles
 */
export interface MapState<in out K, in out V> {
  readonly get: (key: K) => V | undefined
  readonly set: (key: K, value: V) => void
  readonly has: (key: K) => boolean
  readonly delete: (key: K) => void
  readonly entries: () => Iterable<readonly [K, V]>
  readonly keys: () => Iterable<K>
  readonly values: () => Iterable<V>
  readonly size: () => number
  readonly clear: () => void
}

/**
 * One value for each key, to which records are added.
 *
 * @since 0.1.0
 * @category handles
 */
export interface AggregatingState<in In, out Out> {
  readonly get: () => Out | undefined
  readonly add: (value: In) => void
  readonly clear: () => void
}

/**
 * What a job declares of one state; `Handle` is what its functions get.
 *
 * @since 0.1.0
 * @category models
 */
export type Descriptor<Handle> =
  & (
    | { readonly _tag: "ValueState"; readonly schema: Schema.Schema<any, any>; readonly default: unknown }
    | { readonly _tag: "ListState"; readonly schema: Schema.Schema<any, any> }
    | { readonly _tag: "MapState"; readonly key: Schema.Schema<any, any>; readonly value: Schema.Schema<any, any> }
    | { readonly _tag: "AggregatingState"; readonly aggregator: Aggregator_.Any<any, any> }
  )
  & { readonly _Handle?: ((_: never) => Handle) | undefined }

/**
 * The handles of a record of descriptors.
 *
 * @since 0.1.0
 * @category models
 */
export type Handles<S> = { readonly [K in keyof S]: S[K] extends Descriptor<infer Handle> ? Handle : never }

/**
 * A value for each key; `get` gives `default`, or `undefined` without one, where nothing was set.
 *
 * @since 0.1.0
 * @category constructors
 */
export const value: {
  <A, I>(schema: Schema.Schema<A, I>): Descriptor<ValueState<A, undefined>>
  <A, I>(schema: Schema.Schema<A, I>, options: { readonly default: NoInfer<A> }): Descriptor<ValueState<A, A>>
} = (schema: Schema.Schema<any, any>, options?: { readonly default: unknown }): Descriptor<any> => ({
  _tag: "ValueState",
  schema,
  default: options?.default
})

/**
 * A list for each key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const list = <A, I>(schema: Schema.Schema<A, I>): Descriptor<ListState<A>> => ({ _tag: "ListState", schema })

/**
 * A map for each key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const map = <K, KI, V, VI>(key: Schema.Schema<K, KI>, value: Schema.Schema<V, VI>): Descriptor<MapState<K, V>> => ({
  _tag: "MapState",
  key,
  value
})

/**
 * A value for each key into which records are reduced.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reducing = <A, I>(schema: Schema.Schema<A, I>, f: (self: A, that: A) => A): Descriptor<AggregatingState<A, A>> => ({
  _tag: "AggregatingState",
  aggregator: {
    accumulator: schema,
    init: () => undefined,
    add: (acc: A | undefined, a: A) => acc === undefined ? a : f(acc, a),
    merge: undefined,
    result: (acc: A) => acc
  } as unknown as Aggregator_.Any<any, any>
})

/**
 * An aggregation for each key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const aggregating = <In, Acc, Out>(aggregator: Aggregator_.Aggregator<In, Acc, Out>): Descriptor<AggregatingState<In, Out>> => ({
  _tag: "AggregatingState",
  aggregator
})
