/**
 * Operators without state: map, filter and the like.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { EmitCode } from "../OperatorCode.js"
import type { CoProcessFunction, ProcessContext, ProcessFunction } from "../ProcessFunction.js"
import { Watermark } from "../StreamElement.js"
import type { OperatorContext, Output, PushOperator, StreamOperator, TwoInputStreamOperator } from "../StreamOperator.js"

/** One result for each record. */
export const map = <A, B>(f: (value: A) => B): PushOperator<A, B> => ({
  push: (value, timestamp, out) => out.emit(f(value), timestamp),
  code: ({ bind, emit, timestamp, value }) => emit(`${bind(f)}(${value})`, timestamp)
})

/** The records that hold. */
export const filter = <A>(predicate: (value: A) => boolean): PushOperator<A, A> => ({
  push: (value, timestamp, out) => {
    if (predicate(value)) out.emit(value, timestamp)
  },
  code: ({ bind, emit, timestamp, value }) => `if (${bind(predicate)}(${value})) ${emit(value, timestamp)}`
})

/** The results there are. */
export const filterMap = <A, B>(f: (value: A) => Option.Option<B>): PushOperator<A, B> => ({
  push: (value, timestamp, out) => {
    const result = f(value)
    if (Option.isSome(result)) out.emit(result.value, timestamp)
  },
  code: ({ bind, emit, local, timestamp, value }) => {
    const result = local()
    return `const ${result} = ${bind(f)}(${value})\nif (${result}._tag === "Some") ${emit(`${result}.value`, timestamp)}`
  }
})

/** Any number of results for each record. */
export const flatMap = <A, B>(f: (value: A) => Iterable<B>): PushOperator<A, B> => ({
  push: (value, timestamp, out) => emitAll(f(value), timestamp, out),
  code: (code) => emitAllCode(code, `${code.bind(f)}(${code.value})`, code.timestamp)
})

/** Emits what a function gave, if anything. Hot. */
export const emitAll = <B>(results: Iterable<B> | void, timestamp: number | undefined, out: Output<B>): void => {
  if (results === undefined) return
  if (Array.isArray(results)) { for (let i = 0; i < results.length; i++) out.emit(results[i], timestamp) }
  else for (const result of results) out.emit(result, timestamp)
}

/** The same as code. */
export const emitAllCode = ({ bind, emit, local, out }: EmitCode, results: string, timestamp: string): string => {
  const [all, i] = [local(), local()]
  return `const ${all} = ${results}
if (Array.isArray(${all})) {
  for (let ${i} = 0; ${i} < ${all}.length; ${i}++) ${emit(`${all}[${i}]`, timestamp)}
} else if (${all} !== undefined) ${bind(emitAll)}(${all}, ${timestamp}, ${out})
`
}

/** Looks at each record. */
export const tap = <A, E>(f: (value: A) => unknown): StreamOperator<A, A, E> => {
  const after = (effect: Effect.Effect<unknown, E>, value: A, timestamp: number | undefined, out: Output<A>): Effect.Effect<void, E> =>
    Effect.map(effect, () => out.emit(value, timestamp))
  return {
    processElement: ({ timestamp, value }, out) => {
      const result = f(value)
      if (!Effect.isEffect(result)) return out.emit(value, timestamp)
      return after(result as Effect.Effect<unknown, E>, value, timestamp, out)
    },
    code: ({ bind, emit, local, out, park, timestamp, value }) => {
      const result = local()
      return `const ${result} = ${bind(f)}(${value})
if (${result} !== undefined && ${bind(Effect.isEffect)}(${result})) { ${park(`${bind(after)}(${result}, ${value}, ${timestamp}, ${out})`)} }
else ${emit(value, timestamp)}`
    }
  }
}

/** The context of a process function without keys, for the operator that holds it. */
const contextOf = <B>() => {
  let operator!: OperatorContext<B>
  let timestamp: number | undefined
  let watermark: number = Watermark.MIN
  let output!: Output<B>
  const context: ProcessContext = {
    get timestamp() {
      return timestamp
    },
    get watermark() {
      return watermark
    },
    processingTime: () => operator.processingTime.now(),
    output: (tag, value) => output.output(tag, value, timestamp)
  }
  return {
    at: (now: number | undefined, out: Output<B>): ProcessContext => {
      timestamp = now
      output = out
      return context
    },
    hooks: {
      setup: (ctx: OperatorContext<B>): void => {
        operator = ctx
      },
      processWatermark: (now: number, out: Output<B>): void => {
        watermark = now
        out.emitWatermark(now)
      }
    }
  }
}

/** A process function over a stream without keys. */
export const process = <A, B>(fn: ProcessFunction<A, B>): PushOperator<A, B> => {
  const { at, hooks } = contextOf<B>()
  return { ...hooks, push: (value, timestamp, out) => emitAll(fn.onElement(value, at(timestamp, out)), timestamp, out) }
}

/** A process function over two streams without keys. */
export const coProcess = <A, B, C>(fn: CoProcessFunction<A, B, C, C>): TwoInputStreamOperator<A, B, C> => {
  const { at, hooks } = contextOf<C>()
  return {
    ...hooks,
    processElement1: ({ timestamp, value }, out) => emitAll(fn.onElement1(value, at(timestamp, out)), timestamp, out),
    processElement2: ({ timestamp, value }, out) => emitAll(fn.onElement2(value, at(timestamp, out)), timestamp, out)
  }
}

/** One result for each record of either stream. */
export const coMap = <A, B, C>(f: (value: A) => C, g: (value: B) => C): TwoInputStreamOperator<A, B, C> => ({
  processElement1: ({ timestamp, value }, out) => out.emit(f(value), timestamp),
  processElement2: ({ timestamp, value }, out) => out.emit(g(value), timestamp)
})
