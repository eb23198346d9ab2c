/**
 * What stored values look like: a small tree made from a Schema's encoded side, kept in the checkpoint and compared before a restore.
 *
 * Owns the comparison and its report. Knows nothing of bytes.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

/**
 * The shape of an encoded value. Of a tuple the first `required` items are always there, all of them without it.
 *
 * @since 0.1.0
 * @category models
 */
export type Shape =
  | { readonly kind: "any" }
  | { readonly kind: "leaf"; readonly type: string }
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "struct"; readonly fields: { readonly [name: string]: Field }; readonly rest?: Shape }
  | { readonly kind: "tuple"; readonly items: ReadonlyArray<Shape>; readonly required?: number; readonly rest?: Shape }
  | { readonly kind: "union"; readonly of: ReadonlyArray<Shape> }
  | { readonly kind: "named"; readonly name: string; readonly of: ReadonlyArray<Shape> }
  | { readonly kind: "recursive"; readonly name: string }

/**
 * A field of a struct.
 *
 * @since 0.1.0
 * @category models
 */
interface Field {
  readonly shape: Shape
  readonly optional: boolean
}

/**
 * Where two shapes first differ.
 *
 * @since 0.1.0
 * @category models
 */
export interface Difference {
  /** the path to the difference, `.` for the root */
  readonly path: string
  readonly stored: string
  readonly wanted: string
}

/**
 * Values of any shape: nothing is known, nothing is compared.
 *
 * @since 0.1.0
 * @category constructors
 */
export const any: Shape = { kind: "any" }

/**
 * The shape of what a schema encodes to.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSchema = <A, I>(schema: Schema.Schema<A, I>): Shape => fromAST(schema.ast, new Set())

const nameOf = (ast: AST.AST): string | undefined =>
  AST.getIdentifierAnnotation(ast)._tag === "Some"
    ? (AST.getIdentifierAnnotation(ast) as { readonly value: string }).value
    : undefined

const fromAST = (ast: AST.AST, seen: ReadonlySet<AST.AST>): Shape => {
  switch (ast._tag) {
    case "Literal":
      return { kind: "literal", value: typeof ast.literal === "string" ? JSON.stringify(ast.literal) : String(ast.literal) }
    case "Enums":
      return { kind: "union", of: ast.enums.map(([, value]) => ({ kind: "literal", value: JSON.stringify(value) })) }
    case "TemplateLiteral":
      return { kind: "leaf", type: "string" }
    case "TypeLiteral": {
      const fields: Record<string, Field> = {}
      for (const field of ast.propertySignatures) {
        fields[String(field.name)] = { shape: fromAST(field.type, seen), optional: field.isOptional }
      }
      return ast.indexSignatures.length === 0
        ? { kind: "struct", fields }
        : { kind: "struct", fields, rest: fromAST(ast.indexSignatures[0].type, seen) }
    }
    case "TupleType": {
      const items = ast.elements.map((element) => fromAST(element.type, seen))
      const required = ast.elements.findIndex((element) => element.isOptional)
      return {
        kind: "tuple",
        items,
        ...(required === -1 ? {} : { required }),
        ...(ast.rest.length === 0 ? {} : { rest: fromAST(ast.rest[0].type, seen) })
      }
    }
    case "Union":
      return { kind: "union", of: ast.types.map((type) => fromAST(type, seen)) }
    case "Suspend": {
      const inner = ast.f()
      return seen.has(inner)
        ? { kind: "recursive", name: nameOf(ast) ?? nameOf(inner) ?? "itself" }
        : fromAST(inner, new Set(seen).add(inner))
    }
    case "Refinement":
      return fromAST(ast.from, seen)
    case "Transformation":
      return fromAST(ast.from, seen)
    case "Declaration":
      return { kind: "named", name: nameOf(ast) ?? "declaration", of: ast.typeParameters.map((type) => fromAST(type, seen)) }
    case "UnknownKeyword":
    case "AnyKeyword":
      return any
    default:
      return { kind: "leaf", type: ast._tag.replace(/Keyword$/, "").toLowerCase() }
  }
}

/**
 * A shape in one line, as errors show it.
 *
 * @since 0.1.0
 * @category rendering
 */
