/** FA: what a failure does, in each phase of a task's life. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, LogLevel, Scope } from "effect"
import type { Lifecycle, StreamOperator } from "sluice"
import { Checkpoint, ConnectedStreams, DataStream, Job, StreamError } from "sluice"
import { Harness } from "sluice/testing"
import { turn } from "../../src/task/EventLoop.js"
import type { OperatorChain } from "../../src/task/OperatorChain.js"
import type { OperatorState } from "../../src/task/OperatorState.js"
import type { Host } from "../../src/task/SubtaskCheckpoint.js"
import { SubtaskCheckpoint } from "../../src/task/SubtaskCheckpoint.js"
import { announced, Broken, gate, only, operator, pass, settle, steps, stepsOf, until, watched } from "./support.js"

type Numbers = DataStream.DataStream<number>

/** every step of a life, also of one that does not come up */
const recording = () => {
  const events: Array<Lifecycle.LifecycleEvent> = []
  return { events, observe: (event: Lifecycle.LifecycleEvent) => void events.push(event) }
}

const failureOf = <A, E>(exit: Exit.Exit<A, E>) => Exit.isFailure(exit) ? exit.cause : undefined

/** waits until no asynchronous part is under way */
const stored = (subtask: SubtaskCheckpoint) => Effect.iterate(0, { while: () => subtask.isPending(), body: (n) => Effect.as(turn, n + 1) })

describe("where it fails", () => {
  it.scoped("FA-01: restoring: it never runs, the cause is the user's, and all is cleaned up", () =>
    Effect.gen(function*() {
      const { events, observe } = recording()
      const exit = yield* Effect.exit(only<number, number, string>(() => ({ ...pass, initializeState: () => Effect.fail("no state") }), {
        observe
      }))
      expect(failureOf(exit)).toEqual(Cause.fail("no state"))
      expect(announced(events)).toEqual(["initializing", "failed"])
      expect(steps(events).slice(-4)).toEqual(["taskCleanup", "op.close", "commonCleanup", "failed"])
    }))

  it.scoped("FA-02: running: initializing, running, failed, with the user's cause", () =>
    Effect.gen(function*() {
      const h = yield* only<number, number, string>(() => ({ processElement: () => Effect.fail("no record") }))
      expect(failureOf(yield* Effect.exit(h.element(1)))).toEqual(Cause.fail("no record"))
      expect(announced(yield* h.lifecycle)).toEqual(["initializing", "running", "failed"])
    }))

  it.scoped("FA-03: making an operator: nothing is set up, nothing is closed", () =>
    Effect.gen(function*() {
      const { events, observe } = recording()
      const broken = (input: Numbers) => DataStream.transform(input, "op", Effect.fail("not made") as Effect.Effect<typeof pass, string>)
      const exit = yield* Effect.exit(Harness.oneInput(broken, { observe }))
      expect(failureOf(exit)).toEqual(Cause.fail("not made"))
      // the chain is loaded within the task's life, so its initialization has been announced
      expect(steps(events)).toEqual(["setInitialState", "taskCleanup", "commonCleanup", "failed"])
    }))

  it.scoped("FA-04: from outside, while it restores", () =>
    Effect.gen(function*() {
      const { events, observe } = recording()
      const exit = yield* Effect.exit(only<number>(() => ({
        ...pass,
        setup: (ctx) => void ctx.fork(Effect.fail("external")),
        initializeState: () => Effect.never
      }), { observe }))
      expect(failureOf(exit)).toEqual(Cause.fail("external"))
      expect(announced(events)).toEqual(["initializing", "failed"])
    }))

  it.scoped("FA-04: from outside, while it runs", () =>
    Effect.gen(function*() {
      const { open, wait } = gate()
      const h = yield* only<number>(() => ({ ...pass, setup: (ctx) => void ctx.fork(Effect.zipRight(wait, Effect.fail("external"))) }))
      open()
      yield* settle
      expect(yield* h.close).toEqual({ _tag: "failed", cause: Cause.fail("external") })
      expect(announced(yield* h.lifecycle)).toEqual(["initializing", "running", "failed"])
    }))
})

