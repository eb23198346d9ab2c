import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, FastCheck as fc, Schema } from "effect"
import * as Shape from "../../src/state/Shape.js"

const render = (schema: Schema.Schema<any, any>): string => Shape.render(Shape.fromSchema(schema))

const between = (stored: Schema.Schema<any, any>, wanted: Schema.Schema<any, any>) =>
  Shape.difference(Shape.fromSchema(stored), Shape.fromSchema(wanted))

class Person extends Schema.Class<Person>("Person")({ name: Schema.String, born: Schema.Date }) {}

enum Level {
  Low,
  High
}

interface Category {
  readonly name: string
  readonly parts: ReadonlyArray<Category>
}
const Category: Schema.Schema<Category> = Schema.Struct({
  name: Schema.String,
  parts: Schema.Array(Schema.suspend((): Schema.Schema<Category> => Category).annotations({ identifier: "Category" }))
})

// shapes of any kind
const leaf: fc.Arbitrary<Shape.Shape> = fc.oneof(
  fc.constantFrom("number", "string", "boolean").map((type): Shape.Shape => ({ kind: "leaf", type })),
  fc.constantFrom("1", "\"a\"", "null").map((value): Shape.Shape => ({ kind: "literal", value })),
  fc.constantFrom("A", "B").map((name): Shape.Shape => ({ kind: "recursive", name }))
)
const anyShape = fc.letrec<{ shape: Shape.Shape }>((tie) => {
  const shape = tie("shape")
  const field = fc.record({ shape, optional: fc.boolean() })
  const fields = fc.dictionary(fc.constantFrom("a", "b", "c"), field, { maxKeys: 3, noNullPrototype: true })
  return {
    shape: fc.oneof(
      { maxDepth: 3, depthIdentifier: "shape" },
      leaf,
      fc.tuple(fields, fc.option(shape)).map(([fields, rest]): Shape.Shape =>
        rest === null ? { kind: "struct", fields } : { kind: "struct", fields, rest }
      ),
      fc.tuple(fc.array(shape, { maxLength: 3 }), fc.option(shape)).map(([items, rest]): Shape.Shape =>
        rest === null ? { kind: "tuple", items } : { kind: "tuple", items, rest }
      ),
      fc.array(shape, { minLength: 1, maxLength: 3 }).map((of): Shape.Shape => ({ kind: "union", of })),
      fc.tuple(fc.constantFrom("Date", "map"), fc.array(shape, { maxLength: 2 })).map(([name, of]): Shape.Shape => ({
        kind: "named",
        name,
        of
      }))
    )
  }
}).shape

/** what stands around a place in a shape, and how the report calls the way there */
type Around = { readonly path: string; readonly wrap: (inner: Shape.Shape) => Shape.Shape }
const around: fc.Arbitrary<Around> = fc.oneof(
  fc.tuple(fc.constantFrom("a", "b", "long name"), fc.boolean(), anyShape).map(([name, optional, other]): Around => ({
    path: `.${name}`,
    wrap: (shape) => ({ kind: "struct", fields: { first: { shape: other, optional }, [name]: { shape, optional } } })
  })),
  anyShape.map((shape): Around => ({
    path: "[key]",
    wrap: (rest) => ({ kind: "struct", fields: { a: { shape, optional: false } }, rest })
  })),
  fc.array(anyShape, { maxLength: 2 }).map((before): Around => ({
    path: `[${before.length}]`,
    wrap: (shape) => ({ kind: "tuple", items: [...before, shape, { kind: "any" }] })
  })),
  fc.constant<Around>({ path: "[]", wrap: (rest) => ({ kind: "tuple", items: [], rest }) }),
  fc.array(anyShape, { maxLength: 1 }).map((before): Around => ({
    path: `<${before.length}>`,
    wrap: (shape) => ({ kind: "named", name: "map", of: [...before, shape] })
  }))
)

