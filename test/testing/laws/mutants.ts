/**
 * Broken parts, each with one bug that people write: what a law kit is for. Beside each kind stands the part without the bug.
 */
import { Context, Effect, Layer, Schema, Scope } from "effect"
import type { Checkpoint, KeyGroup, StreamOperator as Contract } from "sluice"
import { CheckpointStorage, DataSink, DataSource, StateBackend, Watermark } from "sluice"
import type { Laws } from "sluice/testing"
import type { Codec } from "../../../src/state/Codec.js"
import type { Pane } from "../../../src/state/StateTable.js"
import { StateTable } from "../../../src/state/StateTable.js"

type Operator<In, Out> = Contract.Operator<In, Out>
type TwoInput<A, B, Out> = Contract.TwoInputStreamOperator<A, B, Out>

// ------------------------------------------------------------------------------------------------------------------ operators

type BufferBug =
  | "none"
  | "forgets its buffer in the snapshot"
  | "emits from close"
  | "emits from close when canceled"
  | "drops its buffer at finish"

/** hands records on in pairs */
export const pairs = (bug: BufferBug): Effect.Effect<Operator<number, readonly [number, number]>> =>
  Effect.sync(() => {
    let buffer: Array<number> = []
    let state: Contract.OperatorListState<number>
    let out: Contract.Output<readonly [number, number]>
    let finished = false
    return {
      setup: (ctx) => {
        out = ctx.out
      },
      initializeState: (ctx) => {
        state = ctx.list("buffer", Schema.Number)
        buffer = state.get().slice()
      },
      processElement: ({ value, timestamp }, out) => {
        buffer.push(value)
        if (buffer.length < 2) return
        out.emit([buffer[0], buffer[1]], timestamp)
        buffer = []
      },
      snapshotState: () => state.set(bug === "forgets its buffer in the snapshot" ? [] : buffer.slice()),
      finish: (out) => {
        finished = true
        if (bug === "drops its buffer at finish" || bug === "emits from close") return
        if (buffer.length === 1) out.emit([buffer[0], -1], undefined)
      },
      close: Effect.sync(() => {
        if (bug === "emits from close" && buffer.length === 1) out.emit([buffer[0], -1], undefined)
        if (bug === "emits from close when canceled" && !finished && buffer.length === 1) out.emit([buffer[0], -1], undefined)
      })
    }
  })

/** acquires something in `open` */
export const acquiring = (bug: "none" | "does not release" | "releases twice" | "releases in finish") => {
  let held = 0
  const release = Effect.sync(() => void held--)
  const operator: Effect.Effect<Operator<number, number>> = Effect.sync(() => ({
    open: Effect.acquireRelease(
      Effect.sync(() => void held++),
      () => bug === "none" || bug === "releases twice" ? release : Effect.void
    ),
    processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
    finish: () => bug === "releases in finish" ? release : undefined,
    close: bug === "releases twice" ? release : Effect.void
  }))
  return { operator, resources: Effect.sync(() => held) }
}

type DelayBug =
  | "none"
  | "forwards the watermark first"
  | "fires a timer late"
  | "loses its timers on restore"
  | "fires its timers twice"
  | "fires after finish"

/** gives each record back when event time has reached twice its timestamp, by timers of its own */
export const delaying = (bug: DelayBug): Effect.Effect<Operator<number, number>> =>
  Effect.sync(() => {
    let due: Array<{ readonly at: number; readonly value: number }> = []
    let state: Contract.OperatorListState<{ readonly at: number; readonly value: number }>
    const late = bug === "fires a timer late" ? 5 : 0
    const fire = (watermark: number, out: Contract.Output<number>) => {
      const now = due.filter(({ at }) => at + late <= watermark).sort((a, b) => a.at - b.at)
      if (bug !== "fires its timers twice" || watermark === Watermark.MAX) due = due.filter(({ at }) => at + late > watermark)
      for (const { at, value } of now) out.emit(value, at)
    }
    return {
      initializeState: (ctx) => {
        state = ctx.list("due", Schema.Struct({ at: Schema.Number, value: Schema.Number }))
        due = bug === "loses its timers on restore" ? [] : state.get().slice()
      },
      processElement: ({ timestamp = 0, value }) => void due.push({ at: timestamp * 2, value }),
      processWatermark: (watermark, out) => {
        if (bug === "forwards the watermark first") out.emitWatermark(watermark)
        if (bug !== "fires after finish" || watermark !== Watermark.MAX) fire(watermark, out)
        if (bug !== "forwards the watermark first") out.emitWatermark(watermark)
      },
      finish: (out) => bug === "fires after finish" ? fire(Watermark.MAX, out) : undefined,
      snapshotState: () => state.set(due.slice())
    }
  })

