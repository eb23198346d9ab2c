/**
 * Keyed state in memory, with snapshots that never stop the task: namespace -> key -> entry, and a version beside each value.
 *
 * Taking a snapshot raises the version, in constant time. An entry of an older version is copied into every open snapshot that lacks it
 * before it is handed out for writing; a cursor walks the rest in slices. Open snapshots go on walking a namespace that was dropped.
 *
 * V1. A snapshot holds exactly the entries, with exactly the values, that the table held when the snapshot was taken.
 * V2. Each entry is stored once per snapshot.
 * V3. Without an open snapshot a write costs one comparison of integers.
 *
 * @since 0.1.0
 */
import type { MapKey } from "../KeyGroup.js"
import type { Codec } from "./Codec.js"
import { pack, unpack } from "./Codec.js"

/** The namespace of a state that has only one. */
export const NO_NAMESPACE = null

/** How many entries a chunk of a snapshot holds at the most. */
export const CHUNK_ENTRIES = 512

/** A value and the version of the last snapshot that has it, or in which it was born. */
export class Entry<V> {
  constructor(public value: V, public version: number) {}
}

/** One key's entries in one namespace. */
export type Pane<V> = Map<MapKey, Entry<V>>

/**
 * A table of one state of one subtask.
 */
export class StateTable<V> {
  readonly panes = new Map<MapKey, Pane<V>>()
  /** the pane of `NO_NAMESPACE`, for states that have no namespaces */
  readonly only: Pane<V> = new Map()
  /** @internal read by generated code */
  version = 1
  /** panes that were dropped while a snapshot held them, and the version of that time: no later snapshot has them */
  private readonly dropped = new Map<Pane<V>, number>()
  private open: Array<TableSnapshot<V>> = []

  constructor(readonly codec: Codec<V>) {
    this.panes.set(NO_NAMESPACE, this.only)
  }

  /** The entry of a key for reading and writing, saved for the open snapshots. Hot. */
  entry(pane: Pane<V>, namespace: MapKey, key: MapKey): Entry<V> | undefined {
    const entry = pane.get(key)
    if (entry !== undefined && entry.version !== this.version) this.save(namespace, key, entry)
    return entry
  }

  /** Puts a new entry; the key must not be there. */
  insert(pane: Pane<V>, key: MapKey, value: V): Entry<V> {
    const entry = new Entry(value, this.version)
    pane.set(key, entry)
    return entry
  }

  set(pane: Pane<V>, namespace: MapKey, key: MapKey, value: V): void {
    const entry = this.entry(pane, namespace, key)
    if (entry === undefined) pane.set(key, new Entry(value, this.version))
    else entry.value = value
  }

  delete(pane: Pane<V>, namespace: MapKey, key: MapKey): void {
    if (this.entry(pane, namespace, key) !== undefined) pane.delete(key)
  }

  pane(namespace: MapKey): Pane<V> | undefined {
    return this.panes.get(namespace)
  }

  paneOrNew(namespace: MapKey): Pane<V> {
    let pane = this.panes.get(namespace)
    if (pane === undefined) this.panes.set(namespace, pane = new Map())
    return pane
  }

  /** Drops a namespace whole; what it held may still be read, but no more be written: open snapshots go on walking it. */
  drop(namespace: MapKey): void {
    const pane = this.panes.get(namespace)
    if (pane !== undefined && this.open.length > 0) this.dropped.set(pane, this.version)
    this.panes.delete(namespace)
  }

  /** Moves a namespace to another table. */
  move(namespace: MapKey, to: StateTable<V>): void {
    const pane = this.panes.get(namespace)
    if (pane === undefined) return
    if (this.open.length > 0) { for (const [key, entry] of pane) if (entry.version !== this.version) this.save(namespace, key, entry) }
    this.panes.delete(namespace)
    const target = to.paneOrNew(namespace)
    for (const [key, entry] of pane) to.set(target, namespace, key, entry.value)
  }

  get size(): number {
    let n = 0
    for (const pane of this.panes.values()) n += pane.size
    return n
  }

