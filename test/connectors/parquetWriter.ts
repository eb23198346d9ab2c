/**
 * Writes small Parquet files, uncompressed and plainly encoded, for tests: nothing installed writes any.
 */
export type ColumnType = "boolean" | "int32" | "int64" | "double" | "string" | "bytes" | "micros" | "millis" | "nanos" | "date" | "int64s"

export interface ColumnSpec {
  readonly name: string
  readonly type: ColumnType
}

type Cell = unknown

const physical: Record<ColumnType, number> = {
  boolean: 0,
  int32: 1,
  int64: 2,
  double: 5,
  string: 6,
  bytes: 6,
  micros: 2,
  millis: 2,
  nanos: 2,
  date: 1,
  int64s: 2
}

const varint = (value: bigint): Array<number> => {
  const out: Array<number> = []
  for (; value > 127n; value >>= 7n) out.push(Number(value & 127n) | 128)
  out.push(Number(value))
  return out
}

const zigzag = (value: bigint): Array<number> => varint(value >= 0n ? value * 2n : -value * 2n - 1n)

interface Value {
  readonly type: number
  readonly bytes: Array<number>
}

// the compact protocol of Thrift
const i32 = (value: number): Value => ({ type: 5, bytes: zigzag(BigInt(value)) })
const i64 = (value: number): Value => ({ type: 6, bytes: zigzag(BigInt(value)) })
const bool = (value: boolean): Value => ({ type: value ? 1 : 2, bytes: [] })
const text = (value: string): Value => {
  const bytes = [...Buffer.from(value)]
  return { type: 8, bytes: [...varint(BigInt(bytes.length)), ...bytes] }
}
const list = (type: number, values: ReadonlyArray<Value>): Value => ({
  type: 9,
  bytes: [
    ...(values.length < 15 ? [values.length << 4 | type] : [0xf0 | type, ...varint(BigInt(values.length))]),
    ...values.flatMap((value) => value.bytes)
  ]
})
const struct = (fields: Record<number, Value | undefined>): Value => {
  const bytes: Array<number> = []
  let last = 0
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue
    bytes.push((Number(key) - last) << 4 | value.type, ...value.bytes)
    last = Number(key)
  }
  return { type: 12, bytes: [...bytes, 0] }
}

const logical = (type: ColumnType): Value | undefined => {
  const unit = type === "millis" ? 1 : type === "micros" ? 2 : type === "nanos" ? 3 : 0
  return unit === 0 ? undefined : struct({ 8: struct({ 1: bool(true), 2: struct({ [unit]: struct({}) }) }) })
}

const plain = (type: ColumnType, cells: ReadonlyArray<Cell>): Buffer => {
  if (type === "boolean") {
    const bytes = Buffer.alloc(Math.ceil(cells.length / 8))
    cells.forEach((cell, i) => {
      if (cell === true) bytes[i >> 3]! |= 1 << (i & 7)
    })
    return bytes
  }
  return Buffer.concat(cells.map((cell) => {
    if (type === "string" || type === "bytes") {
      const content = Buffer.from(cell as string)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(content.length)
      return Buffer.concat([length, content])
    }
    const bytes = Buffer.alloc(physical[type] === 1 ? 4 : 8)
    if (type === "double") bytes.writeDoubleLE(cell as number)
    else if (physical[type] === 1) bytes.writeInt32LE(Number(cell))
    else bytes.writeBigInt64LE(BigInt(cell as bigint))
    return bytes
  }))
}

/** levels of bit width 1, as runs of one */
const levels = (values: ReadonlyArray<number>): Buffer => {
  const runs = values.flatMap((value) => [2, value])
  const length = Buffer.alloc(4)
  length.writeUInt32LE(runs.length)
  return Buffer.concat([length, Buffer.from(runs)])
}

const page = (type: ColumnType, cells: ReadonlyArray<Cell>): Buffer => {
  const entries = type === "int64s"
    ? cells.flatMap((cell) => {
      const items = cell as ReadonlyArray<Cell>
      return items.map((item, i) => ({ repeat: i === 0 ? 0 : 1, cell: item }))
    })
    : cells.map((cell) => ({ repeat: 0, cell }))
  const there = entries.filter(({ cell }) => cell !== null).map(({ cell }) => cell)
  const body = Buffer.concat([
    ...(type === "int64s" ? [levels(entries.map(({ repeat }) => repeat))] : []),
    levels(entries.map(({ cell }) => cell === null ? 0 : 1)),
    plain(type, there)
  ])
  const header = struct({
    1: i32(0),
    2: i32(body.length),
    3: i32(body.length),
    5: struct({ 1: i32(entries.length), 2: i32(0), 3: i32(3), 4: i32(3) })
  })
  return Buffer.concat([Buffer.from(header.bytes), body])
}

/** the bytes of a file: row groups of pages of cells, `null` where there is no value; lists are not empty */
export const parquet = (
  columns: ReadonlyArray<ColumnSpec>,
  groups: ReadonlyArray<ReadonlyArray<Readonly<Record<string, Cell>>>>,
  pageRows = Infinity
): Buffer => {
  const parts: Array<Buffer> = [Buffer.from("PAR1")]
  let offset = 4
  const rowGroups = groups.map((rows) => {
    const chunks = columns.map(({ name, type }) => {
      const start = offset
      let count = 0
      for (let i = 0; i < rows.length; i += Math.min(pageRows, rows.length)) {
        const cells = rows.slice(i, i + pageRows).map((row) => row[name])
        count += type === "int64s" ? cells.reduce((sum: number, cell) => sum + (cell as Array<Cell>).length, 0) : cells.length
        const bytes = page(type, cells)
        parts.push(bytes)
        offset += bytes.length
      }
      const size = offset - start
      return struct({
        2: i64(start),
        3: struct({
          1: i32(physical[type]),
          2: list(5, [i32(0), i32(3)]),
          3: list(8, [text(name)]),
          4: i32(0),
          5: i64(count),
          6: i64(size),
          7: i64(size),
          9: i64(start)
        })
      })
    })
    return struct({ 1: list(12, chunks), 2: i64(0), 3: i64(rows.length) })
  })
  const footer = Buffer.from(
    struct({
      1: i32(1),
      2: list(12, [
        struct({ 4: text("root"), 5: i32(columns.length) }),
        ...columns.map(({ name, type }) =>
          struct({
            1: i32(physical[type]),
            3: i32(type === "int64s" ? 2 : 1),
            4: text(name),
            6: type === "string" ? i32(0) : type === "date" ? i32(6) : undefined,
            10: logical(type)
          })
        )
      ]),
      3: i64(groups.reduce((sum, rows) => sum + rows.length, 0)),
      4: list(12, rowGroups)
    }).bytes
  )
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  return Buffer.concat([...parts, footer, length, Buffer.from("PAR1")])
}
