/**
 * Parquet files, row by row, of which only the columns asked for are read.
 *
 * Each row group is a split; its position is the number of rows of the group that have been read. All codecs but LZO are supported,
 * encryption is not.
 *
 * P1. Reading on from any batch's position gives exactly the rows that followed that batch.
 * P2. A file that is no Parquet file, is truncated, or lacks a column fails when the splits are listed, before any row is read.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { FileMetaData } from "hyparquet"
import type { DataSource } from "../DataSource.js"
import * as Source from "../DataSource.js"
import type { OutputTag } from "../OutputTag.js"
import { FileError, type MalformedRecord } from "../StreamError.js"
import * as Blocks from "./internal/Blocks.js"
import * as Columns from "./internal/Columns.js"
import * as Files from "./internal/Files.js"
import * as ParquetFile from "./internal/ParquetFile.js"

/**
 * How Parquet files are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions<A> {
  /** which columns to read. Default those that the schema names, or all */
  readonly columns?: ReadonlyArray<string> | undefined
  /** what each row holds; a row that does not fit is malformed. Dates are `Date` already: `Schema.DateFromSelf` */
  readonly schema?: Schema.Schema<A, any> | undefined
  /** the event time of a row, in milliseconds */
  readonly timestamp?: ((row: A) => number) | undefined
  /** malformed rows fail the task, or go to this output. Default "fail" */
  readonly onMalformed?: "fail" | OutputTag<MalformedRecord> | undefined
  /** 64 bit integers as numbers, in which a row with one beyond 2^53 is malformed, or as bigints. Default "number" */
  readonly int64?: "number" | "bigint" | undefined
  /** dates and timestamps as `Date`, or as milliseconds since the epoch, both cut to milliseconds. Default "date" */
  readonly dates?: "date" | "millis" | undefined
  /** byte arrays that the file does not declare as texts are read as UTF-8, as old writers need; false leaves them bytes. Default true */
  readonly utf8?: boolean | undefined
  /** a path that is a directory means all files in it; a path that ends with a separator means that anyway. Default false */
  readonly directory?: boolean | undefined
}

interface Split {
  readonly file: string
  readonly rowGroup: number
  /** of the group's first row, in the file */
  readonly rowStart: number
  readonly rows: number
}

// of how many files the footers are remembered: the row groups of one file are mostly read at the same time
const remembered = 16

const blockOf = <A>(
  split: Split,
  from: number,
  names: ReadonlyArray<string>,
  columns: ReadonlyArray<ParquetFile.Column>,
  decoding: Blocks.Decoding<A>
): Blocks.Block<A, number> => {
  const block = new Blocks.Block<A, number>(split.file, "row", decoding, (index) => from + index + 1)
  const values = columns.map((column) => column.values)
  const errors = columns.filter((column) => column.errors.size > 0).map((column) => column.errors)
  const to = Math.min(split.rows, from + Blocks.blockSize)
  // hot: once per row; the same keys in the same order give all rows one shape
  for (let i = from; i < to; i++) {
    const bad = errors.length === 0 ? undefined : errors.find((error) => error.has(i))
    if (bad !== undefined) {
      block.fail(bad.get(i)!, split.rowStart + i + 1)
      continue
    }
    const row: Record<string, unknown> = {}
    for (let k = 0; k < names.length; k++) row[names[k]!] = values[k]![i]
    block.add(row, split.rowStart + i + 1)
  }
  return block
}

