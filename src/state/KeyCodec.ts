/**
 * Between a user's key and the primitive that stands for it in Maps, key groups and checkpoints.
 *
 * A primitive key stands for itself; any other key is its canonical text, so that two equal keys are one.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { MapKey } from "../KeyGroup.js"
import * as Codec from "./Codec.js"

/**
 * Turns keys into primitives and back.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyCodec<K> {
  readonly toMapKey: (key: K) => MapKey
  readonly fromMapKey: (key: MapKey) => K
}

const marker = "\u0000"

const sorted = (value: unknown): unknown => {
  if (typeof value === "bigint") return { $bigint: String(value) }
  if (typeof value !== "object" || value === null) return value
  if (value instanceof Date) return { $date: value.getTime() }
  if (Array.isArray(value)) return value.map(sorted)
  return Object.fromEntries(
    Object.keys(value).sort().map((key) => [key, sorted((value as Record<string, unknown>)[key])])
  )
}

const revive = (_: string, value: any): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (typeof value.$bigint === "string") return BigInt(value.$bigint)
  return typeof value.$date === "number" ? new Date(value.$date) : value
}

/**
 * The codec of a key's schema, or of plain keys without one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <K>(schema: Schema.Schema<K, any> | undefined): KeyCodec<K> => {
  const codec = Codec.make(schema)
  return {
    toMapKey: (key) => {
      const encoded = typeof key === "object" && key !== null ? codec.encode(key) : key
      return typeof encoded === "object" && encoded !== null
        ? marker + JSON.stringify(sorted(encoded))
        : encoded as MapKey
    },
    fromMapKey: (key) =>
      typeof key === "string" && key.startsWith(marker)
        ? codec.decode(JSON.parse(key.slice(1), revive))
        : key as K
  }
}
