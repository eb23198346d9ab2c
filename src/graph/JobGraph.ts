/**
 * What runs: chains of operators as vertices, and the edges between them with their partitioning.
 *
 * J1. An operator runs in the task of what it reads when that is one edge, forward (or to one subtask), at the same parallelism, and neither side forbids it.
 * J2. A forward edge between different parallelisms becomes rebalance (CH-05).
 * J3. Every operator has a uid: its own, or one made from its name and what it reads, which stays the same as long as those do.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { ResolvedOptions } from "../JobOptions.js"
import * as KeyGroup from "../KeyGroup.js"
import { GraphError } from "../StreamError.js"
import type { KeySelector, Partitioning, StreamNode } from "./StreamGraph.js"
import { collect, edgesOf, inputsOf } from "./StreamGraph.js"

/** An operator of a chain; `consumers` are operators of the same chain. */
export interface ChainedOperator {
  readonly node: StreamNode
  readonly name: string
  readonly uid: string
  /** the key of each input's records, of one input where it has none */
  readonly keys: ReadonlyArray<KeySelector | undefined>
  readonly consumers: ReadonlyArray<{ readonly operator: number; readonly tag: string | undefined }>
}

/** One task, `parallelism` times. `chain[0]` is its head. */
export interface JobVertex {
  readonly index: number
  readonly name: string
  readonly parallelism: number
  readonly chain: ReadonlyArray<ChainedOperator>
  readonly inputs: ReadonlyArray<JobEdge>
  readonly outputs: ReadonlyArray<JobEdge>
}

/** From one operator's output to an input of the head of a vertex. */
export interface JobEdge {
  readonly index: number
  readonly from: number
  readonly operator: number
  readonly tag: string | undefined
  readonly to: number
  readonly input: number
  readonly partitioning: Partitioning
  /** the partitioning as it was written: between single subtasks all are forward */
  readonly written: Partitioning["_tag"]
}

/** A whole job, ready to run. */
export interface JobGraph {
  readonly name: string
  readonly vertices: ReadonlyArray<JobVertex>
  readonly edges: ReadonlyArray<JobEdge>
  readonly maxParallelism: number
}

/** Whether a string may name a job: it names a folder too. */
const badName = (name: string): string | undefined =>
  name.trim() === "" ? "a job needs a name" : name.length > 200 ? "a job's name has at most 200 characters" : undefined

/** Builds what runs from what was written. */
export const make = (
  name: string,
  ends: ReadonlyArray<StreamNode>,
  options: ResolvedOptions
): Either.Either<JobGraph, GraphError> => {
  const fail = (node: string, reason: string) => Either.left(new GraphError({ job: name, node, reason }))
  const bad = badName(name) ??
    (ends.length === 0 ? "a job needs at least one pipeline: a stream that ends in DataStream.to(sink)" : undefined)
  if (bad !== undefined) return fail("Job.make", bad)
  const { batchSize, chaining, maxParallelism } = options
  if (!Number.isInteger(maxParallelism) || maxParallelism < 1 || maxParallelism > KeyGroup.MAX_PARALLELISM) {
    return fail("JobOptions", `maxParallelism must be a whole number from 1 to ${KeyGroup.MAX_PARALLELISM}, got ${maxParallelism}`)
  }
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 65536) {
    return fail("JobOptions", `batchSize must be a whole number from 1 to 65536, got ${batchSize}`)
  }

  const unchecked = checkpointProblem(options.checkpoint)
  if (unchecked !== undefined) return fail("JobOptions", unchecked)

  const nodes = collect(ends)
  const parallelismOf = (node: StreamNode) => node.parallelism ?? options.parallelism
  for (const node of nodes) {
    const parallelism = parallelismOf(node)
    if (node.problem !== undefined) return fail(node.name, node.problem)
    if (!Number.isInteger(parallelism) || parallelism < 1) {
      return fail(node.name, `parallelism must be a whole number from 1 on, got ${parallelism}`)
    }
    if (parallelism > maxParallelism) {
      return fail(
        node.name,
        `parallelism ${parallelism} is above maxParallelism ${maxParallelism}; raise maxParallelism (it cannot change later) or lower parallelism`
      )
    }
  }

  const uids = uidsOf(nodes)
  const byUid = new Map<string, StreamNode>()
  for (const [node, uid] of uids) {
    const other = byUid.get(uid)
    if (other !== undefined) return fail(node.name, `uid "${uid}" is already taken by ${other.name}; every uid of a job must be different`)
    byUid.set(uid, node)
  }

  // an edge to one subtask from one subtask needs no exchange, whatever its partitioning
  const effective = (from: StreamNode, to: StreamNode, partitioning: Partitioning): Partitioning => {
    const one = parallelismOf(from) === 1 && parallelismOf(to) === 1
    if (one && partitioning._tag !== "Forward") return { _tag: "Forward" }
    return partitioning._tag === "Forward" && parallelismOf(from) !== parallelismOf(to) ? { _tag: "Rebalance" } : partitioning
  }
  const chainsWith = (node: StreamNode): StreamNode | undefined => {
    const edges = edgesOf(node)
    if (!chaining || inputsOf(node).length !== 1 || edges.length !== 1) return undefined
    const [{ node: from, partitioning }] = edges
    if (node.chaining !== "always" || from.chaining === "never") return undefined
    return parallelismOf(from) === parallelismOf(node) && effective(from, node, partitioning)._tag === "Forward"
      ? from
      : undefined
  }

  // where each node runs: its vertex, and its place in that vertex' chain
  const placeOf = new Map<StreamNode, { readonly vertex: number; readonly operator: number }>()
  const chains: Array<Array<StreamNode>> = []
  const consumersOf = new Map<StreamNode, Array<ChainedOperator["consumers"][number]>>()
  const edges: Array<JobEdge> = []
  for (const node of nodes) {
    const from = chainsWith(node)
    const vertex = from === undefined ? chains.push([]) - 1 : placeOf.get(from)!.vertex
    const operator = chains[vertex].push(node) - 1
    placeOf.set(node, { vertex, operator })
    consumersOf.set(node, [])
    if (from !== undefined) {
      consumersOf.get(from)!.push({ operator, tag: edgesOf(node)[0].tag })
      continue
    }
    inputsOf(node).forEach((read, input) => {
      for (const edge of read.edges) {
        const place = placeOf.get(edge.node)!
        edges.push({
          index: edges.length,
          from: place.vertex,
          operator: place.operator,
          tag: edge.tag,
          to: vertex,
          input,
          partitioning: effective(edge.node, node, edge.partitioning),
          written: edge.partitioning._tag
        })
      }
    })
  }

  const inputs = chains.map((): Array<JobEdge> => [])
  const outputs = chains.map((): Array<JobEdge> => [])
  for (const edge of edges) {
    inputs[edge.to].push(edge)
    outputs[edge.from].push(edge)
  }
  const vertices = chains.map((chain, index): JobVertex => ({
    index,
    name: chain.map((node) => node.name).join(" -> "),
    parallelism: parallelismOf(chain[0]),
    chain: chain.map((node) => ({
      node,
      name: node.name,
      uid: uids.get(node)!,
      keys: inputsOf(node).map(({ key }) => key),
      consumers: consumersOf.get(node)!
    })),
    inputs: inputs[index],
    outputs: outputs[index]
  }))
  return Either.right({ name, vertices, edges, maxParallelism })
}

