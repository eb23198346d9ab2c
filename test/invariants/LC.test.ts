/** LC: the order of a task's life. */
import { describe, expect, it } from "@effect/vitest"
import type { Clock } from "effect"
import { Cause, Effect, Exit, Fiber, Schema } from "effect"
import { readFileSync } from "node:fs"
import type { StreamOperator } from "sluice"
import { ConnectedStreams, DataStream, Job, KeyedStream, Lifecycle, State, StateBackend, StreamElement, Watermark } from "sluice"
import { Harness, Observer, SteppingClock } from "sluice/testing"
import ts from "typescript"
import { StateTable } from "../../src/state/StateTable.js"
import { CheckpointLock } from "../../src/task/CheckpointLock.js"
import type { OperatorChain } from "../../src/task/OperatorChain.js"
import { Parker } from "../../src/task/Parker.js"
import type { InputStatus } from "../../src/task/Slices.js"
import { Slices } from "../../src/task/Slices.js"
import { announced, Broken, gate, only, operator, pass, quiet, settle, source, steps, stepsOf, until, watched } from "./support.js"

type Numbers = DataStream.DataStream<number>

const { record } = StreamElement

const isMax = (watermark: number) => watermark === Watermark.MAX ? "MAX" : `${watermark}`

describe("the order of hooks", () => {
  /** a source that waits in `run` and tells of every call */
  const waiting = (calls: Array<string>, wait: Effect.Effect<void>): StreamOperator.SourceOperator<number> => {
    let over = false
    const call = (name: string) => Effect.sync(() => void calls.push(name))
    return {
      recordsRead: 0,
      setup: () => void calls.push("setup"),
      initializeState: () => call("initializeState"),
      open: call("open"),
      poll: () => over ? "end-of-input" : "nothing-available",
      fetch: Effect.suspend(() => {
        calls.push("run")
        return wait
      }).pipe(Effect.zipRight(Effect.sync(() => {
        over = true
      }))),
      prepareSnapshotPreBarrier: () => call("prepareSnapshotPreBarrier"),
      snapshotState: () => call("snapshotState"),
      notifyCheckpointComplete: () => call("notifyCheckpointComplete"),
      endInput: () => call("endInput"),
      finish: () => call("finish"),
      close: call("close")
    }
  }

  it.live("LC-01: one checkpoint while the source runs, then its normal end: each hook once, in this order", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const { events, observe } = Observer.recording()
      const { open, wait } = gate()
      const job = Job.make("life", source("source", () => waiting(calls, wait)).pipe(DataStream.runForEach(() => {})))
      const result = yield* Effect.gen(function*() {
        const handle = yield* Job.start(job)
        yield* until(() => calls.includes("run"))
        yield* handle.triggerCheckpoint
        yield* until(() => calls.includes("notifyCheckpointComplete"))
        open()
        return yield* handle.await
      }).pipe(Effect.scoped, Effect.provideService(Lifecycle.LifecycleObserver, { observe }))
      expect(result.status).toBe("finished")
      const order = [
        "setup",
        "initializeState",
        "open",
        "run",
        "prepareSnapshotPreBarrier",
        "snapshotState",
        "notifyCheckpointComplete",
        "endInput",
        "finish",
        "close"
      ]
      expect(calls).toEqual(order)
      // what is announced is what is called, and the runtime context that comes with `setup`
      expect(stepsOf(events, "source")).toEqual(["setup", "setRuntimeContext", ...order.slice(1)])
    }).pipe(Effect.provide(quiet)))

  it.live("LC-02: canceled while the source runs: close, and nothing else of the end", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const { events, observe } = Observer.recording()
      const job = Job.make("life", source("source", () => waiting(calls, Effect.never)).pipe(DataStream.runForEach(() => {})))
      const fiber = yield* Effect.fork(Effect.provideService(Job.run(job), Lifecycle.LifecycleObserver, { observe }))
      yield* until(() => calls.includes("run"))
      yield* Fiber.interrupt(fiber)
      expect(calls).toEqual(["setup", "initializeState", "open", "run", "close"])
      expect(stepsOf(events, "source")).toEqual(["setup", "setRuntimeContext", "initializeState", "open", "run", "close"])
      expect(announced(events)).toEqual(["initializing", "running", "canceled"])
    }).pipe(Effect.provide(quiet)))

  it.scoped("LC-11: opened once, before the first element; closed once, after it; timestamps stay (one input)", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const h = yield* only<string>(() => ({
        open: Effect.sync(() => void calls.push("open")),
        processElement: ({ timestamp, value }, out) => {
          calls.push(value)
          out.emit(value, timestamp)
        },
        close: Effect.sync(() => void calls.push("close"))
      }))
      yield* h.element("Hello", 1)
      yield* h.element("Ciao", 2)
      expect(yield* h.output).toEqual([record("Hello", 1), record("Ciao", 2)])
      yield* h.finish
      expect(calls).toEqual(["open", "Hello", "Ciao", "close"])
    }))

  it.scoped("LC-11: opened once, before the first element; closed once, after it; timestamps stay (two inputs)", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const h = yield* Harness.twoInput((words: DataStream.DataStream<string>, numbers: Numbers) =>
        ConnectedStreams.transform(
          ConnectedStreams.connect(words, numbers),
          "op",
          Effect.succeed<StreamOperator.TwoInputStreamOperator<string, number, string>>({
            open: Effect.sync(() => void calls.push("open")),
            processElement1: ({ timestamp, value }, out) => {
              calls.push(value)
              out.emit(value, timestamp)
            },
            processElement2: ({ timestamp, value }, out) => {
              calls.push(`${value}`)
              out.emit(`${value}`, timestamp)
            },
            close: Effect.sync(() => void calls.push("close"))
          })
        )
      )
      yield* h.element1("Hello", 1)
      yield* h.element2(1337, 2)
      expect(yield* h.output).toEqual([record("Hello", 1), record("1337", 2)])
      yield* h.finish
      expect(calls).toEqual(["open", "Hello", "1337", "close"])
    }))

  it.live("LC-12: a source is opened before it runs and closed after; what it emits comes, each once", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const out: Array<number> = []
      let n = 0
      const counting = source<number>("source", () => ({
        recordsRead: 10,
        open: Effect.sync(() => void calls.push("open")),
        poll: (output) => {
          calls.push("run")
          if (n === 10) return "end-of-input"
          output.emit(n++, undefined)
          return "more-available"
        },
        fetch: Effect.never,
        close: Effect.sync(() => void calls.push("close"))
      }))
      yield* watched(Job.make("ten", DataStream.runForEach(counting, (i) => void out.push(i))))
      expect(calls).toEqual(["open", ...Array.from({ length: 11 }, () => "run"), "close"])
      expect(out).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    }))

  it("LC-31: every hook of an operator has its place in the life cycle", () => {
    const file = new URL("../../src/StreamOperator.ts", import.meta.url)
    const parsed = ts.createSourceFile("StreamOperator.ts", readFileSync(file, "utf8"), ts.ScriptTarget.Latest)
    const hooks = new Set<string>()
    for (const statement of parsed.statements) {
      if (!ts.isInterfaceDeclaration(statement) || !/(Hooks|Operator)$/.test(statement.name.text)) continue
      for (const { name } of statement.members) if (name !== undefined && ts.isIdentifier(name)) hooks.add(name.text)
    }
    const life = ["setup", "initializeState", "open"]
    const input = ["processElement", "processElement1", "processElement2", "push", "poll", "fetch"]
    const time = ["processWatermark", "processInputWatermark", "processWatermarkStatus", "endBatch"]
    const checkpoints = ["prepareSnapshotPreBarrier", "snapshotState", "notifyCheckpointComplete", "notifyCheckpointAborted"]
    const end = ["endInput", "finish", "close"]
    /** asked, at any time between open and close; they do nothing */
    const asked = ["isAvailable", "isBusy", "nextSelection", "recordsRead", "code"]
    expect(Array.from(hooks).sort()).toEqual([life, input, time, checkpoints, end, asked].flat().sort())
    // and each that is announced has a phase of its own name
    const phases = new Set<string>()
    const lifecycle = ts.createSourceFile(
      "Lifecycle.ts",
      readFileSync(new URL("../../src/Lifecycle.ts", import.meta.url), "utf8"),
      ts.ScriptTarget.Latest
    )
    for (const statement of lifecycle.statements) {
      if (!ts.isTypeAliasDeclaration(statement) || statement.name.text !== "LifecyclePhase" || !ts.isUnionTypeNode(statement.type)) continue
      for (const member of statement.type.types) {
        if (ts.isLiteralTypeNode(member) && ts.isStringLiteral(member.literal)) phases.add(member.literal.text)
      }
    }
    expect([...life, ...checkpoints, ...end].filter((hook) => !phases.has(hook))).toEqual([])
  })
})

