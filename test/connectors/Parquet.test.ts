import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Schema } from "effect"
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { fileURLToPath } from "node:url"
import * as Parquet from "../../src/connectors/Parquet.js"
import * as OutputTag from "../../src/OutputTag.js"
import { FileError, MalformedRecord } from "../../src/StreamError.js"
import { holds, readAll, readFrom, temporary } from "./driver.js"
import { type ColumnSpec, parquet } from "./parquetWriter.js"

const flights = fileURLToPath(new URL("../../node_modules/vega-datasets/data/flights-3m.parquet", import.meta.url))
const malformed = OutputTag.make<MalformedRecord>("malformed")

const columns: ReadonlyArray<ColumnSpec> = [
  { name: "flag", type: "boolean" },
  { name: "small", type: "int32" },
  { name: "big", type: "int64" },
  { name: "real", type: "double" },
  { name: "text", type: "string" }
]
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 4, nil: null })
const row = fc.record({
  flag: orNull(fc.boolean()),
  small: orNull(fc.integer()),
  big: orNull(fc.oneof(fc.integer().map(BigInt), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))),
  real: orNull(fc.double({ noNaN: true })),
  text: orNull(fc.string({ unit: "grapheme" }))
})
const unsafe = (value: unknown): boolean => typeof value === "bigint" && !Number.isSafeInteger(Number(value))

