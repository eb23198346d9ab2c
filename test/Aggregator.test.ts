import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc, Order, Schema } from "effect"
import { Aggregator } from "sluice"
import * as Codec from "../src/state/Codec.js"

interface Sale {
  readonly id: number
  readonly price: number
  readonly item: string
}

const Sale = Schema.Struct({ id: Schema.Number, price: Schema.Number, item: Schema.String })

/** prices are whole, so that sums do not depend on their order; ids tell equal sales apart */
const sales = fc.array(fc.tuple(fc.integer({ min: -20, max: 20 }), fc.constantFrom("tea", "milk", "bread", "__proto__", "")), {
  maxLength: 25,
  size: "max"
})
  .map((all) => all.map(([price, item], id): Sale => ({ id, price, item })))

const fold = <In, Acc>(aggregator: Aggregator.Aggregator<In, Acc, any>, values: ReadonlyArray<In>, from = aggregator.init()): Acc =>
  values.reduce((acc, value) => aggregator.add(acc, value), from)

const price = (sale: Sale): number => sale.price
const byPrice = Order.mapInput(Order.number, price)
/** a sort that keeps equal ones in order, as ECMAScript's does */
const sorted = (all: ReadonlyArray<Sale>): ReadonlyArray<Sale> => [...all].sort((a, b) => a.price - b.price)

/** each built-in, and what it is of all records at once */
const builtIns: { readonly [name: string]: readonly [Aggregator.Aggregator<Sale, any, any>, (all: ReadonlyArray<Sale>) => unknown] } = {
  count: [Aggregator.count, (all) => all.length],
  sum: [Aggregator.sum(price), (all) => {
    let total = 0
    for (const sale of all) total += sale.price
    return total
  }],
  min: [Aggregator.min(price), (all) => all.length === 0 ? Infinity : sorted(all)[0].price],
  max: [Aggregator.max(price), (all) => all.length === 0 ? -Infinity : sorted(all)[all.length - 1].price],
  mean: [Aggregator.mean(price), (all) => {
    let total = 0
    for (const sale of all) total += sale.price
    return all.length === 0 ? NaN : total / all.length
  }],
  collect: [Aggregator.collect(Sale), (all) => [...all]],
  "distinct strings": [Aggregator.distinct((sale: Sale) => sale.item, Schema.String), (all) => new Set(all.map((sale) => sale.item)).size],
  "distinct numbers": [Aggregator.distinct(price, Schema.Number), (all) => new Set(all.map(price)).size],
  "distinct dates": [Aggregator.distinct((sale: Sale) => new Date(sale.price), Schema.Date), (all) => new Set(all.map(price)).size],
  "distinct records": [
    Aggregator.distinct(({ item, price }: Sale) => ({ item, price }), Schema.Struct({ item: Schema.String, price: Schema.Number })),
    (all) => new Set(all.map(({ item, price }) => `${price} ${item}`)).size
  ],
  "topN(3)": [Aggregator.topN(3, byPrice, Sale), (all) => sorted(all).slice(0, 3)],
  "topN(0)": [Aggregator.topN(0, byPrice, Sale), () => []],
  "topN(3), reversed": [
    Aggregator.topN(3, Order.reverse(byPrice), Sale),
    (all) => [...all].sort((a, b) => b.price - a.price).slice(0, 3)
  ],
  map: [Aggregator.count.pipe(Aggregator.map((n) => `${n}`)), (all) => `${all.length}`],
  struct: [
    Aggregator.struct({ n: Aggregator.count, most: Aggregator.max(price), top: Aggregator.topN(2, byPrice, Sale) }),
    (all) => ({
      n: all.length,
      most: all.reduce((most, sale) => sale.price > most ? sale.price : most, -Infinity),
      top: sorted(all).slice(0, 2)
    })
  ],
  "struct of a struct": [
    Aggregator.struct({ inner: Aggregator.struct({ n: Aggregator.count }), mean: Aggregator.mean(price) }),
    (all) => ({ inner: { n: all.length }, mean: all.length === 0 ? NaN : all.reduce((sum, sale) => sum + sale.price, 0) / all.length })
  ]
}