describe("finish", () => {
  it.scoped("LC-05: a processing-time timer registered in finish never fires, silently", () =>
    Effect.gen(function*() {
      let context!: StreamOperator.OperatorContext<string>
      const h = yield* only<string>(() => ({
        ...pass,
        setup: (ctx) => {
          context = ctx
          ctx.processingTime.schedule(5, () => ctx.out.emit("before", undefined))
        },
        finish: () => void context.processingTime.schedule(context.processingTime.now(), () => context.out.emit("never", undefined))
      }), { finalCheckpoint: true })
      yield* h.advanceProcessingTime(5)
      yield* h.endInput
      yield* h.advanceProcessingTime("1 day")
      expect(yield* h.values).toEqual(["before"])
      yield* h.snapshot(1)
      yield* h.notifyCheckpointComplete(1)
      expect(yield* h.finish).toEqual({ _tag: "finished", stopped: false })
    }))

  it.scoped("LC-07: what endInput and finish ask to be run is run before the chain goes on; no timer of theirs fires", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const make = (name: string) => (): StreamOperator.StreamOperator<string, string> => {
        let context!: StreamOperator.OperatorContext<string>
        const say = (what: string) => void log.push(`${name} ${what}`)
        return {
          ...pass,
          setup: (ctx) => {
            context = ctx
            ctx.processingTime.schedule(Watermark.MAX, () => say("timer at the end of time"))
          },
          endInput: () => {
            say("end of input")
            context.execute(() => say("mail of endInput"))
          },
          finish: () => {
            context.processingTime.schedule(0, () => say("timer of finish"))
            context.execute(() => say("mail of finish"))
            say("bye")
          }
        }
      }
      const h = yield* Harness.oneInput((input: DataStream.DataStream<string>) =>
        input.pipe(operator("op0", make("op0")), operator("op1", make("op1")), operator("op2", make("op2")))
      )
      expect((yield* h.finish)._tag).toBe("finished")
      expect(log).toEqual(
        ["op0", "op1", "op2"].flatMap((
          name
        ) => [`${name} end of input`, `${name} mail of endInput`, `${name} bye`, `${name} mail of finish`])
      )
    }))

  it.scoped.each(["fail", "die", "throw"] as const)(
    "LC-08: finish that ends in %s: its error comes out unchanged",
    (how) =>
      Effect.gen(function*() {
        const error = new Broken({ where: "finish" })
        const h = yield* only<number, number, Broken>(() => ({
          ...pass,
          finish: () => {
            if (how === "throw") throw error
            return how === "die" ? Effect.die(error) : Effect.fail(error)
          }
        }))
        const end = yield* h.finish
        expect(end._tag === "failed" && Cause.squash(end.cause)).toBe(error)
      })
  )
})

