/**
 * A pipeline in one real task, driven by hand: elements, watermarks, time, snapshots. Nothing waits for a wall clock.
 *
 * The operators run chained in the task that would run them in a job, with its checkpoint lock, timers, life cycle and state; only what is around the
 * task is the test's: its input channels, its output, its coordinator, its clock. Every call returns when the task has come to rest.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { CheckpointBarrier, CheckpointFailureReason, CheckpointMetadata } from "../Checkpoint.js"
import * as Checkpoint from "../Checkpoint.js"
import { metadataOf } from "../checkpoint/metadata.js"
import * as StateAssignment from "../checkpoint/StateAssignment.js"
import type { DataStream } from "../DataStream.js"
import type { JobEdge, JobGraph, JobVertex } from "../graph/JobGraph.js"
import * as JobGraphs from "../graph/JobGraph.js"
import type { SourceNode } from "../graph/StreamGraph.js"
import { forward, inputsOf } from "../graph/StreamGraph.js"
import * as JobOptions from "../JobOptions.js"
import { fromNode, map } from "../language/DataStream.js"
import type { LifecycleEvent } from "../Lifecycle.js"
import { LifecycleObserver } from "../Lifecycle.js"
import type { OutputTag } from "../OutputTag.js"
import type { CheckpointStore } from "../storage/CheckpointStore.js"
import * as memory from "../storage/memoryStorage.js"
import type { StreamElement, StreamRecord } from "../StreamElement.js"
import { endOfData, endOfPartition, record, Watermark, WatermarkStatus } from "../StreamElement.js"
import type { CheckpointFailed, GraphError, RestoreError, StorageFailed } from "../StreamError.js"
import { CheckpointFailed as Failed } from "../StreamError.js"
import { Batch, Channel } from "../task/Channel.js"
import { turn } from "../task/EventLoop.js"
import type { Invokable, SubtaskReport, TaskEnd, TaskEnvironment } from "../task/Invokable.js"
import { taskOf } from "../task/kinds.js"
import type { StreamTask } from "../task/StreamTask.js"
import { SteppingClock } from "./SteppingClock.js"

/**
 * What the operators of a subtask put into a checkpoint, as bytes. Snapshots of several subtasks are joined with `merge`.
 *
 * @since 0.1.0
 * @category models
 */
export interface OperatorSnapshot {
  readonly metadata: CheckpointMetadata
  readonly files: ReadonlyMap<string, Uint8Array>
}

/**
 * How a harness is set up.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** what to begin with; default empty */
  readonly restore?: OperatorSnapshot | undefined
  /** which subtask runs; default 0 */
  readonly subtask?: number | undefined
  /** of how many; default 1 */
  readonly parallelism?: number | undefined
  /** default 128 */
  readonly maxParallelism?: number | undefined
  /** whether the chain is generated code; default true */
  readonly codegen?: boolean | undefined
  /** whether the task waits for a final checkpoint after the end of its input, as in a job with checkpoints; default false */
  readonly finalCheckpoint?: boolean | undefined
  /** where the clock begins, milliseconds since the epoch; default 0 */
  readonly time?: number | undefined
  /** names the attempt, for sinks that keep those of several apart; default "harness" */
  readonly attemptId?: string | undefined
  /** sees every step of the life cycle; what it throws fails the step */
  readonly observe?: ((event: LifecycleEvent) => void) | undefined
}

/**
 * What every harness can do. A failure of the task fails the call during which it happened, and all later ones.
 *
 * @since 0.1.0
 * @category models
 */
export interface Harness<Out, E> {
  /** steps the clock; timers and sleepers wake one time after the other */
  readonly advanceProcessingTime: (duration: Duration.DurationInput) => Effect.Effect<void, E>
  /** takes a checkpoint; ids must grow */
  readonly snapshot: (id: number) => Effect.Effect<OperatorSnapshot, E | CheckpointFailed>
  readonly notifyCheckpointComplete: (id: number) => Effect.Effect<void, E>
  readonly notifyCheckpointAborted: (id: number) => Effect.Effect<void, E>
  /** ends every input that has not ended, and waits until the task has */
  readonly finish: Effect.Effect<TaskEnd>
  /** cancels the task if it runs, and waits until it has ended; a Scope that closes does this too */
  readonly close: Effect.Effect<TaskEnd>
  /** what came out since it was asked last, in order: records, watermarks, statuses, barriers, ends */
  readonly output: Effect.Effect<Array<StreamElement<Out>>>
  /** the values among it */
  readonly values: Effect.Effect<Array<Out>>
  /** what went to a side output since it was asked last */
  readonly sideOutput: <B>(tag: OutputTag<B>) => Effect.Effect<Array<StreamRecord<B>>>
  /** every step of the life cycle since the beginning */
  readonly lifecycle: Effect.Effect<ReadonlyArray<LifecycleEvent>>
  /** timers that are registered */
  readonly timers: Effect.Effect<{ readonly eventTime: number; readonly processingTime: number }>
  /** named counters of the operators, such as `late` */
  readonly counters: Effect.Effect<ReadonlyMap<string, number>>
  /** the task, for what the harness does not offer */
  readonly task: Invokable
}

