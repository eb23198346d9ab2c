/**
 * One text for each value of plain data: equal values have equal texts, different ones different texts, and the value can be read back.
 *
 * Numbers, strings, booleans, null, undefined, bigints, dates, bytes, arrays and records, whose fields may come in any order. -0 is 0.
 *
 * @since 0.1.0
 */
import { UnsupportedSchema } from "../StreamError.js"

/** what JSON has no word for is an array that begins with a tag; every array has one, so none can be mistaken */
const toJson = (value: unknown): unknown => {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? value : ["n", String(value)]
    case "bigint":
      return ["b", String(value)]
    case "undefined":
      return ["u"]
    case "string":
    case "boolean":
      return value
    case "object":
      break
    default:
      throw new UnsupportedSchema({ path: "key", reason: `a ${typeof value} cannot be a key` })
  }
  if (value === null) return null
  if (Array.isArray(value)) return ["a", ...value.map(toJson)]
  if (value instanceof Date) return ["d", value.getTime()]
  if (value instanceof Uint8Array) return ["x", ...value]
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new UnsupportedSchema({
      path: "key",
      reason: `an instance of ${prototype.constructor?.name ?? "a class"} cannot be a key; give its schema`
    })
  }
  const record: Record<string, unknown> = Object.create(null)
  for (const key of Object.keys(value).sort()) record[key] = toJson((value as Record<string, unknown>)[key])
  return record
}

const fromJson = (json: any): unknown => {
  if (typeof json !== "object" || json === null) return json
  if (Array.isArray(json)) {
    const [tag, ...items] = json
    switch (tag) {
      case "n":
        return Number(items[0])
      case "b":
        return BigInt(items[0])
      case "u":
        return undefined
      case "d":
        return new Date(items[0] ?? NaN)
      case "x":
        return Uint8Array.from(items)
      default:
        return items.map(fromJson)
    }
  }
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, fromJson(value)]))
}

/** The text of a value; fails with `UnsupportedSchema` where it is not plain data. */
export const encode = (value: unknown): string => JSON.stringify(toJson(value))

/** The value of a text. */
export const decode = (text: string): unknown => fromJson(JSON.parse(text))
