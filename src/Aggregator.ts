/**
 * How records become a result by way of an accumulator that can be stored.
 *
 * G1. `merge(x, y)`, where there is one, equals adding to `x` all that was added to `y`.
 *
 * @since 0.1.0
 */
import { dual } from "effect/Function"
import type * as Order from "effect/Order"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import * as Schema from "effect/Schema"
import * as canonical from "./state/canonical.js"

/**
 * An aggregation. `add` may change the accumulator in place and give it back, which is the fastest way, or give a new one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Aggregator<in In, in out Acc, out Out> extends Pipeable {
  readonly accumulator: Schema.Schema<Acc, any>
  readonly init: () => Acc
  readonly add: (acc: Acc, value: In) => Acc
  readonly merge: ((self: Acc, that: Acc) => Acc) | undefined
  readonly result: (acc: Acc) => Out
}

/**
 * An aggregation whose accumulator does not matter to its user.
 *
 * @since 0.1.0
 * @category models
 */
export type Any<In, Out> = Aggregator<In, any, Out>

/**
 * Makes an aggregation of one's own. `merge` lets windows share work and sessions grow together.
 *
 * @example
 * ```ts
 * import { Aggregator } from "sluice"
 * import { Schema } from "effect"
 * import * as assert from "node:assert"
 *
 * const span = Aggregator.make({
 *   accumulator: Schema.Struct({ low: Schema.Number, high: Schema.Number }),
 *   init: () => ({ low: Infinity, high: -Infinity }),
 *   add: (acc, n: number) => ({ low: Math.min(acc.low, n), high: Math.max(acc.high, n) }),
 *   result: ({ high, low }) => high - low
 * })
 * assert.equal(span.result(span.add(span.add(span.init(), 3), 10)), 7)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <In, Acc, Out>(options: {
  readonly accumulator: Schema.Schema<Acc, any>
  readonly init: () => Acc
  readonly add: (acc: Acc, value: In) => Acc
  readonly merge?: ((self: Acc, that: Acc) => Acc) | undefined
  readonly result: (acc: Acc) => Out
}): Aggregator<In, Acc, Out> => ({
  accumulator: options.accumulator,
  init: options.init,
  add: options.add,
  merge: options.merge,
  result: options.result,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

/**
 * How many records there were.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const count: Aggregator<unknown, number, number> = make({
  accumulator: Schema.Number,
  init: () => 0,
  add: (n, _: unknown) => n + 1,
  merge: (x, y) => x + y,
  result: (n) => n
})

/**
 * The sum of `f` over the records; 0 for none.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const sum = <A>(f: (a: A) => number): Aggregator<A, number, number> =>
  make({
    accumulator: Schema.Number,
    init: () => 0,
    add: (total, a: A) => total + f(a),
    merge: (x, y) => x + y,
    result: (total) => total
  })

/**
 * The least `f` of the records; `Infinity` for none.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const min = <A>(f: (a: A) => number): Aggregator<A, number, number> =>
  make({
    accumulator: Schema.Number,
    init: () => Infinity,
    add: (least, a: A) => Math.min(least, f(a)),
    merge: Math.min,
    result: (least) => least
  })

/**
 * The greatest `f` of the records; `-Infinity` for none.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const max = <A>(f: (a: A) => number): Aggregator<A, number, number> =>
  make({
    accumulator: Schema.Number,
    init: () => -Infinity,
    add: (greatest, a: A) => Math.max(greatest, f(a)),
    merge: Math.max,
    result: (greatest) => greatest
  })

/**
 * The arithmetic mean of `f` over the records; `NaN` for none.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const mean = <A>(f: (a: A) => number): Aggregator<A, { count: number; sum: number }, number> =>
  make({
    accumulator: Schema.mutable(Schema.Struct({ count: Schema.Number, sum: Schema.Number })),
    init: () => ({ count: 0, sum: 0 }),
    add: (acc, a: A) => {
      acc.count++
      acc.sum += f(a)
      return acc
    },
    merge: (x, y) => ({ count: x.count + y.count, sum: x.sum + y.sum }),
    result: (acc) => acc.sum / acc.count
  })

/**
 * All records, in the order in which they came.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const collect = <A, I>(schema: Schema.Schema<A, I>): Aggregator<A, Array<A>, Array<A>> =>
  make({
    accumulator: Schema.mutable(Schema.Array(schema)),
    init: () => [],
    add: (all, a: A) => {
      all.push(a)
      return all
    },
    merge: (x, y) => [...x, ...y],
    result: (all) => all.slice()
  })

/**
 * How many different values `f` takes; values are compared by their encoded form.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const distinct = <A, B, I>(f: (a: A) => B, schema: Schema.Schema<B, I>): Aggregator<A, Record<string, true>, number> => {
  const encode = Schema.encodeSync(schema)
  return make({
    accumulator: Schema.mutable(Schema.Record({ key: Schema.String, value: Schema.Literal(true) })),
    init: (): Record<string, true> => ({}),
    add: (seen, a: A) => {
      seen[canonical.encode(encode(f(a)))] = true
      return seen
    },
    merge: (x, y) => ({ ...x, ...y }),
    result: (seen) => Object.keys(seen).length
  })
}

/**
 * The `n` first records by `order`, first to last; of equal ones those that came first.
 *
 * @since 0.1.0
 * @category aggregations
 */
