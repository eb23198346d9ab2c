/**
 * The language of streams: values that say what is to be computed. Pure; nothing runs before `Job.run`.
 *
 * E and R of every function that is passed in accumulate in the stream's type.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
import type { KeySelector, OperatorNode, StreamEdge, StreamNode } from "../graph/StreamGraph.js"
import { forward as forwardPartitioning } from "../graph/StreamGraph.js"
import { AsyncWait } from "../operators/AsyncWait.js"
import * as stateless from "../operators/stateless.js"
import { TimestampsAndWatermarks } from "../operators/TimestampsAndWatermarks.js"
import type { OutputTag } from "../OutputTag.js"
import type { ProcessFunction } from "../ProcessFunction.js"
import type { Operator } from "../StreamOperator.js"
import type { WatermarkStrategy } from "../WatermarkStrategy.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("sluice/DataStream")

/**
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

/**
 * A stream of `A` that may fail with `E` and needs `R` where it runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface DataStream<out A, out E = never, out R = never> extends Pipeable {
  readonly [TypeId]: {
    readonly _A: Types.Covariant<A>
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  /** @internal */
  readonly edges: ReadonlyArray<StreamEdge>
  /** @internal the key of a keyed stream */
  readonly key: KeySelector | undefined
}

const variance = { _A: (_: never) => _, _E: (_: never) => _, _R: (_: never) => _ }