describe("which failure is the cause", () => {
  it.scoped("FA-05: the first one: what the body throws on its way out does not replace it", () =>
    Effect.gen(function*() {
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number>(() => ({
        setup: (ctx) => {
          context = ctx
        },
        processElement: () =>
          Effect.zipRight(
            Effect.sync(() => void context.fork(Effect.fail("external"))),
            Effect.onInterrupt(Effect.never, () => Effect.die("later"))
          )
      }))
      yield* Effect.exit(h.element(1))
      expect(yield* h.close).toEqual({ _tag: "failed", cause: Cause.fail("external") })
    }))

  it.live.each(["fail", "die", "throw", "promise"] as const)(
    "FA-06: nothing is wrapped around the user's own error: %s",
    (how) =>
      Effect.gen(function*() {
        const error = new Broken({ where: "disk" })
        const stream = DataStream.range(1, 3).pipe(
          operator<number, number, Broken>("op", () => ({
            processElement: () => {
              if (how === "throw") throw error
              if (how === "promise") return Effect.promise(() => Promise.reject(error))
              return how === "die" ? Effect.die(error) : Effect.fail(error)
            }
          })),
          DataStream.runForEach(() => {})
        )
        const { exit } = yield* watched(Job.make("own", stream))
        const failed = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        expect(failed).toBeInstanceOf(StreamError.JobFailed)
        expect(Cause.squash((failed as StreamError.JobFailed<Broken>).cause)).toBe(error)
      })
  )

  it.scoped("FA-07: an error in close is attached to the one in the record, and never masks it", () =>
    Effect.gen(function*() {
      const h = yield* only<number, number, string>(() => ({ processElement: () => Effect.fail("E1"), close: Effect.fail("E2") }))
      const exit = yield* Effect.exit(h.element(1))
      expect(Cause.failureOption(failureOf(exit)!)).toMatchObject({ value: "E1" })
      expect(failureOf(exit)).toEqual(Cause.sequential(Cause.fail("E1"), Cause.fail("E2")))
    }))

  /** three operators, of which those named fail in that hook */
  const three = (hook: "close" | "notifyCheckpointComplete" | "notifyCheckpointAborted", called: Array<string>, failing: string) =>
  (
    input: Numbers
  ) => {
    const make = (name: string) => (): StreamOperator.StreamOperator<number, number, string> => {
      const call = Effect.suspend(() => {
        called.push(name)
        return failing.includes(name) ? Effect.fail(name) : Effect.void
      })
      return { ...pass, [hook]: hook === "close" ? call : () => call }
    }
    return input.pipe(operator("a", make("a")), operator("b", make("b")), operator("c", make("c")))
  }

  const inSequence = (first: string, ...rest: ReadonlyArray<string>) =>
    rest.reduce((cause, next) => Cause.sequential(cause, Cause.fail(next)), Cause.fail(first) as Cause.Cause<string>)

  it.scoped("FA-08: every operator is closed though others fail; the first failure counts, the others are attached", () =>
    Effect.gen(function*() {
      const called: Array<string> = []
      const h = yield* Harness.oneInput(three("close", called, "ac"))
      expect(yield* h.finish).toEqual({ _tag: "failed", cause: inSequence("a", "c") })
      expect(called).toEqual(["a", "b", "c"])
    }))

  it.scoped.each(["notifyCheckpointComplete", "notifyCheckpointAborted"] as const)(
    "FA-08, FA-19: every operator hears %s though others fail",
    (
      hook
    ) =>
      Effect.gen(function*() {
        const called: Array<string> = []
        const h = yield* Harness.oneInput(three(hook, called, "ac"))
        const exit = yield* Effect.exit(h[hook](1))
        expect(failureOf(exit)).toEqual(inSequence("c", "a"))
        expect(called).toEqual(["c", "b", "a"])
        expect(announced(yield* h.lifecycle)).toEqual(["initializing", "running", "failed"])
      })
  )
})

