/**
 * Records that have been read and decoded, handed out batch by batch with the exact position after each.
 *
 * Owns the order of good and malformed records. Knows nothing of files: a source says how to read the next block.
 *
 * K1. A batch has at most `max` records, malformed ones included, and its position is the one after its last record (S1).
 * K2. Where malformed records fail, those before the first of them are handed out first; then `fetch` fails, again and again.
 * K3. Decoding happens in `fetch`, outside the lock; `poll` only hands out (S2).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { SourceBatch, SplitReader } from "../../DataSource.js"
import type { OutputTag } from "../../OutputTag.js"
import { MalformedRecord } from "../../StreamError.js"

/** how many records a `fetch` decodes at most: a few milliseconds of work */
export const blockSize = 2048

/** what becomes of malformed records */
export type OnMalformed = "fail" | OutputTag<MalformedRecord> | undefined

/** how raw records become values */
export interface Decoding<A> {
  readonly decode: ((raw: unknown) => Either.Either<A, ParseResult.ParseError>) | undefined
  readonly timestamp: ((value: A) => number) | undefined
}

/** compiles a schema once for all records */
export const decoding = <A>(
  schema: Schema.Schema<A, any> | undefined,
  timestamp: ((value: A) => number) | undefined
): Decoding<A> => ({ decode: schema === undefined ? undefined : Schema.decodeUnknownEither(schema), timestamp })

/** a text of one line, not longer than a message can bear */
export const oneLine = (text: string): string => {
  const line = text.replace(/\s*[\r\n]+\s*/g, " ")
  return line.length > 500 ? `${line.slice(0, 500)}...` : line
}

const pathOf = (path: ReadonlyArray<PropertyKey>): string =>
  path.map((key) => typeof key === "number" ? `[${key}]` : `[${JSON.stringify(String(key))}]`).join("")

/** what a schema found wrong, in one line: `["delay"]: Expected number, actual "x"` */
export const reasonOf = (error: ParseResult.ParseError): string => {
  const issues = ParseResult.ArrayFormatter.formatErrorSync(error)
  const shown = issues.slice(0, 3).map(({ message, path }) => oneLine(path.length === 0 ? message : `${pathOf(path)}: ${message}`))
  return shown.join("; ") + (issues.length > 3 ? `; and ${issues.length - 3} more` : "")
}

/** records in the order in which they were read; at the indices in `errors` there is none, but a malformed one */
export class Block<A, P> {
  readonly values: Array<A> = []
  readonly timestamps: Array<number> | undefined
  readonly errors = new Map<number, MalformedRecord>()
  constructor(
    private readonly file: string,
    private readonly unit: "line" | "row",
    private readonly decoding: Decoding<A>,
    /** the position after the record at an index */
    readonly position: (index: number) => P
  ) {
    this.timestamps = decoding.timestamp === undefined ? undefined : []
  }
  /** adds a record as it was read at a line or row */
  add(raw: unknown, place: number): void {
    const { decode, timestamp } = this.decoding
    let value = raw as A
    if (decode !== undefined) {
      const decoded = decode(raw)
      if (Either.isLeft(decoded)) return this.fail(reasonOf(decoded.left), place)
      value = decoded.right
    }
    if (timestamp !== undefined) {
      const time = timestamp(value)
      if (!Number.isFinite(time)) return this.fail(`its timestamp is ${time}, not a number of milliseconds`, place)
      this.timestamps!.push(time)
    }
    this.values.push(value)
  }
  /** adds a record that cannot be read */
  fail(reason: string, place: number): void {
    this.errors.set(this.values.length, new MalformedRecord({ file: this.file, unit: this.unit, position: place, reason }))
    this.values.push(undefined as A)
    this.timestamps?.push(0)
  }
}

type State<A, P> =
  | { readonly _tag: "Empty" }
  | {
    readonly _tag: "Ready"
    readonly block: Block<A, P>
    readonly length: number
    readonly next: number
    readonly failure: MalformedRecord | undefined
  }
  | { readonly _tag: "Failed"; readonly failure: MalformedRecord }

const batch = <A, P>(block: Block<A, P>, from: number, to: number, tag: OutputTag<MalformedRecord> | undefined): SourceBatch<A, P> => {
  const position = block.position(to - 1)
  const whole = from === 0 && to === block.values.length
  if (tag === undefined || block.errors.size === 0) {
    return {
      values: whole ? block.values : block.values.slice(from, to),
      timestamps: whole ? block.timestamps : block.timestamps?.slice(from, to),
      position
    }
  }
  const values: Array<A> = []
  const timestamps: Array<number> | undefined = block.timestamps === undefined ? undefined : []
  const side: Array<{ readonly tag: OutputTag<MalformedRecord>; readonly value: MalformedRecord }> = []
  for (let i = from; i < to; i++) {
    const error = block.errors.get(i)
    if (error !== undefined) {
      side.push({ tag, value: error })
    } else {
      values.push(block.values[i]!)
      timestamps?.push(block.timestamps![i]!)
    }
  }
  return { values, timestamps, position, side }
}

/** a reader of the blocks that `next` gives; `undefined` is the end */
export const reader = <A, P, E>(
  next: Effect.Effect<Block<A, P> | undefined, E>,
  onMalformed: OnMalformed
): SplitReader<A, P, E | MalformedRecord> => {
  const tag = onMalformed === undefined || onMalformed === "fail" ? undefined : onMalformed
  let state: State<A, P> = { _tag: "Empty" }
  const fetch: Effect.Effect<boolean, E | MalformedRecord> = Effect.suspend(() => {
    if (state._tag === "Ready") return Effect.succeed(true)
    if (state._tag === "Failed") return Effect.fail(state.failure)
    return Effect.flatMap(next, (block) => {
      if (block === undefined) return Effect.succeed(false)
      const first = tag === undefined ? block.errors.entries().next().value : undefined
      const length = first === undefined ? block.values.length : first[0]
      if (length > 0) {
        state = { _tag: "Ready", block, length, next: 0, failure: first?.[1] }
      } else if (first !== undefined) {
        state = { _tag: "Failed", failure: first[1] }
      }
      return fetch
    })
  })
  return {
    fetch,
    poll: (max) => {
      if (state._tag !== "Ready") return undefined
      const { block, failure, length, next } = state
      const to = Math.min(length, next + max)
      state = to < length ? { ...state, next: to } : failure === undefined ? { _tag: "Empty" } : { _tag: "Failed", failure }
      return batch(block, next, to, tag)
    }
  }
}
