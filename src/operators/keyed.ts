/**
 * Operators with keyed state: rolling reduce and aggregate, and the keyed process function.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Aggregator from "../Aggregator.js"
import type { MapKey } from "../KeyGroup.js"
import type { RecordCode } from "../OperatorCode.js"
import type { OutputTag } from "../OutputTag.js"
import type { KeyedCoProcessFunction, KeyedProcessContext, KeyedProcessFunction, States, Timer, Timers } from "../ProcessFunction.js"
import type { StateTable } from "../state/StateTable.js"
import { NO_NAMESPACE } from "../state/StateTable.js"
import type { StreamRecord } from "../StreamElement.js"
import type {
  FiredTimer,
  KeyContext,
  OperatorContext,
  Output,
  PushOperator,
  StateContext,
  TimerService,
  TwoInputStreamOperator
} from "../StreamOperator.js"
import * as Fold from "./Fold.js"
import { emitAll, emitAllCode } from "./stateless.js"

/** What a projection is told besides the result. */
interface KeyOf {
  readonly key: any
}

/** Adds each record to its key's value and emits the result. */
class Rolling<A, Acc, Out> implements PushOperator<A, Out> {
  private table!: StateTable<Acc>
  private keys!: KeyContext
  private readonly first: (value: A) => Acc
  private readonly result: (acc: Acc, context: KeyOf) => Out

  constructor(private readonly schema: Schema.Schema<Acc, any> | undefined, private readonly fold: Fold.Fold<A, Acc, KeyOf, Out>) {
    this.first = Fold.first(fold)
    this.result = Fold.result(fold)
  }

  initializeState(ctx: StateContext): void {
    this.keys = ctx.keys
    this.table = ctx.table("value", this.schema)
  }

  push(value: A, timestamp: number | undefined, out: Output<Out>): void {
    const { keys, table } = this
    let entry = table.entry(table.only, NO_NAMESPACE, keys.mapKey)
    if (entry === undefined) entry = table.insert(table.only, keys.mapKey, this.first(value))
    else entry.value = this.fold.add(entry.value, value)
    out.emit(this.result(entry.value, { key: keys.key }), timestamp)
  }

  code(code: RecordCode): string {
    const { bind, emit, key, local, timestamp } = code
    const entry = local()
    return `${Fold.addCode(code, this.fold, this.table, entry, bind(this.table.only), bind(NO_NAMESPACE))}
${emit(Fold.resultCode(code, this.fold, `${entry}.value`, `{ key: ${key} }`), timestamp)}`
  }
}

/** Each record's key's reduction so far. */
export const reduce = <A>(f: (self: A, that: A) => A, schema: Schema.Schema<A, any> | undefined): PushOperator<A, A> =>
  new Rolling<A, A, A>(schema, { init: undefined, add: f, result: undefined, project: undefined })

/** Each record's key's aggregation so far. */
export const aggregate = <K, A, Acc, Out, B>(
  aggregator: Aggregator.Aggregator<A, Acc, Out>,
  project: ((result: Out, context: { readonly key: K }) => B) | undefined
): PushOperator<A, B> => new Rolling<A, Acc, B>(aggregator.accumulator, { ...aggregator, project })

const NO_TIMER_NAMESPACE: MapKey = 0

/** A process function as it is written, or the Effect that acquires it. */
export type Acquired<Fn> = Fn | Effect.Effect<Fn, any, Scope.Scope>

/** What the process functions of one and of two inputs have in common. */
interface WithTimers<K, S, Out> {
  readonly state?: S | undefined
  readonly onTimer?: ((timer: Timer, ctx: KeyedProcessContext<K, S>) => Iterable<Out> | void) | undefined
}

/** What a keyed process function sees; the record or timer in hand is set before each call. */
class Context<K, S> implements KeyedProcessContext<K, S> {
  timestamp: number | undefined
  out!: Output<never>
  readonly timers: Timers

  constructor(
    private readonly keys: KeyContext,
    private readonly service: TimerService,
    readonly state: KeyedProcessContext<K, S>["state"]
  ) {
    this.timers = {
      eventTime: (timestamp) => service.registerEventTime(NO_TIMER_NAMESPACE, timestamp),
      processingTime: (timestamp) => service.registerProcessingTime(NO_TIMER_NAMESPACE, timestamp),
      deleteEventTime: (timestamp) => service.deleteEventTime(NO_TIMER_NAMESPACE, timestamp),
      deleteProcessingTime: (timestamp) => service.deleteProcessingTime(NO_TIMER_NAMESPACE, timestamp)
    }
  }