export const topN = <A, I>(n: number, order: Order.Order<A>, schema: Schema.Schema<A, I>): Aggregator<A, Array<A>, Array<A>> => {
  const insert = (top: Array<A>, a: A): Array<A> => {
    let i = top.length
    while (i > 0 && order(a, top[i - 1]) < 0) i--
    if (i < n) {
      top.splice(i, 0, a)
      if (top.length > n) top.pop()
    }
    return top
  }
  return make({
    accumulator: Schema.mutable(Schema.Array(schema)),
    init: () => [],
    add: insert,
    merge: (x, y) => y.reduce(insert, x.slice()),
    result: (top) => top.slice()
  })
}

/**
 * Several aggregations of the same records side by side.
 *
 * @example
 * ```ts
 * import { Aggregator } from "sluice"
 * import * as assert from "node:assert"
 *
 * const stats = Aggregator.struct({ n: Aggregator.count, total: Aggregator.sum((n: number) => n) })
 * const acc = [3, 4].reduce(stats.add, stats.init())
 * assert.deepEqual(stats.result(acc), { n: 2, total: 7 })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const struct = <F extends { readonly [name: string]: Aggregator<never, any, any> }>(fields: F): Aggregator<
  StructInput<F>,
  { [K in keyof F]: F[K] extends Aggregator<never, infer Acc, any> ? Acc : never },
  { readonly [K in keyof F]: F[K] extends Aggregator<never, any, infer Out> ? Out : never }
> => {
  const names = Object.keys(fields)
  const parts = names.map((name) => fields[name] as unknown as Any<any, any>)
  const schema: Record<string, Schema.Schema<any, any>> = {}
  names.forEach((name, i) => schema[name] = parts[i].accumulator)
  const each = (f: (part: Any<any, any>, name: string) => unknown): any => {
    const out: Record<string, unknown> = {}
    for (let i = 0; i < names.length; i++) out[names[i]] = f(parts[i], names[i])
    return out
  }
  return make<any, any, any>({
    accumulator: Schema.mutable(Schema.Struct(schema)) as Schema.Schema<any, any>,
    init: () => each((part) => part.init()),
    add: (acc, value) => {
      for (let i = 0; i < names.length; i++) acc[names[i]] = parts[i].add(acc[names[i]], value)
      return acc
    },
    merge: parts.every((part) => part.merge !== undefined)
      ? (x, y) => each((part, name) => part.merge!(x[name], y[name]))
      : undefined,
    result: (acc) => each((part, name) => part.result(acc[name]))
  })
}

/** what all the fields' inputs have in common: the intersection of them */
type StructInput<F> = { [K in keyof F]: F[K] extends Aggregator<infer In, any, any> ? (_: In) => void : never }[keyof F] extends
  (_: infer In) => void ? In : never

/**
 * The same aggregation with another result.
 *
 * @since 0.1.0
 * @category combinators
 */
export const map: {
  <Out, B>(f: (out: Out) => B): <In, Acc>(self: Aggregator<In, Acc, Out>) => Aggregator<In, Acc, B>
  <In, Acc, Out, B>(self: Aggregator<In, Acc, Out>, f: (out: Out) => B): Aggregator<In, Acc, B>
} = dual(
  2,
  <In, Acc, Out, B>(self: Aggregator<In, Acc, Out>, f: (out: Out) => B): Aggregator<In, Acc, B> =>
    make({ ...self, result: (acc) => f(self.result(acc)) })
)