describe("Aggregator", () => {
  it.each(Object.keys(builtIns))("%s of any records is what it is of all of them at once", (name) => {
    const [aggregator, whole] = builtIns[name]
    fc.assert(
      fc.property(sales, (all) => {
        assert.deepStrictEqual(aggregator.result(fold(aggregator, all)), whole(all))
      }),
      { numRuns: 200 }
    )
  })

  it.each(Object.keys(builtIns))("G1: %s merged is what it is when the second's records are added to the first", (name) => {
    const [aggregator, whole] = builtIns[name]
    const merge = aggregator.merge!
    fc.assert(
      fc.property(sales, fc.nat({ max: 25 }), fc.nat({ max: 25 }), (all, at, andThen) => {
        const x = () => fold(aggregator, all.slice(0, at))
        const y = () => fold(aggregator, all.slice(at))
        assert.deepStrictEqual(aggregator.result(merge(x(), y())), whole(all))
        // what was merged can be added to
        const more = all.slice(0, andThen)
        assert.deepStrictEqual(aggregator.result(fold(aggregator, more, merge(x(), y()))), whole([...all, ...more]))
        // the second is left as it was
        const second = y()
        merge(x(), second)
        assert.deepStrictEqual(aggregator.result(second), whole(all.slice(at)))
      }),
      { numRuns: 200 }
    )
  })

  it.each(Object.keys(builtIns))("%s goes on as before from an accumulator that was stored and read", (name) => {
    const [aggregator, whole] = builtIns[name]
    const codec = Codec.fromSchema(aggregator.accumulator)
    fc.assert(
      fc.property(sales, fc.nat({ max: 25 }), (all, at) => {
        const stored = Codec.pack(codec.encode(fold(aggregator, all.slice(0, at))))
        assert.deepStrictEqual(aggregator.result(fold(aggregator, all.slice(at), codec.decode(Codec.unpack(stored)))), whole(all))
      }),
      { numRuns: 100 }
    )
  })

  it.each(Object.keys(builtIns))("%s: two accumulators share nothing, and a result stays as it was when more is added", (name) => {
    const [aggregator] = builtIns[name]
    const all = [{ id: 0, price: 3, item: "tea" }, { id: 1, price: 1, item: "milk" }]
    const one = fold(aggregator, all)
    const before = aggregator.result(one)
    const copy = structuredClone(before)
    fold(aggregator, [{ id: 2, price: 0, item: "bread" }], one)
    assert.deepStrictEqual(before, copy)
    assert.deepStrictEqual(aggregator.result(aggregator.init()), builtIns[name][1]([]))
  })

  it("topN: of equal ones those that came first, also over a merge", () => {
    const top = Aggregator.topN(2, byPrice, Sale)
    const [a, b, c, d] = [5, 1, 5, 5].map((price, id): Sale => ({ id, price, item: "tea" }))
    assert.deepStrictEqual(top.result(fold(top, [a, c, d])), [a, c])
    assert.deepStrictEqual(top.result(fold(top, [a, c, b, d])), [b, a])
    assert.deepStrictEqual(top.result(top.merge!(fold(top, [c]), fold(top, [a, b, d]))), [b, c])
  })

  it.each<readonly [string, ReadonlyArray<unknown>, Schema.Schema<any, any>, number]>([
    ["numbers that JSON does not have", [NaN, Infinity, -Infinity, 0, NaN], Schema.Number, 4],
    ["bigints", [1n, 2n, 1n], Schema.BigIntFromSelf, 2],
    [
      "records whose fields come in another order",
      [{ a: 1, b: 2 }, { b: 2, a: 1 }],
      Schema.Record({ key: Schema.String, value: Schema.Number }),
      1
    ],
    [
      "strings and what they look like",
      ["1", 1, "\"1\"", true, "true", null, "null"],
      Schema.Union(Schema.String, Schema.Number, Schema.Boolean, Schema.Null),
      7
    ]
  ])("distinct: %s", (_, values, schema, expected) => {
    const distinct = Aggregator.distinct((value: unknown) => value, schema)
    assert.strictEqual(distinct.result(fold(distinct, values)), expected)
  })

  it("struct merges where all its parts do", () => {
    const unmergeable = Aggregator.make({ accumulator: Schema.Number, init: () => 0, add: (n, _: unknown) => n + 1, result: (n) => n })
    assert.isUndefined(unmergeable.merge)
    assert.isUndefined(Aggregator.struct({ a: Aggregator.count, b: unmergeable }).merge)
    assert.isDefined(Aggregator.struct({ a: Aggregator.count, b: Aggregator.sum(price) }).merge)
  })

  it("map changes the result alone", () => {
    const mapped = Aggregator.map(Aggregator.sum(price), (total) => total / 100)
    assert.strictEqual(mapped.result(fold(mapped, [{ id: 0, price: 250, item: "tea" }])), 2.5)
    assert.strictEqual(mapped.accumulator, Schema.Number)
  })
})
