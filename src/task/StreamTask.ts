/**
 * The life of one subtask, from its initial state to its terminal one. Its kinds say only where its input comes from.
 *
 *     setInitialState            from a checkpoint or a savepoint; empty on the first run
 *     invoke
 *       create basic utilities; load the operator chain
 *       setup-operators          last to first
 *       task-specific-init       connect inputs and outputs
 *       initialize-operator-states, of all tasks before any opens
 *       open-operators           last to first
 *       run                      in slices, under the checkpoint lock
 *       (end of input)           MAX_WATERMARK, endInput of the head
 *       quiesce timers           accept none, drop those not started
 *       finish-operators         first to last; each one's endInput once those before it have finished
 *       wait for the final checkpoint
 *       close-operators          first to last
 *       task-specific-cleanup
 *       common-cleanup           end of partition downstream, timer service shut down
 *
 * Cancel or failure, at any point: stop timers and all fibers of the task, task-specific cleanup, close every operator that was set up, common cleanup.
 *
 * L1. It ends in exactly one of finished, canceled, failed.
 * L2. `close` runs exactly once for each operator whose setup ran, and its Scope is closed after it.
 * L3. The first failure is the cause; what fails while closing is attached. A failure after cancel was asked for leaves the task canceled.
 * L4. All hooks run under the lock. L5. The loop gives way to whoever waits for it, and the event loop gets a turn every few milliseconds.
 * L6. A failure in a timer, an operator's fiber, a snapshot's synchronous part or a notification fails the task.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { CheckpointBarrier, CheckpointFailureReason } from "../Checkpoint.js"
import type { JobVertex } from "../graph/JobGraph.js"
import type { SubtaskMetrics } from "../JobMetrics.js"
import type { KeyGroupRange } from "../KeyGroup.js"
import * as KeyGroup from "../KeyGroup.js"
import type { LifecycleEvent, LifecyclePhase, TaskState } from "../Lifecycle.js"
import { canMove, isTerminal, LifecycleObserver } from "../Lifecycle.js"
import * as KeyCodec from "../state/KeyCodec.js"
import { StateBackend } from "../StateBackend.js"
import { cancelCheckpointMarker, endOfData, endOfPartition, Watermark } from "../StreamElement.js"
import type { TaskHung } from "../StreamError.js"
import { StateIncompatible } from "../StreamError.js"
import type { HookResult, OperatorContext } from "../StreamOperator.js"
import { GeneratedOutput } from "./ChainCode.js"
import { CheckpointLock } from "./CheckpointLock.js"
import type { Step } from "./Deadlines.js"
import { Deadlines } from "./Deadlines.js"
import { recordsOf, STATE as IN_FLIGHT } from "./InFlight.js"
import type { Invokable, TaskEnd, TaskEnvironment } from "./Invokable.js"
import { CurrentKey } from "./KeyContext.js"
import type { AnyOperator, ChainNode, MadeOperator } from "./OperatorChain.js"
import { OperatorChain } from "./OperatorChain.js"
import { OperatorState } from "./OperatorState.js"
import { Parker } from "./Parker.js"
import { ProcessingTime } from "./ProcessingTime.js"
import { RecordWriter } from "./RecordWriter.js"
import type { InputStatus } from "./Slices.js"
import { Slices } from "./Slices.js"
import { SubtaskCheckpoint } from "./SubtaskCheckpoint.js"

const run = (result: HookResult<any>): Effect.Effect<void, any> => result ?? Effect.void

/** One subtask. */
export abstract class StreamTask implements Invokable {
  readonly vertex: JobVertex
  readonly subtask: number
  readonly counters = new Map<string, number>()
  protected chain!: OperatorChain
  protected readonly parker = new Parker()
  protected readonly lock = new CheckpointLock()
  protected readonly checkpoints: SubtaskCheckpoint
  private readonly slices = new Slices(
    this.lock,
    this.parker,
    () => this.chain,
    () => this.time.now(),
    () => this.processInput(),
    () => this.processUrgent(),
    () => this.stops()
  )
  /** whether event time ends with the data */
  protected drain = true
  protected clock!: Clock.Clock
  /** the fibers of the task; they end before any operator is closed */
  protected fibers!: Scope.CloseableScope
  private readonly keyGroups: KeyGroupRange
  private readonly scopes = new Map<ChainNode, Scope.CloseableScope>()
  private readonly writers: ReadonlyArray<RecordWriter>
  private readonly states = new Map<ChainNode, OperatorState>()
  /** how the task's life went: the first to say so wins */
  private readonly outcome = Deferred.unsafeMake<void, any>(FiberId.none)
  private readonly closeFailures: Array<Cause.Cause<any>> = []
  private current: TaskState = "created"
  /** what the task is at */
  private step: Step = { operator: undefined, phase: "created" }
  private readonly deadlines: Deadlines
  /** the fibers of operators that run, and whose they are */
  private readonly forked = new Map<Fiber.RuntimeFiber<void, any>, string>()
  private time!: ProcessingTime
  private observer!: Context.Tag.Service<typeof LifecycleObserver>
  private fork!: (effect: Effect.Effect<void, any>, operator?: string) => () => void
  /** the input that ended last */
  protected lastInput = 0
  /** the first checkpoint triggered after the end of data, or the savepoint with which the task stops */
  private finalId: number | undefined
  private stopId: number | undefined

