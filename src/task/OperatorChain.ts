/**
 * The operators of one task, as nodes that hand records on by plain calls.
 *
 * Owns who hands on to whom, and what waits for an Effect. An operator that answered a record with an Effect is parked: what reaches it meanwhile waits
 * in order, and the task runs the Effect before it takes more input.
 *
 * N1. What reaches an operator is processed in the order in which it was emitted, one after the other.
 * N2. Downstream first: before a parked operator goes on, everything it emitted so far is through.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { OperatorPhase } from "../Checkpoint.js"
import type { ChainedOperator, JobVertex } from "../graph/JobGraph.js"
import type { KeySelector } from "../graph/StreamGraph.js"
import { inputsOf } from "../graph/StreamGraph.js"
import type { RecordCode } from "../OperatorCode.js"
import type { OutputTag } from "../OutputTag.js"
import { isMapKeyCode } from "../state/KeyCodec.js"
import type { StreamRecord } from "../StreamElement.js"
import { record, Watermark } from "../StreamElement.js"
import type {
  HookResult,
  InputSelection,
  Operator,
  OperatorHooks,
  Output,
  PushOperator,
  SourceOperator,
  StreamOperator,
  TwoInputStreamOperator
} from "../StreamOperator.js"
import type { Source, Target } from "./ChainCode.js"
import * as ChainCode from "./ChainCode.js"
import type { TaskEnvironment } from "./Invokable.js"
import type { CurrentKey } from "./KeyContext.js"
import type { RecordWriter } from "./RecordWriter.js"
import type { KeyedTimers } from "./TimerService.js"

/** One operator in its chain. */
export abstract class ChainNode implements Output<any>, Target {
  /** where the operator's results go */
  out!: Output<any>
  /** the same one by one, without side outputs */
  targets: ReadonlyArray<Target> = []
  keys: CurrentKey | undefined
  timers: Array<KeyedTimers> = []
  phase: OperatorPhase = "running"
  /** the last watermark that reached it */
  watermark: number = Watermark.MIN

  constructor(readonly index: number, readonly meta: ChainedOperator, readonly hooks: OperatorHooks<any, any>) {}

  get name(): string {
    return this.meta.name
  }

  abstract emit(value: any, timestamp: number | undefined): void
  abstract emitWatermark(timestamp: number): void

  /** code that does what `emit` does */
  abstract write(source: Source, value: string, timestamp: string): string

  emitBatch(values: ReadonlyArray<any>, timestamps: ReadonlyArray<number> | undefined, count: number): void {
    for (let i = 0; i < count; i++) this.emit(values[i], timestamps === undefined ? undefined : timestamps[i])
  }

  emitStatus(idle: boolean): void {
    if (this.hooks.processWatermarkStatus === undefined) this.out.emitStatus(idle)
    else this.hooks.processWatermarkStatus(idle, this.out)
  }

  /** a side output that nobody reads */
  output<B>(_tag: OutputTag<B>, _value: B, _timestamp: number | undefined): void {}

  endBatch(): void {}

  /** sets the current key of a keyed input, and hands what the record's code is written from to `write` */
  protected writeKeyed(
    source: Source,
    selector: KeySelector | undefined,
    value: string,
    timestamp: string,
    park: string,
    write: (code: RecordCode) => string
  ): string {
    const code = (key: string, mapKey: string): RecordCode => ({
      ...source.emitTo(this.targets, this.out),
      value,
      timestamp,
      key,
      mapKey,
      park: (answer) => {
        const effect = source.local()
        return `const ${effect} = ${answer}\nif (${effect} !== undefined) ${park}(${effect})\n`
      }
    })
    if (selector === undefined) return write(code("undefined", "undefined"))
    const [key, mapKey, keys] = [source.local(), source.local(), source.bind(this.keys)]
    return `const ${key} = ${source.bind(selector.select)}(${value})
if (${isMapKeyCode(key)}) ${keys}.mapKey = ${key}
else ${keys}.setCurrentKey(${key})
const ${mapKey} = ${keys}.mapKey
${write(code(key, mapKey))}`
  }

  protected advanceTimers(watermark: number): void {
    this.watermark = watermark
    for (let i = 0; i < this.timers.length; i++) this.timers[i].advanceWatermark(watermark)
  }
}

/** The head of a source task: nothing reaches it. */
export class SourceNode extends ChainNode {
  constructor(index: number, meta: ChainedOperator, readonly operator: SourceOperator<any, any>) {
    super(index, meta, operator)
  }

  emit(): void {}

  write(): string {
    return ""
  }

  emitWatermark(timestamp: number): void {
    this.watermark = timestamp
    this.out.emitWatermark(timestamp)
  }
}

/** An operator that had finished when the job was restored: only event time passes it. */
class PassNode extends ChainNode {
  emit(): void {}