describe("Shape", () => {
  it("what is identical does not differ", () =>
    fc.assert(
      fc.property(anyShape, (shape) => assert.isUndefined(Shape.difference(shape, structuredClone(shape)))),
      { numRuns: 2_000 }
    ))

  it("a difference is reported at its path, with the stored and the wanted shape, however deep it lies", () =>
    fc.assert(
      fc.property(fc.array(around, { maxLength: 5, size: "max" }), leaf, leaf, (ways, stored, wanted) => {
        const wrap = (inner: Shape.Shape) => ways.reduceRight((shape, way) => way.wrap(shape), inner)
        const difference = Shape.difference(wrap(stored), wrap(wanted))
        if (Shape.render(stored) === Shape.render(wanted)) return assert.isUndefined(difference)
        const path = ways.map((way) => way.path).join("")
        assert.deepStrictEqual(difference, {
          path: path === "" ? "." : path,
          stored: Shape.render(stored),
          wanted: Shape.render(wanted)
        })
      }),
      { numRuns: 3_000 }
    ))

  it("whether two shapes differ does not depend on which is stored, but for fields that may be missing", () =>
    fc.assert(
      fc.property(anyShape, anyShape, (a, b) => {
        const required = (shape: Shape.Shape): Shape.Shape =>
          JSON.parse(JSON.stringify(shape).replaceAll("\"optional\":true", "\"optional\":false"))
        const [x, y] = [required(a), required(b)]
        assert.strictEqual(Shape.difference(x, y) === undefined, Shape.difference(y, x) === undefined)
      }),
      { numRuns: 2_000 }
    ))

  it("what is unknown is not compared, wherever it stands", () => {
    assert.isUndefined(between(Schema.Unknown, Person))
    assert.isUndefined(between(Person, Schema.Any))
    assert.isUndefined(between(Schema.Struct({ a: Schema.Unknown }), Schema.Struct({ a: Schema.Number })))
    assert.isUndefined(between(Schema.Array(Schema.Struct({ a: Schema.Date })), Schema.Array(Schema.Unknown)))
  })

  // ------------------------------------------------------------------------------------------------------------------------------------------

  const a = Schema.Struct({ a: Schema.Number })
  it.each<readonly [string, Schema.Schema<any, any>, Schema.Schema<any, any>, string, string, string]>([
    ["a field that was added", a, Schema.Struct({ a: Schema.Number, b: Schema.String }), ".b", "absent", "string"],
    ["a field that was removed", Schema.Struct({ a: Schema.Number, b: Schema.Date }), a, ".b", "string", "absent"],
    ["a field that was renamed", a, Schema.Struct({ b: Schema.Number }), ".a", "number", "absent"],
    ["a field of another type", a, Schema.Struct({ a: Schema.String }), ".a", "number", "string"],
    [
      "a field that may no longer be missing",
      Schema.Struct({ a: Schema.optional(Schema.Number) }),
      a,
      ".a",
      "optional number | undefined",
      "required number"
    ],
    [
      "a field of a record in a list in a record",
      Schema.Struct({ list: Schema.Array(Schema.Struct({ n: Schema.Number })) }),
      Schema.Struct({ list: Schema.Array(Schema.Struct({ n: Schema.Boolean })) }),
      ".list[].n",
      "number",
      "boolean"
    ],
    [
      "an item of a tuple",
      Schema.Tuple(Schema.Number, Schema.String),
      Schema.Tuple(Schema.Number, Schema.Number),
      "[1]",
      "string",
      "number"
    ],
    [
      "the length of a tuple",
      Schema.Struct({ t: Schema.Tuple(Schema.Number) }),
      Schema.Struct({ t: Schema.Tuple(Schema.Number, Schema.Number) }),
      ".t",
      "[number]",
      "[number, number]"
    ],
    ["a list in a tuple's place", Schema.Array(Schema.Number), Schema.Tuple(Schema.Number), ".", "[...number[]]", "[number]"],
    [
      "the values of a record",
      Schema.Record({ key: Schema.String, value: Schema.Number }),
      Schema.Record({ key: Schema.String, value: Schema.String }),
      "[key]",
      "number",
      "string"
    ],
    [
      "a record that was a struct",
      Schema.Struct({}),
      Schema.Record({ key: Schema.String, value: Schema.String }),
      "[key]",
      "absent",
      "string"
    ],
    [
      "a struct that was a record",
      Schema.Record({ key: Schema.String, value: Schema.String }),
      Schema.Struct({}),
      "[key]",
      "string",
      "absent"
    ],
    [
      "a union",
      Schema.Union(Schema.Number, Schema.String),
      Schema.Union(Schema.Number, Schema.Boolean),
      ".",
      "number | string",
      "number | boolean"
    ],
    [
      "a union in a struct",
      Schema.Struct({ u: Schema.Literal("a", "b") }),
      Schema.Struct({ u: Schema.Literal("a") }),
      ".u",
      "\"a\" | \"b\"",
      "\"a\""
    ],
    ["a struct where a number was", Schema.Number, a, ".", "number", "{ a: number }"],
    [
      "a class whose field changed its encoding",
      Person,
      Schema.Struct({ name: Schema.String, born: Schema.DateFromNumber }),
      ".born",
      "string",
      "number"
    ]
  ])(
    "%s is reported at its path",
    (_, stored, wanted, path, storedShape, wantedShape) =>
      assert.deepStrictEqual(between(stored, wanted), { path, stored: storedShape, wanted: wantedShape })
  )

  it.each<readonly [string, Schema.Schema<any, any>, Schema.Schema<any, any>]>([
    ["a class and a struct of the same encoding", Person, Schema.Struct({ born: Schema.Date, name: Schema.String })],
    [
      "fields in another order",
      Schema.Struct({ a: Schema.Number, b: Schema.String }),
      Schema.Struct({ b: Schema.String, a: Schema.Number })
    ],
    ["a brand or a filter more", Schema.Number, Schema.Number.pipe(Schema.brand("Id"))],
    [
      "a field that may now be missing",
      Schema.Struct({ a: Schema.Number }),
      Schema.Struct({ a: Schema.optionalWith(Schema.Number, { exact: true }) })
    ],
    ["a field that is decoded to something else", Schema.Struct({ a: Schema.Date }), Schema.Struct({ a: Schema.String })]
  ])("what can be read as it is does not differ: %s", (_, stored, wanted) => assert.isUndefined(between(stored, wanted)))

  it("an item that may be missing is reported where it may no longer be", () => {
    const may = Schema.Tuple(Schema.Number, Schema.optionalElement(Schema.String))
    const must = Schema.Tuple(Schema.Number, Schema.String)
    assert.isUndefined(between(must, may))
    assert.strictEqual(between(may, must)?.path, "[1]")
  })

  it.each<readonly [Schema.Schema<any, any>, string]>([
    [Schema.Number, "number"],
    [Schema.Date, "string"],
    [Schema.DateFromSelf, "DateFromSelf"],
    [Schema.Uint8ArrayFromSelf, "Uint8ArrayFromSelf"],
    [Schema.BigIntFromSelf, "bigint"],
    [Schema.Null, "null"],
    [Schema.Undefined, "undefined"],
    [Schema.Unknown, "any"],
    [Schema.Int.pipe(Schema.brand("Id")), "number"],
    [Schema.Literal("a", 1, true, null), "\"a\" | 1 | true | null"],
    [Schema.Enums(Level), "0 | 1"],
    [Schema.TemplateLiteral("user-", Schema.String), "string"],
    [Schema.Struct({ a: Schema.Number, b: Schema.optionalWith(Schema.Date, { exact: true }) }), "{ a: number, b?: string }"],
    [Schema.Struct({ a: Schema.optional(Schema.Number) }), "{ a?: number | undefined }"],
    [Schema.Record({ key: Schema.String, value: Schema.Array(Schema.Number) }), "{ [key]: [...number[]] }"],
    [Schema.Tuple([Schema.String, Schema.Number], Schema.Boolean), "[string, number, ...boolean[]]"],
    [Schema.Option(Schema.Number), "{ _tag: \"None\" } | { _tag: \"Some\", value: number }"],
    [Schema.Map({ key: Schema.String, value: Schema.Date }), "[...[string, string][]]"],
    [Person, "{ name: string, born: string }"]
  ])("a shape in one line: that of the encoded side of %s", (schema, line) => assert.strictEqual(render(schema), line))

  it("a recursive schema has a finite shape, and does not differ from itself", () => {
    assert.match(render(Category), /^\{ name: string, parts: \[\.\.\..*Category.*\[\]\] \}$/)
    assert.isUndefined(between(Category, Category))
  })

  it("a recursive schema that changed inside differs", () => {
    interface Other {
      readonly name: number
      readonly parts: ReadonlyArray<Other>
    }
    const Other: Schema.Schema<Other> = Schema.Struct({
      name: Schema.Number,
      parts: Schema.Array(Schema.suspend((): Schema.Schema<Other> => Other).annotations({ identifier: "Category" }))
    })
    assert.deepStrictEqual(between(Category, Other), { path: ".name", stored: "string", wanted: "number" })
  })

  // ------------------------------------------------------------------------------------------------------------------------------------------

  /** a schema as plain data, so that it can be changed a little and made twice */
  type Spec =
    | { readonly _tag: "leaf"; readonly schema: "number" | "string" | "boolean" }
    | { readonly _tag: "array"; readonly of: Spec }
    | { readonly _tag: "tuple"; readonly of: ReadonlyArray<Spec> }
    | { readonly _tag: "union"; readonly of: ReadonlyArray<Spec> }
    | { readonly _tag: "struct"; readonly of: ReadonlyArray<readonly [name: string, spec: Spec, optional: boolean]> }

  const leaves = { number: Schema.JsonNumber, string: Schema.String, boolean: Schema.Boolean }
  const schemaOf = (spec: Spec): Schema.Schema<any> => {
    switch (spec._tag) {
      case "leaf":
        return leaves[spec.schema]
      case "array":
        return Schema.Array(schemaOf(spec.of))
      case "tuple":
        return Schema.Tuple(...spec.of.map(schemaOf))
      case "union":
        return Schema.Union(...spec.of.map(schemaOf))
      case "struct":
        return Schema.Struct(Object.fromEntries(spec.of.map(([name, of, optional]) => [
          name,
          optional ? Schema.optionalWith(schemaOf(of), { exact: true }) : schemaOf(of)
        ]))) as Schema.Schema<any>
    }
  }
  const spec = fc.letrec<{ spec: Spec }>((tie) => ({
    spec: fc.oneof(
      { maxDepth: 2, depthIdentifier: "spec" },
      fc.constantFrom("number" as const, "string" as const, "boolean" as const).map((schema): Spec => ({ _tag: "leaf", schema })),
      tie("spec").map((of): Spec => ({ _tag: "array", of })),
      fc.array(tie("spec"), { minLength: 1, maxLength: 2 }).map((of): Spec => ({ _tag: "tuple", of })),
      fc.array(tie("spec"), { minLength: 1, maxLength: 2 }).map((of): Spec => ({ _tag: "union", of })),
      fc.uniqueArray(fc.tuple(fc.constantFrom("a", "b", "c"), tie("spec"), fc.boolean()), {
        selector: ([name]) => name,
        minLength: 1,
        maxLength: 3
      })
        .map((of): Spec => ({ _tag: "struct", of }))
    )
  })).spec
  const leafChanged: fc.Arbitrary<Spec> = fc.constant({ _tag: "leaf", schema: "string" })
  /** the same, or with a change somewhere */
  const changed = (spec: Spec): fc.Arbitrary<Spec> => {
    switch (spec._tag) {
      case "leaf":
        return fc.oneof({ weight: 3, arbitrary: fc.constant(spec) }, { weight: 1, arbitrary: leafChanged })
      case "array":
        return changed(spec.of).map((of) => ({ _tag: "array", of }))
      case "tuple":
      case "union":
        return fc.tuple(...spec.of.map(changed)).map((of) => ({ _tag: spec._tag, of }))
      case "struct":
        return fc.tuple(
          ...spec.of.map(([name, of, optional]) => fc.tuple(fc.constant(name), changed(of), fc.constantFrom(optional, optional, !optional)))
        ).map((of) => ({ _tag: "struct", of }))
    }
  }

  it("what is found not to differ can be read: every stored value is a value of the wanted schema", () => {
    let alike = 0
    fc.assert(
      fc.property(spec.chain((stored) => fc.tuple(fc.constant(stored), changed(stored))), fc.integer(), ([a, b], seed) => {
        const [stored, wanted] = [schemaOf(a), schemaOf(b)]
        if (between(stored, wanted) !== undefined) return
        alike++
        const isWanted = Schema.is(wanted)
        for (const value of fc.sample(Arbitrary.make(stored), { numRuns: 5, seed })) assert.isTrue(isWanted(value), JSON.stringify(value))
      }),
      { numRuns: 400 }
    )
    assert.isAbove(alike, 40)
  })
})
