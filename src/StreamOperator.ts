/**
 * The contract between the runtime and one subtask of an operator: the hooks of its life, its output, its contexts.
 *
 * All hooks run under the checkpoint lock, one at a time (L4). A hook that gives an Effect back is run to its end before the next record,
 * watermark or barrier reaches the operator.
 *
 * O1. `setup`, `initializeState`, `open`, then elements and watermarks, `endInput`, `finish`, `close`: each at most once, in this order.
 * O2. `close` runs for every operator whose `setup` ran, whatever ended the task (L2).
 * O3. An operator without `processWatermark` forwards watermarks; one with it forwards them itself.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Redistribution } from "./Checkpoint.js"
import type { KeyGroupRange, MapKey } from "./KeyGroup.js"
import type { EmitCode, RecordCode } from "./OperatorCode.js"
import type { OutputTag } from "./OutputTag.js"
import type { Descriptor } from "./State.js"
import type { StateTable } from "./state/StateTable.js"
import type { StreamRecord } from "./StreamElement.js"

/**
 * What a hook gives back: nothing where it is done, or the Effect that does the rest.
 *
 * @since 0.1.0
 * @category models
 */
export type HookResult<E> = void | Effect.Effect<void, E>

/**
 * Where an operator's results go. A timestamp is milliseconds since the epoch; `undefined` for a record without event time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Output<in A> {
  readonly emit: (value: A, timestamp: number | undefined) => void
  /** emits the first `count` values, all with a timestamp or none */
  readonly emitBatch: (values: ReadonlyArray<A>, timestamps: ReadonlyArray<number> | undefined, count: number) => void
  readonly emitWatermark: (timestamp: number) => void
  readonly emitStatus: (idle: boolean) => void
  readonly output: <B>(tag: OutputTag<B>, value: B, timestamp: number | undefined) => void
}

/**
 * All hooks of an operator besides the one that takes records.
 *
 * @since 0.1.0
 * @category models
 */
export interface OperatorHooks<out Out, out E = never> {
  /** the first call: keep the context */
  readonly setup?: (ctx: OperatorContext<Out>) => void
  /** register state and timers; restored values are there at once */
  readonly initializeState?: (ctx: StateContext) => HookResult<E>
  /** acquire what is needed; released in `close`'s place, after it, whatever ended the task */
  readonly open?: Effect.Effect<void, E, Scope.Scope>
  readonly processWatermark?: (watermark: number, out: Output<Out>) => HookResult<E>
  readonly processWatermarkStatus?: (idle: boolean, out: Output<Out>) => void
  /** the batch in hand is through: a place to emit a watermark or hand on what was gathered; synchronous in a `PushOperator` */
  readonly endBatch?: (out: Output<Out>) => HookResult<E>
  /** before the barrier is sent on: what is emitted here still belongs to the checkpoint */
  readonly prepareSnapshotPreBarrier?: (checkpointId: number, out: Output<Out>) => HookResult<E>
  /** the synchronous part of a snapshot; keyed state, timers and operator state are taken by themselves after it */
  readonly snapshotState?: (ctx: SnapshotContext<any>) => HookResult<E>
  readonly notifyCheckpointComplete?: (checkpointId: number) => HookResult<E>
  readonly notifyCheckpointAborted?: (checkpointId: number) => HookResult<E>
  /** no record follows on an input, 1 or 2 */
  readonly endInput?: (out: Output<Out>, input: number) => HookResult<E>
  /** normal end and drain only: emit what is still buffered */
  readonly finish?: (out: Output<Out>) => HookResult<E>
  readonly close?: Effect.Effect<void, E>
  /** false while the operator can take no more records; `OperatorContext.execute` makes the task ask again */
  readonly isAvailable?: () => boolean
  /** true while records it took are still under way: end of input waits until it is false */
  readonly isBusy?: () => boolean
  /** what it does for a record, as code: for operators that are hot (see `OperatorCode`) */
  readonly code?: (code: RecordCode) => string
}

/**
 * An operator that takes whole records and may answer with an Effect.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOperator<in In, out Out, out E = never> extends OperatorHooks<Out, E> {
  readonly processElement: (record: StreamRecord<In>, out: Output<Out>) => HookResult<E>
}

/**
 * An operator that takes value and timestamp apart and never needs an Effect for a record: no object per hop.
 *
 * @since 0.1.0
 * @category models
 */
export interface PushOperator<in In, out Out, out E = never> extends OperatorHooks<Out, E> {
  readonly push: (value: In, timestamp: number | undefined, out: Output<Out>) => void
}

/**
 * Which input a two-input operator wants its next record from: one of them, or whichever has any.
 *
 * @since 0.1.0
 * @category models
 */
export type InputSelection = "any" | 1 | 2

/**
 * An operator that reads two inputs. Its watermark is the lower one of the two.
 *
 * @since 0.1.0
 * @category models
 */
export interface TwoInputStreamOperator<in In1, in In2, out Out, out E = never> extends OperatorHooks<Out, E> {
  readonly processElement1: (record: StreamRecord<In1>, out: Output<Out>) => HookResult<E>
  readonly processElement2: (record: StreamRecord<In2>, out: Output<Out>) => HookResult<E>
  /** a watermark of one input alone, before `processWatermark` of both */
  readonly processInputWatermark?: (watermark: number, input: number) => void
  /** asked before each record; without it the inputs take turns, batch by batch */
  readonly nextSelection?: () => InputSelection
}

/**
 * What a source could do when it was asked for records: `more-available` (ask again), `nothing-available` (run `fetch` first), `end-of-input`.
 *
 * @since 0.1.0
 * @category models
 */