  constructor(protected readonly env: TaskEnvironment) {
    this.deadlines = new Deadlines(env)
    this.vertex = env.vertex
    this.subtask = env.subtask
    this.keyGroups = KeyGroup.range(env.subtask, env.vertex.parallelism, env.maxParallelism)
    this.writers = env.vertex.outputs.map((edge, i) =>
      new RecordWriter(
        env.outputs[i],
        edge.partitioning,
        env.subtask,
        env.maxParallelism,
        env.options.batchSize
      )
    )
    for (const writer of this.writers) for (const channel of writer.channels) channel.onSpace = this.parker.wake
    this.checkpoints = new SubtaskCheckpoint({
      task: this,
      chain: () => this.chain,
      state: (node) => this.states.get(node)!,
      captured: (id) => this.captured(id),
      over: (id) => this.checkpointOver(id),
      keyGroups: this.keyGroups,
      responder: env.responder,
      observe: (phase, operator, id) => this.observe(phase, operator, id),
      passing: (phase, operator, hook, id) => this.passing(phase, operator, hook, id),
      fork: (effect) => Effect.forkIn(Effect.interruptible(effect), this.fibers)
    }, env.restoredId)
  }

  /** one step of input, under the lock */
  protected abstract processInput(): InputStatus

  /** what cannot wait for the output to have room; under the lock */
  protected processUrgent(): Effect.Effect<void, any> | undefined {
    return undefined
  }

  /** whether the task is to stop now, whatever it is at; says so once */
  protected stops(): boolean {
    return false
  }

  /** what was under way to an operator, of all subtasks; and what is, in later checkpoints */
  protected underWay(node: ChainNode, later: (checkpointId: number) => ReadonlyArray<unknown> = () => []): ReadonlyArray<unknown> {
    return this.states.get(node)!.late(IN_FLIGHT, later)
  }

  /** gives what was under way to operators inside the chain, before any input is read */
  private readonly resumeUnderWay = Effect.sync(() => {
    for (const node of this.chain.nodes) {
      if (node.phase !== "running" || (node === this.chain.head && this.env.inputs.length > 0)) continue
      const records = recordsOf(this.underWay(node), this.subtask, this.vertex.parallelism)
      if (records.length > 0) this.slices.execute(() => records.forEach(([value, timestamp]) => node.emit(value, timestamp)))
    }
  })

  /** what the task's kind does once its operators have their state */
  protected initialized: Effect.Effect<void, any> = Effect.void

  /** what the task's kind does before operators are initialized */
  protected taskInit: Effect.Effect<void, any> = Effect.void

