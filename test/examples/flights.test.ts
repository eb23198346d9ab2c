/**
 * The main job, as a user runs it: real processes, killed by SIGKILL, stopped by signals, started again at another parallelism.
 *
 * Killed at random times: see `kills.test.ts`.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Ended, Right } from "../support/flights.js"
import { expectRight, makeFolders, oracle, start } from "../support/flights.js"

describe("three million flights", () => {
  let right: Right
  const folders = makeFolders()

  beforeAll(async () => {
    right = await oracle()
  }, 60_000)

  afterAll(folders.remove)

  it.each(["1", "2", "4"])("at parallelism %s the results are those of a plain loop", { timeout: 120_000 }, async (parallelism) => {
    const cwd = folders.make()
    const { code, output } = await start(cwd, ["--parallelism", parallelism])
    expect(output).toContain("finished in")
    expect(code).toBe(0)
    expectRight(cwd, right)
  })

  it.each([["1", "1", "2"], ["2", "2", "4"], ["3", "4", "1"], ["5", "1", "1"]])(
    "killed after %s checkpoints at parallelism %s and resumed at %s, no line is missing and none is there twice",
    { timeout: 240_000 },
    async (kills, before, after) => {
      const cwd = folders.make()
      const killed = await start(cwd, ["--parallelism", before, "--kill-after", kills, "--interval", "100"])
      expect(killed.signal).toBe("SIGKILL")
      const { code, output } = await start(cwd, ["--parallelism", after])
      expect(output).toMatch(/restored from checkpoint \d+/)
      expect(code).toBe(0)
      expectRight(cwd, right)
    }
  )

  it("killed again and again, each time at another parallelism, it still comes to the same lines", { timeout: 240_000 }, async () => {
    const cwd = folders.make()
    let ended: Ended
    let starts = 0
    do {
      ended = await start(cwd, ["--parallelism", String(1 + starts % 3), "--kill-after", String(1 + starts % 2), "--interval", "100"])
      starts++
    } while (ended.signal === "SIGKILL" && starts < 4)
    if (ended.signal === "SIGKILL") ended = await start(cwd, [])
    expect(ended.code).toBe(0)
    expectRight(cwd, right)
  })

  it.each(["SIGINT", "SIGTERM"] as const)("%s stops it with a savepoint, from which it goes on; after the end the next start begins anew", {
    timeout: 240_000
  }, async (signal) => {
    const cwd = folders.make()
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
    expectRight(cwd, right)
    if (signal === "SIGTERM") return
    const anew = await start(cwd, ["--kill-after", "1"])
    expect(anew.output).toContain("starting anew")
  })

  it("a second process on the same job is refused, by name, while the first goes on", { timeout: 120_000 }, async () => {
    const cwd = folders.make()
    let second: Promise<Ended> | undefined
    const first = await start(cwd, [], (output) => {
      if (second === undefined && output.includes("checkpoint")) second = start(cwd, [])
    })
    const refused = await second!
    expect(refused.code).not.toBe(0)
    expect(refused.output).toContain("job flights is already running")
    expect(first.code).toBe(0)
    expectRight(cwd, right)
  })
})