  write(): string {
    return ""
  }

  emitWatermark(timestamp: number): void {
    this.watermark = timestamp
    this.out.emitWatermark(timestamp)
  }

  override emitStatus(idle: boolean): void {
    this.out.emitStatus(idle)
  }
}

/** An operator that never answers a record with an Effect. Hot. */
class PushNode extends ChainNode {
  constructor(index: number, meta: ChainedOperator, protected readonly operator: PushOperator<any, any, any>) {
    super(index, meta, operator)
  }

  emit(value: any, timestamp: number | undefined): void {
    this.operator.push(value, timestamp, this.out)
  }

  write(source: Source, value: string, timestamp: string): string {
    const { operator } = this
    return this.writeKeyed(
      source,
      this.meta.keys[0],
      value,
      timestamp,
      "",
      (code) => operator.code?.(code) ?? `${source.bind(operator)}.push(${value}, ${timestamp}, ${code.out})\n`
    )
  }

  emitWatermark(timestamp: number): void {
    this.advanceTimers(timestamp)
    if (this.operator.processWatermark === undefined) this.out.emitWatermark(timestamp)
    else this.operator.processWatermark(timestamp, this.out)
  }

  override endBatch(): void {
    this.operator.endBatch?.(this.out)
  }
}

/** The same behind a key. Hot. */
class KeyedPushNode extends PushNode {
  private readonly select = this.meta.keys[0]!.select

  override emit(value: any, timestamp: number | undefined): void {
    this.keys!.setCurrentKey(this.select(value))
    this.operator.push(value, timestamp, this.out)
  }
}

/** What takes the records of one input of an operator. */
interface Taker {
  readonly key: KeySelector | undefined
  readonly process: (record: StreamRecord<any>, out: Output<any>) => HookResult<any>
}

type Waiting =
  | { readonly _tag: "Record"; readonly taker: Taker; readonly record: StreamRecord<any> }
  | { readonly _tag: "Watermark"; readonly timestamp: number }
  | { readonly _tag: "Status"; readonly idle: boolean }
  | { readonly _tag: "EndBatch" }

/** An operator that takes records, and may answer with an Effect. */
abstract class AnsweringNode extends ChainNode {
  private effect: Effect.Effect<void, any> | undefined
  private waiting: Array<Waiting> = []

  constructor(index: number, meta: ChainedOperator, hooks: OperatorHooks<any, any>, private readonly park: (node: AnsweringNode) => void) {
    super(index, meta, hooks)
  }

  get isParked(): boolean {
    return this.effect !== undefined
  }

  takeRecord(taker: Taker, value: any, timestamp: number | undefined): void {
    this.take({ _tag: "Record", taker, record: record(value, timestamp) })
  }

  parkOn(answer: Effect.Effect<void, any>): void {
    this.effect = answer
    this.park(this)
  }

  /** code that does what `takeRecord` does */
  protected writeTaker(source: Source, taker: Taker, value: string, timestamp: string, write: (code: RecordCode) => string): string {
    const self = source.bind(this)
    const body = this.writeKeyed(source, taker.key, value, timestamp, `${self}.parkOn`, write)
    return `if (${self}.isParked) ${self}.takeRecord(${source.bind(taker)}, ${value}, ${timestamp})\nelse {\n${body}}\n`
  }

  emitWatermark(timestamp: number): void {
    this.take({ _tag: "Watermark", timestamp })
  }

  override emitStatus(idle: boolean): void {
    this.take({ _tag: "Status", idle })
  }

  override endBatch(): void {
    if (this.hooks.endBatch !== undefined) this.take({ _tag: "EndBatch" })
  }

  private take(item: Waiting): void {
    if (this.effect !== undefined) {
      this.waiting.push(item)
      return
    }
    const answer = this.process(item)
    if (answer !== undefined) this.parkOn(answer)
  }

  private process(item: Waiting): HookResult<any> {
    switch (item._tag) {
      case "Record": {
        const { record, taker } = item
        if (taker.key !== undefined) this.keys!.setCurrentKey(taker.key.select(record.value))
        return taker.process(record, this.out)
      }
      case "Watermark":
        this.advanceTimers(item.timestamp)
        if (this.hooks.processWatermark === undefined) return this.out.emitWatermark(item.timestamp)
        return this.hooks.processWatermark(item.timestamp, this.out)
      case "Status":
        return super.emitStatus(item.idle)
      case "EndBatch":
        return this.hooks.endBatch!(this.out)
    }
  }

  /** Runs what it is parked on, then takes what waited until it is parked again; parks itself for the rest. */
  resume(): Effect.Effect<void, any> {
    return Effect.map(this.effect!, () => {
      this.effect = undefined
      const waiting = this.waiting
      this.waiting = []
      for (const item of waiting) this.take(item)
    })
  }
}

