/**
 * The state of one operator's subtask: keyed tables, operator lists and timers, registered in `initializeState`, restored at once, snapshotted together.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { OperatorPhase, Redistribution, StateDescription } from "../Checkpoint.js"
import type { KeyGroupRange, MapKey } from "../KeyGroup.js"
import * as KeyGroup from "../KeyGroup.js"
import type { Descriptor } from "../State.js"
import * as Codec from "../state/Codec.js"
import { codecOf, handleOf } from "../state/KeyedState.js"
import * as Shape from "../state/Shape.js"
import type { StateTable, TableSnapshot } from "../state/StateTable.js"
import type { KeyedBackend } from "../StateBackend.js"
import { StateIncompatible } from "../StreamError.js"
import type { FiredTimer, OperatorListState, ProcessingTimeService, StateContext } from "../StreamOperator.js"
import { turn } from "./EventLoop.js"
import type { CurrentKey } from "./KeyContext.js"
import type { OperatorRestore } from "./OperatorRestore.js"
import { KeyedTimers, timersCodec } from "./TimerService.js"

interface ListState {
  readonly redistribution: Redistribution
  readonly codec: Codec.Codec<any>
  items: ReadonlyArray<any>
}

/** Where a snapshot is written: the description of a state, then its chunks, state after state. */
interface SnapshotSink<E> {
  readonly begin: (state: Omit<StateDescription, "entries">) => Effect.Effect<void, E>
  readonly chunk: (bytes: Uint8Array) => Effect.Effect<void, E>
}

/** A snapshot whose synchronous part is done. */
export interface PendingSnapshot {
  readonly uid: string
  readonly phase: OperatorPhase
  /** walks, encodes and writes what is left, giving the event loop a turn between slices */
  readonly write: <E>(sink: SnapshotSink<E>) => Effect.Effect<ReadonlyArray<StateDescription>, E>
  readonly cancel: () => void
}

const lateCodec = Codec.make<unknown>(undefined)

/** How long a writer of snapshots works before it gives the event loop a turn, in milliseconds. */
const SLICE_MS = 2

/** How many chunks it encodes at the most before that, also where the clock stands still. */
const SLICE_CHUNKS = 16

/** Owns the state of one operator's subtask. */
export class OperatorState implements StateContext {
  private readonly tables = new Map<string, StateTable<any>>()
  private readonly lists = new Map<string, ListState>()
  private readonly lates = new Map<string, (checkpointId: number) => ReadonlyArray<unknown>>()
  readonly restoredCheckpointId: number | undefined

  constructor(
    private readonly uid: string,
    readonly keys: CurrentKey,
    private readonly backend: KeyedBackend,
    private readonly clock: ProcessingTimeService,
    private readonly restore: OperatorRestore | undefined,
    private readonly keyGroups: KeyGroupRange,
    private readonly maxParallelism: number,
    private readonly onTimers: (timers: KeyedTimers) => void
  ) {
    this.restoredCheckpointId = restore?.checkpointId
  }

  readonly keyed = <Handle>(name: string, descriptor: Descriptor<Handle>): Handle =>
    handleOf(descriptor, this.register(name, codecOf(descriptor)), this.keys)

  readonly table: StateContext["table"] = (name, schema) => this.register(name, Codec.make(schema, this.where(name)))

  readonly list = <A>(
    name: string,
    schema: Schema.Schema<A, any> | undefined,
    redistribution: Redistribution = "split"
  ): OperatorListState<A> => {
    const codec = Codec.make(schema, this.where(name))
    const stored = this.restore?.lists.get(name)
    if (stored !== undefined) this.check(name, stored.shape, codec.shape)
    const state: ListState = { redistribution, codec, items: stored?.items.map(codec.decode) ?? [] }
    this.lists.set(name, state)
    return {
      get: () => state.items,
      set: (items) => {
        state.items = items
      }
    }
  }

  /** State that is asked for when a snapshot is written, by the id of its checkpoint; gives what was restored. */
  late(name: string, items: (checkpointId: number) => ReadonlyArray<unknown>): ReadonlyArray<unknown> {
    this.lates.set(name, items)
    return this.restore?.lists.get(name)?.items.map(lateCodec.decode) ?? []
  }

