/** CA: how a task is canceled, at any point of its life. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Schema } from "effect"
import type { StreamOperator } from "sluice"
import { CheckpointStorage, DataStream, Job, KeyedStream, Lifecycle, State } from "sluice"
import { Observer } from "sluice/testing"
import * as memory from "../../src/storage/memoryStorage.js"
import type { StreamTask } from "../../src/task/StreamTask.js"
import * as Rig from "../support/TaskRig.js"
import { announced, gate, only, operator, pass, quiet, settle, source, steps, stepsOf, until } from "./support.js"

/** a job that runs, with every step of its tasks */
const started = <E>(job: Job.Job<E>, onEvent: (event: Lifecycle.LifecycleEvent, cancel: () => void) => void = () => {}) =>
  Effect.gen(function*() {
    const { events, observe } = Observer.recording()
    let cancel = () => {}
    const fiber = yield* Effect.fork(
      Effect.provideService(Job.run(job), Lifecycle.LifecycleObserver, {
        observe: (event) => {
          observe(event)
          onEvent(event, () => cancel())
        }
      })
    )
    cancel = () => fiber.unsafeInterruptAsFork(fiber.id())
    return { events, fiber, seen: (step: string) => steps(events).includes(step) }
  })

/** a source that has nothing and never ends */
const silent = source<number>("source", () => ({ recordsRead: 0, poll: () => "nothing-available", fetch: Effect.never }))

const canceled = <A, E>(exit: Exit.Exit<A, E>) => Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)

