import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc, Schema } from "effect"
import { isDeepStrictEqual } from "node:util"
import { StreamError } from "sluice"
import * as KeyCodec from "../../src/state/KeyCodec.js"

const any = KeyCodec.make<any>(undefined)

/** what the runtime does with a key: a checkpoint or a window gives it back from its primitive */
const back = <K>(codec: KeyCodec.KeyCodec<K>, key: K): K => codec.fromMapKey(codec.toMapKey(key))

const isPrimitive = (key: unknown): boolean => typeof key !== "object" || key === null

const text = fc.string({ maxLength: 4 })
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n === 0 ? 0 : n)

const Point = Schema.Struct({
  x: Schema.Number,
  name: Schema.String,
  big: Schema.BigIntFromSelf,
  at: Schema.DateFromSelf,
  tags: Schema.Array(Schema.NullOr(Schema.String)),
  inner: Schema.Struct({ a: Schema.Boolean, b: Schema.optional(Schema.Number) })
})
type Point = typeof Point.Type

const point: fc.Arbitrary<Point> = fc.record({
  x: fc.oneof(fc.integer({ min: 0, max: 2 }), finite),
  name: fc.oneof(fc.constantFrom("", "a"), text),
  big: fc.oneof(fc.bigInt({ min: 0n, max: 2n }), fc.bigInt()),
  at: fc.oneof(fc.constantFrom(0, 1).map((ms) => new Date(ms)), fc.date({ noInvalidDate: true })),
  tags: fc.array(fc.oneof(fc.constant(null), text), { maxLength: 2 }),
  inner: fc.record({ a: fc.boolean(), b: fc.nat({ max: 2 }) }, { requiredKeys: ["a"] })
})

