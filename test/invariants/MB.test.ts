/** MB: Flink's mailbox, which is here the checkpoint lock, the loop of slices, and what operators ask to be run between batches. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, FiberRef } from "effect"
import type { StreamOperator } from "sluice"
import { Checkpoint, ConnectedStreams, DataStream, Job, StreamElement } from "sluice"
import { CheckpointLock } from "../../src/task/CheckpointLock.js"
import type { OperatorChain } from "../../src/task/OperatorChain.js"
import { Parker } from "../../src/task/Parker.js"
import type { InputStatus } from "../../src/task/Slices.js"
import { Slices } from "../../src/task/Slices.js"
import type { StreamTask } from "../../src/task/StreamTask.js"
import { gate, only, operator, pass, quiet, settle, source, stepsOf, until, watched } from "./support.js"

type Context = StreamOperator.OperatorContext<number>

/** a loop over steps of the test's own */
const loop = (
  step: (n: number) => InputStatus,
  chain: Pick<OperatorChain, "isBackpressured"> & Partial<OperatorChain> = { isBackpressured: false }
) => {
  const parker = new Parker()
  const lock = new CheckpointLock()
  const whole = Object.assign(chain, {
    isParked: false,
    drain: Effect.void,
    endBatch: () => {},
    flush: () => {},
    ...chain
  }) as OperatorChain
  let steps = 0
  const slices = new Slices(
    lock,
    parker,
    () => whole,
    () => 0,
    () => step(++steps),
    () => undefined,
    () => false
  )
  return { slices, parker, lock, steps: () => steps }
}

/** fails rather than hang the process */
const enough = (n: number): void => {
  if (n > 100_000) throw new Error("nothing else had its turn")
}

const say = (log: Array<string>, what: string) => () => void log.push(what)

