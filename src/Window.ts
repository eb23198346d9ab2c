/**
 * Windows over event time, and which of them a timestamp belongs to.
 *
 * Follows Flink's TimeWindow: a window is `[start, end)`, its last timestamp is `end - 1`, and the start for a timestamp is right for negative ones too.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { Watermark } from "./StreamElement.js"

/**
 * From `start` to just before `end`, in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface TimeWindow {
  readonly start: number
  readonly end: number
}

/**
 * How timestamps are given to windows that do not depend on the records: each slide starts one, each is `size` long.
 *
 * @since 0.1.0
 * @category models
 */
export interface AlignedWindows {
  readonly _tag: "AlignedWindows"
  readonly size: number
  readonly slide: number
  readonly offset: number
}

/**
 * The last timestamp that belongs to a window, never beyond the end of event time.
 *
 * @since 0.1.0
 * @category accessors
 */
export const maxTimestamp = (self: TimeWindow): number => Math.min(self.end - 1, Watermark.MAX)

/**
 * When the state of a window that ends at `end` may go: its last timestamp plus the allowed lateness, never beyond the end of event time.
 *
 * @since 0.1.0
 * @category accessors
 */
export const cleanupTime = (end: number, lateness: number): number => Math.min(end - 1 + lateness, Watermark.MAX)

/**
 * The start of the window of `size` that holds `timestamp`, where windows start at `offset` and every `size` before and after it.
 *
 * @since 0.1.0
 * @category assignment
 */
export const start = (timestamp: number, offset: number, size: number): number =>
  // a division is much faster than the remainder of two doubles, and as exact for all whole milliseconds
  Math.floor((timestamp - offset) / size) * size + offset

const aligned = (name: string, size: number, slide: number, offset: number): AlignedWindows => {
  if (!(size > 0) || !(slide > 0) || !(Math.abs(offset) < slide)) {
    throw new RangeError(
      `Window.${name}: size and slide must be greater than 0 ms and the offset smaller than the slide, got size ${size}, slide ${slide}, offset ${offset}`
    )
  }
  return { _tag: "AlignedWindows", size, slide, offset }
}

/**
 * Windows of `size` that follow one another without a gap; the first of them starts at `offset` after the epoch.
 *
 * @example
 * ```ts
 * import { Window } from "sluice"
 * import * as assert from "node:assert"
 *
 * assert.deepEqual(Window.assign(Window.tumbling("5 seconds"), 4999), [{ start: 0, end: 5000 }])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const tumbling = (
  size: Duration.DurationInput,
  options?: { readonly offset?: Duration.DurationInput | number | undefined }
): AlignedWindows => {
  const ms = Duration.toMillis(size)
  return aligned("tumbling", ms, ms, offsetOf(options?.offset))
}

/**
 * Windows of `size`, one starting every `slide`: a timestamp belongs to all that hold it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sliding = (
  size: Duration.DurationInput,
  slide: Duration.DurationInput,
  options?: { readonly offset?: Duration.DurationInput | number | undefined }
): AlignedWindows => aligned("sliding", Duration.toMillis(size), Duration.toMillis(slide), offsetOf(options?.offset))

/** a number may be negative, which a Duration cannot */
const offsetOf = (offset: Duration.DurationInput | number | undefined): number =>
  typeof offset === "number" ? offset : offset === undefined ? 0 : Duration.toMillis(offset)

/**
 * The windows that hold a timestamp, earliest first.
 *
 * @since 0.1.0
 * @category assignment
 */
export const assign = (self: AlignedWindows, timestamp: number): ReadonlyArray<TimeWindow> => {
  const windows: Array<TimeWindow> = []
  for (let at = start(timestamp, self.offset, self.slide); at > timestamp - self.size; at -= self.slide) {
    windows.unshift({ start: at, end: at + self.size })
  }
  return windows
}