describe("cancel before and while a task comes up", () => {
  it.live.each(["setInitialState", "source.open", "source.run"])(
    "CA-02: canceled at %s, a source gives nothing: no record, no MAX",
    (at) =>
      Effect.gen(function*() {
        const out: Array<unknown> = []
        const job = Job.make(
          "silent",
          silent.pipe(
            operator<number>("op", () => ({
              processElement: ({ value }) => void out.push(value),
              processWatermark: (watermark) => void out.push(watermark)
            })),
            DataStream.runForEach(() => {})
          )
        )
        const { events, fiber, seen } = yield* started(job, ({ operator, phase }, cancel) => {
          if ((operator === undefined ? phase : `${operator}.${phase}`) === at) cancel()
        })
        expect(canceled(yield* Fiber.await(fiber))).toBe(true)
        expect(out).toEqual([])
        expect(seen(at)).toBe(true)
        expect(events.at(-1)?.phase).toBe("canceled")
      }).pipe(Effect.provide(quiet))
  )

  it.live("CA-03: canceled before it starts, no operator is ever made", () =>
    Effect.gen(function*() {
      let made = 0
      const job = Job.make(
        "never",
        DataStream.range(1, 3).pipe(
          DataStream.transform(
            "op",
            Effect.sync(() => {
              made++
              return pass
            })
          ),
          DataStream.runForEach(() => {})
        )
      )
      const { events, fiber } = yield* started(job)
      expect(canceled(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(made).toBe(0)
      expect(events).toEqual([])
    }).pipe(Effect.provide(quiet)))

  it.live("CA-04: canceled while an operator is being made: canceled, and nothing to close", () =>
    Effect.gen(function*() {
      let begun = false
      const making = Effect.zipRight(
        Effect.sync(() => {
          begun = true
        }),
        Effect.never
      )
      const job = Job.make("making", DataStream.range(1, 3).pipe(DataStream.transform("op", making), DataStream.runForEach(() => {})))
      const { events, fiber } = yield* started(job)
      yield* until(() => begun)
      expect(canceled(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(steps(events)).toEqual(["setInitialState", "taskCleanup", "commonCleanup", "canceled"])
    }).pipe(Effect.provide(quiet)))

  it.live("CA-05: canceled while it restores: it never says that it runs", () =>
    Effect.gen(function*() {
      const job = Job.make(
        "restoring",
        DataStream.range(1, 3).pipe(
          operator<number>("op", () => ({ ...pass, initializeState: () => Effect.never })),
          DataStream.runForEach(() => {})
        )
      )
      const { events, fiber, seen } = yield* started(job)
      yield* until(() => seen("op.initializeState"))
      expect(canceled(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(announced(events)).toEqual(["initializing", "canceled"])
      expect(stepsOf(events, "op").at(-1)).toBe("close")
    }).pipe(Effect.provide(quiet)))

  it.live("CA-06: canceled while it runs: initializing, running, canceled", () =>
    Effect.gen(function*() {
      const { events, fiber, seen } = yield* started(Job.make("running", DataStream.runForEach(silent, () => {})))
      yield* until(() => seen("source.run"))
      expect(canceled(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(announced(events)).toEqual(["initializing", "running", "canceled"])
    }).pipe(Effect.provide(quiet)))

  /** keyed state and operator state */
  const stateful = Job.make(
    "stateful",
    DataStream.generate({ make: (i) => i }).pipe(
      KeyedStream.keyBy((i) => i % 3),
      KeyedStream.process({ state: { n: State.value(Schema.Number, { default: 0 }) }, onElement: (_, ctx) => ctx.state.n.set(1) }),
      DataStream.uid("count"),
      DataStream.runForEach(() => {})
    )
  )

  it.live.each(["metadata", "state"])("CA-17: canceled while a checkpoint's %s is being read", (what) =>
    Effect.gen(function*() {
      const storage = yield* memory.make
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(stateful)
        return yield* handle.stopWithSavepoint()
      })).pipe(Effect.provideService(CheckpointStorage.CheckpointStorage, storage))
      let reading = 0
      let interrupted = 0
      const stuck = Effect.onInterrupt(Effect.zipRight(Effect.sync(() => void reading++), Effect.never), () =>
        Effect.sync(() => void interrupted++))
      const slow: CheckpointStorage.Storage = {
        open: (job) =>
          Effect.map(storage.open(job), (store) => ({
            ...store,
            ...what === "state"
              ? {
                read: () =>
                  stuck
              }
              : { metadata: () => stuck }
          }))
      }
      const fiber = yield* Effect.fork(
        Job.run(stateful, { restore: { savepoint: before.id } }).pipe(Effect.provideService(CheckpointStorage.CheckpointStorage, slow))
      )
      yield* until(() => reading > 0)
      expect(canceled(yield* Fiber.interrupt(fiber))).toBe(true)
      expect([reading, interrupted]).toEqual([1, 1])
      // and the store is free again
      expect(
        yield* CheckpointStorage.latest("stateful")
          .pipe(Effect.provideService(CheckpointStorage.CheckpointStorage, storage))
      ).toBe(before.id)
    }).pipe(Effect.provide(quiet)))
})

describe("cancel against failure", () => {
  it.live("CA-07: what fails after cancel was asked for leaves it canceled", () =>
    Effect.gen(function*() {
      const job = Job.make(
        "late",
        DataStream.range(1, 3).pipe(
          operator<number, number, string>("op", () => ({
            open: Effect.addFinalizer(() => Effect.die("in a finalizer")),
            processElement: () => Effect.onInterrupt(Effect.never, () => Effect.die("in the body")),
            close: Effect.fail("in close")
          })),
          DataStream.runForEach(() => {})
        )
      )
      const { events, fiber, seen } = yield* started(job)
      yield* until(() => seen("op.run"))
      yield* settle
      const exit = yield* Fiber.interrupt(fiber)
      expect(canceled(exit)).toBe(true)
      expect(announced(events)).toEqual(["initializing", "running", "canceled"])
    }).pipe(Effect.provide(quiet)))

  it.scoped("CA-08: cancel after a task has failed changes nothing", () =>
    Effect.gen(function*() {
      const h = yield* only<number, number, string>(() => ({ processElement: () => Effect.fail("broken") }))
      yield* Effect.exit(h.element(1))
      expect(yield* h.close).toEqual({ _tag: "failed", cause: Cause.fail("broken") })
      expect(yield* h.close).toEqual({ _tag: "failed", cause: Cause.fail("broken") })
    }))

  it.scoped("CA-08: cancel while a failed task closes changes nothing", () =>
    Effect.gen(function*() {
      const { open, wait } = gate()
      const h = yield* only<number, number, string>(() => ({ processElement: () => Effect.fail("broken"), close: wait }))
      const element = yield* Effect.fork(h.element(1))
      yield* until(() => h.task.state === "closing")
      const closing = yield* Effect.fork(h.close)
      yield* settle
      open()
      yield* Fiber.join(closing)
      expect(h.task.state).toBe("failed")
      expect(announced(yield* h.lifecycle)).toEqual(["initializing", "running", "failed"])
      yield* Fiber.await(element)
    }))

  it.scoped("CA-09: a function that interrupts itself cancels its task", () =>
    Effect.gen(function*() {
      const h = yield* only<number>(() => ({ processElement: () => Effect.interrupt }))
      yield* h.element(1)
      expect(yield* h.close).toEqual({ _tag: "canceled" })
      expect(announced(yield* h.lifecycle)).toEqual(["initializing", "running", "canceled"])
    }))

  it.scoped("CA-09: one that interrupts itself after the task has failed otherwise leaves it failed", () =>
    Effect.gen(function*() {
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number, number, string>(() => ({
        setup: (ctx) => {
          context = ctx
        },
        processElement: () =>
          Effect.zipRight(
            Effect.sync(() => void context.fork(Effect.fail("external"))),
            Effect.onInterrupt(Effect.never, () => Effect.interrupt)
          )
      }))
      yield* Effect.exit(h.element(1))
      expect(yield* h.close).toEqual({ _tag: "failed", cause: Cause.fail("external") })
    }))

  it.live("CA-10: what is to clean up at a cancel fails: everything else is released all the same", () =>
    Effect.gen(function*() {
      const released: Array<string> = []
      const acquire = (name: string) => Effect.addFinalizer(() => Effect.sync(() => void released.push(name)))
      const job = Job.make(
        "hook",
        DataStream.range(1, 3).pipe(
          operator<number>("op", () => ({
            open: acquire("first").pipe(
              Effect.zipRight(Effect.addFinalizer(() => Effect.die("a finalizer"))),
              Effect.zipRight(acquire("second"))
            ),
            processElement: () => Effect.onInterrupt(Effect.never, () => Effect.die("the hook")),
            close: Effect.die("close")
          })),
          operator<number>("next", () => ({ ...pass, open: acquire("next") })),
          DataStream.runForEach(() => {})
        )
      )
      const { events, fiber, seen } = yield* started(job)
      yield* until(() => seen("op.run"))
      yield* settle
      yield* Fiber.interrupt(fiber)
      expect(released).toEqual(["second", "first", "next"])
      expect(events.at(-1)?.phase).toBe("canceled")
    }).pipe(Effect.provide(quiet)))
})

describe("cancel of what is stuck", () => {
  const variants = [
    { pending: false, throws: false },
    { pending: false, throws: true },
    { pending: true, throws: false },
    { pending: true, throws: true }
  ]

  it.live.each(variants)(
    "CA-11: canceled while a record holds the lock for ever (what waits for it: $pending, the cancel throws: $throws)",
    (
      { pending, throws }
    ) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        let stuck = false
        let context!: StreamOperator.OperatorContext<number>
        const job = Job.make(
          "stuck",
          DataStream.range(1, 3).pipe(
            operator<number>("op", () => ({
              setup: (ctx) => {
                context = ctx
              },
              processElement: () => {
                stuck = true
                if (pending) {
                  context.execute(() => void ran.push("mail"))
                  context.processingTime.schedule(0, () => void ran.push("timer"))
                }
                return throws
                  ? Effect.onInterrupt(Effect.never, () => {
                    throw new Error("in cancel")
                  })
                  : Effect.never
              },
              notifyCheckpointComplete: () => void ran.push("notification")
            })),
            DataStream.runForEach(() => {})
          )
        )
        const { events, fiber } = yield* started(job)
        yield* until(() => stuck)
        yield* settle
        expect(canceled(yield* Fiber.interrupt(fiber))).toBe(true)
        yield* settle
        expect(ran).toEqual([])
        expect(announced(events)).toEqual(["initializing", "running", "canceled"])
      }).pipe(Effect.provide(quiet))
  )

  it.live("CA-12: a source that does not listen keeps its task, until it comes back", () =>
    Effect.gen(function*() {
      const { open, wait } = gate()
      let fetching = false
      const deaf = source<number>("source", () => ({
        recordsRead: 0,
        poll: () => "nothing-available",
        fetch: Effect.uninterruptible(Effect.zipRight(
          Effect.sync(() => {
            fetching = true
          }),
          wait
        ))
      }))
      const { events, fiber, seen } = yield* started(Job.make("deaf", DataStream.runForEach(deaf, () => {})))
      yield* until(() => fetching)
      for (let i = 0; i < 10; i++) yield* Fiber.interruptFork(fiber)
      yield* settle
      expect(seen("source.close")).toBe(false)
      expect(announced(events)).toEqual(["initializing", "running"])
      open()
      expect(canceled(yield* Fiber.await(fiber))).toBe(true)
      expect(steps(events).slice(-4)).toEqual(["source.close", "forEach.close", "commonCleanup", "canceled"])
    }).pipe(Effect.provide(quiet)))

  it.live("CA-13: what closes is not interrupted any more", () =>
    Effect.gen(function*() {
      const { open, wait } = gate()
      const log: Array<string> = []
      const job = Job.make(
        "closing",
        DataStream.range(1, 3).pipe(
          operator<number>("op", () => ({
            ...pass,
            close: Effect.sync(() => void log.push("closing")).pipe(
              Effect.zipRight(Effect.onInterrupt(wait, () => Effect.sync(() => void log.push("interrupted")))),
              Effect.zipRight(Effect.sync(() => void log.push("closed")))
            )
          })),
          DataStream.runForEach(() => {})
        )
      )
      const { events, fiber } = yield* started(job)
      yield* until(() => log.length > 0)
      for (let i = 0; i < 10; i++) yield* Fiber.interruptFork(fiber)
      yield* settle
      open()
      yield* Fiber.await(fiber)
      expect(log).toEqual(["closing", "closed"])
      expect(steps(events).filter((step) => step.endsWith(".close"))).toEqual(["range.close", "op.close", "forEach.close"])
    }).pipe(Effect.provide(quiet)))

  it.live("CA-15: canceled while it stops with a savepoint that is not complete: it waits for nothing", () =>
    Effect.gen(function*() {
      const job = Job.make(
        "stopping",
        DataStream.generate({ make: (i) => i }).pipe(
          operator<number>("op", () => ({ ...pass, snapshotState: ({ defer }) => defer(Effect.never) })),
          DataStream.runForEach(() => {})
        )
      )
      const { events, observe } = Observer.recording()
      yield* Effect.gen(function*() {
        const handle = yield* Job.start(job)
        const stop = yield* Effect.fork(handle.stopWithSavepoint())
        yield* until(() => steps(events).includes("finalCheckpoint"))
        yield* settle
        yield* handle.cancel
        expect(yield* handle.status).toBe("canceled")
        expect(yield* Fiber.await(stop)).toMatchObject({ cause: { error: { _tag: "CheckpointFailed", reason: "COORDINATOR_SHUTDOWN" } } })
      }).pipe(Effect.scoped, Effect.provideService(Lifecycle.LifecycleObserver, { observe }))
      expect(announced(events)).toEqual(["initializing", "running", "canceled"])
    }).pipe(Effect.provide(Layer.merge(quiet, CheckpointStorage.layerMemory))))

  it.live("CA-16: canceled while a snapshot is being written: what the writer holds is released", () =>
    Effect.gen(function*() {
      const storage = yield* memory.make
      const log: Array<string> = []
      const stuck: CheckpointStorage.Storage = {
        open: (job) =>
          Effect.map(storage.open(job), (store) => ({
            ...store,
            begin: (id) =>
              Effect.map(store.begin(id), (writer) => ({
                ...writer,
                write: () =>
                  Effect.acquireUseRelease(
                    Effect.sync(() => void log.push("opened")),
                    () => Effect.never,
                    () => Effect.sync(() => void log.push("released"))
                  ),
                abort: Effect.zipRight(Effect.sync(() => void log.push("removed")), writer.abort)
              }))
          }))
      }
      yield* Effect.gen(function*() {
        const handle = yield* Job.start(Job.make("writing", DataStream.runForEach(silent, () => {})))
        const checkpoint = yield* Effect.fork(handle.triggerCheckpoint)
        yield* until(() => log.length > 0)
        yield* handle.cancel
        expect(yield* handle.status).toBe("canceled")
        expect(log).toEqual(["opened", "released", "removed"])
        expect(Exit.isFailure(yield* Fiber.await(checkpoint))).toBe(true)
      }).pipe(Effect.scoped, Effect.provideService(CheckpointStorage.CheckpointStorage, stuck))
    }).pipe(Effect.provide(quiet)))
})

describe("cancel against a barrier that overtakes", () => {
  it.scoped("CA-22: a hundred times, the one or the other a little earlier: one snapshot or none, canceled, and nothing else", () =>
    Effect.gen(function*() {
      const outcomes = new Set<string>()
      for (let i = 0; i < 100; i++) {
        const rig = yield* Rig.make((input) => DataStream.map(input, (n) => n), { checkpoint: { alignment: "unaligned" } })
        const overtake = Effect.sync(() => rig.channels[0].overtake(Rig.overtakingOf(1)))
        const cancel = Effect.fork(rig.cancel)
        const [first, second] = i % 2 === 0 ? [overtake, cancel] : [cancel, overtake]
        yield* first
        for (let n = 0; n < i >> 3; n++) yield* Effect.yieldNow()
        yield* second
        yield* rig.settle
        expect(rig.end()).toEqual({ _tag: "canceled" })
        const snapshots = rig.logged("map.snapshotState")
        expect(snapshots.length).toBeLessThanOrEqual(1)
        expect(rig.sent[0]).toEqual(snapshots.map(() => "overtaking barrier 1"))
        expect(rig.logged("decline")).toEqual([])
        outcomes.add(`${snapshots.length}`)
      }
      expect(Array.from(outcomes).sort()).toEqual(["0", "1"])
    }))
})

describe("how the end is told", () => {
  it.live.each(["finished", "failed", "canceled"] as const)(
    "CA-19: nobody is told of the end before all is closed: %s",
    (how) =>
      Effect.gen(function*() {
        const { open, wait } = gate()
        let closing = false
        const job = Job.make(
          "end",
          (how === "canceled" ? silent : DataStream.range(1, 3)).pipe(
            operator<number, number, string>("op", () => ({
              processElement: () => how === "failed" ? Effect.fail("broken") : undefined,
              close: Effect.zipRight(
                Effect.sync(() => {
                  closing = true
                }),
                wait
              )
            })),
            DataStream.runForEach(() => {})
          )
        )
        yield* Effect.gen(function*() {
          const handle = yield* Job.start(job)
          const end = yield* Effect.fork(Effect.exit(handle.await))
          const cancel = how === "canceled" ? yield* Effect.fork(handle.cancel) : undefined
          yield* until(() => closing)
          yield* settle
          expect((yield* Fiber.poll(end))._tag).toBe("None")
          if (cancel !== undefined) expect((yield* Fiber.poll(cancel))._tag).toBe("None")
          open()
          const exit = yield* Fiber.join(end)
          if (how === "finished") expect(exit).toMatchObject({ _tag: "Success", value: { status: "finished" } })
          if (how === "failed") {
            expect(exit).toMatchObject({ _tag: "Failure", cause: { error: { _tag: "JobFailed", cause: Cause.fail("broken") } } })
          }
          if (how === "canceled") {
            expect(canceled(exit)).toBe(true)
          }
          expect(yield* handle.status).toBe(how)
        }).pipe(Effect.scoped)
      }).pipe(Effect.provide(quiet))
  )

  it.scoped("CA-20: what comes after the end is taken without complaint", () =>
    Effect.gen(function*() {
      const late: Array<string> = []
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number>(() => ({
        ...pass,
        setup: (ctx) => {
          context = ctx
        },
        notifyCheckpointAborted: () => void late.push("aborted")
      }))
      const end = yield* h.finish
      context.execute(() => void late.push("mail"))
      context.processingTime.schedule(0, () => void late.push("timer"))
      yield* h.notifyCheckpointAborted(1)
      yield* h.advanceProcessingTime("1 minute")
      expect(yield* h.close).toBe(end)
      expect(late).toEqual([])
      expect((h.task as StreamTask).isResting).toBe(true)
    }))
})