/**
 * A harness with one input.
 *
 * @since 0.1.0
 * @category models
 */
export interface OneInputHarness<in In, Out, E> extends Harness<Out, E> {
  readonly element: (value: In, timestamp?: number) => Effect.Effect<void, E>
  readonly watermark: (timestamp: number) => Effect.Effect<void, E>
  /** the input is idle, until its next `active` */
  readonly idle: Effect.Effect<void, E>
  readonly active: Effect.Effect<void, E>
  /** the input ends: `Watermark.MAX`, then `endInput`; the task quiesces its timers and finishes its operators */
  readonly endInput: Effect.Effect<void, E>
}

/**
 * A harness with two inputs.
 *
 * @since 0.1.0
 * @category models
 */
export interface TwoInputHarness<in In1, in In2, Out, E> extends Harness<Out, E> {
  readonly element1: (value: In1, timestamp?: number) => Effect.Effect<void, E>
  readonly element2: (value: In2, timestamp?: number) => Effect.Effect<void, E>
  readonly watermark1: (timestamp: number) => Effect.Effect<void, E>
  readonly watermark2: (timestamp: number) => Effect.Effect<void, E>
  readonly idle1: Effect.Effect<void, E>
  readonly idle2: Effect.Effect<void, E>
  readonly active1: Effect.Effect<void, E>
  readonly active2: Effect.Effect<void, E>
  /** an input ends; the last one to end ends the task's data */
  readonly endInput1: Effect.Effect<void, E>
  readonly endInput2: Effect.Effect<void, E>
}

/** drives one input */
interface Driver<E> {
  readonly element: (value: any, timestamp?: number) => Effect.Effect<void, E>
  readonly watermark: (timestamp: number) => Effect.Effect<void, E>
  readonly idle: Effect.Effect<void, E>
  readonly active: Effect.Effect<void, E>
  readonly endInput: Effect.Effect<void, E>
}

/** how many turns of the event loop a task may take to come to rest */
const MAX_TURNS = 100_000

/** turns after which a task that somebody sleeps in is taken to wait for that */
const STILL_TURNS = 100

/** turns in a row in which a task must rest: what another fiber has under way may still wake it */
const QUIET_TURNS = 3

const inputNode = (n: number): SourceNode => ({
  _tag: "Source",
  name: `input ${n}`,
  uid: `harness-input-${n}`,
  parallelism: 1,
  chaining: "never",
  problem: undefined,
  factory: Effect.die(new Error("an input of a harness is not run"))
})

/** the one vertex that is to run, with a way out for what the pipeline gives */
const vertexOf = (
  graph: JobGraph,
  inputs: ReadonlyArray<SourceNode>,
  stream: DataStream<any, any, any>,
  parallelism: number
): JobVertex | string => {
  const vertices = graph.vertices.filter(({ chain }) => !inputs.includes(chain[0].node as SourceNode))
  if (vertices.length !== 1) {
    return `a harness runs one task, and this pipeline needs ${vertices.length}: ${vertices.map(({ name }) => `[${name}]`).join(", ")}; ` +
      "test them one by one"
  }
  const [vertex] = vertices
  if (vertex.inputs.length !== inputs.length || new Set(vertex.inputs.map(({ from }) => from)).size !== inputs.length) {
    return `a pipeline reads each of its ${inputs.length} inputs once, and this one reads ${vertex.inputs.length}`
  }
  const outputs = stream.edges.map(({ node, tag }, index): JobEdge => ({
    index,
    from: vertex.index,
    operator: vertex.chain.findIndex((operator) => operator.node === node),
    tag,
    to: -1,
    input: 0,
    partitioning: forward,
    written: "Forward"
  }))
  return { ...vertex, parallelism, outputs }
}

const barrierOf = (id: number): CheckpointBarrier => ({ _tag: "CheckpointBarrier", id, timestamp: 0, kind: Checkpoint.checkpoint })

