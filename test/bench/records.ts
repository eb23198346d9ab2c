/**
 * The records that all workloads read: made once, the same in every run, cut into slices beforehand so that reading
 * them costs little.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"

/** One record: `ts` is its event time in milliseconds. */
export interface Reading {
  readonly key: string
  readonly value: number
  readonly ts: number
}

/** Records of a run. Four million, so that starting a job, and the compiler's warming up to its code, are a small part of it. */
export const RECORDS = 4_000_000

/** Different keys. */
export const KEYS = 10_000

/** Event time of all records together, in milliseconds. */
export const SPAN = 4_000_000

/** How far a record may lie behind the highest timestamp before it, in milliseconds. */
export const OUT_OF_ORDER = 500

/**
 * Records of a slice: what a poll of the source gives, the batch of a channel, and after how many records a hand loop
 * looks at event time.
 */
export const SLICE = 1024

/** Numbers from 0 up to, not including, 1 (mulberry32). */
export const random = (seed: number): () => number => () => {
  seed = (seed + 0x6D2B79F5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const makeReadings = (): ReadonlyArray<Reading> => {
  const next = random(1)
  const keys = Array.from({ length: KEYS }, (_, i) => `user-${i}`)
  return Array.from({ length: RECORDS }, (_, i) => ({
    ts: Math.max(0, Math.floor(i / RECORDS * SPAN - next() * OUT_OF_ORDER)),
    key: keys[Math.floor(next() * KEYS)],
    value: Math.floor(next() * 1000)
  }))
}

/** Cuts an array into slices of `size`. */
export const slices = <A>(items: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

export const readings = makeReadings()

export const readingSlices = slices(readings, SLICE)

export const timestampSlices = slices(readings.map((x) => x.ts), SLICE)

export const chunks1024 = readingSlices.map(Chunk.unsafeFromArray)

export const chunks4096 = slices(readings, 4096).map(Chunk.unsafeFromArray)