describe("failures outside the loop", () => {
  it.scoped("FA-09: a fiber of the task that fails fails it, with exactly its error", () =>
    Effect.gen(function*() {
      const error = new Broken({ where: "asynchronous" })
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number>(() => ({
        setup: (ctx) => {
          context = ctx
        },
        processElement: () => void context.fork(Effect.fail(error))
      }))
      const exit = yield* Effect.exit(h.element(1))
      expect(failureOf(exit)).toEqual(Cause.fail(error))
      expect(Cause.squash(failureOf(exit)!)).toBe(error)
    }))

  it.scoped("FA-10: what fails while the task comes up fails it", () =>
    Effect.gen(function*() {
      const { events, observe } = recording()
      const exit = yield* Effect.exit(
        only<number>(() => ({ ...pass, setup: (ctx) => void ctx.fork(Effect.fail("early")), open: Effect.never }), { observe })
      )
      expect(failureOf(exit)).toEqual(Cause.fail("early"))
      expect(announced(events)).toEqual(["initializing", "failed"])
    }))

  it.scoped("FA-10: what fails when the task is over is dropped", () =>
    Effect.gen(function*() {
      let failed = false
      const h = yield* only<number>(() => ({
        ...pass,
        setup: (ctx) =>
          void ctx.fork(Effect.onInterrupt(Effect.never, () => {
            failed = true
            return Effect.die("late")
          }))
      }))
      expect(yield* h.finish).toEqual({ _tag: "finished", stopped: false })
      expect(failed).toBe(true)
    }))

  it.scoped("FA-21: an error in an action that an operator asked for comes out unchanged", () =>
    Effect.gen(function*() {
      const error = new Broken({ where: "in an action" })
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number>(() => ({
        setup: (ctx) => {
          context = ctx
        },
        processElement: () =>
          context.execute(() => {
            throw error
          })
      }))
      const exit = yield* Effect.exit(h.element(1))
      expect(failureOf(exit)).toEqual(Cause.die(error))
    }))

  it.scoped("FA-22: what a fiber asks for while the task closes is dropped, and no failure", () =>
    Effect.gen(function*() {
      const { open, wait } = gate()
      const ran: Array<string> = []
      let asked = false
      const h = yield* only<number>(() => ({
        ...pass,
        setup: (ctx) =>
          void ctx.fork(Effect.uninterruptible(Effect.map(wait, () => {
            asked = true
            ctx.execute(() => void ran.push("action"))
            ctx.processingTime.schedule(0, () => void ran.push("timer"))
          })))
      }))
      const end = yield* Effect.fork(h.finish)
      yield* until(() => h.task.state === "closing")
      open()
      expect(yield* Fiber.join(end)).toEqual({ _tag: "finished", stopped: false })
      expect(asked).toBe(true)
      expect(ran).toEqual([])
    }))

  it.scoped("FA-23: an operator that selects an input which has ended fails", () =>
    Effect.gen(function*() {
      const first: StreamOperator.TwoInputStreamOperator<number, number, number> = {
        processElement1: () => {},
        processElement2: () => {},
        nextSelection: () => 1
      }
      const h = yield* Harness.twoInput((a: Numbers, b: Numbers) =>
        ConnectedStreams.transform(ConnectedStreams.connect(a, b), "first", Effect.succeed(first))
      )
      yield* h.element1(1)
      const exit = yield* Effect.exit(h.endInput1)
      expect(Cause.pretty(failureOf(exit)!)).toContain("first: the operator selects input 1, which has ended")
    }))
})