export type SourceStatus = "more-available" | "nothing-available" | "end-of-input"

/**
 * The head of a source task's chain.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOperator<out Out, out E = never> extends OperatorHooks<Out, E> {
  /** how many records it has emitted, for the metrics */
  readonly recordsRead: number
  /** emits one batch that is at hand; under the lock */
  readonly poll: (out: Output<Out>) => SourceStatus
  /** ends when `poll` is worth calling again; outside the lock, in a fiber of its own, interrupted when the task ends */
  readonly fetch: Effect.Effect<void, E>
}

/**
 * Any operator that a chain can hold behind its head.
 *
 * @since 0.1.0
 * @category models
 */
export type Operator<In, Out, E = never> = StreamOperator<In, Out, E> | PushOperator<In, Out, E>

/**
 * What an operator knows of the place in which it runs.
 *
 * @since 0.1.0
 * @category contexts
 */
export interface OperatorContext<in Out> {
  readonly job: string
  readonly vertex: string
  readonly name: string
  readonly uid: string
  readonly subtask: number
  readonly parallelism: number
  readonly maxParallelism: number
  readonly keyGroups: KeyGroupRange
  /** counts the starts of the job in this run, from 0 */
  readonly attempt: number
  /** names this attempt among all attempts of all runs of the job */
  readonly attemptId: string
  /** records a poll or batch holds at the most */
  readonly batchSize: number
  /** whether checkpoints are taken at an interval, so that a final one will come */
  readonly checkpointing: boolean
  readonly out: Output<Out>
  /** runs `action` under the lock, between two batches, soon */
  readonly execute: (action: () => HookResult<any>) => void
  /** runs an Effect in a fiber of the task, outside the lock; its failure fails the task; gives its interruption */
  readonly fork: (effect: Effect.Effect<void, any>) => () => void
  /** whether the task takes no input because those behind it take no more */
  readonly isBackpressured: () => boolean
  /** adds to a counter that the job's metrics show */
  readonly count: (name: string, n?: number) => void
  readonly processingTime: ProcessingTimeService
  /** makes a function, of these parameters, whose emissions run into the code of the operators behind; `undefined` where no code is generated */
  readonly generate: (parameters: ReadonlyArray<string>, body: (code: EmitCode) => string) => ((...args: Array<any>) => void) | undefined
}

/**
 * The task's clock and its timers in processing time, milliseconds since the epoch. Callbacks run under the lock, ordered by time.
 *
 * @since 0.1.0
 * @category contexts
 */
export interface ProcessingTimeService {
  readonly now: () => number
  /** gives the timer's cancellation; once timers are quiesced, registering is legal and does nothing */
  readonly schedule: (at: number, callback: (at: number) => void) => () => void
}

/**
 * The current key of an operator with a keyed input.
 *
 * @since 0.1.0
 * @category contexts
 */
export interface KeyContext {
  /** the key as it stands in state tables */
  mapKey: MapKey
  /** the key as the user knows it */
  readonly key: unknown
  readonly setCurrentKey: (key: unknown) => void
  readonly setMapKey: (mapKey: MapKey) => void
  readonly fromMapKey: (mapKey: MapKey) => unknown
}

/**
 * State of an operator's subtask that belongs to no key.
 *
 * @since 0.1.0
 * @category contexts
 */
export interface OperatorListState<in out A> {
  readonly get: () => ReadonlyArray<A>
  readonly set: (items: ReadonlyArray<A>) => void
}

/**
 * Timers by key and namespace. One timer per (key, namespace, time); a timer is state and survives a restore (L7).
 *
 * @since 0.1.0
 * @category contexts
 */
export interface TimerService {
  readonly registerEventTime: (namespace: MapKey, time: number) => void
  readonly deleteEventTime: (namespace: MapKey, time: number) => void
  readonly registerProcessingTime: (namespace: MapKey, time: number) => void
  readonly deleteProcessingTime: (namespace: MapKey, time: number) => void
  readonly currentWatermark: () => number
  readonly currentProcessingTime: () => number
  readonly counts: () => { readonly eventTime: number; readonly processingTime: number }
}

/**
 * A timer that fires. The current key is the timer's.
 *
 * @since 0.1.0
 * @category contexts
 */
export interface FiredTimer {
  readonly namespace: MapKey
  readonly timestamp: number
  readonly domain: "event-time" | "processing-time"
}

/**
 * Where an operator registers its state.
 *
 * @since 0.1.0
 * @category contexts
 */
export interface StateContext {
  /** the checkpoint or savepoint from which this operator was restored */
  readonly restoredCheckpointId: number | undefined
  readonly keys: KeyContext
  /** keyed state by name; fails with `StateIncompatible` where what is stored cannot be read */
  readonly keyed: <Handle>(name: string, descriptor: Descriptor<Handle>) => Handle
  /** a bare table, for operators that manage namespaces themselves */
  readonly table: <V>(name: string, schema: Schema.Schema<V, any> | undefined) => StateTable<V>
  readonly list: <A>(
    name: string,
    schema: Schema.Schema<A, any> | undefined,
    redistribution?: Redistribution
  ) => OperatorListState<A>
  readonly timers: (name: string, onTimer: (timer: FiredTimer) => void) => TimerService
}

/**
 * One snapshot of one operator.
 *
 * @since 0.1.0
 * @category contexts
 */
export interface SnapshotContext<in E = never> {
  readonly checkpointId: number
  /** adds work that need not hold the lock; the checkpoint is acknowledged after it, and declined if it fails */
  readonly defer: (effect: Effect.Effect<void, E>) => void
}
