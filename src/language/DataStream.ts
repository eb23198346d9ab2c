/**
 * The language of streams: values that say what is to be computed. Pure; nothing runs before `Job.run`.
 *
 * E and R of every function that is passed in accumulate in the stream's type.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Types from "effect/Types"
import * as DataSink from "../DataSink.js"
import * as DataSource from "../DataSource.js"
import type { KeySelector, OneInputNode, Partitioning, SourceNode, StreamEdge, StreamNode } from "../graph/StreamGraph.js"
import { forward as forwardPartitioning } from "../graph/StreamGraph.js"
import { AsyncWait } from "../operators/AsyncWait.js"
import * as sinks from "../operators/sinks.js"
import { Listing, Source } from "../operators/Source.js"
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

/**
 * A stream that ends in a sink.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pipeline<out E = never, out R = never> extends Pipeable {
  readonly _tag: "Pipeline"
  readonly [TypeId]: { readonly _E: Types.Covariant<E>; readonly _R: Types.Covariant<R> }
  /** @internal */
  readonly end: StreamNode
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

/** @internal */
export const oneInput = (
  name: string,
  self: DataStream<any, any, any>,
  factory: Effect.Effect<Operator<any, any, any>, any, any>,
  fields?: Partial<OneInputNode>
): OneInputNode => ({
  _tag: "OneInput",
  name,
  uid: undefined,
  parallelism: undefined,
  chaining: "always",
  problem: undefined,
  factory,
  inputs: self.edges,
  key: self.key,
  ...fields
})

/** @internal */
export const operator = <B, E, R>(
  name: string,
  self: DataStream<any, any, any>,
  make: () => Operator<any, any, any>,
  fields?: Partial<OneInputNode>
): DataStream<B, E, R> => fromNode(oneInput(name, self, Effect.sync(make), fields))

// -----------------------------------------------------------------------------
// sources
// -----------------------------------------------------------------------------

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
  const listing = new Listing(source)
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

// -----------------------------------------------------------------------------
// records
// -----------------------------------------------------------------------------

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
    options?: MapEffectOptions<NoInfer<A>>
  ): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E | E2, R | R2>
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
    return operator("mapEffect", self, () => new AsyncWait<A, B, any>(run, concurrency, schema, inFlight), { problem, key: undefined })
  }
)

const inFlight = <A>(schema: Schema.Schema<A, any>) =>
  Schema.Struct({ value: schema, timestamp: Schema.UndefinedOr(Schema.Number) }) as Schema.Schema<
    { readonly value: A; readonly timestamp: number | undefined },
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
  <A, B, E1, E2, R2>(
    name: string,
    factory: Effect.Effect<Operator<A, B, E1>, E2, R2>
  ): <E, R>(self: DataStream<A, E, R>) => DataStream<B, E | E1 | E2, R | R2>
  <A, E, R, B, E1, E2, R2>(
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
  ): DataStream<B, E | E1 | E2, R | R2> => fromNode(oneInput(name, self, factory))
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

// -----------------------------------------------------------------------------
// how it runs
// -----------------------------------------------------------------------------

type Configuration = Partial<Pick<StreamNode, "name" | "uid" | "parallelism" | "chaining">>

/** changes the node that a stream comes from */
const configure = <S extends DataStream<any, any, any>>(self: S, what: string, fields: Configuration): S => {
  const [edge] = self.edges
  const problem = self.edges.length === 1 && edge.tag === undefined
    ? edge.node.problem
    : `${what} applies to the operator before it, and a union or a side output is none; put it before that, or after an operator`
  const node = { ...edge.node, ...fields, problem } as StreamNode
  return { ...self, edges: [{ ...edge, node }, ...self.edges.slice(1)] }
}

const configuring = <V>(what: string, fields: (value: V) => Configuration): {
  (value: V): <S extends DataStream<any, any, any>>(self: S) => S
  <S extends DataStream<any, any, any>>(self: S, value: V): S
} => dual(2, <S extends DataStream<any, any, any>>(self: S, value: V): S => configure(self, what, fields(value)))

/**
 * Names the operator before it, for people.
 *
 * @since 0.1.0
 * @category running
 */
export const named = configuring("named", (name: string) => ({ name }))

