/**
 * Runs a job: restores, starts the tasks of an attempt as supervised fibers, restarts after a failure, ends.
 *
 *     open the store of the job's name   one writer; held until the end
 *     attempt                            restore the newest checkpoint that can be read; make tasks; run them and the coordinator
 *       all tasks finished               the job is finished, or stopped where a savepoint stopped it
 *       the first task failed            the others are canceled; the schedule says when to start again, or that it is over
 *     interruption                       cancels all tasks; checkpoints stay
 *
 * R1. Before an attempt starts, every task of the one before has ended and closed.
 * R2. A damaged checkpoint is passed over for the next older one, and that is said; if none is left, the job fails rather than start empty.
 * R3. What a finished run leaves is a mark; the next run begins anew and says so.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Checkpoint from "../Checkpoint.js"
import { CheckpointCoordinator } from "../checkpoint/CheckpointCoordinator.js"
import type { Assignment } from "../checkpoint/StateAssignment.js"
import * as StateAssignment from "../checkpoint/StateAssignment.js"
import { CheckpointStorage } from "../CheckpointStorage.js"
import type { JobGraph } from "../graph/JobGraph.js"
import type { CheckpointStats, JobMetrics, VertexMetrics } from "../JobMetrics.js"
import type { ResolvedOptions } from "../JobOptions.js"
import type { CheckpointStore } from "../storage/CheckpointStore.js"
import { resumable } from "../storage/CheckpointStore.js"
import * as memory from "../storage/memoryStorage.js"
import { Watermark } from "../StreamElement.js"
import type { JobAlreadyRunning, JobError, StorageFailed } from "../StreamError.js"
import { CheckpointFailed, JobFailed, StateIncompatible } from "../StreamError.js"
import type { Invokable, TaskEnd } from "../task/Invokable.js"
import * as ExecutionGraph from "./ExecutionGraph.js"
import type { JobEvent, JobResult, JobStatus } from "./JobResult.js"

type Outcome =
  | { readonly _tag: "ended"; readonly stopped: boolean }
  | { readonly _tag: "canceled" }
  | { readonly _tag: "failed"; readonly vertex: string; readonly subtask: number; readonly cause: Cause.Cause<any> }

/** Runs one job once. */
export class JobMaster {
  private tasks: ReadonlyArray<Invokable> = []
  private coordinator: CheckpointCoordinator | undefined
  private restarts = 0
  private completed = 0
  private failed = 0
  private last: CheckpointStats | undefined
  status: JobStatus = "created"

  constructor(
    private readonly id: string,
    private readonly graph: JobGraph,
    private readonly options: ResolvedOptions,
    private readonly events: PubSub.PubSub<JobEvent>,
    /** run when all tasks of an attempt run */
    private readonly started: Effect.Effect<unknown>
  ) {}

  /** What the job tells of itself now. */
  get metrics(): JobMetrics {
    return {
      vertices: this.graph.vertices.map((vertex): VertexMetrics => {
        const tasks = this.tasks.filter((task) => task.vertex === vertex)
        const subtasks = tasks.map((task) => task.metrics)
        const counters: Record<string, number> = {}
        for (const task of tasks) for (const [name, n] of task.counters) counters[name] = (counters[name] ?? 0) + n
        return {
          name: vertex.name,
          parallelism: vertex.parallelism,
          recordsIn: subtasks.reduce((sum, each) => sum + each.recordsIn, 0),
          recordsOut: subtasks.reduce((sum, each) => sum + each.recordsOut, 0),
          watermark: subtasks.length === 0 ? Watermark.MIN : Math.min(...subtasks.map((each) => each.watermark)),
          counters,
          subtasks
        }
      }),
      checkpoints: { completed: this.completed, failed: this.failed, last: this.last },
      restarts: this.restarts
    }
  }

  /** Takes a checkpoint or savepoint now. */
  readonly trigger = (kind: Checkpoint.CheckpointKind): Effect.Effect<CheckpointStats, CheckpointFailed> =>
    Effect.suspend(() =>
      this.coordinator === undefined
        ? Effect.fail(
          new CheckpointFailed({
            job: this.graph.name,
            id: 0,
            reason: "NOT_ALL_REQUIRED_TASKS_RUNNING",
            detail: `the job is ${this.status}`
          })
        )
        : this.coordinator.trigger(kind)
    )