  get state(): TaskState {
    return this.current
  }

  get abandoned(): TaskHung | undefined {
    return this.deadlines.abandoned
  }

  get metrics(): SubtaskMetrics {
    // CH-04: what several edges lead away from one output counts once
    const outputs = new Map<string, number>()
    this.vertex.outputs.forEach(({ operator, tag }, i) => {
      const output = JSON.stringify([operator, tag])
      outputs.set(output, Math.max(outputs.get(output) ?? 0, this.writers[i].records))
    })
    let recordsOut = 0
    for (const records of outputs.values()) recordsOut += records
    return { subtask: this.subtask, recordsIn: this.recordsIn, recordsOut, watermark: this.watermark }
  }

  /** how many timers of keyed operators are registered */
  get timers(): { readonly eventTime: number; readonly processingTime: number } {
    let [eventTime, processingTime] = [0, 0]
    for (const node of this.chain?.nodes ?? []) {
      for (const timers of node.timers) {
        const counts = timers.counts()
        eventTime += counts.eventTime
        processingTime += counts.processingTime
      }
    }
    return { eventTime, processingTime }
  }

  /** whether the task can do nothing more by itself: it has ended, or waits for input, its output, a timer or something outside */
  get isResting(): boolean {
    if (isTerminal(this.current)) return true
    return this.current !== "closing" && this.parker.isParked && !this.slices.hasMails && !this.lock.contended
  }

  /** runs an Effect in a fiber of the task, which fails the task if it does */
  protected readonly forkTask = (effect: Effect.Effect<void, any>): void => void this.fork(effect)

  protected abstract get watermark(): number
  protected abstract get recordsIn(): number

  // ---------------------------------------------------------------------------------------------------------------- the life

  readonly invoke: Effect.Effect<TaskEnd, never, any> = Effect.uninterruptibleMask((restore) =>
    Effect.gen(this, function*() {
      this.clock = yield* Effect.clock
      this.observer = yield* LifecycleObserver
      const runtime = yield* Effect.runtime<any>()
      this.fibers = yield* Scope.make(ExecutionStrategy.parallel)
      this.fork = (effect, operator) => {
        // nobody would end it any more
        if (this.current === "closing" || isTerminal(this.current)) return () => {}
        let wanted = true
        const failing = Effect.catchAllCause(effect, (cause) => wanted ? this.fail(cause) : Effect.void)
        // the runtime is that of an uninterruptible region
        const fiber = Runtime.runFork(runtime)(Effect.interruptible(failing), { scope: this.fibers })
        if (operator !== undefined) {
          this.forked.set(fiber, operator)
          fiber.addObserver(() => void this.forked.delete(fiber))
        }
        return () => {
          wanted = false
          fiber.unsafeInterruptAsFork(fiber.id())
        }
      }
      const operators = yield* Scope.make()
      // a child would hold the task for as long as it ignores interruption
      const main = yield* Effect.forkDaemon(Effect.interruptible(this.execute(operators)))
      main.addObserver((exit) => Deferred.unsafeDone(this.outcome, exit))
      const exit = yield* Effect.exit(restore(Deferred.await(this.outcome)))
      // L4: also where something else failed or canceled the task, what runs has ended before anything is closed
      yield* this.endOfMain(main)
      const canceled = !Cause.isEmpty(yield* FiberRef.get(FiberRef.interruptedCause))
      this.move("closing")
      this.time?.quiesce()
      yield* this.deadlines.within(
        "cancel",
        () => ({ operator: this.forked.values().next().value, phase: "a fiber" }),
        Scope.close(this.fibers, Exit.void)
      )
      if (Exit.isFailure(exit)) yield* this.guarded(() => this.observe("taskCleanup"))
      yield* Scope.close(operators, exit)
      if (Exit.isSuccess(exit)) yield* this.guarded(() => this.observe("taskCleanup"))
      yield* this.guarded(() => this.observe("commonCleanup"))
      const end = this.endOf(exit, canceled)
      if (end._tag === "finished") this.writers.forEach((writer) => writer.event(endOfPartition))
      this.move(end._tag)
      yield* Effect.ignore(Effect.try(() => this.observe(end._tag)))
      return end
    })
  )

