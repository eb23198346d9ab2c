/** Operators that fail where their spec says so, and write down what was called: random ones, for tests of the life cycle. */
import { Effect, FastCheck as fc } from "effect"
import type { Lifecycle, StreamOperator } from "sluice"

export const hooks = ["setup", "initializeState", "open", "processElement", "processWatermark", "endInput", "finish", "close"] as const
export type Hook = typeof hooks[number]

export interface OperatorSpec {
  /** the hook that fails, and how */
  readonly fails: { readonly hook: Hook; readonly how: "fail" | "die" | "throw" } | undefined
  /** whether `processElement` answers with an Effect */
  readonly effectful: boolean
  /** whether `close` fails too */
  readonly closeFails: boolean
}

export const operatorSpec: fc.Arbitrary<OperatorSpec> = fc.record({
  fails: fc.option(fc.record({ hook: fc.constantFrom(...hooks), how: fc.constantFrom("fail", "die", "throw") }), {
    nil: undefined,
    freq: 3
  }),
  effectful: fc.boolean(),
  closeFails: fc.boolean()
})

export class Boom {
  readonly _tag = "Boom"
  constructor(readonly operator: number, readonly hook: Hook) {}
}

/** L4: how many hooks of a task run now, and how often there was more than one. */
export interface Monitor {
  inside: number
  overlaps: number
}

/** What operators saw. */
export interface Log {
  readonly calls: Array<{ readonly operator: number; readonly hook: Hook | "release" }>
  readonly events: Array<Lifecycle.LifecycleEvent>
  /** that of the task in which an operator runs */
  readonly monitor: (ctx: StreamOperator.OperatorContext<any>) => Monitor
}

export const fails = (spec: OperatorSpec, hook: Hook): "fail" | "die" | "throw" | undefined =>
  spec.fails?.hook === hook ? spec.fails.how : hook === "close" && spec.closeFails ? "fail" : undefined

export const makeOperator = (spec: OperatorSpec, operator: number, log: Log): StreamOperator.StreamOperator<number, number, Boom> => {
  let monitor: Monitor = { inside: 0, overlaps: 0 }
  const call = (hook: Hook): Effect.Effect<void, Boom> => {
    log.calls.push({ operator, hook })
    const how = fails(spec, hook)
    const boom = new Boom(operator, hook)
    if (how === "throw") throw boom
    // L4: nothing else of this task may run between these two
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        if (++monitor.inside > 1) monitor.overlaps++
      }),
      () => Effect.zipRight(Effect.yieldNow(), how === "fail" ? Effect.fail(boom) : how === "die" ? Effect.die(boom) : Effect.void),
      () => Effect.sync(() => void monitor.inside--)
    )
  }
  return {
    setup: (ctx) => {
      monitor = log.monitor(ctx)
      log.calls.push({ operator, hook: "setup" })
      if (spec.fails?.hook === "setup") throw new Boom(operator, "setup")
    },
    initializeState: () => call("initializeState"),
    open: Effect.zipRight(
      Effect.addFinalizer(() => Effect.sync(() => void log.calls.push({ operator, hook: "release" }))),
      Effect.suspend(() => call("open"))
    ),
    processElement: ({ timestamp, value }, out) => {
      if (spec.fails?.hook === "processElement" || spec.effectful) {
        return Effect.map(call("processElement"), () => out.emit(value, timestamp))
      }
      log.calls.push({ operator, hook: "processElement" })
      return out.emit(value, timestamp)
    },
    processWatermark: (watermark, out) => Effect.map(call("processWatermark"), () => out.emitWatermark(watermark)),
    endInput: () => call("endInput"),
    finish: () => call("finish"),
    close: Effect.suspend(() => call("close"))
  }
}
