/**
 * How event time advances with the records that were seen.
 *
 * A strategy is pure: a state and two functions. The operator that runs it emits a watermark after a batch in which it advanced.
 *
 * W1. The watermarks of one generator never go back (L10).
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import { Watermark } from "./StreamElement.js"

/**
 * How event time advances. The watermark is `watermark(highest)`, where `highest` is the highest timestamp seen.
 *
 * @since 0.1.0
 * @category models
 */
export interface WatermarkStrategy<in A> extends Pipeable {
  /** the watermark that follows from the highest timestamp seen, or `undefined` for none */
  readonly fromHighest: ((highest: number) => number) | undefined
  /** a watermark that the record itself carries, or `undefined` */
  readonly fromRecord: ((value: A, timestamp: number) => number | undefined) | undefined
  /** milliseconds without a record after which the input counts as idle */
  readonly idleAfter: number | undefined
}

const make = <A>(fields: Pick<WatermarkStrategy<A>, "fromHighest" | "fromRecord" | "idleAfter">): WatermarkStrategy<A> => ({
  ...fields,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

/**
 * Timestamps never go back: the watermark is the highest one seen, less 1 ms.
 *
 * @since 0.1.0
 * @category constructors
 */
export const monotonic: WatermarkStrategy<unknown> = make({
  fromHighest: (highest) => highest - 1,
  fromRecord: undefined,
  idleAfter: undefined
})

/**
 * A record comes at the most `bound` behind the highest timestamp seen: the watermark is that timestamp, less `bound`, less 1 ms.
 *
 * @since 0.1.0
 * @category constructors
 */
export const boundedOutOfOrderness = (bound: Duration.DurationInput): WatermarkStrategy<unknown> => {
  const ms = Duration.toMillis(bound)
  return make({
    fromHighest: (highest) => highest - ms - 1,
    fromRecord: undefined,
    idleAfter: undefined
  })
}

/**
 * Some records carry a watermark: `f` gives it, or `undefined`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const punctuated = <A>(f: (value: A, timestamp: number) => number | undefined): WatermarkStrategy<A> =>
  make({ fromHighest: undefined, fromRecord: f, idleAfter: undefined })

/**
 * No watermark before the end of a bounded input.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: WatermarkStrategy<unknown> = make({ fromHighest: undefined, fromRecord: undefined, idleAfter: undefined })

/**
 * After `timeout` of processing time without a record the input is idle and no longer holds watermarks back.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withIdleness = (timeout: Duration.DurationInput) => <A>(self: WatermarkStrategy<A>): WatermarkStrategy<A> =>
  make({ fromHighest: self.fromHighest, fromRecord: self.fromRecord, idleAfter: Duration.toMillis(timeout) })

/**
 * A watermark that is never beyond the ends of event time.
 *
 * @since 0.1.0
 * @category arithmetic
 */
export const clamp = (timestamp: number): number => Math.max(Watermark.MIN, Math.min(Watermark.MAX, timestamp))