type WatermarkBug =
  | "none"
  | "emits a regressing watermark"
  | "runs ahead of its input"
  | "keeps the last watermark to itself"
  | "forwards it twice at the end"

/** hands everything on */
export const forwarding = (bug: WatermarkBug): Effect.Effect<Operator<number, number>> =>
  Effect.sync(() => ({
    processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
    processWatermark: (watermark, out) => {
      if (bug === "keeps the last watermark to itself" && watermark === Watermark.MAX) return
      out.emitWatermark(bug === "runs ahead of its input" && watermark !== Watermark.MAX ? watermark + 1 : watermark)
      if (bug === "forwards it twice at the end" && watermark === Watermark.MAX) out.emitWatermark(watermark)
      if (bug === "emits a regressing watermark" && watermark % 7 === 6) out.emitWatermark(watermark - 3)
    }
  }))

const shared = { count: 0 }

/** numbers records */
export const numbering = (bug: "none" | "keeps its state in a module variable" | "keeps its state in the factory's closure") => {
  let outer = 0
  const operator: Effect.Effect<Operator<number, string>> = Effect.sync(() => {
    let count = 0
    let state: Contract.OperatorListState<number>
    const next = () =>
      bug === "keeps its state in a module variable"
        ? shared.count++
        : bug === "keeps its state in the factory's closure"
        ? outer++
        : count++
    return {
      initializeState: (ctx) => {
        state = ctx.list("count", Schema.Number)
        count = state.get()[0] ?? 0
      },
      processElement: ({ timestamp, value }, out) => out.emit(`${next()}: ${value}`, timestamp),
      snapshotState: () => state.set([count])
    }
  })
  return operator
}

/** counts by key */
export const counting = (
  bug: "none" | "counts all keys as one" | "keeps counts outside of keyed state"
): Effect.Effect<Operator<number, string>> =>
  Effect.sync(() => {
    let table: any
    let keys: Contract.KeyContext
    const outside = new Map<unknown, number>()
    let all: Contract.OperatorListState<number>
    let total = 0
    return {
      initializeState: (ctx) => {
        keys = ctx.keys
        table = ctx.table("counts", Schema.Number)
        all = ctx.list("total", Schema.Number)
        total = all.get()[0] ?? 0
      },
      processElement: ({ timestamp, value }, out) => {
        const pane = table.only
        const before = bug === "counts all keys as one" ? total : bug === "keeps counts outside of keyed state"
          ? outside.get(keys.mapKey) ?? 0
          : table.entry(pane, null, keys.mapKey)?.value ?? 0
        total++
        outside.set(keys.mapKey, before + 1)
        table.set(pane, null, keys.mapKey, before + 1)
        out.emit(`${keys.mapKey}: ${before + 1} with ${value}`, timestamp)
      },
      snapshotState: () => all.set([total])
    }
  })

/** fails while it closes, as if nothing else had */
export const failing = (bug: "none" | "hangs in close"): Effect.Effect<Operator<number, number>> =>
  Effect.sync(() => ({
    processElement: ({ timestamp, value }, out) => out.emit(value, timestamp),
    close: bug === "hangs in close" ? Effect.never : Effect.void
  }))

type JoinBug = "none" | "ends its input twice" | "ends event time with its first input" | "forgets its left side in the snapshot"

/** gathers the left side until it ends, and then hands it on as one; the right side goes through */
export const gathering = (bug: JoinBug): Effect.Effect<TwoInput<number, string, string>> =>
  Effect.sync(() => {
    let left: Array<number> = []
    let ended = 0
    let state: Contract.OperatorListState<number>
    return {
      initializeState: (ctx) => {
        state = ctx.list("left", Schema.Number)
        left = state.get().slice()
      },
      processElement1: ({ value }) => void left.push(value),
      processElement2: ({ timestamp, value }, out) => out.emit(value, timestamp),
      endInput: (out, input) => {
        ended++
        if (bug === "ends event time with its first input" && ended === 1) out.emitWatermark(Watermark.MAX)
        if (input !== 1) return
        if (left.length > 0) out.emit(left.join("+"), undefined)
        // whoever restores it ends the input again
        if (bug !== "ends its input twice") left = []
      },
      snapshotState: () => state.set(bug === "forgets its left side in the snapshot" ? [] : left.slice())
    }
  })

