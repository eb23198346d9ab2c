/**
 * Files with one JSON value per line: read from any line on, and written exactly once.
 *
 * Reading: each file is a split; its position is the byte offset of the next line. Blank lines are skipped.
 *
 * Writing: a transaction of a subtask is a part file, hidden while it is written and renamed once its checkpoint is complete.
 *
 * J1. Reading on from any batch's position gives exactly the records that followed that batch.
 * J2. A line that is no JSON, or does not fit the schema, is a `MalformedRecord` with file, line and reason.
 * J3. The files whose names do not begin with `.` hold, whole and once, the lines of committed transactions and nothing else.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { DataSink } from "../DataSink.js"
import type { DataSource } from "../DataSource.js"
import type { OutputTag } from "../OutputTag.js"
import type { FileError, MalformedRecord } from "../StreamError.js"
import * as Blocks from "./internal/Blocks.js"
import * as PartFiles from "./internal/PartFiles.js"
import * as TextSource from "./internal/TextSource.js"

/**
 * How files of JSON lines are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions<A> {
  /** what each line holds, encoded; a line that does not fit is malformed */
  readonly schema?: Schema.Schema<A, any> | undefined
  /** the event time of a record, in milliseconds */
  readonly timestamp?: ((value: A) => number) | undefined
  /** malformed records fail the task, or go to this output. Default "fail" */
  readonly onMalformed?: "fail" | OutputTag<MalformedRecord> | undefined
  /** a path that is a directory means all files in it; a path that ends with a separator means that anyway. Default false */
  readonly directory?: boolean | undefined
  /** a longer line is malformed. Default 16 MiB */
  readonly maxLineBytes?: number | undefined
  /** how much is read at once. Default 256 KiB */
  readonly chunkBytes?: number | undefined
}

const describe = (cause: unknown): string => Blocks.oneLine(cause instanceof Error ? cause.message : String(cause))

const addLine: TextSource.AddLine<any> = (block, text, line) => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    if (text.trim() !== "") block.fail(`is not JSON: ${describe(cause)}`, line)
    return
  }
  block.add(value, line)
}

/**
 * Reads one JSON value per line; paths are as in `TextLines.source`. Without a schema the values are `unknown`.
 *
 * @example
 * ```ts
 * import { DataStream } from "sluice"
 * import * as JsonLines from "sluice/connectors/JsonLines"
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect, Schema } from "effect"
 * import * as assert from "node:assert"
 * import * as fs from "node:fs"
 * import * as os from "node:os"
 * import * as path from "node:path"
 *
 * const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-")), "flights.jsonl")
 * fs.writeFileSync(file, "{\"origin\":\"LAS\",\"delay\":33}\n{\"origin\":\"ATL\",\"delay\":-2}\n")
 *
 * const Flight = Schema.Struct({ origin: Schema.String, delay: Schema.Number })
 * const flights = DataStream.runCollect(DataStream.fromSource(JsonLines.source(file, { schema: Flight })))
 * assert.deepEqual(await Effect.runPromise(Effect.provide(flights, NodeContext.layer)), [
 *   { origin: "LAS", delay: 33 },
 *   { origin: "ATL", delay: -2 }
 * ])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = <A = unknown>(
  paths: string | ReadonlyArray<string>,
  options?: SourceOptions<A>
): DataSource<A, FileError | MalformedRecord, FileSystem.FileSystem | Path.Path> =>
  TextSource.make<A>("JsonLines", paths, options ?? {}, Blocks.decoding(options?.schema, options?.timestamp), addLine)

/**
 * How JSON lines are written.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkOptions<A> {
  /** encodes the records; without it they are written as `JSON.stringify` writes them */
  readonly schema?: Schema.Schema<A, any> | undefined
  /** what the names of the files begin with. Default "part" */
  readonly prefix?: string | undefined
  /** how much is kept in memory before it is written, in UTF-16 units. Default 256 KiB */
  readonly flushBytes?: number | undefined
}

/**
 * Writes one JSON value per line, exactly once, into files `<prefix>-<subtask>-<n>-<attempt>.jsonl` of a directory, which is made if it is
 * not there: a file appears, whole, when the checkpoint that its records belong to is complete, or at the end of a job without checkpoints.
 * Unfinished files begin with `.` and end with `.inprogress`; those of dead attempts are removed at the next start, so a directory and
 * prefix belong to one sink. A directory that cannot be made or written fails with `FileError` before the first record, and so does a
 * record that JSON cannot hold.
 *
 * @example
 * ```ts
 * import { DataStream, Job } from "sluice"
 * import * as JsonLines from "sluice/connectors/JsonLines"
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 * import * as fs from "node:fs"
 * import * as os from "node:os"
 * import * as path from "node:path"
 *
 * const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-"))
 * const pipeline = DataStream.fromIterable([{ n: 1 }, { n: 2 }]).pipe(DataStream.to(JsonLines.sink(directory)))
 *
 * await Effect.runPromise(Effect.provide(Job.run(Job.make("numbers", pipeline)), NodeContext.layer))
 * const [file] = fs.readdirSync(directory)
 * assert.equal(fs.readFileSync(path.join(directory, file!), "utf8"), "{\"n\":1}\n{\"n\":2}\n")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink = <A>(
  directory: string,
  options?: SinkOptions<A>
): DataSink<A, FileError, FileSystem.FileSystem | Path.Path> => {
  const encode = options?.schema === undefined ? undefined : Schema.encodeEither(options.schema)
  return PartFiles.sink<A>({
    name: "JsonLines",
    directory,
    prefix: options?.prefix ?? "part",
    extension: "jsonl",
    flushLength: options?.flushBytes ?? 256 * 1024,
    encode: (value) => {
      let plain: unknown = value
      if (encode !== undefined) {
        const encoded = encode(value)
        if (Either.isLeft(encoded)) return Either.left(Blocks.reasonOf(encoded.left))
        plain = encoded.right
      }
      try {
        const text = JSON.stringify(plain) as string | undefined
        return text === undefined ? Either.left(`JSON has no ${typeof plain}`) : Either.right(text)
      } catch (cause) {
        return Either.left(describe(cause))
      }
    }
  })
}
