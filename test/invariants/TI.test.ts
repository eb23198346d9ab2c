/** TI: timers, physical and logical. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { StreamOperator } from "sluice"
import { ConnectedStreams, DataStream, Job, KeyedStream, StreamElement, Watermark } from "sluice"
import { Harness, SteppingClock } from "sluice/testing"
import * as KeyCodec from "../../src/state/KeyCodec.js"
import { StateTable } from "../../src/state/StateTable.js"
import { CheckpointLock } from "../../src/task/CheckpointLock.js"
import { CurrentKey } from "../../src/task/KeyContext.js"
import { ProcessingTime } from "../../src/task/ProcessingTime.js"
import { KeyedTimers, timersCodec } from "../../src/task/TimerService.js"
import { gate, only, operator, pass, quiet, settle, source } from "./support.js"

type Numbers = DataStream.DataStream<number>

/** the physical timers of a task, with a clock in the test's hand; `after` follows every firing, under the lock */
const physical = (after: Effect.Effect<void> = Effect.void) =>
  Effect.gen(function*() {
    const clock = new SteppingClock()
    const lock = new CheckpointLock()
    const time = new ProcessingTime(clock)
    const fiber = yield* Effect.forkScoped(Effect.withClock(time.run(lock, after), clock))
    yield* settle
    const fired: Array<number> = []
    return {
      time,
      lock,
      fiber,
      fired,
      fire: (at: number) => void fired.push(at),
      advance: (ms: number) => clock.advance(ms, settle)
    }
  })

describe("the physical timers of a task", () => {
  it.scoped("TI-01: those of the past in the order of registration, then by time, each with the time it was registered for", () =>
    Effect.gen(function*() {
      const { advance, fire, fired, time } = yield* physical()
      yield* advance(1000)
      for (const at of [999, 800, 1100, 1200]) time.schedule(at, fire)
      yield* settle
      expect(fired).toEqual([999, 800])
      yield* advance(100)
      expect(fired).toEqual([999, 800, 1100])
      yield* advance(100)
      expect(fired).toEqual([999, 800, 1100, 1200])
    }))

  it.scoped("TI-16: quiesced, what has not started never runs, and registering is legal and without effect", () =>
    Effect.gen(function*() {
      const { advance, fire, fired, lock, time } = yield* physical()
      time.schedule(10, fire)
      time.schedule(20, fire)
      yield* advance(10)
      yield* lock.hold(Effect.sync(() => time.quiesce()))
      const cancel = time.schedule(15, fire)
      time.schedule(0, fire)
      yield* advance(1000)
      cancel()
      expect(fired).toEqual([10])
    }))

  it.scoped("TI-16, TI-17: quiescing waits for the firing that is under way, and for no other", () =>
    Effect.gen(function*() {
      const { open, wait } = gate()
      const { advance, fire, fired, lock, time } = yield* physical(wait)
      time.schedule(10, fire)
      time.schedule(20, fire)
      yield* advance(10)
      expect(fired).toEqual([10])
      const quiescing = yield* Effect.fork(lock.hold(Effect.sync(() => time.quiesce())))
      yield* settle
      expect((yield* Fiber.poll(quiescing))._tag).toBe("None")
      open()
      yield* Fiber.join(quiescing)
      yield* advance(100)
      expect(fired).toEqual([10])
    }))

  it.scoped("TI-17: with no firing under way quiescing waits for nothing", () =>
    Effect.gen(function*() {
      const { fire, lock, time } = yield* physical(Effect.never)
      time.schedule(10, fire)
      const quiescing = yield* Effect.fork(lock.hold(Effect.sync(() => time.quiesce())))
      yield* settle
      expect((yield* Fiber.poll(quiescing))._tag).toBe("Some")
    }))

  it.scoped("TI-18: stopped in the middle of a firing, it lets go, and nothing fires any more", () =>
    Effect.gen(function*() {
      const { advance, fiber, fire, fired, lock, time } = yield* physical(Effect.never)
      time.schedule(10, fire)
      time.schedule(20, fire)
      yield* advance(10)
      yield* Fiber.interrupt(fiber)
      // what was stopped half way leaves the lock to nobody, and whoever waits can be interrupted
      const waiting = yield* Effect.fork(lock.hold(Effect.void))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(waiting)
      // registering is legal after the end too
      time.schedule(15, fire)
      yield* advance(1000)
      expect(fired).toEqual([10])
    }))

  it.scoped("TI-18: a canceled task fires nothing", () =>
    Effect.gen(function*() {
      const fired: Array<number> = []
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number>(() => ({
        ...pass,
        setup: (ctx) => {
          context = ctx
          ctx.processingTime.schedule(10, (at) => void fired.push(at))
        }
      }))
      expect(yield* h.close).toEqual({ _tag: "canceled" })
      context.processingTime.schedule(5, (at) => void fired.push(at))
      yield* h.advanceProcessingTime("1 minute")
      expect(fired).toEqual([])
    }))

  it.scoped("TI-19: a timer that is canceled never fires; canceling one that has fired changes nothing", () =>
    Effect.gen(function*() {
      const { advance, fire, fired, time } = yield* physical()
      const cancels = [10, 20, 30].map((at) => time.schedule(at, fire))
      cancels[1]()
      yield* advance(10)
      cancels[0]()
      yield* advance(20)
      expect(fired).toEqual([10, 30])
    }))

  it.scoped("TI-20: one that registers its successor fires at its rate, until timers are quiesced", () =>
    Effect.gen(function*() {
      const { advance, fired, lock, time } = yield* physical()
      const tick = (at: number): void => {
        fired.push(at)
        time.schedule(at + 10, tick)
      }
      time.schedule(10, tick)
      yield* advance(35)
      expect(fired).toEqual([10, 20, 30])
      yield* lock.hold(Effect.sync(() => time.quiesce()))
      yield* advance(1000)
      expect(fired).toEqual([10, 20, 30])
    }))
})

