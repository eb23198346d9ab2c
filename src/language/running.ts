/**
 * How the operators of a stream run: their names, ids and parallelism, and how records are dealt out to their subtasks.
 *
 * @since 0.1.0
 */
import { dual } from "effect/Function"
import type { Partitioning, StreamNode } from "../graph/StreamGraph.js"
import { forward as forwardPartitioning } from "../graph/StreamGraph.js"
import type { DataStream } from "./DataStream.js"
import { fromEdges } from "./DataStream.js"

type Configuration = Partial<Pick<StreamNode, "name" | "uid" | "parallelism" | "chaining">>

/** changes the node that a stream comes from */
const configure = <S extends DataStream<any, any, any>>(self: S, what: string, fields: Configuration): S => {
  const [edge] = self.edges
  const problem = self.edges.length === 1 && edge.tag === undefined
    ? edge.node.problem
    : `${what} applies to the operator before it, and a union or a side output is none; put it before that, or after an operator`
  const node = { ...edge.node, ...fields, problem } as StreamNode
  return { ...self, edges: [{ ...edge, node }, ...self.edges.slice(1)] }
}

const configuring = <V>(what: string, fields: (value: V) => Configuration): {
  (value: V): <S extends DataStream<any, any, any>>(self: S) => S
  <S extends DataStream<any, any, any>>(self: S, value: V): S
} => dual(2, <S extends DataStream<any, any, any>>(self: S, value: V): S => configure(self, what, fields(value)))

/**
 * Names the operator before it, for people.
 *
 * @since 0.1.0
 * @category running
 */
export const named = configuring("named", (name: string) => ({ name }))

/**
 * Gives the operator before it the id under which its state is stored. Give one to every operator with state that is to outlive a change of the job.
 *
 * @since 0.1.0
 * @category running
 */
export const uid = configuring("uid", (uid: string) => ({ uid }))

/**
 * How many subtasks the operator before it has.
 *
 * @since 0.1.0
 * @category running
 */
export const parallelism = configuring("parallelism", (parallelism: number) => ({ parallelism }))

const chaining = (mode: "head" | "never") => <S extends DataStream<any, any, any>>(self: S): S =>
  configure(self, "chaining", { chaining: mode })

/**
 * The operator before it runs in a task of its own.
 *
 * @since 0.1.0
 * @category running
 */
export const disableChaining = chaining("never")

/**
 * The operator before it begins a new task; those behind it may join.
 *
 * @since 0.1.0
 * @category running
 */
export const startNewChain = chaining("head")

const partitioned = (partitioning: Partitioning) => <A, E, R>(self: DataStream<A, E, R>): DataStream<A, E, R> =>
  fromEdges(self.edges.map((edge) => ({ ...edge, partitioning })))

/**
 * Deals records out to all subtasks of the next operator in turn.
 *
 * @since 0.1.0
 * @category running
 */
export const rebalance = partitioned({ _tag: "Rebalance" })

/**
 * Gives every record to every subtask of the next operator.
 *
 * @since 0.1.0
 * @category running
 */
export const broadcast = partitioned({ _tag: "Broadcast" })

/**
 * Gives all records to the first subtask of the next operator.
 *
 * @since 0.1.0
 * @category running
 */
export const global = partitioned({ _tag: "Global" })

/**
 * Gives the records of each subtask to the same subtask of the next operator, which is what happens anyway where nothing else is said.
 *
 * @since 0.1.0
 * @category running
 */
export const forward = partitioned(forwardPartitioning)
