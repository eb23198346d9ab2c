/**
 * The main job as a user runs it, in processes of its own; and what must come of it, by a plain loop over the same Parquet file that knows nothing of
 * Sluice.
 */
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { expect } from "vitest"

const root = fileURLToPath(new URL("../../", import.meta.url))
const input = path.join(root, "node_modules/vega-datasets/data/flights-3m.parquet")

const tsx = new URL("../../node_modules/tsx/dist/loader.mjs", import.meta.url).href

const DAY = 86_400_000
const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10)

/** What must come out, as sorted lines. */
export interface Right {
  readonly airportDays: ReadonlyArray<string>
  readonly destinationWeeks: ReadonlyArray<string>
}

/** What a plain loop says. */
export const oracle = async (): Promise<Right> => {
  const file = await asyncBufferFromFile(input)
  const metadata = await parquetMetadataAsync(file)
  const days = new Map<string, { origin: string; day: number; flights: number; sum: number; max: number; late: number }>()
  const weeks = new Map<string, { destination: string; from: number; flights: number; sum: number }>()
  let start = 0
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows)
    const columns: Record<string, ArrayLike<any>> = {}
    await parquetRead({
      file,
      metadata,
      compressors,
      rowStart: start,
      rowEnd: start + rows,
      columns: ["date", "delay", "origin", "destination"],
      onChunk: ({ columnData, columnName }) => void (columns[columnName] = columnData)
    })
    start += rows
    for (let i = 0; i < rows; i++) {
      const day = Math.floor(columns.date[i].getTime() / DAY)
      const delay = Number(columns.delay[i])
      const origin = columns.origin[i]
      const key = `${origin}/${day}`
      let one = days.get(key)
      if (one === undefined) days.set(key, one = { origin, day, flights: 0, sum: 0, max: -Infinity, late: 0 })
      one.flights++
      one.sum += delay
      if (delay > one.max) one.max = delay
      if (delay > 15) one.late++
      const destination = columns.destination[i]
      for (let from = day - 6; from <= day; from++) {
        const week = `${destination}/${from}`
        let other = weeks.get(week)
        if (other === undefined) weeks.set(week, other = { destination, from, flights: 0, sum: 0 })
        other.flights++
        other.sum += delay
      }
    }
  }
  return {
    airportDays: Array.from(
      days.values(),
      ({ day, flights, late, max, origin, sum }) =>
        JSON.stringify({ origin, day: dayOf(day * DAY), flights, meanDelay: sum / flights, maxDelay: max, lateShare: late / flights })
    ).sort(),
    destinationWeeks: Array.from(
      weeks.values(),
      ({ destination, flights, from, sum }) =>
        JSON.stringify({ destination, from: dayOf(from * DAY), to: dayOf((from + 7) * DAY), flights, meanDelay: sum / flights })
    ).sort()
  }
}

/** the lines of the visible files below a directory, sorted; none where there is none */
const visible = (directory: string): ReadonlyArray<string> =>
  !fs.existsSync(directory) ? [] : fs.readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/^[._]/.test(entry.name) && entry.name.endsWith(".jsonl"))
    .flatMap((entry) =>
      fs.readFileSync(path.join(entry.parentPath ?? entry.path, entry.name), "utf8").split("\n").filter((line) => line !== "")
    )
    .sort()

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
}

/** Sends a signal to a process. */
export type Kill = (signal: NodeJS.Signals) => void

/** Runs the job as a process in a folder of its own; `seen`, called with all it has printed so far, and `started` may send it a signal. */
export const start = (
  cwd: string,
  args: ReadonlyArray<string>,
  seen: (output: string, kill: Kill) => void = () => {},
  started: (kill: Kill) => void = () => {}
) =>
  new Promise<Ended>((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", tsx, path.join(root, "examples/01-flights.ts"), ...args], {
      cwd,
      env: { ...process.env, TSX_TSCONFIG_PATH: path.join(root, "tsconfig.json") }
    })
    const kill: Kill = (signal) => void child.kill(signal)
    let output = ""
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      seen(output, kill)
    }
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    child.on("error", reject)
    child.on("close", (code, signal) => resolve({ code, signal, output }))
    started(kill)
  })

/** Folders for runs, removed at the end. */
export const makeFolders = () => {
  const folders: Array<string> = []
  return {
    make: () => {
      const made = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-flights-"))
      folders.push(made)
      return made
    },
    remove: () => folders.forEach((folder) => fs.rmSync(folder, { recursive: true, force: true }))
  }
}

/** The results of a run that has ended are right, and nothing else is there. */
export const expectRight = (cwd: string, right: Right): void => {
  // compared whole, but reported by count: a difference of 40,000 lines helps nobody
  const days = visible(path.join(cwd, "out/airport-days"))
  const weeks = visible(path.join(cwd, "out/destination-weeks"))
  expect([days.length, weeks.length]).toEqual([right.airportDays.length, right.destinationWeeks.length])
  expect(days.findIndex((line, i) => line !== right.airportDays[i])).toBe(-1)
  expect(weeks.findIndex((line, i) => line !== right.destinationWeeks[i])).toBe(-1)
  const hidden = fs.readdirSync(path.join(cwd, "out"), { recursive: true }).map(String).filter((name) => /^[._]/.test(path.basename(name)))
  expect(hidden).toEqual([])
}

/** L9: what is visible while the job is down is part of what is right, each line once. */
export const expectPart = (cwd: string, right: Right): void => {
  const check = (directory: string, all: ReadonlySet<string>) => {
    const lines = visible(path.join(cwd, directory))
    expect(lines.filter((line) => !all.has(line))).toEqual([])
    expect(new Set(lines).size).toBe(lines.length)
  }
  check("out/airport-days", new Set(right.airportDays))
  check("out/destination-weeks", new Set(right.destinationWeeks))
}

/** The newest checkpoint that is complete, 0 if there is none. */
export const newestCheckpoint = (cwd: string): number => {
  const directory = path.join(cwd, ".sluice/flights")
  if (!fs.existsSync(directory)) return 0
  const complete = fs.readdirSync(directory).flatMap((name) => {
    const id = /^chk-(\d+)$/.exec(name)?.[1]
    return id !== undefined && fs.existsSync(path.join(directory, name, "_metadata")) ? [Number(id)] : []
  })
  return Math.max(0, ...complete)
}