  get key(): K {
    return this.keys.key as K
  }

  get watermark(): number {
    return this.service.currentWatermark()
  }

  readonly processingTime = (): number => this.service.currentProcessingTime()

  readonly output = <B>(tag: OutputTag<B>, value: B): void => this.out.output(tag, value, this.timestamp)
}

/** A keyed process function in its operator. What is acquired in `open` declares its state there, all other in `initializeState`. */
abstract class WithState<K, S extends States, Out, Fn extends WithTimers<K, S, Out>> {
  protected context!: Context<K, S>
  protected fn!: Fn
  private operator!: OperatorContext<Out>
  private service!: TimerService
  private states!: StateContext

  constructor(private readonly source: Acquired<Fn>) {}

  setup(ctx: OperatorContext<Out>): void {
    this.operator = ctx
  }

  initializeState(ctx: StateContext): void {
    this.states = ctx
    this.service = ctx.timers("user", (timer) => this.fire(timer))
    if (!Effect.isEffect(this.source)) this.use(this.source)
  }

  readonly open = Effect.suspend((): Effect.Effect<void, any, Scope.Scope> =>
    Effect.isEffect(this.source) ? Effect.map(this.source, (fn) => this.use(fn)) : Effect.void
  )

  private use(fn: Fn): void {
    const state: Record<string, unknown> = {}
    const declared: States = fn.state ?? {}
    for (const name of Object.keys(declared)) state[name] = this.states.keyed(name, declared[name])
    this.fn = fn
    this.context = new Context(this.states.keys, this.service, state as KeyedProcessContext<K, S>["state"])
  }

  /** the context, for a record or a timer */
  protected at(timestamp: number | undefined, out: Output<never>): Context<K, S> {
    this.context.timestamp = timestamp
    this.context.out = out
    return this.context
  }

  private fire({ domain, timestamp }: FiredTimer): void {
    if (this.fn.onTimer === undefined) return
    const { out } = this.operator
    // TI-11: what a processing-time timer emits has no event time
    const at = domain === "event-time" ? timestamp : undefined
    emitAll(this.fn.onTimer({ timestamp, domain }, this.at(at, out)), at, out)
  }
}

class KeyedProcess<K, A, S extends States, Out> extends WithState<K, S, Out, KeyedProcessFunction<K, A, S, Out, Out>>
  implements PushOperator<A, Out, any>
{
  push(value: A, timestamp: number | undefined, out: Output<Out>): void {
    emitAll(this.fn.onElement(value, this.at(timestamp, out)), timestamp, out)
  }

  code(code: RecordCode): string {
    const context = code.bind(this.context)
    return `${context}.timestamp = ${code.timestamp}
${context}.out = ${code.out}
${emitAllCode(code, `${code.bind(this.fn)}.onElement(${code.value}, ${context})`, code.timestamp)}`
  }
}

class KeyedCoProcess<K, A, B, S extends States, Out> extends WithState<K, S, Out, KeyedCoProcessFunction<K, A, B, S, Out, Out, Out>>
  implements TwoInputStreamOperator<A, B, Out, any>
{
  processElement1({ timestamp, value }: StreamRecord<A>, out: Output<Out>): void {
    emitAll(this.fn.onElement1(value, this.at(timestamp, out)), timestamp, out)
  }

  processElement2({ timestamp, value }: StreamRecord<B>, out: Output<Out>): void {
    emitAll(this.fn.onElement2(value, this.at(timestamp, out)), timestamp, out)
  }
}

/** A process function over a keyed stream. */
export const process = <K, A, S extends States, Out>(fn: Acquired<KeyedProcessFunction<K, A, S, Out, Out>>): PushOperator<A, Out, any> =>
  new KeyedProcess(fn)

/** A process function over two keyed streams. */
export const coProcess = <K, A, B, S extends States, Out>(
  fn: Acquired<KeyedCoProcessFunction<K, A, B, S, Out, Out, Out>>
): TwoInputStreamOperator<A, B, Out, any> => new KeyedCoProcess(fn)
