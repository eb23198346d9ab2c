/**
 * Jobs: pipelines under one name, and the ways to run them.
 *
 * A job is a value; making it runs nothing. The errors of all its functions are in its type, and so are the services they need.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Types from "effect/Types"
import * as Checkpoint from "./Checkpoint.js"
import type { Explanation } from "./graph/JobGraph.js"
import * as JobGraph from "./graph/JobGraph.js"
import type { StreamNode } from "./graph/StreamGraph.js"
import { JobMaster } from "./job/JobMaster.js"
import type { JobEvent, JobResult, JobStatus } from "./job/JobResult.js"
import type { CheckpointStats, JobMetrics } from "./JobMetrics.js"
import type { JobOptions } from "./JobOptions.js"
import { resolve } from "./JobOptions.js"
import type { Pipeline } from "./language/ends.js"
import type { GraphError, JobError } from "./StreamError.js"
import { CheckpointFailed } from "./StreamError.js"

export type { Explanation } from "./graph/JobGraph.js"
export type { JobEvent, JobResult, JobStatus } from "./job/JobResult.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("sluice/Job")

/**
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

/**
 * A job whose functions may fail with `E` and need `R`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Job<out E = never, out R = never> extends Pipeable {
  readonly [TypeId]: { readonly _E: Types.Covariant<E>; readonly _R: Types.Covariant<R> }
  readonly name: string
  /** @internal */
  readonly ends: ReadonlyArray<StreamNode>
}

const variance = { _E: (_: never) => _, _R: (_: never) => _ }

/** distributes over a union: a job without pipelines has neither */
type ErrorOf<P> = P extends Pipeline<infer E, any> ? E : never
type ServicesOf<P> = P extends Pipeline<any, infer R> ? R : never

/**
 * Puts pipelines together under a name. The name is that of its checkpoints: a job started again under it goes on from them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <P extends ReadonlyArray<Pipeline<any, any>>>(
  name: string,
  ...pipelines: P
): Job<
  ErrorOf<P[number]>,
  ServicesOf<P[number]>
> => ({
  [TypeId]: variance as any,
  name,
  ends: pipelines.map((pipeline) => pipeline.end),
  pipe() {
    return pipeArguments(this, arguments)
  }
})

/**
 * A job that runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobHandle<out E = never> {
  readonly id: string
  readonly name: string
  readonly status: Effect.Effect<JobStatus>
  /** what happens from here on */
  readonly events: Stream.Stream<JobEvent>
  /** waits for the end */
  readonly await: Effect.Effect<JobResult, JobError<E>>
  /** cancels the job and waits until all its tasks have closed */
  readonly cancel: Effect.Effect<void>
  readonly triggerCheckpoint: Effect.Effect<CheckpointStats, CheckpointFailed>
  /** a checkpoint that is kept until somebody deletes it; the job goes on */
  readonly savepoint: Effect.Effect<CheckpointStats, CheckpointFailed>
  /** stops the job with a savepoint. With `drain` event time ends, windows fire and operators finish; without it the next run goes on from there */
  readonly stopWithSavepoint: (
    options?: { readonly drain?: boolean | undefined }
  ) => Effect.Effect<CheckpointStats, CheckpointFailed | JobError<E>>
  readonly metrics: Effect.Effect<JobMetrics>
}

/**
 * What the job will run: text for people, a Mermaid flowchart, JSON. Fails with `GraphError`, naming the node, where the job cannot run.
 *
 * @since 0.1.0
 * @category running
 */
export const explain = <E, R>(job: Job<E, R>, options?: JobOptions): Effect.Effect<Explanation, GraphError> =>
  Effect.suspend(() => Either.map(JobGraph.make(job.name, job.ends, resolve(options)), JobGraph.explain))

/**
 * Starts a job and gives its handle once its tasks run. The job is canceled when the Scope closes.
 *
 * @since 0.1.0
 * @category running
 */
export const start = <E, R>(
  job: Job<E, R>,
  options?: JobOptions
): Effect.Effect<JobHandle<E>, JobError<E>, R | Scope.Scope> =>
  Effect.gen(function*() {
    const resolved = resolve(options)
    const graph = yield* JobGraph.make(job.name, job.ends, resolved)
    const id = `${job.name}-${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`
    const events = yield* PubSub.sliding<JobEvent>(1024)
    const started = yield* Deferred.make<void, JobError<E>>()
    const master = new JobMaster(id, graph, resolved, events, Deferred.succeed(started, undefined))
    const run = (master.run as Effect.Effect<JobResult, JobError<E>, R>).pipe(
      // also where it was canceled, or ended before anybody looked: whoever waits for the start is told
      Effect.onExit((exit) => Deferred.done(started, Exit.asVoid(exit)))
    )
    const fiber = yield* Effect.forkScoped(run)
    yield* Deferred.await(started)
    const trigger = (kind: Checkpoint.CheckpointKind) => master.trigger(kind)
    return {
      id,
      name: job.name,
      status: Effect.sync(() => master.status),
      events: Stream.fromPubSub(events),
      await: Fiber.join(fiber),
      cancel: Effect.asVoid(Fiber.interrupt(fiber)),
      triggerCheckpoint: trigger(Checkpoint.checkpoint),
      savepoint: trigger(Checkpoint.savepoint()),
      stopWithSavepoint: (options) =>
        Effect.scoped(Effect.gen(function*() {
          const told = yield* PubSub.subscribe(events)
          const { restarts } = master.metrics
          const stats = yield* trigger(Checkpoint.savepoint(options?.drain === true ? "drain" : "suspend"))
          // FC-24: a task may still fail; a job that goes on has not been stopped
          const again = Effect.repeat(Queue.take(told), { until: (event) => event._tag === "Restarting" && event.attempt > restarts })
          const detail = `it is complete (${stats.location}), but the job failed before it had stopped, and started again`
          const failed = new CheckpointFailed({ job: job.name, id: stats.id, reason: "TASK_FAILURE", detail })
          // also where this is a finalizer, which is not to be interrupted: the one that loses is
          yield* Effect.raceFirst(Effect.interruptible(Fiber.join(fiber)), Effect.interruptible(Effect.zipRight(again, failed)))
          return stats
        })),
      metrics: Effect.sync(() => master.metrics)
    }
  })

/**
 * Runs a job to its end. Interrupting it cancels the job; every resource is released first.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <E, R>(job: Job<E, R>, options?: JobOptions): Effect.Effect<JobResult, JobError<E>, R> =>
  Effect.scoped(Effect.flatMap(start(job, options), (handle) => handle.await))

/**
 * A layer in which the job lives: it starts with the layer and is canceled when the layer is released.
 *
 * @since 0.1.0
 * @category running
 */
export const layer = <I, E, R>(
  tag: Context.Tag<I, JobHandle<E>>,
  job: Job<E, R>,
  options?: JobOptions
): Layer.Layer<I, JobError<E>, Exclude<R, Scope.Scope>> => Layer.scoped(tag, start(job, options))
