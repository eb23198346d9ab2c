/** CC: the coordinator of checkpoints, with tasks that do what the test says, a store that writes down what is asked of it, and a clock that it moves. */
import { describe, expect, it } from "@effect/vitest"
import type { Clock, Duration } from "effect"
import { Cause, Deferred, Effect, Exit, FastCheck as fc, Fiber, Scope, TestClock, TestContext } from "effect"
import type { CheckpointStorage, JobMetrics, JobOptions, Lifecycle } from "sluice"
import { Checkpoint, StreamError } from "sluice"
import type { IdCounter } from "../../src/checkpoint/CheckpointCoordinator.js"
import { CheckpointCoordinator } from "../../src/checkpoint/CheckpointCoordinator.js"
import type { JobEdge, JobGraph, JobVertex } from "../../src/graph/JobGraph.js"
import type { Partitioning } from "../../src/graph/StreamGraph.js"
import type { Invokable, SubtaskReport } from "../../src/task/Invokable.js"

/** lets all fibers that can run, run */
const settle = Effect.repeatN(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), 3)

interface VertexSpec {
  readonly parallelism: number
  /** the vertices that it reads, and how */
  readonly reads?: ReadonlyArray<readonly [from: number, partitioning: Partitioning["_tag"]]>
}

const graphOf = (specs: ReadonlyArray<VertexSpec>): JobGraph => {
  const edges: Array<JobEdge> = []
  specs.forEach(({ reads = [] }, to) => {
    for (const [from, tag] of reads) {
      const partitioning = tag === "Hash" ? { _tag: tag, key: { select: (a: unknown) => a, codec: undefined as any } } : { _tag: tag }
      edges.push({ index: edges.length, from, operator: 0, tag: undefined, to, input: 0, partitioning, written: partitioning._tag })
    }
  })
  const vertices = specs.map(({ parallelism }, index): JobVertex => ({
    index,
    name: `v${index}`,
    parallelism,
    chain: [{ node: undefined as any, name: `v${index}`, uid: `uid${index}`, keys: [undefined], consumers: [] }],
    inputs: edges.filter((edge) => edge.to === index),
    outputs: edges.filter((edge) => edge.from === index)
  }))
  return { name: "job", vertices, edges, maxParallelism: 128 }
}

/** A task that takes part in checkpoints only by hand. */
class Task implements Invokable {
  readonly abandoned = undefined
  state: Lifecycle.TaskState = "running"
  readonly metrics: JobMetrics.SubtaskMetrics = { subtask: 0, recordsIn: 0, recordsOut: 0, watermark: 0 }
  readonly counters = new Map<string, number>()
  readonly invoke = Effect.never
  /** what it was told, in order */
  readonly told: Array<string> = []
  /** whether it takes the checkpoints that it is asked for */
  takes = true

  constructor(readonly vertex: JobVertex, readonly subtask: number, private readonly log: Array<string>) {}

  private tell(what: string): void {
    this.told.push(what)
    this.log.push(`${this.name} ${what}`)
  }

  get name(): string {
    return `${this.vertex.name}[${this.subtask}]`
  }

  readonly triggerCheckpointAsync = ({ id }: Checkpoint.CheckpointBarrier) =>
    Effect.sync(() => {
      this.tell(`trigger ${id}`)
      return this.takes
    })

  readonly triggerCheckpointOnBarrier = () => Effect.void
  readonly abortCheckpointOnBarrier = () => Effect.void
  readonly notifyCheckpointCompleteAsync = (id: number) => Effect.sync(() => this.tell(`complete ${id}`))
  readonly notifyCheckpointAbortAsync = (id: number, latest: number) => Effect.sync(() => this.tell(`abort ${id} after ${latest}`))
}

/** A store that fails where the test says so. */
class Store implements CheckpointStorage.CheckpointStore {
  readonly kept = new Map<number, Checkpoint.CheckpointMetadata>()
  beginFails = false
  /** what `begin` waits for */
  beginWaits: Effect.Effect<void> = Effect.void
  completeFails = false

  constructor(private readonly log: Array<string>) {}

  private readonly fail = (operation: string) => new StreamError.StorageFailed({ operation, path: "somewhere", reason: "disk full" })

  readonly begin = (id: number) => Effect.zipRight(Effect.suspend(() => this.beginWaits), this.begun(id))

  private readonly begun = (id: number) =>
    Effect.suspend(() => {
      if (this.beginFails) return this.fail("begin")
      return Effect.succeed<CheckpointStorage.CheckpointWriter>({
        write: () => Effect.die("nobody writes"),
        complete: (metadata) =>
          Effect.suspend(() => {
            if (this.completeFails) return this.fail("complete")
            this.kept.set(id, metadata)
            this.log.push(`put ${id}`)
            return Effect.void
          }),
        abort: Effect.sync(() => void this.log.push(`remove ${id}`))
      })
    })

  readonly list = Effect.sync(() => Array.from(this.kept.keys()).reverse())
  readonly metadata = () => Effect.die("nobody reads")
  readonly read = () => Effect.die("nobody reads")
  readonly discard = (id: number) => Effect.sync(() => void this.kept.delete(id))
  readonly highestId = Effect.succeed(0)
  readonly finished = Effect.succeed(undefined)
  readonly finish = () => Effect.void
  readonly location = (id: number) => `memory/${id}`
}

const periodic = (options: Partial<JobOptions.ResolvedCheckpointOptions> = {}): JobOptions.ResolvedCheckpointOptions => ({
  interval: 1000,
  timeout: 600_000,
  minPause: 0,
  mode: "exactly-once",
  alignedTimeout: Infinity,
  maxConcurrent: 1,
  tolerableFailures: 0,
  retain: 1,
  finalCheckpoint: true,
  ...options
})