describe("one thing at a time", () => {
  it.live("MB-01: all hooks of a task see the context in which the job was run, and never run at a time", () =>
    Effect.gen(function*() {
      const where = FiberRef.unsafeMake("nowhere")
      const seen: Array<string> = []
      let inside = 0
      let overlaps = 0
      const hook = (name: string) =>
        Effect.gen(function*() {
          if (++inside > 1) overlaps++
          yield* settle
          seen.push(`${name} ${yield* FiberRef.get(where)}`)
          inside--
        })
      const hooks: StreamOperator.StreamOperator<number, number> = {
        setup: ({ execute }) => execute(() => hook("execute")),
        initializeState: () => hook("initializeState"),
        open: hook("open"),
        processElement: () => hook("processElement"),
        processWatermark: () => hook("processWatermark"),
        snapshotState: () => hook("snapshotState"),
        notifyCheckpointComplete: () => hook("notifyCheckpointComplete"),
        endInput: () => hook("endInput"),
        finish: () => hook("finish"),
        close: hook("close")
      }
      const stream = DataStream.range(1, 1).pipe(operator("op", () => hooks), DataStream.runForEach(() => {}))
      yield* Effect.locally(watched(Job.make("context", stream), { checkpoint: { interval: "1 hour" } }), where, "here")
      expect(overlaps).toBe(0)
      expect(seen.slice().sort()).toEqual(
        ["execute", ...Object.keys(hooks).filter((name) => name !== "setup")].map((name) => `${name} here`).sort()
      )
    }))

  it.live("MB-02: a snapshot and the emission of a source exclude each other, and snapshots each other", () =>
    Effect.gen(function*() {
      const out: Array<number> = []
      const snapshots: Array<readonly [before: number, after: number]> = []
      let emitted = 0
      let taking = 0
      let together = 0
      const counting = source<number>("source", () => ({
        recordsRead: 0,
        poll: (output) => {
          if (emitted === 100 && snapshots.length >= 5) return "end-of-input"
          if (emitted < 100 && emitted < (snapshots.length + 1) * 20) output.emit(emitted++, undefined)
          return "more-available"
        },
        fetch: Effect.never,
        snapshotState: () =>
          Effect.gen(function*() {
            const before = emitted
            if (++taking > 1) together++
            yield* settle
            taking--
            snapshots.push([before, emitted])
          })
      }))
      yield* Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("exclusive", DataStream.runForEach(counting, (n) => void out.push(n))), {
          checkpoint: { interval: "1 hour", maxConcurrent: 5, finalCheckpoint: false }
        })
        yield* Effect.forEach([1, 2, 3, 4, 5], () => handle.triggerCheckpoint, { concurrency: "unbounded" })
        yield* handle.await
        // after the end it is refused, and said so
        expect(yield* Effect.exit(handle.triggerCheckpoint)).toMatchObject({
          _tag: "Failure",
          cause: { error: { _tag: "CheckpointFailed" } }
        })
      }).pipe(Effect.scoped)
      expect(out).toEqual(Array.from({ length: 100 }, (_, i) => i))
      expect(snapshots).toHaveLength(5)
      for (const [before, after] of snapshots) expect(after).toBe(before)
      expect(together).toBe(0)
    }).pipe(Effect.provide(quiet)))

  it.scoped("MB-03: triggers, aborts, notifications and what operators ask for wait for the lock", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { open, wait } = gate()
      let context!: Context
      const h = yield* only<number>(() => ({
        setup: (ctx) => {
          context = ctx
        },
        processElement: () => Effect.zipRight(Effect.zipRight(wait, settle), Effect.sync(say(log, "element"))),
        snapshotState: ({ checkpointId }) => void log.push(`snapshot ${checkpointId}`),
        notifyCheckpointComplete: (id) => void log.push(`complete ${id}`),
        notifyCheckpointAborted: (id) => void log.push(`aborted ${id}`)
      }))
      const fibers = [yield* Effect.fork(h.element(1))]
      yield* settle
      context.execute(say(log, "action"))
      fibers.push(yield* Effect.fork(Effect.ignore(h.snapshot(2))))
      fibers.push(yield* Effect.fork(h.notifyCheckpointComplete(1)))
      fibers.push(yield* Effect.fork(h.notifyCheckpointAborted(1)))
      yield* settle
      expect(log).toEqual([])
      open()
      yield* Effect.forEach(fibers, Fiber.await)
      expect(log[0]).toBe("element")
      expect(log.slice(1).sort()).toEqual(["aborted 1", "action", "complete 1", "snapshot 2"])
    }))

  it.live("MB-03: a trigger of a source is taken when the lock is free, not when it is called", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { open, wait } = gate()
      let busy = false
      const stream = DataStream.range(1, 1).pipe(
        operator<number>("op", () => ({
          processElement: () => {
            busy = true
            return Effect.zipRight(Effect.zipRight(wait, settle), Effect.sync(say(log, "element")))
          },
          prepareSnapshotPreBarrier: say(log, "pre-barrier"),
          snapshotState: say(log, "snapshot")
        })),
        DataStream.runForEach(() => {})
      )
      yield* Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("trigger", stream))
        yield* until(() => busy)
        const checkpoint = yield* Effect.fork(handle.triggerCheckpoint)
        yield* settle
        expect(log).toEqual([])
        open()
        yield* Fiber.join(checkpoint)
        expect(log.slice(0, 3)).toEqual(["element", "pre-barrier", "snapshot"])
      }).pipe(Effect.scoped)
    }).pipe(Effect.provide(quiet)))

  it.live.each(["more", "nothing", "end"] as const)(
    "MB-03: nobody comes between a step and the Effect that it left to run: %s",
    (status) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const chain = {
          isBackpressured: false,
          isParked: false,
          drain: Effect.suspend(() => {
            if (chain.isParked) log.push("its effect")
            chain.isParked = false
            return settle
          })
        }
        const { lock, parker, slices } = loop((n) => {
          if (n > 1) return "end"
          log.push("element")
          chain.isParked = true
          // waits for the lock from here on
          Effect.runFork(Effect.ensuring(lock.hold(Effect.sync(say(log, "other"))), Effect.sync(parker.wake)))
          return status
        }, chain)
        yield* slices.run(() => false)
        yield* settle
        expect(log).toEqual(["element", "its effect", "other"])
      })
  )

  it.live("MB-03: nor between what was asked for and the Effect that it left to run", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const chain = {
        isBackpressured: false,
        isParked: false,
        drain: Effect.sync(() => {
          if (chain.isParked) log.push("its effect")
          chain.isParked = false
        })
      }
      const { lock, parker, slices } = loop(() => "end", chain)
      slices.execute(() =>
        Effect.sync(() => {
          log.push("action")
          chain.isParked = true
          Effect.runFork(Effect.ensuring(lock.hold(Effect.sync(say(log, "other"))), Effect.sync(parker.wake)))
        })
      )
      yield* slices.run(() => false)
      yield* settle
      expect(log).toEqual(["action", "its effect", "other"])
    }))

  it.live("MB-13: who closes waits for the section in hand, and what was asked for in it is not run", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { open, wait } = gate()
      let context!: Context
      let entered = false
      const stream = DataStream.range(1, 3).pipe(
        operator<number>("op", () => ({
          setup: (ctx) => {
            context = ctx
          },
          processElement: () =>
            Effect.uninterruptible(Effect.gen(function*() {
              entered = true
              for (let i = 0; i < 10; i++) context.execute(say(log, "action"))
              yield* wait
              log.push("section")
            })),
          close: Effect.sync(say(log, "close"))
        })),
        DataStream.runForEach(() => {})
      )
      const fiber = yield* Effect.fork(Job.run(Job.make("section", stream)))
      yield* until(() => entered)
      yield* Fiber.interruptFork(fiber)
      yield* settle
      expect(log).toEqual([])
      open()
      yield* Fiber.await(fiber)
      expect(log).toEqual(["section", "close"])
    }).pipe(Effect.provide(quiet)))
})

