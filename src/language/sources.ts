/**
 * Streams that begin: what reads from a source.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as DataSource from "../DataSource.js"
import type { SourceNode } from "../graph/StreamGraph.js"
import { OncePerAttempt } from "../operators/OncePerAttempt.js"
import { Source } from "../operators/Source.js"
import { TimestampsAndWatermarks } from "../operators/TimestampsAndWatermarks.js"
import type { WatermarkStrategy } from "../WatermarkStrategy.js"
import type { DataStream } from "./DataStream.js"
import { fromNode, operator } from "./DataStream.js"

/**
 * What a source may be told besides what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions<in A> {
  readonly name?: string | undefined
  readonly uid?: string | undefined
  readonly parallelism?: number | undefined
  /** watermarks from the timestamps that the source gives its records */
  readonly watermarks?: WatermarkStrategy<A> | undefined
}

/**
 * Reads a source.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromSource = <A, E, R>(
  source: DataSource.DataSource<A, E, R>,
  options: SourceOptions<NoInfer<A>> = {}
): DataStream<A, E, R> => {
  const listing = new OncePerAttempt<ReadonlyArray<unknown>, E>()
  const node: SourceNode = {
    _tag: "Source",
    name: options.name ?? source.name,
    uid: options.uid,
    parallelism: options.parallelism,
    chaining: "always",
    problem: undefined,
    factory: Effect.sync(() => new Source(source, listing))
  }
  const stream = fromNode<A, E, R>(node)
  const { watermarks } = options
  if (watermarks === undefined) return stream
  return operator("watermarks", stream, () => new TimestampsAndWatermarks<A>(undefined, watermarks), {
    uid: options.uid === undefined ? undefined : `${options.uid}/watermarks`,
    parallelism: options.parallelism
  })
}

/** one split that is read by counting: after a restore what was counted is passed over */
const counted = <A, E, R>(
  name: string,
  read: (from: number) => Effect.Effect<DataSource.SplitReader<A, number, E>, E, R | Scope.Scope>
): DataSource.DataSource<A, E, Exclude<R, Scope.Scope>> =>
  DataSource.make({
    name,
    splits: Effect.succeed([0]),
    read: (_split: number, position: number | undefined) => read(position ?? 0)
  })

const single = { parallelism: 1 } as const

/**
 * The items of an iterable, in order. It is iterated again after a restart: give an array, or an iterable that can start over.
 *
 * @example
 * ```ts
 * import { DataStream } from "sluice"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const doubled = DataStream.fromIterable([1, 2, 3]).pipe(DataStream.map((n) => n * 2))
 * assert.deepEqual(await Effect.runPromise(DataStream.runCollect(doubled)), [2, 4, 6])
 * ```
 *
 * @since 0.1.0
 * @category sources
 */
export const fromIterable = <A>(items: Iterable<A>): DataStream<A> =>
  fromSource(
    counted("fromIterable", (from) =>
      Effect.sync((): DataSource.SplitReader<A, number> => {
        if (Array.isArray(items)) {
          let at = from
          return {
            poll: (max) => {
              if (at >= items.length) return undefined
              const values = items.slice(at, at + max)
              at += values.length
              return { values, position: at }
            },
            fetch: Effect.succeed(false)
          }
        }
        const iterator = items[Symbol.iterator]()
        let at = 0
        while (at < from && iterator.next().done !== true) at++
        return {
          poll: (max) => {
            const values: Array<A> = []
            while (values.length < max) {
              const next = iterator.next()
              if (next.done === true) break
              values.push(next.value)
            }
            at += values.length
            return values.length === 0 ? undefined : { values, position: at }
          },
          fetch: Effect.succeed(false)
        }
      })),
    single
  )

/**
 * The whole numbers from `from` to `to`, both included.
 *
 * @since 0.1.0
 * @category sources
 */
export const range = (from: number, to: number): DataStream<number> =>
  fromSource(
    counted("range", (start) =>
      Effect.sync((): DataSource.SplitReader<number, number> => {
        let at = from + start
        return {
          poll: (max) => {
            if (at > to) return undefined
            const values: Array<number> = []
            for (let n = Math.min(max, to - at + 1); n > 0; n--) values.push(at++)
            return { values, position: at - from }
          },
          fetch: Effect.succeed(false)
        }
      })),
    single
  )

/**
 * `make(0)`, `make(1)` and so on: `count` of them, without end if it is left out, at most `rate` a second.
 *
 * @since 0.1.0
 * @category sources
 */
export const generate = <A>(options: {
  readonly make: (i: number) => A
  readonly count?: number | undefined
  /** records a second; as fast as they are taken if left out */
  readonly rate?: number | undefined
}): DataStream<A> => {
  const count = options.count ?? Infinity
  const { make, rate } = options
  const source = counted("generate", (from) =>
    Effect.map(Effect.clock, (clock): DataSource.SplitReader<A, number> => {
      const startedAt = clock.unsafeCurrentTimeMillis()
      let at = from
      const due = () =>
        rate === undefined ? count : Math.min(count, from + 1 + Math.floor((clock.unsafeCurrentTimeMillis() - startedAt) * rate / 1000))
      return {
        poll: (max) => {
          const until = Math.min(at + max, due())
          if (at >= until) return undefined
          const values: Array<A> = []
          while (at < until) values.push(make(at++))
          return { values, position: at }
        },
        fetch: Effect.suspend(() => {
          if (at >= count || rate === undefined) return Effect.succeed(at < count)
          const wait = startedAt + (at - from) * 1000 / rate - clock.unsafeCurrentTimeMillis()
          return Effect.as(Effect.sleep(Math.max(1, Math.ceil(wait))), true)
        })
      }
    }))
  return fromSource({ ...source, boundedness: count === Infinity ? "unbounded" : "bounded" }, single)
}

/**
 * The elements of an Effect Stream. After a restart the stream is run again and the elements that a checkpoint already counts are passed over:
 * exactly-once where the stream gives the same elements again.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromStream = <A, E, R>(stream: Stream.Stream<A, E, R>): DataStream<A, E, R> =>
  fromSource(
    counted<A, E, R>("fromStream", (from) =>
      Effect.map(Stream.toPull(Stream.drop(stream, from)), (pull): DataSource.SplitReader<A, number, E> => {
        let buffered: ReadonlyArray<A> = []
        let at = from
        return {
          poll: (max) => {
            if (buffered.length === 0) {
              return undefined
            }
            const values = buffered.slice(0, max)
            buffered = buffered.slice(max)
            at += values.length
            return { values, position: at }
          },
          fetch: pull.pipe(
            Effect.map((chunk) => {
              buffered = Chunk.toReadonlyArray(chunk)
              return true
            }),
            Effect.catchAll(Option.match({
              onNone: () =>
                Effect.succeed(false),
              onSome: (error) => Effect.fail(error)
            }))
          ) as Effect.Effect<boolean, E>
        }
      })) as DataSource.DataSource<A, E, R>,
    single
  )
