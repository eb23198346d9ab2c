/**
 * Takes the checkpoints of one attempt of a job: triggers, collects acknowledgements, makes the metadata durable, tells everybody.
 *
 * D1. Ids grow by one, over attempts and runs; at most `maxConcurrent` checkpoints are under way; savepoints do not count (CC-12, CC-24).
 * D2. The metadata is put before anybody is told: what is told is durable.
 * D3. More than `tolerableFailures` in a row fail the job; a success resets the count (CC-21).
 * D4. A checkpoint that is not complete in time is given up, its channels unblocked, its files removed (CC-06).
 * D5. Once every task has ended its data, the final checkpoint is triggered at once.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { CheckpointBarrier, CheckpointFailureReason, CheckpointKind } from "../Checkpoint.js"
import * as Checkpoint from "../Checkpoint.js"
import type { CheckpointStore, CheckpointWriter } from "../CheckpointStorage.js"
import type { JobGraph } from "../graph/JobGraph.js"
import type { CheckpointStats } from "../JobMetrics.js"
import type { ResolvedCheckpointOptions } from "../JobOptions.js"
import { CheckpointFailed } from "../StreamError.js"
import type { CheckpointResponder, Invokable, SubtaskReport } from "../task/Invokable.js"
import { Parker } from "../task/Parker.js"
import { metadataOf } from "./metadata.js"
import * as Pending from "./Pending.js"

/** What a coordinator reports to. */
export interface Listener {
  readonly completed: (stats: CheckpointStats) => Effect.Effect<void>
  /** `serious` says that something is wrong, not merely that a task was on its way out */
  readonly failed: (failure: CheckpointFailed, serious: boolean) => Effect.Effect<void>
  /** too many failures, or a savepoint that was to stop the job: the attempt has failed */
  readonly fatal: (failure: CheckpointFailed) => Effect.Effect<void>
}

/** The ids of a job's checkpoints, shared by its attempts. */
export interface IdCounter {
  last: number
}

interface Underway {
  readonly writer: CheckpointWriter
  readonly done: Deferred.Deferred<CheckpointStats, CheckpointFailed>
  readonly startedAt: number
}

const keyOf = (task: Invokable): string => `${task.vertex.index}:${task.subtask}`

/** CC-21: the failures that say something is wrong, not merely that a task was on its way out */
const counted: ReadonlySet<string> = new Set<CheckpointFailureReason>([
  "STORAGE",
  "ASYNC_EXCEPTION",
  "EXPIRED",
  "DECLINED_ON_CANCELLATION_BARRIER"
])

const defaults = {
  timeout: 600_000,
  maxConcurrent: 1,
  tolerableFailures: 0,
  retain: 1,
  minPause: 0,
  mode: "exactly-once",
  alignedTimeout: Infinity
} as const

/** Coordinates the checkpoints of one attempt. */
export class CheckpointCoordinator implements CheckpointResponder {
  private pending: Pending.State<SubtaskReport> = Pending.empty
  private readonly underway = new Map<number, Underway>()
  /** checkpoints, and savepoints that others could overtake, from their beginning to their end: each takes up room until then */
  private readonly taking = new Map<number, { readonly kind: CheckpointKind; readonly left: Deferred.Deferred<void> }>()
  /** ends when the last one has begun: one after the other, savepoints too, since a task ignores what is older than what it has taken */
  private begun: Effect.Effect<void> = Effect.void
  private tasks: ReadonlyArray<Invokable> = []
  private readonly finished = new Set<Invokable>()
  private readonly awaiting = new Set<Invokable>()
  private readonly parker = new Parker()
  private failures = 0
  private lastEnd = Number.NEGATIVE_INFINITY
  private latestCompleted: number
  private stopping = false
  /** the attempt is over */
  private over = false
  /** the checkpoint that was triggered because every task waits for its final one */
  private final: { readonly _tag: "none" } | { readonly _tag: "triggered"; readonly id: number } | { readonly _tag: "failed" } = {
    _tag: "none"
  }
  private completedIds: Array<number>
  private readonly options: Omit<ResolvedCheckpointOptions, "interval" | "finalCheckpoint">

