/**
 * Between a user's key and the primitive that stands for it in Maps, key groups and checkpoints.
 *
 * A primitive key stands for itself; any other key is its canonical text behind a marker, so that two equal keys are one.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { MapKey } from "../KeyGroup.js"
import * as canonical from "./canonical.js"
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

const MARKER = "\u0000"

/**
 * Whether a key stands for itself: no object, and no string that looks like one's text. Hot.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isMapKey = (key: unknown): key is MapKey =>
  typeof key === "string" ? key.charCodeAt(0) !== 0 : typeof key !== "object" || key === null

/**
 * Code that is true only where `isMapKey` of the key named is; it knows strings, the most frequent keys.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isMapKeyCode = (key: string): string => `(typeof ${key} === "string" && ${key}.charCodeAt(0) !== 0)`

/**
 * The codec of a key's schema, or of plain keys without one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <K>(schema: Schema.Schema<K, any> | undefined): KeyCodec<K> => {
  const codec = Codec.make(schema)
  return {
    toMapKey: (key) => isMapKey(key) ? key : MARKER + canonical.encode(codec.encode(key)),
    fromMapKey: (key) => typeof key === "string" && key.startsWith(MARKER) ? codec.decode(canonical.decode(key.slice(1))) : key as K
  }
}