describe("snapshots that fail", () => {
  it.scoped("FA-14: one of three fails in its synchronous part: the task fails, and what the others left to do is not done", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const later = (name: string): StreamOperator.StreamOperator<number, number> => ({
        ...pass,
        snapshotState: ({ defer }) => {
          log.push(name)
          defer(Effect.sync(() => void log.push(`${name} stored`)))
        }
      })
      const h = yield* Harness.oneInput((input: Numbers) =>
        input.pipe(
          operator("head", () => later("head")),
          operator<number, number, string>("middle", () => ({ ...pass, snapshotState: () => Effect.fail("no snapshot") })),
          operator("tail", () => later("tail"))
        )
      )
      expect(failureOf(yield* Effect.exit(h.snapshot(1)))).toEqual(Cause.fail("no snapshot"))
      expect(yield* h.close).toEqual({ _tag: "failed", cause: Cause.fail("no snapshot") })
      expect(log).toEqual(["tail"])
    }))

  it.scoped("FA-20: one that fails when its task has ended its data cannot fail it", () =>
    Effect.gen(function*() {
      const { open, wait } = gate()
      const h = yield* only<number, number, string>(() => ({
        ...pass,
        snapshotState: ({ defer }) => defer(Effect.zipRight(wait, Effect.fail("too late")))
      }))
      const snapshot = yield* Effect.fork(Effect.exit(h.snapshot(1)))
      yield* settle
      const end = yield* Effect.fork(h.finish)
      yield* until(() => h.task.state === "ending")
      yield* settle
      open()
      expect(yield* Fiber.join(end)).toEqual({ _tag: "finished", stopped: false })
      expect(Exit.isFailure(yield* Fiber.join(snapshot))).toBe(true)
      expect(stepsOf(yield* h.lifecycle, "op")).toContain("snapshotState")
    }))

  /** a checkpoint of a task of operators that only snapshot: what each defers, or that it fails; gives what was done with it */
  const checkpoints = (
    deferred: ReadonlyArray<Effect.Effect<void, unknown> | "fails">,
    decline: (reason: string) => Effect.Effect<void> = () => Effect.void
  ) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const nodes = deferred.map((work, i) => ({
        name: `op${i}`,
        phase: "running",
        meta: { uid: `op${i}` },
        hooks: {
          snapshotState: (ctx: StreamOperator.SnapshotContext<unknown>) => work === "fails" ? Effect.fail("no snapshot") : ctx.defer(work)
        }
      }))
      const scope = yield* Scope.make()
      const host: Host = {
        task: { vertex: { index: 0 }, subtask: 0 } as Host["task"],
        chain: () => ({ nodes, writers: [], drain: Effect.void }) as unknown as OperatorChain,
        state: ({ name }) =>
          ({
            snapshot: () => ({
              uid: name,
              phase: "running",
              write: () => Effect.succeed([]),
              cancel: () => void log.push(`release ${name}`)
            })
          }) as unknown as OperatorState,
        passing: (_phase, _operator, hook) => hook,
        captured: () => undefined,
        over: () => {},
        keyGroups: { start: 0, end: 127 },
        responder: {
          writer: () => ({ write: () => Effect.dieMessage("not reached"), complete: () => Effect.void, abort: Effect.void }),
          acknowledge: () => Effect.sync(() => void log.push("acknowledge")),
          decline: (_task, _id, reason) => {
            log.push(`decline ${reason}`)
            return decline(reason)
          },
          finalCheckpoint: () => false,
          awaitsFinalCheckpoint: () => Effect.void
        },
        observe: () => {},
        fork: (effect) => Effect.forkIn(effect, scope)
      }
      const subtask = new SubtaskCheckpoint(host, 0)
      const barrier = { _tag: "CheckpointBarrier", id: 1, timestamp: 0, kind: Checkpoint.checkpoint } as const
      const taken = yield* Effect.exit(subtask.take(barrier))
      return { taken, log, subtask, stop: Scope.close(scope, Exit.void) }
    })

  it.effect("FA-14: the snapshots that were taken before one fails are released", () =>
    Effect.gen(function*() {
      const { log, subtask, taken } = yield* checkpoints([Effect.void, "fails", Effect.void])
      yield* stored(subtask)
      expect(taken).toEqual(Exit.fail("no snapshot"))
      expect(log).toEqual(["release op2"])
    }))

  it.effect("FA-15: the asynchronous part of one fails: the snapshots of all are released, and the checkpoint is declined once", () =>
    Effect.gen(function*() {
      const { log, subtask } = yield* checkpoints([Effect.void, Effect.fail("full"), Effect.void])
      yield* stored(subtask)
      expect(log).toEqual(["decline ASYNC_EXCEPTION", "release op2", "release op1", "release op0"])
    }))

  it.effect("FA-16: a failure while the task runs declines the checkpoint", () =>
    Effect.gen(function*() {
      const { log, subtask } = yield* checkpoints([Effect.fail("full")])
      yield* stored(subtask)
      expect(log).toEqual(["decline ASYNC_EXCEPTION", "release op0"])
    }))

  it.effect("FA-16: one that fails because its task stops declines nothing", () =>
    Effect.gen(function*() {
      const { log, stop } = yield* checkpoints([Effect.onInterrupt(Effect.never, () => Effect.die("on its way out"))])
      yield* settle
      yield* stop
      expect(log).toEqual(["release op0"])
    }))

  it.effect("FA-17: a failure that says itself why the checkpoint failed keeps its reason", () =>
    Effect.gen(function*() {
      const own = new StreamError.CheckpointFailed({ job: "job", id: 1, reason: "EXPIRED", detail: "" })
      const { log, subtask } = yield* checkpoints([Effect.fail(own)])
      yield* stored(subtask)
      expect(log).toEqual(["decline EXPIRED", "release op0"])
    }))

  it.effect("FA-18: an error while declining reaches the log of unhandled errors, and releases the snapshots all the same", () =>
    Effect.gen(function*() {
      const error = new Broken({ where: "decline" })
      const unhandled: Array<unknown> = []
      const logger = Logger.make(({ cause }) => {
        if (!Cause.isEmpty(cause)) unhandled.push(Cause.squash(cause))
      })
      const { log } = yield* Effect.gen(function*() {
        const made = yield* checkpoints([Effect.fail("full")], () => Effect.die(error))
        yield* stored(made.subtask)
        return made
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)), Logger.withMinimumLogLevel(LogLevel.Debug))
      expect(unhandled).toEqual([error])
      expect(unhandled[0]).toBe(error)
      expect(log).toEqual(["decline ASYNC_EXCEPTION", "release op0"])
    }))
})
