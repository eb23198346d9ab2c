import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Data, Either, FastCheck as fc, HashMap, Option, Schema } from "effect"
import { StreamError } from "sluice"
import * as Codec from "../../src/state/Codec.js"

/** msgpack knows one zero */
const oneZero = (n: number): number => n === 0 ? 0 : n
const Num = Schema.Number.annotations({ arbitrary: () => (fc) => fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger()).map(oneZero) })

class Person extends Schema.Class<Person>("Person")({
  name: Schema.NonEmptyString,
  born: Schema.Date,
  nick: Schema.optional(Schema.String)
}) {}

class Circle extends Schema.TaggedClass<Circle>()("Circle", { radius: Num }) {}

enum Color {
  Red = "red",
  Green = "green"
}

/** schemas of all kinds, by name */
const schemas: { readonly [name: string]: Schema.Schema<any, any> } = {
  Number: Num,
  String: Schema.String,
  Boolean: Schema.Boolean,
  BigIntFromSelf: Schema.BigIntFromSelf,
  BigInt: Schema.BigInt,
  Null: Schema.Null,
  UndefinedOr: Schema.UndefinedOr(Num),
  Date: Schema.Date,
  DateFromSelf: Schema.DateFromSelf,
  Uint8ArrayFromSelf: Schema.Uint8ArrayFromSelf,
  Uint8Array: Schema.Uint8Array,
  "branded string": Schema.String.pipe(Schema.brand("UserId")),
  NumberFromString: Schema.compose(Schema.NumberFromString, Num),
  Symbol: Schema.Symbol,
  Literals: Schema.Literal("a", 1, true, null),
  Enums: Schema.Enums(Color),
  TemplateLiteral: Schema.TemplateLiteral("user-", Schema.String),
  Struct: Schema.Struct({ a: Num, "weird key": Schema.Array(Schema.String) }),
  "nested structs": Schema.Struct({ a: Schema.Struct({ b: Schema.Struct({ c: Schema.Date }) }), list: Schema.Array(Schema.Array(Num)) }),
  "optional fields": Schema.Struct({ a: Schema.optional(Num), b: Schema.optionalWith(Num, { exact: true }), c: Schema.UndefinedOr(Num) }),
  "optional field with a default": Schema.Struct({ at: Schema.optionalWith(Schema.Date, { default: () => new Date(0) }) }),
  "optional field as an Option": Schema.Struct({ a: Schema.optionalWith(Schema.String, { as: "Option" }) }),
  "renamed field": Schema.Struct({ a: Schema.propertySignature(Num).pipe(Schema.fromKey("b")) }),
  Tuple: Schema.Tuple(Num, Schema.Date, Schema.optionalElement(Schema.String)),
  "tuple with a rest": Schema.Tuple([Schema.String], Schema.Date),
  Record: Schema.Record({ key: Schema.String.pipe(Schema.filter((key) => key !== "__proto__")), value: Num }),
  Map: Schema.Map({ key: Schema.String, value: Schema.Date }),
  Set: Schema.Set(Num),
  HashMap: Schema.HashMap({ key: Schema.String, value: Schema.Int }),
  Option: Schema.Option(Schema.Date),
  "option of an option": Schema.Option(Schema.Option(Num)),
  Either: Schema.Either({ left: Schema.String, right: Num }),
  Data: Schema.Data(Schema.Struct({ a: Schema.String })),
  Class: Person,
  "struct of a class": Schema.Struct({ person: Person, circles: Schema.Array(Circle) }),
  Union: Schema.Union(Num, Schema.String, Schema.Struct({ _tag: Schema.Literal("At"), at: Schema.Date })),
  "union of classes": Schema.Union(Person, Circle),
  "array of nullable structs": Schema.Array(Schema.NullOr(Schema.Struct({ at: Schema.Date })))
}

/** every object that can be reached, the memory behind typed arrays included */
const reachable = (value: unknown, into: Set<object> = new Set()): Set<object> => {
  if (typeof value !== "object" || value === null || into.has(value)) return into
  into.add(value)
  if (ArrayBuffer.isView(value)) into.add(value.buffer)
  else if (value instanceof Map) value.forEach((item, key) => reachable(item, reachable(key, into)))
  else if (value instanceof Set) value.forEach((item) => reachable(item, into))
  else for (const key of Object.keys(value)) reachable((value as Record<string, unknown>)[key], into)
  return into
}

const sharesNothing = (value: unknown, copy: unknown): void => {
  const own = reachable(value)
  for (const object of reachable(copy)) {
    if (own.has(object)) assert.fail(`shared: ${Object.prototype.toString.call(object)} ${JSON.stringify(object)}`)
  }
}

const throughBytes = <A>(codec: Codec.Codec<A>, value: A): A => codec.decode(Codec.unpack(Codec.pack(codec.encode(value))))

const unsupported = (f: () => unknown): StreamError.UnsupportedSchema => {
  try {
    f()
  } catch (error) {
    if (error instanceof StreamError.UnsupportedSchema) return error
    throw error
  }
  return assert.fail("nothing was thrown")
}