/**
 * Gives the operator before it the id under which its state is stored. Give one to every operator with state that is to outlive a change of the job.
 *
 * @since 0.1.0
 * @category running
 */
export const uid = configuring("uid", (uid: string) => ({ uid }))

/**
 * How many subtasks the operator before it has.
 *
 * @since 0.1.0
 * @category running
 */
export const parallelism = configuring("parallelism", (parallelism: number) => ({ parallelism }))

const chaining = (mode: "head" | "never") => <S extends DataStream<any, any, any>>(self: S): S =>
  configure(self, "chaining", { chaining: mode })

/**
 * The operator before it runs in a task of its own.
 *
 * @since 0.1.0
 * @category running
 */
export const disableChaining = chaining("never")

/**
 * The operator before it begins a new task; those behind it may join.
 *
 * @since 0.1.0
 * @category running
 */
export const startNewChain = chaining("head")

const partitioned = (partitioning: Partitioning) => <A, E, R>(self: DataStream<A, E, R>): DataStream<A, E, R> =>
  fromEdges(self.edges.map((edge) => ({ ...edge, partitioning })))

/**
 * Deals records out to all subtasks of the next operator in turn.
 *
 * @since 0.1.0
 * @category running
 */
export const rebalance = partitioned({ _tag: "Rebalance" })

/**
 * Gives every record to every subtask of the next operator.
 *
 * @since 0.1.0
 * @category running
 */
export const broadcast = partitioned({ _tag: "Broadcast" })

/**
 * Gives all records to the first subtask of the next operator.
 *
 * @since 0.1.0
 * @category running
 */
export const global = partitioned({ _tag: "Global" })

/**
 * Gives the records of each subtask to the same subtask of the next operator, which is what happens anyway where nothing else is said.
 *
 * @since 0.1.0
 * @category running
 */
export const forward = partitioned(forwardPartitioning)

// -----------------------------------------------------------------------------
// ends
// -----------------------------------------------------------------------------

/**
 * Ends the stream in a sink.
 *
 * @since 0.1.0
 * @category ends
 */
export const to: {
  <A, E2, R2>(
    sink: DataSink.DataSink<A, E2, R2>,
    options?: { readonly name?: string | undefined; readonly uid?: string | undefined; readonly parallelism?: number | undefined }
  ): <E, R>(self: DataStream<A, E, R>) => Pipeline<E | E2, R | R2>
  <A, E, R, E2, R2>(
    self: DataStream<A, E, R>,
    sink: DataSink.DataSink<A, E2, R2>,
    options?: { readonly name?: string | undefined; readonly uid?: string | undefined; readonly parallelism?: number | undefined }
  ): Pipeline<E | E2, R | R2>
} = dual(
  (args) => TypeId in args[0],
  <A, E, R, E2, R2>(
    self: DataStream<A, E, R>,
    sink: DataSink.DataSink<A, E2, R2>,
    options: { readonly name?: string | undefined; readonly uid?: string | undefined; readonly parallelism?: number | undefined } = {}
  ): Pipeline<E | E2, R | R2> => ({
    _tag: "Pipeline",
    [TypeId]: variance,
    end: oneInput(options.name ?? sink.name, self, Effect.sync(() => sinks.make(sink)), {
      uid: options.uid,
      parallelism: options.parallelism,
      key: undefined
    }),
    pipe() {
      return pipeArguments(this, arguments)
    }
  })
)

/**
 * Ends the stream in a function; a restart may run it again for some records.
 *
 * @since 0.1.0
 * @category ends
 */
export const runForEach: {
  <A, E2 = never, R2 = never>(
    f: (value: A) => void | Effect.Effect<void, E2, R2>
  ): <E, R>(self: DataStream<A, E, R>) => Pipeline<E | E2, R | R2>
  <A, E, R, E2 = never, R2 = never>(
    self: DataStream<A, E, R>,
    f: (value: A) => void | Effect.Effect<void, E2, R2>
  ): Pipeline<E | E2, R | R2>
} = dual(
  2,
  <A, E, R, E2, R2>(self: DataStream<A, E, R>, f: (value: A) => void | Effect.Effect<void, E2, R2>): Pipeline<E | E2, R | R2> =>
    to(self, DataSink.forEach(f))
)
