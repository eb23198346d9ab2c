/** CA-21: nothing that ignores interruption, or does not end, holds a job for ever; the error names the operator and the step. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Schedule } from "effect"
import { DataStream, Job, StreamError } from "sluice"
import type { JobOptions, StreamOperator } from "sluice"

const deadlines: JobOptions.Deadlines = { open: "40 millis", finish: "40 millis", cancel: "20 millis", close: "20 millis" }
const stuck = Effect.uninterruptible(Effect.never)
const quiet = Logger.remove(Logger.defaultLogger)

const numbers = DataStream.generate({ make: (i) => i })

const custom = (hooks: Partial<StreamOperator.StreamOperator<number, number, never>>) =>
  DataStream.transform(
    "custom",
    Effect.succeed<StreamOperator.StreamOperator<number, number>>({
      processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
      ...hooks
    })
  )

const jobOf = (stream: DataStream.DataStream<number, any>, name = "stuck") => Job.make(name, DataStream.runForEach(stream, () => {}))

const hungOf = (exit: Exit.Exit<unknown, unknown>): StreamError.TaskHung => {
  const failures = Exit.isFailure(exit) ? Array.from(Cause.failures(exit.cause)) : []
  const all = failures.flatMap((failure) =>
    failure instanceof StreamError.JobFailed ? Array.from(Cause.failures(failure.cause)) : [failure]
  )
  const hung = all.find((each) => each instanceof StreamError.TaskHung)
  if (hung === undefined) assert.fail(`no TaskHung in ${String(exit)}`)
  return hung as StreamError.TaskHung
}

/** runs it with a failing sink or a cancel, and gives how it ended */
const run = (stream: DataStream.DataStream<number, any>, options: JobOptions.JobOptions = {}) =>
  Effect.exit(Effect.provide(Job.run(jobOf(stream), { deadlines, ...options }), quiet))

describe("deadlines", () => {
  it.live("CA-21: an operator that ignores interruption is left behind when another one fails, without a restart", () =>
    Effect.gen(function*() {
      let attempts = 0
      const failing = DataStream.range(0, 3).pipe(
        DataStream.map((n): number => {
          attempts++
          throw new Error(`no ${n}`)
        }),
        DataStream.startNewChain
      )
      const ignoring = DataStream.tap(numbers, () => stuck)
      const exit = yield* run(DataStream.union(ignoring, failing), { restart: Schedule.recurs(3) })
      const hung = hungOf(exit)
      assert.deepStrictEqual([hung.operator, hung.phase, hung.abandoned, attempts], ["tap", "run", true, 1])
      assert.include(hung.message, "operator tap: run has not ended after 20 ms; it was left behind")
    }))

  it.live("CA-21: an interrupted job ends although an operator ignores it", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(run(DataStream.tap(numbers, () => stuck)))
      yield* Effect.sleep("30 millis")
      yield* Fiber.interrupt(fiber)
    }))

  it.live("CA-21: a close that hangs, and a finalizer that hangs: the other operators are closed all the same", () =>
    Effect.gen(function*() {
      const closed: Array<string> = []
      const behind = custom({ close: Effect.sync(() => void closed.push("behind")) })
      const byClose = yield* run(DataStream.range(0, 3).pipe(custom({ close: stuck }), behind))
      assert.deepStrictEqual([hungOf(byClose).operator, hungOf(byClose).phase], ["custom", "close"])
      const byFinalizer = yield* run(DataStream.range(0, 3).pipe(custom({ open: Effect.addFinalizer(() => Effect.never) }), behind))
      assert.deepStrictEqual([hungOf(byFinalizer).operator, hungOf(byFinalizer).phase], ["custom", "close"])
      assert.deepStrictEqual(closed, ["behind", "behind"])
    }))

  it.live("CA-21: an Effect that an operator runs beside the task", () =>
    Effect.gen(function*() {
      const exit = yield* run(
        DataStream.range(0, 3).pipe(
          DataStream.mapEffect((n) => n === 1 ? Effect.fail("one") : Effect.as(stuck, n), { concurrency: 4 })
        )
      )
      assert.deepStrictEqual([hungOf(exit).operator, hungOf(exit).phase, hungOf(exit).abandoned], ["mapEffect", "a fiber", true])
    }))

  it.live("opening and finishing that take too long fail the job; where they can be interrupted nothing is left behind, and the job may start again", () =>
    Effect.gen(function*() {
      const opening = yield* run(DataStream.range(0, 3).pipe(custom({ open: Effect.never })))
      assert.deepStrictEqual([hungOf(opening).operator, hungOf(opening).phase, hungOf(opening).abandoned], ["custom", "open", false])
      const finishing = yield* run(DataStream.range(0, 3).pipe(custom({ finish: () => Effect.never })))
      assert.deepStrictEqual([hungOf(finishing).operator, hungOf(finishing).phase, hungOf(finishing).abandoned], [
        "custom",
        "finish",
        false
      ])
      let opened = 0
      const second = yield* run(
        DataStream.range(0, 3).pipe(custom({ open: Effect.suspend(() => ++opened === 1 ? Effect.never : Effect.void) })),
        { restart: Schedule.recurs(1) }
      )
      assert.isTrue(Exit.isSuccess(second))
    }))

  it.live("what is in time is not touched", () =>
    Effect.gen(function*() {
      const exit = yield* run(DataStream.range(0, 3).pipe(custom({ open: Effect.sleep("5 millis"), close: Effect.sleep("5 millis") })))
      assert.isTrue(Exit.isSuccess(exit))
    }))
})