const report: SubtaskReport = { handle: { file: "f", bytes: 10, checksum: "" }, operators: [] }

interface WorldOptions {
  readonly vertices?: ReadonlyArray<VertexSpec>
  /** periodic checkpoints, which begin with `start` */
  readonly options?: Partial<JobOptions.ResolvedCheckpointOptions>
  readonly ids?: IdCounter
  readonly restored?: number
  readonly retained?: ReadonlyArray<number>
}

/** One coordinator and all that it deals with. */
const makeWorld = ({ ids = { last: 0 }, options, restored = 0, retained = [], vertices = [{ parallelism: 2 }] }: WorldOptions = {}) =>
  Effect.gen(function*() {
    const log: Array<string> = []
    const store = new Store(log)
    const graph = graphOf(vertices)
    const tasks = graph.vertices.flatMap((vertex) =>
      Array.from({ length: vertex.parallelism }, (_, subtask) => new Task(vertex, subtask, log))
    )
    const failed: Array<string> = []
    const serious: Array<boolean> = []
    const fatal: Array<string> = []
    const completed: Array<JobMetrics.CheckpointStats> = []
    const coordinator = new CheckpointCoordinator(
      graph,
      store,
      options === undefined ? undefined : periodic(options),
      ids,
      {
        completed: (stats) =>
          Effect.sync(() => {
            completed.push(stats)
            log.push(`completed ${stats.id}`)
          }),
        failed: (failure, isSerious) =>
          Effect.sync(() => {
            failed.push(`${failure.id} ${failure.reason}`)
            serious.push(isSerious)
          }),
        fatal: (failure) => Effect.sync(() => void fatal.push(`${failure.id} ${failure.reason}`))
      },
      yield* Effect.scope,
      restored,
      retained
    )
    coordinator.setTasks(tasks)
    // a test clock does not forget the sleeps of fibers that were interrupted
    let sleeping = 0
    const clock = yield* Effect.clock
    const counting: Clock.Clock = Object.create(clock, {
      sleep: {
        value: (duration: Duration.Duration) =>
          Effect.suspend(() => {
            sleeping++
            return Effect.ensuring(clock.sleep(duration), Effect.sync(() => void sleeping--))
          })
      }
    })
    const ack = (id: number, ...of: ReadonlyArray<Task>) =>
      Effect.zipRight(Effect.forEach(of.length === 0 ? tasks : of, (task) => coordinator.acknowledge(task, id, report)), settle)
    const decline = (id: number, task = tasks[0], reason: Checkpoint.CheckpointFailureReason = "ASYNC_EXCEPTION") =>
      Effect.zipRight(coordinator.decline(task, id, reason, Cause.empty), settle)
    return {
      coordinator,
      log,
      store,
      tasks,
      failed,
      serious,
      fatal,
      completed,
      ack,
      decline,
      /** asks for one, and gives the fiber that waits for it */
      trigger: (kind = Checkpoint.checkpoint) => Effect.zipLeft(Effect.fork(Effect.withClock(coordinator.trigger(kind), counting)), settle),
      start: Effect.zipRight(Effect.forkScoped(Effect.withClock(coordinator.run, counting)), settle),
      advance: (ms: number) => Effect.zipRight(TestClock.adjust(ms), settle),
      /** fibers of the coordinator that wait for the clock */
      sleeping: () => sleeping,
      /** the ids that are under way, of those up to 99 */
      pending: () => Array.from({ length: 99 }, (_, i) => i + 1).filter((id) => coordinator.writer(id) !== undefined)
    }
  })

/** the triggers, completions or aborts that a task saw */
const seen = (task: Task, what: "trigger" | "complete" | "abort") =>
  task.told.filter((each) => each.startsWith(what)).map((each) => each.slice(what.length + 1))

const outcome = (fiber: Fiber.RuntimeFiber<JobMetrics.CheckpointStats, StreamError.CheckpointFailed>) =>
  Effect.map(
    Fiber.await(fiber),
    (exit) => Exit.isSuccess(exit) ? exit.value.id : (Cause.squash(exit.cause) as StreamError.CheckpointFailed).reason
  )

/** a source, and what reads it by key */
const pipeline: ReadonlyArray<VertexSpec> = [{ parallelism: 2 }, { parallelism: 2, reads: [[0, "Hash"]] }]