  constructor(
    private readonly graph: JobGraph,
    private readonly store: CheckpointStore,
    private readonly periodic: ResolvedCheckpointOptions | undefined,
    private readonly ids: IdCounter,
    private readonly listener: Listener,
    private readonly scope: Scope.Scope,
    restoredId: number,
    /** complete checkpoints, no savepoints, oldest first, that retention may discard */
    retained: ReadonlyArray<number>
  ) {
    this.options = periodic ?? defaults
    this.latestCompleted = restoredId
    this.completedIds = [...retained]
  }

  /** The tasks of the attempt, before any of them runs. */
  setTasks(tasks: ReadonlyArray<Invokable>): void {
    this.tasks = tasks
  }

  // ---------------------------------------------------------------------------------------------------------------- triggering

  /** Triggers at the interval for ever; the final one as soon as every task waits for it, and again at the interval should it fail. */
  readonly run: Effect.Effect<void> = Effect.suspend(() => {
    const { periodic } = this
    if (periodic === undefined) return Effect.void
    return Effect.gen(this, function*() {
      const clock = yield* Effect.clock
      let due = clock.unsafeCurrentTimeMillis() + periodic.interval
      for (;;) {
        const now = clock.unsafeCurrentTimeMillis()
        const final = this.everybodyWaits
        const at = final && this.final._tag === "none" ? now : Math.max(due, this.lastEnd + periodic.minPause)
        if (this.stopping || this.isFull || (final && this.final._tag === "triggered")) {
          yield* this.parker.park
        } else if (at > now) yield* Effect.raceFirst(Effect.sleep(at - now), this.parker.park)
        else {
          due = now + periodic.interval
          // before it starts: it may fail while it does
          if (final) this.final = { _tag: "triggered", id: this.ids.last + 1 }
          const started = yield* Effect.exit(this.start(Checkpoint.checkpoint))
          if (final && Exit.isFailure(started)) this.final = { _tag: "failed" }
        }
      }
    })
  })

  /** every task has ended its data and at least one waits for its final checkpoint */
  private get everybodyWaits(): boolean {
    return this.awaiting.size > 0 && this.tasks.every((task) => this.awaiting.has(task) || this.finished.has(task))
  }

  /** Triggers one, as soon as there is room for it (a savepoint needs none), and waits until it is complete. */
  readonly trigger = (kind: CheckpointKind): Effect.Effect<CheckpointStats, CheckpointFailed> =>
    Effect.flatMap(Effect.zipRight(kind._tag === "Checkpoint" ? this.room : Effect.void, this.start(kind)), Deferred.await)

  /** waits while as many checkpoints are under way as may be */
  private readonly room: Effect.Effect<void> = Effect.suspend(() => {
    const [first] = this.taking.values()
    return this.isFull ? Effect.zipRight(Deferred.await(first.left), this.room) : Effect.void
  })

  /** as many as may be are under way, or a savepoint whose barrier others would overtake: it would never be complete */
  private get isFull(): boolean {
    if (this.taking.size >= this.options.maxConcurrent) return true
    for (const { kind } of this.taking.values()) if (kind._tag === "Savepoint") return true
    return false
  }

  private makeRoom(id: number): void {
    const taken = this.taking.get(id)
    if (taken === undefined) return
    this.taking.delete(id)
    Deferred.unsafeDone(taken.left, Effect.void)
    this.parker.wake()
  }

