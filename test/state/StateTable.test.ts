import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc, Schema } from "effect"
import type { KeyGroup } from "sluice"
import type { Codec } from "../../src/state/Codec.js"
import { fromSchema, unpack } from "../../src/state/Codec.js"
import type { TableSnapshot } from "../../src/state/StateTable.js"
import { CHUNK_ENTRIES, NO_NAMESPACE, StateTable } from "../../src/state/StateTable.js"

type MapKey = KeyGroup.MapKey

/** a value that is changed in place */
interface Value {
  n: number
  readonly list: Array<number>
  at: Date
}

const list = Schema.mutable(Schema.Array(Schema.Number))
/** plain data: what is encoded is the value itself */
const identityCodec: Codec<Value> = fromSchema(Schema.mutable(Schema.Struct({ n: Schema.Number, list, at: Schema.DateFromSelf })))
/** the date becomes a string: every value is encoded anew */
const transformingCodec: Codec<Value> = fromSchema(Schema.mutable(Schema.Struct({ n: Schema.Number, list, at: Schema.Date })))
const codecs = { identity: identityCodec, transforming: transformingCodec }
const codecName = fc.constantFrom("identity" as const, "transforming" as const)

/** namespace, key, value: one line for each entry, so that contents can be compared whatever their order */
const line = (namespace: MapKey, key: MapKey, { at, list, n }: Value): string =>
  `${String(namespace)} ${typeof key} ${String(key)} = ${n} ${list.join()} ${at.getTime()}`

interface Chunk {
  readonly namespaces: MapKey | ReadonlyArray<MapKey>
  readonly keys: ReadonlyArray<MapKey>
  readonly values: ReadonlyArray<unknown>
}

const linesOf = (bytes: Uint8Array, codec: Codec<Value>): ReadonlyArray<string> => {
  const { keys, namespaces, values } = unpack(bytes) as Chunk
  assert.strictEqual(values.length, keys.length)
  return keys.map((key, i) => line(Array.isArray(namespaces) ? namespaces[i] : namespaces, key, codec.decode(values[i])))
}

/** walks a snapshot to its end */
const drain = <V>(snapshot: TableSnapshot<V>): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let chunk = snapshot.next(); chunk !== undefined; chunk = snapshot.next()) chunks.push(chunk)
  return chunks
}

/** what tables should hold, as it would be without snapshots: namespace and key to value */
type Model = Map<MapKey, Map<MapKey, Value>>

const contents = (model: Model): ReadonlyArray<string> =>
  Array.from(model).flatMap(([namespace, pane]) => Array.from(pane, ([key, value]) => line(namespace, key, value))).sort()

type Namespace = null | number | string

type Command =
  | { readonly _tag: "set"; readonly table: number; readonly namespace: Namespace; readonly key: number; readonly n: number }
  | { readonly _tag: "change"; readonly table: number; readonly namespace: Namespace; readonly key: number; readonly n: number }
  | { readonly _tag: "insert"; readonly table: number; readonly namespace: Namespace; readonly key: number; readonly n: number }
  | { readonly _tag: "delete"; readonly table: number; readonly namespace: Namespace; readonly key: number }
  | { readonly _tag: "drop"; readonly table: number; readonly namespace: Namespace }
  | { readonly _tag: "move"; readonly table: number; readonly namespace: Namespace }
  | {
    readonly _tag: "many"
    readonly table: number
    readonly what: "set" | "change" | "delete"
    readonly from: number
    readonly count: number
  }
  | { readonly _tag: "snapshot"; readonly table: number }
  | { readonly _tag: "walk"; readonly snapshot: number; readonly chunks: number }
  | { readonly _tag: "cancel"; readonly snapshot: number }

const table = fc.constantFrom(0, 0, 0, 1)
const windows = fc.constantFrom<Namespace>(10, 10, "session")
const namespace = fc.oneof(fc.constant(NO_NAMESPACE), windows)
const n = fc.integer({ min: -9, max: 9 })