describe("one checkpoint", () => {
  it.scoped("CC-01, D2: pending until the last task has acknowledged, whatever comes twice; put before anybody is told; the next one replaces it", () =>
    Effect.gen(function*() {
      const { ack, advance, completed, log, pending, sleeping, store, tasks, trigger } = yield* makeWorld({ vertices: pipeline })
      yield* advance(5000)
      const first = yield* trigger()
      // sources are triggered, the others get barriers through their channels
      expect(tasks.map((task) => seen(task, "trigger"))).toEqual([["1"], ["1"], [], []])
      expect(pending()).toEqual([1])
      expect(sleeping()).toBe(1)
      yield* advance(70)
      yield* ack(1, tasks[0], tasks[0], tasks[1], tasks[2], tasks[2])
      expect(pending()).toEqual([1])
      expect(first.unsafePoll()).toBeNull()
      yield* ack(1, tasks[3], tasks[3])
      expect(pending()).toEqual([])
      expect(sleeping()).toBe(0)
      expect(tasks.map((task) => seen(task, "complete"))).toEqual([["1"], ["1"], ["1"], ["1"]])
      expect(log.filter((each) => !each.includes("trigger"))).toEqual([
        "put 1",
        "completed 1",
        ...tasks.map((task) => `${task.name} complete 1`)
      ])
      expect(yield* Fiber.join(first)).toMatchObject({ id: 1, savepoint: false, bytes: 40, durationMs: 70, completedAt: 5070 })
      expect(completed).toHaveLength(1)
      const second = yield* trigger()
      yield* ack(2)
      expect(yield* outcome(second)).toBe(2)
      expect(Array.from(store.kept.keys())).toEqual([2])
      expect(tasks.map((task) => seen(task, "complete"))).toEqual(Array(4).fill(["1", "2"]))
    }))

  it.scoped.each<Checkpoint.CheckpointFailureReason>(["DECLINED_ON_CANCELLATION_BARRIER", "ASYNC_EXCEPTION"])(
    "CC-02: declined with %s it is given up, its timer and files go, once; what comes later changes nothing",
    (reason) =>
      Effect.gen(function*() {
        const { ack, decline, failed, log, pending, sleeping, store, tasks, trigger } = yield* makeWorld()
        const fiber = yield* trigger()
        yield* ack(1, tasks[0])
        yield* decline(1, tasks[1], reason)
        expect(pending()).toEqual([])
        expect(sleeping()).toBe(0)
        expect(failed).toEqual([`1 ${reason}`])
        yield* decline(1, tasks[0], reason)
        yield* ack(1)
        expect(yield* outcome(fiber)).toBe(reason)
        expect(failed).toHaveLength(1)
        expect(log.filter((each) => each === "remove 1")).toHaveLength(1)
        expect(store.kept.size).toBe(0)
        expect(tasks.map((task) => task.told)).toEqual(Array(2).fill(["trigger 1", "abort 1 after 0"]))
      })
  )

  it.scoped("CC-03: of two the first is declined, again and again: tasks are told once, and the second is untouched", () =>
    Effect.gen(function*() {
      const { ack, decline, pending, tasks, trigger } = yield* makeWorld({ options: { maxConcurrent: 2, tolerableFailures: 5 } })
      yield* trigger()
      const second = yield* trigger()
      for (let i = 0; i < 3; i++) yield* decline(1, tasks[i % 2])
      expect(pending()).toEqual([2])
      expect(tasks.map((task) => seen(task, "abort"))).toEqual([["1 after 0"], ["1 after 0"]])
      yield* ack(2)
      expect(yield* outcome(second)).toBe(2)
    }))

  it.scoped("CC-04: two at once complete one after the other, each with its own acknowledgements, and both are retained", () =>
    Effect.gen(function*() {
      const { ack, log, store, tasks, trigger } = yield* makeWorld({ options: { maxConcurrent: 2, retain: 2 } })
      const first = yield* trigger()
      yield* ack(1, tasks[0])
      const second = yield* trigger()
      yield* ack(2, tasks[0])
      yield* ack(1, tasks[1])
      expect(log.filter((each) => each.startsWith("put"))).toEqual(["put 1"])
      yield* ack(2, tasks[1])
      expect([yield* outcome(first), yield* outcome(second)]).toEqual([1, 2])
      expect(Array.from(store.kept.keys())).toEqual([1, 2])
      expect(tasks.map((task) => seen(task, "complete"))).toEqual([["1", "2"], ["1", "2"]])
    }))

  it.scoped("CC-05: a newer one subsumes an older: its files go, a late acknowledgement changes nothing, tasks hear of the newer alone", () =>
    Effect.gen(function*() {
      const { ack, failed, fatal, log, pending, store, tasks, trigger } = yield* makeWorld({ options: { maxConcurrent: 2, retain: 3 } })
      const first = yield* trigger()
      yield* ack(1, tasks[0])
      yield* trigger()
      yield* ack(2)
      expect(yield* outcome(first)).toBe("SUBSUMED")
      expect(pending()).toEqual([])
      expect(log).toContain("remove 1")
      yield* ack(1, tasks[1])
      expect(Array.from(store.kept.keys())).toEqual([2])
      expect(tasks.map((task) => seen(task, "complete"))).toEqual([["2"], ["2"]])
      expect([failed, fatal]).toEqual([[], []])
    }))

  it.scoped("CC-06, D4: not complete in time it expires: its files go, nobody is told of a completion, and the timer is gone", () =>
    Effect.gen(function*() {
      const { ack, advance, failed, log, pending, sleeping, tasks, trigger } = yield* makeWorld({
        options: { timeout: 150, tolerableFailures: 5 }
      })
      const fiber = yield* trigger()
      yield* ack(1, tasks[0])
      yield* advance(149)
      expect(pending()).toEqual([1])
      yield* advance(1)
      expect(pending()).toEqual([])
      expect(yield* outcome(fiber)).toBe("EXPIRED")
      yield* ack(1, tasks[1])
      expect(failed).toEqual(["1 EXPIRED"])
      expect(log.filter((each) => !each.includes("trigger"))).toEqual([
        ...["v0[0] abort 1 after 0", "v0[1] abort 1 after 0", "remove 1"].sort(byLog(log))
      ])
      expect(sleeping()).toBe(0)
    }))

  it.scoped("CC-07: what comes for no checkpoint, from no task, or twice, changes nothing", () =>
    Effect.gen(function*() {
      const { ack, decline, failed, pending, tasks, trigger } = yield* makeWorld()
      const stranger = new Task({ ...tasks[0].vertex, index: 7 }, 0, [])
      yield* ack(1)
      yield* decline(1)
      const fiber = yield* trigger()
      yield* ack(1, stranger)
      yield* ack(2)
      yield* decline(3)
      yield* ack(1, tasks[0], tasks[0])
      expect(pending()).toEqual([1])
      expect(failed).toEqual([])
      yield* ack(1, tasks[1])
      expect(yield* outcome(fiber)).toBe(1)
      expect(yield* Fiber.join(fiber)).toMatchObject({ bytes: 20 })
    }))

  it.scoped("CC-08: none is started while a task, whichever, is not running yet", () =>
    Effect.gen(function*() {
      for (const state of ["created", "initializing"] as const) {
        for (const which of [0, 3]) {
          const { failed, log, pending, tasks, trigger } = yield* makeWorld({ vertices: pipeline })
          tasks[which].state = state
          expect(yield* outcome(yield* trigger())).toBe("NOT_ALL_REQUIRED_TASKS_RUNNING")
          expect(pending()).toEqual([])
          expect(log).toEqual([])
          expect(failed).toHaveLength(1)
        }
      }
    }))

  it.scoped("CC-08: nor once every task has ended", () =>
    Effect.gen(function*() {
      const { coordinator, log, tasks, trigger } = yield* makeWorld()
      for (const task of tasks) yield* coordinator.taskFinished(task)
      expect(yield* outcome(yield* trigger())).toBe("NOT_ALL_REQUIRED_TASKS_RUNNING")
      expect(log).toEqual([])
    }))

  it.scoped("CC-09: tasks that have finished count as acknowledged, and are finished in what is put", () =>
    Effect.gen(function*() {
      const { ack, coordinator, store, tasks, trigger } = yield* makeWorld({
        vertices: [{ parallelism: 3 }, { parallelism: 3, reads: [[0, "Hash"]] }]
      })
      for (const i of [0, 2, 4]) yield* coordinator.taskFinished(tasks[i])
      const fiber = yield* trigger()
      expect(tasks.map((task) => seen(task, "trigger"))).toEqual([[], ["1"], [], [], [], []])
      const running: SubtaskReport = { handle: undefined, operators: [{ uid: "uid0", phase: "running", states: [] }] }
      yield* coordinator.acknowledge(tasks[1], 1, running)
      yield* ack(1, tasks[3], tasks[5])
      expect(yield* outcome(fiber)).toBe(1)
      expect(store.kept.get(1)!.operators[0].subtasks.map(({ phase }) => phase)).toEqual(["finished", "running", "finished"])
    }))

  it.scoped("CC-10: a task that ends while its part is still missing aborts it, and the others are told; one that has acknowledged does not", () =>
    Effect.gen(function*() {
      const { ack, coordinator, decline, pending, tasks, trigger } = yield* makeWorld({
        options: { tolerableFailures: 0, maxConcurrent: 2 }
      })
      const first = yield* trigger()
      yield* coordinator.taskFinished(tasks[0])
      yield* settle
      expect(yield* outcome(first)).toBe("TASK_NOT_READY")
      expect(seen(tasks[1], "abort")).toEqual(["1 after 0"])
      const second = yield* trigger()
      yield* ack(2, tasks[1])
      expect(yield* outcome(second)).toBe(2)
      yield* decline(2)
      expect(pending()).toEqual([])
    }))

  it.scoped("CC-10: a source that can no longer take it gives it up", () =>
    Effect.gen(function*() {
      const { fatal, log, serious, tasks, trigger } = yield* makeWorld({ options: {} })
      tasks[1].takes = false
      expect(yield* outcome(yield* trigger())).toBe("TASK_NOT_READY")
      yield* settle
      expect(log).toContain("remove 1")
      expect([fatal, serious]).toEqual([[], [false]])
    }))

  it.scoped("CC-19: an abort tells of the latest completed checkpoint", () =>
    Effect.gen(function*() {
      const { ack, decline, tasks, trigger } = yield* makeWorld({ ids: { last: 4 }, restored: 3 })
      yield* trigger()
      yield* decline(5)
      yield* trigger()
      yield* ack(6)
      yield* trigger()
      yield* decline(7)
      expect(seen(tasks[0], "abort")).toEqual(["5 after 3", "7 after 6"])
    }))

  it.scoped("CC-20, D2: one that cannot be put has failed: nobody hears of a completion, its files go", () =>
    Effect.gen(function*() {
      const { ack, failed, fatal, log, pending, store, tasks, trigger } = yield* makeWorld()
      store.completeFails = true
      const fiber = yield* trigger()
      yield* ack(1)
      expect(yield* outcome(fiber)).toBe("STORAGE")
      expect(pending()).toEqual([])
      expect(log).toContain("remove 1")
      expect(log).not.toContain("completed 1")
      expect(tasks.map((task) => seen(task, "complete"))).toEqual([[], []])
      expect([failed, fatal]).toEqual([["1 STORAGE"], ["1 STORAGE"]])
      store.completeFails = false
      yield* trigger()
      yield* ack(2)
      yield* trigger()
      expect(seen(tasks[0], "complete")).toEqual(["2"])
    }))

  it.scoped("CC-05, CC-20: one that cannot be put subsumes nothing: an older one may still complete", () =>
    Effect.gen(function*() {
      const { ack, store, tasks, trigger } = yield* makeWorld({ options: { maxConcurrent: 2, tolerableFailures: 5 } })
      const first = yield* trigger()
      yield* ack(1, tasks[0])
      yield* trigger()
      store.completeFails = true
      yield* ack(2)
      store.completeFails = false
      yield* ack(1, tasks[1])
      expect(yield* outcome(first)).toBe(1)
    }))

  it.scoped("CC-22, D1: ids grow by one, over coordinators too; one that cannot begin has failed and triggers nothing", () =>
    Effect.gen(function*() {
      const ids = { last: 41 }
      const one = yield* makeWorld({ ids })
      yield* one.trigger()
      yield* one.ack(42)
      one.store.beginFails = true
      expect(yield* outcome(yield* one.trigger())).toBe("STORAGE")
      expect(one.failed).toEqual(["43 STORAGE"])
      expect(one.fatal).toEqual(["43 STORAGE"])
      expect(seen(one.tasks[0], "trigger")).toEqual(["42"])
      expect(one.sleeping()).toBe(0)
      const two = yield* makeWorld({ ids })
      yield* two.trigger()
      expect(two.pending()).toEqual([44])
    }))

  it.scoped("CC-18, D4: one that expires while the store still begins it triggers nobody afterwards, and the next one goes ahead", () =>
    Effect.gen(function*() {
      const { ack, advance, store, tasks, trigger } = yield* makeWorld({ options: { timeout: 100, tolerableFailures: 5 } })
      const gate = yield* Deferred.make<void>()
      store.beginWaits = Deferred.await(gate)
      const first = yield* trigger()
      yield* advance(100)
      store.beginWaits = Effect.void
      // nobody is left hanging by this test, whatever comes of it
      const early = first.unsafePoll()
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      expect(early).not.toBeNull()
      expect(yield* outcome(first)).toBe("EXPIRED")
      expect(seen(tasks[0], "trigger")).toEqual([])
      const second = yield* trigger()
      yield* ack(2)
      expect(yield* outcome(second)).toBe(2)
    }))

  it.scoped("CC-17, R1: the end of the attempt does not wait for a store that does not begin", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { advance, start, store } = yield* makeWorld({ options: { interval: 10 } }).pipe(Scope.extend(scope))
      const gate = yield* Deferred.make<void>()
      store.beginWaits = Deferred.await(gate)
      yield* Scope.extend(start, scope)
      yield* advance(10)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      const closed = closing.unsafePoll()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      expect(closed).not.toBeNull()
    }))

  it.scoped("whoever asked for it may go: the checkpoint goes on", () =>
    Effect.gen(function*() {
      const { ack, store, trigger } = yield* makeWorld()
      const fiber = yield* trigger()
      yield* Fiber.interrupt(fiber)
      yield* ack(1)
      expect(Array.from(store.kept.keys())).toEqual([1])
    }))
})