describe("close", () => {
  const chainOf3 = (fails: boolean) => (input: Numbers) =>
    input.pipe(
      operator<number>("a", () => pass),
      operator<number, number, string>("b", () => ({
        processElement: ({ timestamp, value }, out) => fails ? Effect.fail("b failed") : out.emit(value, timestamp)
      })),
      operator<number>("c", () => pass)
    )

  it.scoped.each(["finished", "canceled", "failed"] as const)(
    "LC-10: all operators are closed, first to last, once each: %s",
    (how) =>
      Effect.gen(function*() {
        const h = yield* Harness.oneInput(chainOf3(how === "failed"))
        yield* Effect.exit(h.element(1))
        const end = how === "finished" ? yield* h.finish : yield* h.close
        expect(end._tag).toBe(how)
        const all = steps(yield* h.lifecycle)
        expect(all.filter((step) => step.endsWith(".close"))).toEqual(["a.close", "b.close", "c.close"])
        expect(all.filter((step) => step.endsWith(".open"))).toEqual(["c.open", "b.open", "a.open"])
      })
  )

  it.scoped("LC-18: an operator that is closed hears of no checkpoint any more", () =>
    Effect.gen(function*() {
      const heard: Array<number> = []
      const h = yield* only<number>(() => ({ ...pass, notifyCheckpointComplete: (id) => void heard.push(id) }))
      yield* h.notifyCheckpointComplete(1)
      yield* h.finish
      yield* h.notifyCheckpointComplete(2)
      expect(heard).toEqual([1])
    }))

  it.scoped("LC-19: a checkpoint of a task that has closed is refused, and takes nothing", () =>
    Effect.gen(function*() {
      const h = yield* only<number>(() => pass)
      yield* h.finish
      const exit = yield* Effect.exit(h.snapshot(1))
      expect(exit).toMatchObject({ _tag: "Failure", cause: { error: { _tag: "CheckpointFailed", reason: "TASK_NOT_READY" } } })
      expect(stepsOf(yield* h.lifecycle, "op")).not.toContain("snapshotState")
    }))
})

