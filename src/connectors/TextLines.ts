/**
 * Text files, line by line.
 *
 * Each file is a split; its position is the byte offset of the next line. A line ends at a line feed, with or without a carriage return
 * before it; a byte order mark at the start of a file is left out; a last line need not end.
 *
 * X1. Reading on from any batch's position gives exactly the lines that followed that batch, whatever the chunks in which the file is read.
 * X2. A line that cannot be read is a `MalformedRecord` with its file and number, never skipped and never changed.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import type { DataSource } from "../DataSource.js"
import type { OutputTag } from "../OutputTag.js"
import type { FileError, MalformedRecord } from "../StreamError.js"
import * as Blocks from "./internal/Blocks.js"
import * as TextSource from "./internal/TextSource.js"

/**
 * How text files are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions {
  /** a path that is a directory means all files in it; a path that ends with a separator means that anyway. Default false */
  readonly directory?: boolean | undefined
  /** the event time of a line, in milliseconds */
  readonly timestamp?: ((line: string) => number) | undefined
  /** malformed lines fail the task, or go to this output. Default "fail" */
  readonly onMalformed?: "fail" | OutputTag<MalformedRecord> | undefined
  /** Default "utf-8", in which bytes that are no UTF-8 are malformed */
  readonly encoding?: "utf-8" | "latin1" | undefined
  /** a longer line is malformed. Default 16 MiB */
  readonly maxLineBytes?: number | undefined
  /** how much is read at once. Default 256 KiB */
  readonly chunkBytes?: number | undefined
}

/**
 * Reads the lines of files, without their ends. A path names a file, or a directory with all files in it, recursively and in the order of
 * their names, except those whose names begin with `.` or `_`. A path that is not there, or a directory where none was asked for, fails
 * with `FileError` when the job starts.
 *
 * @example
 * ```ts
 * import { DataStream } from "sluice"
 * import * as TextLines from "sluice/connectors/TextLines"
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 * import * as fs from "node:fs"
 * import * as os from "node:os"
 * import * as path from "node:path"
 *
 * const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-")), "poem.txt")
 * fs.writeFileSync(file, "one\ntwo\r\nthree")
 *
 * const lines = DataStream.runCollect(DataStream.fromSource(TextLines.source(file)))
 * assert.deepEqual(await Effect.runPromise(Effect.provide(lines, NodeContext.layer)), ["one", "two", "three"])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (
  paths: string | ReadonlyArray<string>,
  options?: SourceOptions
): DataSource<string, FileError | MalformedRecord, FileSystem.FileSystem | Path.Path> =>
  TextSource.make<string>(
    "TextLines",
    paths,
    options ?? {},
    Blocks.decoding<string>(undefined, options?.timestamp),
    (block, text, line) => block.add(text, line)
  )