/** in the order in which things stand in a log */
const byLog = (log: ReadonlyArray<string>) => (a: string, b: string) => log.indexOf(a) - log.indexOf(b)

describe("whom a checkpoint triggers", () => {
  const cases: ReadonlyArray<
    readonly [string, ReadonlyArray<VertexSpec>, ReadonlyArray<readonly [number, number]>, ReadonlyArray<string>]
  > = [
    ["all sources", pipeline, [], ["v0[0]", "v0[1]"]],
    ["the sources that are left", [{ parallelism: 3 }, { parallelism: 4, reads: [[0, "Hash"]] }], [[0, 0], [0, 1]], ["v0[2]"]],
    [
      "point-wise, the readers of finished sources as well",
      [{ parallelism: 4 }, { parallelism: 4, reads: [[0, "Forward"]] }],
      [[0, 0], [0, 1]],
      ["v0[2]", "v0[3]", "v1[0]", "v1[1]"]
    ],
    [
      "but not those that have finished themselves",
      [{ parallelism: 4 }, { parallelism: 4, reads: [[0, "Forward"]] }],
      [[0, 0], [0, 1], [1, 0]],
      ["v0[2]", "v0[3]", "v1[1]"]
    ],
    ["all to all, every reader once all sources have finished", pipeline, [[0, 0], [0, 1]], ["v1[0]", "v1[1]"]],
    [
      "of two inputs, not before both have ended",
      [{ parallelism: 1 }, { parallelism: 1 }, { parallelism: 2, reads: [[0, "Rebalance"], [1, "Broadcast"]] }],
      [[0, 0]],
      ["v1[0]"]
    ],
    [
      "whatever stands first where all before it has ended",
      [{ parallelism: 1 }, { parallelism: 2, reads: [[0, "Rebalance"]] }, { parallelism: 1, reads: [[1, "Global"]] }],
      [[0, 0], [1, 0]],
      ["v1[1]"]
    ]
  ]

  for (const [title, vertices, finished, expected] of cases) {
    it.scoped(`CC-11: ${title}`, () =>
      Effect.gen(function*() {
        const { coordinator, tasks, trigger } = yield* makeWorld({ vertices })
        for (const [vertex, subtask] of finished) {
          yield* coordinator.taskFinished(tasks.find((task) => task.vertex.index === vertex && task.subtask === subtask)!)
        }
        yield* trigger()
        expect(tasks.filter((task) => seen(task, "trigger").length > 0).map(({ name }) => name)).toEqual(expected)
      }))
  }
})

