/**
 * One subtask's part in a checkpoint, as Flink's SubtaskCheckpointCoordinator.
 *
 * Under the lock, as one atomic step from the point of view of records, watermarks, timers and notifications:
 *   1. `prepareSnapshotPreBarrier` on every operator, first to last
 *   2. the barrier goes downstream
 *   3. `snapshotState` on every operator, last to first, and the synchronous part of its state
 * Then, in a fiber of its own and outside the lock:
 *   4. encode, store, acknowledge; a failure here only declines the checkpoint (L6)
 *
 * Q1. A trigger whose id is not above the last one is ignored (CK-07).
 * Q2. An abort that comes before its trigger is remembered, at most 256 of them; the trigger then sends a cancel marker and snapshots nothing (CK-03, CK-04).
 * Q3. Completions are passed on once each, in order, and none at or below the restored id (CK-09).
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { CheckpointBarrier, CheckpointFailureReason } from "../Checkpoint.js"
import type { KeyGroupRange } from "../KeyGroup.js"
import type { LifecyclePhase } from "../Lifecycle.js"
import { cancelCheckpointMarker } from "../StreamElement.js"
import { CheckpointFailed } from "../StreamError.js"
import type { HookResult } from "../StreamOperator.js"
import type { CheckpointResponder, Invokable, SubtaskReport } from "./Invokable.js"
import type { ChainNode, OperatorChain } from "./OperatorChain.js"
import type { OperatorState, PendingSnapshot } from "./OperatorState.js"
import * as SnapshotFile from "./SnapshotFile.js"

/** How many aborts are remembered for checkpoints that were not triggered yet. */
const REMEMBERED_ABORTS = 256

/** What the checkpoints of a subtask need of its task. */
export interface Host {
  readonly task: Invokable
  readonly chain: () => OperatorChain
  readonly state: (node: ChainNode) => OperatorState
  readonly keyGroups: KeyGroupRange
  readonly responder: CheckpointResponder
  readonly observe: (phase: LifecyclePhase, operator: string | undefined, checkpointId: number) => void
  /** waits until what an unaligned checkpoint overtakes is captured */
  readonly captured: (id: number) => Effect.Effect<void> | undefined
  /** the checkpoint has been stored, or given up */
  readonly over: (id: number) => void
  readonly passing: (
    phase: LifecyclePhase,
    operator: string,
    hook: Effect.Effect<void, any>,
    checkpointId: number
  ) => Effect.Effect<void, any>
  /** runs the asynchronous part in a fiber of the task */
  readonly fork: (effect: Effect.Effect<void>) => Effect.Effect<Fiber.RuntimeFiber<void>>
}

/** FA-17: what says itself why the checkpoint failed keeps its reason */
const reasonOf = (cause: Cause.Cause<unknown>): CheckpointFailureReason => {
  const own = Array.from(Cause.failures(cause)).find((failure) => failure instanceof CheckpointFailed)
  return own === undefined ? "ASYNC_EXCEPTION" : own.reason as CheckpointFailureReason
}

const run = (result: HookResult<any>): Effect.Effect<void, any> => result ?? Effect.void

/** The checkpoints of one subtask. */
export class SubtaskCheckpoint {
  private lastId: number
  private lastCompleted: number
  private lastTold: number
  private readonly aborted = new Set<number>()
  private readonly running = new Map<number, Fiber.RuntimeFiber<void>>()

  constructor(private readonly host: Host, restoredId: number) {
    this.lastId = restoredId
    this.lastCompleted = restoredId
    this.lastTold = restoredId
  }

  /** the highest checkpoint that was triggered */
  get lastTriggered(): number {
    return this.lastId
  }

  /** the highest checkpoint of whose completion every operator has been told, and has done what it does then */
  get completed(): number {
    return this.lastTold
  }

  /** Steps 1 to 3, under the lock; forks step 4. */
  readonly take = (barrier: CheckpointBarrier): Effect.Effect<void, any> =>
    Effect.suspend(() => {
      const { host } = this
      const { id } = barrier
      if (id <= this.lastId) return Effect.void
      this.lastId = id
      const chain = host.chain()
      if (this.aborted.delete(id)) {
        chain.writers.forEach((writer) => writer.event(cancelCheckpointMarker(id)))
        host.over(id)
        return Effect.void
      }
      for (const old of this.aborted) if (old < id) this.aborted.delete(old)
      const active = chain.nodes.filter((node) => node.phase !== "finished")
      return Effect.gen(this, function*() {
        for (const node of active) {
          if (node.phase !== "running") continue
          host.observe("prepareSnapshotPreBarrier", node.name, id)
          yield* host.passing("prepareSnapshotPreBarrier", node.name, run(node.hooks.prepareSnapshotPreBarrier?.(id, node.out)), id)
          yield* chain.drain
        }
        chain.writers.forEach((writer) => writer.event(barrier))
        const snapshots: Array<PendingSnapshot> = []
        const deferred: Array<Effect.Effect<void, any>> = []
        yield* Effect.onError(
          Effect.gen(this, function*() {
            for (let i = active.length - 1; i >= 0; i--) {
              const node = active[i]
              host.observe("snapshotState", node.name, id)
              const hook = run(node.hooks.snapshotState?.({ checkpointId: id, defer: (effect) => void deferred.push(effect) }))
              yield* host.passing("snapshotState", node.name, hook, id)
              snapshots.push(host.state(node).snapshot(node.phase, id))
            }
          }),
          () => Effect.sync(() => snapshots.forEach((snapshot) => snapshot.cancel()))
        )
        const captured = host.captured(id)
        if (captured !== undefined) deferred.push(captured)
        const finished = chain.nodes.filter((node) => node.phase === "finished")
        const fiber = yield* host.fork(this.store(id, snapshots, deferred, finished))
        this.running.set(id, fiber)
        // it may be over already, or be interrupted before it begins
        fiber.addObserver(() => {
          this.running.delete(id)
          snapshots.forEach((snapshot) => snapshot.cancel())
          host.over(id)
        })
      })
    })