const commands = (keys: number, maxLength: number): fc.Arbitrary<Array<Command>> => {
  const key = fc.nat({ max: keys - 1 })
  return fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ _tag: fc.constant("set" as const), table, namespace, key, n }) },
      { weight: 6, arbitrary: fc.record({ _tag: fc.constant("change" as const), table, namespace, key, n }) },
      { weight: 3, arbitrary: fc.record({ _tag: fc.constant("insert" as const), table, namespace, key, n }) },
      { weight: 3, arbitrary: fc.record({ _tag: fc.constant("delete" as const), table, namespace, key }) },
      { weight: 2, arbitrary: fc.record({ _tag: fc.constant("drop" as const), table, namespace: windows }) },
      { weight: 2, arbitrary: fc.record({ _tag: fc.constant("move" as const), table, namespace: windows }) },
      {
        weight: keys > CHUNK_ENTRIES ? 4 : 0,
        arbitrary: fc.record({
          _tag: fc.constant("many" as const),
          table,
          what: fc.constantFrom("set" as const, "change" as const, "delete" as const),
          from: key,
          count: fc.nat({ max: CHUNK_ENTRIES + 9 })
        })
      },
      { weight: 2, arbitrary: fc.record({ _tag: fc.constant("snapshot" as const), table }) },
      {
        weight: 3,
        arbitrary: fc.record({ _tag: fc.constant("walk" as const), snapshot: fc.nat({ max: 9 }), chunks: fc.integer({ min: 1, max: 3 }) })
      },
      { weight: 1, arbitrary: fc.record({ _tag: fc.constant("cancel" as const), snapshot: fc.nat({ max: 9 }) }) }
    ) as fc.Arbitrary<Command>,
    { maxLength, size: "max" }
  )
}

const valueOf = (n: number): Value => ({ n, list: [n], at: new Date(n * 1000) })

const change = (value: Value, n: number): void => {
  value.n += n
  value.list.push(n)
  value.at.setTime(value.at.getTime() + n)
}

interface Taken {
  readonly snapshot: TableSnapshot<Value>
  readonly expected: ReadonlyArray<string>
  readonly found: Array<string>
  state: "walking" | "ended" | "canceled"
}