export const render = (self: Shape): string => {
  switch (self.kind) {
    case "any":
      return "any"
    case "leaf":
      return self.type
    case "literal":
      return self.value
    case "struct": {
      const fields = Object.entries(self.fields).map(([name, { optional, shape }]) => `${name}${optional ? "?" : ""}: ${render(shape)}`)
      return `{ ${[...fields, ...(self.rest === undefined ? [] : [`[key]: ${render(self.rest)}`])].join(", ")} }`
    }
    case "tuple":
      return `[${
        [
          ...self.items.map((item, i) => `${render(item)}${i < (self.required ?? self.items.length) ? "" : "?"}`),
          ...(self.rest === undefined ? [] : [`...${render(self.rest)}[]`])
        ].join(", ")
      }]`
    case "union":
      return self.of.map(render).join(" | ")
    case "named":
      return self.of.length === 0 ? self.name : `${self.name}<${self.of.map(render).join(", ")}>`
    case "recursive":
      return self.name
  }
}

/**
 * Where the stored shape and the wanted one first differ, or `undefined` where what is stored can be read as it is.
 *
 * @since 0.1.0
 * @category comparing
 */
export const difference = (stored: Shape, wanted: Shape, path = ""): Difference | undefined => {
  const differ = (): Difference => ({ path: path === "" ? "." : path, stored: render(stored), wanted: render(wanted) })
  if (stored.kind === "any" || wanted.kind === "any") return undefined
  if (stored.kind === "struct" && wanted.kind === "struct") {
    for (const name of new Set([...Object.keys(stored.fields), ...Object.keys(wanted.fields)])) {
      const a = stored.fields[name]
      const b = wanted.fields[name]
      const at = `${path}.${name}`
      if (a === undefined) return { path: at, stored: "absent", wanted: render(b.shape) }
      if (b === undefined) return { path: at, stored: render(a.shape), wanted: "absent" }
      const found = fieldDifference(a, b, at)
      if (found !== undefined) return found
    }
    return rest(stored.rest, wanted.rest, `${path}[key]`)
  }
  if (stored.kind === "tuple" && wanted.kind === "tuple") {
    if (stored.items.length !== wanted.items.length) return differ()
    for (let i = 0; i < stored.items.length; i++) {
      const found = fieldDifference(itemOf(stored, i), itemOf(wanted, i), `${path}[${i}]`)
      if (found !== undefined) return found
    }
    return rest(stored.rest, wanted.rest, `${path}[]`)
  }
  if (stored.kind === "named" && wanted.kind === "named" && stored.name === wanted.name && stored.of.length === wanted.of.length) {
    for (let i = 0; i < stored.of.length; i++) {
      const found = difference(stored.of[i], wanted.of[i], `${path}<${i}>`)
      if (found !== undefined) return found
    }
    return undefined
  }
  return render(stored) === render(wanted) ? undefined : differ()
}

const itemOf = (tuple: Extract<Shape, { readonly kind: "tuple" }>, i: number): Field => ({
  shape: tuple.items[i],
  optional: i >= (tuple.required ?? tuple.items.length)
})

const fieldDifference = (stored: Field, wanted: Field, path: string): Difference | undefined =>
  stored.optional && !wanted.optional
    ? { path, stored: `optional ${render(stored.shape)}`, wanted: `required ${render(wanted.shape)}` }
    : difference(stored.shape, wanted.shape, path)

const rest = (stored: Shape | undefined, wanted: Shape | undefined, path: string): Difference | undefined => {
  if (stored === undefined && wanted === undefined) return undefined
  if (stored === undefined || wanted === undefined) {
    return {
      path,
      stored: stored === undefined ? "absent" : render(stored),
      wanted: wanted === undefined ? "absent" : render(wanted)
    }
  }
  return difference(stored, wanted, path)
}
