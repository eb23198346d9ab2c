/**
 * Keyed streams cut into windows.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
import type * as Aggregator from "../Aggregator.js"
import type { WindowFunction } from "../operators/AlignedWindow.js"
import { AlignedWindow } from "../operators/AlignedWindow.js"
import type { OutputTag } from "../OutputTag.js"
import type { AlignedWindows, TimeWindow } from "../Window.js"
import type { DataStream } from "./DataStream.js"
import { operator } from "./DataStream.js"
import type { KeyedStream } from "./KeyedStream.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("sluice/WindowedStream")

/**
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

/**
 * The records of each key, in windows of type `W`.
 *
 * @since 0.1.0
 * @category models
 */
export interface WindowedStream<out K, out A, out W, out E = never, out R = never> extends Pipeable {
  readonly [TypeId]: { readonly _K: Types.Covariant<K>; readonly _W: Types.Covariant<W> }
  /** @internal */
  readonly stream: KeyedStream<K, A, E, R>
  /** @internal */
  readonly windows: AlignedWindows
  /** @internal */
  readonly lateness: number
  /** @internal */
  readonly late: OutputTag<any> | undefined
}

const variance = { _K: (_: never) => _, _W: (_: never) => _ }

const make = <K, A, E, R>(
  fields: Pick<WindowedStream<K, A, TimeWindow, E, R>, "stream" | "windows" | "lateness" | "late">
): WindowedStream<K, A, TimeWindow, E, R> => ({
  ...fields,
  [TypeId]: variance,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

/**
 * Cuts a keyed stream into windows of event time. A window fires when the watermark reaches its last timestamp; its results carry that timestamp.
 *
 * @since 0.1.0
 * @category windows
 */
export const window: {
  (windows: AlignedWindows): <K, A, E, R>(self: KeyedStream<K, A, E, R>) => WindowedStream<K, A, TimeWindow, E, R>
  <K, A, E, R>(self: KeyedStream<K, A, E, R>, windows: AlignedWindows): WindowedStream<K, A, TimeWindow, E, R>
} = dual(
  2,
  <K, A, E, R>(self: KeyedStream<K, A, E, R>, windows: AlignedWindows): WindowedStream<K, A, TimeWindow, E, R> =>
    make({ stream: self, windows, lateness: 0, late: undefined })
)

/**
 * Keeps a window for that long in event time after it fired; a record that comes meanwhile makes its key's window fire again. Default 0.
 *
 * @since 0.1.0
 * @category windows
 */
export const allowedLateness: {
  (lateness: Duration.DurationInput): <K, A, W, E, R>(self: WindowedStream<K, A, W, E, R>) => WindowedStream<K, A, W, E, R>
  <K, A, W, E, R>(self: WindowedStream<K, A, W, E, R>, lateness: Duration.DurationInput): WindowedStream<K, A, W, E, R>
} = dual(
  2,
  <K, A, W, E, R>(self: WindowedStream<K, A, W, E, R>, lateness: Duration.DurationInput): WindowedStream<K, A, W, E, R> => ({
    ...self,
    lateness: Duration.toMillis(lateness)
  })
)

/**
 * Sends records that come too late for all their windows to a side output, with their timestamp; they are counted as `late` in any case.
 *
 * @since 0.1.0
 * @category windows
 */
export const lateOutput: {
  <B>(tag: OutputTag<B>): <K, A extends B, W, E, R>(self: WindowedStream<K, A, W, E, R>) => WindowedStream<K, A, W, E, R>
  <K, A, W, E, R>(self: WindowedStream<K, A, W, E, R>, tag: OutputTag<A>): WindowedStream<K, A, W, E, R>
} = dual(
  2,
  <K, A, W, E, R>(self: WindowedStream<K, A, W, E, R>, tag: OutputTag<A>): WindowedStream<K, A, W, E, R> => ({ ...self, late: tag })
)

const run = <K, A, W, E, R, Acc, Out>(
  name: string,
  self: WindowedStream<K, A, W, E, R>,
  fn: WindowFunction<A, Acc, Out>
): DataStream<Out, E, R> => operator(name, self.stream, () => new AlignedWindow<A, Acc, Out>(self.windows, self.lateness, self.late, fn))

/**
 * What a window function knows besides the records.
 *
 * @since 0.1.0
 * @category models
 */
export interface WindowContext<out K, out W> {
  readonly key: K
  readonly window: W
}

/**
 * For each key and window the reduction of its records.
 *
 * @since 0.1.0
 * @category results
 */
export const reduce: {
  <A>(
    f: (self: A, that: A) => A,
    schema?: Schema.Schema<NoInfer<A>, any>
  ): <K, W, E, R>(self: WindowedStream<K, A, W, E, R>) => DataStream<A, E, R>
  <K, A, W, E, R>(
    self: WindowedStream<K, A, W, E, R>,
    f: (self: A, that: A) => A,
    schema?: Schema.Schema<A, any>
  ): DataStream<A, E, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <K, A, W, E, R>(self: WindowedStream<K, A, W, E, R>, f: (self: A, that: A) => A, schema?: Schema.Schema<A, any>): DataStream<A, E, R> =>
    run<K, A, W, E, R, A, A>("window.reduce", self, {
      accumulator: schema,
      fold: { init: undefined, add: f, result: undefined, project: undefined },
      single: true
    })
)

/**
 * For each key and window the aggregation of its records, or what `project` makes of it, the key and the window.
 *
 * @since 0.1.0
 * @category results
 */
export const aggregate: {
  <A, Acc, Out>(
    aggregator: Aggregator.Aggregator<A, Acc, Out>
  ): <K, W, E, R>(self: WindowedStream<K, A, W, E, R>) => DataStream<Out, E, R>
  <K, A, W, Acc, Out, B>(
    aggregator: Aggregator.Aggregator<A, Acc, Out>,
    project: (result: Out, context: WindowContext<K, W>) => B
  ): <E, R>(self: WindowedStream<K, A, W, E, R>) => DataStream<B, E, R>
  <K, A, W, E, R, Acc, Out>(
    self: WindowedStream<K, A, W, E, R>,
    aggregator: Aggregator.Aggregator<A, Acc, Out>
  ): DataStream<Out, E, R>
  <K, A, W, E, R, Acc, Out, B>(
    self: WindowedStream<K, A, W, E, R>,
    aggregator: Aggregator.Aggregator<A, Acc, Out>,
    project: (result: Out, context: WindowContext<K, W>) => B
  ): DataStream<B, E, R>
} = dual(
  (args) => TypeId in args[0],
  <K, A, W, E, R, Acc, Out>(
    self: WindowedStream<K, A, W, E, R>,
    aggregator: Aggregator.Aggregator<A, Acc, Out>,
    project?: (result: Out, context: WindowContext<K, any>) => any
  ): DataStream<any, E, R> => {
    return run<K, A, W, E, R, Acc, any>("window.aggregate", self, {
      accumulator: aggregator.accumulator,
      fold: { ...aggregator, project },
      single: true
    })
  }
)

/**
 * For each key and window zero or more results of all its records, in the order in which they came. Records are stored: plain data, or with a schema.
 *
 * @since 0.1.0
 * @category results
 */
export const process: {
  <K, A, W, B>(
    f: (elements: ReadonlyArray<A>, context: WindowContext<K, W>) => Iterable<B>,
    schema?: Schema.Schema<NoInfer<A>, any>
  ): <E, R>(self: WindowedStream<K, A, W, E, R>) => DataStream<B, E, R>
  <K, A, W, E, R, B>(
    self: WindowedStream<K, A, W, E, R>,
    f: (elements: ReadonlyArray<A>, context: WindowContext<K, W>) => Iterable<B>,
    schema?: Schema.Schema<A, any>
  ): DataStream<B, E, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <K, A, W, E, R, B>(
    self: WindowedStream<K, A, W, E, R>,
    f: (elements: ReadonlyArray<A>, context: WindowContext<K, any>) => Iterable<B>,
    schema?: Schema.Schema<A, any>
  ): DataStream<B, E, R> =>
    run<K, A, W, E, R, Array<A>, B>("window.process", self, {
      accumulator: schema === undefined ? undefined : Schema.mutable(Schema.Array(schema)),
      fold: {
        init: () => [],
        add: (all, value) => {
          all.push(value)
          return all
        },
        // a copy: a late record may still be added to what the window keeps
        result: (all) => all.slice(),
        project: f
      },
      single: false
    })
)