  /** The synchronous part of a snapshot: raises the version. */
  snapshot(): TableSnapshot<V> {
    this.version++
    const snapshot = new TableSnapshot(this, this.version)
    this.open.push(snapshot)
    return snapshot
  }

  /** Puts back the entries of a chunk whose key `accept` wants. */
  load(chunk: Uint8Array, accept: (key: MapKey) => boolean): void {
    const { keys, namespaces, values } = unpack(chunk) as Chunk
    for (let i = 0; i < keys.length; i++) {
      if (!accept(keys[i])) continue
      const namespace = Array.isArray(namespaces) ? namespaces[i] : namespaces
      this.set(this.paneOrNew(namespace), namespace, keys[i], this.codec.decode(values[i]))
    }
  }

  /** @internal */
  close(snapshot: TableSnapshot<V>): void {
    this.open = this.open.filter((other) => other !== snapshot)
    if (this.open.length === 0) this.dropped.clear()
  }

  /** @internal the walk of one snapshot reached an entry that it lacks */
  visit(snapshot: TableSnapshot<V>, pane: Pane<V>, namespace: MapKey, key: MapKey, entry: Entry<V>): void {
    if (this.open.length > 1) return this.save(namespace, key, entry, this.dropped.get(pane))
    snapshot.keep(namespace, key, this.codec.encode(entry.value))
    entry.version = this.version
  }

  /** @internal gives the value to every open snapshot that lacks it, of those taken up to a version */
  save(namespace: MapKey, key: MapKey, entry: Entry<V>, upTo = Infinity): void {
    for (const snapshot of this.open) {
      if (snapshot.version > entry.version && snapshot.version <= upTo) snapshot.keep(namespace, key, this.codec.copy(entry.value))
    }
    entry.version = this.version
  }
}

interface Chunk {
  /** one namespace for all, or one for each */
  readonly namespaces: MapKey | Array<MapKey>
  readonly keys: Array<MapKey>
  readonly values: Array<unknown>
}

/**
 * The walk over what a table held when the snapshot was taken, chunk by chunk.
 */
export class TableSnapshot<V> {
  private readonly pending: Array<readonly [MapKey, Pane<V>]>
  private cursor: Iterator<[MapKey, Entry<V>]> | undefined
  private pane!: Pane<V>
  private namespace: MapKey = NO_NAMESPACE
  private namespaces: Array<MapKey> = []
  private keys: Array<MapKey> = []
  private values: Array<unknown> = []
  entries = 0

  constructor(private readonly table: StateTable<V>, readonly version: number) {
    this.pending = Array.from(table.panes)
  }

  /** @internal */
  keep(namespace: MapKey, key: MapKey, value: unknown): void {
    this.namespaces.push(namespace)
    this.keys.push(key)
    this.values.push(value)
    this.entries++
  }

  /** The next chunk, or `undefined` at the end. Nothing else may run between the visit of an entry and the packing of its chunk. */
  next(): Uint8Array | undefined {
    while (this.keys.length < CHUNK_ENTRIES) {
      if (this.cursor === undefined) {
        const pane = this.pending.pop()
        if (pane === undefined) break
        this.namespace = pane[0]
        this.pane = pane[1]
        this.cursor = this.pane.entries()
      }
      const step = this.cursor.next()
      if (step.done === true) {
        this.cursor = undefined
        continue
      }
      const [key, entry] = step.value
      if (entry.version < this.version) this.table.visit(this, this.pane, this.namespace, key, entry)
    }
    if (this.keys.length === 0) {
      this.table.close(this)
      return undefined
    }
    // more than a chunk only where that much was saved meanwhile: copies, which may wait for the next one
    const namespaces = this.namespaces.splice(0, CHUNK_ENTRIES)
    const [first] = namespaces
    const chunk: Chunk = {
      namespaces: namespaces.every((other) => other === first) ? first : namespaces,
      keys: this.keys.splice(0, CHUNK_ENTRIES),
      values: this.values.splice(0, CHUNK_ENTRIES)
    }
    return pack(chunk)
  }

  /** Gives the walk up. */
  cancel(): void {
    this.table.close(this)
  }
}
