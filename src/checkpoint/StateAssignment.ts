/**
 * Gives the state of a checkpoint to the operators of a job, also at another parallelism. As Flink's StateAssignmentOperation.
 *
 * A1. Keyed state goes to the subtask that owns the key group; operator state `split` is dealt out in turn, `union` goes to everybody.
 * A2. An operator without an entry in the checkpoint starts empty; an entry without an operator is refused unless that is allowed.
 * A3. Everything is read, checked against its checksum and described before any task starts.
 * A4. What had ended runs again where something that it reads has not: a new operator, or a subtask that reads others at another parallelism (RS-11).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CheckpointMetadata, OperatorPhase, OperatorState, StateHandle } from "../Checkpoint.js"
import * as Checkpoint from "../Checkpoint.js"
import type { CheckpointStore } from "../CheckpointStorage.js"
import type { JobGraph, JobVertex } from "../graph/JobGraph.js"
import * as KeyGroup from "../KeyGroup.js"
import { unpack } from "../state/Codec.js"
import type { Shape } from "../state/Shape.js"
import type { CheckpointCorrupt, StorageFailed } from "../StreamError.js"
import { RestoreRejected } from "../StreamError.js"
import type { OperatorRestore, StoredState } from "../task/OperatorRestore.js"
import type { FileState } from "../task/SnapshotFile.js"
import * as SnapshotFile from "../task/SnapshotFile.js"

/** A checkpoint that is ready to be restored. */
export interface Assignment {
  readonly checkpointId: number
  readonly restore: (vertex: JobVertex, subtask: number) => (uid: string) => OperatorRestore | undefined
}

/** Reads a checkpoint whole and assigns it to a job. */
export const make = (
  graph: JobGraph,
  store: CheckpointStore,
  id: number,
  allowNonRestoredState: boolean
): Effect.Effect<Assignment, RestoreRejected | CheckpointCorrupt | StorageFailed> =>
  Effect.gen(function*() {
    const metadata = yield* store.metadata(id)
    yield* check(graph, metadata, allowNonRestoredState, store.location(id))
    const files = new Map<string, ReadonlyArray<FileState>>()
    for (const handle of handlesOf(metadata)) files.set(handle.file, SnapshotFile.parse(yield* store.read(id, handle)))
    const operators = new Map(metadata.operators.map((operator) => [operator.uid, operator]))
    const phases = phasesOf(graph, operators)
    return {
      checkpointId: id,
      restore: (vertex, subtask) => (uid) => {
        const operator = operators.get(uid)
        const phase = phases.get(`${uid}/${subtask}`)
        return operator === undefined || phase === undefined ? undefined : assign(id, operator, files, vertex.parallelism, subtask, phase)
      }
    }
  })

/** how far each operator's subtasks had come, by uid and subtask */
const phasesOf = (graph: JobGraph, operators: ReadonlyMap<string, OperatorState>): ReadonlyMap<string, OperatorPhase> => {
  const phases = new Map<string, OperatorPhase>()
  for (const vertex of graph.vertices) {
    vertex.chain.forEach(({ uid }, at) => {
      const operator = operators.get(uid)
      const writers = at === 0
        ? vertex.inputs.map((edge) => ({
          from: graph.vertices[edge.from],
          uid: graph.vertices[edge.from].chain[edge.operator].uid,
          own: edge.partitioning._tag === "Forward"
        }))
        : vertex.chain.filter(({ consumers }) => consumers.some((each) => each.operator === at)).map((each) => ({
          from: vertex,
          uid: each.uid,
          own: true
        }))
      for (let subtask = 0; subtask < vertex.parallelism; subtask++) {
        const sends = writers.some((writer) =>
          writer.own
            ? phases.get(`${writer.uid}/${subtask}`) === "running"
            : Array.from({ length: writer.from.parallelism }, (_, i) => phases.get(`${writer.uid}/${i}`)).includes("running")
        )
        const had = operator === undefined ? "running" : phaseOf(operator, operator.parallelism === vertex.parallelism, subtask)
        phases.set(`${uid}/${subtask}`, sends ? "running" : had)
      }
    })
  }
  return phases
}

