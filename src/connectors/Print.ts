/**
 * Records on the console, for looking at a stream.
 *
 * Prints through Effect's `Console`, so that a test can catch what is printed. After a restart some records may be printed again.
 *
 * @since 0.1.0
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { DataSink } from "../DataSink.js"
import * as Sink from "../DataSink.js"

/**
 * How records are printed.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkOptions<in A> {
  /** what each line begins with. Default nothing */
  readonly prefix?: string | undefined
  /** Default: texts as they are, all else as JSON */
  readonly render?: ((value: A) => string) | undefined
}

const render = (value: unknown): string => {
  if (typeof value === "string") return value
  try {
    return JSON.stringify(value, (_, v) => typeof v === "bigint" ? String(v) : v) ?? String(value)
  } catch {
    return String(value)
  }
}

/**
 * Prints one line per record.
 *
 * @example
 * ```ts
 * import { DataStream, Job } from "sluice"
 * import * as Print from "sluice/connectors/Print"
 * import { Effect } from "effect"
 *
 * const pipeline = DataStream.fromIterable([{ n: 1 }, { n: 2 }]).pipe(DataStream.to(Print.sink({ prefix: "> " })))
 *
 * await Effect.runPromise(Job.run(Job.make("printing", pipeline)))
 * // > {"n":1}
 * // > {"n":2}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink = <A>(options?: SinkOptions<A>): DataSink<A> => {
  const prefix = options?.prefix ?? ""
  const show = options?.render ?? render
  return Sink.make<A, never, never>({
    name: "Print",
    open: () => Effect.succeed({ write: (value) => Console.log(prefix + show(value)) })
  })
}