describe("what operators ask for", () => {
  it.live("MB-04: is run in the order in which it was asked for, also where it answers with an Effect", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { slices } = loop((n) => n < 5 ? "more" : "end")
      slices.execute(say(log, "A"))
      slices.execute(() => Effect.zipRight(settle, Effect.sync(say(log, "B"))))
      slices.execute(say(log, "C"))
      slices.execute(() => Effect.sync(say(log, "D")))
      yield* slices.run(() => false)
      expect(log).toEqual(["A", "B", "C", "D"])
    }))

  it.live("MB-05: is refused from the stop without drain on: what operators hold is in the savepoint", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { slices } = loop(() => "end")
      slices.execute(say(log, "before"))
      yield* slices.run(() => false)
      slices.execute(say(log, "waiting"))
      slices.quiesce()
      slices.execute(say(log, "after"))
      expect(slices.hasMails).toBe(false)
      yield* slices.waitFor(() => true)
      expect(log).toEqual(["before"])
    }))

  it.scoped("MB-05: is refused without complaint after the end", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let context!: Context
      const h = yield* only<number>(() => ({
        ...pass,
        setup: (ctx) => {
          context = ctx
        },
        finish: () => context.execute(say(log, "queued"))
      }))
      yield* h.finish
      context.execute(say(log, "late"))
      yield* settle
      expect(log).toEqual(["queued"])
    }))

  it.scoped("MB-06: who waits for the lock when a task is canceled is let go, and not run", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let held = false
      const h = yield* only<number>(() => ({
        processElement: () => {
          held = true
          return Effect.never
        },
        notifyCheckpointComplete: say(log, "complete")
      }))
      yield* Effect.fork(h.element(1))
      yield* until(() => held)
      const waiting = yield* Effect.fork(h.task.notifyCheckpointCompleteAsync(1))
      yield* settle
      expect((yield* Fiber.poll(waiting))._tag).toBe("None")
      expect(yield* h.close).toEqual({ _tag: "canceled" })
      yield* Fiber.join(waiting)
      expect(log).toEqual([])
      // and who comes later is refused at once
      yield* h.task.notifyCheckpointCompleteAsync(2)
      const barrier = { _tag: "CheckpointBarrier", id: 1, timestamp: 0, kind: Checkpoint.checkpoint } as const
      expect(yield* h.task.triggerCheckpointAsync(barrier)).toBe(false)
      expect(log).toEqual([])
    }))

  it.live("MB-08: what asks for itself for ever does not starve input", () =>
    Effect.gen(function*() {
      let asked = 0
      const { slices } = loop((n) => n < 3 ? "more" : "end")
      const again = () => {
        enough(++asked)
        slices.execute(again)
      }
      slices.execute(again)
      yield* slices.run(() => false)
      expect(asked).toBe(3)
    }))

  it.live("MB-08: nor where it answers with an Effect", () =>
    Effect.gen(function*() {
      let asked = 0
      const { slices } = loop((n) => n < 3 ? "more" : "end")
      const again = () =>
        Effect.sync(() => {
          enough(++asked)
          slices.execute(again)
        })
      slices.execute(again)
      yield* slices.run(() => false)
      expect(asked).toBe(3)
    }))

  it.live("MB-08: nor does a timer that registers itself for now", () =>
    Effect.gen(function*() {
      let fired = 0
      let elements = 0
      const stream = source<number>("source", () => ({
        recordsRead: 0,
        setup: ({ processingTime }) => {
          const tick = () => {
            enough(++fired)
            processingTime.schedule(processingTime.now(), tick)
          }
          processingTime.schedule(0, tick)
        },
        poll: (out) => {
          if (elements >= 1000 && fired >= 10) return "end-of-input"
          out.emit(elements++, undefined)
          return "more-available"
        },
        fetch: Effect.never
      }))
      const { exit } = yield* watched(Job.make("ticking", DataStream.runForEach(stream, () => {})))
      expect(exit._tag).toBe("Success")
    }))

  it.live("MB-12: asked for from ten fibers, each is run once", () =>
    Effect.gen(function*() {
      const ran = new Map<string, number>()
      let producers = 10
      const { parker, slices } = loop(() => producers === 0 && !slices.hasMails ? "end" : "nothing")
      const consumer = yield* Effect.fork(slices.run(() => false))
      yield* Effect.forEach(
        Array.from({ length: 10 }, (_, i) => i),
        (producer) =>
          Effect.gen(function*() {
            for (let n = 0; n < 1000; n++) {
              const name = `${producer}:${n}`
              slices.execute(() => void ran.set(name, (ran.get(name) ?? 0) + 1))
              if (n % 7 === producer % 7) yield* Effect.yieldNow()
              if (n % 250 === 0) yield* settle
            }
            producers--
            parker.wake()
          }),
        { concurrency: "unbounded" }
      )
      yield* Fiber.join(consumer)
      expect(ran.size).toBe(10_000)
      expect(Array.from(ran.values()).every((n) => n === 1)).toBe(true)
    }))

  it.live("MB-14: is run in batches: what is asked for meanwhile comes after the next step of input", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { slices } = loop((n) => {
        log.push(`input ${n}`)
        return n < 3 ? "more" : "end"
      })
      slices.execute(say(log, "0"))
      slices.execute(() => {
        log.push("1")
        for (const n of ["3", "4", "5"]) slices.execute(say(log, n))
      })
      slices.execute(say(log, "2"))
      yield* slices.run(() => false)
      expect(log).toEqual(["0", "1", "2", "input 1", "3", "4", "5", "input 2", "input 3"])
    }))
})

