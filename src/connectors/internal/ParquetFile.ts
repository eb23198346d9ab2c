/**
 * Parquet files as footers and columns of row groups.
 *
 * Owns reading bytes by Effect and decoding them by hyparquet, so that a read can be interrupted and a damaged file is a `FileError`. Knows
 * nothing of rows as objects.
 *
 * Q1. Of the file no more is read than the footer and the columns asked for.
 * Q2. A decoded column has one value per row of its group: no `undefined`, and numbers instead of bigints where they are safe.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type ColumnMetaData, type FileMetaData, parquetMetadata, parquetRead, parquetSchema, type RowGroup } from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { FileError } from "../../StreamError.js"
import type { OpenFile } from "./Files.js"

/** how values are decoded */
export interface Values {
  readonly int64: "number" | "bigint"
  readonly dates: "date" | "millis"
  readonly utf8: boolean
}

/** a column of a row group; `errors` says at which rows it cannot be read, and why */
export interface Column {
  readonly values: ReadonlyArray<unknown>
  readonly errors: ReadonlyMap<number, string>
}

const fail = (file: OpenFile, reason: string) => Effect.fail(new FileError({ operation: "read", file: file.path, reason }))

const message = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const magic = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4))

const exact = (bytes: Uint8Array): ArrayBuffer => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer

/** where the bytes of a column chunk are */
const rangeOf = (meta: ColumnMetaData): readonly [start: number, end: number] => {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset)
  return [start, start + Number(meta.total_compressed_size)]
}

const damage = (metadata: FileMetaData, size: number): string | undefined => {
  for (const [index, group] of metadata.row_groups.entries()) {
    for (const { file_path, meta_data } of group.columns) {
      if (file_path) return `row group ${index} keeps a column in another file, which is not supported`
      if (meta_data === undefined) return `row group ${index} is encrypted, which is not supported`
      const [start, end] = rangeOf(meta_data)
      if (!(start >= 4 && end >= start && end <= size)) {
        return `is a damaged Parquet file: row group ${index} has its column ${
          meta_data.path_in_schema.join(".")
        } at bytes ${start} to ${end} of ${size}`
      }
    }
  }
  return undefined
}

/** reads and checks the footer */
export const footer = Effect.fnUntraced(function*(file: OpenFile) {
  const { size } = file
  if (size < 12) return yield* fail(file, `is not a Parquet file: it is only ${size} bytes long`)
  const head = yield* file.read(0, 4)
  const tail = yield* file.read(size - 8, 8)
  if (magic(head, 0) === "PARE" || magic(tail, 4) === "PARE") {
    return yield* fail(file, "is an encrypted Parquet file, which is not supported")
  }
  if (magic(head, 0) !== "PAR1") return yield* fail(file, "is not a Parquet file: it does not begin with PAR1")
  if (magic(tail, 4) !== "PAR1") return yield* fail(file, `is a truncated Parquet file: its ${size} bytes do not end with PAR1`)
  const length = tail.readUInt32LE(0)
  if (length + 12 > size) {
    return yield* fail(file, `is a truncated Parquet file: its footer has ${length} bytes, the file only ${size}`)
  }
  const bytes = yield* file.read(size - length - 8, length + 8)
  const metadata = yield* Effect.try({
    try: () => parquetMetadata(exact(bytes)),
    catch: (cause) =>
      new FileError({ operation: "read", file: file.path, reason: `is a damaged Parquet file: its footer: ${message(cause)}` })
  })
  const damaged = damage(metadata, size - length - 8)
  return damaged === undefined ? metadata : yield* fail(file, damaged)
})

/** the names of the columns */
export const columnNames = (metadata: FileMetaData): ReadonlyArray<string> =>
  parquetSchema(metadata).children.map((child) => child.element.name)

const floorDivide = (value: bigint, by: bigint): number => Number(value >= 0n ? value / by : -((by - 1n - value) / by))