describe("timers and what else a task does", () => {
  /** what runs in an operator, and whether two things ever ran at a time */
  const watch = () => {
    const counts = { elements: 0, watermarks: 0, fired: 0, overlaps: 0 }
    let inside = 0
    const during = <A>(body: () => A): A => {
      if (inside > 0) counts.overlaps++
      return body()
    }
    const slowly = Effect.suspend(() => {
      inside++
      return Effect.yieldNow()
    }).pipe(Effect.ensuring(Effect.sync(() => void inside--)))
    const over = () => counts.fired >= 1000 && counts.elements >= 10_000
    const take = (): Effect.Effect<void> | undefined => during(() => ++counts.elements % 10 === 0 ? slowly : undefined)
    const hooks = {
      setup: ({ processingTime }: StreamOperator.OperatorContext<number>) => {
        const tick = () =>
          during(() => {
            // fails rather than hang the process
            if (++counts.fired > 1_000_000) throw new Error("nothing else had its turn")
            processingTime.schedule(processingTime.now(), tick)
          })
        processingTime.schedule(processingTime.now(), tick)
      },
      processWatermark: () =>
        during(() => {
          counts.watermarks++
          return slowly
        })
    }
    return { counts, hooks, over, take }
  }

  /** gives elements, with a watermark after every hundredth, until it is over */
  const until = (over: () => boolean) =>
    source<number>("source", () => {
      let n = 0
      return {
        recordsRead: 0,
        poll: (out) => {
          if (over()) return "end-of-input"
          for (let i = 0; i < 100; i++) out.emit(n++, n)
          out.emitWatermark(n)
          return "more-available"
        },
        fetch: Effect.never
      }
    })

  it.live.each(["chained to its source", "in a task of its own"])(
    "TI-02: timers never run within a record or watermark: %s",
    (where) =>
      Effect.gen(function*() {
        const { counts, hooks, over, take } = watch()
        const watched = until(over).pipe(operator<number>("op", () => ({ ...hooks, processElement: take })))
        const stream = where === "in a task of its own" ? DataStream.startNewChain(watched) : watched
        yield* Job.run(Job.make("mutex", DataStream.runForEach(stream, () => {})))
        expect(counts.overlaps).toBe(0)
        expect(counts.fired).toBeGreaterThanOrEqual(1000)
        expect(counts.watermarks).toBeGreaterThanOrEqual(100)
      }).pipe(Effect.provide(quiet))
  )

  it.live("TI-02: timers never run within a record or watermark: two inputs", () =>
    Effect.gen(function*() {
      const { counts, hooks, over, take } = watch()
      const stream = ConnectedStreams.transform(
        ConnectedStreams.connect(until(over), until(over)),
        "op",
        Effect.succeed<StreamOperator.TwoInputStreamOperator<number, number, number>>({
          ...hooks,
          processElement1: take,
          processElement2: take
        })
      )
      yield* Job.run(Job.make("mutex", DataStream.runForEach(stream, () => {})))
      expect(counts.overlaps).toBe(0)
      expect(counts.fired).toBeGreaterThanOrEqual(1000)
      expect(counts.watermarks).toBeGreaterThanOrEqual(100)
    }).pipe(Effect.provide(quiet)))

  it.scoped("TI-24: a timer that is due while the chain opens fires when all of it is open", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const make = (name: string) => (): StreamOperator.StreamOperator<number, number> => {
        let context!: StreamOperator.OperatorContext<number>
        return {
          ...pass,
          setup: (ctx) => {
            context = ctx
            ctx.processingTime.schedule(0, () => void log.push(`${name} timer of setup`))
          },
          open: Effect.suspend(() => {
            log.push(`${name} open`)
            context.processingTime.schedule(0, () => void log.push(`${name} timer of open`))
            return settle
          })
        }
      }
      yield* Harness.oneInput((input: Numbers) => input.pipe(operator("a", make("a")), operator("b", make("b"))))
      expect(log).toEqual(["b open", "a open", "b timer of setup", "a timer of setup", "b timer of open", "a timer of open"])
    }))
})