describe("checkpoints at an interval", () => {
  it.scoped("CC-15: five ticks, five checkpoints with growing ids and times, the first after the interval; none once the attempt is over", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { ack, advance, log, sleeping, start, store, tasks } = yield* makeWorld({ options: { interval: 10, retain: 9 } }).pipe(
        Scope.extend(scope)
      )
      yield* Scope.extend(start, scope)
      expect(log).toEqual([])
      for (let id = 1; id <= 5; id++) {
        yield* advance(9)
        expect(seen(tasks[0], "trigger")).toHaveLength(id - 1)
        yield* advance(1)
        yield* ack(id)
      }
      expect(Array.from(store.kept.keys())).toEqual([1, 2, 3, 4, 5])
      expect(Array.from(store.kept.values(), ({ timestamp }) => timestamp)).toEqual([10, 20, 30, 40, 50])
      yield* Scope.close(scope, Exit.void)
      yield* advance(1000)
      expect(seen(tasks[0], "trigger")).toHaveLength(5)
      expect(sleeping()).toBe(0)
    }))

  it.scoped.each([1, 2, 5])("CC-12, D1: %i at once, and one more for each that is acknowledged", (maxConcurrent) =>
    Effect.gen(function*() {
      const { ack, advance, pending, start, tasks } = yield* makeWorld({ options: { interval: 10, maxConcurrent, retain: 99 } })
      yield* start
      for (let i = 0; i < maxConcurrent + 3; i++) yield* advance(10)
      expect(pending()).toHaveLength(maxConcurrent)
      for (let id = 1; id <= 3; id++) {
        yield* ack(id)
        yield* advance(10)
        yield* advance(10)
        expect(pending()).toEqual(Array.from({ length: maxConcurrent }, (_, i) => id + 1 + i))
      }
      expect(seen(tasks[0], "trigger")).toHaveLength(maxConcurrent + 3)
    }))

  it.scoped("CC-13: what is subsumed makes room too: of 1 and 2, 2 completes, then 3 and 4", () =>
    Effect.gen(function*() {
      const { ack, advance, pending, start } = yield* makeWorld({ options: { interval: 10, maxConcurrent: 2 } })
      yield* start
      for (let i = 0; i < 4; i++) yield* advance(10)
      expect(pending()).toEqual([1, 2])
      yield* ack(2)
      for (let i = 0; i < 3; i++) yield* advance(10)
      expect(pending()).toEqual([3, 4])
    }))

  it.scoped("CC-12, D1: one that is asked for by hand waits for its turn as well", () =>
    Effect.gen(function*() {
      const { ack, pending, trigger } = yield* makeWorld({ options: { interval: 100_000, maxConcurrent: 1 } })
      yield* trigger()
      const second = yield* trigger()
      expect(pending()).toEqual([1])
      yield* ack(1)
      expect(pending()).toEqual([2])
      yield* ack(2)
      expect(yield* outcome(second)).toBe(2)
    }))

  it.scoped("CC-14: the pause is measured from the end of the one before", () =>
    Effect.gen(function*() {
      const { ack, advance, decline, pending, start } = yield* makeWorld({ options: { interval: 12, minPause: 50, tolerableFailures: 5 } })
      yield* start
      yield* advance(12)
      expect(pending()).toEqual([1])
      yield* advance(30)
      yield* ack(1)
      yield* advance(49)
      expect(pending()).toEqual([])
      yield* advance(1)
      expect(pending()).toEqual([2])
      yield* decline(2)
      yield* advance(49)
      expect(pending()).toEqual([])
      yield* advance(1)
      expect(pending()).toEqual([3])
    }))

  it.scoped("CC-08: while a task is not running yet nothing is triggered, and nothing is lost but that turn", () =>
    Effect.gen(function*() {
      const { advance, fatal, pending, start, tasks } = yield* makeWorld({ options: { interval: 10 } })
      tasks[1].state = "initializing"
      yield* start
      yield* advance(10)
      yield* advance(9)
      tasks[1].state = "running"
      expect(pending()).toEqual([])
      yield* advance(1)
      expect(pending()).toHaveLength(1)
      expect(fatal).toEqual([])
    }))

  it.scoped("CC-28: the newest are retained, counted with those of earlier attempts; one that cannot be discarded does no harm", () =>
    Effect.gen(function*() {
      const { ack, store, trigger } = yield* makeWorld({ options: { retain: 2 }, ids: { last: 9 }, retained: [5, 7, 9] })
      for (const id of [5, 6, 7, 9]) store.kept.set(id, undefined as any)
      yield* trigger()
      yield* ack(10)
      expect(Array.from(store.kept.keys())).toEqual([6, 9, 10])
      yield* trigger()
      yield* ack(11)
      expect(Array.from(store.kept.keys())).toEqual([6, 10, 11])
    }))
})

