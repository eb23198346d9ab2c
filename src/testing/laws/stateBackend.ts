/**
 * The laws of state backends, checked against a plain model: a Map of namespaces of keys.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FC from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as KeyGroup from "../../KeyGroup.js"
import type { MapKey } from "../../KeyGroup.js"
import * as Codec from "../../state/Codec.js"
import type { StateTable, TableSnapshot } from "../../state/StateTable.js"
import { StateBackend } from "../../StateBackend.js"
import type { Law, RunOptions } from "./check.js"
import { alike, check, demand, show, Violation } from "./check.js"
import type { LawBroken } from "./LawBroken.js"

const MODEL: Law = { law: "B1", rule: "a table gives back what was put into it, by namespace and key, and nothing that was deleted" }
const APART: Law = { law: "B2", rule: "tables of other states, operators and subtasks are others" }
const SNAPSHOT: Law = { law: "V1", rule: "a snapshot holds exactly what the table held when it was taken, each entry once" }
const RESCALE: Law = { law: "B3", rule: "a snapshot is restored into any number of subtasks, each with the keys of its key groups" }

/** a value that is changed in place, as accumulators are */
interface Value {
  readonly items: Array<number>
}

const codec: Codec.Codec<Value> = Codec.fromSchema(
  Schema.Struct({ items: Schema.mutable(Schema.Array(Schema.Number)) }) as Schema.Schema<Value, any>
)

type Command =
  | {
    readonly _tag: "put" | "change" | "delete"
    readonly table: number
    readonly namespace: MapKey
    readonly key: MapKey
    readonly n: number
  }
  | { readonly _tag: "drop"; readonly table: number; readonly namespace: MapKey }
  | { readonly _tag: "snapshot" | "cancel" | "next" | "read"; readonly table: number }
  | { readonly _tag: "restore"; readonly table: number; readonly parallelism: number }

const TABLES = [
  { operator: { job: "laws", uid: "a", subtask: 0 }, state: "x" },
  { operator: { job: "laws", uid: "a", subtask: 0 }, state: "y" },
  { operator: { job: "laws", uid: "a", subtask: 1 }, state: "x" },
  { operator: { job: "laws", uid: "b", subtask: 0 }, state: "x" },
  { operator: { job: "other", uid: "a", subtask: 0 }, state: "x" }
] as const

const namespace: FC.Arbitrary<MapKey> = FC.constantFrom(null, 10, 20, "w")
const key: FC.Arbitrary<MapKey> = FC.constantFrom<Array<MapKey>>(0, 1, 2, "a", "b", true, 7n, 1.5)

const commands: FC.Arbitrary<ReadonlyArray<Command>> = (() => {
  const table = FC.oneof({ weight: 4, arbitrary: FC.constant(0) }, { weight: 1, arbitrary: FC.nat(TABLES.length - 1) })
  const n = FC.nat(99)
  return FC.array(
    FC.oneof<Array<FC.WeightedArbitrary<Command>>>(
      { weight: 8, arbitrary: FC.record({ _tag: FC.constantFrom("put", "put", "change", "delete"), table, namespace, key, n }) },
      {
        weight: 1,
        arbitrary: FC.record({ _tag: FC.constant("drop" as const), table, namespace: FC.constantFrom<Array<MapKey>>(10, 20, "w") })
      },
      { weight: 4, arbitrary: FC.record({ _tag: FC.constantFrom("snapshot", "next", "next", "read", "cancel"), table }) },
      { weight: 1, arbitrary: FC.record({ _tag: FC.constant("restore" as const), table, parallelism: FC.integer({ min: 1, max: 3 }) }) }
    ),
    { maxLength: 40, size: "max" }
  )
})()

const showKey = (key: MapKey): string => key === null ? "none" : typeof key === "string" ? key : show(key)

const showCommand = (command: Command): string => {
  const { operator, state } = TABLES[command.table]
  const where = command.table === 0 ? "" : ` in ${operator.job}/${operator.uid}[${operator.subtask}].${state}`
  switch (command._tag) {
    case "put":
    case "change":
      return `${command._tag} ${showKey(command.namespace)}/${showKey(command.key)} ${command.n}${where}`
    case "delete":
      return `delete ${showKey(command.namespace)}/${showKey(command.key)}${where}`
    case "drop":
      return `drop ${showKey(command.namespace)}${where}`
    case "restore":
      return `restore at parallelism ${command.parallelism}${where}`
    default:
      return `${command._tag}${where}`
  }
}

