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
import type { OutputTag } from "../OutputTag.js"
import type { StreamRecord } from "../StreamElement.js"
import { record, Watermark } from "../StreamElement.js"
import type { HookResult, Operator, OperatorHooks, Output, PushOperator, SourceOperator, StreamOperator } from "../StreamOperator.js"
import type { CurrentKey } from "./KeyContext.js"
import type { RecordWriter } from "./RecordWriter.js"
import type { KeyedTimers } from "./TimerService.js"

/** One operator in its chain. */
export abstract class ChainNode implements Output<any> {
  /** where the operator's results go */
  out!: Output<any>
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

  emitStatus(idle: boolean): void {
    if (this.hooks.processWatermarkStatus === undefined) this.out.emitStatus(idle)
    else this.hooks.processWatermarkStatus(idle, this.out)
  }

  /** a side output that nobody reads */
  output<B>(_tag: OutputTag<B>, _value: B, _timestamp: number | undefined): void {}

  endBatch(): void {}

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

  emitWatermark(timestamp: number): void {
    this.watermark = timestamp
    this.out.emitWatermark(timestamp)
  }
}

/** An operator that had finished when the job was restored: only event time passes it. */
class PassNode extends ChainNode {
  emit(): void {}

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
  private readonly select: (value: any) => unknown

  constructor(index: number, meta: ChainedOperator, operator: PushOperator<any, any, any>) {
    super(index, meta, operator)
    this.select = meta.key!.select
  }

  override emit(value: any, timestamp: number | undefined): void {
    this.keys!.setCurrentKey(this.select(value))
    this.operator.push(value, timestamp, this.out)
  }
}

type Waiting =
  | StreamRecord<any>
  | { readonly _tag: "Watermark"; readonly timestamp: number }
  | { readonly _tag: "Status"; readonly idle: boolean }
  | { readonly _tag: "EndBatch" }

/** An operator that takes records, and may answer with an Effect. */
class RecordNode extends ChainNode {
  private effect: Effect.Effect<void, any> | undefined
  private waiting: Array<Waiting> = []

  constructor(
    index: number,
    meta: ChainedOperator,
    private readonly operator: StreamOperator<any, any, any>,
    private readonly park: (node: RecordNode) => void
  ) {
    super(index, meta, operator)
  }

  /** Hot where operators answer without an Effect. */
  emit(value: any, timestamp: number | undefined): void {
    if (this.effect !== undefined) {
      this.waiting.push(record(value, timestamp))
      return
    }
    const answer = this.processRecord(record(value, timestamp))
    if (answer !== undefined) this.parkOn(answer)
  }

  emitWatermark(timestamp: number): void {
    this.take({ _tag: "Watermark", timestamp })
  }

  override emitStatus(idle: boolean): void {
    this.take({ _tag: "Status", idle })
  }

  override endBatch(): void {
    if (this.operator.endBatch !== undefined) this.take({ _tag: "EndBatch" })
  }

  private take(item: Waiting): void {
    if (this.effect !== undefined) {
      this.waiting.push(item)
      return
    }
    const answer = this.process(item)
    if (answer !== undefined) this.parkOn(answer)
  }

  private parkOn(answer: Effect.Effect<void, any>): void {
    this.effect = answer
    this.park(this)
  }

  private processRecord(item: StreamRecord<any>): HookResult<any> {
    if (this.meta.key !== undefined) this.keys!.setCurrentKey(this.meta.key.select(item.value))
    return this.operator.processElement(item, this.out)
  }

  private process(item: Waiting): HookResult<any> {
    switch (item._tag) {
      case "Record":
        return this.processRecord(item)
      case "Watermark":
        this.advanceTimers(item.timestamp)
        if (this.operator.processWatermark === undefined) return this.out.emitWatermark(item.timestamp)
        return this.operator.processWatermark(item.timestamp, this.out)
      case "Status":
        return super.emitStatus(item.idle)
      case "EndBatch":
        return this.operator.endBatch!(this.out)
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

/** Sends the main output and side outputs on to all that read them. */
class Router implements Output<any> {
  constructor(private readonly main: ReadonlyArray<Output<any>>, private readonly sides: ReadonlyMap<string, ReadonlyArray<Output<any>>>) {}

  emit(value: any, timestamp: number | undefined): void {
    for (let i = 0; i < this.main.length; i++) this.main[i].emit(value, timestamp)
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
  }
}

const nothing: Output<any> = { emit: () => {}, emitWatermark: () => {}, emitStatus: () => {}, output: () => {} }

/** An operator and how far its life had come; one that had finished was not even made. */
export type MadeOperator =
  | { readonly phase: "finished" }
  | { readonly phase: Exclude<OperatorPhase, "finished">; readonly operator: Operator<any, any, any> | SourceOperator<any, any> }

/** The nodes of a task, head first. */
export class OperatorChain {
  readonly nodes: ReadonlyArray<ChainNode>
  readonly head: ChainNode
  private readonly parked: Array<RecordNode> = []
  private readonly batched: ReadonlyArray<ChainNode>
  private readonly asked: ReadonlyArray<ChainNode>

  constructor(vertex: JobVertex, made: ReadonlyArray<MadeOperator>, readonly writers: ReadonlyArray<RecordWriter>) {
    const park = (node: RecordNode) => {
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
      if ("push" in operator) return meta.key === undefined ? new PushNode(index, meta, operator) : new KeyedPushNode(index, meta, operator)
      return new RecordNode(index, meta, operator, park)
    })
    this.head = this.nodes[0]
    const running = this.nodes.filter((node) => node.phase === "running")
    this.batched = running.filter((node) => node.hooks.endBatch !== undefined)
    this.asked = running.filter((node) => node.hooks.isAvailable !== undefined)
    for (const node of this.nodes) node.out = this.outputOf(vertex, node)
  }

  /** Whether every operator can take more records. */
  get isAvailable(): boolean {
    for (let i = 0; i < this.asked.length; i++) if (this.asked[i].hooks.isAvailable!() === false) return false
    return true
  }

  get isParked(): boolean {
    return this.parked.length > 0
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
      return node.resume()
    },
    step: () => {}
  })

  private outputOf(vertex: JobVertex, node: ChainNode): Output<any> {
    const main: Array<Output<any>> = []
    const sides = new Map<string, Array<Output<any>>>()
    const add = (tag: string | undefined, output: Output<any>) => {
      if (tag === undefined) main.push(output)
      else sides.set(tag, [...sides.get(tag) ?? [], output])
    }
    for (const { operator, tag } of node.meta.consumers) add(tag, this.nodes[operator])
    vertex.outputs.forEach((edge, i) => {
      if (edge.operator === node.index) add(edge.tag, this.writers[i])
    })
    if (sides.size === 0 && main.length <= 1) return main[0] ?? nothing
    return new Router(main, sides)
  }
}
