/** Shows how a job gets on: a table that stays in place on a terminal, plain log lines elsewhere. */
import { Clock, Effect, Schedule } from "effect"
import type { Job, JobMetrics } from "sluice"
import { Watermark } from "sluice"

const time = (watermark: number) =>
  watermark === Watermark.MIN ? "-" : watermark === Watermark.MAX ? "end" : new Date(watermark).toISOString().slice(0, 16).replace("T", " ")

const count = (n: number) => n.toLocaleString("en-US")

const lines = (metrics: JobMetrics.JobMetrics, before: JobMetrics.JobMetrics, seconds: number): Array<string> => {
  const rows = metrics.vertices.map((vertex, i) => {
    const rate = (vertex.recordsIn - (before.vertices[i]?.recordsIn ?? 0)) / seconds
    const name = `${vertex.name} x${vertex.parallelism}`
    return [
      name.length > 60 ? `${name.slice(0, 57)}...` : name,
      count(vertex.recordsIn),
      `${count(Math.max(0, Math.round(rate)))}/s`,
      time(vertex.watermark)
    ]
  })
  const table = [["vertex", "records", "rate", "watermark"], ...rows]
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
  const { last } = metrics.checkpoints
  return [
    ...table.map((row) => row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join("  ")),
    last === undefined
      ? "no checkpoint yet"
      : `checkpoint ${last.id}: ${count(last.bytes)} bytes in ${count(last.durationMs)} ms`
  ]
}

/** Shows how a job gets on while `effect` waits for it. */
export const withProgress = <E, A, E2, R>(handle: Job.JobHandle<E>, effect: Effect.Effect<A, E2, R>): Effect.Effect<A, E2, R> =>
  Effect.scoped(Effect.gen(function*() {
    const live = process.stdout.isTTY === true
    let before = yield* handle.metrics
    let at = yield* Clock.currentTimeMillis
    let shown = 0
    const next = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const metrics = yield* handle.metrics
      const rows = lines(metrics, before, Math.max(1, now - at) / 1000)
      before = metrics
      at = now
      return rows
    })
    const show = Effect.map(next, (rows) => {
      const up = shown === 0 ? "" : `\u001b[${shown}A`
      shown = rows.length
      process.stdout.write(up + rows.map((row) => `\u001b[2K${row}\n`).join(""))
    })
    const log = Effect.flatMap(next, ([, ...rows]) => Effect.logInfo(rows.map((row) => row.trim().replace(/ {2,}/g, ", ")).join("; ")))
    if (live) yield* Effect.addFinalizer(() => show)
    yield* Effect.forkScoped(Effect.repeat(live ? show : Effect.delay(log, "1 second"), Schedule.spaced(live ? "250 millis" : "1 millis")))
    return yield* effect
  }))