/** plain data, of any shape: what is stored without a schema */
const plainData = fc.letrec<{ data: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    fc.string({ maxLength: 5 }),
    fc.double().map(oneZero),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array({ maxLength: 4 }),
    fc.float64Array({ maxLength: 3, noNaN: true }).map((array) => array.map(oneZero))
  ),
  data: fc.oneof(
    { maxDepth: 4, depthIdentifier: "plain" },
    tie("leaf"),
    fc.array(tie("data"), { maxLength: 4 }),
    fc.dictionary(fc.string({ maxLength: 4 }).filter((key) => key !== "__proto__"), tie("data"), { maxKeys: 5, noNullPrototype: true }),
    fc.array(fc.tuple(tie("leaf"), tie("data")), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie("data"), { maxLength: 3 }).map((items) => new Set(items))
  )
})).data

describe("Codec", () => {
  it.each(Object.keys(schemas))("C1: decode(encode) is the identity, through bytes too: %s", (name) => {
    const schema = schemas[name]
    const codec = Codec.fromSchema(schema)
    fc.assert(
      fc.property(Arbitrary.make(schema), (value) => {
        assert.deepStrictEqual(codec.decode(codec.encode(value)), value)
        assert.deepStrictEqual(throughBytes(codec, value), value)
      }),
      { numRuns: 60 }
    )
  })

  it.each(Object.keys(schemas))("C2: a copy is what is encoded, and shares nothing with its value: %s", (name) => {
    const schema = schemas[name]
    const codec = Codec.fromSchema(schema)
    fc.assert(
      fc.property(Arbitrary.make(schema), (value) => {
        const copy = codec.copy(value)
        assert.deepStrictEqual(copy, codec.encode(value))
        sharesNothing(value, copy)
      }),
      { numRuns: 60 }
    )
  })

  it("C1: a class comes back as an instance of it, an Option as an Option, a HashMap as a HashMap", () => {
    assert.instanceOf(throughBytes(Codec.fromSchema(Person), new Person({ name: "Ada", born: new Date(0) })), Person)
    assert.deepStrictEqual(throughBytes(Codec.fromSchema(Schema.Option(Schema.Number)), Option.some(1)), Option.some(1))
    assert.isTrue(Either.isLeft(throughBytes(Codec.fromSchema(schemas["Either"]), Either.left("no"))))
    const map = HashMap.make(["a", 1])
    assert.deepStrictEqual(Array.from(throughBytes(Codec.fromSchema(schemas["HashMap"]), map)), [["a", 1]])
  })

  it("C1, C2: a recursive schema of plain data", () => {
    interface Category {
      readonly name: string
      readonly parts: ReadonlyArray<Category>
    }
    const Category: Schema.Schema<Category> = Schema.Struct({ name: Schema.String, parts: Schema.Array(Schema.suspend(() => Category)) })
    const codec = Codec.fromSchema(Category)
    const value = { name: "a", parts: [{ name: "b", parts: [] }, { name: "c", parts: [{ name: "d", parts: [] }] }] }
    assert.deepStrictEqual(throughBytes(codec, value), value)
    sharesNothing(value, codec.copy(value))
  })

  it("C1, C2: a recursive schema that transforms, and one of classes", () => {
    interface Reply {
      readonly at: Date
      readonly replies: ReadonlyArray<Reply>
    }
    interface ReplyEncoded {
      readonly at: string
      readonly replies: ReadonlyArray<ReplyEncoded>
    }
    const Reply: Schema.Schema<Reply, ReplyEncoded> = Schema.Struct({ at: Schema.Date, replies: Schema.Array(Schema.suspend(() => Reply)) })
    const reply = { at: new Date(0), replies: [{ at: new Date(1), replies: [] }] }
    assert.deepStrictEqual(throughBytes(Codec.fromSchema(Reply), reply), reply)
    class Folder extends Schema.Class<Folder>("Folder")({
      name: Schema.String,
      folders: Schema.Array(Schema.suspend((): Schema.Schema<Folder, any> => Folder))
    }) {}
    const folder = new Folder({ name: "a", folders: [new Folder({ name: "b", folders: [] })] })
    assert.deepStrictEqual(throughBytes(Codec.fromSchema(Folder), folder), folder)
  })

  it("C2: where a part transforms, the parts that do not are copied too", () => {
    const codec = Codec.fromSchema(Schema.Struct({ at: Schema.Date, bytes: Schema.Uint8ArrayFromSelf, day: Schema.DateFromSelf }))
    const value = { at: new Date(0), bytes: new Uint8Array([1, 2]), day: new Date(1) }
    sharesNothing(value, codec.copy(value))
  })

  it("C2: the bytes of a Buffer are copied", () => {
    const codec = Codec.fromSchema(Schema.Uint8ArrayFromSelf)
    const value = Buffer.from([1, 2, 3])
    const copy = codec.copy(value) as Uint8Array
    value[0] = 9
    assert.deepStrictEqual(Array.from(copy), [1, 2, 3])
  })

  // ------------------------------------------------------------------------------------------------------------------------------------------

  it.each<readonly [string, Schema.Schema<any, any>]>([
    ["OptionFromSelf", Schema.OptionFromSelf(Schema.Number)],
    ["MapFromSelf", Schema.MapFromSelf({ key: Schema.String, value: Schema.Number })],
    ["SetFromSelf", Schema.SetFromSelf(Schema.Number)],
    ["HashMapFromSelf", Schema.HashMapFromSelf({ key: Schema.String, value: Schema.Number })],
    ["SymbolFromSelf", Schema.SymbolFromSelf],
    ["a unique symbol", Schema.UniqueSymbolFromSelf(Symbol.for("sluice/test"))],
    ["instanceOf", Schema.instanceOf(URL)],
    ["a field with a symbol for its name", Schema.Struct({ [Symbol.for("sluice/test")]: Schema.Number })],
    ["deep inside", Schema.Struct({ list: Schema.Array(Schema.Union(Schema.Number, Schema.OptionFromSelf(Schema.Date))) })]
  ])("a schema whose encoded side is no plain data is refused when the codec is made: %s", (_, schema) => {
    const error = unsupported(() => Codec.fromSchema(schema))
    assert.strictEqual(error.path, String(schema.ast))
    assert.match(error.message, /not plain data; use the schema that encodes to JSON \(Schema\.Option rather than Schema\.OptionFromSelf\)/)
  })

  it.each<readonly [string, unknown, string, RegExp]>([
    ["a function", () => 1, "value", /a function cannot be stored/],
    ["a symbol", Symbol.for("x"), "value", /a symbol cannot be stored/],
    ["an instance", new Person({ name: "Ada", born: new Date(0) }), "value", /an instance of Person .* give its schema/],
    ["an Option", Option.some(1), "value", /would come back as a plain object; give its schema/],
    ["a Data.struct", Data.struct({ a: 1 }), "value", /give its schema/],
    ["a URL", new URL("https://effect.website"), "value", /an instance of URL/],
    ["a regular expression", /a/, "value", /an instance of RegExp/],
    ["a function in a field", { a: { f: () => 1 } }, "value.a.f", /a function/],
    ["an instance in an array", [1, [new URL("https://effect.website")]], "value[1][0]", /an instance of URL/],
    ["an instance in a map", new Map([["k", { u: new URL("https://effect.website") }]]), "value.get(k).u", /an instance of URL/],
    ["a symbol in a set", new Set([[Symbol.for("x")]]), "value{}[0]", /a symbol/]
  ])("without a schema %s is refused, whether it is encoded or copied, and the path says where it is", (_, value, path, reason) => {
    for (const f of [Codec.plain.encode, Codec.plain.copy]) {
      const error = unsupported(() => f(value))
      assert.strictEqual(error.path, path)
      assert.match(error.message, reason)
      assert.isTrue(error.message.startsWith(`${path}: `))
    }
  })

  it("C1, C2: without a schema any plain data comes back, and its copy shares nothing with it", () =>
    fc.assert(
      fc.property(plainData, (value) => {
        assert.deepStrictEqual(throughBytes(Codec.plain, value), value)
        const copy = Codec.plain.copy(value)
        assert.deepStrictEqual(copy, value)
        sharesNothing(value, copy)
      }),
      { numRuns: 1_500 }
    ))

  it("an optional schema: plain without one", () => {
    assert.strictEqual(Codec.make(undefined), Codec.plain)
    assert.strictEqual(Codec.make(Schema.Date).encode(new Date(0)), "1970-01-01T00:00:00.000Z")
  })

  it("unpack: what is read has memory of its own, so that state may be changed in place after a restore", () => {
    const values = [new Uint8Array([1, 2, 3]), { bytes: new Uint8Array(100).fill(7), numbers: new Float64Array([1.5]) }]
    const bytes = Codec.pack(values)
    const before = Uint8Array.from(bytes)
    const memory = Codec.unpack(bytes) as typeof values
    sharesNothing(bytes, memory)
    ;(memory[0] as Uint8Array).fill(9)
    assert.deepStrictEqual(Uint8Array.from(bytes), before)
  })

  it("pack: each result can be read by itself, in any order, however many shapes of records there are", () =>
    fc.assert(
      fc.property(fc.array(plainData, { minLength: 1, maxLength: 6 }), fc.boolean(), (values, backwards) => {
        const packed = values.map((value) => ({ value, bytes: Uint8Array.from(Codec.pack(value)) }))
        if (backwards) packed.reverse()
        for (const { bytes, value } of packed) assert.deepStrictEqual(Codec.unpack(bytes), value)
      }),
      { numRuns: 500 }
    ))

  it("pack: a thousand records that all have other fields", () => {
    const values = Array.from({ length: 1000 }, (_, i) => ({ [`a${i}`]: i, [`b${i % 7}`]: [{ [`c${i}`]: String(i) }] }))
    assert.deepStrictEqual(Codec.unpack(Codec.pack(values)), values)
  })
})