const counting: ReadonlyArray<Checkpoint.CheckpointFailureReason> = [
  "STORAGE",
  "ASYNC_EXCEPTION",
  "EXPIRED",
  "DECLINED_ON_CANCELLATION_BARRIER"
]

const ignored: ReadonlyArray<Checkpoint.CheckpointFailureReason> = [
  "TASK_NOT_READY",
  "TASK_FAILURE",
  "COORDINATOR_SHUTDOWN",
  "NOT_ALL_REQUIRED_TASKS_RUNNING"
]

describe("failures", () => {
  it.scoped("CC-21, D3: two are tolerated: failures 1, 2, one that does not count, 4: the job has failed, once", () =>
    Effect.gen(function*() {
      const { decline, fatal, serious, tasks, trigger } = yield* makeWorld({ options: { tolerableFailures: 2 } })
      for (const reason of ["ASYNC_EXCEPTION", "DECLINED_ON_CANCELLATION_BARRIER", "TASK_NOT_READY"] as const) {
        const id = seen(tasks[0], "trigger").length + 1
        yield* trigger()
        yield* decline(id, tasks[0], reason)
        yield* decline(id, tasks[1], reason)
      }
      expect(fatal).toEqual([])
      yield* trigger()
      yield* decline(4)
      yield* decline(4)
      expect(fatal).toEqual(["4 ASYNC_EXCEPTION"])
      expect(serious).toEqual([true, true, false, true])
    }))

  it("CC-21, D3: whatever comes: only some reasons count, a success begins anew, savepoints are left out", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            {
              weight: 3,
              arbitrary: fc.record({ _tag: fc.constant("decline" as const), reason: fc.constantFrom(...counting, ...ignored) })
            },
            { weight: 1, arbitrary: fc.record({ _tag: fc.constant("complete" as const) }) },
            { weight: 1, arbitrary: fc.record({ _tag: fc.constant("expire" as const) }) },
            { weight: 1, arbitrary: fc.record({ _tag: fc.constant("savepoint" as const), reason: fc.constantFrom(...counting) }) }
          ),
          { maxLength: 12 }
        ),
        fc.nat(3),
        (steps, tolerableFailures) =>
          Effect.gen(function*() {
            const { ack, advance, decline, fatal, trigger } = yield* makeWorld({ options: { tolerableFailures, timeout: 1000 } })
            const expected: Array<string> = []
            let inARow = 0
            for (let i = 0; i < steps.length; i++) {
              const step = steps[i]
              const id = i + 1
              yield* trigger(step._tag === "savepoint" ? Checkpoint.savepoint() : Checkpoint.checkpoint)
              if (step._tag === "complete") {
                inARow = 0
                yield* ack(id)
              } else {
                const reason = step._tag === "expire" ? "EXPIRED" : step.reason
                if (step._tag === "expire") yield* advance(1000)
                else yield* decline(id, undefined, reason)
                if (step._tag !== "savepoint" && counting.includes(reason) && ++inARow > tolerableFailures) expected.push(`${id} ${reason}`)
              }
            }
            expect(fatal).toEqual(expected)
          }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext), Effect.runPromise)
      ),
      { numRuns: 40 }
    ))
})