// ------------------------------------------------------------------------------------------------------------------ sinks

export type SinkBug =
  | "none"
  | "commits too early"
  | "commits twice"
  | "forgets what is pending"
  | "forgets the records in hand"
  | "leaves temporary files visible"
  | "leaves what dead attempts wrote"
  | "removes what the checkpoint holds"
  | "names transactions alike in every attempt"
  | "makes nothing durable before the commit"
  | "commits when it closes"

/** a directory of files, each a transaction, written aside and renamed */
export const directory = (bug: SinkBug): Laws.SinkUnderTest<number> => {
  const aside = new Map<string, ReadonlyArray<number>>()
  const visible = new Map<string, ReadonlyArray<number>>()
  const commit = (name: string) =>
    Effect.sync(() => {
      const values = aside.get(name)
      if (bug === "commits twice" && values === undefined && visible.has(name)) visible.set(`${name} again`, visible.get(name)!)
      if (values === undefined) return
      visible.set(name, values)
      aside.delete(name)
    })
  const sink = DataSink.transactional({
    name: "directory",
    open: ({ attemptId }) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          let count = 0
          let values: Array<number> = []
          let before: ReadonlyArray<string> = []
          const nameOf = (n: number) => bug === "names transactions alike in every attempt" ? `${n}` : `${attemptId}/${n}`
          const memory = new Map<string, ReadonlyArray<number>>()
          return {
            writing: () => ({ name: nameOf(count), values }),
            write: (value: number) => {
              values.push(value)
              aside.set(`${nameOf(count)}.writing`, values)
            },
            prepare: () => {
              const name = nameOf(count++)
              const taken = bug === "forgets the records in hand" ? values.slice(0, -1) : values
              values = []
              const committables = bug === "forgets what is pending" ? before : taken.length === 0 ? [] : [name]
              before = [name]
              memory.set(name, taken)
              return {
                committables,
                persist: Effect.sync(() => {
                  aside.delete(`${name}.writing`)
                  if (bug === "makes nothing durable before the commit" || taken.length === 0) return
                  if (bug === "commits too early") visible.set(name, taken)
                  else aside.set(name, taken)
                })
              }
            },
            commit: (name: string) => {
              if (bug === "makes nothing durable before the commit" && memory.has(name)) aside.set(name, memory.get(name)!)
              return commit(name)
            }
          }
        }),
        (writer) =>
          Effect.sync(() => {
            const { name, values } = writer.writing()
            aside.delete(`${name}.writing`)
            if (bug === "commits when it closes" && values.length > 0) visible.set(name, values)
          })
      ),
    recover: (restored) =>
      Effect.sync(() => {
        if (bug === "leaves what dead attempts wrote") return
        for (const name of aside.keys()) if (bug === "removes what the checkpoint holds" || !restored.includes(name)) aside.delete(name)
      })
  })
  return {
    sink,
    visible: Effect.sync(() => [
      ...Array.from(visible.values()).flat(),
      ...bug === "leaves temporary files visible" ? Array.from(aside.values()).flat() : []
    ]),
    leftovers: Effect.sync(() => Array.from(aside.keys()))
  }
}

/** a plain sink that hands on what it gathered */
export const gatheringSink = (bug: "none" | "does not flush" | "writes what nobody wrote"): Laws.SinkUnderTest<number> => {
  const visible: Array<number> = []
  return {
    sink: DataSink.make({
      name: "gathering",
      open: () =>
        Effect.sync(() => {
          let values: Array<number> = []
          return {
            write: (value: number) => void values.push(value),
            flush: Effect.sync(() => {
              if (bug === "does not flush") return
              visible.push(...values.map((value) => bug === "writes what nobody wrote" ? value + 100 : value))
              values = []
            })
          }
        })
    }),
    visible: Effect.sync(() => visible.slice())
  }
}

// ------------------------------------------------------------------------------------------------------------------ sources