  readonly timers = (name: string, onTimer: (timer: FiredTimer) => void): KeyedTimers => {
    const timers = new KeyedTimers(this.register(`timers:${name}`, timersCodec), this.keys, this.clock, onTimer)
    this.onTimers(timers)
    return timers
  }

  /** The synchronous part of a snapshot: constant time for each table. */
  snapshot(phase: OperatorPhase, checkpointId: number): PendingSnapshot {
    const lists = Array.from(this.lists, ([name, { codec, items, redistribution }]) => ({
      state: { name, kind: "operator", redistribution, shape: codec.shape, entries: items.length } as const,
      bytes: items.length === 0 ? undefined : Codec.pack(items.map(codec.encode))
    }))
    const { lates } = this
    const tables = Array.from(this.tables, ([name, table]) => ({
      state: { name, kind: "keyed", redistribution: "split", shape: table.codec.shape } as const,
      snapshot: table.snapshot()
    }))
    return {
      uid: this.uid,
      phase,
      cancel: () => tables.forEach(({ snapshot }) => snapshot.cancel()),
      write: <E>(sink: SnapshotSink<E>) =>
        Effect.gen(function*() {
          const written: Array<StateDescription> = []
          for (const { bytes, state } of lists) {
            if (bytes === undefined) continue
            yield* sink.begin(state)
            yield* sink.chunk(bytes)
            written.push(state)
          }
          for (const [name, itemsOf] of lates) {
            const items = itemsOf(checkpointId)
            if (items.length === 0) continue
            const state = { name, kind: "operator", redistribution: "union", shape: lateCodec.shape, entries: items.length } as const
            yield* sink.begin(state)
            yield* sink.chunk(Codec.pack(items.map(lateCodec.encode)))
            written.push(state)
          }
          for (const { snapshot, state } of tables) {
            yield* writeTable(snapshot, Effect.suspend(() => sink.begin(state)), sink.chunk)
            if (snapshot.entries > 0) written.push({ ...state, entries: snapshot.entries })
          }
          return written
        })
    }
  }

  private where(state: string): string {
    return `operator ${this.uid}, state ${state}`
  }

  private register<V>(name: string, codec: Codec.Codec<V>): StateTable<V> {
    if (this.tables.has(name)) throw new Error(`operator ${this.uid}: state "${name}" is registered twice`)
    const table = this.backend.table(name, codec)
    this.tables.set(name, table)
    const stored = this.restore?.keyed.get(name)
    if (stored !== undefined) {
      this.check(name, stored.shape, codec.shape)
      const accept = this.restore!.filter
        ? (key: MapKey) => KeyGroup.contains(this.keyGroups, KeyGroup.of(key, this.maxParallelism))
        : () => true
      for (const chunk of stored.chunks) table.load(chunk, accept)
    }
    return table
  }

  private check(state: string, stored: Shape.Shape, wanted: Shape.Shape): void {
    const difference = Shape.difference(stored, wanted)
    if (difference !== undefined) throw new StateIncompatible({ operator: this.uid, state, ...difference })
  }
}

/** walks a table in slices; what is encoded is appended chunk by chunk */
const writeTable = <E>(
  snapshot: TableSnapshot<any>,
  begin: Effect.Effect<void, E>,
  append: (bytes: Uint8Array) => Effect.Effect<void, E>
): Effect.Effect<void, E> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    let chunk = snapshot.next()
    if (chunk !== undefined) yield* begin
    while (chunk !== undefined) {
      const until = clock.unsafeCurrentTimeMillis() + SLICE_MS
      const chunks: Array<Uint8Array> = []
      while (chunk !== undefined && chunks.length < SLICE_CHUNKS) {
        chunks.push(chunk)
        chunk = snapshot.next()
        if (clock.unsafeCurrentTimeMillis() >= until) break
      }
      for (const bytes of chunks) yield* append(bytes)
      yield* turn
    }
  })
