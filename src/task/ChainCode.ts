/**
 * The code of a chain: what follows an operator's output, or a task's input, as one function generated for it alone.
 *
 * @since 0.1.0
 */
import type { EmitCode } from "../OperatorCode.js"
import type { OutputTag } from "../OutputTag.js"
import type { Output } from "../StreamOperator.js"

/** Somewhere a record goes to that can say so in code. */
export interface Target {
  readonly write: (source: Source, value: string, timestamp: string) => string
}

const forbidden = ((): boolean => {
  try {
    new Function("")
    return false
  } catch {
    return true
  }
})()

/** Whether the host lets code be generated; some content security policies and `--disallow-code-generation-from-strings` do not. */
export const isAvailable = !forbidden

/** The text of one function, with the names of all that it uses. */
export class Source {
  private readonly names = new Map<unknown, string>()
  private locals = 0

  readonly bind = (thing: unknown): string => {
    let name = this.names.get(thing)
    if (name === undefined) this.names.set(thing, name = `$${this.names.size}`)
    return name
  }

  readonly local = (): string => `v${this.locals++}`

  /** Hands a value, given as an expression, on to every target; `out` is the same as an object. */
  emitTo(targets: ReadonlyArray<Target>, out: Output<any>): EmitCode {
    let written = false
    return {
      bind: this.bind,
      local: this.local,
      out: this.bind(out),
      emit: (value, timestamp) => {
        if (written) return `${this.bind(out)}.emit(${value}, ${timestamp})\n`
        written = true
        if (targets.length === 0) return `${value}\n`
        const at = this.local()
        const time = timestamp === "undefined" ? timestamp : this.local()
        return `{
const ${at} = ${value}
${time === timestamp ? "" : `const ${time} = ${timestamp}\n`}${targets.map((target) => target.write(this, at, time)).join("")}}
`
      }
    }
  }

  compile(parameters: ReadonlyArray<string>, body: string, name: string): (...args: Array<any>) => void {
    const text = `"use strict"\nreturn function (${parameters.join(", ")}) {\n${body}\n}\n//# sourceURL=sluice/${name}/${counter++}.js`
    return new Function(...this.names.values(), text)(...this.names.keys())
  }
}

/** makes every text a new one */
let counter = 0

/** An output whose records run through generated code; all else goes the plain way. Each function is made when it is first called. */
export class GeneratedOutput implements Output<any> {
  emit: Output<any>["emit"]
  private unstamped: (values: ReadonlyArray<any>, count: number) => void
  private stamped: (values: ReadonlyArray<any>, timestamps: ReadonlyArray<number>, count: number) => void

  constructor(private readonly plain: Output<any>, private readonly targets: ReadonlyArray<Target>, private readonly name: string) {
    this.emit = (value, timestamp) => {
      this.emit = this.compile(["value", "timestamp"], ({ emit }) => emit("value", "timestamp"))
      this.emit(value, timestamp)
    }
    this.unstamped = (values, count) => {
      this.unstamped = this.compile(["values", "count"], ({ emit }) => `for (let i = 0; i < count; i++) ${emit("values[i]", "undefined")}`)
      this.unstamped(values, count)
    }
    this.stamped = (values, timestamps, count) => {
      this.stamped = this.compile(
        ["values", "timestamps", "count"],
        ({ emit }) => `for (let i = 0; i < count; i++) ${emit("values[i]", "timestamps[i]")}`
      )
      this.stamped(values, timestamps, count)
    }
  }

  /** Makes a function that emits here. */
  compile(parameters: ReadonlyArray<string>, body: (code: EmitCode) => string): (...args: Array<any>) => void {
    const source = new Source()
    return source.compile(parameters, body(source.emitTo(this.targets, this)), this.name)
  }

  emitBatch(values: ReadonlyArray<any>, timestamps: ReadonlyArray<number> | undefined, count: number): void {
    if (timestamps === undefined) this.unstamped(values, count)
    else this.stamped(values, timestamps, count)
  }

  emitWatermark(timestamp: number): void {
    this.plain.emitWatermark(timestamp)
  }

  emitStatus(idle: boolean): void {
    this.plain.emitStatus(idle)
  }

  output<B>(tag: OutputTag<B>, value: B, timestamp: number | undefined): void {
    this.plain.output(tag, value, timestamp)
  }
}