describe("savepoints", () => {
  it.scoped("CC-23: are not subsumed, subsume nothing, are not retained, and tell no task of their completion", () =>
    Effect.gen(function*() {
      const { ack, log, pending, store, tasks, trigger } = yield* makeWorld({ options: { maxConcurrent: 3, retain: 1 } })
      const savepoint = yield* trigger(Checkpoint.savepoint())
      yield* trigger()
      yield* ack(2)
      expect(pending()).toEqual([1])
      yield* trigger()
      const later = yield* trigger(Checkpoint.savepoint())
      yield* ack(4)
      expect(pending()).toEqual([1, 3])
      yield* ack(1)
      expect(pending()).toEqual([3])
      yield* ack(3)
      expect([yield* outcome(savepoint), yield* outcome(later)]).toEqual([1, 4])
      expect(Array.from(store.kept.keys()).toSorted((a, b) => a - b)).toEqual([1, 3, 4])
      expect(tasks.map((task) => seen(task, "complete"))).toEqual([["2", "3"], ["2", "3"]])
      expect(log.some((each) => each.startsWith("remove"))).toBe(false)
    }))

  it.scoped("CC-19, CC-23: nor does the abort of a checkpoint tell of one", () =>
    Effect.gen(function*() {
      const { ack, decline, tasks, trigger } = yield* makeWorld({ options: { tolerableFailures: 5 } })
      yield* trigger()
      yield* ack(1)
      yield* trigger(Checkpoint.savepoint())
      yield* ack(2)
      yield* trigger()
      yield* decline(3)
      expect(seen(tasks[0], "abort")).toEqual(["3 after 1"])
    }))

  it.scoped("CC-24: five may be under way where one checkpoint may, and they neither wait for the pause nor hold checkpoints up", () =>
    Effect.gen(function*() {
      const { ack, advance, pending, start, trigger } = yield* makeWorld({ options: { interval: 10, minPause: 1000, maxConcurrent: 1 } })
      yield* start
      yield* advance(10)
      yield* ack(1)
      for (let i = 0; i < 5; i++) yield* trigger(Checkpoint.savepoint())
      expect(pending()).toEqual([2, 3, 4, 5, 6])
      yield* advance(1000)
      expect(pending()).toEqual([2, 3, 4, 5, 6, 7])
      yield* ack(4)
      expect(pending()).toEqual([2, 3, 5, 6, 7])
    }))

  it.scoped.each(["suspend", "drain"] as const)(
    "CC-23, FC-18: one that stops the job, with %s, tells every task, and nothing more is triggered",
    (stop) =>
      Effect.gen(function*() {
        const { ack, advance, coordinator, start, tasks, trigger } = yield* makeWorld({ options: { interval: 10 } })
        yield* start
        const fiber = yield* trigger(Checkpoint.savepoint(stop))
        expect(coordinator.finalCheckpoint()).toBe(true)
        yield* advance(100)
        yield* ack(1)
        yield* advance(100)
        expect(yield* outcome(fiber)).toBe(1)
        expect(tasks.map((task) => task.told)).toEqual(Array(2).fill(["trigger 1", "complete 1"]))
      })
  )

  it.scoped("FC-15, FC-25: one that was to stop the job and fails has failed the job, once, however many failures are tolerated", () =>
    Effect.gen(function*() {
      const { decline, failed, fatal, trigger } = yield* makeWorld({ options: { tolerableFailures: 99 } })
      const fiber = yield* trigger(Checkpoint.savepoint("suspend"))
      yield* decline(1, undefined, "TASK_NOT_READY")
      yield* decline(1)
      expect(yield* outcome(fiber)).toBe("TASK_NOT_READY")
      expect([failed, fatal]).toEqual([["1 TASK_NOT_READY"], ["1 TASK_NOT_READY"]])
    }))

  it.scoped("FC-17: while one stops the job, a second one is refused and does no harm", () =>
    Effect.gen(function*() {
      const { ack, fatal, trigger } = yield* makeWorld({ options: {} })
      const first = yield* trigger(Checkpoint.savepoint("drain"))
      expect(yield* outcome(yield* trigger(Checkpoint.savepoint("suspend")))).toBe("TASK_NOT_READY")
      yield* ack(1)
      expect(yield* outcome(first)).toBe(1)
      expect(fatal).toEqual([])
    }))

  it.scoped("FC-23, CC-21: one that cannot begin fails, and nothing else: the job goes on, and so do its checkpoints", () =>
    Effect.gen(function*() {
      const { advance, fatal, pending, start, store, trigger } = yield* makeWorld({ options: { interval: 10 } })
      yield* start
      store.beginFails = true
      expect(yield* outcome(yield* trigger(Checkpoint.savepoint()))).toBe("STORAGE")
      store.beginFails = false
      expect(fatal).toEqual([])
      yield* advance(10)
      expect(pending()).toEqual([2])
    }))

  it.scoped("FC-23: so does one that was to stop the job: no task has ended its data yet", () =>
    Effect.gen(function*() {
      const { advance, fatal, log, pending, start, store, trigger } = yield* makeWorld({ options: { interval: 10 } })
      yield* start
      store.beginFails = true
      expect(yield* outcome(yield* trigger(Checkpoint.savepoint("suspend")))).toBe("STORAGE")
      store.beginFails = false
      expect(log).toEqual([])
      expect(fatal).toEqual([])
      yield* advance(10)
      expect(pending()).toEqual([2])
    }))
})

