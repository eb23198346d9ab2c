/**
 * Which columns a schema asks for, and what to say when they are not there.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

/** the columns that a schema reads, if it names them: those that must be there, and all */
export const ofSchema = (
  schema: Schema.Schema<any, any> | undefined
): { readonly required: ReadonlyArray<string>; readonly all: ReadonlyArray<string> | undefined } => {
  const ast = schema === undefined ? undefined : AST.encodedAST(schema.ast)
  if (ast === undefined || !AST.isTypeLiteral(ast)) return { required: [], all: undefined }
  const fields = ast.propertySignatures.filter((field) => typeof field.name === "string")
  return {
    required: fields.filter((field) => !field.isOptional).map((field) => String(field.name)),
    all: ast.indexSignatures.length > 0 ? undefined : fields.map((field) => String(field.name))
  }
}

/** names for a message */
const quoted = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "none" : names.slice(0, 100).map((name) => JSON.stringify(name)).join(", ") + (names.length > 100 ? ", ..." : "")

/** why rows cannot be made of columns with these names, if they cannot */
export const problem = (names: ReadonlyArray<string>, required: ReadonlyArray<string>): string | undefined => {
  const missing = required.filter((name) => !names.includes(name))
  if (missing.length > 0) return `there is no column ${quoted(missing)}; there are: ${quoted(names)}`
  const twice = names.find((name, i) => name !== "" && names.indexOf(name) !== i)
  if (twice !== undefined) return `there are two columns ${quoted([twice])}`
  return names.includes("__proto__") ? "a column cannot be named \"__proto__\"" : undefined
}