describe("the end of a whole job", () => {
  /** what the operators of a run with two vertices of several subtasks saw, in one order */
  const run = Effect.gen(function*() {
    const log: Array<{ readonly name: string; readonly subtask: number; readonly what: string }> = []
    const received = new Map<string, Array<number>>()
    const emitted = new Map<string, Array<number>>()
    const watching = (name: string) => (): StreamOperator.StreamOperator<number, number> => {
      let subtask = 0
      const say = (what: string) => void log.push({ name, subtask, what })
      return {
        setup: (ctx) => {
          subtask = ctx.subtask
          received.set(`${name}${subtask}`, [])
        },
        processElement: ({ timestamp, value }, out) => {
          say("element")
          received.get(`${name}${subtask}`)!.push(value)
          out.emit(value, timestamp)
        },
        processWatermark: (watermark, out) => {
          say(isMax(watermark))
          out.emitWatermark(watermark)
        },
        endInput: (_out, input) => say(`endInput ${input}`),
        finish: () => say("finish"),
        snapshotState: () => say("snapshot"),
        notifyCheckpointComplete: () => say("complete")
      }
    }
    const { events, observe } = Observer.recording()
    const stream = DataStream.range(1, 500).pipe(
      operator("first", watching("first")),
      DataStream.parallelism(2),
      DataStream.startNewChain,
      KeyedStream.keyBy((n) => n),
      DataStream.transform("second", Effect.sync(watching("second"))),
      DataStream.parallelism(3),
      DataStream.runForEach(() => {})
    )
    const result = yield* Job.run(Job.make("whole", stream), { checkpoint: { interval: "1 hour" }, batchSize: 16 }).pipe(
      Effect.provideService(Lifecycle.LifecycleObserver, { observe }),
      Effect.provide(quiet)
    )
    const subtasks = [["first", 0], ["first", 1], ["second", 0], ["second", 1], ["second", 2]] as const
    const own = ([name, subtask]: readonly [string, number]) =>
      log.flatMap((each) => each.name === name && each.subtask === subtask ? [each.what] : [])
    return { result, received, emitted, events, subtasks, own }
  })

  it.live("LC-13: data, MAX, endInput, finish, the final snapshot, its completion, the end; readers end after their writers", () =>
    Effect.gen(function*() {
      const { events, own, result, subtasks } = yield* run
      expect(result.status).toBe("finished")
      for (const subtask of subtasks) {
        const seen = own(subtask)
        const end = seen.lastIndexOf("element") + 1
        expect(end).toBeGreaterThan(0)
        expect(seen.slice(end)).toEqual(["MAX", "endInput 1", "finish", "snapshot", "complete"])
      }
      // timers are quiesced between a head's endInput and its finish
      for (let subtask = 0; subtask < 2; subtask++) {
        const task = steps(events.filter((event) => event.vertex.startsWith("first") && event.subtask === subtask))
        const [endInput, quiesce, finish] = ["first.endInput", "quiesceTimers", "first.finish"].map((step) => task.indexOf(step))
        expect(endInput < quiesce && quiesce < finish).toBe(true)
      }
      const at = (vertex: string, phase: string) =>
        events.flatMap((event, i) => event.vertex.startsWith(vertex) && event.phase === phase && event.operator !== "forEach" ? [i] : [])
      expect(Math.max(...at("range", "finish"))).toBeLessThan(Math.min(...at("first", "finish")))
      expect(Math.max(...at("first", "finish"))).toBeLessThan(Math.min(...at("second", "finish")))
    }))

  it.live("LC-14: every input of every subtask ends once, after exactly one MAX", () =>
    Effect.gen(function*() {
      const { own, subtasks } = yield* run
      for (const subtask of subtasks) {
        expect(own(subtask).filter((what) => what === "MAX" || what.startsWith("endInput"))).toEqual(["MAX", "endInput 1"])
      }
    }))

  it.live("LC-17: what the last subtasks to emit gave has arrived before their readers finish", () =>
    Effect.gen(function*() {
      const { received } = yield* run
      const all = (name: string, n: number) =>
        Array.from({ length: n }, (_, i) => received.get(`${name}${i}`)!).flat().sort((a, b) => a - b)
      const everything = Array.from({ length: 500 }, (_, i) => i + 1)
      expect(all("first", 2)).toEqual(everything)
      expect(all("second", 3)).toEqual(everything)
    }))

  it.scoped("LC-15: after finish only checkpoints; the task ends with the first that began after it", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number>(() => ({
        setup: (ctx) => {
          context = ctx
        },
        processElement: () => void log.push("element"),
        processWatermark: (watermark) => void log.push(isMax(watermark)),
        endInput: () => void log.push("endInput"),
        finish: () => {
          log.push("finish")
          context.processingTime.schedule(1, () => void log.push("timer"))
        },
        snapshotState: ({ checkpointId }) => void log.push(`snapshot ${checkpointId}`),
        notifyCheckpointComplete: (id) => void log.push(`complete ${id}`)
      }), { finalCheckpoint: true })
      yield* h.element(1)
      yield* h.snapshot(1)
      yield* h.endInput
      yield* h.notifyCheckpointComplete(1)
      // one that began before the end is not the final one
      expect(h.task.state).toBe("awaitingFinalCheckpoint")
      yield* h.advanceProcessingTime(10)
      yield* h.snapshot(2)
      expect(h.task.state).toBe("awaitingFinalCheckpoint")
      yield* h.notifyCheckpointComplete(2)
      expect(h.task.state).toBe("finished")
      expect(log).toEqual(["element", "snapshot 1", "MAX", "endInput", "finish", "complete 1", "snapshot 2", "complete 2"])
    }))
})