/** runs commands on two tables and on two models of them, and compares each snapshot with the model's contents at its start */
const run = (codecName: keyof typeof codecs, fill: number, commands: ReadonlyArray<Command>, order: ReadonlyArray<number>): void => {
  const codec = codecs[codecName]
  const tables = [new StateTable<Value>(codec), new StateTable<Value>(codec)]
  const models: ReadonlyArray<Model> = [new Map([[NO_NAMESPACE, new Map()]]), new Map([[NO_NAMESPACE, new Map()]])]
  const snapshots: Array<Taken> = []
  const paneOf = (t: number, namespace: Namespace) => namespace === NO_NAMESPACE ? tables[t].only : tables[t].paneOrNew(namespace)
  const modelOf = (t: number, namespace: Namespace) => {
    let pane = models[t].get(namespace)
    if (pane === undefined) models[t].set(namespace, pane = new Map())
    return pane
  }
  const set = (t: number, namespace: Namespace, key: number, n: number) => {
    modelOf(t, namespace).set(key, valueOf(n))
    tables[t].set(paneOf(t, namespace), namespace, key, valueOf(n))
  }
  const changeInPlace = (t: number, namespace: Namespace, key: number, n: number) => {
    const entry = tables[t].entry(paneOf(t, namespace), namespace, key)
    const value = modelOf(t, namespace).get(key)
    assert.strictEqual(entry === undefined, value === undefined)
    if (entry === undefined || value === undefined) return
    change(entry.value, n)
    change(value, n)
  }
  const remove = (t: number, namespace: Namespace, key: number) => {
    modelOf(t, namespace).delete(key)
    tables[t].delete(paneOf(t, namespace), namespace, key)
  }
  const walk = (taken: Taken, chunks: number) => {
    for (let i = 0; i < chunks && taken.state === "walking"; i++) {
      const chunk = taken.snapshot.next()
      if (chunk === undefined) taken.state = "ended"
      else taken.found.push(...linesOf(chunk, codec))
    }
  }
  for (let key = 0; key < fill; key++) set(0, key % 3 === 0 ? NO_NAMESPACE : 10, key, key)

  for (const command of commands) {
    switch (command._tag) {
      case "set":
        set(command.table, command.namespace, command.key, command.n)
        break
      case "change":
        changeInPlace(command.table, command.namespace, command.key, command.n)
        break
      case "insert":
        // its contract: the key is not there
        if (modelOf(command.table, command.namespace).has(command.key)) break
        modelOf(command.table, command.namespace).set(command.key, valueOf(command.n))
        tables[command.table].insert(paneOf(command.table, command.namespace), command.key, valueOf(command.n))
        break
      case "delete":
        remove(command.table, command.namespace, command.key)
        break
      case "drop":
        models[command.table].delete(command.namespace)
        tables[command.table].drop(command.namespace)
        break
      case "move": {
        const to = 1 - command.table
        const moved = models[command.table].get(command.namespace)
        if (moved === undefined || Array.from(moved.keys()).some((key) => models[to].get(command.namespace)?.has(key))) break
        models[command.table].delete(command.namespace)
        for (const [key, value] of moved) modelOf(to, command.namespace).set(key, value)
        tables[command.table].move(command.namespace, tables[to])
        break
      }
      case "many":
        for (let key = command.from; key < command.from + command.count; key++) {
          const namespace = key % 3 === 0 ? NO_NAMESPACE : 10
          if (command.what === "set") set(command.table, namespace, key, -key)
          else if (command.what === "change") changeInPlace(command.table, namespace, key, key)
          else remove(command.table, namespace, key)
        }
        break
      case "snapshot":
        snapshots.push({
          snapshot: tables[command.table].snapshot(),
          expected: contents(models[command.table]),
          found: [],
          state: "walking"
        })
        break
      case "walk":
        if (snapshots.length > 0) walk(snapshots[command.snapshot % snapshots.length], command.chunks)
        break
      case "cancel":
        if (snapshots.length > 0) {
          const taken = snapshots[command.snapshot % snapshots.length]
          if (taken.state !== "walking") break
          taken.state = "canceled"
          taken.snapshot.cancel()
        }
    }
  }
  // to their ends, a chunk at a time, in any order
  for (let i = 0;; i++) {
    const walking = snapshots.filter((taken) => taken.state === "walking")
    if (walking.length === 0) break
    walk(walking[order[i % order.length] % walking.length], 1)
  }
  snapshots.forEach(({ expected, found, snapshot, state }, i) => {
    if (state === "canceled") return
    assert.deepStrictEqual([...found].sort(), expected, `snapshot ${i}`)
    assert.strictEqual(snapshot.entries, found.length)
  })
  tables.forEach((table, t) => {
    const now = Array.from(table.panes).flatMap(([namespace, pane]) => Array.from(pane, ([key, { value }]) => line(namespace, key, value)))
    assert.deepStrictEqual(now.sort(), contents(models[t]))
    assert.strictEqual(table.size, now.length)
  })
}

const order = fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 10 })

/** counts what a codec is asked for */
const counting = () => {
  const counts = { encode: 0, copy: 0 }
  const codec: Codec<Value> = {
    ...identityCodec,
    encode: (value) => {
      counts.encode++
      return identityCodec.encode(value)
    },
    copy: (value) => {
      counts.copy++
      return identityCodec.copy(value)
    }
  }
  return { codec, counts }
}

const filled = (keys: number, codec: Codec<Value> = identityCodec): StateTable<Value> => {
  const table = new StateTable<Value>(codec)
  for (let key = 0; key < keys; key++) table.set(table.only, NO_NAMESPACE, key, valueOf(key))
  return table
}

const found = (snapshot: TableSnapshot<Value>): ReadonlyArray<string> =>
  drain(snapshot).flatMap((chunk) => linesOf(chunk, identityCodec)).sort()

