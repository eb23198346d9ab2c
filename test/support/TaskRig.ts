/**
 * One real task whose channels, outputs, coordinator and clock are in the hand of a test: as the Harness, with several channels and outputs.
 *
 * Everything that happens around the task stands in one log, in order: steps of its life, what it sends, what it tells its coordinator.
 */
import { Cause, Effect, Either, Fiber } from "effect"
import type { Checkpoint as Checkpoints, DataStream, StreamElement } from "sluice"
import { Checkpoint, Lifecycle, StreamElement as Elements, Watermark } from "sluice"
import type { CheckpointResponder, Invokable, SubtaskReport, TaskEnd, TaskEnvironment } from "sluice/task"
import { SteppingClock } from "sluice/testing"
import type { JobEdge } from "../../src/graph/JobGraph.js"
import * as JobGraphs from "../../src/graph/JobGraph.js"
import type { SourceNode } from "../../src/graph/StreamGraph.js"
import { forward } from "../../src/graph/StreamGraph.js"
import * as JobOptions from "../../src/JobOptions.js"
import { fromNode } from "../../src/language/DataStream.js"
import type { Item } from "../../src/task/Channel.js"
import { Batch, Channel } from "../../src/task/Channel.js"
import { taskOf } from "../../src/task/kinds.js"
import type { StreamTask } from "../../src/task/StreamTask.js"

/** how a task is set up; every default is the plainest there is */
export interface Options {
  /** the channels of each input; none for a source */
  readonly channels?: ReadonlyArray<number>
  /** how many readers its result has */
  readonly outputs?: number
  readonly restoredId?: number
  /** how far every operator had come in what is restored */
  readonly restoredPhase?: Checkpoints.OperatorPhase
  readonly finalCheckpoint?: boolean
  readonly checkpoint?: Omit<JobOptions.CheckpointOptions, "interval">
  /** what storing a checkpoint takes */
  readonly store?: (id: number) => Effect.Effect<void, unknown>
  /** what telling the coordinator takes */
  readonly acknowledge?: (id: number) => Effect.Effect<void>
  /** what the task waits for before it opens */
  readonly allInitialized?: Effect.Effect<void>
}

export const barrierOf = (id: number, kind: Checkpoints.CheckpointKind = Checkpoint.checkpoint): Checkpoints.CheckpointBarrier => ({
  _tag: "CheckpointBarrier",
  id,
  timestamp: 0,
  kind
})

/** one that overtakes what is queued */
export const overtakingOf = (id: number): Checkpoints.CheckpointBarrier => ({ ...barrierOf(id), unaligned: true })

const lineOf = (event: StreamElement.StreamEvent): string => {
  switch (event._tag) {
    case "Watermark":
      return `watermark ${event.timestamp === Watermark.MAX ? "MAX" : event.timestamp}`
    case "WatermarkStatus":
      return event.idle ? "idle" : "active"
    case "CheckpointBarrier":
      return `barrier ${event.id}`
    case "CancelCheckpointMarker":
      return `cancel ${event.id}`
    case "EndOfData":
      return event.drain ? "end of data" : "end of data, no drain"
    case "EndOfPartition":
      return "end of partition"
  }
}