/** physical timers as the test sees them, and its clock */
class ManualTime implements StreamOperator.ProcessingTimeService {
  private time = 0
  scheduled: Array<{ readonly at: number; readonly callback: (at: number) => void }> = []

  readonly now = () => this.time

  readonly schedule: StreamOperator.ProcessingTimeService["schedule"] = (at, callback) => {
    const timer = { at, callback }
    this.scheduled.push(timer)
    return () => {
      this.scheduled = this.scheduled.filter((other) => other !== timer)
    }
  }

  get times(): ReadonlyArray<number> {
    return this.scheduled.map(({ at }) => at)
  }

  to(time: number): void {
    this.time = time
    const due = this.scheduled.filter(({ at }) => at <= time)
    this.scheduled = this.scheduled.filter(({ at }) => at > time)
    for (const { at, callback } of due) callback(at)
  }
}

/** the timers of an operator, apart from any task */
const logical = () => {
  const time = new ManualTime()
  const keys = new CurrentKey(KeyCodec.make<any>(undefined))
  const fired: Array<string> = []
  let onTimer = (_timer: StreamOperator.FiredTimer): void => {}
  const timers = new KeyedTimers(new StateTable(timersCodec), keys, time, (timer) => {
    fired.push(`${timer.timestamp} ${String(keys.key)} ${String(timer.namespace)}`)
    onTimer(timer)
  })
  return {
    time,
    keys,
    fired,
    timers,
    onTimer: (f: typeof onTimer) => {
      onTimer = f
    }
  }
}

const domains = [
  {
    domain: "event time",
    register: (timers: KeyedTimers, namespace: string, at: number) => timers.registerEventTime(namespace, at),
    remove: (timers: KeyedTimers, namespace: string, at: number) => timers.deleteEventTime(namespace, at),
    count: (timers: KeyedTimers) => timers.counts().eventTime,
    others: (timers: KeyedTimers) => timers.counts().processingTime,
    advance: ({ timers }: ReturnType<typeof logical>, at: number) => timers.advanceWatermark(at)
  },
  {
    domain: "processing time",
    register: (timers: KeyedTimers, namespace: string, at: number) => timers.registerProcessingTime(namespace, at),
    remove: (timers: KeyedTimers, namespace: string, at: number) => timers.deleteProcessingTime(namespace, at),
    count: (timers: KeyedTimers) => timers.counts().processingTime,
    others: (timers: KeyedTimers) => timers.counts().eventTime,
    advance: ({ time }: ReturnType<typeof logical>, at: number) => time.to(at)
  }
]