describe("what is done once", () => {
  it.scoped("LC-20: state is restored once", () =>
    Effect.gen(function*() {
      const counted = (restored: Array<number>) => (input: Numbers) =>
        input.pipe(
          operator<number>("op", () => {
            let seen!: StreamOperator.OperatorListState<number>
            return {
              initializeState: (ctx) => {
                seen = ctx.list("seen", Schema.Number)
                restored.push(...seen.get())
              },
              processElement: ({ value }) => seen.set([value])
            }
          })
        )
      const first = yield* Harness.oneInput(counted([]))
      yield* first.element(7)
      const snapshot = yield* first.snapshot(1)
      const restored: Array<number> = []
      const h = yield* Harness.oneInput(counted(restored), { restore: snapshot })
      yield* h.element(8)
      yield* h.finish
      expect(restored).toEqual([7])
      const all = steps(yield* h.lifecycle)
      expect(all.filter((step) => step === "setInitialState" || step === "op.initializeState")).toEqual([
        "setInitialState",
        "op.initializeState"
      ])
    }))

  it.scoped("LC-21: a normal run initializes, runs, finishes, without a cause", () =>
    Effect.gen(function*() {
      const h = yield* only<number>(() => pass)
      expect(h.task.state).toBe("running")
      expect(yield* h.finish).toEqual({ _tag: "finished", stopped: false })
      expect(h.task.state).toBe("finished")
      expect(announced(yield* h.lifecycle)).toEqual(["initializing", "running", "finished"])
    }))

  const endings = ["the announcement fails", "restore fails", "run fails", "canceled", "finished"] as const

  it.scoped.each(endings)("LC-22: every cleanup runs once: %s", (ending) =>
    Effect.gen(function*() {
      const events: Array<Lifecycle.LifecycleEvent> = []
      const opened = yield* Effect.exit(only<number, number, string>(() => ({
        initializeState: () => ending === "restore fails" ? Effect.fail("broken") : undefined,
        processElement: () => Effect.fail("broken")
      }), {
        observe: (event) => {
          events.push(event)
          if (ending === "the announcement fails" && event.phase === "setInitialState") throw new Error("broken")
        }
      }))
      if (Exit.isSuccess(opened)) {
        const h = opened.value
        if (ending === "run fails") yield* Effect.exit(h.element(1))
        yield* ending === "finished" ? h.finish : h.close
      }
      expect(Exit.isSuccess(opened)).toBe(!["the announcement fails", "restore fails"].includes(ending))
      const all = steps(events)
      const setUp = all.filter((step) => step === "op.setup")
      expect(setUp).toHaveLength(ending === "the announcement fails" ? 0 : 1)
      expect(all.filter((step) => step === "op.close")).toHaveLength(setUp.length)
      expect(all.filter((step) => step === "taskCleanup")).toHaveLength(1)
      expect(all.filter((step) => step === "commonCleanup")).toHaveLength(1)
      expect(all.at(-1)).toBe(ending === "canceled" || ending === "finished" ? ending : "failed")
    }))

  it.scoped.each(["finished", "failed", "canceled"] as const)(
    "LC-23: the state backend of each operator is opened and released once: %s",
    (how) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const backend: typeof StateBackend.StateBackend.Service = {
          open: ({ uid }) =>
            Effect.acquireRelease(
              Effect.sync(() => {
                log.push(`open ${uid}`)
                return { table: (_name, codec) => new StateTable(codec) }
              }),
              () => Effect.sync(() => void log.push(`release ${uid}`))
            )
        }
        const h = yield* Harness.oneInput((input: Numbers) =>
          input.pipe(
            KeyedStream.keyBy((n) => n),
            KeyedStream.process({ state: { n: State.value(Schema.Number, { default: 0 }) }, onElement: (n) => [n] }),
            DataStream.uid("keyed"),
            operator<number, number, string>("op", () => ({ processElement: () => how === "failed" ? Effect.fail("broken") : undefined })),
            DataStream.uid("op")
          )
        ).pipe(Effect.provideService(StateBackend.StateBackend, backend))
        yield* Effect.exit(h.element(1))
        expect(log.filter((line) => line.startsWith("open")).sort()).toEqual(["open keyed", "open op"])
        const end = yield* how === "finished" ? h.finish : h.close
        expect(end._tag).toBe(how)
        expect(log.slice(2)).toEqual(["release keyed", "release op"])
      })
  )
})

