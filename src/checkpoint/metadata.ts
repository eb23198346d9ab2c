/**
 * What a checkpoint says of itself, made from what the subtasks reported.
 *
 * @since 0.1.0
 */
import type { CheckpointBarrier, CheckpointMetadata, OperatorState } from "../Checkpoint.js"
import * as Checkpoint from "../Checkpoint.js"
import type { JobGraph, JobVertex } from "../graph/JobGraph.js"
import type { SubtaskReport } from "../task/Invokable.js"

/** The metadata of a checkpoint; a subtask that has not reported was not needed: it had finished before. */
export const metadataOf = (
  graph: Pick<JobGraph, "name" | "vertices" | "maxParallelism">,
  { id, kind, timestamp }: Omit<CheckpointBarrier, "_tag">,
  reportOf: (vertex: JobVertex, subtask: number) => SubtaskReport | undefined
): CheckpointMetadata => ({
  version: Checkpoint.FORMAT_VERSION,
  job: graph.name,
  id,
  kind,
  timestamp,
  operators: graph.vertices.flatMap((vertex) =>
    vertex.chain.map(({ name, uid }): OperatorState => ({
      uid,
      name,
      parallelism: vertex.parallelism,
      maxParallelism: graph.maxParallelism,
      subtasks: Array.from({ length: vertex.parallelism }, (_, subtask) => {
        const report = reportOf(vertex, subtask)
        const operator = report?.operators.find((each) => each.uid === uid)
        return {
          subtask,
          phase: operator?.phase ?? "finished",
          handle: operator === undefined || operator.states.length === 0 ? undefined : report!.handle,
          states: operator?.states ?? []
        }
      })
    }))
  )
})
