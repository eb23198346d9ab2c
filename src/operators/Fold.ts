/**
 * Adding records up, key by key: as functions, and as code.
 *
 * @since 0.1.0
 */
import type { EmitCode, RecordCode } from "../OperatorCode.js"
import type { StateTable } from "../state/StateTable.js"

/** How records become an accumulator, and that a result. */
export interface Fold<A, Acc, Context, Out> {
  /** without it the first record is the accumulator */
  readonly init: (() => Acc) | undefined
  readonly add: (acc: Acc, value: A) => Acc
  /** without it the accumulator is the result */
  readonly result: ((acc: Acc) => any) | undefined
  readonly project: ((result: any, context: Context) => Out) | undefined
}

/** The accumulator of a first record. */
export const first = <A, Acc>({ add, init }: Fold<A, Acc, any, any>): (value: A) => Acc =>
  init === undefined ? (value) => value as unknown as Acc : (value) => add(init(), value)

/** The result of an accumulator. */
export const result = <Acc, Context, Out>({ project, result }: Fold<any, Acc, Context, Out>): (acc: Acc, context: Context) => Out => {
  const plain = result ?? ((acc: Acc): any => acc)
  return project === undefined ? plain : (acc, context) => project(plain(acc), context)
}

/** Code that adds the record in hand to its key's entry in a pane, all names; the entry is in the local `entry` after it. */
export const addCode = (
  { bind, mapKey, value }: RecordCode,
  fold: Fold<any, any, any, any>,
  table: StateTable<any>,
  entry: string,
  pane: string,
  namespace: string
): string => {
  const into = bind(table)
  const add = bind(fold.add)
  const init = fold.init === undefined ? value : `${add}(${bind(fold.init)}(), ${value})`
  return `
let ${entry} = ${pane}.get(${mapKey})
if (${entry} === undefined) ${entry} = ${into}.insert(${pane}, ${mapKey}, ${init})
else {
  if (${entry}.version !== ${into}.version) ${into}.save(${namespace}, ${mapKey}, ${entry})
  ${entry}.value = ${add}(${entry}.value, ${value})
}`
}

/** The result of an accumulator as an expression; `context` is one that gives the projection's second argument. */
export const resultCode = ({ bind }: EmitCode, { project, result }: Fold<any, any, any, any>, acc: string, context: string): string => {
  const plain = result === undefined ? acc : `${bind(result)}(${acc})`
  return project === undefined ? plain : `${bind(project)}(${plain}, ${context})`
}
