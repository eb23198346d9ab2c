/**
 * The handles of keyed state over state tables: each means the current key of its operator.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { MapKey } from "../KeyGroup.js"
import type * as State from "../State.js"
import * as Codec from "./Codec.js"
import * as KeyCodec from "./KeyCodec.js"
import type { StateTable } from "./StateTable.js"
import { NO_NAMESPACE } from "./StateTable.js"

/** The part of a key context that handles need. */
export interface CurrentKey {
  readonly mapKey: MapKey
}

const listCodec = <A>(schema: Schema.Schema<A, any>): Codec.Codec<Array<A>> => {
  const item = Codec.fromSchema(schema)
  return {
    shape: { kind: "tuple", items: [], rest: item.shape },
    encode: (items) => items.map(item.encode),
    decode: (stored) => (stored as Array<unknown>).map(item.decode),
    copy: (items) => items.map(item.copy)
  }
}

const mapCodec = <V>(key: Schema.Schema<any, any>, value: Schema.Schema<V, any>): Codec.Codec<Map<MapKey, V>> => {
  const keys = Codec.fromSchema(key)
  const values = Codec.fromSchema(value)
  const pairs = (f: (value: V) => unknown) => (map: Map<MapKey, V>) => Array.from(map, ([k, v]) => [k, f(v)])
  return {
    shape: { kind: "named", name: "map", of: [keys.shape, values.shape] },
    encode: pairs(values.encode),
    decode: (stored) => new Map((stored as Array<[MapKey, unknown]>).map(([k, v]) => [k, values.decode(v)])),
    copy: pairs(values.copy)
  }
}

/** The codec of what a descriptor's table holds for a key. */
export const codecOf = (descriptor: State.Descriptor<any>): Codec.Codec<any> => {
  switch (descriptor._tag) {
    case "ValueState":
      return Codec.fromSchema(descriptor.schema)
    case "ListState":
      return listCodec(descriptor.schema)
    case "MapState":
      return mapCodec(descriptor.key, descriptor.value)
    case "AggregatingState":
      return Codec.fromSchema(descriptor.aggregator.accumulator)
  }
}

/** The handle of a descriptor over its table. */
export const handleOf = <Handle>(descriptor: State.Descriptor<Handle>, table: StateTable<any>, current: CurrentKey): Handle => {
  switch (descriptor._tag) {
    case "ValueState":
      return valueHandle(table, current, descriptor.default) as Handle
    case "ListState":
      return listHandle(table, current) as Handle
    case "MapState":
      return mapHandle(table, current, KeyCodec.make(descriptor.key)) as Handle
    case "AggregatingState":
      return aggregatingHandle(table, current, descriptor.aggregator) as Handle
  }
}

const valueHandle = (table: StateTable<any>, current: CurrentKey, initial: unknown): State.ValueState<any, any> => {
  const pane = table.only
  const get = () => {
    const entry = table.entry(pane, NO_NAMESPACE, current.mapKey)
    return entry === undefined ? initial : entry.value
  }
  const set = (value: unknown) => table.set(pane, NO_NAMESPACE, current.mapKey, value)
  return {
    get,
    set,
    update: (f) => set(f(get())),
    clear: () => table.delete(pane, NO_NAMESPACE, current.mapKey)
  }
}

const listHandle = (table: StateTable<Array<any>>, current: CurrentKey): State.ListState<any> => {
  const pane = table.only
  const items = (): Array<any> => {
    const entry = table.entry(pane, NO_NAMESPACE, current.mapKey)
    return entry === undefined ? table.insert(pane, current.mapKey, []).value : entry.value
  }
  const clear = () => table.delete(pane, NO_NAMESPACE, current.mapKey)
  return {
    get: () => table.entry(pane, NO_NAMESPACE, current.mapKey)?.value.slice() ?? [],
    add: (value) => {
      items().push(value)
    },
    addAll: (values) => {
      const into = items()
      for (const value of values) into.push(value)
    },
    set: (values) => {
      const next = Array.from(values)
      if (next.length === 0) clear()
      else table.set(pane, NO_NAMESPACE, current.mapKey, next)
    },
    clear
  }
}

const mapHandle = (
  table: StateTable<Map<MapKey, any>>,
  current: CurrentKey,
  codec: KeyCodec.KeyCodec<any>
): State.MapState<any, any> => {
  const pane = table.only
  const find = () => table.entry(pane, NO_NAMESPACE, current.mapKey)?.value
  const clear = () => table.delete(pane, NO_NAMESPACE, current.mapKey)
  return {
    get: (key) => find()?.get(codec.toMapKey(key)),
    set: (key, value) => {
      const map = find() ?? table.insert(pane, current.mapKey, new Map()).value
      map.set(codec.toMapKey(key), value)
    },
    has: (key) => find()?.has(codec.toMapKey(key)) ?? false,
    delete: (key) => {
      const map = find()
      if (map !== undefined && map.delete(codec.toMapKey(key)) && map.size === 0) clear()
    },
    entries: () => Array.from(find() ?? [], ([key, value]) => [codec.fromMapKey(key), value] as const),
    keys: () => Array.from(find()?.keys() ?? [], codec.fromMapKey),
    values: () => Array.from(find()?.values() ?? []),
    size: () => find()?.size ?? 0,
    clear
  }
}

const aggregatingHandle = (
  table: StateTable<any>,
  current: CurrentKey,
  aggregator: { readonly init: () => any; readonly add: (acc: any, value: any) => any; readonly result: (acc: any) => any }
): State.AggregatingState<any, any> => {
  const pane = table.only
  return {
    get: () => {
      const entry = table.entry(pane, NO_NAMESPACE, current.mapKey)
      return entry === undefined ? undefined : aggregator.result(entry.value)
    },
    add: (value) => {
      const entry = table.entry(pane, NO_NAMESPACE, current.mapKey)
      if (entry === undefined) table.insert(pane, current.mapKey, aggregator.add(aggregator.init(), value))
      else entry.value = aggregator.add(entry.value, value)
    },
    clear: () => table.delete(pane, NO_NAMESPACE, current.mapKey)
  }
}
