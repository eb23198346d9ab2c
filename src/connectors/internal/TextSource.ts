/**
 * The source of everything that is one record per line.
 *
 * Owns the split, a file, and the position, the byte offset and the number of lines before the next one. What a line means is its user's.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as DataSource from "../../DataSource.js"
import type { FileError } from "../../StreamError.js"
import { Block, blockSize, type Decoding, type OnMalformed, reader } from "./Blocks.js"
import * as Files from "./Files.js"
import { type Encoding, LineSplitter } from "./LineSplitter.js"

/** what all text sources may be told */
export interface TextOptions {
  readonly directory?: boolean | undefined
  readonly encoding?: Encoding | undefined
  readonly chunkBytes?: number | undefined
  readonly maxLineBytes?: number | undefined
  readonly onMalformed?: OnMalformed
}

interface Split {
  readonly file: string
}

interface Position {
  readonly offset: number
  readonly line: number
}

/** adds to the block what a line holds */
export type AddLine<A> = (block: Block<A, Position>, text: string, line: number) => void

const fill = <A>(lines: LineSplitter, file: string, decoding: Decoding<A>, add: AddLine<A>): Block<A, Position> => {
  const ends: Array<Position> = []
  const block = new Block<A, Position>(file, "line", decoding, (index) => ends[index]!)
  while (block.values.length < blockSize && lines.next()) {
    if (lines.malformed === undefined) add(block, lines.text, lines.line)
    else block.fail(lines.malformed, lines.line)
    if (block.values.length > ends.length) ends.push({ offset: lines.offset, line: lines.line })
  }
  return block
}

/** makes a source of lines */
export const make = <A>(
  name: string,
  paths: string | ReadonlyArray<string>,
  options: TextOptions,
  decoding: Decoding<A>,
  add: AddLine<A>
) =>
  DataSource.make({
    name,
    splits: Effect.map(Files.list(paths, options.directory ?? false), (files): ReadonlyArray<Split> => files.map((file) => ({ file }))),
    read: Effect.fnUntraced(function*({ file }: Split, position: Position | undefined) {
      const from = position?.offset ?? 0
      const chunks = yield* Files.chunks(file, from, options.chunkBytes ?? 256 * 1024)
      const lines = new LineSplitter(
        chunks.start,
        position?.line ?? 0,
        options.maxLineBytes ?? 16 * 1024 * 1024,
        options.encoding ?? "utf-8"
      )
      let offset = chunks.start
      const next: Effect.Effect<Block<A, Position> | undefined, FileError> = Effect.suspend(() => {
        const block = fill(lines, file, decoding, add)
        if (block.values.length > 0) return Effect.succeed(block)
        if (lines.phase === "ended") return Effect.succeed(undefined)
        return Effect.flatMap(chunks.at(offset), (bytes) => {
          offset += bytes.length
          if (bytes.length === 0) lines.end()
          else lines.push(bytes)
          return next
        })
      })
      return reader(next, options.onMalformed)
    })
  })