  /** Step 4. */
  private store(
    id: number,
    snapshots: ReadonlyArray<PendingSnapshot>,
    deferred: ReadonlyArray<Effect.Effect<void, any>>,
    finished: ReadonlyArray<ChainNode>
  ): Effect.Effect<void> {
    const { keyGroups, responder, task } = this.host
    const done = finished.map((node) => ({ uid: node.meta.uid, phase: node.phase, states: [] }))
    const write = Effect.suspend((): Effect.Effect<SubtaskReport | undefined, unknown> => {
      const writer = responder.writer(id)
      if (writer === undefined) return Effect.succeed(undefined)
      let operators: SubtaskReport["operators"] = []
      let bytes = 0
      return Effect.all(deferred, { discard: true }).pipe(
        Effect.zipRight(
          writer.write(`${task.vertex.index}-${task.subtask}.state`, (append) =>
            SnapshotFile.write(snapshots, keyGroups, (chunk) => {
              bytes += chunk.length
              return append(chunk)
            }).pipe(Effect.map((written) => {
              operators = written
            })))
        ),
        Effect.map((handle) => ({ handle: bytes === 0 ? undefined : handle, operators: [...operators, ...done] }))
      )
    })
    return Effect.exit(write).pipe(
      Effect.flatMap((exit) => {
        if (Exit.isSuccess(exit)) return exit.value === undefined ? Effect.void : responder.acknowledge(task, id, exit.value)
        // who is aborted does not get here: this one interrupted itself
        return responder.decline(task, id, reasonOf(exit.cause), exit.cause)
      })
    )
  }

  /** Passes a completion on to the operators, last to first; under the lock. */
  readonly complete = (id: number): Effect.Effect<void, any> =>
    Effect.suspend(() => {
      if (id <= this.lastCompleted) return Effect.void
      this.lastCompleted = id
      return Effect.map(this.notify("notifyCheckpointComplete", id), () => {
        this.lastTold = id
      })
    })

  /** Gives a checkpoint up; under the lock. */
  readonly abort = (id: number, latestCompleted: number): Effect.Effect<void, any> =>
    Effect.suspend(() => {
      if (id > this.lastId) {
        this.aborted.add(id)
        if (this.aborted.size > REMEMBERED_ABORTS) this.aborted.delete(Math.min(...this.aborted))
      }
      const fiber = this.running.get(id)
      return (fiber === undefined ? Effect.void : Fiber.interruptFork(fiber)).pipe(
        // an abort tells of the last completion too, whose own message may still be on its way
        Effect.zipRight(latestCompleted > 0 ? this.complete(latestCompleted) : Effect.void),
        Effect.zipRight(this.notify("notifyCheckpointAborted", id))
      )
    })

  /** whether an asynchronous part is under way, of a checkpoint up to `id` */
  isPending(id = Infinity): boolean {
    for (const each of this.running.keys()) if (each <= id) return true
    return false
  }

  /** every operator is told, even if one fails; the first failure counts, the others are attached */
  private notify(phase: "notifyCheckpointComplete" | "notifyCheckpointAborted", id: number): Effect.Effect<void, any> {
    const nodes = this.host.chain().nodes.filter((node) => node.phase !== "finished").reverse()
    return Effect.forEach(nodes, (node) =>
      Effect.exit(Effect.suspend(() => {
        this.host.observe(phase, node.name, id)
        return this.host.passing(phase, node.name, run(node.hooks[phase]?.(id)), id)
      }))).pipe(
        Effect.flatMap((exits) => {
          const failures = exits.flatMap((exit) => Exit.isFailure(exit) ? [exit.cause] : [])
          return failures.length === 0 ? Effect.void : Effect.failCause(failures.reduce(Cause.sequential))
        }),
        Effect.zipRight(this.host.chain().drain)
      )
  }
}