describe("the loop", () => {
  it.live("MB-07: while it is suspended input is not asked, ten thousand times", () =>
    Effect.gen(function*() {
      const chain = { isBackpressured: false }
      let whileSuspended = 0
      const { parker, slices, steps } = loop((n) => {
        if (chain.isBackpressured) whileSuspended++
        chain.isBackpressured = true
        return n < 10_000 ? "more" : "end"
      }, chain)
      const fiber = yield* Effect.fork(slices.run(() => false))
      let resumed = 0
      while ((yield* Fiber.poll(fiber))._tag === "None") {
        if (chain.isBackpressured && parker.isParked) {
          chain.isBackpressured = false
          resumed++
          parker.wake()
        }
        yield* Effect.yieldNow()
      }
      expect(steps()).toBe(10_000)
      expect(resumed).toBe(9999)
      expect(whileSuspended).toBe(0)
    }))

  it.live("MB-09: told to stop it runs nothing more, and run again it goes on where it was", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let stop = true
      const { slices, steps } = loop((n) => n < 4 ? "more" : "end")
      slices.execute(say(log, "first"))
      yield* slices.run(() => stop)
      expect([log, steps()]).toEqual([[], 0])
      stop = false
      slices.execute(() => {
        stop = true
        return Effect.sync(() => slices.execute(say(log, "second")))
      })
      yield* slices.run(() => stop)
      expect([log, steps()]).toEqual([["first"], 0])
      stop = false
      yield* slices.run(() => stop)
      expect([log, steps()]).toEqual([["first", "second"], 4])
    }))

  it.live("MB-09: a source that is at its end is not asked again, however long its task goes on", () =>
    Effect.gen(function*() {
      let polls = 0
      const { exit } = yield* watched(
        Job.make(
          "once",
          source<number>("source", () => ({
            recordsRead: 0,
            poll: () => {
              polls++
              return "end-of-input"
            },
            fetch: Effect.never,
            snapshotState: () => settle
          })).pipe(DataStream.runForEach(() => {}))
        ),
        { checkpoint: { interval: "1 hour" } }
      )
      expect(exit).toMatchObject({ _tag: "Success", value: { checkpoints: { completed: 1 } } })
      expect(polls).toBe(1)
    }))

  it.scoped("MB-10: no record is processed in the step that brings a barrier: what it makes operators ask for is run before", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { open, wait } = gate()
      let context!: Context
      const h = yield* only<number>(() => ({
        setup: (ctx) => {
          context = ctx
        },
        processElement: ({ value }, out) => {
          log.push(`element ${value}`)
          out.emit(value, undefined)
          return value === 1 ? wait : undefined
        },
        snapshotState: () => {
          log.push("snapshot")
          context.execute(say(log, "action"))
        }
      }))
      const fibers = [yield* Effect.fork(h.element(1))]
      yield* settle
      // both are in the channel before the task sees either
      fibers.push(yield* Effect.fork(Effect.asVoid(Effect.exit(h.snapshot(1)))))
      yield* Effect.yieldNow()
      fibers.push(yield* Effect.fork(h.element(2)))
      yield* settle
      expect(log).toEqual(["element 1"])
      open()
      yield* Effect.forEach(fibers, Fiber.await)
      expect(log).toEqual(["element 1", "snapshot", "action", "element 2"])
      const { record } = StreamElement
      expect((yield* h.output).map((each) => each._tag === "Record" ? each : each._tag)).toEqual([
        record(1, undefined),
        "CheckpointBarrier",
        record(2, undefined)
      ])
    }))

  it.live("MB-15: a step takes a whole batch, and then what operators have asked for", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let context!: Context
      const stream = DataStream.range(1, 6).pipe(
        operator<number>("op", () => ({
          setup: (ctx) => {
            context = ctx
          },
          processElement: ({ value }) => {
            if (value % 3 === 1) context.execute(say(log, "action"))
            log.push(`${value}`)
          }
        })),
        DataStream.startNewChain,
        DataStream.runForEach(() => {})
      )
      yield* watched(Job.make("batches", stream), { batchSize: 3 })
      expect(log).toEqual(["1", "2", "3", "action", "4", "5", "6", "action"])
    }))

  it.live("MB-15: an operator that selects its input is asked before each record", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const taken = [0, 0]
      const take = (input: 1 | 2) => ({ value }: StreamElement.StreamRecord<number>) => {
        taken[input - 1]++
        log.push(`${input}: ${value}`)
      }
      const selecting: StreamOperator.TwoInputStreamOperator<number, number, number> = {
        processElement1: take(1),
        processElement2: take(2),
        nextSelection: () => taken[0] < 2 ? 1 : taken[1] < 3 ? 2 : "any"
      }
      const stream = ConnectedStreams.transform(
        ConnectedStreams.connect(DataStream.range(1, 3), DataStream.range(1, 3)),
        "op",
        Effect.succeed(selecting)
      )
      yield* watched(Job.make("selecting", DataStream.runForEach(stream, () => {})), { batchSize: 64 })
      expect(log).toEqual(["1: 1", "1: 2", "2: 1", "2: 2", "2: 3", "1: 3"])
    }))

  it.scoped("MB-18: a task rests when it waits for input and nothing has been asked for", () =>
    Effect.gen(function*() {
      let context!: Context
      const h = yield* only<number>(() => ({
        ...pass,
        setup: (ctx) => {
          context = ctx
        }
      }))
      const task = h.task as StreamTask
      expect(task.isResting).toBe(true)
      const { open, wait } = gate()
      context.execute(() => wait)
      expect(task.isResting).toBe(false)
      yield* settle
      // it is being run
      expect(task.isResting).toBe(false)
      open()
      yield* settle
      expect(task.isResting).toBe(true)
      expect(stepsOf(yield* h.lifecycle, "op")).not.toContain("close")
    }))
})
