/**
 * Cuts the bytes of a file into lines, however the bytes come in chunks.
 *
 * Owns the border of lines: a line ends at 0x0A, or at 0x0D 0x0A; what follows the last of these is a line if there is any. Bytes are split
 * before they are decoded, so a character that spans two chunks is decoded whole. Knows nothing of records.
 *
 * N1. Splitting from the end of any line on gives exactly the lines that followed it, with the same numbers.
 * N2. No more than one chunk and one line of at most `maxLineBytes` are held; of a longer line only its length is.
 *
 * @since 0.1.0
 */
import { Buffer, isUtf8 } from "node:buffer"

/** how the bytes of a text are read */
export type Encoding = "utf-8" | "latin1"

const empty = Buffer.alloc(0)

/** a machine: `push` and `end` put bytes in, `next` takes a line out */
export class LineSplitter {
  private bytes: Buffer = empty
  private at = 0
  /** of a line whose end is not here yet: what has come, and how much that is */
  private pieces: Array<Buffer> = []
  private length = 0

  phase: "reading" | "ended" = "reading"
  /** the text of the line that `next` found */
  text = ""
  /** why that line cannot be read, if it cannot */
  malformed: string | undefined = undefined

  constructor(
    /** where the next line starts in the file, in bytes */
    public offset: number,
    /** how many lines are before it */
    public line: number,
    private readonly maxLineBytes: number,
    private readonly encoding: Encoding
  ) {}

  /** the bytes that follow those before; only once `next` gave false */
  push(bytes: Buffer): void {
    this.bytes = bytes
    this.at = 0
  }

  /** there are no more bytes */
  end(): void {
    this.phase = "ended"
  }

  /** finds the next line, if it is complete. Hot: once per line */
  next(): boolean {
    const newline = this.bytes.indexOf(10, this.at)
    if (newline >= 0) {
      this.finish(newline, 1)
      this.at = newline + 1
      return true
    }
    if (this.phase === "ended") {
      if (this.length === 0) return false
      this.finish(this.at, 0)
      return true
    }
    const rest = this.bytes.subarray(this.at)
    this.length += rest.length
    if (this.length > this.maxLineBytes) this.pieces = []
    else if (rest.length > 0) this.pieces.push(rest)
    this.bytes = empty
    this.at = 0
    return false
  }

  private finish(to: number, terminator: 0 | 1): void {
    const length = this.length + to - this.at
    this.offset += length + terminator
    this.line++
    this.text = ""
    this.malformed = undefined
    if (length > this.maxLineBytes) {
      this.malformed = `the line is ${length} bytes long, more than the ${this.maxLineBytes} that maxLineBytes allows`
    } else if (this.length === 0) {
      this.decode(this.bytes, this.at, to, terminator)
    } else {
      const whole = Buffer.concat([...this.pieces, this.bytes.subarray(this.at, to)])
      this.decode(whole, 0, length, terminator)
    }
    this.pieces = []
    this.length = 0
  }

  private decode(bytes: Buffer, from: number, to: number, terminator: 0 | 1): void {
    const end = terminator === 1 && to > from && bytes[to - 1] === 13 ? to - 1 : to
    this.text = bytes.toString(this.encoding, from, end)
    if (this.encoding === "utf-8" && this.text.includes("\ufffd") && !isUtf8(bytes.subarray(from, end))) {
      this.malformed = notUtf8
    }
  }
}

/** what to do about bytes that are no UTF-8 */
export const notUtf8 = "is not UTF-8: convert the file, or set encoding: \"latin1\""
