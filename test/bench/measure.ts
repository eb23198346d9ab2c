/**
 * Times variants of one workload side by side, after the method of the performance research: one process, interleaved
 * rounds with the order turned round every second time, a collected heap before each sample, and ratios taken within a
 * round, where the machine was the same for all.
 *
 * M1. A variant whose checksum is not the reference's stops the benchmark: a wrong answer has no speed.
 *
 * @since 0.1.0
 */
import * as Stopwatch from "./stopwatch.js"

/** Does the work of a workload once; gives the checksum. */
export type Run = () => number | Promise<number>

/** One way to do the work of a workload. */
export interface Variant {
  readonly name: string
  readonly load: () => Promise<Run>
}

/** Sluice is to be at least `times` as fast as another variant. */
export interface Target {
  readonly against: string
  readonly times: number
}

/** Variants that do the same work; the first is the reference. */
export interface Workload {
  readonly name: string
  /** records in one run */
  readonly records: number
  readonly variants: ReadonlyArray<Variant>
  readonly targets: ReadonlyArray<Target>
}

/** what the others are compared with */
export const HAND = "hand loop"

/** the variant that has targets */
export const SLUICE = "Sluice"

/** the reference once more: how far its ratio is from 1 is the noise of the run */
export const CONTROL = "(control)"

/** How long to measure. */
export interface Effort {
  readonly rounds: number
  /** milliseconds of warm-up for each variant */
  readonly warmUp: number
  /** milliseconds a sample lasts at the least; fast variants run several times */
  readonly sample: number
}

/** Nanoseconds a record, in each round. */
export interface Samples {
  readonly variant: string
  readonly ns: ReadonlyArray<number>
}

/** The middle of some numbers, and the ends. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export const spread = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return {
    median: sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2,
    min: sorted[0],
    max: sorted[sorted.length - 1]
  }
}

/** How many times as fast as `that` a variant was, round by round. */
export const speed = (self: Samples, that: Samples): Spread => spread(self.ns.map((ns, round) => that.ns[round] / ns))

const collect = (): void => {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc (npm run bench does)")
  globalThis.gc()
}

/** Measures all variants of a workload. */
export const measure = async (workload: Workload, effort: Effort): Promise<ReadonlyArray<Samples>> => {
  const variants: Array<{ name: string; run: Run; repeat: number; ns: Array<number> }> = []
  for (const { load, name } of workload.variants) variants.push({ name, run: await load(), repeat: 1, ns: [] })
  variants.splice(1, 0, { ...variants[0], name: CONTROL, ns: [] })
  const expected = await variants[0].run()
  const check = (name: string, sum: number) => {
    if (sum !== expected) throw new Error(`M1: ${workload.name}, ${name}: checksum ${sum}, expected ${expected}`)
  }
  for (const { name, run } of variants) {
    const elapsed = Stopwatch.start()
    do check(name, await run())
    while (elapsed() < effort.warmUp)
  }
  // two rounds before the first that counts: they settle the heap and tell how often to repeat
  for (let round = -2; round < effort.rounds; round++) {
    for (const variant of round % 2 === 0 ? variants : variants.toReversed()) {
      collect()
      const elapsed = Stopwatch.start()
      for (let i = 0; i < variant.repeat; i++) check(variant.name, await variant.run())
      const ms = elapsed() / variant.repeat
      if (round === -1) variant.repeat = Math.max(1, Math.min(1000, Math.ceil(effort.sample / ms)))
      if (round >= 0) variant.ns.push(ms * 1e6 / workload.records)
    }
  }
  return variants.map(({ name, ns }) => ({ variant: name, ns }))
}
