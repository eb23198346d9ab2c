/**
 * One attempt of a job: its tasks with the channels between them.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Assignment } from "../checkpoint/StateAssignment.js"
import type { JobEdge, JobGraph } from "../graph/JobGraph.js"
import { inputsOf } from "../graph/StreamGraph.js"
import type { ResolvedOptions } from "../JobOptions.js"
import type { ChannelOrigin } from "../task/Channel.js"
import { Channel } from "../task/Channel.js"
import type { CheckpointResponder, Invokable, TaskEnvironment } from "../task/Invokable.js"
import { Wiring } from "../task/Invokable.js"
import { taskOf } from "../task/kinds.js"

/** `all` waits until `total` have arrived */
const latch = (total: number) =>
  Effect.map(Deferred.make<void>(), (all) => {
    let arrived = 0
    return {
      arrive: Effect.suspend(() => ++arrived === total ? Effect.asVoid(Deferred.succeed(all, undefined)) : Effect.void),
      all: Deferred.await(all)
    }
  })

const originOf = (graph: JobGraph, edge: JobEdge, from: number): ChannelOrigin => {
  const writer = graph.vertices[edge.from]
  return {
    edge: `${writer.chain[edge.operator].uid} ${edge.tag ?? ""}>${edge.input}`,
    from,
    writers: writer.parallelism,
    partitioning: edge.partitioning,
    maxParallelism: graph.maxParallelism,
    unaligned: graph.vertices[edge.to].inputs.every(({ partitioning, written }) =>
      written !== "Broadcast" && (written !== "Forward" || partitioning._tag !== "Forward")
    )
  }
}

/** Makes the tasks of an attempt; nothing runs yet. */
export const make = (
  graph: JobGraph,
  options: ResolvedOptions,
  attempt: { readonly number: number; readonly id: string },
  assignment: Assignment | undefined,
  responder: CheckpointResponder
): Effect.Effect<{ readonly tasks: ReadonlyArray<Invokable>; readonly latches: { readonly allRunning: Effect.Effect<void> } }> =>
  Effect.gen(function*() {
    // channels[edge][from][to]; a forward edge has only those from a subtask to its own reader
    const channels = graph.edges.map((edge) => {
      const readers = graph.vertices[edge.to].parallelism
      return Array.from(
        { length: graph.vertices[edge.from].parallelism },
        (_, from) =>
          Array.from(
            { length: readers },
            (_, to) => edge.partitioning._tag !== "Forward" || from === to ? new Channel(originOf(graph, edge, from)) : undefined
          )
      )
    })
    const { wire } = yield* Wiring
    const total = graph.vertices.reduce((n, vertex) => n + vertex.parallelism, 0)
    const initialized = yield* latch(total)
    const running = yield* latch(total)
    const present = (some: ReadonlyArray<Channel | undefined>) => some.filter((each) => each !== undefined)
    const tasks = graph.vertices.flatMap((vertex) =>
      Array.from({ length: vertex.parallelism }, (_, subtask): Invokable => {
        const env: TaskEnvironment = {
          job: graph.name,
          vertex,
          subtask,
          maxParallelism: graph.maxParallelism,
          attempt: attempt.number,
          attemptId: attempt.id,
          options,
          inputs: inputsOf(vertex.chain[0].node).map((_, input) =>
            vertex.inputs.filter((edge) => edge.input === input).flatMap((edge) => present(channels[edge.index].map((to) => to[subtask])))
          ),
          outputs: vertex.outputs.map((edge) => present(channels[edge.index][subtask])),
          restore: assignment?.restore(vertex, subtask) ?? (() => undefined),
          restoredId: assignment?.checkpointId ?? 0,
          responder,
          allInitialized: Effect.zipRight(initialized.arrive, initialized.all),
          running: running.arrive
        }
        return taskOf(wire(env))
      })
    )
    return { tasks, latches: { allRunning: running.all } }
  })
