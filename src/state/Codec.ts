/**
 * Between values and what msgpack can hold. A schema is used only where it really transforms: for plain data both directions are the identity.
 *
 * C1. `decode(encode(a))` equals `a`.
 * C2. `copy(a)` shares nothing mutable with `a`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"
import { Packr } from "msgpackr"
import { UnsupportedSchema } from "../StreamError.js"
import * as Shape from "./Shape.js"

/**
 * Turns values into plain data and back.
 *
 * @since 0.1.0
 * @category models
 */
export interface Codec<A> {
  readonly shape: Shape.Shape
  readonly encode: (value: A) => unknown
  readonly decode: (stored: unknown) => A
  /** what `encode` gives, sharing nothing that the value's owner may still change */
  readonly copy: (value: A) => unknown
}

const identity = <A>(a: A): A => a

/**
 * Copies plain data deeply: arrays, records, Map, Set, Date and typed arrays.
 *
 * @since 0.1.0
 * @category copying
 */
const copyData = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) {
    const out = new Array(value.length)
    for (let i = 0; i < value.length; i++) out[i] = copyData(value[i])
    return out
  }
  if (value instanceof Date) return new Date(value.getTime())
  if (value instanceof Map) return new Map(Array.from(value, ([k, v]) => [copyData(k), copyData(v)]))
  if (value instanceof Set) return new Set(Array.from(value, copyData))
  // a Buffer's own slice shares its bytes
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (ArrayBuffer.isView(value)) return structuredClone(value)
  const out: Record<string, unknown> = {}
  for (const key in value) out[key] = copyData((value as Record<string, unknown>)[key])
  return out
}

const checkPlain = (value: unknown, path: string): void => {
  if (typeof value === "function" || typeof value === "symbol") {
    throw new UnsupportedSchema({ path, reason: `a ${typeof value} cannot be stored` })
  }
  if (typeof value !== "object" || value === null || value instanceof Date || ArrayBuffer.isView(value)) return
  if (Array.isArray(value)) return value.forEach((item, i) => checkPlain(item, `${path}[${i}]`))
  if (value instanceof Map) return value.forEach((item, key) => checkPlain(item, `${path}.get(${String(key)})`))
  if (value instanceof Set) return value.forEach((item) => checkPlain(item, `${path}{}`))
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new UnsupportedSchema({
      path,
      reason: `an instance of ${prototype?.constructor?.name ?? "a class"} would come back as a plain object; give its schema`
    })
  }
  for (const key in value) checkPlain((value as Record<string, unknown>)[key], `${path}.${key}`)
}

/**
 * For values without a schema: plain data only, anything else fails with `UnsupportedSchema` when it is stored; `where` is what the error names.
 *
 * @since 0.1.0
 * @category constructors
 */
const plainAt = (where: string): Codec<any> => ({
  shape: Shape.any,
  encode: (value) => {
    checkPlain(value, where)
    return value
  },
  decode: identity,
  copy: (value) => {
    checkPlain(value, where)
    return copyData(value)
  }
})

/**
 * `plainAt` for a value of which nothing is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const plain: Codec<any> = plainAt("value")

const packable = new Set(["DateFromSelf", "Uint8ArrayFromSelf", "ValidDateFromSelf"])

/** whether the values of a type, or of its encoded side, are what msgpack stores and gives back unchanged */
const isPlain = (ast: AST.AST, side: "type" | "encoded", seen: Set<AST.AST> = new Set()): boolean => {
  if (seen.has(ast)) return true
  seen.add(ast)
  const each = (inner: AST.AST) => isPlain(inner, side, seen)
  switch (ast._tag) {
    case "Transformation":
      return side === "encoded" && each(ast.from)
    case "Declaration": {
      const name = AST.getIdentifierAnnotation(ast)
      return name._tag === "Some" && packable.has(name.value)
    }
    case "Refinement":
      return each(ast.from)
    case "Suspend":
      return each(ast.f())
    case "Union":
      return ast.types.every(each)
    case "TupleType":
      return ast.elements.every((element) => each(element.type)) && ast.rest.every((element) => each(element.type))
    case "TypeLiteral":
      return ast.propertySignatures.every((field) => typeof field.name === "string" && each(field.type)) &&
        ast.indexSignatures.every((signature) => each(signature.type))
    case "SymbolKeyword":
    case "UniqueSymbol":
      return false
    default:
      return true
  }
}

/**
 * The codec of a schema. Fails with `UnsupportedSchema` where its encoded side is still no plain data
 * (`Schema.OptionFromSelf`, for instance: use `Schema.Option`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSchema = <A, I>(schema: Schema.Schema<A, I>): Codec<A> => {
  const shape = Shape.fromSchema(schema)
  if (isPlain(schema.ast, "type")) {
    return { shape, encode: identity, decode: identity as (stored: unknown) => A, copy: copyData }
  }
  if (!isPlain(schema.ast, "encoded")) {
    throw new UnsupportedSchema({
      path: String(schema.ast),
      reason: "its encoded side is not plain data; use the schema that encodes to JSON (Schema.Option rather than Schema.OptionFromSelf)"
    })
  }
  const encode = Schema.encodeSync(schema)
  const decode = Schema.decodeSync(schema)
  return { shape, encode, decode: decode as (stored: unknown) => A, copy: (value) => copyData(encode(value)) }
}

/**
 * The codec of an optional schema: `plain`, or `plainAt`, without one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A>(schema: Schema.Schema<A, any> | undefined, where?: string): Codec<A> =>
  schema !== undefined ? fromSchema(schema) : where === undefined ? plain : plainAt(where)

const packr = new Packr({ useRecords: true, moreTypes: true, mapsAsObjects: false })

/**
 * Packs plain data into bytes that can be read by themselves.
 *
 * @since 0.1.0
 * @category bytes
 */
export const pack = (value: unknown): Uint8Array => packr.pack(value)

/**
 * Reads what `pack` wrote.
 *
 * @since 0.1.0
 * @category bytes
 */
export const unpack = (bytes: Uint8Array): unknown => packr.unpack(bytes)