export type SourceBug =
  | "none"
  | "repeats a record after a restore"
  | "skips a record after a restore"
  | "gives the position of the batch before"
  | "gives more than was asked for"
  | "gives a position that cannot be stored"
  | "never ends a fetch"
  | "cannot be interrupted in a fetch"
  | "says that there is more for ever"
  | "drops what the last fetch brought"
  | "shuffles its splits"
  | "does not close its readers"

/** reads numbers, a few at a time */
export const counted = (bug: SourceBug) => {
  let held = 0
  let listings = 0
  const source = DataSource.make({
    name: "counted",
    splits: Effect.sync(() => bug === "shuffles its splits" && listings++ % 2 === 1 ? [20, 10] : [10, 20]),
    read: (from: number, position: unknown) =>
      Effect.gen(function*() {
        yield* Effect.acquireRelease(
          Effect.sync(() => void held++),
          () => bug === "does not close its readers" ? Effect.void : Effect.sync(() => void held--)
        )
        const end = from + 9
        const shift = bug === "repeats a record after a restore" ? -1 : bug === "skips a record after a restore" ? 1 : 0
        let next = typeof position === "number" ? Math.max(from, position + shift) : from
        let ready = 0
        return {
          poll: (max: number) => {
            const size = bug === "gives more than was asked for" ? ready : Math.min(max, ready)
            if (size === 0) return undefined
            const before = next
            const values = Array.from({ length: size }, (_, i) => before + i)
            next += size
            ready -= size
            const position = bug === "gives the position of the batch before"
              ? before
              : bug === "gives a position that cannot be stored"
              ? () => next
              : next
            return {
              values,
              position: position as unknown,
              timestamps: values.map((value) => value * 10)
            }
          },
          fetch: Effect.suspend(() => {
            const left = end - next - ready
            if (left <= 0) {
              if (bug === "says that there is more for ever") return Effect.succeed(true)
              return bug === "never ends a fetch" ? Effect.never : Effect.succeed(false)
            }
            ready += Math.min(left, 3)
            if (bug === "drops what the last fetch brought" && left <= 3) return Effect.succeed(false)
            return bug === "cannot be interrupted in a fetch"
              ? Effect.as(Effect.onInterrupt(Effect.sleep(1), () => Effect.sleep(1000)), true)
              : Effect.succeed(true)
          })
        }
      })
  })
  return { source, resources: Effect.sync(() => held) }
}

// ------------------------------------------------------------------------------------------------------------------ checkpoint storages

export type StorageBug =
  | "lists an incomplete checkpoint"
  | "ignores abort"
  | "allows two writers"
  | "returns altered bytes"
  | "keeps the writer's buffer"
  | "does not compare checksums"
  | "forgets ids that were aborted"
  | "forgets that a run has finished"
  | "lists the oldest first"
  | "keeps what it discards"
  | "gives all jobs one store"

/** a storage in memory with a bug */
export const storage = (bug: StorageBug): Layer.Layer<CheckpointStorage.CheckpointStorage> =>
  Layer.map(CheckpointStorage.layerMemory, (context) => {
    const memory = Context.get(context, CheckpointStorage.CheckpointStorage)
    const stores = new Map<string, CheckpointStorage.CheckpointStore>()
    const broken = (store: CheckpointStorage.CheckpointStore): CheckpointStorage.CheckpointStore => {
      const begun = new Set<number>()
      const handles = new Map<string, Checkpoint.StateHandle>()
      return {
        ...store,
        begin: (id) =>
          Effect.map(store.begin(id), (writer) => {
            begun.add(id)
            return {
              ...writer,
              abort: bug === "ignores abort" ? Effect.void : writer.abort,
              write: (file, body) => {
                const kept: Array<Uint8Array> = []
                return Effect.tap(
                  writer.write(file, (append) =>
                    bug !== "keeps the writer's buffer" ? body(append) : Effect.zipLeft(
                      body((bytes) => Effect.sync(() => void kept.push(bytes))),
                      Effect.forEach(kept, append)
                    )),
                  (handle) => Effect.sync(() => void handles.set(`${id}/${file}`, handle))
                )
              }
            }
          }),
        list: Effect.map(store.list, (ids) =>
          bug === "lists an incomplete checkpoint"
            ? Array.from(new Set([...begun, ...ids])).sort((a, b) => b - a)
            : bug === "lists the oldest first"
            ? Array.from(ids).reverse()
            : ids),
        read: (id, handle) =>
          Effect.map(
            store.read(id, bug === "does not compare checksums" ? handles.get(`${id}/${handle.file}`) ?? handle : handle),
            (bytes) => bug === "returns altered bytes" ? bytes.map((byte) => byte ^ 1) : bytes
          ),
        discard: bug === "keeps what it discards" ? () => Effect.void : store.discard,
        highestId: bug === "forgets ids that were aborted" ? Effect.map(store.list, ([id = 0]) => id) : store.highestId,
        finished: bug === "forgets that a run has finished" ? Effect.succeed(undefined) : store.finished
      }
    }
    return Context.make(CheckpointStorage.CheckpointStorage, {
      open: (job) => {
        if (bug === "gives all jobs one store") return Effect.map(memory.open(job.replace("-other", "")), broken)
        if (bug !== "allows two writers") return Effect.map(memory.open(job), broken)
        return Effect.gen(function*() {
          const store = stores.get(job) ?? (yield* Scope.extend(memory.open(job), yield* Scope.make()))
          stores.set(job, store)
          return store
        })
      }
    })
  })