/** entries by namespace and key */
type Content = Map<MapKey, Map<MapKey, ReadonlyArray<number>>>

const copyOf = (content: Content): Content => new Map(Array.from(content, ([namespace, keys]) => [namespace, new Map(keys)]))

/** the same as rows that can be compared */
const rowsOf = (content: Content): ReadonlyArray<string> =>
  Array.from(
    content,
    ([namespace, keys]) => Array.from(keys, ([key, items]) => `${showKey(namespace)}/${typeof key} ${showKey(key)}: ${items.join()}`)
  )
    .flat().sort()

const contentOf = (table: StateTable<Value>): Content =>
  new Map(
    Array.from(table.panes, ([namespace, pane]) => [namespace, new Map(Array.from(pane, ([key, { value }]) => [key, value.items.slice()]))])
  )

interface Walk {
  readonly snapshot: TableSnapshot<Value>
  readonly expected: Content
  readonly chunks: Array<Uint8Array>
}

const MAX_PARALLELISM = 16

class Run {
  private readonly tables: Array<{ readonly table: StateTable<Value>; readonly model: Content; walks: Array<Walk> }> = []
  private fresh = 0

  /** a backend may still hold what an earlier script left in jobs of its name */
  constructor(private readonly backend: StateBackend["Type"], private readonly name: string) {}

  readonly start = Effect.gen(this, function*() {
    for (const { operator, state } of TABLES) {
      // one operator's states are opened once
      const opened = yield* this.open(operator)
      this.tables.push({ table: opened(state), model: new Map(), walks: [] })
    }
  })

  private readonly operators = new Map<string, (state: string) => StateTable<Value>>()

  private open(operator: typeof TABLES[number]["operator"]) {
    return Effect.gen(this, function*() {
      const id = JSON.stringify(operator)
      const known = this.operators.get(id)
      if (known !== undefined) return known
      const backend = yield* this.backend.open({ ...operator, job: `${this.name}-${operator.job}` })
      const table = (state: string) => backend.table(state, codec)
      this.operators.set(id, table)
      return table
    })
  }

