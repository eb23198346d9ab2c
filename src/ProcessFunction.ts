/**
 * What users write where map and filter do not reach: functions of a record with state, timers and side outputs.
 *
 * @since 0.1.0
 */
import type { OutputTag } from "./OutputTag.js"
import type { Descriptor, Handles } from "./State.js"

/**
 * The part of a context that every process function has. Valid during the call only.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessContext {
  /** the record's (or timer's) timestamp, ms since the epoch */
  readonly timestamp: number | undefined
  /** the operator's current watermark, `Watermark.MIN` before the first */
  readonly watermark: number
  readonly processingTime: () => number
  /** sends a value to a side output, with the current timestamp */
  readonly output: <B>(tag: OutputTag<B>, value: B) => void
}

/**
 * A function over a stream without keys: gives zero or more results for each record, each with the record's timestamp.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessFunction<in A, out Out> {
  readonly onElement: (value: A, ctx: ProcessContext) => Iterable<Out> | void
}

/**
 * Registers and deletes the current key's timers. One per time: registering twice is registering once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timers {
  readonly eventTime: (timestamp: number) => void
  readonly processingTime: (timestamp: number) => void
  readonly deleteEventTime: (timestamp: number) => void
  readonly deleteProcessingTime: (timestamp: number) => void
}

/**
 * The context of a keyed process function.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedProcessContext<out K, out S> extends ProcessContext {
  readonly key: K
  readonly state: Handles<S>
  readonly timers: Timers
}

/**
 * A timer that fires.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timer {
  readonly timestamp: number
  readonly domain: "event-time" | "processing-time"
}

/**
 * The states a keyed process function declares.
 *
 * @since 0.1.0
 * @category models
 */
export type States = { readonly [name: string]: Descriptor<any> }

/**
 * A function over a keyed stream. Results of `onElement` carry the record's timestamp, results of an event-time timer the timer's,
 * results of a processing-time timer none.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedProcessFunction<K, in A, S, out Out, out Out2 = never> {
  readonly state?: S | undefined
  readonly onElement: (value: A, ctx: KeyedProcessContext<K, S>) => Iterable<Out> | void
  readonly onTimer?: ((timer: Timer, ctx: KeyedProcessContext<K, S>) => Iterable<Out2> | void) | undefined
}

/**
 * A function over two streams without keys: gives zero or more results for each record, each with the record's timestamp.
 *
 * @since 0.1.0
 * @category models
 */
export interface CoProcessFunction<in A, in B, out Out, out Out2 = never> {
  readonly onElement1: (value: A, ctx: ProcessContext) => Iterable<Out> | void
  readonly onElement2: (value: B, ctx: ProcessContext) => Iterable<Out2> | void
}

/**
 * A function over two streams with the same keys, which share state and timers. Timestamps of results are those of `KeyedProcessFunction`.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedCoProcessFunction<K, in A, in B, S, out Out, out Out2 = never, out Out3 = never> {
  readonly state?: S | undefined
  readonly onElement1: (value: A, ctx: KeyedProcessContext<K, S>) => Iterable<Out> | void
  readonly onElement2: (value: B, ctx: KeyedProcessContext<K, S>) => Iterable<Out2> | void
  readonly onTimer?: ((timer: Timer, ctx: KeyedProcessContext<K, S>) => Iterable<Out3> | void) | undefined
}
