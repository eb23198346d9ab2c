/**
 * What was written: operators as immutable nodes, each naming what it reads. A stream is the edges that lead out of its nodes.
 *
 * Pure data; two uses of one node are one operator, by identity.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { KeyCodec } from "../state/KeyCodec.js"
import type { Operator, SourceOperator, TwoInputStreamOperator } from "../StreamOperator.js"

/** How a keyed stream finds the key of a record. */
export interface KeySelector {
  readonly select: (value: any) => unknown
  readonly codec: KeyCodec<any>
}

/** How the records of an edge are given to the subtasks that read it. */
export type Partitioning =
  | { readonly _tag: "Forward" }
  | { readonly _tag: "Rebalance" }
  | { readonly _tag: "Broadcast" }
  | { readonly _tag: "Global" }
  | { readonly _tag: "Hash"; readonly key: KeySelector }

/** What flows from one node, or from one of its side outputs. */
export interface StreamEdge {
  readonly node: StreamNode
  /** the id of the side output, or `undefined` for the main one */
  readonly tag: string | undefined
  readonly partitioning: Partitioning
}

interface NodeFields {
  readonly name: string
  readonly uid: string | undefined
  readonly parallelism: number | undefined
  /** whether the node may run in the task of what it reads */
  readonly chaining: "always" | "head" | "never"
  readonly problem: string | undefined
}

/** Reads from outside. */
export interface SourceNode extends NodeFields {
  readonly _tag: "Source"
  readonly factory: Effect.Effect<SourceOperator<any, any>, any, any>
}

/** One input of an operator: all that is united in it. */
export interface StreamInput {
  readonly edges: ReadonlyArray<StreamEdge>
  /** the key of a record, for operators with keyed state */
  readonly key: KeySelector | undefined
}

/** Reads one or two streams. */
export interface OperatorNode extends NodeFields {
  readonly _tag: "Operator"
  readonly factory: Effect.Effect<Operator<any, any, any> | TwoInputStreamOperator<any, any, any, any>, any, any>
  readonly inputs: ReadonlyArray<StreamInput>
}

/** An operator as it was written. */
export type StreamNode = SourceNode | OperatorNode

/** What a node reads, input by input. */
export const inputsOf = (node: StreamNode): ReadonlyArray<StreamInput> => node._tag === "Source" ? [] : node.inputs

/** All edges that a node reads. */
export const edgesOf = (node: StreamNode): ReadonlyArray<StreamEdge> => inputsOf(node).flatMap(({ edges }) => edges)

/** The plain way from a node to its reader. */
export const forward: Partitioning = { _tag: "Forward" }

/** All nodes from which the given ones can be reached, inputs before readers, in the order of writing. */
export const collect = (ends: ReadonlyArray<StreamNode>): ReadonlyArray<StreamNode> => {
  const seen = new Set<StreamNode>()
  const ordered: Array<StreamNode> = []
  // a stack of its own: a chain of a hundred thousand operators is legal
  const stack: Array<{ readonly node: StreamNode; readonly next: number }> = []
  for (const end of ends) {
    if (!seen.has(end)) {
      seen.add(end)
      stack.push({ node: end, next: 0 })
    }
    while (stack.length > 0) {
      const { next, node } = stack.pop()!
      const inputs = edgesOf(node)
      if (next === inputs.length) {
        ordered.push(node)
        continue
      }
      stack.push({ node, next: next + 1 })
      const input = inputs[next].node
      if (!seen.has(input)) {
        seen.add(input)
        stack.push({ node: input, next: 0 })
      }
    }
  }
  return ordered
}
