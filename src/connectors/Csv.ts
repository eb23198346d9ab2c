/**
 * CSV files, row by row.
 *
 * Each file is a split; its position is the byte offset of the next row, with the names of the columns. Rows end at a line feed, a carriage
 * return or both; a quoted field may hold any of them. Blank lines are no rows; a byte order mark at the start of a file is left out.
 *
 * R1. Reading on from any batch's position gives exactly the rows that followed that batch, whatever the chunks in which the file is read.
 * R2. A row that cannot be read is a `MalformedRecord` with the line in the file on which it begins. Where these go to an output, reading
 *     goes on behind the row, or, if no end of it can be told, with the next line.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { DataSource } from "../DataSource.js"
import * as Source from "../DataSource.js"
import type { OutputTag } from "../OutputTag.js"
import { type FileError, MalformedRecord } from "../StreamError.js"
import * as Blocks from "./internal/Blocks.js"
import * as Columns from "./internal/Columns.js"
import { type CsvRecord, CsvRecords } from "./internal/CsvRecords.js"
import * as Files from "./internal/Files.js"

/**
 * How CSV files are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions<A> {
  /** what each row holds, encoded as texts: `Schema.NumberFromString` and the like; a row that does not fit is malformed */
  readonly schema?: Schema.Schema<A, any> | undefined
  /** true: the first row of each file names the columns; or else their names, where files have none. Default true */
  readonly header?: true | ReadonlyArray<string> | undefined
  /** Default "," */
  readonly delimiter?: string | undefined
  /** what fields may be enclosed in; null: nothing. Default `"` */
  readonly quote?: string | null | undefined
  /** what a quote inside a quoted field is preceded by. Default the quote itself */
  readonly escape?: string | undefined
  /** the event time of a row, in milliseconds */
  readonly timestamp?: ((row: A) => number) | undefined
  /** malformed rows fail the task, or go to this output. Default "fail" */
  readonly onMalformed?: "fail" | OutputTag<MalformedRecord> | undefined
  /** a path that is a directory means all files in it; a path that ends with a separator means that anyway. Default false */
  readonly directory?: boolean | undefined
  /** Default "utf-8", in which bytes that are no UTF-8 are malformed */
  readonly encoding?: "utf-8" | "latin1" | undefined
  /** a longer row is malformed. Default 16 MiB */
  readonly maxRecordBytes?: number | undefined
  /** how much is read at once. Default 64 KiB */
  readonly chunkBytes?: number | undefined
}

interface Split {
  readonly file: string
}

interface Position {
  readonly offset: number
  readonly line: number
  readonly columns: ReadonlyArray<string>
}

const rowOf = (columns: ReadonlyArray<string>, fields: ReadonlyArray<string>): Record<string, string> => {
  const row: Record<string, string> = {}
  for (let i = 0; i < columns.length; i++) if (columns[i] !== "") row[columns[i]!] = fields[i]!
  return row
}

const blockOf = <A>(
  file: string,
  records: ReadonlyArray<CsvRecord>,
  columns: ReadonlyArray<string>,
  decoding: Blocks.Decoding<A>
): Blocks.Block<A, Position> => {
  const position = (index: number): Position => ({ offset: records[index]!.end, line: records[index]!.endLine, columns })
  const block = new Blocks.Block<A, Position>(file, "line", decoding, position)
  for (const { fields, line } of records) {
    if (typeof fields === "string") block.fail(fields, line)
    else if (fields.length === columns.length) block.add(rowOf(columns, fields), line)
    else block.fail(`expected ${columns.length} fields, found ${fields.length}`, line)
  }
  return block
}

/**
 * Reads the rows of files as objects; paths are as in `TextLines.source`. All fields are texts, also empty ones, which a schema may decode.
 * A column that the schema needs and the header lacks fails with `MalformedRecord`, whatever `onMalformed` says. Without a schema the rows
 * are `Record<string, string>`.
 *
 * @example
 * ```ts
 * import { DataStream } from "sluice"
 * import * as Csv from "sluice/connectors/Csv"
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect, Schema } from "effect"
 * import * as assert from "node:assert"
 * import * as fs from "node:fs"
 * import * as os from "node:os"
 * import * as path from "node:path"
 *
 * const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-")), "cities.csv")
 * fs.writeFileSync(file, "city,people\n\"Freiburg, Breisgau\",236000\n")
 *
 * const City = Schema.Struct({ city: Schema.String, people: Schema.NumberFromString })
 * const cities = DataStream.runCollect(DataStream.fromSource(Csv.source(file, { schema: City })))
 * assert.deepEqual(await Effect.runPromise(Effect.provide(cities, NodeContext.layer)), [{ city: "Freiburg, Breisgau", people: 236000 }])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = <A = Readonly<Record<string, string>>>(
  paths: string | ReadonlyArray<string>,
  options: SourceOptions<A> = {}
): DataSource<A, FileError | MalformedRecord, FileSystem.FileSystem | Path.Path> => {
  const { required } = Columns.ofSchema(options.schema)
  const decoding = Blocks.decoding(options.schema, options.timestamp)
  const header = options.header ?? true
  const quote = options.quote === undefined ? "\"" : options.quote
  const dialect = {
    delimiter: options.delimiter ?? ",",
    quote,
    escape: options.escape ?? quote ?? "\"",
    encoding: options.encoding ?? "utf-8",
    maxRecordBytes: options.maxRecordBytes ?? 16 * 1024 * 1024
  }
  return Source.make({
    name: "Csv",
    splits: Effect.map(
      Files.list(paths, options.directory ?? false),
      (files): ReadonlyArray<Split> => files.map((file) => ({ file }))
    ),
    read: Effect.fnUntraced(function*({ file }: Split, position: Position | undefined) {
      const chunks = yield* Files.chunks(file, position?.offset ?? 0, options.chunkBytes ?? 64 * 1024)
      const csv = new CsvRecords(dialect, chunks.start, position?.line ?? 0)
      let offset = chunks.start
      let columns = header === true ? position?.columns : header

      const malformed = (line: number, reason: string) => Effect.fail(new MalformedRecord({ file, unit: "line", position: line, reason }))
      const next: Effect.Effect<Blocks.Block<A, Position> | undefined, FileError | MalformedRecord> = Effect.suspend(() => {
        if (columns === undefined && csv.records.length > 0) {
          const { fields, line } = csv.records[0]!
          if (typeof fields === "string") return malformed(line, `the header: ${fields}`)
          const problem = Columns.problem(fields, required)
          if (problem !== undefined) return malformed(line, problem)
          csv.records.shift()
          columns = fields
        }
        if (columns !== undefined && csv.records.length > 0) {
          return Effect.succeed(blockOf(file, csv.records.splice(0, Blocks.blockSize), columns, decoding))
        }
        if (csv.phase === "ended") return Effect.succeed(undefined)
        return Effect.flatMap(chunks.at(offset), (bytes) => {
          offset += bytes.length
          if (bytes.length === 0) csv.end()
          else csv.push(bytes)
          return next
        })
      })
      const problem = columns === undefined ? undefined : Columns.problem(columns, required)
      if (problem !== undefined) return yield* malformed(1, problem)
      return Blocks.reader(next, options.onMalformed)
    })
  })
}