describe("StateTable", () => {
  it("V1, V2: overlapping snapshots of few keys, walked at any pace, each hold what was there at their start, values changed in place included", () =>
    fc.assert(
      fc.property(codecName, commands(4, 60), order, (codec, commands, order) => run(codec, 0, commands, order)),
      { numRuns: 4_000 }
    ))

  it("V1, V2: the same with so many keys that a walk stops in the middle of a namespace", () =>
    fc.assert(
      fc.property(
        codecName,
        fc.constantFrom(CHUNK_ENTRIES - 1, CHUNK_ENTRIES, CHUNK_ENTRIES + 1, 2 * CHUNK_ENTRIES, 3 * CHUNK_ENTRIES + 1),
        commands(4 * CHUNK_ENTRIES, 14),
        order,
        run
      ),
      { numRuns: 100 }
    ))

  it("V1: a namespace that was dropped is in the snapshots taken before, not in one taken after, while the former is still walked", () => {
    const table = filled(1)
    table.set(table.paneOrNew(10), 10, "key", valueOf(1))
    const before = table.snapshot()
    table.drop(10)
    const after = table.snapshot()
    assert.deepStrictEqual(found(before), [line(10, "key", valueOf(1)), line(NO_NAMESPACE, 0, valueOf(0))])
    assert.deepStrictEqual(found(after), [line(NO_NAMESPACE, 0, valueOf(0))])
  })

  it("V1: what a move overwrites in the other table stays in that table's snapshots", () => {
    const from = new StateTable<Value>(identityCodec)
    const to = new StateTable<Value>(identityCodec)
    from.set(from.paneOrNew(10), 10, "key", valueOf(1))
    to.set(to.paneOrNew(10), 10, "key", valueOf(2))
    const snapshot = to.snapshot()
    from.move(10, to)
    assert.deepStrictEqual(found(snapshot), [line(10, "key", valueOf(2))])
  })

  it("V1: a snapshot of an empty table holds nothing, also when the table fills up meanwhile", () => {
    const table = filled(0)
    const snapshot = table.snapshot()
    table.set(table.only, NO_NAMESPACE, "key", valueOf(1))
    assert.isUndefined(snapshot.next())
    assert.strictEqual(snapshot.entries, 0)
  })

  it("V1: a key that is deleted and set again is in the snapshot once, with its old value", () => {
    const table = filled(2)
    const snapshot = table.snapshot()
    table.delete(table.only, NO_NAMESPACE, 0)
    table.set(table.only, NO_NAMESPACE, 0, valueOf(100))
    assert.deepStrictEqual(found(snapshot), [line(NO_NAMESPACE, 0, valueOf(0)), line(NO_NAMESPACE, 1, valueOf(1))])
  })

  it("a chunk holds at the most CHUNK_ENTRIES, also when many entries were saved between two steps of the walk", () => {
    const table = filled(3 * CHUNK_ENTRIES + 5)
    const snapshot = table.snapshot()
    for (let key = 0; key < 3 * CHUNK_ENTRIES; key++) change(table.entry(table.only, NO_NAMESPACE, key)!.value, 1)
    const sizes = drain(snapshot).map((chunk) => (unpack(chunk) as Chunk).keys.length)
    assert.strictEqual(sizes.reduce((a, b) => a + b), 3 * CHUNK_ENTRIES + 5)
    assert.isAtMost(Math.max(...sizes), CHUNK_ENTRIES)
  })

  it.each([CHUNK_ENTRIES - 1, CHUNK_ENTRIES, CHUNK_ENTRIES + 1])(
    "V2: %i entries make full chunks and at the most one that is not",
    (keys) => {
      const sizes = drain(filled(keys).snapshot()).map((chunk) => (unpack(chunk) as Chunk).keys.length)
      assert.deepStrictEqual(sizes, keys > CHUNK_ENTRIES ? [CHUNK_ENTRIES, keys - CHUNK_ENTRIES] : [keys])
    }
  )

  it("V3: without an open snapshot nothing is copied or encoded, also after one has ended or was canceled", () => {
    const { codec, counts } = counting()
    const table = filled(10, codec)
    const touch = () => {
      for (let key = 0; key < 10; key++) change(table.entry(table.only, NO_NAMESPACE, key)!.value, 1)
    }
    touch()
    assert.deepStrictEqual(counts, { encode: 0, copy: 0 })
    drain(table.snapshot())
    assert.deepStrictEqual(counts, { encode: 10, copy: 0 })
    touch()
    table.snapshot().cancel()
    touch()
    assert.deepStrictEqual(counts, { encode: 10, copy: 0 })
  })

  it("V2, V3: an entry is copied once for an open snapshot, however often it is written", () => {
    const { codec, counts } = counting()
    const table = filled(3, codec)
    const snapshot = table.snapshot()
    for (let i = 0; i < 5; i++) change(table.entry(table.only, NO_NAMESPACE, 1)!.value, i)
    drain(snapshot)
    assert.deepStrictEqual(counts, { encode: 2, copy: 1 })
  })

  it("V1: a snapshot that is given up does not disturb another one that is under way", () => {
    const table = filled(4)
    const first = table.snapshot()
    change(table.entry(table.only, NO_NAMESPACE, 0)!.value, 7)
    const second = table.snapshot()
    first.cancel()
    change(table.entry(table.only, NO_NAMESPACE, 0)!.value, 7)
    change(table.entry(table.only, NO_NAMESPACE, 3)!.value, 7)
    const once = valueOf(0)
    change(once, 7)
    assert.deepStrictEqual(
      found(second),
      [once, valueOf(1), valueOf(2), valueOf(3)].map((value, key) => line(NO_NAMESPACE, key, value)).sort()
    )
  })

  // ------------------------------------------------------------------------------------------------------------------------------------------

  const mapKey = fc.oneof(
    fc.string({ maxLength: 3 }),
    fc.integer({ min: -3, max: 3 }),
    fc.double(),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
    fc.constantFrom(null, undefined)
  ).map((key): MapKey => Object.is(key, -0) ? 0 : key)

  it("load gives back what a snapshot holds, keys of every type and namespaces included, less the keys that are not wanted", () =>
    fc.assert(
      fc.property(
        codecName,
        fc.array(fc.tuple(fc.oneof(fc.constantFrom<MapKey>(NO_NAMESPACE, 10), mapKey), mapKey, n), { maxLength: 30 }),
        fc.func(fc.boolean()),
        (codecName, entries, wanted) => {
          const codec = codecs[codecName]
          const model: Model = new Map([[NO_NAMESPACE, new Map()]])
          const from = new StateTable<Value>(codec)
          for (const [namespace, key, n] of entries) {
            from.set(from.paneOrNew(namespace), namespace, key, valueOf(n))
            if (!model.has(namespace)) model.set(namespace, new Map())
            model.get(namespace)!.set(key, valueOf(n))
          }
          for (const accept of [() => true, (key: MapKey) => wanted(typeof key, String(key))]) {
            const to = new StateTable<Value>(codec)
            for (const chunk of drain(from.snapshot())) to.load(chunk, accept)
            const now = Array.from(to.panes).flatMap(([namespace, pane]) =>
              Array.from(pane, ([key, { value }]) => line(namespace, key, value))
            )
            const expected = Array.from(
              model,
              ([namespace, pane]) => [namespace, new Map(Array.from(pane).filter(([key]) => accept(key)))] as const
            )
            assert.deepStrictEqual(now.sort(), contents(new Map(expected)))
          }
        }
      ),
      { numRuns: 1_500 }
    ))

  it("load puts the chunks of several subtasks together", () => {
    const to = new StateTable<Value>(identityCodec)
    const chunks = [0, 1].flatMap((subtask) => {
      const from = new StateTable<Value>(identityCodec)
      for (let key = subtask; key < 20; key += 2) from.set(from.paneOrNew(key % 3), key % 3, key, valueOf(key))
      return drain(from.snapshot())
    })
    for (const chunk of chunks) to.load(chunk, () => true)
    const now = Array.from(to.panes).flatMap(([namespace, pane]) => Array.from(pane, ([key, { value }]) => line(namespace, key, value)))
    assert.deepStrictEqual(now.sort(), Array.from({ length: 20 }, (_, key) => line(key % 3, key, valueOf(key))).sort())
  })

  it("what was loaded is no part of a snapshot twice, and is changed without changing the chunk it came from", () => {
    const chunks = drain(filled(3).snapshot())
    const table = new StateTable<Value>(identityCodec)
    for (const chunk of chunks) table.load(chunk, () => true)
    for (let key = 0; key < 3; key++) change(table.entry(table.only, NO_NAMESPACE, key)!.value, 1)
    assert.deepStrictEqual(
      chunks.flatMap((chunk) => linesOf(chunk, identityCodec)),
      [0, 1, 2].map((key) => line(NO_NAMESPACE, key, valueOf(key)))
    )
    assert.strictEqual(found(table.snapshot()).length, 3)
  })
})