  /** The whole run. */
  readonly run: Effect.Effect<JobResult, JobError<any>, any> = Effect.scoped(Effect.gen(this, function*() {
    const clock = yield* Effect.clock
    const startedAt = clock.unsafeCurrentTimeMillis()
    const store = yield* this.openStore
    const before = yield* this.survey(store)
    const ids = { last: yield* store.highestId }
    const driver = this.options.restart === "none" ? undefined : yield* Schedule.driver(this.options.restart)
    let restoredFrom: number | undefined
    for (let attempt = 0;; attempt++) {
      const assignment = yield* this.restore(store, before, attempt)
      if (attempt === 0) restoredFrom = assignment?.checkpointId
      const outcome = yield* this.attempt(store, assignment, attempt, ids)
      if (outcome._tag === "canceled") {
        this.status = "canceled"
        yield* this.tell({ _tag: "Canceled" })
        return yield* Effect.interrupt
      }
      if (outcome._tag === "ended") {
        this.status = outcome.stopped ? "stopped" : "finished"
        if (!outcome.stopped) yield* store.finish(ids.last, (yield* this.survey(store)).savepoints)
        yield* this.tell({ _tag: "Ended", status: this.status })
        return this.result(startedAt, clock.unsafeCurrentTimeMillis(), restoredFrom)
      }
      // what was left behind may still hold what another attempt would need
      const abandoned = this.tasks.find((task) => task.abandoned !== undefined)?.abandoned
      if (abandoned !== undefined) return yield* this.giveUp(abandoned)
      const incompatible = Array.from(Cause.failures(outcome.cause)).find((failure) => failure instanceof StateIncompatible)
      if (incompatible !== undefined) return yield* this.giveUp(incompatible)
      this.status = "restarting"
      const again = driver === undefined ? Exit.fail(undefined) : yield* Effect.exit(driver.next(outcome.cause))
      if (Exit.isFailure(again)) {
        if (Cause.isInterrupted(again.cause)) return yield* Effect.interrupt
        const { cause, subtask, vertex } = outcome
        return yield* this.giveUp(new JobFailed({ job: this.graph.name, vertex, subtask, restarts: this.restarts, cause }))
      }
      this.restarts++
      yield* this.tellRestarting(outcome, attempt)
    }
  })).pipe(Effect.onInterrupt(() =>
    Effect.sync(() => {
      this.status = "canceled"
    })
  ))

  private readonly openStore: Effect.Effect<CheckpointStore, StorageFailed | JobAlreadyRunning, Scope.Scope> = Effect.gen(
    this,
    function*() {
      const storage = yield* Effect.serviceOption(CheckpointStorage)
      if (storage._tag === "Some") return yield* storage.value.open(this.graph.name)
      if (this.options.checkpoint !== undefined) {
        yield* Effect.logInfo(
          `job ${this.graph.name}: no CheckpointStorage is provided, checkpoints are kept in memory and do not survive the process`
        )
      }
      return yield* (yield* memory.make).open(this.graph.name)
    }
  )

  // ---------------------------------------------------------------------------------------------------------------- restoring

  /** what is in the store, newest first */
  private survey(store: CheckpointStore) {
    return Effect.gen(function*() {
      const all = yield* store.list
      const latest = yield* resumable(store)
      const savepoints: Array<number> = []
      for (const id of all) {
        const metadata = yield* Effect.either(store.metadata(id))
        if (metadata._tag === "Right" && metadata.right.kind._tag === "Savepoint") savepoints.push(id)
      }
      return { all, latest, savepoints }
    })
  }

  private restore(
    store: CheckpointStore,
    before: { readonly all: ReadonlyArray<number>; readonly latest: ReadonlyArray<number> },
    attempt: number
  ): Effect.Effect<Assignment | undefined, JobError<any>> {
    const { graph, options } = this
    const { restore } = options
    return Effect.gen(this, function*() {
      const first = restore === "latest" ? before.latest : restore === "none" ? [] : [restore.savepoint]
      const now = yield* store.list
      const since = attempt === 0 ? [] : now.filter((id) => !before.all.includes(id))
      // what the run began with may have been discarded since
      const candidates = [...since, ...(since.length === 0 ? first : first.filter((id) => now.includes(id)))]
      const strict = typeof restore === "string" || restore.allowNonRestoredState !== true
      for (let i = 0; i < candidates.length; i++) {
        const assigned = yield* Effect.either(StateAssignment.make(graph, store, candidates[i], !strict))
        if (assigned._tag === "Right") {
          yield* Effect.logInfo(`job ${graph.name}: restored from checkpoint ${candidates[i]} (${store.location(candidates[i])})`)
          yield* this.tell({ _tag: "Restored", checkpointId: candidates[i] })
          return assigned.right
        }
        if (assigned.left._tag !== "CheckpointCorrupt" || i + 1 === candidates.length) return yield* Effect.fail(assigned.left)
        yield* Effect.logWarning(
          `job ${graph.name}: checkpoint ${candidates[i]} is damaged, going back to ${candidates[i + 1]}: ${assigned.left.message}`
        )
      }
      if (attempt === 0) {
        const finished = yield* store.finished
        if (finished !== undefined) {
          yield* Effect.logInfo(`job ${graph.name}: the last run finished (checkpoint ${finished.lastId}), starting anew`)
        }
      }
      return undefined
    })
  }

  // ---------------------------------------------------------------------------------------------------------------- an attempt