const checkpointProblem = (checkpoint: ResolvedOptions["checkpoint"]): string | undefined => {
  if (checkpoint === undefined) return undefined
  for (const [name, least] of [["maxConcurrent", 1], ["retain", 1], ["tolerableFailures", 0]] as const) {
    const n = checkpoint[name]
    if (!Number.isInteger(n) || n < least) return `checkpoint.${name} must be a whole number from ${least} on, got ${n}`
  }
  if (checkpoint.mode === "at-least-once" && checkpoint.alignedTimeout !== Infinity) {
    return "checkpoint.alignment is for exactly-once checkpoints; at-least-once ones do not align"
  }
  for (const name of ["interval", "timeout"] as const) if (!(checkpoint[name] > 0)) return `checkpoint.${name} must be more than 0 ms`
  return undefined
}

const uidsOf = (nodes: ReadonlyArray<StreamNode>): Map<StreamNode, string> => {
  const uids = new Map<StreamNode, string>()
  const taken = new Map<string, number>()
  for (const node of nodes) {
    if (node.uid !== undefined) {
      uids.set(node, node.uid)
      continue
    }
    const path = inputsOf(node)
      .map(({ edges }) => edges.map((edge) => `${uids.get(edge.node)}${edge.tag ?? ""}`).join("+"))
      .join("&")
    const base = `${node.name}~${(KeyGroup.hash(`${path}>${node.name}`) >>> 0).toString(36)}`
    const n = taken.get(base) ?? 0
    taken.set(base, n + 1)
    uids.set(node, n === 0 ? base : `${base}.${n}`)
  }
  return uids
}

/** A job as people read it. */
export interface Explanation {
  readonly text: string
  /** a Mermaid flowchart */
  readonly mermaid: string
  readonly json: {
    readonly name: string
    readonly maxParallelism: number
    readonly vertices: ReadonlyArray<{
      readonly name: string
      readonly parallelism: number
      readonly operators: ReadonlyArray<{ readonly name: string; readonly uid: string; readonly keyed: boolean }>
    }>
    readonly edges: ReadonlyArray<{ readonly from: number; readonly to: number; readonly partitioning: string; readonly tag?: string }>
  }
}

const isKeyed = ({ keys }: ChainedOperator): boolean => keys.some((key) => key !== undefined)

/** Renders a graph. */
export const explain = (graph: JobGraph): Explanation => {
  const quote = (text: string) => text.replaceAll("\"", "&quot;")
  const text = [`job ${graph.name}, ${graph.maxParallelism} key groups`]
  const mermaid = ["flowchart LR"]
  for (const vertex of graph.vertices) {
    text.push(`[${vertex.index}] ${vertex.name} x${vertex.parallelism}`)
    for (const operator of vertex.chain) {
      text.push(`      ${operator.name}  uid ${operator.uid}${isKeyed(operator) ? "  keyed" : ""}`)
    }
    for (const edge of vertex.outputs) {
      text.push(`      -- ${edge.partitioning._tag.toLowerCase()}${edge.tag === undefined ? "" : ` (${edge.tag})`} --> [${edge.to}]`)
    }
    mermaid.push(`  v${vertex.index}["${quote(vertex.name)} x${vertex.parallelism}"]`)
  }
  for (const edge of graph.edges) {
    mermaid.push(
      `  v${edge.from} -->|${edge.partitioning._tag.toLowerCase()}${edge.tag === undefined ? "" : ` ${quote(edge.tag)}`}| v${edge.to}`
    )
  }
  return {
    text: text.join("\n"),
    mermaid: mermaid.join("\n"),
    json: {
      name: graph.name,
      maxParallelism: graph.maxParallelism,
      vertices: graph.vertices.map(({ chain, name, parallelism }) => ({
        name,
        parallelism,
        operators: chain.map((operator) => ({ name: operator.name, uid: operator.uid, keyed: isKeyed(operator) }))
      })),
      edges: graph.edges.map(({ from, partitioning, tag, to }) => ({
        from,
        to,
        partitioning: partitioning._tag.toLowerCase(),
        ...(tag === undefined ? {} : { tag })
      }))
    }
  }
}