/** the store that a snapshot is restored from */
const storeOf = (snapshot: OperatorSnapshot): Effect.Effect<CheckpointStore, StorageFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const store = yield* Effect.orDie((yield* memory.make).open("harness"))
    const writer = yield* store.begin(snapshot.metadata.id)
    for (const [file, bytes] of snapshot.files) yield* writer.write(file, (append) => append(bytes))
    yield* writer.complete(snapshot.metadata)
    return store
  })

const make = <Out, E, R>(
  inputs: ReadonlyArray<SourceNode>,
  built: DataStream<Out, E, R>,
  options: Options
): Effect.Effect<
  { readonly harness: Harness<Out, E>; readonly inputs: ReadonlyArray<Driver<E>> },
  GraphError | RestoreError | StorageFailed | E,
  R | Scope.Scope
> =>
  Effect.gen(function*() {
    const { maxParallelism = 128, parallelism = 1, subtask = 0 } = options
    const stream = inputs.some((input) => built.edges.some(({ node }) => node === input)) ? map(built, (value) => value) : built
    // time is the test's own, and so is how long it waits
    const deadlines = { open: Infinity, finish: Infinity, cancel: Infinity, close: Infinity }
    const resolved = JobOptions.resolve({
      deadlines,
      batchSize: 1,
      maxParallelism,
      codegen: options.codegen,
      // the test is the coordinator: the interval is nobody's
      ...options.finalCheckpoint === true ? { checkpoint: { interval: "1 second" } } : {}
    })
    const graph = yield* Either.match(JobGraphs.make("harness", stream.edges.map(({ node }) => node), resolved), {
      onLeft: Effect.fail,
      onRight: Effect.succeed
    })
    const vertex = vertexOf(graph, inputs, stream, parallelism)
    if (typeof vertex === "string") return yield* Effect.dieMessage(vertex)
    const { restore } = options
    const assignment = restore === undefined
      ? undefined
      : yield* StateAssignment.make({ ...graph, vertices: [{ ...vertex, inputs: [] }] }, yield* storeOf(restore), restore.metadata.id, true)

    const clock = new SteppingClock(options.time)
    const channels = inputs.map(() => new Channel())
    // a pipeline may unite its inputs, or read them the other way round
    const channelOf = ({ from }: JobEdge): Channel => channels[inputs.indexOf(graph.vertices[from].chain[0].node as SourceNode)]
    const out = new Channel()
    const given: Array<StreamElement<Out>> = []
    const sides = new Map<string, Array<StreamRecord<any>>>()
    const events: Array<LifecycleEvent> = []
    const files = new Map<string, Uint8Array>()
    const reports = new Map<number, Deferred.Deferred<SubtaskReport, CheckpointFailed>>()
    let end: TaskEnd | undefined

    const scratch = yield* Effect.orDie((yield* memory.make).open("harness"))
    const writers = new Map<number, Effect.Effect.Success<ReturnType<CheckpointStore["begin"]>>>()
    const refuse = (id: number, reason: CheckpointFailureReason, detail: string) => new Failed({ job: "harness", id, reason, detail })
    const env: TaskEnvironment = {
      job: "harness",
      vertex,
      subtask,
      maxParallelism,
      attempt: 0,
      attemptId: options.attemptId ?? "harness",
      options: resolved,
      inputs: inputsOf(vertex.chain[0].node).map((_, input) => vertex.inputs.filter((edge) => edge.input === input).map(channelOf)),
      outputs: vertex.outputs.map(() => [out]),
      restore: assignment?.restore(vertex, subtask) ?? (() => undefined),
      restoredId: assignment?.checkpointId ?? 0,
      unreadOutput: (tag, value, timestamp) => {
        const side = sides.get(tag.id) ?? []
        sides.set(tag.id, side)
        side.push(record(value, timestamp))
      },
      responder: {
        writer: (id) => writers.get(id),
        acknowledge: (_task, id, report) => Effect.suspend(() => Deferred.succeed(reports.get(id)!, report)),
        decline: (_task, id, reason, cause) =>
          Effect.suspend(() => {
            const waiting = reports.get(id)
            return waiting === undefined
              ? Effect.void
              : Deferred.fail(waiting, refuse(id, reason, Cause.isEmpty(cause) ? "" : Cause.pretty(cause)))
          }),
        finalCheckpoint: () => options.finalCheckpoint === true,
        awaitsFinalCheckpoint: () => Effect.void
      },
      allInitialized: Effect.void,
      running: Effect.void
    }
    const task = taskOf(env) as StreamTask
    const fiber = yield* task.invoke.pipe(
      Effect.tap((how) =>
        Effect.sync(() => {
          end = how
        })
      ),
      Effect.withClock(clock),
      Effect.provideService(LifecycleObserver, {
        observe: (event) => {
          events.push(event)
          options.observe?.(event)
        }
      }),
      Effect.forkScoped
    )

    const drain = () => {
      const collect = (value: Out, timestamp: number | undefined) => void given.push(record(value, timestamp))
      for (let item = out.poll(); item !== undefined; item = out.poll()) {
        if (item._tag !== "Batch") given.push(item)
        else while (item.emitNext({ emit: collect })) { /* the next one */ }
      }
    }
    const settle: Effect.Effect<void> = Effect.suspend(() => {
      let quiet = 0
      let turns = 0
      let still = 0
      return Effect.whileLoop({
        while: () => quiet < QUIET_TURNS,
        body: () => turn,
        step: () => {
          // who sleeps on the clock goes on when it is stepped
          const sleeps = clock.isAwaited && ++still > STILL_TURNS
          const rests = (end !== undefined || task.isResting || sleeps) && out.size === 0
          if (out.size > 0) still = 0
          drain()
          quiet = rests ? quiet + 1 : 0
          if (++turns > MAX_TURNS) {
            throw new Error(`the task does not come to rest: it is ${task.state} after ${MAX_TURNS} turns of the event loop`)
          }
        }
      })
    })
    const check: Effect.Effect<void, E> = Effect.suspend(() =>
      end?._tag === "failed" ? Effect.failCause(end.cause as Cause.Cause<E>) : Effect.void
    )
    const settled = Effect.zipRight(settle, check)
    const ended = new Set<Channel>()
    const endInput = (channel: Channel): void => {
      if (ended.has(channel)) return
      ended.add(channel)
      // as a writer does: the end of event time does not get lost behind an idle status
      channel.put(WatermarkStatus.active)
      channel.put(Watermark.make(Watermark.MAX))
      channel.put(endOfData(true))
      channel.put(endOfPartition)
    }
    const driver = (channel: Channel): Driver<E> => {
      const put = (action: () => void) =>
        Effect.suspend(() => {
          action()
          return settled
        })
      return {
        element: (value, timestamp) =>
          put(() => {
            const batch = new Batch(1)
            batch.add(value, timestamp)
            channel.put(batch)
          }),
        watermark: (timestamp) => put(() => channel.put(Watermark.make(timestamp))),
        idle: put(() => channel.put(WatermarkStatus.idle)),
        active: put(() => channel.put(WatermarkStatus.active)),
        endInput: put(() => endInput(channel))
      }
    }

    const harness: Harness<Out, E> = {
      task,
      advanceProcessingTime: (duration) => clock.advance(duration, settled),
      snapshot: (id) =>
        Effect.gen(function*() {
          yield* check
          const waiting = yield* Deferred.make<SubtaskReport, CheckpointFailed>()
          reports.set(id, waiting)
          const writer = yield* Effect.orDie(scratch.begin(id))
          const kept = new Map<string, Uint8Array>()
          writers.set(id, {
            ...writer,
            write: (file, body) =>
              writer.write(file, (append) =>
                body((bytes) => {
                  const before = kept.get(file) ?? new Uint8Array()
                  const after = new Uint8Array(before.length + bytes.length)
                  after.set(before)
                  after.set(bytes, before.length)
                  kept.set(file, after)
                  return append(bytes)
                }))
          })
          if (channels.every((channel) => ended.has(channel))) yield* task.triggerCheckpointAsync(barrierOf(id))
          for (const channel of channels) if (!ended.has(channel)) channel.put(barrierOf(id))
          yield* settled
          // what is done outside the lock may take more turns than the task takes to come to rest
          const begun = events.some(({ checkpointId, phase }) => checkpointId === id && phase === "snapshotState")
          for (let turns = 0; begun && end === undefined && turns < MAX_TURNS && !(yield* Deferred.isDone(waiting)); turns++) yield* turn
          yield* settled
          if (!(yield* Deferred.isDone(waiting))) {
            const detail = begun ? "is not stored" : "has not begun: its barriers have not all been read, or it takes none"
            yield* Deferred.fail(waiting, refuse(id, "TASK_NOT_READY", `the task is ${task.state}, and the checkpoint ${detail}`))
          }
          const report = yield* Deferred.await(waiting)
          for (const [file, bytes] of kept) files.set(file, bytes)
          const whole = { name: "harness", vertices: [vertex], maxParallelism }
          const metadata = metadataOf(whole, barrierOf(id), (_, at) => at === subtask ? report : { handle: undefined, operators: [] })
          const running = metadata.operators.map((operator) => ({
            ...operator,
            subtasks: operator.subtasks.map((each) => each.subtask === subtask ? each : { ...each, phase: "running" as const })
          }))
          return { metadata: { ...metadata, operators: running }, files: kept }
        }),
      notifyCheckpointComplete: (id) => Effect.zipRight(task.notifyCheckpointCompleteAsync(id), settled),
      notifyCheckpointAborted: (id) => Effect.zipRight(task.notifyCheckpointAbortAsync(id, 0), settled),
      finish: Effect.suspend(() => {
        channels.forEach(endInput)
        return Effect.zipRight(settle, Fiber.join(fiber))
      }),
      close: Effect.suspend(() =>
        end === undefined
          ? Effect.zipRight(Fiber.interrupt(fiber), Effect.sync(() => end ?? { _tag: "canceled" as const }))
          : Effect.succeed(end)
      ),
      output: Effect.zipRight(settle, Effect.sync(() => given.splice(0))),
      values: Effect.zipRight(settle, Effect.sync(() => given.splice(0).flatMap((each) => each._tag === "Record" ? [each.value] : []))),
      sideOutput: (tag) => Effect.zipRight(settle, Effect.sync(() => sides.get(tag.id)?.splice(0) ?? [])),
      lifecycle: Effect.sync(() => events.slice()),
      timers: Effect.sync(() => task.timers),
      counters: Effect.sync(() => new Map(task.counters))
    }
    yield* settled
    return { harness, inputs: channels.map(driver) }
  })

