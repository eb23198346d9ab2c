/**
 * Cuts the bytes of a CSV file into records, however the bytes come in chunks, with the exact byte and line after each.
 *
 * csv-parse reads the fields. This adds what it lacks: byte offsets and line numbers that are exact also for quoted line ends, and going on
 * after a record that cannot be read.
 *
 * V1. Cutting from the end of any record on gives exactly the records that followed it, with the same lines.
 * V2. A record that csv-parse refuses ends with the line on which it began; reading goes on with the next line.
 * V3. A record's line is the one on which it begins, counted from 1 in the file; blank lines are no records.
 *
 * @since 0.1.0
 */
import { type CsvError, Parser } from "csv-parse"
import { Buffer, isUtf8 } from "node:buffer"
import { oneLine } from "./Blocks.js"
import { type Encoding, notUtf8 } from "./LineSplitter.js"

/** how the text is written */
export interface Dialect {
  readonly delimiter: string
  readonly quote: string | null
  readonly escape: string
  readonly encoding: Encoding
  readonly maxRecordBytes: number
}

/** a record: its fields, or why it has none, the line on which it begins, and where the next one starts */
export interface CsvRecord {
  readonly fields: ReadonlyArray<string> | string
  readonly line: number
  readonly end: number
  readonly endLine: number
}

const empty = Buffer.alloc(0)

/** a machine: `push` and `end` put bytes in, `records` gets what they complete */
export class CsvRecords {
  readonly records: Array<CsvRecord> = []
  private parser: Parser | undefined
  /** of the file's bytes, where the parser began */
  private base: number
  /** the bytes from the last record's end on */
  private window: Buffer = empty
  /** set while the rest of a line is left out */
  private skipping: { readonly reason: string; readonly line: number } | undefined
  phase: "reading" | "ended" = "reading"

  constructor(
    private readonly dialect: Dialect,
    /** where the next record starts in the file */
    private offset: number,
    /** how many lines are before it */
    private line: number
  ) {
    this.base = offset
  }

  /** the bytes that follow those before */
  push(bytes: Buffer): void {
    this.window = this.window.length === 0 ? bytes : Buffer.concat([this.window, bytes])
    this.run(bytes)
  }

  /** there are no more bytes */
  end(): void {
    this.phase = "ended"
    this.run(empty)
  }

  private run(bytes: Buffer): void {
    let fresh = bytes
    for (;;) {
      if (this.skipping !== undefined) {
        if (!this.skip()) return
        fresh = this.window
      }
      const error = this.parse(fresh)
      if (error === undefined) return
      this.blank()
      this.skipping = { reason: error, line: this.line + 1 }
      this.parser = undefined
    }
  }

  /** feeds the parser; gives what it could not read */
  private parse(bytes: Buffer): string | undefined {
    let failure: string | undefined
    const done = (error?: Error | null) => {
      if (error) failure = this.describe(error as CsvError)
    }
    const parser = this.parser ??= this.start()
    if (bytes.length > 0) parser._transform(bytes, "utf8", done)
    if (this.phase === "ended" && failure === undefined) parser._flush(done)
    return failure
  }

  private start(): Parser {
    const { delimiter, encoding, escape, maxRecordBytes, quote } = this.dialect
    const parser = new Parser({
      delimiter,
      quote,
      escape,
      encoding: encoding === "utf-8" ? "utf8" : "latin1",
      record_delimiter: ["\r\n", "\n", "\r"],
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: maxRecordBytes
    })
    this.base = this.offset
    parser.push = (fields: ReadonlyArray<string> | null) => {
      if (fields !== null) this.found(fields, this.base + parser.info.bytes)
      return true
    }
    return parser
  }

  /** the parser has read a record that ends at a byte of the file */
  private found(fields: ReadonlyArray<string>, end: number): void {
    this.blank()
    const size = end - this.offset
    const line = this.line + 1
    const bad = this.dialect.encoding === "utf-8" && fields.some((field) => field.includes("\ufffd")) &&
      !isUtf8(this.window.subarray(0, size))
    this.consume(size)
    this.records.push({ fields: bad ? notUtf8 : fields, line, end: this.offset, endLine: this.line })
  }

  /** leaves out blank lines, so that the window begins with the record */
  private blank(): void {
    let size = 0
    while (size < this.window.length && (this.window[size] === 10 || this.window[size] === 13)) size++
    this.consume(size)
  }

  /** leaves out the rest of a line whose record could not be read; false if its end is not here yet */
  private skip(): boolean {
    let size = 0
    while (size < this.window.length && this.window[size] !== 10 && this.window[size] !== 13) size++
    // a carriage return as the last byte may have its line feed in the next chunk
    const here = size + (this.window[size] === 13 ? 1 : 0) < this.window.length
    if (!here && this.phase === "reading") {
      this.consume(size)
      return false
    }
    if (this.window[size] === 13 && this.window[size + 1] === 10) size++
    this.consume(Math.min(size + 1, this.window.length))
    const { line, reason } = this.skipping!
    this.records.push({ fields: reason, line, end: this.offset, endLine: this.line })
    this.skipping = undefined
    return true
  }

  /** moves on, counting lines: each ends at a line feed, or at a carriage return without one. Hot: once per byte */
  private consume(size: number): void {
    const window = this.window
    for (let i = 0; i < size; i++) {
      const byte = window[i]
      if (byte === 10 || (byte === 13 && window[i + 1] !== 10)) this.line++
    }
    this.offset += size
    this.window = window.subarray(size)
  }

  private describe(error: CsvError): string {
    if (error.code === "CSV_MAX_RECORD_SIZE") {
      return `the record is longer than the ${this.dialect.maxRecordBytes} bytes that maxRecordBytes allows; is a quote not closed?`
    }
    if (error.code === "CSV_QUOTE_NOT_CLOSED") return "a quote is not closed"
    // csv-parse counts lines from where it began, which is not the file's start after a restore
    return oneLine(error.message.replace(/ at line \d+/, ""))
  }
}
