/**
 * Where the time of one variant goes: V8's sampling profiler, summed up by function.
 *
 * A function that V8 inlined is counted as itself, not as its caller, wherever the profiler knows better.
 *
 * @since 0.1.0
 */
import * as Inspector from "node:inspector/promises"
import * as Module from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import type { Run } from "./measure.js"

/** microseconds between two samples */
const INTERVAL = 200

/** milliseconds of warm-up, and of profile */
const WARM_UP = 500
const DURATION = 2000

const runFor = async (run: Run, duration: number): Promise<void> => {
  const start = performance.now()
  do await run()
  while (performance.now() - start < duration)
}

/** where a function stands in the source: generated code is mapped back, since its lines are not those of the source */
const place = ({ columnNumber, lineNumber, url }: Inspector.Runtime.CallFrame): string => {
  if (url === "") return ""
  const entry = Module.findSourceMap(url)?.findEntry(lineNumber, columnNumber)
  const line = entry !== undefined && "originalLine" in entry ? entry.originalLine : lineNumber
  const file = url.startsWith("file:") ? Path.relative(process.cwd(), fileURLToPath(url)) : url
  return `${file.replace(/^.*node_modules\//, "")}:${line + 1}`
}

/** Profiles a variant and gives the `top` functions with the most time of their own, as text. */
export const profile = async (run: Run, top: number): Promise<string> => {
  await runFor(run, WARM_UP)
  const session = new Inspector.Session()
  session.connect()
  await session.post("Profiler.enable")
  await session.post("Profiler.setSamplingInterval", { interval: INTERVAL })
  await session.post("Profiler.start")
  await runFor(run, DURATION)
  const { profile } = await session.post("Profiler.stop")
  session.disconnect()
  const self = new Map<string, number>()
  let total = 0
  for (const { callFrame, hitCount = 0 } of profile.nodes) {
    const name = `${callFrame.functionName === "" ? "(anonymous)" : callFrame.functionName}  ${place(callFrame)}`
    self.set(name, (self.get(name) ?? 0) + hitCount)
    total += hitCount
  }
  return Array.from(self)
    .sort(([, a], [, b]) => b - a)
    .slice(0, top)
    .map(([name, hits]) => `${(hits / total * 100).toFixed(1).padStart(6)} %  ${name}`)
    .join("\n")
}