/** the same record, written down in another order, all the way down */
const shuffled = (value: any): any => {
  if (isPrimitive(value) || value instanceof Date || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(shuffled)
  return Object.fromEntries(Object.keys(value).reverse().map((key) => [key, shuffled(value[key])]))
}

/** few leaves, and hostile ones, so that two keys are often nearly alike */
const plainKey = fc.letrec<{ key: unknown }>((tie) => ({
  key: fc.oneof(
    { maxDepth: 3, depthIdentifier: "key" },
    fc.constantFrom<unknown>(
      0,
      1,
      "1",
      "",
      "n",
      "a",
      "\0",
      "[]",
      true,
      null,
      undefined,
      1n,
      Infinity,
      new Date(1),
      new Date(NaN),
      new Uint8Array([1])
    ),
    text,
    finite,
    fc.array(tie("key"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("a", "b", "n", "$date", "__proto__", "0"), tie("key"), { maxKeys: 3, noNullPrototype: true })
  )
})).key.filter((key) => !Number.isNaN(key))

class User extends Schema.Class<User>("User")({ id: Schema.Number, since: Schema.Date }) {}

describe("KeyCodec", () => {
  it("a primitive key stands for itself, with a schema or without", () =>
    fc.assert(
      fc.property(
        fc.oneof(text.filter((key) => !key.startsWith("\0")), fc.double(), fc.boolean(), fc.bigInt(), fc.constantFrom(null, undefined)),
        (key) => {
          for (const codec of [any, KeyCodec.make<any>(Schema.Unknown)]) {
            assert.strictEqual(Object.is(codec.toMapKey(key), key), true)
            assert.strictEqual(Object.is(back(codec, key), key), true)
          }
        }
      ),
      { numRuns: 2_000 }
    ))

  it("a record comes back from its primitive, with bigints, dates and nested records", () =>
    fc.assert(
      fc.property(point, (key) => {
        for (const codec of [KeyCodec.make(Point), any as KeyCodec.KeyCodec<Point>]) {
          assert.isTrue(isPrimitive(codec.toMapKey(key)))
          assert.deepStrictEqual(back(codec, key), key)
        }
      }),
      { numRuns: 2_000 }
    ))

  it("two equal records are one key, whatever the order of their fields", () =>
    fc.assert(
      fc.property(point, (key) => {
        for (const codec of [KeyCodec.make(Point), any]) assert.strictEqual(codec.toMapKey(shuffled(key)), codec.toMapKey(key))
      }),
      { numRuns: 2_000 }
    ))

  it("two records that differ are two keys", () =>
    fc.assert(
      fc.property(point, point, fc.constantFrom<keyof Point>("x", "name", "big", "at", "tags", "inner"), (a, other, field) => {
        // mostly alike: one field at the most is another
        const b = { ...a, [field]: other[field] }
        const same = field === "at"
          ? a.at.getTime() === other.at.getTime()
          : JSON.stringify([a[field]], big) === JSON.stringify([other[field]], big)
        for (const codec of [KeyCodec.make(Point), any]) assert.strictEqual(codec.toMapKey(a) === codec.toMapKey(b), same)
      }),
      { numRuns: 3_000 }
    ))

  it("plain data of any shape comes back, and two of them are one key exactly when they are equal", () =>
    fc.assert(
      fc.property(plainKey, plainKey, (a, b) => {
        if (!isPrimitive(a)) assert.isTrue(isPrimitive(any.toMapKey(a)))
        assert.deepStrictEqual(back(any, a), a)
        assert.strictEqual(any.toMapKey(shuffled(a)), any.toMapKey(a))
        assert.strictEqual(any.toMapKey(a) === any.toMapKey(b), isDeepStrictEqual(a, b))
      }),
      { numRuns: 3_000 }
    ))

  it("keys of different types are different keys: 1, \"1\", true, 1n, [1], [\"1\"], [1n], null, {}", () => {
    const keys = [
      1,
      "1",
      true,
      "true",
      1n,
      [1],
      ["1"],
      [1n],
      [[1]],
      null,
      "null",
      [null],
      {},
      [],
      { a: 1 },
      { a: "1" },
      { a: 1n },
      new Date(1),
      [new Date(1)]
    ]
    assert.strictEqual(new Set(keys.map(any.toMapKey)).size, keys.length)
  })

  it("an instance of a class comes back as one, by its schema", () => {
    const codec = KeyCodec.make(User)
    const key = new User({ id: 1, since: new Date(5) })
    assert.isTrue(isPrimitive(codec.toMapKey(key)))
    assert.deepStrictEqual(back(codec, key), key)
    assert.strictEqual(codec.toMapKey(new User({ since: new Date(5), id: 1 })), codec.toMapKey(key))
    assert.notStrictEqual(codec.toMapKey(new User({ id: 1, since: new Date(6) })), codec.toMapKey(key))
  })

  it("an instance of a class without a schema is refused", () =>
    assert.throws(() => any.toMapKey(new User({ id: 1, since: new Date(5) })), StreamError.UnsupportedSchema, /give its schema/))

  it.each<readonly [string, Schema.Schema<any, any>, object]>([
    ["Schema.Date", Schema.Date, new Date(1_470_902_048_450)],
    ["Schema.URL", Schema.URL, new URL("https://effect.website/docs")],
    ["Schema.Uint8ArrayFromBase64", Schema.Uint8ArrayFromBase64, new Uint8Array([1, 2, 3])]
  ])("a key that is encoded as a string comes back as what it was: %s", (_, schema, key) => {
    const codec = KeyCodec.make(schema)
    assert.isTrue(isPrimitive(codec.toMapKey(key)))
    assert.deepStrictEqual(back(codec, key), key)
  })

  it("a string that begins with the character NUL is a key like any other, and none that stands for a record", () => {
    const codec = KeyCodec.make(Schema.Unknown)
    for (const key of ["\0", "\0a", "\0{\"a\":1}"]) assert.strictEqual(back(KeyCodec.make(Schema.String), key), key)
    assert.notStrictEqual(codec.toMapKey(codec.toMapKey({ a: 1 })), codec.toMapKey({ a: 1 }))
  })

  it("numbers that JSON does not have are told apart inside a key, and come back", () => {
    const codec = KeyCodec.make(Schema.Struct({ n: Schema.NullOr(Schema.Number) }))
    const keys = [NaN, Infinity, -Infinity, null].map((n) => ({ n }))
    assert.strictEqual(new Set(keys.map(codec.toMapKey)).size, keys.length)
    for (const key of keys) assert.deepStrictEqual(back(codec, key), key)
  })

  it("undefined and null are told apart inside a key, and come back", () => {
    const codec = KeyCodec.make(Schema.Array(Schema.NullishOr(Schema.Number)))
    assert.notStrictEqual(codec.toMapKey([undefined]), codec.toMapKey([null]))
    for (const key of [[undefined], [null]]) assert.deepStrictEqual(back(codec, key), key)
  })

  it("a record with a field of the name that stands for a date or a bigint comes back as a record, and is another key", () => {
    const keys = [{ $date: 5 }, { $bigint: "5" }, { a: { $date: 5 } }]
    for (const key of keys) assert.deepStrictEqual(back(any, key), key)
    assert.notStrictEqual(any.toMapKey({ $date: 5 }), any.toMapKey(new Date(5)))
    assert.notStrictEqual(any.toMapKey([{ $bigint: "5" }]), any.toMapKey([5n]))
  })

  it("bytes as a key come back as bytes", () => {
    const codec = KeyCodec.make(Schema.Uint8ArrayFromSelf)
    assert.deepStrictEqual(back(codec, new Uint8Array([1, 2])), new Uint8Array([1, 2]))
  })

  it("Maps and Sets as keys are refused or told apart, but not one and the same key", () => {
    const keys = [new Map([["a", 1]]), new Map([["a", 2]]), new Set(["a"]), new Set(["b"]), {}]
    const texts = keys.flatMap((key) => {
      try {
        return [any.toMapKey(key)]
      } catch (error) {
        assert.instanceOf(error, StreamError.UnsupportedSchema)
        return []
      }
    })
    assert.strictEqual(new Set(texts).size, texts.length)
  })
})

const big = (_: string, value: unknown): unknown => typeof value === "bigint" ? `${value}n` : value