/** what a channel was given, as lines; records as they are */
const linesOf = (item: Item): ReadonlyArray<string> => {
  if (item._tag !== "Batch") return [lineOf(item)]
  const values: Array<string> = []
  while (item.emitNext({ emit: (value) => void values.push(String(value)) })) { /* the next one */ }
  return values
}

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Starts the task of a pipeline that fits into one. */
export const make = (
  pipeline: (...inputs: ReadonlyArray<DataStream.DataStream<any>>) => DataStream.DataStream<any, any>,
  options: Options = {}
) =>
  Effect.gen(function*() {
    const { channels = [1], outputs = 1, restoredId = 0, restoredPhase } = options
    const nodes = channels.map((_, input): SourceNode => ({
      _tag: "Source",
      name: `input ${input}`,
      uid: `input-${input}`,
      parallelism: 1,
      chaining: "never",
      problem: undefined,
      factory: Effect.die("an input of a rig is not run")
    }))
    const stream = pipeline(...nodes.map((node) => fromNode<any, never, never>(node)))
    const checkpoint = options.checkpoint === undefined ? undefined : { interval: "1 hour", ...options.checkpoint } as const
    const resolved = JobOptions.resolve({ batchSize: 1, checkpoint })
    const graph = Either.getOrThrow(JobGraphs.make("rig", stream.edges.map(({ node }) => node), resolved))
    const [made, ...more] = graph.vertices.filter(({ chain }) => !nodes.includes(chain[0].node as SourceNode))
    if (more.length > 0) return yield* Effect.dieMessage("a rig runs one task")
    const edge = (index: number): JobEdge => ({
      index,
      from: made.index,
      operator: made.chain.length - 1,
      tag: undefined,
      to: -1,
      input: 0,
      partitioning: forward,
      written: "Forward"
    })
    const vertex = { ...made, outputs: Array.from({ length: outputs }, (_, i) => edge(i)) }

    const log: Array<string> = []
    const life: Array<Lifecycle.LifecycleEvent> = []
    const sent = Array.from({ length: outputs }, (): Array<string> => [])
    const reports = new Map<number, SubtaskReport>()
    const inputs = channels.map((n, input) =>
      Array.from(
        { length: n },
        (_, from) =>
          new Channel({
            edge: `input-${input}`,
            from,
            writers: n,
            partitioning: { _tag: "Rebalance" },
            maxParallelism: 128,
            unaligned: true
          })
      )
    )
    const all = inputs.flat()
    const writersOut = sent.map((lines, output) => {
      const channel = new Channel()
      const put = channel.put.bind(channel)
      channel.put = (item) => {
        if (item._tag !== "Batch") log.push(`out${output} ${lineOf(item)}`)
        put(item)
        for (let each = channel.poll(); each !== undefined; each = channel.poll()) lines.push(...linesOf(each))
      }
      channel.overtake = (barrier) => {
        log.push(`out${output} overtaking ${lineOf(barrier)}`)
        lines.push(`overtaking ${lineOf(barrier)}`)
      }
      return channel
    })
    const responder: CheckpointResponder = {
      writer: (id) => ({
        write: (file, body) =>
          Effect.gen(function*() {
            let bytes = 0
            yield* body((chunk) => Effect.sync(() => void (bytes += chunk.length)))
            yield* Effect.orDie(options.store?.(id) ?? Effect.void)
            log.push(`stored ${id}`)
            return { file, bytes, checksum: "" }
          }).pipe(Effect.onInterrupt(() => Effect.sync(() => void log.push(`storing ${id} interrupted`)))),
        complete: () => Effect.dieMessage("a task completes no checkpoint"),
        abort: Effect.sync(() => void log.push(`remove ${id}`))
      }),
      acknowledge: (_task, id, report) =>
        Effect.suspend(() => {
          log.push(`acknowledge ${id}`)
          reports.set(id, report)
          return options.acknowledge?.(id) ?? Effect.void
        }),
      decline: (_task, id, reason, cause) =>
        Effect.sync(() => void log.push(`decline ${id} ${reason}${Cause.isEmpty(cause) ? "" : `: ${Cause.squash(cause)}`}`)),
      finalCheckpoint: () => options.finalCheckpoint === true,
      awaitsFinalCheckpoint: () => Effect.void
    }
    const env: TaskEnvironment = {
      job: "rig",
      vertex,
      subtask: 0,
      maxParallelism: 128,
      attempt: 0,
      attemptId: "rig",
      options: resolved,
      inputs,
      outputs: writersOut.map((channel) => [channel]),
      restore: () =>
        restoredPhase === undefined
          ? undefined
          : { checkpointId: restoredId, phase: restoredPhase, keyed: new Map(), filter: false, lists: new Map() },
      restoredId,
      responder,
      allInitialized: options.allInitialized ?? Effect.void,
      running: Effect.void
    }
    const task = taskOf(env) as StreamTask
    const clock = new SteppingClock()
    let end: TaskEnd | undefined
    const observe = (event: Lifecycle.LifecycleEvent) => {
      life.push(event)
      const { checkpointId, operator, phase } = event
      if (operator !== undefined) log.push(`${operator}.${phase}${checkpointId === undefined ? "" : ` ${checkpointId}`}`)
    }
    const fiber = yield* task.invoke.pipe(
      Effect.tap((how) => Effect.sync(() => void (end = how))),
      Effect.withClock(clock),
      Effect.provideService(Lifecycle.LifecycleObserver, { observe }),
      Effect.forkScoped
    )
    // a task that waits for something outside never rests, so this ends all the same
    const settle = Effect.gen(function*() {
      for (let quiet = 0, turns = 0; quiet < 3 && turns < 60; turns++) {
        yield* turn
        quiet = end !== undefined || task.isResting ? quiet + 1 : 0
      }
    })
    const put = (channel: number, ...items: ReadonlyArray<Item>) =>
      Effect.suspend(() => {
        for (const item of items) all[channel].put(item)
        return settle
      })
    const onAll = (...items: ReadonlyArray<Item>) => Effect.forEach(all, (_, channel) => put(channel, ...items), { discard: true })
    yield* settle
    return {
      task: task as Invokable,
      channels: all,
      log,
      life,
      sent,
      reports,
      settle,
      put,
      onAll,
      /** data without event time */
      data: (channel: number, value: unknown) => {
        const batch = new Batch(1)
        batch.add(value, undefined)
        return put(channel, batch)
      },
      barrier: (id: number, ...of: ReadonlyArray<number>) =>
        Effect.forEach(of.length === 0 ? all.keys() : of, (channel) => put(channel, barrierOf(id)), { discard: true }),
      /** barriers that overtake what is queued */
      overtake: (id: number, ...of: ReadonlyArray<number>) =>
        Effect.suspend(() => {
          for (const channel of of.length === 0 ? all.keys() : of) all[channel].overtake(overtakingOf(id))
          return settle
        }),
      /** how many items of its channels the task has stored with a checkpoint */
      captured: (id: number): number =>
        reports.get(id)!.operators.flatMap(({ states }) => states).find(({ name }) => name === "channels")?.entries ?? 0,
      /** the channel ends: data and all */
      ends: (channel: number, drain = true) => put(channel, Elements.endOfData(drain), Elements.endOfPartition),
      trigger: (id: number, kind?: Checkpoints.CheckpointKind) => Effect.zipLeft(task.triggerCheckpointAsync(barrierOf(id, kind)), settle),
      complete: (id: number) => Effect.zipRight(task.notifyCheckpointCompleteAsync(id), settle),
      abort: (id: number, latest = 0) => Effect.zipRight(task.notifyCheckpointAbortAsync(id, latest), settle),
      advance: (ms: number) => clock.advance(ms, settle),
      cancel: Effect.suspend(() => end === undefined ? Effect.asVoid(Fiber.interrupt(fiber)) : Effect.void),
      /** how the task ended, if it has */
      end: (): TaskEnd | undefined => end ?? (task.state === "canceled" ? { _tag: "canceled" } : undefined),
      /** what the log holds of these */
      logged: (...starts: ReadonlyArray<string>) => log.filter((line) => starts.some((start) => line.startsWith(start)))
    }
  })