  command(command: Command): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const each = this.tables[command.table]
      const { model, table } = each
      switch (command._tag) {
        case "put": {
          table.set(table.paneOrNew(command.namespace), command.namespace, command.key, { items: [command.n] })
          const keys = model.get(command.namespace) ?? new Map<MapKey, ReadonlyArray<number>>()
          model.set(command.namespace, keys)
          keys.set(command.key, [command.n])
          return
        }
        case "change": {
          const pane = table.pane(command.namespace)
          const entry = pane === undefined ? undefined : table.entry(pane, command.namespace, command.key)
          const before = model.get(command.namespace)?.get(command.key)
          yield* demand(alike(entry?.value.items, before), MODEL, () => show(before), () => show(entry?.value.items))
          if (entry === undefined || before === undefined) return
          entry.value.items.push(command.n)
          model.get(command.namespace)!.set(command.key, [...before, command.n])
          return
        }
        case "delete": {
          const pane = table.pane(command.namespace)
          if (pane !== undefined) table.delete(pane, command.namespace, command.key)
          model.get(command.namespace)?.delete(command.key)
          return
        }
        case "drop":
          table.drop(command.namespace)
          model.delete(command.namespace)
          return
        case "snapshot":
          each.walks.push({ snapshot: table.snapshot(), expected: copyOf(model), chunks: [] })
          return
        case "next": {
          const [walk] = each.walks
          if (walk !== undefined) yield* this.next(walk, command.table)
          return
        }
        case "read": {
          const [walk] = each.walks
          if (walk !== undefined) yield* this.finish(walk, command.table)
          return
        }
        case "cancel":
          each.walks.shift()?.snapshot.cancel()
          return
        case "restore": {
          const walk: Walk = { snapshot: table.snapshot(), expected: copyOf(model), chunks: [] }
          each.walks.push(walk)
          yield* this.finish(walk, command.table)
          yield* this.restore(walk, command.parallelism, TABLES[command.table].state)
        }
      }
    })
  }

  /** one chunk; gives whether that was the last */
  private next(walk: Walk, of: number): Effect.Effect<boolean, Violation> {
    return Effect.gen(this, function*() {
      const each = this.tables[of]
      const chunk = walk.snapshot.next()
      if (chunk !== undefined) {
        walk.chunks.push(chunk)
        return false
      }
      each.walks = each.walks.filter((other) => other !== walk)
      const found: Array<string> = []
      for (const chunk of walk.chunks) {
        const { keys, namespaces, values } = Codec.unpack(chunk) as {
          readonly keys: ReadonlyArray<MapKey>
          readonly namespaces: MapKey | ReadonlyArray<MapKey>
          readonly values: ReadonlyArray<unknown>
        }
        keys.forEach((key, i) => {
          const namespace = Array.isArray(namespaces) ? namespaces[i] as MapKey : namespaces as MapKey
          found.push(...rowsOf(new Map([[namespace, new Map([[key, codec.decode(values[i]).items]])]])))
        })
      }
      const expected = rowsOf(walk.expected)
      yield* demand(alike(expected, found.sort()), SNAPSHOT, () => expected.join("; ") || "nothing", () => found.join("; ") || "nothing")
      return true
    })
  }

  private finish(walk: Walk, of: number): Effect.Effect<void, Violation> {
    return Effect.suspend(() => Effect.flatMap(this.next(walk, of), (done) => done ? Effect.void : this.finish(walk, of)))
  }

  private restore(walk: Walk, parallelism: number, state: string): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const uid = `restored-${this.fresh++}`
      for (let subtask = 0; subtask < parallelism; subtask++) {
        const range = KeyGroup.range(subtask, parallelism, MAX_PARALLELISM)
        const accept = (key: MapKey) => KeyGroup.contains(range, KeyGroup.of(key, MAX_PARALLELISM))
        const table = (yield* this.backend.open({ job: this.name, uid, subtask })).table(state, codec)
        for (const chunk of walk.chunks) table.load(chunk, accept)
        const own: Content = new Map(
          Array.from(walk.expected, ([namespace, keys]) => [namespace, new Map(Array.from(keys).filter(([key]) => accept(key)))])
        )
        const [expected, found] = [rowsOf(own), rowsOf(contentOf(table))]
        yield* demand(
          alike(expected, found),
          RESCALE,
          () => `in subtask ${subtask} of ${parallelism}: ${expected.join("; ") || "nothing"}`,
          () => found.join("; ") || "nothing"
        )
      }
    })
  }

  /** compares every table with its model */
  look(touched: number): Effect.Effect<void, Violation> {
    return Effect.suspend(() => {
      for (const [i, { model, table }] of this.tables.entries()) {
        const [expected, found] = [rowsOf(model), rowsOf(contentOf(table))]
        const law = i === touched ? MODEL : APART
        if (!alike(expected, found)) return Effect.fail(new Violation(law, expected.join("; ") || "nothing", found.join("; ") || "nothing"))
        if (table.size !== expected.length) return Effect.fail(new Violation(law, `size ${expected.length}`, `${table.size}`))
      }
      return Effect.void
    })
  }
}

/**
 * Holds a state backend to its laws: its tables do what a Map would (B1) and are apart from each other (B2), snapshots hold what was there when they were
 * taken, whatever is written meanwhile (V1), and are restored into any number of subtasks (B3).
 *
 * @example
 * ```ts
 * import { StateBackend } from "sluice"
 * import { Laws } from "sluice/testing"
 * import { Effect } from "effect"
 *
 * await Effect.runPromise(Laws.stateBackend(StateBackend.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category laws
 */
export const stateBackend = <A, E, R>(layer: Layer.Layer<A, E, R>, options: RunOptions = {}): Effect.Effect<void, LawBroken, R> =>
  Effect.flatMap(Random.nextIntBetween(0, 0x7fffffff), (prefix) => checkBackend(layer, options, `laws-${prefix}`))

const checkBackend = (layer: Layer.Layer<any, any, any>, options: RunOptions, prefix: string): Effect.Effect<void, LawBroken, any> => {
  let runs = 0
  return check<ReadonlyArray<Command>, any>({
    ...options,
    part: "the state backend",
    runs: 500,
    scripts: commands,
    print: (commands) => commands.map(showCommand).join(", ") || "nothing",
    run: (commands) =>
      Effect.gen(function*() {
        const context = yield* Layer.build(layer)
        const run = new Run(yield* Effect.provide(StateBackend, context), `${prefix}-${runs++}`)
        yield* run.start
        for (const command of commands) {
          yield* run.command(command)
          yield* run.look(command.table)
        }
      })
  })
}