describe("the final checkpoint", () => {
  it.scoped("D5, FC-02: is triggered at once when the last task has ended its data, not at the interval, and only once", () =>
    Effect.gen(function*() {
      const { ack, advance, coordinator, pending, start, tasks } = yield* makeWorld({
        options: { interval: 1000, minPause: 500 },
        vertices: pipeline
      })
      yield* start
      yield* advance(10)
      for (const task of tasks.slice(0, 3)) yield* coordinator.awaitsFinalCheckpoint(task)
      yield* settle
      expect(pending()).toEqual([])
      yield* coordinator.awaitsFinalCheckpoint(tasks[3])
      yield* settle
      expect(pending()).toEqual([1])
      yield* advance(5000)
      expect(pending()).toEqual([1])
      yield* ack(1)
      yield* advance(5000)
      expect(pending()).toEqual([])
      expect(seen(tasks[3], "complete")).toEqual(["1"])
    }))

  it.scoped("D5, FC-03: one under way is awaited first; if the final one fails, it is tried again at the interval until one completes", () =>
    Effect.gen(function*() {
      const { ack, advance, coordinator, decline, fatal, pending, start, tasks } = yield* makeWorld({
        options: { interval: 1000, tolerableFailures: 9 }
      })
      yield* start
      yield* advance(1000)
      for (const task of tasks) yield* coordinator.awaitsFinalCheckpoint(task)
      yield* settle
      expect(pending()).toEqual([1])
      yield* advance(200)
      yield* ack(1)
      expect(pending()).toEqual([2])
      yield* advance(100)
      yield* decline(2)
      expect(pending()).toEqual([])
      yield* advance(899)
      expect(pending()).toEqual([])
      yield* advance(1)
      expect(pending()).toEqual([3])
      yield* decline(3)
      yield* advance(1000)
      yield* ack(4)
      yield* advance(5000)
      expect(pending()).toEqual([])
      expect(fatal).toEqual([])
    }))

  it.scoped("D5: tasks that have finished before are not waited for", () =>
    Effect.gen(function*() {
      const { ack, coordinator, pending, start, tasks } = yield* makeWorld({ options: {}, vertices: [{ parallelism: 3 }] })
      yield* start
      yield* coordinator.taskFinished(tasks[1])
      yield* coordinator.awaitsFinalCheckpoint(tasks[0])
      yield* settle
      expect(pending()).toEqual([])
      yield* coordinator.awaitsFinalCheckpoint(tasks[2])
      yield* settle
      expect(pending()).toEqual([1])
      yield* ack(1, tasks[0], tasks[2])
      expect(pending()).toEqual([])
    }))

  it.scoped("D5: one that cannot begin, or that a task cannot take, is tried again at the interval", () =>
    Effect.gen(function*() {
      const { advance, coordinator, pending, start, store, tasks } = yield* makeWorld({ options: { interval: 1000, tolerableFailures: 9 } })
      yield* start
      store.beginFails = true
      for (const task of tasks) yield* coordinator.awaitsFinalCheckpoint(task)
      yield* settle
      store.beginFails = false
      tasks[1].takes = false
      yield* advance(1000)
      expect(pending()).toEqual([])
      tasks[1].takes = true
      yield* advance(1000)
      expect(pending()).toEqual([3])
    }))

  it.scoped("D5: also where there are so many tasks that it has failed before all of them are asked", () =>
    Effect.gen(function*() {
      const { advance, coordinator, pending, start, tasks } = yield* makeWorld({
        options: { interval: 1000, tolerableFailures: 9 },
        vertices: [{ parallelism: 2000 }]
      })
      yield* start
      tasks[0].takes = false
      for (const task of tasks) yield* coordinator.awaitsFinalCheckpoint(task)
      yield* settle
      expect(pending()).toEqual([])
      tasks[0].takes = true
      yield* advance(1000)
      expect(pending()).toEqual([2])
    }))

  it.scoped("FC-04: without periodic checkpoints there is none, nor where it is not wanted", () =>
    Effect.gen(function*() {
      expect((yield* makeWorld()).coordinator.finalCheckpoint()).toBe(false)
      expect((yield* makeWorld({ options: { finalCheckpoint: false } })).coordinator.finalCheckpoint()).toBe(false)
      expect((yield* makeWorld({ options: {} })).coordinator.finalCheckpoint()).toBe(true)
    }))

  it.scoped("CC-17: when the attempt is over, what is under way is removed, and whoever waits for it is told", () =>
    Effect.gen(function*() {
      const { ack, coordinator, log, pending, store, tasks, trigger } = yield* makeWorld({ options: { maxConcurrent: 2 } })
      const fibers = [yield* trigger(), yield* trigger(Checkpoint.savepoint())]
      yield* coordinator.shutdown
      expect(yield* Effect.forEach(fibers, outcome)).toEqual(["COORDINATOR_SHUTDOWN", "COORDINATOR_SHUTDOWN"])
      expect(log.filter((each) => each.startsWith("remove")).sort()).toEqual(["remove 1", "remove 2"])
      yield* ack(1)
      expect(pending()).toEqual([])
      expect(store.kept.size).toBe(0)
      expect(seen(tasks[0], "complete")).toEqual([])
    }))
})
