/**
 * The main job, as a user runs it: real processes, killed by SIGKILL, stopped by signals, started again at another parallelism.
 *
 * The oracle is a plain loop over the same Parquet file that knows nothing of Sluice.
 */
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../../", import.meta.url))
const input = path.join(root, "node_modules/vega-datasets/data/flights-3m.parquet")

const tsx = new URL("../../node_modules/tsx/dist/loader.mjs", import.meta.url).href

const DAY = 86_400_000
const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10)

/** what must come out, as sorted lines */
const oracle = async (): Promise<{ readonly airportDays: ReadonlyArray<string>; readonly destinationWeeks: ReadonlyArray<string> }> => {
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

/** the lines of the visible files below a directory, sorted */
const visible = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/^[._]/.test(entry.name) && entry.name.endsWith(".jsonl"))
    .flatMap((entry) =>
      fs.readFileSync(path.join(entry.parentPath ?? entry.path, entry.name), "utf8").split("\n").filter((line) => line !== "")
    )
    .sort()

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
}

/** runs the job as a process in a folder of its own; `seen` may send it a signal */
const start = (
  cwd: string,
  args: ReadonlyArray<string>,
  seen: (output: string, kill: (signal: NodeJS.Signals) => void) => void = () => {}
) =>
  new Promise<Ended>((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", tsx, path.join(root, "examples/01-flights.ts"), ...args], {
      cwd,
      env: { ...process.env, TSX_TSCONFIG_PATH: path.join(root, "tsconfig.json") }
    })
    let output = ""
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      seen(output, (signal) => child.kill(signal))
    }
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    child.on("error", reject)
    child.on("close", (code, signal) => resolve({ code, signal, output }))
  })

describe("three million flights", () => {
  let right: Awaited<ReturnType<typeof oracle>>
  const folders: Array<string> = []

  beforeAll(async () => {
    right = await oracle()
  }, 60_000)

  afterAll(() => folders.forEach((folder) => fs.rmSync(folder, { recursive: true, force: true })))

  const folder = () => {
    const made = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-flights-"))
    folders.push(made)
    return made
  }

  const expectRight = (cwd: string) => {
    // compared whole, but reported by count: a difference of 40,000 lines helps nobody
    const days = visible(path.join(cwd, "out/airport-days"))
    const weeks = visible(path.join(cwd, "out/destination-weeks"))
    expect([days.length, weeks.length]).toEqual([right.airportDays.length, right.destinationWeeks.length])
    expect(days.findIndex((line, i) => line !== right.airportDays[i])).toBe(-1)
    expect(weeks.findIndex((line, i) => line !== right.destinationWeeks[i])).toBe(-1)
    const hidden = fs.readdirSync(path.join(cwd, "out"), { recursive: true }).map(String).filter((name) =>
      /^[._]/.test(path.basename(name))
    )
    expect(hidden).toEqual([])
  }

  it.each(["1", "2", "4"])("at parallelism %s the results are those of a plain loop", { timeout: 120_000 }, async (parallelism) => {
    const cwd = folder()
    const { code, output } = await start(cwd, ["--parallelism", parallelism])
    expect(output).toContain("finished in")
    expect(code).toBe(0)
    expectRight(cwd)
  })

  it.each([["1", "1", "2"], ["2", "2", "4"], ["3", "4", "1"], ["5", "1", "1"]])(
    "killed after %s checkpoints at parallelism %s and resumed at %s, no line is missing and none is there twice",
    { timeout: 240_000 },
    async (kills, before, after) => {
      const cwd = folder()
      const killed = await start(cwd, ["--parallelism", before, "--kill-after", kills, "--interval", "100"])
      expect(killed.signal).toBe("SIGKILL")
      const { code, output } = await start(cwd, ["--parallelism", after])
      expect(output).toMatch(/restored from checkpoint \d+/)
      expect(code).toBe(0)
      expectRight(cwd)
    }
  )

  it("killed again and again, each time at another parallelism, it still comes to the same lines", { timeout: 240_000 }, async () => {
    const cwd = folder()
    let ended: Ended
    let starts = 0
    do {
      ended = await start(cwd, ["--parallelism", String(1 + starts % 3), "--kill-after", String(1 + starts % 2), "--interval", "100"])
      starts++
    } while (ended.signal === "SIGKILL" && starts < 4)
    if (ended.signal === "SIGKILL") ended = await start(cwd, [])
    expect(ended.code).toBe(0)
    expectRight(cwd)
  })

  it.each(["SIGINT", "SIGTERM"] as const)("%s stops it with a savepoint, from which it goes on; after the end the next start begins anew", {
    timeout: 240_000
  }, async (signal) => {
    const cwd = folder()
    let sent = false
    const stopped = await start(cwd, ["--interval", "300"], (output, kill) => {
      if (sent || !/checkpoint \d+: /.test(output)) return
      sent = true
      kill(signal)
    })
    expect(stopped.output).toMatch(/stopped with savepoint \d+/)
    const savepoint = /stopped with savepoint (\d+)/.exec(stopped.output)![1]
    const again = await start(cwd, ["--parallelism", "2"])
    expect(again.output).toContain(`restored from checkpoint ${savepoint} `)
    expectRight(cwd)
    if (signal === "SIGTERM") return
    const anew = await start(cwd, ["--kill-after", "1"])
    expect(anew.output).toContain("starting anew")
  })

  it("a second process on the same job is refused, by name, while the first goes on", { timeout: 120_000 }, async () => {
    const cwd = folder()
    let second: Promise<Ended> | undefined
    const first = await start(cwd, [], (output) => {
      if (second === undefined && output.includes("checkpoint")) second = start(cwd, [])
    })
    const refused = await second!
    expect(refused.code).not.toBe(0)
    expect(refused.output).toContain("job flights is already running")
    expect(first.code).toBe(0)
    expectRight(cwd)
  })
})