/** a clock that knows who sleeps */
class WatchedClock extends SteppingClock {
  sleeping = 0
  override readonly sleep = (duration: Parameters<Clock.Clock["sleep"]>[0]): Effect.Effect<void> => {
    this.sleeping++
    return Effect.ensuring(new SteppingClock().sleep(duration), Effect.sync(() => void this.sleeping--))
  }
}

describe("the end of timers and of what waits", () => {
  it.live("LC-24: the timer fiber is there while operators finish, and gone when the task has ended", () =>
    Effect.gen(function*() {
      const clock = new WatchedClock()
      const seen: Array<number> = []
      const stream = DataStream.range(1, 3).pipe(
        operator<number>("op", () => ({
          processElement: () => until(() => clock.sleeping === 1),
          setup: (ctx) => void ctx.processingTime.schedule(1000, () => {}),
          finish: () => void seen.push(clock.sleeping)
        })),
        DataStream.runForEach(() => {})
      )
      yield* Effect.withClock(watched(Job.make("timers", stream)), clock)
      // the other one is the deadline of finishing
      expect(seen).toEqual([2])
      expect(clock.sleeping).toBe(0)
    }))

  it.live("LC-25: what is asked for in the last step of input is still run, before the task ends", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let context!: StreamOperator.OperatorContext<number>
      const last = source<number>("source", () => ({
        recordsRead: 0,
        setup: (ctx) => {
          context = ctx
        },
        poll: () => {
          context.execute(() => void log.push("mail"))
          return "end-of-input"
        },
        fetch: Effect.never,
        finish: () => void log.push("finish"),
        close: Effect.sync(() => void log.push("close"))
      }))
      yield* watched(Job.make("last", DataStream.runForEach(last, () => {})))
      expect(log).toEqual(["mail", "finish", "close"])
    }))

  it.scoped("LC-29: until the final checkpoint mails still run; what is under way is acknowledged before anything closes", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { open, wait } = gate()
      let context!: StreamOperator.OperatorContext<number>
      const h = yield* only<number>(() => ({
        ...pass,
        setup: (ctx) => {
          context = ctx
        },
        finish: () => void log.push("finish"),
        snapshotState: ({ checkpointId, defer }) =>
          checkpointId === 1 ? defer(Effect.ensuring(wait, Effect.sync(() => void log.push("stored")))) : undefined,
        notifyCheckpointComplete: (id) => void log.push(`complete ${id}`),
        close: Effect.sync(() => void log.push("close"))
      }), { finalCheckpoint: true })
      const slow = yield* Effect.fork(h.snapshot(1))
      yield* settle
      yield* h.endInput
      context.execute(() => void log.push("mail"))
      yield* h.snapshot(2)
      yield* Effect.fork(h.notifyCheckpointComplete(2))
      yield* settle
      expect(log).toEqual(["finish", "mail", "complete 2"])
      open()
      expect((yield* h.finish)._tag).toBe("finished")
      expect(log).toEqual(["finish", "mail", "complete 2", "stored", "close"])
      yield* Fiber.interrupt(slow)
    }))

  it.scoped("LC-29: an error in close fails a task that has come to its end", () =>
    Effect.gen(function*() {
      const h = yield* only<number, number, string>(() => ({ ...pass, close: Effect.fail("in close") }))
      expect(yield* h.finish).toEqual({ _tag: "failed", cause: Cause.fail("in close") })
      expect(stepsOf(yield* h.lifecycle, "op")).toContain("finish")
    }))

  it.scoped.each(["finished", "failed", "canceled"] as const)(
    "LC-30: fibers, operators, outputs are released in this order: %s",
    (how) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const h = yield* only<number, number, string>(() => ({
          setup: (ctx) => void ctx.fork(Effect.onInterrupt(Effect.never, () => Effect.sync(() => void log.push("fiber ended")))),
          open: Effect.addFinalizer(() => Effect.sync(() => void log.push("released"))),
          processElement: () => Effect.fail("broken"),
          close: Effect.sync(() => void log.push("closed"))
        }), {
          observe: ({ phase }) => {
            if (["taskCleanup", "commonCleanup", "finished", "failed", "canceled"].includes(phase)) log.push(phase)
          }
        })
        if (how === "failed") yield* Effect.exit(h.element(1))
        yield* how === "finished" ? h.finish : h.close
        const closing = ["closed", "released"]
        expect(log).toEqual([
          "fiber ended",
          ...how === "finished" ? [...closing, "taskCleanup"] : ["taskCleanup", ...closing],
          "commonCleanup",
          how
        ])
        // only what has finished says so downstream
        expect((yield* h.output).some(({ _tag }) => _tag === "EndOfPartition")).toBe(how === "finished")
      })
  )
})