const dates = {
  timestampFromMilliseconds: (value: bigint) => new Date(Number(value)),
  timestampFromMicroseconds: (value: bigint) => new Date(floorDivide(value, 1000n)),
  timestampFromNanoseconds: (value: bigint) => new Date(floorDivide(value, 1000000n)),
  dateFromDays: (days: number) => new Date(days * 86400000)
}

const millis = {
  timestampFromMilliseconds: (value: bigint) => Number(value),
  timestampFromMicroseconds: (value: bigint) => floorDivide(value, 1000n),
  timestampFromNanoseconds: (value: bigint) => floorDivide(value, 1000000n),
  dateFromDays: (days: number) => days * 86400000
}

/** a bigint as number; throws what to say where that is not exact */
const numberOf = (value: bigint): number => {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new RangeError(`${value} is not exact as a number: set int64: "bigint"`)
  return number
}

/** replaces bigints inside lists, maps and structs */
const deep = (value: unknown): unknown => {
  if (typeof value === "bigint") return numberOf(value)
  if (typeof value !== "object" || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) return value.map(deep)
  const out: Record<string, unknown> = {}
  for (const key in value) out[key] = deep((value as Record<string, unknown>)[key])
  return out
}

/** puts a chunk of a column where it belongs. Hot: once per value */
const place = (
  data: ArrayLike<unknown>,
  from: number,
  name: string,
  options: Values,
  values: Array<unknown>,
  errors: Map<number, string>
): void => {
  const numbers = options.int64 === "number"
  for (let i = 0; i < data.length; i++) {
    const value = data[i]
    if (value === undefined) {
      values[from + i] = null
    } else if (numbers && (typeof value === "bigint" || typeof value === "object")) {
      try {
        values[from + i] = deep(value)
      } catch (cause) {
        values[from + i] = null
        errors.set(from + i, `[${JSON.stringify(name)}]: ${message(cause)}`)
      }
    } else {
      values[from + i] = value
    }
  }
}

/** reads and decodes one column of a row group */
export const column = Effect.fnUntraced(function*(
  file: OpenFile,
  metadata: FileMetaData,
  rowGroup: number,
  name: string,
  options: Values
) {
  const group: RowGroup = metadata.row_groups[rowGroup]!
  const rows = Number(group.num_rows)
  const ranges = group.columns.filter((chunk) => chunk.meta_data!.path_in_schema[0] === name).map((chunk) => rangeOf(chunk.meta_data!))
  const start = Math.min(...ranges.map((range) => range[0]))
  const bytes = exact(yield* file.read(start, Math.max(...ranges.map((range) => range[1])) - start))
  const values = new Array<unknown>(rows)
  const errors = new Map<number, string>()
  let found = 0
  yield* Effect.tryPromise({
    try: () =>
      parquetRead({
        // serves what was read; hyparquet reads a group's columns by the ranges in its metadata
        file: {
          byteLength: file.size,
          slice: (from, to = file.size) => from === start && to === start + bytes.byteLength ? bytes : bytes.slice(from - start, to - start)
        },
        metadata: { ...metadata, num_rows: group.num_rows, row_groups: [group] },
        columns: [name],
        compressors,
        parsers: options.dates === "date" ? dates : millis,
        utf8: options.utf8,
        onChunk: ({ columnData, rowStart }) => {
          found += columnData.length
          place(columnData, rowStart, name, options, values, errors)
        }
      }),
    catch: (cause) =>
      new FileError({
        operation: "read",
        file: file.path,
        reason: `is a damaged Parquet file: row group ${rowGroup}, column ${JSON.stringify(name)}: ${message(cause)}`
      })
  })
  if (found !== rows) {
    return yield* fail(
      file,
      `is a damaged Parquet file: row group ${rowGroup}, column ${JSON.stringify(name)} has ${found} values for ${rows} rows`
    )
  }
  const result: Column = { values, errors }
  return result
})