  private attempt(
    store: CheckpointStore,
    assignment: Assignment | undefined,
    attempt: number,
    ids: { last: number }
  ): Effect.Effect<Outcome, StorageFailed, any> {
    const { graph, options } = this
    return Effect.scoped(Effect.gen(this, function*() {
      const outcome = yield* Deferred.make<Outcome>()
      const { all, savepoints } = yield* this.survey(store)
      const retained = all.filter((id) => !savepoints.includes(id)).reverse()
      const coordinator = new CheckpointCoordinator(
        graph,
        store,
        options.checkpoint,
        ids,
        {
          completed: (stats) =>
            Effect.suspend(() => {
              this.completed++
              this.last = stats
              return this.tell({ _tag: "CheckpointCompleted", stats })
            }),
          failed: (failure, serious) =>
            Effect.suspend(() => {
              this.failed++
              return Effect.zipRight(
                serious ? Effect.logWarning(failure.message) : Effect.logDebug(failure.message),
                this.tell({ _tag: "CheckpointFailed", failure })
              )
            }),
          fatal: (failure) =>
            Effect.asVoid(
              Deferred.succeed(outcome, { _tag: "failed", vertex: "checkpoint coordinator", subtask: 0, cause: Cause.fail(failure) })
            )
        },
        yield* Effect.scope,
        assignment?.checkpointId ?? 0,
        retained
      )
      const token = (yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)
      const { latches, tasks } = yield* ExecutionGraph.make(
        graph,
        options,
        { number: attempt, id: `${ids.last}-${token}` },
        assignment,
        coordinator
      )
      coordinator.setTasks(tasks)
      this.tasks = tasks
      this.coordinator = coordinator
      this.status = "running"
      yield* this.tell({ _tag: "Started", attempt })
      let left = tasks.length
      let stopped = false
      const ended = (task: Invokable, end: TaskEnd): Effect.Effect<unknown> => {
        switch (end._tag) {
          case "failed":
            return Deferred.succeed(outcome, { _tag: "failed", vertex: task.vertex.name, subtask: task.subtask, cause: end.cause })
          case "canceled":
            return Deferred.succeed(outcome, { _tag: "canceled" })
          case "finished":
            stopped ||= end.stopped
            return Effect.zipRight(
              coordinator.taskFinished(task),
              --left === 0 ? Deferred.succeed(outcome, { _tag: "ended", stopped }) : Effect.void
            )
        }
      }
      yield* Effect.addFinalizer(() => coordinator.shutdown)
      yield* Effect.forkScoped(Effect.raceFirst(coordinator.run, Deferred.await(outcome)))
      const run = (task: Invokable) => Effect.forkDaemon(Effect.interruptible(Effect.flatMap(task.invoke, (end) => ended(task, end))))
      // R1: whatever happens from the first task on, every task ends before the attempt does
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.forEach(tasks, run), (fibers) => {
          const ended = Deferred.await(outcome)
          const running = Effect.raceFirst(Effect.asVoid(Effect.zipRight(latches.allRunning, this.started)), Effect.asVoid(ended))
          return Effect.ensuring(restore(Effect.zipRight(running, ended)), Fiber.interruptAll(fibers))
        })
      )
    })).pipe(Effect.ensuring(Effect.sync(() => {
      this.coordinator = undefined
    })))
  }

  // ---------------------------------------------------------------------------------------------------------------- telling

  private tell(event: JobEvent): Effect.Effect<void> {
    return Effect.asVoid(PubSub.publish(this.events, event))
  }

  private tellRestarting(outcome: Extract<Outcome, { readonly _tag: "failed" }>, attempt: number): Effect.Effect<void> {
    const { cause, subtask, vertex } = outcome
    return Effect.zipRight(
      Effect.logWarning(`job ${this.graph.name}: ${vertex}[${subtask}] failed, restarting: ${Cause.pretty(cause)}`),
      this.tell({ _tag: "Restarting", attempt: attempt + 1, cause })
    )
  }

  private giveUp<E extends JobError<any>>(error: E): Effect.Effect<never, E> {
    return Effect.suspend(() => {
      this.status = "failed"
      return Effect.zipRight(this.tell({ _tag: "Failed", error }), Effect.fail(error))
    })
  }

  private result(startedAt: number, endedAt: number, restoredFrom: number | undefined): JobResult {
    const { checkpoints, restarts, vertices } = this.metrics
    return {
      id: this.id,
      name: this.graph.name,
      status: this.status === "stopped" ? "stopped" : "finished",
      restarts,
      checkpoints: { completed: checkpoints.completed, failed: checkpoints.failed, lastId: checkpoints.last?.id },
      restoredFrom,
      durationMs: endedAt - startedAt,
      records: vertices.map(({ name, recordsIn, recordsOut }) => ({ vertex: name, in: recordsIn, out: recordsOut }))
    }
  }
}