  private endOfMain(main: Fiber.RuntimeFiber<void, any>): Effect.Effect<void> {
    const at = () => ({ operator: this.chain?.parkedOn ?? this.step.operator, phase: this.step.phase })
    const interrupted = Effect.asVoid(Fiber.interrupt(main))
    return Effect.flatMap(Fiber.poll(main), (exit) => Option.isSome(exit) ? Effect.void : this.deadlines.within("cancel", at, interrupted))
  }

  /** fails the task should a part of its life take too long */
  private readonly inTime = <E, R>(limit: "open" | "finish", effect: Effect.Effect<void, E, R>): Effect.Effect<void, E, R> =>
    Effect.suspend(() => {
      if (this.env.options.deadlines[limit] === Infinity) return effect
      const late = Effect.flatMap(
        Effect.sleep(this.env.options.deadlines[limit]),
        () => Effect.fail(this.deadlines.hung(limit, { ...this.step, operator: this.chain?.parkedOn ?? this.step.operator }, false))
      )
      return Effect.ensuring(effect, Effect.sync(this.fork(late)))
    })

  private endOf(exit: Exit.Exit<void, any>, canceled: boolean): TaskEnd {
    const { abandoned } = this.deadlines
    if (abandoned !== undefined) return { _tag: "failed", cause: Exit.isFailure(exit) ? exit.cause : Cause.fail(abandoned) }
    const closing = this.closeFailures.length === 0 ? undefined : this.closeFailures.reduce(Cause.sequential)
    if (Exit.isFailure(exit)) {
      if (canceled || Cause.isInterruptedOnly(exit.cause)) return { _tag: "canceled" }
      return { _tag: "failed", cause: closing === undefined ? exit.cause : Cause.sequential(exit.cause, closing) }
    }
    if (closing === undefined) return { _tag: "finished", stopped: !this.drain || this.stopId !== undefined }
    return canceled ? { _tag: "canceled" } : { _tag: "failed", cause: closing }
  }

  private execute(operators: Scope.CloseableScope): Effect.Effect<void, any, any> {
    return Effect.gen(this, function*() {
      this.move("initializing")
      this.observe("setInitialState")
      yield* this.inTime("open", this.initialize(operators))
      yield* this.resumeUnderWay
      yield* this.initialized
      yield* this.env.allInitialized
      yield* this.inTime("open", this.lock.hold(this.open))
      yield* Effect.forkIn(
        Effect.catchAllCause(
          this.time.run(this.lock, this.slices.settle),
          this.fail
        ),
        this.fibers
      )
      this.move("running")
      for (const node of this.chain.nodes) this.observe("run", node.name)
      yield* this.env.running
      yield* this.slices.run(() => false)
      this.move("ending")
      yield* this.inTime("finish", this.end)
      yield* this.awaitFinalCheckpoint
      // FC-08: also those that still wait for what they overtook; input goes on being read for them. Later ones may never stop coming
      const last = this.checkpoints.lastTriggered
      yield* this.slices.run(() => !this.checkpoints.isPending(last))
    })
  }