describe("the timers of an operator", () => {
  it("TI-03: however many there are, one physical timer, for the earliest", () => {
    const { keys, time, timers } = logical()
    keys.setCurrentKey("key")
    for (const at of [10, 20, 30]) timers.registerProcessingTime("ciao", at)
    for (const at of [10, 20]) timers.registerProcessingTime("hello", at)
    const left = () => [timers.counts().processingTime, time.times]
    expect(left()).toEqual([5, [10]])
    time.to(10)
    expect(left()).toEqual([3, [20]])
    time.to(20)
    expect(left()).toEqual([1, [30]])
    time.to(30)
    expect(left()).toEqual([0, []])
    timers.registerProcessingTime("ciao", 40)
    expect(left()).toEqual([1, [40]])
  })

  it("TI-04: an earlier one takes the physical timer's place", () => {
    const { keys, time, timers } = logical()
    keys.setCurrentKey("key")
    timers.registerProcessingTime("ciao", 20)
    expect(time.times).toEqual([20])
    timers.registerProcessingTime("ciao", 10)
    expect(time.times).toEqual([10])
    expect(timers.counts().processingTime).toBe(2)
  })

  it("TI-05: one that registers another as it fires leaves one physical timer", () => {
    const { fired, keys, onTimer, time, timers } = logical()
    keys.setCurrentKey("key")
    timers.registerProcessingTime("ciao", 10)
    onTimer(({ timestamp }) => {
      if (timestamp < 30) timers.registerProcessingTime("ciao", timestamp + 10)
    })
    time.to(10)
    expect(time.times).toEqual([20])
    time.to(20)
    expect(time.times).toEqual([30])
    time.to(30)
    expect(time.times).toEqual([])
    expect(fired).toEqual(["10 key ciao", "20 key ciao", "30 key ciao"])
  })

  it.each(domains)("TI-06, TI-07: two keys, two namespaces: all four fire, once, when their time has come: $domain", (
    { advance, count, others, register }
  ) => {
    const unit = logical()
    const { fired, keys, timers } = unit
    for (const key of ["one", "two"]) {
      keys.setCurrentKey(key)
      for (const namespace of ["ciao", "hello"]) {
        register(timers, namespace, 10)
        // one timer for each key, namespace and time
        register(timers, namespace, 10)
      }
    }
    expect([count(timers), others(timers)]).toEqual([4, 0])
    advance(unit, 9)
    expect(fired).toEqual([])
    advance(unit, 10)
    expect(fired).toEqual(["10 one ciao", "10 one hello", "10 two ciao", "10 two hello"])
    expect(count(timers)).toBe(0)
    advance(unit, 1000)
    expect(fired).toHaveLength(4)
  })

  it.each(domains)("TI-08: one that is deleted does not fire: $domain", ({ advance, count, register, remove }) => {
    const unit = logical()
    const { fired, keys, timers } = unit
    for (const key of ["one", "two"]) {
      keys.setCurrentKey(key)
      for (const namespace of ["ciao", "hello"]) register(timers, namespace, 10)
    }
    keys.setCurrentKey("one")
    remove(timers, "hello", 10)
    keys.setCurrentKey("two")
    remove(timers, "ciao", 10)
    // there is none at that time
    remove(timers, "hello", 11)
    expect(count(timers)).toBe(2)
    advance(unit, 10)
    expect(fired).toEqual(["10 one ciao", "10 two hello"])
  })

  it.scoped("TI-15: watermark, time and timestamp are those of the moment", () =>
    Effect.gen(function*() {
      const h = yield* Harness.oneInput((input: Numbers) =>
        input.pipe(
          KeyedStream.keyBy((n) => n),
          KeyedStream.process({ onElement: (_, ctx) => [{ watermark: ctx.watermark, now: ctx.processingTime(), at: ctx.timestamp }] })
        )
      )
      const { record } = StreamElement
      yield* h.element(1)
      yield* h.watermark(17)
      yield* h.advanceProcessingTime(5)
      yield* h.element(2, 20)
      yield* h.watermark(42)
      yield* h.advanceProcessingTime(5)
      yield* h.element(3, 13)
      expect((yield* h.output).filter(({ _tag }) => _tag === "Record")).toEqual([
        record({ watermark: Watermark.MIN, now: 0, at: undefined }, undefined),
        record({ watermark: 17, now: 5, at: 20 }, 20),
        record({ watermark: 42, now: 10, at: 13 }, 13)
      ])
    }))
})
