/**
 * What travels through a channel, in order: records and the events in band with them.
 *
 * Pure data. A timestamp is milliseconds since the epoch; a record without one has `undefined`.
 *
 * @since 0.1.0
 */
import type { CheckpointBarrier } from "./Checkpoint.js"

/**
 * A value with its event time in milliseconds, or `undefined` where it has none.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamRecord<out A> {
  readonly _tag: "Record"
  readonly value: A
  readonly timestamp: number | undefined
}

/**
 * A promise that no record with a timestamp at or below `timestamp` follows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watermark {
  readonly _tag: "Watermark"
  readonly timestamp: number
}

/**
 * Whether a channel takes part in event time: an idle one does not hold watermarks back.
 *
 * @since 0.1.0
 * @category models
 */
export interface WatermarkStatus {
  readonly _tag: "WatermarkStatus"
  readonly idle: boolean
}

/**
 * Tells the tasks behind it that checkpoint `id` will not be taken.
 *
 * @since 0.1.0
 * @category models
 */
export interface CancelCheckpointMarker {
  readonly _tag: "CancelCheckpointMarker"
  readonly id: number
}

/**
 * No record follows. With `drain` the event time has ended too and operators are finished; without it the job stops and will go on.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndOfData {
  readonly _tag: "EndOfData"
  readonly drain: boolean
}

/**
 * Nothing at all follows on this channel; its task has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndOfPartition {
  readonly _tag: "EndOfPartition"
}

/**
 * All that travels in band besides records.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamEvent =
  | Watermark
  | WatermarkStatus
  | CheckpointBarrier
  | CancelCheckpointMarker
  | EndOfData
  | EndOfPartition

/**
 * All that travels through a channel.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamElement<A> = StreamRecord<A> | StreamEvent

/**
 * Makes a record; without a timestamp it belongs to no event time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const record = <A>(value: A, timestamp?: number | undefined): StreamRecord<A> => ({ _tag: "Record", value, timestamp })

/**
 * Watermarks: `Watermark.make(t)`, and the two ends of event time.
 * `Watermark.MAX` ends event time; `Watermark.MIN` is the watermark before any was seen.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Watermark = {
  make: (timestamp: number): Watermark => ({ _tag: "Watermark", timestamp }),
  MAX: Number.MAX_SAFE_INTEGER,
  MIN: Number.MIN_SAFE_INTEGER
} as const

/**
 * The two watermark statuses.
 *
 * @since 0.1.0
 * @category constructors
 */
export const WatermarkStatus = {
  idle: { _tag: "WatermarkStatus", idle: true } satisfies WatermarkStatus as WatermarkStatus,
  active: { _tag: "WatermarkStatus", idle: false } satisfies WatermarkStatus as WatermarkStatus
} as const

/**
 * Makes the marker that cancels checkpoint `id` downstream.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cancelCheckpointMarker = (id: number): CancelCheckpointMarker => ({ _tag: "CancelCheckpointMarker", id })

/**
 * Makes the end of data.
 *
 * @since 0.1.0
 * @category constructors
 */
export const endOfData = (drain: boolean): EndOfData => ({ _tag: "EndOfData", drain })

/**
 * The end of a channel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const endOfPartition: EndOfPartition = { _tag: "EndOfPartition" }