  private initialize(operators: Scope.CloseableScope): Effect.Effect<void, any, any> {
    const { env, vertex } = this
    return Effect.gen(this, function*() {
      this.time = new ProcessingTime(this.clock)
      const made = yield* Effect.forEach(vertex.chain, (operator): Effect.Effect<MadeOperator, any, any> => {
        const phase = env.restore(operator.uid)?.phase ?? "running"
        // FC-10: of an operator that had finished nothing is run again
        if (phase === "finished") return Effect.succeed({ phase })
        const factory: Effect.Effect<AnyOperator, any, any> = operator.node.factory
        return Effect.map(factory, (operator) => ({ phase, operator }))
      })
      this.chain = new OperatorChain(vertex, made, this.writers, env.options.codegen, env.unreadOutput)
      const { nodes } = this.chain
      for (let i = nodes.length - 1; i >= 0; i--) if (nodes[i].phase !== "finished") yield* this.setup(nodes[i], operators)
      yield* this.taskInit
      for (let i = nodes.length - 1; i >= 0; i--) {
        const node = nodes[i]
        if (node.phase === "finished") continue
        this.observe("initializeState", node.name)
        yield* Effect.catchAllDefect(
          Effect.suspend(() => this.passing("initializeState", node.name, run(node.hooks.initializeState?.(this.states.get(node)!)))),
          // registering a state that does not fit throws inside the hook
          (defect) => defect instanceof StateIncompatible ? Effect.fail(defect) : Effect.die(defect)
        )
      }
    })
  }

  private setup(node: ChainNode, operators: Scope.CloseableScope): Effect.Effect<void, any, any> {
    return Effect.gen(this, function*() {
      const { env } = this
      const scope = yield* Scope.make()
      this.scopes.set(node, scope)
      // L2: what was not set up is not closed, and a task can be canceled while its backend opens
      let begun = false
      yield* Scope.addFinalizer(
        operators,
        Effect.suspend(() => begun ? this.close(node, scope) : this.keepFailure(Scope.close(scope, Exit.void)))
      )
      const keys = new CurrentKey(node.meta.keys.find((key) => key !== undefined)?.codec ?? KeyCodec.make<any>(undefined))
      const backend = yield* Effect.flatMap(
        StateBackend,
        (service) => service.open({ job: env.job, uid: node.meta.uid, subtask: this.subtask })
      ).pipe(Scope.extend(scope))
      node.keys = keys
      this.states.set(
        node,
        new OperatorState(
          node.meta.uid,
          keys,
          backend,
          this.time,
          env.restore(node.meta.uid),
          this.keyGroups,
          env.maxParallelism,
          (timers) => node.timers.push(timers)
        )
      )
      const context: OperatorContext<any> = {
        job: env.job,
        vertex: this.vertex.name,
        name: node.name,
        uid: node.meta.uid,
        subtask: this.subtask,
        parallelism: this.vertex.parallelism,
        maxParallelism: env.maxParallelism,
        keyGroups: this.keyGroups,
        attempt: env.attempt,
        attemptId: env.attemptId,
        batchSize: env.options.batchSize,
        checkpointing: env.options.checkpoint?.finalCheckpoint ?? false,
        out: node.out,
        execute: this.slices.execute,
        fork: (effect) => this.fork(effect, node.name),
        isBackpressured: () => this.chain.isBackpressured || this.chain.isParked,
        count: (name, n = 1) => {
          this.counters.set(name, (this.counters.get(name) ?? 0) + n)
        },
        processingTime: this.time,
        generate: (parameters, body) => node.out instanceof GeneratedOutput ? node.out.compile(parameters, body) : undefined
      }
      begun = true
      this.observe("setup", node.name)
      node.hooks.setup?.(context)
      this.observe("setRuntimeContext", node.name)
    })
  }

  private readonly open: Effect.Effect<void, any, any> = Effect.suspend(() =>
    Effect.forEach(
      this.chain.nodes.filter((node) => node.phase !== "finished").reverse(),
      (node) => {
        this.observe("open", node.name)
        return this.passing("open", node.name, Scope.extend(node.hooks.open ?? Effect.void, this.scopes.get(node)!))
      },
      { discard: true }
    )
  )