/** @internal */
export const fromEdges = <A, E, R>(edges: ReadonlyArray<StreamEdge>, key?: KeySelector): DataStream<A, E, R> => ({
  [TypeId]: variance,
  edges,
  key,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

/** @internal */
export const fromNode = <A, E, R>(node: StreamNode): DataStream<A, E, R> =>
  fromEdges([{ node, tag: undefined, partitioning: forwardPartitioning }])

/** @internal the same records, for an operator that has no use for their key */
export const unkeyed = (self: DataStream<any, any, any>): DataStream<any, any, any> => fromEdges(self.edges)

/** @internal */
export const operatorNode = (
  name: string,
  inputs: ReadonlyArray<DataStream<any, any, any>>,
  factory: OperatorNode["factory"],
  fields?: Partial<OperatorNode>
): OperatorNode => ({
  _tag: "Operator",
  name,
  uid: undefined,
  parallelism: undefined,
  chaining: "always",
  problem: undefined,
  factory,
  inputs: inputs.map(({ edges, key }) => ({ edges, key })),
  ...fields
})

/** @internal */
export const operator = <B, E, R>(
  name: string,
  self: DataStream<any, any, any>,
  make: () => Operator<any, any, any>,
  fields?: Partial<OperatorNode>
): DataStream<B, E, R> => fromNode(operatorNode(name, [self], Effect.sync(make), fields))

/**
 * One result for each record, with the record's timestamp.
 *
 * @since 0.1.0
 * @category records
 */
export const map: {
  <A, B>(f: (value: A) => B): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E, R>
  <A, E, R, B>(self: DataStream<A, E, R>, f: (value: A) => B): DataStream<B, E, R>
} = dual(
  2,
  <A, E, R, B>(self: DataStream<A, E, R>, f: (value: A) => B): DataStream<B, E, R> => operator("map", self, () => stateless.map(f))
)

/**
 * The records for which `predicate` holds.
 *
 * @since 0.1.0
 * @category records
 */
export const filter: {
  <A, B extends A>(predicate: (value: Types.NoInfer<A>) => value is B): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E, R>
  <A>(predicate: (value: Types.NoInfer<A>) => boolean): <E, R>(self: DataStream<A, E, R>) => DataStream<A, E, R>
  <A, E, R, B extends A>(self: DataStream<A, E, R>, predicate: (value: A) => value is B): DataStream<B, E, R>
  <A, E, R>(self: DataStream<A, E, R>, predicate: (value: A) => boolean): DataStream<A, E, R>
} = dual(
  2,
  <A, E, R>(self: DataStream<A, E, R>, predicate: (value: A) => boolean): DataStream<A, E, R> =>
    operator("filter", self, () => stateless.filter(predicate))
)

/**
 * The results that are there: `None` drops the record.
 *
 * @since 0.1.0
 * @category records
 */
export const filterMap: {
  <A, B>(f: (value: A) => Option.Option<B>): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E, R>
  <A, E, R, B>(self: DataStream<A, E, R>, f: (value: A) => Option.Option<B>): DataStream<B, E, R>
} = dual(
  2,
  <A, E, R, B>(self: DataStream<A, E, R>, f: (value: A) => Option.Option<B>): DataStream<B, E, R> =>
    operator("filterMap", self, () => stateless.filterMap(f))
)

/**
 * Zero or more results for each record, each with the record's timestamp.
 *
 * @since 0.1.0
 * @category records
 */
export const flatMap: {
  <A, B>(f: (value: A) => Iterable<B>): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E, R>
  <A, E, R, B>(self: DataStream<A, E, R>, f: (value: A) => Iterable<B>): DataStream<B, E, R>
} = dual(
  2,
  <A, E, R, B>(self: DataStream<A, E, R>, f: (value: A) => Iterable<B>): DataStream<B, E, R> =>
    operator("flatMap", self, () => stateless.flatMap(f))
)

/**
 * Looks at each record and hands it on. An Effect is run to its end first; a restart may show a record again.
 *
 * @since 0.1.0
 * @category records
 */
export const tap: {
  <A, E2 = never, R2 = never>(
    f: (value: A) => void | Effect.Effect<unknown, E2, R2>
  ): <E, R>(self: DataStream<A, E, R>) => DataStream<A, E | E2, R | R2>
  <A, E, R, E2 = never, R2 = never>(
    self: DataStream<A, E, R>,
    f: (value: A) => void | Effect.Effect<unknown, E2, R2>
  ): DataStream<A, E | E2, R | R2>
} = dual(
  2,
  <A, E, R, E2, R2>(
    self: DataStream<A, E, R>,
    f: (value: A) => void | Effect.Effect<unknown, E2, R2>
  ): DataStream<A, E | E2, R | R2> => operator("tap", self, () => stateless.tap<A, E2>(f))
)

/**
 * A process function: zero or more results for each record, and side outputs.
 *
 * @since 0.1.0
 * @category records
 */
export const process: {
  <A, B>(fn: ProcessFunction<A, B>): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E, R>
  <A, E, R, B>(self: DataStream<A, E, R>, fn: ProcessFunction<A, B>): DataStream<B, E, R>
} = dual(
  2,
  <A, E, R, B>(self: DataStream<A, E, R>, fn: ProcessFunction<A, B>): DataStream<B, E, R> =>
    operator("process", self, () => stateless.process(fn))
)

/**
 * How `mapEffect` runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface MapEffectOptions<A> {
  /** Effects that run at once, in each subtask; default 16 */
  readonly concurrency?: number | undefined
  /** each attempt is interrupted after that, and fails with `TimeoutException` */
  readonly timeout?: Duration.DurationInput | undefined
  /** when to try again after a failure */
  readonly retry?: Schedule.Schedule<unknown, unknown, never> | undefined
  /** inputs under way are stored in checkpoints: plain data, or with this schema */
  readonly schema?: Schema.Schema<A, any> | undefined
}

/**
 * Runs an Effect for each record, up to `concurrency` at once; results leave in the order of the records.
 * Inputs under way are in every checkpoint and are run again after a restore. A failure fails the job with the Effect's own error.
 *
 * @since 0.1.0
 * @category records
 */
export const mapEffect: {
  <A, B, E2, R2>(
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options: MapEffectOptions<NoInfer<A>> & { readonly timeout: Duration.DurationInput }
  ): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E | E2 | Cause.TimeoutException, R | R2>
  <A, B, E2, R2>(
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options?: MapEffectOptions<NoInfer<A>>
  ): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E | E2, R | R2>
  <A, E, R, B, E2, R2>(
    self: DataStream<A, E, R>,
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options: MapEffectOptions<A> & { readonly timeout: Duration.DurationInput }
  ): DataStream<B, E | E2 | Cause.TimeoutException, R | R2>
  <A, E, R, B, E2, R2>(
    self: DataStream<A, E, R>,
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options?: MapEffectOptions<A>
  ): DataStream<B, E | E2, R | R2>
} = dual(
  (args) => typeof args[0] === "object",
  <A, E, R, B, E2, R2>(
    self: DataStream<A, E, R>,
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options: MapEffectOptions<A> = {}
  ): DataStream<B, E | E2, R | R2> => {
    const { concurrency = 16, retry, schema, timeout } = options
    const problem = Number.isInteger(concurrency) && concurrency > 0
      ? undefined
      : `concurrency must be a whole number from 1 on, got ${concurrency}`
    const run = (value: A): Effect.Effect<B, any> => {
      let effect = f(value) as Effect.Effect<B, any>
      if (timeout !== undefined) effect = Effect.timeout(effect, timeout)
      return retry === undefined ? effect : Effect.retry(effect, retry)
    }
    return operator("mapEffect", unkeyed(self), () => new AsyncWait<A, B, any>(run, concurrency, schema, inFlight), { problem })
  }
)

const inFlight = <A>(schema: Schema.Schema<A, any>) =>
  Schema.Struct({ value: schema, timestamp: Schema.UndefinedOr(Schema.Number), watermark: Schema.Number }) as Schema.Schema<
    { readonly value: A; readonly timestamp: number | undefined; readonly watermark: number },
    any
  >

/**
 * Gives records their event time, in milliseconds since the epoch, and makes watermarks by a strategy.
 *
 * @since 0.1.0
 * @category time
 */
export const assignTimestamps: {
  <A>(f: (value: A) => number, strategy: WatermarkStrategy<NoInfer<A>>): <E, R>(self: DataStream<A, E, R>) => DataStream<A, E, R>
  <A, E, R>(self: DataStream<A, E, R>, f: (value: A) => number, strategy: WatermarkStrategy<NoInfer<A>>): DataStream<A, E, R>
} = dual(
  3,
  <A, E, R>(self: DataStream<A, E, R>, f: (value: A) => number, strategy: WatermarkStrategy<A>): DataStream<A, E, R> =>
    operator("assignTimestamps", self, () => new TimestampsAndWatermarks<A>(f, strategy))
)

/**
 * What an operator of the stream sent to a side output. Use it on the stream of the operator that sends there.
 *
 * @since 0.1.0
 * @category records
 */
export const sideOutput: {
  <B>(tag: OutputTag<B>): <A, E, R>(self: DataStream<A, E, R>) => DataStream<B, E, R>
  <A, E, R, B>(self: DataStream<A, E, R>, tag: OutputTag<B>): DataStream<B, E, R>
} = dual(
  2,
  <A, E, R, B>(self: DataStream<A, E, R>, tag: OutputTag<B>): DataStream<B, E, R> =>
    fromEdges(self.edges.map(({ node }) => ({ node, tag: tag.id, partitioning: forwardPartitioning })))
)

/**
 * An operator of one's own: `factory` is run once for each subtask.
 *
 * @since 0.1.0
 * @category records
 */
export const transform: {
  <A, B, E1 = never, E2 = never, R2 = never>(
    name: string,
    factory: Effect.Effect<Operator<A, B, E1>, E2, R2>
  ): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E | E1 | E2, R | R2>
  <A, E, R, B, E1 = never, E2 = never, R2 = never>(
    self: DataStream<A, E, R>,
    name: string,
    factory: Effect.Effect<Operator<A, B, E1>, E2, R2>
  ): DataStream<B, E | E1 | E2, R | R2>
} = dual(
  3,
  <A, E, R, B, E1, E2, R2>(
    self: DataStream<A, E, R>,
    name: string,
    factory: Effect.Effect<Operator<A, B, E1>, E2, R2>
  ): DataStream<B, E | E1 | E2, R | R2> => fromNode(operatorNode(name, [self], factory))
)

/**
 * All records of both streams. Order is kept within each, event time is that of the slower one.
 *
 * @since 0.1.0
 * @category combining
 */
export const union: {
  <B, E2, R2>(that: DataStream<B, E2, R2>): <A, E, R>(self: DataStream<A, E, R>) => DataStream<A | B, E | E2, R | R2>
  <A, E, R, B, E2, R2>(self: DataStream<A, E, R>, that: DataStream<B, E2, R2>): DataStream<A | B, E | E2, R | R2>
} = dual(
  2,
  <A, E, R, B, E2, R2>(self: DataStream<A, E, R>, that: DataStream<B, E2, R2>): DataStream<A | B, E | E2, R | R2> =>
    fromEdges([...self.edges, ...that.edges])
)
