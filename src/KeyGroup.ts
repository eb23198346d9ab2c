/**
 * Which subtask owns a key: key -> 32-bit hash -> key group -> subtask.
 *
 * Follows Flink's KeyGroupRangeAssignment and MathUtils.murmurHash: an integer hashes to itself, a string as in Java,
 * a number that is no 32-bit integer by the bits of its double, any other key by its canonical text (see `state/KeyCodec`).
 *
 * K1. The key group of a key depends on nothing but the key and `maxParallelism`.
 * K2. Each subtask owns one contiguous range of key groups, and the ranges of all subtasks are disjoint and complete.
 *
 * @since 0.1.0
 */

/**
 * An inclusive range of key groups.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyGroupRange {
  readonly start: number
  readonly end: number
}

/**
 * The largest allowed `maxParallelism`.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_PARALLELISM = 32768

/**
 * A key as it stands in a state table's Map.
 *
 * @since 0.1.0
 * @category models
 */
export type MapKey = string | number | boolean | bigint | null | undefined

const doubleBits = new Float64Array(1)
const intBits = new Int32Array(doubleBits.buffer)

/**
 * The 32-bit hash of a key: an integer is its own hash, a string hashes as `java.lang.String`.
 *
 * @since 0.1.0
 * @category hashing
 */
export const hash = (key: MapKey): number => {
  if (typeof key === "string") {
    let h = 0
    for (let i = 0; i < key.length; i++) h = (Math.imul(h, 31) + key.charCodeAt(i)) | 0
    return h
  }
  if (typeof key === "number") {
    if ((key | 0) === key) return key | 0
    // there are many NaNs, and a Map holds them as one
    if (Number.isNaN(key)) return 0x7ff80000
    doubleBits[0] = key
    return intBits[0] ^ intBits[1]
  }
  if (typeof key === "boolean") return key ? 1231 : 1237
  if (typeof key === "bigint") return Number(BigInt.asIntN(32, key ^ (key >> 32n)))
  return 0
}

/**
 * One murmur3 round over a 32-bit hash, made non-negative.
 *
 * @since 0.1.0
 * @category hashing
 */
export const murmur = (code: number): number => {
  code = Math.imul(code, 0xcc9e2d51)
  code = (code << 15) | (code >>> 17)
  code = Math.imul(code, 0x1b873593)
  code = (code << 13) | (code >>> 19)
  code = (Math.imul(code, 5) + 0xe6546b64) | 0
  code ^= 4
  code ^= code >>> 16
  code = Math.imul(code, 0x85ebca6b)
  code ^= code >>> 13
  code = Math.imul(code, 0xc2b2ae35)
  code ^= code >>> 16
  return code >= 0 ? code : code === -2147483648 ? 0 : -code
}

/**
 * The key group of a key, from 0 to `maxParallelism - 1`.
 *
 * @example
 * ```ts
 * import { KeyGroup } from "sluice"
 * import * as assert from "node:assert"
 *
 * assert.equal(KeyGroup.of("hello", 128), 35)
 * assert.equal(KeyGroup.of(42, 10), 5)
 * ```
 *
 * @since 0.1.0
 * @category assignment
 */
export const of = (key: MapKey, maxParallelism: number): number => murmur(hash(key)) % maxParallelism

/**
 * The subtask that owns a key group.
 *
 * @since 0.1.0
 * @category assignment
 */
export const subtask = (keyGroup: number, parallelism: number, maxParallelism: number): number =>
  Math.floor((keyGroup * parallelism) / maxParallelism)

/**
 * The key groups that a subtask owns.
 *
 * @since 0.1.0
 * @category assignment
 */
export const range = (subtask: number, parallelism: number, maxParallelism: number): KeyGroupRange => ({
  start: Math.ceil((subtask * maxParallelism) / parallelism),
  end: Math.ceil(((subtask + 1) * maxParallelism) / parallelism) - 1
})

/**
 * Whether a range holds a key group.
 *
 * @since 0.1.0
 * @category ranges
 */
export const contains = (self: KeyGroupRange, keyGroup: number): boolean => self.start <= keyGroup && keyGroup <= self.end

/**
 * What two ranges share, or `undefined`.
 *
 * @since 0.1.0
 * @category ranges
 */
export const intersect = (self: KeyGroupRange, that: KeyGroupRange): KeyGroupRange | undefined => {
  const start = Math.max(self.start, that.start)
  const end = Math.min(self.end, that.end)
  return start <= end ? { start, end } : undefined
}
