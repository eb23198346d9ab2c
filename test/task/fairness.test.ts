/** L5: under a source that never runs dry, whoever waits for the lock gets it, and the event loop gets its turns. */
import { Effect, Logger } from "effect"
import type { StreamOperator } from "sluice"
import { DataStream, Job } from "sluice"
import { expect, it } from "vitest"

/** how often a 5 ms timer can fire, and a checkpoint every 20 ms be triggered, in this time */
const RUN_MS = 1000

it("L5: a timer every 5 ms and a checkpoint every 20 ms both get on while the source is saturated", async ({ annotate }) => {
  let fired = 0
  let records = 0
  const ticking = Effect.sync((): StreamOperator.PushOperator<number, number> => ({
    setup: (ctx) => {
      const tick = () => {
        fired++
        ctx.processingTime.schedule(ctx.processingTime.now() + 5, tick)
      }
      ctx.processingTime.schedule(ctx.processingTime.now() + 5, tick)
    },
    push: (value, timestamp, out) => {
      records++
      out.emit(value, timestamp)
    }
  }))
  const job = Job.make(
    "saturated",
    DataStream.generate({ make: (i) => i }).pipe(DataStream.transform("ticking", ticking), DataStream.runForEach(() => {}))
  )
  let last = performance.now()
  let gap = 0
  const watch = setInterval(() => {
    const now = performance.now()
    gap = Math.max(gap, now - last - 1)
    last = now
  }, 1)
  const metrics = await Effect.runPromise(
    Effect.gen(function*() {
      const handle = yield* Job.start(job, { checkpoint: { interval: "20 millis" } })
      yield* Effect.sleep(RUN_MS)
      return yield* handle.metrics
    }).pipe(Effect.scoped, Effect.provide(Logger.remove(Logger.defaultLogger)))
  )
  clearInterval(watch)
  const report = `${records} records, ${fired} of ${RUN_MS / 5} timers, ${metrics.checkpoints.completed} of ${RUN_MS / 20} checkpoints, ` +
    `largest event-loop gap ${gap.toFixed(1)} ms`
  await annotate(report)
  process.stdout.write(`L5: ${report}\n`)
  // far below what a quiet machine does, far above what a starved fiber gets: that is none
  expect(records).toBeGreaterThan(10_000)
  expect(fired).toBeGreaterThan(RUN_MS / 5 / 4)
  expect(metrics.checkpoints.completed).toBeGreaterThan(RUN_MS / 20 / 5)
})