/**
 * Runs a pipeline of one input. What it emits, and what it sends to side outputs, is the harness' to read.
 *
 * @example
 * ```ts
 * import { DataStream } from "sluice"
 * import { Harness } from "sluice/testing"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const harness = yield* Harness.oneInput((words: DataStream.DataStream<string>) => DataStream.map(words, (word) => word.length))
 *   yield* harness.element("watermark", 10)
 *   yield* harness.watermark(12)
 *   assert.deepEqual(yield* harness.output, [{ _tag: "Record", value: 9, timestamp: 10 }, { _tag: "Watermark", timestamp: 12 }])
 * })
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const oneInput = <In, Out, E, R>(
  pipeline: (input: DataStream<In>) => DataStream<Out, E, R>,
  options: Options = {}
): Effect.Effect<OneInputHarness<In, Out, E>, GraphError | RestoreError | StorageFailed | E, R | Scope.Scope> =>
  Effect.suspend(() => {
    const node = inputNode(1)
    return Effect.map(make([node], pipeline(fromNode(node)), options), ({ harness, inputs: [input] }) => ({ ...harness, ...input }))
  })

/**
 * Runs a pipeline that connects two inputs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const twoInput = <In1, In2, Out, E, R>(
  pipeline: (first: DataStream<In1>, second: DataStream<In2>) => DataStream<Out, E, R>,
  options: Options = {}
): Effect.Effect<TwoInputHarness<In1, In2, Out, E>, GraphError | RestoreError | StorageFailed | E, R | Scope.Scope> =>
  Effect.suspend(() => {
    const nodes = [inputNode(1), inputNode(2)]
    return Effect.map(make(nodes, pipeline(fromNode(nodes[0]), fromNode(nodes[1])), options), ({ harness, inputs: [first, second] }) => ({
      ...harness,
      element1: first.element,
      watermark1: first.watermark,
      idle1: first.idle,
      active1: first.active,
      endInput1: first.endInput,
      element2: second.element,
      watermark2: second.watermark,
      idle2: second.idle,
      active2: second.active,
      endInput2: second.endInput
    }))
  })

/**
 * Joins the snapshots that subtasks took of one checkpoint, to restore at any parallelism. All have the parallelism they ran with; of subtasks that
 * are not among them nothing is restored.
 *
 * @since 0.1.0
 * @category snapshots
 */
export const merge = (snapshots: readonly [OperatorSnapshot, ...ReadonlyArray<OperatorSnapshot>]): OperatorSnapshot => {
  const [first] = snapshots
  const operators = first.metadata.operators.map((operator, o) => ({
    ...operator,
    subtasks: operator.subtasks.map((subtask, i) =>
      snapshots.map(({ metadata }) => metadata.operators[o].subtasks[i]).find(({ handle, states }) =>
        handle !== undefined || states.length > 0
      ) ?? subtask
    )
  }))
  return { metadata: { ...first.metadata, operators }, files: new Map(snapshots.flatMap(({ files }) => Array.from(files))) }
}
