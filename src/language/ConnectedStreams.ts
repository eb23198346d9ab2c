/**
 * Two streams of different records in one operator, which may share state by key.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import * as keyed from "../operators/keyed.js"
import * as stateless from "../operators/stateless.js"
import type { CoProcessFunction, KeyedCoProcessFunction, States } from "../ProcessFunction.js"
import type { TwoInputStreamOperator } from "../StreamOperator.js"
import type { DataStream } from "./DataStream.js"
import { fromNode, operatorNode } from "./DataStream.js"
import type { KeyedStream } from "./KeyedStream.js"
import * as Keyed from "./KeyedStream.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("sluice/ConnectedStreams")

/**
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

/**
 * Two streams that one operator is to read. Order is kept within each; event time is that of the slower one.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectedStreams<out A, out B, out E = never, out R = never> extends Pipeable {
  readonly [TypeId]: {
    readonly _A: Types.Covariant<A>
    readonly _B: Types.Covariant<B>
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  /** @internal */
  readonly first: DataStream<A, E, R>
  /** @internal */
  readonly second: DataStream<B, E, R>
}

/**
 * The same with a key for the records of both.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedConnectedStreams<out K, out A, out B, out E = never, out R = never> extends ConnectedStreams<A, B, E, R> {
  readonly [Keyed.TypeId]: { readonly _K: Types.Covariant<K> }
}

const variance = { _A: (_: never) => _, _B: (_: never) => _, _E: (_: never) => _, _R: (_: never) => _ }

const make = <A, B, E, R>(first: DataStream<A, E, R>, second: DataStream<B, E, R>): ConnectedStreams<A, B, E, R> => {
  const self = {
    [TypeId]: variance,
    first,
    second,
    pipe() {
      return pipeArguments(this, arguments)
    }
  }
  return first.key === undefined || second.key === undefined ? self : { ...self, [Keyed.TypeId]: { _K: variance._A } } as typeof self
}

/**
 * Connects two streams. Streams that both have keys of the same kind stay keyed.
 *
 * @since 0.1.0
 * @category combining
 */
export const connect: {
  <K, B, E2, R2>(
    that: KeyedStream<K, B, E2, R2>
  ): <A, E, R>(self: KeyedStream<K, A, E, R>) => KeyedConnectedStreams<K, A, B, E | E2, R | R2>
  <B, E2, R2>(that: DataStream<B, E2, R2>): <A, E, R>(self: DataStream<A, E, R>) => ConnectedStreams<A, B, E | E2, R | R2>
  <K, A, E, R, B, E2, R2>(
    self: KeyedStream<K, A, E, R>,
    that: KeyedStream<K, B, E2, R2>
  ): KeyedConnectedStreams<K, A, B, E | E2, R | R2>
  <A, E, R, B, E2, R2>(self: DataStream<A, E, R>, that: DataStream<B, E2, R2>): ConnectedStreams<A, B, E | E2, R | R2>
} = dual(2, (self: DataStream<any, any, any>, that: DataStream<any, any, any>): any => make(self, that))

/**
 * Brings the records of each key together, of both streams. Keys are those of `KeyedStream.keyBy`.
 *
 * @since 0.1.0
 * @category keys
 */
export const keyBy: {
  <A, B, K>(
    fa: (value: A) => K,
    fb: (value: B) => NoInfer<K>,
    keySchema?: Schema.Schema<K, any>
  ): <E, R>(self: ConnectedStreams<A, B, E, R>) => KeyedConnectedStreams<K, A, B, E, R>
  <A, B, E, R, K>(
    self: ConnectedStreams<A, B, E, R>,
    fa: (value: A) => K,
    fb: (value: B) => NoInfer<K>,
    keySchema?: Schema.Schema<K, any>
  ): KeyedConnectedStreams<K, A, B, E, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <A, B, E, R, K>(
    self: ConnectedStreams<A, B, E, R>,
    fa: (value: A) => K,
    fb: (value: B) => K,
    keySchema?: Schema.Schema<K, any>
  ): any => make(Keyed.keyBy(self.first, fa, keySchema), Keyed.keyBy(self.second, fb, keySchema))
)

const operator = (
  name: string,
  self: ConnectedStreams<any, any, any, any>,
  factory: Effect.Effect<TwoInputStreamOperator<any, any, any, any>, any, any>
): DataStream<any, any, any> => fromNode(operatorNode(name, [self.first, self.second], factory))

/**
 * One result for each record of either stream, with the record's timestamp.
 *
 * @since 0.1.0
 * @category records
 */