/**
 * Reads the rows of files as objects with one key per column, `null` where there is no value; paths are as in `TextLines.source`. Without a
 * schema the rows are `Record<string, unknown>`. A row group's columns are held in memory while it is read.
 *
 * @example
 * ```ts
 * import { DataStream } from "sluice"
 * import * as Parquet from "sluice/connectors/Parquet"
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect, Schema } from "effect"
 * import * as assert from "node:assert"
 * import { createRequire } from "node:module"
 * import * as path from "node:path"
 *
 * const file = path.join(createRequire(import.meta.url).resolve("vega-datasets"), "../../data/flights-3m.parquet")
 * const Flight = Schema.Struct({ delay: Schema.Number, origin: Schema.String })
 *
 * const late = DataStream.fromSource(Parquet.source(file, { schema: Flight })).pipe(DataStream.filter((flight) => flight.delay > 1600))
 * const [first] = await Effect.runPromise(Effect.provide(DataStream.runCollect(late), NodeContext.layer))
 * assert.deepEqual(first, { delay: 1688, origin: "HNL" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = <A = Readonly<Record<string, unknown>>>(
  paths: string | ReadonlyArray<string>,
  options: SourceOptions<A> = {}
): DataSource<A, FileError | MalformedRecord, FileSystem.FileSystem | Path.Path> => {
  const asked = Columns.ofSchema(options.schema)
  const decoding = Blocks.decoding(options.schema, options.timestamp)
  const values: ParquetFile.Values = {
    int64: options.int64 ?? "number",
    dates: options.dates ?? "date",
    utf8: options.utf8 ?? true
  }

  // a footer may describe thousands of row groups, each of which is opened by itself
  const footers = new Map<string, { readonly size: number; readonly modified: number; readonly metadata: FileMetaData }>()
  const footer = Effect.fnUntraced(function*(file: Files.OpenFile) {
    const known = footers.get(file.path)
    if (known !== undefined && known.size === file.size && known.modified === file.modified) return known.metadata
    const metadata = yield* ParquetFile.footer(file)
    if (footers.size >= remembered) footers.delete(footers.keys().next().value!)
    footers.set(file.path, { size: file.size, modified: file.modified, metadata })
    return metadata
  })

  const columnsOf = (file: string, metadata: FileMetaData): Effect.Effect<ReadonlyArray<string>, FileError> => {
    const there = ParquetFile.columnNames(metadata)
    const problem = Columns.problem(there, options.columns ?? asked.required)
    if (problem !== undefined) return Effect.fail(new FileError({ operation: "read", file, reason: problem }))
    return Effect.succeed(options.columns ?? asked.all?.filter((name) => there.includes(name)) ?? there)
  }

  return Source.make({
    name: "Parquet",
    splits: Effect.gen(function*() {
      const splits: Array<Split> = []
      for (const path of yield* Files.list(paths, options.directory ?? false)) {
        const metadata = yield* Effect.scoped(Effect.flatMap(Files.open(path), footer))
        yield* columnsOf(path, metadata)
        let rowStart = 0
        metadata.row_groups.forEach((group, rowGroup) => {
          const rows = Number(group.num_rows)
          if (rows > 0) splits.push({ file: path, rowGroup, rowStart, rows })
          rowStart += rows
        })
      }
      return splits
    }),
    read: Effect.fnUntraced(function*(split: Split, position: number | undefined) {
      const file = yield* Files.open(split.file)
      const metadata = yield* footer(file)
      if (Number(metadata.row_groups[split.rowGroup]?.num_rows) !== split.rows) {
        return yield* new FileError({
          operation: "read",
          file: split.file,
          reason: `row group ${split.rowGroup} had ${split.rows} rows when the job started, now it has ` +
            `${metadata.row_groups[split.rowGroup]?.num_rows ?? "none"}: put the file back as it was, or start anew with restore: "none"`
        })
      }
      const names = yield* columnsOf(split.file, metadata)
      let columns: ReadonlyArray<ParquetFile.Column> | undefined
      let row = position ?? 0

      // each column is read before it is decoded, so the event loop turns between two of them
      const decode = Effect.forEach(names, (name) => ParquetFile.column(file, metadata, split.rowGroup, name, values))
      const next: Effect.Effect<Blocks.Block<A, number> | undefined, FileError> = Effect.suspend(() => {
        if (row >= split.rows) {
          columns = undefined
          return Effect.succeed(undefined)
        }
        if (columns === undefined) {
          return Effect.flatMap(decode, (decoded) => {
            columns = decoded
            return next
          })
        }
        const block = blockOf(split, row, names, columns, decoding)
        row += block.values.length
        return Effect.succeed(block)
      })
      return Blocks.reader(next, options.onMalformed)
    })
  })
}