  /** L2: the close hook, then what `open` acquired; failures are kept, never thrown */
  private close(node: ChainNode, scope: Scope.CloseableScope): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.observe("close", node.name)
      return this.passing("close", node.name, node.hooks.close ?? Effect.void)
    }).pipe(
      this.keepFailure,
      Effect.zipRight(this.keepFailure(Scope.close(scope, Exit.void))),
      (closing) => this.deadlines.within("close", () => ({ operator: node.name, phase: "close" }), closing)
    )
  }

  private readonly keepFailure = (effect: Effect.Effect<void, any>): Effect.Effect<void> =>
    Effect.catchAllCause(effect, (cause) => Effect.sync(() => void this.closeFailures.push(cause)))

  private readonly guarded = (step: () => void): Effect.Effect<void> => this.keepFailure(Effect.sync(step))

  // ---------------------------------------------------------------------------------------------------------------- the end

  private readonly quiesce: Effect.Effect<void> = Effect.sync(() => {
    this.observe("quiesceTimers")
    this.time.quiesce()
  })

  private readonly end: Effect.Effect<void, any> = Effect.suspend(() => {
    const { nodes } = this.chain
    const finish = (node: ChainNode) =>
      Effect.suspend(() => {
        this.observe("finish", node.name)
        return Effect.map(Effect.zipRight(this.passing("finish", node.name, run(node.hooks.finish?.(node.out))), this.chain.drain), () => {
          node.phase = "finishing"
        })
      })
    const settle = (node: ChainNode) => this.slices.waitFor(() => node.hooks.isBusy?.() !== true)
    return Effect.gen(this, function*() {
      if (this.drain) {
        if (this.env.inputs.length === 0) {
          yield* this.lock.hold(Effect.suspend(() => {
            this.chain.head.emitWatermark(Watermark.MAX)
            return this.chain.drain
          }))
        }
        for (const node of nodes) {
          const isHead = node === this.chain.head
          if (node.phase === "running") {
            yield* settle(node)
            yield* this.lock.hold(this.endInputOf(node, isHead ? this.lastInput : 0))
            yield* settle(node)
          }
          if (isHead) yield* this.lock.hold(this.quiesce)
          if (node.phase === "running") {
            yield* this.lock.hold(finish(node))
            yield* settle(node)
          }
        }
      } else {
        this.slices.quiesce()
        yield* this.lock.hold(this.quiesce)
      }
      yield* this.lock.hold(Effect.sync(() => {
        for (const writer of this.writers) writer.event(endOfData(this.drain))
      }))
    })
  })

  /** one input has ended, and the others go on */
  protected endInput(input: number): Effect.Effect<void, any> {
    const { head } = this.chain
    return head.phase === "running" ? this.endInputOf(head, input) : Effect.void
  }

  private endInputOf(node: ChainNode, input: number): Effect.Effect<void, any> {
    return Effect.suspend(() => {
      this.observe("endInput", node.name)
      return Effect.zipRight(this.passing("endInput", node.name, run(node.hooks.endInput?.(node.out, input + 1))), this.chain.drain)
    })
  }

  private readonly awaitFinalCheckpoint: Effect.Effect<void, any> = Effect.suspend(() => {
    const { responder } = this.env
    if (this.drain && !responder.finalCheckpoint()) return Effect.void
    return Effect.gen(this, function*() {
      this.move("awaitingFinalCheckpoint")
      this.observe("finalCheckpoint")
      yield* this.beforeFinalCheckpoint
      yield* responder.awaitsFinalCheckpoint(this)
      yield* this.slices.run(() => {
        const wanted = this.stopId ?? this.finalId
        return wanted !== undefined && this.checkpoints.completed >= wanted
      })
    })
  })

  /** what the task's kind does when it begins to wait for its final checkpoint */
  protected beforeFinalCheckpoint: Effect.Effect<void, any> = Effect.void

  // ---------------------------------------------------------------------------------------------------------------- checkpoints

  /** whether a checkpoint can be taken now */
  protected get isCheckpointable(): boolean {
    return this.current === "running" || this.current === "ending" || this.current === "awaitingFinalCheckpoint"
  }

  abstract triggerCheckpointAsync(barrier: CheckpointBarrier): Effect.Effect<boolean>

  readonly triggerCheckpointOnBarrier = (barrier: CheckpointBarrier): Effect.Effect<void, any> =>
    Effect.suspend(() => {
      if (barrier.kind._tag === "Savepoint" && barrier.kind.stop !== "no") this.stopId = barrier.id
      if (this.current === "awaitingFinalCheckpoint" && this.finalId === undefined) this.finalId = barrier.id
      return this.checkpoints.take(barrier)
    })

  readonly abortCheckpointOnBarrier = (id: number, reason: CheckpointFailureReason): Effect.Effect<void, any> =>
    Effect.suspend(() => {
      for (const writer of this.writers) writer.event(cancelCheckpointMarker(id))
      return Effect.zipRight(this.checkpoints.abort(id, 0), this.env.responder.decline(this, id, reason, Cause.empty))
    })

  readonly notifyCheckpointCompleteAsync = (id: number): Effect.Effect<void> => this.notified(() => this.checkpoints.complete(id))

  readonly notifyCheckpointAbortAsync = (id: number, latestCompleted: number): Effect.Effect<void> =>
    this.notified(() => Effect.zipRight(this.abortAlignment(id), this.checkpoints.abort(id, latestCompleted)))

  /** waits until what a checkpoint overtook is captured; `undefined` where it overtook nothing */
  protected captured(_id: number): Effect.Effect<void> | undefined {
    return undefined
  }

  /** the task's part of a checkpoint has been stored, or given up */
  protected checkpointOver(_id: number): void {
    this.parker.wake()
  }

  /** gives up waiting for the barriers of a checkpoint */
  protected abortAlignment(_id: number): Effect.Effect<void, any> {
    return Effect.void
  }

  /** L6: a failure in a notification fails the task */
  private notified(effect: () => Effect.Effect<void, any>): Effect.Effect<void> {
    return this.underLock(Effect.suspend(() => {
      if (!this.isCheckpointable) return Effect.void
      return Effect.map(effect(), () => {
        this.chain.flush()
        this.parker.wake()
      })
    }))
  }

  /** runs in a fiber of the task, so that it ends with the task at the latest */
  protected underLock(effect: Effect.Effect<void, any>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.fibers === undefined || !this.isCheckpointable) return Effect.void
      const body = Effect.interruptible(Effect.catchAllCause(this.lock.hold(effect), this.fail))
      return Effect.flatMap(Effect.forkIn(body, this.fibers), (fiber) => Effect.asVoid(Effect.exit(fiber)))
    })
  }

  // ---------------------------------------------------------------------------------------------------------------- failing

  /** Flink's handleAsyncException: fails the task from any of its fibers; one that interrupts itself cancels it (CA-09, CA-18). */
  protected readonly fail = (cause: Cause.Cause<any>): Effect.Effect<void> => Effect.asVoid(Deferred.failCause(this.outcome, cause))

  protected observe(phase: LifecyclePhase, operator?: string, checkpointId?: number): void {
    this.step = { operator, phase }
    this.observer.observe(this.eventOf(phase, operator, checkpointId))
  }

  /** a hook, and what the observer does when it has returned */
  private passing(
    phase: LifecyclePhase,
    operator: string,
    hook: Effect.Effect<void, any>,
    checkpointId?: number
  ): Effect.Effect<void, any> {
    return this.observer.passed === undefined
      ? hook
      : Effect.map(hook, () => this.observer.passed?.(this.eventOf(phase, operator, checkpointId)))
  }

  private eventOf(phase: LifecyclePhase, operator: string | undefined, checkpointId: number | undefined): LifecycleEvent {
    return {
      job: this.env.job,
      vertex: this.vertex.name,
      subtask: this.subtask,
      operator,
      phase,
      ...(checkpointId === undefined ? {} : { checkpointId }),
      at: this.clock.unsafeCurrentTimeMillis()
    }
  }

  private move(to: TaskState): void {
    if (!canMove(this.current, to)) throw new Error(`F1: a task cannot go from ${this.current} to ${to}`)
    this.current = to
  }
}
