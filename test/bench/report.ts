/**
 * What a run of the benchmark says: rows, as a table for people and as plain data for programs.
 *
 * @since 0.1.0
 */
import type { Samples, Spread, Workload } from "./measure.js"
import { SLUICE, speed, spread } from "./measure.js"

/** One variant of one workload. */
export interface Row {
  readonly workload: string
  readonly variant: string
  readonly nsPerRecord: number
  /** how many times as fast as the reference: below 1 is slower */
  readonly ratio: Spread
  readonly targets: ReadonlyArray<{ readonly text: string; readonly times: number; readonly ok: boolean }>
}

/** One row as data; `target` is the least `ratioToHand`, `ok` is about all targets of the row. */
export interface JsonRow {
  readonly workload: string
  readonly variant: string
  readonly nsPerRecord: number
  readonly ratioToHand: number
  readonly target?: number
  readonly ok?: boolean
}

export const rowsOf = (workload: Workload, samples: ReadonlyArray<Samples>): ReadonlyArray<Row> =>
  samples.map((self) => ({
    workload: workload.name,
    variant: self.variant,
    nsPerRecord: spread(self.ns).median,
    ratio: speed(self, samples[0]),
    targets: self.variant !== SLUICE ? [] : workload.targets.map(({ against, times }) => {
      const { median } = speed(self, samples.find((other) => other.variant === against)!)
      const isReference = against === samples[0].variant
      return {
        times,
        text: isReference ? `>= ${times}` : `>= ${times} x ${against} (${significant(median)})`,
        ok: median >= times
      }
    })
  }))

export const isMissed = (row: Row): boolean => row.targets.some(({ ok }) => !ok)

export const jsonOf = ({ nsPerRecord, ratio, targets, variant, workload }: Row): JsonRow => ({
  workload,
  variant,
  nsPerRecord,
  ratioToHand: ratio.median,
  ...(targets.length === 0 ? {} : { target: targets[0].times, ok: targets.every(({ ok }) => ok) })
})

/** two significant digits below 10, whole numbers above */
const significant = (n: number): string => n >= 10 ? n.toFixed(0) : n.toPrecision(2)

const fixed = (n: number): string => n >= 1000 ? n.toFixed(0) : n.toFixed(n >= 100 ? 0 : 1)

const colors = process.stdout.isTTY || process.env.FORCE_COLOR !== undefined

const red = (text: string): string => colors ? `\u001b[31m${text}\u001b[0m` : text

const columns = [
  { title: "workload", width: 19 },
  { title: "variant", width: 20 },
  { title: "ns/record", width: -10 },
  { title: "M rec/s", width: -9 },
  { title: "x hand", width: -9 },
  { title: "[min..max]", width: -18 },
  { title: "  target", width: 0 }
]

const line = (cells: ReadonlyArray<string>): string =>
  columns.map(({ width }, i) => width < 0 ? cells[i].padStart(-width) : cells[i].padEnd(width)).join(" ").trimEnd()

export const header = line(columns.map(({ title }) => title))

/** The lines of one workload. */
export const table = (rows: ReadonlyArray<Row>): string =>
  rows.map(({ nsPerRecord, ratio, targets, variant, workload }, i) =>
    line([
      i === 0 ? workload : "",
      variant,
      fixed(nsPerRecord),
      significant(1000 / nsPerRecord),
      significant(ratio.median),
      `[${significant(ratio.min)}..${significant(ratio.max)}]`,
      `  ${targets.map(({ ok, text }) => `${text} ${ok ? "ok" : red("MISSED")}`).join(", ")}`
    ])
  ).join("\n")