  private start(kind: CheckpointKind): Effect.Effect<Deferred.Deferred<CheckpointStats, CheckpointFailed>, CheckpointFailed> {
    const stop = kind._tag === "Savepoint" && kind.stop !== "no"
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(this, function*() {
        const clock = yield* Effect.clock
        const id = this.ids.last + 1
        const running = this.tasks.filter((task) => !this.finished.has(task))
        const notReady = running.find((task) => task.state === "created" || task.state === "initializing")
        const refuse = (reason: CheckpointFailureReason, detail: string) => {
          const failure = new CheckpointFailed({ job: this.graph.name, id, reason, detail })
          return Effect.zipRight(this.listener.failed(failure, kind._tag === "Savepoint"), Effect.fail(failure))
        }
        if (this.over || running.length === 0 || this.tasks.length === 0) {
          return yield* refuse("NOT_ALL_REQUIRED_TASKS_RUNNING", "the job has ended")
        }
        if (notReady !== undefined) {
          return yield* refuse("NOT_ALL_REQUIRED_TASKS_RUNNING", `${notReady.vertex.name}[${notReady.subtask}] is ${notReady.state}`)
        }
        // what a task would take before the savepoint that it stops with would keep it from that one
        if (this.stopping) return yield* refuse("TASK_NOT_READY", "the job is already being stopped")
        if (stop) this.stopping = true
        this.ids.last = id
        // a barrier that may overtake must not overtake a savepoint's
        if (kind._tag === "Checkpoint" || this.options.alignedTimeout < Infinity) {
          this.taking.set(id, { kind, left: Deferred.unsafeMake(FiberId.none) })
        }
        const startedAt = clock.unsafeCurrentTimeMillis()
        const done = yield* Deferred.make<CheckpointStats, CheckpointFailed>()
        const late = () => ({ _tag: "Late", message: `the storage did not begin it in ${this.options.timeout} ms` }) as const
        const turn = Deferred.unsafeMake<void>(FiberId.none)
        const inTurn = Effect.zipRight(this.begun, this.store.begin(id))
        this.begun = Deferred.await(turn)
        const begin = Effect.timeoutFail(inTurn, { duration: this.options.timeout, onTimeout: late }).pipe(
          Effect.catchAllDefect((defect) => Effect.fail({ _tag: "Defect", message: Cause.pretty(Cause.die(defect)) } as const))
        )
        // FC-23: no task knows of it, so one that was to stop the job is like any other
        const abandon = () => {
          if (stop) this.stopping = false
          this.makeRoom(id)
          Deferred.unsafeDone(turn, Effect.void)
        }
        // a store that hangs holds later checkpoints no longer than that, and the end of the attempt not at all
        const begun = yield* Effect.onError(restore(Effect.either(begin)), () => Effect.sync(abandon))
        if (begun._tag === "Left") {
          abandon()
          const { _tag, message } = begun.left
          const reason = _tag === "Late" ? "EXPIRED" : "STORAGE"
          yield* this.count(id, reason, message, false, kind._tag === "Savepoint")
          return yield* Effect.fail(new CheckpointFailed({ job: this.graph.name, id, reason, detail: message }))
        }
        if (this.over) {
          abandon()
          yield* begun.right.abort
          return yield* refuse("COORDINATOR_SHUTDOWN", "the job ended meanwhile")
        }
        this.underway.set(id, { writer: begun.right, done, startedAt })
        yield* this.apply({
          _tag: "Triggered",
          checkpoint: { id, kind, timestamp: startedAt, needed: new Set(running.map(keyOf)), reports: new Map() }
        })
        const expire = this.giveUp(id, "EXPIRED", `not complete after ${this.options.timeout} ms`)
        yield* this.fork(
          Effect.raceFirst(Effect.asVoid(Effect.exit(Deferred.await(done))), Effect.zipRight(Effect.sleep(this.options.timeout), expire))
        )
        const unaligned = this.options.alignedTimeout === 0 && kind._tag === "Checkpoint"
        const barrier: CheckpointBarrier = {
          _tag: "CheckpointBarrier",
          id,
          timestamp: startedAt,
          kind,
          ...(unaligned ? { unaligned } : {})
        }
        for (const task of running) {
          if (!this.triggersDirectly(task)) continue
          yield* this.fork(
            Effect.flatMap(
              task.triggerCheckpointAsync(barrier),
              (taken) => taken ? Effect.void : this.giveUp(id, "TASK_NOT_READY", `${task.vertex.name}[${task.subtask}] is ${task.state}`)
            )
          )
        }
        Deferred.unsafeDone(turn, Effect.void)
        return done
      })
    )
  }

  /** CC-11: sources, and tasks all of whose writers have ended */
  private triggersDirectly(task: Invokable): boolean {
    return task.vertex.inputs.every((edge) =>
      this.tasks.every((writer) =>
        writer.vertex.index !== edge.from || this.finished.has(writer) ||
        (edge.partitioning._tag === "Forward" && writer.subtask !== task.subtask)
      )
    )
  }

  // ---------------------------------------------------------------------------------------------------------------- what tasks say

  readonly writer = (id: number): CheckpointWriter | undefined => this.underway.get(id)?.writer

  readonly acknowledge = (task: Invokable, id: number, report: SubtaskReport): Effect.Effect<void> =>
    this.apply({ _tag: "Acknowledged", id, task: keyOf(task), report })

  readonly decline: CheckpointResponder["decline"] = (task, id, reason, cause) =>
    this.giveUp(
      id,
      reason,
      `${task.vertex.name}[${task.subtask}]${Cause.isEmpty(cause) ? "" : `: ${Cause.pretty(cause)}`}`
    )

  readonly finalCheckpoint = (): boolean => this.stopping || (this.periodic?.finalCheckpoint ?? false)

  readonly awaitsFinalCheckpoint = (task: Invokable): Effect.Effect<void> =>
    Effect.sync(() => {
      this.awaiting.add(task)
      this.parker.wake()
    })

  /** A task has ended for good: what is under way does without it only if it has already reported (CC-10). */
  readonly taskFinished = (task: Invokable): Effect.Effect<void> =>
    Effect.suspend(() => {
      this.finished.add(task)
      this.awaiting.delete(task)
      const lost = Array.from(this.pending.values()).filter((each) => each.needed.has(keyOf(task)) && !each.reports.has(keyOf(task)))
      this.parker.wake()
      return Effect.forEach(lost, ({ id }) => this.giveUp(id, "TASK_NOT_READY", `${task.vertex.name}[${task.subtask}] ended meanwhile`), {
        discard: true
      })
    })

  // ---------------------------------------------------------------------------------------------------------------- ends

  private apply(event: Pending.Event<SubtaskReport>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const [next, actions] = Pending.step(this.pending, event)
      const subsumed = actions.flatMap((action) => action._tag === "Abort" ? [action.checkpoint] : [])
      // CC-20: they are under way until the newer one is sure
      this.pending = subsumed.length === 0 ? next : new Map([...next, ...subsumed.map((each) => [each.id, each] as const)])
      return Effect.forEach(
        actions,
        (action) => action._tag === "Complete" ? this.fork(this.complete(action.checkpoint, subsumed.map((each) => each.id))) : Effect.void,
        { discard: true }
      )
    })
  }

  private giveUp(id: number, reason: CheckpointFailureReason, detail: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const [next, actions] = Pending.step(this.pending, { _tag: "GivenUp", id, reason })
      this.pending = next
      return Effect.forEach(actions, ({ checkpoint }) => this.fork(this.abort(checkpoint, reason, detail)), { discard: true })
    })
  }

  private complete(checkpoint: Pending.PendingCheckpoint<SubtaskReport>, subsumed: ReadonlyArray<number>): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.gen(this, function*() {
      const { id, kind } = checkpoint
      const clock = yield* Effect.clock
      const underway = this.underway.get(id)
      if (underway === undefined) return
      const { done, startedAt, writer } = underway
      const metadata = metadataOf(this.graph, checkpoint, (vertex, subtask) => checkpoint.reports.get(`${vertex.index}:${subtask}`))
      const put = yield* Effect.exit(writer.complete(metadata))
      if (Exit.isFailure(put)) return yield* this.abort(checkpoint, "STORAGE", Cause.pretty(put.cause))
      this.underway.delete(id)
      this.makeRoom(id)
      const completedAt = clock.unsafeCurrentTimeMillis()
      this.lastEnd = completedAt
      this.failures = 0
      // CC-23: nobody is told of a savepoint, also not by the abort of a later checkpoint
      if (kind._tag === "Checkpoint") this.latestCompleted = Math.max(this.latestCompleted, id)
      const stats: CheckpointStats = {
        id,
        savepoint: kind._tag === "Savepoint",
        bytes: Array.from(checkpoint.reports.values()).reduce((sum, { handle }) => sum + (handle?.bytes ?? 0), 0),
        durationMs: completedAt - startedAt,
        completedAt,
        location: this.store.location(id)
      }
      yield* this.listener.completed(stats)
      yield* Effect.forEach(subsumed, (older) => this.giveUp(older, "SUBSUMED", `${id} is complete`), { discard: true })
      if (kind._tag === "Checkpoint") {
        // an older one may be put behind a newer one
        this.completedIds = [...this.completedIds, id].sort((a, b) => a - b)
        const old = this.completedIds.splice(0, Math.max(0, this.completedIds.length - this.options.retain))
        yield* this.fork(Effect.forEach(old, (each) => Effect.ignoreLogged(this.store.discard(each)), { discard: true }))
      }
      // CC-23: a savepoint that does not stop the job sends no completion
      if (kind._tag === "Checkpoint" || kind.stop !== "no") {
        yield* Effect.forEach(this.tasks, (task) => this.fork(task.notifyCheckpointCompleteAsync(id)), { discard: true })
      }
      yield* Deferred.succeed(done, stats)
      this.parker.wake()
    }))
  }

  private abort(
    checkpoint: Pending.PendingCheckpoint<SubtaskReport>,
    reason: CheckpointFailureReason,
    detail: string
  ): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.gen(this, function*() {
      const { id, kind } = checkpoint
      const clock = yield* Effect.clock
      const underway = this.underway.get(id)
      if (underway === undefined) return
      this.underway.delete(id)
      this.makeRoom(id)
      if (this.final._tag === "triggered" && this.final.id === id) this.final = { _tag: "failed" }
      this.lastEnd = clock.unsafeCurrentTimeMillis()
      yield* Effect.forEach(this.tasks, (task) => this.fork(task.notifyCheckpointAbortAsync(id, this.latestCompleted)), { discard: true })
      yield* underway.writer.abort
      yield* Deferred.fail(underway.done, new CheckpointFailed({ job: this.graph.name, id, reason, detail }))
      if (reason !== "SUBSUMED") {
        yield* this.count(id, reason, detail, kind._tag === "Savepoint" && kind.stop !== "no", kind._tag === "Savepoint")
      }
      this.parker.wake()
    }))
  }

  private count(id: number, reason: string, detail: string, stop: boolean, savepoint = false): Effect.Effect<void> {
    return Effect.suspend(() => {
      const failure = new CheckpointFailed({ job: this.graph.name, id, reason, detail })
      const told = this.listener.failed(failure, counted.has(reason) || stop || savepoint)
      // FC-15: the tasks have ended their data and cannot go on
      if (stop) return Effect.zipRight(told, this.listener.fatal(failure))
      if (savepoint || !counted.has(reason) || id < this.latestCompleted) return told
      this.failures++
      return this.failures > this.options.tolerableFailures ? Effect.zipRight(told, this.listener.fatal(failure)) : told
    })
  }

  /** The attempt is over: what is under way is removed, and whoever waits for it is told. */
  readonly shutdown: Effect.Effect<void> = Effect.suspend(() => {
    this.over = true
    const underway = Array.from(this.underway)
    this.underway.clear()
    for (const id of Array.from(this.taking.keys())) this.makeRoom(id)
    this.pending = Pending.empty
    return Effect.forEach(underway, ([id, { done, writer }]) => {
      const failure = new CheckpointFailed({ job: this.graph.name, id, reason: "COORDINATOR_SHUTDOWN", detail: "the job ended meanwhile" })
      return Effect.zipRight(writer.abort, Deferred.fail(done, failure))
    }, { discard: true })
  })

  /** a fiber inherits whether it can be interrupted from the region that forks it */
  private fork(effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.asVoid(Effect.forkIn(Effect.interruptible(effect), this.scope))
  }
}