describe("steps of input", () => {
  /** a loop over steps of the test's own; `chain` says whether the output has room */
  const loop = (step: (n: number) => InputStatus, chain: { isBackpressured: boolean } = { isBackpressured: false }) => {
    const parker = new Parker()
    let steps = 0
    const nothing = { isParked: false, drain: Effect.void, endBatch: () => {}, flush: () => {} }
    const slices = new Slices(
      new CheckpointLock(),
      parker,
      () => Object.assign(chain, nothing) as unknown as OperatorChain,
      () => 0,
      () => step(++steps),
      () => undefined,
      () => false
    )
    return { slices, parker, steps: () => steps }
  }

  it.live("LC-26: asked until it says that it is at its end, and not once more", () =>
    Effect.gen(function*() {
      const { slices, steps } = loop((n) => n < 10 ? "more" : "end")
      yield* slices.run(() => false)
      expect(steps()).toBe(10)
    }))

  it.live("LC-27: while the output is full no step is taken; then it goes on", () =>
    Effect.gen(function*() {
      const chain = { isBackpressured: false }
      const { parker, slices, steps } = loop((n) => {
        chain.isBackpressured = n === 1
        return n < 10 ? "more" : "end"
      }, chain)
      const fiber = yield* Effect.fork(slices.run(() => false))
      yield* settle
      expect(steps()).toBe(1)
      expect(parker.isParked).toBe(true)
      // a wake-up alone is not room
      parker.wake()
      yield* settle
      expect(steps()).toBe(1)
      chain.isBackpressured = false
      parker.wake()
      yield* Fiber.join(fiber)
      expect(steps()).toBe(10)
    }))

  it.live("LC-27: while the input has nothing no step is taken; then it goes on", () =>
    Effect.gen(function*() {
      const { parker, slices, steps } = loop((n) => n === 1 ? "nothing" : n < 10 ? "more" : "end")
      const fiber = yield* Effect.fork(slices.run(() => false))
      yield* settle
      expect(steps()).toBe(1)
      parker.wake()
      yield* Fiber.join(fiber)
      expect(steps()).toBe(10)
    }))

  it.live("LC-28: input that comes while the step says that there is none is not slept over", () =>
    Effect.gen(function*() {
      const { parker, slices, steps } = loop((n) => {
        if (n < 1000) parker.wake()
        return n < 1000 ? "nothing" : "end"
      })
      const fiber = yield* Effect.fork(slices.run(() => false))
      yield* until(() => steps() === 1000)
      yield* Fiber.join(fiber)
    }))
})