/** One that reads one input. */
class RecordNode extends AnsweringNode {
  private readonly taker: Taker

  constructor(
    index: number,
    meta: ChainedOperator,
    private readonly operator: StreamOperator<any, any, any>,
    park: (node: AnsweringNode) => void
  ) {
    super(index, meta, operator, park)
    this.taker = { key: meta.keys[0], process: (record, out) => operator.processElement(record, out) }
  }

  emit(value: any, timestamp: number | undefined): void {
    this.takeRecord(this.taker, value, timestamp)
  }

  write(source: Source, value: string, timestamp: string): string {
    const { operator } = this
    return this.writeTaker(source, this.taker, value, timestamp, (code) =>
      operator.code?.(code) ??
        code.park(`${source.bind(operator)}.processElement(${source.bind(record)}(${value}, ${timestamp}), ${code.out})`))
  }
}

/** One that reads two inputs: always a head. */
class TwoInputNode extends AnsweringNode {
  private readonly takers: ReadonlyArray<Taker>

  constructor(
    index: number,
    meta: ChainedOperator,
    readonly operator: TwoInputStreamOperator<any, any, any, any>,
    park: (node: AnsweringNode) => void
  ) {
    super(index, meta, operator, park)
    this.takers = [
      { key: meta.keys[0], process: (record, out) => operator.processElement1(record, out) },
      { key: meta.keys[1], process: (record, out) => operator.processElement2(record, out) }
    ]
  }

  /** records reach it through its inputs */
  emit(): void {}

  write(): string {
    return ""
  }

  input(input: number): Output<any> & Target {
    const taker = this.takers[input]
    const process = `processElement${input + 1}`
    const emit = (value: any, timestamp: number | undefined) => this.takeRecord(taker, value, timestamp)
    return {
      emit,
      emitBatch: (values, timestamps, count) => {
        for (let i = 0; i < count; i++) emit(values[i], timestamps === undefined ? undefined : timestamps[i])
      },
      emitWatermark: (timestamp) => this.emitWatermark(timestamp),
      emitStatus: (idle) => this.emitStatus(idle),
      output: () => {},
      write: (source, value, timestamp) =>
        this.writeTaker(
          source,
          taker,
          value,
          timestamp,
          (code) => code.park(`${source.bind(this.operator)}.${process}(${source.bind(record)}(${value}, ${timestamp}), ${code.out})`)
        )
    }
  }
}

/** Sends the main output and side outputs on to all that read them. */
class Router implements Output<any> {
  constructor(
    private readonly main: ReadonlyArray<Output<any>>,
    private readonly sides: ReadonlyMap<string, ReadonlyArray<Output<any>>>,
    private readonly unread: TaskEnvironment["unreadOutput"]
  ) {}

  emit(value: any, timestamp: number | undefined): void {
    for (let i = 0; i < this.main.length; i++) this.main[i].emit(value, timestamp)
  }

  emitBatch(values: ReadonlyArray<any>, timestamps: ReadonlyArray<number> | undefined, count: number): void {
    for (let i = 0; i < count; i++) this.emit(values[i], timestamps === undefined ? undefined : timestamps[i])
  }

  emitWatermark(timestamp: number): void {
    for (const each of this.main) each.emitWatermark(timestamp)
    for (const side of this.sides.values()) for (const each of side) each.emitWatermark(timestamp)
  }

  emitStatus(idle: boolean): void {
    for (const each of this.main) each.emitStatus(idle)
    for (const side of this.sides.values()) for (const each of side) each.emitStatus(idle)
  }

  output<B>(tag: OutputTag<B>, value: B, timestamp: number | undefined): void {
    const side = this.sides.get(tag.id)
    if (side !== undefined) { for (const each of side) each.emit(value, timestamp) }
    else this.unread?.(tag, value, timestamp)
  }
}

const nothing: Output<any> = { emit: () => {}, emitBatch: () => {}, emitWatermark: () => {}, emitStatus: () => {}, output: () => {} }

/** Any operator that a chain can hold. */
export type AnyOperator = Operator<any, any, any> | TwoInputStreamOperator<any, any, any, any> | SourceOperator<any, any>

/** An operator and how far its life had come; one that had finished was not even made. */
export type MadeOperator =
  | { readonly phase: "finished" }
  | { readonly phase: Exclude<OperatorPhase, "finished">; readonly operator: AnyOperator }

/** The nodes of a task, head first. */
export class OperatorChain {
  readonly nodes: ReadonlyArray<ChainNode>
  readonly head: ChainNode
  /** where the task puts the records of each input */
  readonly inputs: ReadonlyArray<Output<any>>
  /** asks a two-input operator that selects */
  readonly selection: (() => InputSelection) | undefined
  private readonly parked: Array<AnsweringNode> = []
  /** the one whose Effect is being run */
  private draining: AnsweringNode | undefined
  private readonly batched: ReadonlyArray<ChainNode>
  private readonly asked: ReadonlyArray<ChainNode>