export const map: {
  <A, B, C, D>(f: (value: A) => C, g: (value: B) => D): <E, R>(self: ConnectedStreams<A, B, E, R>) => DataStream<C | D, E, R>
  <A, B, E, R, C, D>(self: ConnectedStreams<A, B, E, R>, f: (value: A) => C, g: (value: B) => D): DataStream<C | D, E, R>
} = dual(
  3,
  <A, B, E, R, C, D>(self: ConnectedStreams<A, B, E, R>, f: (value: A) => C, g: (value: B) => D): DataStream<C | D, E, R> =>
    operator("connect.map", self, Effect.sync(() => stateless.coMap<A, B, C | D>(f, g)))
)

/**
 * A function of the records of both streams. Over streams with keys it has state and timers of the record's key, which both share; given as an
 * Effect it is acquired when the task opens and released when it closes. One that has neither state nor timers, but looks at the key, says `state: {}`.
 *
 * @example
 * ```ts
 * import { ConnectedStreams, DataStream, State } from "sluice"
 * import { Effect, Schema } from "effect"
 * import * as assert from "node:assert"
 *
 * const orders = DataStream.fromIterable([{ id: 1, item: "book" }, { id: 2, item: "pen" }])
 * const payments = DataStream.fromIterable([{ order: 2 }, { order: 1 }])
 * const paid = ConnectedStreams.connect(orders, payments).pipe(
 *   ConnectedStreams.keyBy((order) => order.id, (payment) => payment.order),
 *   ConnectedStreams.process({
 *     state: { item: State.value(Schema.String), paid: State.value(Schema.Boolean) },
 *     onElement1: (order, { state }) => {
 *       if (state.paid.get() === true) return [order.item]
 *       state.item.set(order.item)
 *     },
 *     onElement2: (_payment, { state }) => {
 *       const item = state.item.get()
 *       if (item !== undefined) return [item]
 *       state.paid.set(true)
 *     }
 *   })
 * )
 * assert.deepEqual((await Effect.runPromise(DataStream.runCollect(paid))).sort(), ["book", "pen"])
 * ```
 *
 * @since 0.1.0
 * @category processing
 */
export const process: {
  <K, A, B, S extends States = {}, Out = never, Out2 = never, Out3 = never, E2 = never, R2 = never>(
    fn: Effect.Effect<KeyedCoProcessFunction<K, A, B, S, Out, Out2, Out3>, E2, R2>
  ): <E, R>(self: KeyedConnectedStreams<K, A, B, E, R>) => DataStream<Out | Out2 | Out3, E | E2, R | Exclude<R2, Scope.Scope>>
  // before the one with keys, which would take these functions too, and then refuse streams without
  <A, B, Out = never, Out2 = never>(
    fn: CoProcessFunction<A, B, Out, Out2> & { readonly state?: never; readonly onTimer?: never }
  ): <E, R>(self: ConnectedStreams<A, B, E, R>) => DataStream<Out | Out2, E, R>
  <K, A, B, S extends States = {}, Out = never, Out2 = never, Out3 = never>(
    fn: KeyedCoProcessFunction<K, A, B, S, Out, Out2, Out3>
  ): <E, R>(self: KeyedConnectedStreams<K, A, B, E, R>) => DataStream<Out | Out2 | Out3, E, R>
} = (fn: any) => (self: ConnectedStreams<any, any, any, any>): any =>
  operator(
    "connect.process",
    self,
    Effect.sync(() => Keyed.TypeId in self ? keyed.coProcess<any, any, any, any, any>(fn) : stateless.coProcess<any, any, any>(fn))
  )

/**
 * An operator of one's own with two inputs: `factory` is run once for each subtask.
 *
 * @since 0.1.0
 * @category records
 */
export const transform: {
  <A, B, C, E1 = never, E2 = never, R2 = never>(
    name: string,
    factory: Effect.Effect<TwoInputStreamOperator<A, B, C, E1>, E2, R2>
  ): <E, R>(self: ConnectedStreams<A, B, E, R>) => DataStream<C, E | E1 | E2, R | R2>
  <A, B, E, R, C, E1 = never, E2 = never, R2 = never>(
    self: ConnectedStreams<A, B, E, R>,
    name: string,
    factory: Effect.Effect<TwoInputStreamOperator<A, B, C, E1>, E2, R2>
  ): DataStream<C, E | E1 | E2, R | R2>
} = dual(3, (self: ConnectedStreams<any, any, any, any>, name: string, factory: any): any => operator(name, self, factory))