describe("Parquet", () => {
  it("P1: reading on after any batch gives what reading through gives, and what was written", () =>
    holds(
      fc.record({
        groups: fc.array(fc.array(row, { maxLength: 6 }), { maxLength: 4 }),
        pageRows: fc.integer({ min: 1, max: 7 }),
        max: fc.integer({ min: 1, max: 4 }),
        restartEvery: fc.constantFrom(1, 2, Infinity),
        int64: fc.constantFrom("number" as const, "bigint" as const)
      }),
      ({ groups, int64, max, pageRows, restartEvery }) =>
        Effect.gen(function*() {
          const { write } = yield* temporary
          const file = yield* write("a.parquet", parquet(columns, groups, pageRows))
          const read = yield* readAll(Parquet.source(file, { int64, onMalformed: malformed }), { max, restartEvery })
          const rows = groups.flat()
          const bad = int64 === "number" ? rows.filter(({ big }) => unsafe(big)) : []
          assert.deepStrictEqual(
            read.values,
            rows.filter((row) => !bad.includes(row)).map((row) =>
              int64 === "number" && row.big !== null ? { ...row, big: Number(row.big) } : row
            )
          )
          assert.deepStrictEqual(
            read.side,
            bad.map((row) =>
              new MalformedRecord({
                file,
                unit: "row",
                position: rows.indexOf(row) + 1,
                reason: `["big"]: ${row.big} is not exact as a number: set int64: "bigint"`
              })
            )
          )
        })
    ))

  it.scoped("reads times as dates or milliseconds, cut downwards", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const specs: ReadonlyArray<ColumnSpec> = [
        { name: "millis", type: "millis" },
        { name: "micros", type: "micros" },
        { name: "nanos", type: "nanos" },
        { name: "date", type: "date" }
      ]
      const file = yield* write(
        "a.parquet",
        parquet(specs, [[
          { millis: 5n, micros: 5999n, nanos: 5999999n, date: 1 },
          { millis: -5n, micros: -5000n, nanos: -5000001n, date: -1 },
          { millis: null, micros: -1n, nanos: null, date: null }
        ]])
      )
      const rows = [
        { millis: 5, micros: 5, nanos: 5, date: 86400000 },
        { millis: -5, micros: -5, nanos: -6, date: -86400000 },
        { millis: null, micros: -1, nanos: null, date: null }
      ]
      assert.deepStrictEqual((yield* readAll(Parquet.source(file, { dates: "millis" }))).values, rows)
      const dates = rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([key, value]) => [key, value === null ? null : new Date(value)]))
      )
      assert.deepStrictEqual((yield* readAll(Parquet.source(file))).values, dates)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("reads lists and bytes, with numbers inside lists checked as well", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const specs: ReadonlyArray<ColumnSpec> = [{ name: "list", type: "int64s" }, { name: "raw", type: "bytes" }]
      const file = yield* write(
        "a.parquet",
        parquet(specs, [[{ list: [1n, 2n], raw: "a" }, { list: [4n], raw: null }, { list: [2n ** 53n], raw: "b" }, {
          list: [3n],
          raw: "c"
        }]])
      )
      const read = yield* readAll(Parquet.source(file, { onMalformed: malformed, utf8: false }))
      assert.deepStrictEqual(read.values.map((row) => ({ list: row.list, raw: row.raw === null ? null : [...row.raw as Uint8Array] })), [
        { list: [1, 2], raw: [97] },
        { list: [4], raw: null },
        { list: [3], raw: [99] }
      ])
      assert.deepStrictEqual(read.side, [
        new MalformedRecord({
          file,
          unit: "row",
          position: 3,
          reason: "[\"list\"]: 9007199254740992 is not exact as a number: set int64: \"bigint\""
        })
      ])
      const big = yield* readAll(Parquet.source(file, { int64: "bigint", columns: ["list"] }))
      assert.deepStrictEqual(big.values, [{ list: [1n, 2n] }, { list: [4n] }, { list: [2n ** 53n] }, { list: [3n] }])
      assert.deepStrictEqual((yield* readAll(Parquet.source(file, { columns: ["raw"] }))).values.map(({ raw }) => raw), [
        "a",
        null,
        "b",
        "c"
      ])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("validates rows by the schema, reads only its columns, and names row and field of what does not fit", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const group = [
        { flag: true, small: 1, big: 10n, real: 0.5, text: "a" },
        { flag: null, small: 2, big: 20n, real: 0.5, text: null },
        { flag: null, small: 3, big: 30n, real: NaN, text: "c" }
      ]
      const file = yield* write("a.parquet", parquet(columns, [group, group]))
      const Row = Schema.Struct({ text: Schema.String, big: Schema.Positive, none: Schema.optional(Schema.String) })
      const read = yield* readAll(Parquet.source(file, { schema: Row, timestamp: (row) => row.big, onMalformed: malformed }), { max: 1 })
      assert.deepStrictEqual(read.values, [{ text: "a", big: 10 }, { text: "c", big: 30 }, { text: "a", big: 10 }, { text: "c", big: 30 }])
      assert.deepStrictEqual(read.timestamps, [10, 30, 10, 30])
      const expected = [2, 5].map((position) =>
        new MalformedRecord({ file, unit: "row", position, reason: "[\"text\"]: Expected string, actual null" })
      )
      assert.deepStrictEqual(read.side, expected)
      assert.deepStrictEqual(yield* Effect.flip(readAll(Parquet.source(file, { schema: Row }))), expected[0])
      const timed = Parquet.source(file, { columns: ["real"], timestamp: (row) => row.real as number })
      assert.strictEqual(
        (yield* Effect.flip(readAll(timed))).message,
        `${file}, row 3: its timestamp is NaN, not a number of milliseconds`
      )
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("P2: names a column that is not there, and those that are, before anything is read", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const file = yield* write("a.parquet", parquet(columns, []))
      const expected = new FileError({
        operation: "read",
        file,
        reason: "there is no column \"delay\"; there are: \"flag\", \"small\", \"big\", \"real\", \"text\""
      })
      assert.deepStrictEqual(yield* Effect.flip(Parquet.source(file, { columns: ["text", "delay"] }).splits), expected)
      assert.deepStrictEqual(yield* Effect.flip(Parquet.source(file, { schema: Schema.Struct({ delay: Schema.Number }) }).splits), expected)
      assert.deepStrictEqual(yield* Parquet.source(file).splits, [])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("P2: a file cut anywhere is no Parquet file or truncated, and fails when the splits are listed", () =>
    Effect.gen(function*() {
      const { path, write } = yield* temporary
      const whole = parquet(columns, [[{ flag: true, small: 1, big: 2n, real: 3, text: "four" }]])
      for (let size = 0; size < whole.length; size++) {
        const file = yield* write("cut.parquet", whole.subarray(0, size))
        const error = yield* Effect.flip(Parquet.source(file).splits)
        assert.deepStrictEqual(
          error,
          new FileError({
            operation: "read",
            file,
            reason: size < 12
              ? `is not a Parquet file: it is only ${size} bytes long`
              : `is a truncated Parquet file: its ${size} bytes do not end with PAR1`
          })
        )
      }
      const other = yield* write("a.txt", "a file of something else")
      assert.strictEqual(
        (yield* Effect.flip(Parquet.source(other).splits)).message,
        `read ${other}: is not a Parquet file: it does not begin with PAR1`
      )
      // the middle is missing, the end is there
      for (let size = 4; size < whole.length - 8; size += 5) {
        const file = yield* write("hole.parquet", Buffer.concat([whole.subarray(0, size), whole.subarray(-8)]))
        const error = yield* Effect.flip(readAll(Parquet.source(file)))
        assert.match(error.message, /^read .*hole\.parquet: is a (truncated|damaged) Parquet file: /)
      }
      const missing = path.join(path.dirname(other), "no.parquet")
      assert.strictEqual(
        (yield* Effect.flip(Parquet.source(missing).splits)).message,
        `open ${missing}: there is no such file or directory`
      )
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a column that cannot be decoded names its row group, and so does a file that has changed", () =>
    Effect.gen(function*() {
      const { write } = yield* temporary
      const group = [{ flag: true, small: 1, big: 2n, real: 3, text: "four" }]
      const bytes = parquet(columns, [group, group])
      const file = yield* write("a.parquet", bytes)
      const source = Parquet.source(file)
      const [, second] = yield* source.splits
      bytes.fill(0xff, 4, 60)
      yield* write("a.parquet", bytes)
      assert.match(
        (yield* Effect.flip(readFrom(source, undefined))).message,
        /a\.parquet: is a damaged Parquet file: row group 0, column "flag": /
      )
      yield* write("a.parquet", parquet(columns, [group, [...group, ...group]]))
      const error = yield* Effect.flip(source.read(second, undefined))
      assert.match(error.message, /row group 1 had 1 rows when the job started, now it has 2: put the file back/)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("reads a compressed file of several row groups as hyparquet does, also from the middle", () =>
    Effect.gen(function*() {
      const expected = yield* Effect.promise(async () =>
        parquetReadObjects({ file: await asyncBufferFromFile(flights), compressors, rowStart: 270_000, rowEnd: 275_000 })
      )
      const source = Parquet.source(flights)
      const splits = yield* source.splits
      assert.deepStrictEqual(splits.slice(0, 2), [
        { file: flights, rowGroup: 0, rowStart: 0, rows: 272_727 },
        { file: flights, rowGroup: 1, rowStart: 272_727, rows: 272_727 }
      ])
      assert.strictEqual(splits.length, 11)
      const rows: Array<unknown> = []
      for (const [split, from, count] of [[splits[0], 270_000, 2_727], [splits[1], undefined, 2_273]] as const) {
        const reader = yield* source.read(split, from)
        while (rows.length < 5_000 && (yield* reader.fetch)) {
          const batch = reader.poll(Math.min(1000, 5_000 - rows.length))!
          rows.push(...batch.values)
          assert.strictEqual(batch.position, (from ?? 0) + (rows.length - (from === undefined ? 2_727 : 0)))
        }
        assert.strictEqual(rows.length, from === undefined ? 5_000 : count)
      }
      assert.deepStrictEqual(
        rows,
        expected.map((row) => ({ ...row, delay: Number(row.delay), distance: Number(row.distance) }))
      )
    }).pipe(Effect.provide(NodeContext.layer)))
})