// ------------------------------------------------------------------------------------------------------------------ state backends

export type BackendBug =
  | "forgets deletes"
  | "mixes namespaces"
  | "shares state over subtasks"
  | "shares state over names"
  | "shares state over operators"
  | "shows later writes in a snapshot"
  | "takes a dropped namespace from open snapshots"
  | "restores the keys of other subtasks"
  | "loses namespaces on restore"
  | "takes keys of different types for one"

/** a backend on the heap with a bug */
export const backend = (bug: BackendBug): Layer.Layer<never> => {
  class Broken<V> extends StateTable<V> {
    override entry(pane: Pane<V>, namespace: KeyGroup.MapKey, key: KeyGroup.MapKey) {
      return bug === "shows later writes in a snapshot" ? pane.get(key) : super.entry(pane, namespace, key)
    }
    override set(pane: Pane<V>, namespace: KeyGroup.MapKey, key: KeyGroup.MapKey, value: V) {
      super.set(pane, namespace, bug === "takes keys of different types for one" ? String(key) : key, value)
    }
    override delete(pane: Pane<V>, namespace: KeyGroup.MapKey, key: KeyGroup.MapKey) {
      if (bug !== "forgets deletes") super.delete(pane, namespace, key)
    }
    override pane(namespace: KeyGroup.MapKey) {
      return super.pane(bug === "mixes namespaces" && namespace === 20 ? 10 : namespace)
    }
    override paneOrNew(namespace: KeyGroup.MapKey) {
      return super.paneOrNew(bug === "mixes namespaces" && namespace === 20 ? 10 : namespace)
    }
    override drop(namespace: KeyGroup.MapKey) {
      if (bug === "takes a dropped namespace from open snapshots") this.pane(namespace)?.clear()
      super.drop(namespace)
    }
    override load(chunk: Uint8Array, accept: (key: KeyGroup.MapKey) => boolean) {
      if (bug === "restores the keys of other subtasks") return super.load(chunk, () => true)
      if (bug !== "loses namespaces on restore") return super.load(chunk, accept)
      const whole = new StateTable(this.codec)
      whole.load(chunk, accept)
      for (const pane of whole.panes.values()) for (const [key, { value }] of pane) this.set(this.only, null, key, value)
    }
  }
  return Layer.sync(StateBackend.StateBackend, () => {
    const tables = new Map<string, StateTable<any>>()
    return {
      open: ({ job, subtask, uid }: { readonly job: string; readonly subtask: number; readonly uid: string }) =>
        Effect.succeed({
          table: <V>(name: string, codec: Codec<V>): StateTable<V> => {
            const shared = bug === "shares state over subtasks"
              ? [job, uid, name]
              : bug === "shares state over names"
              ? [job, uid, subtask]
              : bug === "shares state over operators"
              ? [job, subtask, name]
              : undefined
            if (shared === undefined) return new Broken(codec)
            const table = tables.get(shared.join("/")) ?? new Broken(codec)
            tables.set(shared.join("/"), table)
            return table
          }
        })
    }
  }) as unknown as Layer.Layer<never>
}