  constructor(
    vertex: JobVertex,
    made: ReadonlyArray<MadeOperator>,
    readonly writers: ReadonlyArray<RecordWriter>,
    codegen: boolean,
    unread?: TaskEnvironment["unreadOutput"]
  ) {
    const park = (node: AnsweringNode) => {
      this.parked.push(node)
    }
    this.nodes = vertex.chain.map((meta, index) => {
      const each = made[index]
      if (each.phase !== "running") {
        const node = new PassNode(index, meta, each.phase === "finished" ? {} : each.operator)
        node.phase = each.phase
        return node
      }
      const { operator } = each
      if ("poll" in operator) return new SourceNode(index, meta, operator)
      if ("processElement1" in operator) return new TwoInputNode(index, meta, operator, park)
      if ("push" in operator) {
        return meta.keys[0] === undefined
          ? new PushNode(index, meta, operator)
          : new KeyedPushNode(index, meta, operator)
      }
      return new RecordNode(index, meta, operator, park)
    })
    this.head = this.nodes[0]
    const running = this.nodes.filter((node) => node.phase === "running")
    this.batched = running.filter((node) => node.hooks.endBatch !== undefined)
    this.asked = running.filter((node) => node.hooks.isAvailable !== undefined)
    const name = vertex.name.replace(/[^\w.]+/g, "-")
    const generated = (plain: Output<any>, targets: ReadonlyArray<Target>) =>
      codegen && ChainCode.isAvailable ? new ChainCode.GeneratedOutput(plain, targets, name) : plain
    for (const node of this.nodes) {
      const { main, sides } = this.readersOf(vertex, node)
      node.targets = main
      node.out = generated(
        sides.size === 0 && main.length <= 1 && unread === undefined ? main[0] ?? nothing : new Router(main, sides, unread),
        main
      )
    }
    const { head } = this
    const inputs = head instanceof TwoInputNode ? [head.input(0), head.input(1)] : inputsOf(vertex.chain[0].node).map(() => head)
    this.inputs = inputs.map((each) => generated(each, [each]))
    const operator = head instanceof TwoInputNode ? head.operator : undefined
    this.selection = operator?.nextSelection === undefined ? undefined : () => operator.nextSelection!()
  }

  /** Whether every operator can take more records. */
  get isAvailable(): boolean {
    for (let i = 0; i < this.asked.length; i++) if (this.asked[i].hooks.isAvailable!() === false) return false
    return true
  }

  get isParked(): boolean {
    return this.parked.length > 0
  }

  /** the operator that has answered with an Effect, where one has */
  get parkedOn(): string | undefined {
    return this.draining?.name ?? this.parked[0]?.name
  }

  /** Whether every writer has room. */
  get isBlocked(): boolean {
    for (let i = 0; i < this.writers.length; i++) if (this.writers[i].isBlocked) return true
    return false
  }

  /** Whether input has to wait. */
  get isBackpressured(): boolean {
    return this.isBlocked || !this.isAvailable
  }

  /** A watermark of one input of the head. */
  inputWatermark(timestamp: number, input: number): void {
    if (this.head instanceof TwoInputNode) this.head.operator.processInputWatermark?.(timestamp, input + 1)
  }

  /** A batch is through. */
  endBatch(): void {
    for (let i = 0; i < this.batched.length; i++) if (this.batched[i].phase === "running") this.batched[i].endBatch()
  }

  flush(): void {
    for (let i = 0; i < this.writers.length; i++) this.writers[i].flush()
  }

  /** Runs what operators are parked on until none is; under the lock. */
  readonly drain: Effect.Effect<void, any> = Effect.whileLoop({
    while: () => this.parked.length > 0,
    body: () => {
      let last = 0
      for (let i = 1; i < this.parked.length; i++) if (this.parked[i].index > this.parked[last].index) last = i
      const [node] = this.parked.splice(last, 1)
      this.draining = node
      return node.resume()
    },
    step: () => {
      this.draining = undefined
    }
  })

  private readersOf(vertex: JobVertex, node: ChainNode) {
    const main: Array<Output<any> & Target> = []
    const sides = new Map<string, Array<Output<any>>>()
    const add = (tag: string | undefined, output: Output<any> & Target) => {
      if (tag === undefined) main.push(output)
      else sides.set(tag, [...sides.get(tag) ?? [], output])
    }
    for (const { operator, tag } of node.meta.consumers) add(tag, this.nodes[operator])
    vertex.outputs.forEach((edge, i) => {
      if (edge.operator === node.index) add(edge.tag, this.writers[i])
    })
    return { main, sides }
  }
}
