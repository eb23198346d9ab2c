/** L7: event-time timers, against an oracle that keeps a sorted list. */
import { Effect, FastCheck as fc, Schema } from "effect"
import { DataStream, Job, KeyedStream, State, WatermarkStrategy } from "sluice"
import type { StreamOperator } from "sluice"
import { expect, it } from "vitest"

interface Step {
  readonly key: number
  readonly register: ReadonlyArray<number>
  readonly remove: ReadonlyArray<number>
  /** the watermark that the record carries */
  readonly watermark: number | undefined
}

const time = fc.integer({ min: -20, max: 60 })

const step: fc.Arbitrary<Step> = fc.record({
  key: fc.integer({ min: 0, max: 3 }),
  register: fc.array(time, { maxLength: 4 }),
  remove: fc.array(time, { maxLength: 2 }),
  watermark: fc.option(fc.integer({ min: -20, max: 60 }), { nil: undefined })
})

/** every timer that fires before time 40 registers one 7 later: also while others of that watermark still wait */
const again = (at: number) => at < 40 ? at + 7 : undefined

const oracle = (steps: ReadonlyArray<Step>): ReadonlyArray<string> => {
  const log: Array<string> = []
  let timers: Array<{ readonly key: number; readonly at: number; readonly sequence: number }> = []
  let sequence = 0
  let current = Number.MIN_SAFE_INTEGER
  const register = (key: number, at: number) => {
    if (!timers.some((timer) => timer.key === key && timer.at === at)) timers.push({ key, at, sequence: sequence++ })
  }
  const advance = (watermark: number) => {
    if (watermark <= current) return
    current = watermark
    for (;;) {
      const due = timers.filter(({ at }) => at <= watermark).sort((a, b) => a.at - b.at || a.sequence - b.sequence)[0]
      if (due === undefined) break
      timers = timers.filter((timer) => timer !== due)
      log.push(`${due.key}@${due.at}`)
      const next = again(due.at)
      if (next !== undefined) register(due.key, next)
    }
    log.push(`W${watermark}`)
  }
  for (const { key, register: registered, remove, watermark } of steps) {
    for (const at of registered) register(key, at)
    for (const at of remove) timers = timers.filter((timer) => timer.key !== key || timer.at !== at)
    if (watermark !== undefined) advance(watermark)
  }
  advance(Number.MAX_SAFE_INTEGER)
  return log
}

it("L7, TI-06, TI-08: timers with t <= w fire once each, by (t, registration), before watermark w goes on", () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.constantFrom(1, 3, 64), async (steps, batchSize) => {
      const log: Array<string> = []
      const recorder: StreamOperator.StreamOperator<string, never> = {
        processElement: ({ value }) => void log.push(value),
        processWatermark: (watermark, out) => {
          log.push(`W${watermark}`)
          out.emitWatermark(watermark)
        }
      }
      const stream = DataStream.fromIterable(steps).pipe(
        DataStream.assignTimestamps(() => 0, WatermarkStrategy.punctuated((step: Step) => step.watermark)),
        KeyedStream.keyBy((step) => step.key),
        KeyedStream.process({
          state: { fired: State.value(Schema.Number, { default: 0 }) },
          onElement: ({ register, remove }, ctx) => {
            register.forEach(ctx.timers.eventTime)
            remove.forEach(ctx.timers.deleteEventTime)
          },
          onTimer: ({ timestamp }, ctx) => {
            const next = again(timestamp)
            if (next !== undefined) ctx.timers.eventTime(next)
            return [`${ctx.key}@${timestamp}`]
          }
        }),
        DataStream.transform("recorder", Effect.succeed(recorder)),
        DataStream.runForEach(() => {})
      )
      await Effect.runPromise(Job.run(Job.make("timers", stream), { batchSize }))
      expect(log).toEqual(oracle(steps))
    }),
    { numRuns: 300 }
  ))

it("TI-11, TI-13: a processing-time timer's results have no timestamp, and its domain is its own", async () => {
  const seen: Array<unknown> = []
  const stream = DataStream.generate({ make: (i) => i, count: 40, rate: 1000 }).pipe(
    DataStream.assignTimestamps((i) => i, WatermarkStrategy.none),
    KeyedStream.keyBy(() => "one"),
    KeyedStream.process({
      onElement: (i, ctx) => {
        if (i === 0) {
          ctx.timers.processingTime(ctx.processingTime() + 5)
          ctx.timers.eventTime(ctx.processingTime() + 5)
        }
      },
      onTimer: ({ domain }) => [domain]
    }),
    DataStream.transform(
      "recorder",
      Effect.succeed<StreamOperator.StreamOperator<string, never>>({
        processElement: ({ timestamp, value }) => void seen.push([value, timestamp === undefined])
      })
    ),
    DataStream.runForEach(() => {})
  )
  await Effect.runPromise(Job.run(Job.make("domains", stream)))
  expect(seen).toEqual([["processing-time", true], ["event-time", false]])
})