const handlesOf = (metadata: CheckpointMetadata): Iterable<StateHandle> => {
  const byFile = new Map<string, StateHandle>()
  for (const operator of metadata.operators) {
    for (const { handle } of operator.subtasks) if (handle !== undefined) byFile.set(handle.file, handle)
  }
  return byFile.values()
}

const check = (
  graph: JobGraph,
  metadata: CheckpointMetadata,
  allowNonRestoredState: boolean,
  checkpoint: string
): Effect.Effect<void, RestoreRejected> => {
  const reject = (operator: string, reason: string) => Effect.fail(new RestoreRejected({ job: graph.name, checkpoint, operator, reason }))
  if (metadata.version !== Checkpoint.FORMAT_VERSION) {
    return reject("format", `written in format version ${metadata.version}, this build reads ${Checkpoint.FORMAT_VERSION}`)
  }
  const uids = new Set(graph.vertices.flatMap((vertex) => vertex.chain.map((operator) => operator.uid)))
  for (const { maxParallelism, name, subtasks, uid } of metadata.operators) {
    const hasState = subtasks.some((subtask) => subtask.states.length > 0)
    if (!uids.has(uid)) {
      if (hasState && !allowNonRestoredState) {
        return reject(name, `its state (uid "${uid}") has no operator in the job; give the operator that uid, or set allowNonRestoredState`)
      }
      continue
    }
    if (hasState && maxParallelism !== graph.maxParallelism) {
      return reject(
        name,
        `it was written with maxParallelism ${maxParallelism}, the job has ${graph.maxParallelism}; it cannot change while state is kept`
      )
    }
  }
  return Effect.void
}

const assign = (
  checkpointId: number,
  operator: OperatorState,
  files: ReadonlyMap<string, ReadonlyArray<FileState>>,
  parallelism: number,
  subtask: number,
  phase: OperatorPhase
): OperatorRestore => {
  const same = operator.parallelism === parallelism
  const range = KeyGroup.range(subtask, parallelism, operator.maxParallelism)
  const keyed = new Map<string, { shape: Shape; chunks: Array<Uint8Array> }>()
  const gathered = new Map<string, { shape: Shape; union: boolean; items: Array<unknown> }>()
  for (const old of operator.subtasks) {
    if (old.handle === undefined) continue
    const owns = same
      ? old.subtask === subtask
      : KeyGroup.intersect(range, KeyGroup.range(old.subtask, operator.parallelism, operator.maxParallelism))
    for (const state of files.get(old.handle.file)!) {
      if (state.uid !== operator.uid) continue
      if (state.kind === "keyed") {
        if (owns === false || owns === undefined) continue
        const stored = keyed.get(state.name) ?? { shape: state.shape, chunks: [] }
        keyed.set(state.name, stored)
        stored.chunks.push(...state.chunks)
        continue
      }
      const union = state.redistribution === "union"
      // at the same parallelism what is split stays where it was (RS-07)
      if (!union && same && old.subtask !== subtask) continue
      const list = gathered.get(state.name) ?? { shape: state.shape, union, items: [] }
      gathered.set(state.name, list)
      for (const chunk of state.chunks) list.items.push(...unpack(chunk) as Array<unknown>)
    }
  }
  const lists = new Map(
    Array.from(gathered, ([name, { items, shape, union }]) => [
      name,
      { shape, items: union || same ? items : items.filter((_, i) => i % parallelism === subtask) }
    ])
  )
  return { checkpointId, phase, keyed: keyed as ReadonlyMap<string, StoredState>, filter: !same, lists }
}

/** a subtask's own phase at the same parallelism; at another one an operator has come as far as the least of its subtasks */
const phaseOf = (operator: OperatorState, same: boolean, subtask: number): OperatorPhase => {
  if (same) return operator.subtasks[subtask].phase
  const phases = operator.subtasks.map((each) => each.phase)
  if (phases.includes("running")) return "running"
  return phases.includes("finishing") ? "finishing" : "finished"
}
