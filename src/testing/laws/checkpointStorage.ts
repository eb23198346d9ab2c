/**
 * The laws of checkpoint storages, checked against a plain model over random lives of a job: runs that write, abort, crash, discard and finish.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FC from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type { CheckpointMetadata, StateHandle } from "../../Checkpoint.js"
import { checkpoint, FORMAT_VERSION, savepoint } from "../../Checkpoint.js"
import { CheckpointStorage } from "../../CheckpointStorage.js"
import type { CheckpointStore, CheckpointWriter } from "../../storage/CheckpointStore.js"
import * as Checksum from "../../storage/checksum.js"
import type { Law, RunOptions } from "./check.js"
import { alike, check, demand, FAILS, show, showAll, Violation, within } from "./check.js"
import type { LawBroken } from "./LawBroken.js"

/**
 * What is known of a storage besides its contract.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointStorageOptions<R = never> extends RunOptions {
  /** damages a file of a complete checkpoint, as a bad disk would; `location` is where the storage says that the checkpoint lies */
  readonly corrupt?: ((damaged: { readonly location: string; readonly file: string }) => Effect.Effect<void, unknown, R>) | undefined
}

const COMPLETE: Law = { law: "H1", rule: "a checkpoint is there exactly from complete on, whole; what is aborted leaves nothing" }
const BYTES: Law = { law: "H2", rule: "read gives what was written, or fails with CheckpointCorrupt" }
const WRITER: Law = { law: "H3", rule: "while one run holds a job's store, another cannot open it or change it" }
const IDS: Law = { law: "H4", rule: "ids only grow: the highest that was ever begun is known" }
const MARK: Law = { law: "H5", rule: "a finished run leaves its mark until a later checkpoint is complete" }

type Command =
  | { readonly _tag: "begin"; readonly files: ReadonlyArray<ReadonlyArray<Uint8Array>> }
  | { readonly _tag: "complete" | "abort" | "open twice" | "run again" | "use the last run's store" | "corrupt" }
  | { readonly _tag: "discard" | "finish"; readonly n: number }

const bytes = FC.uint8Array({ maxLength: 40 })

const commands: FC.Arbitrary<ReadonlyArray<Command>> = FC.array(
  FC.oneof<Array<FC.WeightedArbitrary<Command>>>(
    {
      weight: 6,
      arbitrary: FC.record({ _tag: FC.constant("begin" as const), files: FC.array(FC.array(bytes, { maxLength: 3 }), { maxLength: 3 }) })
    },
    { weight: 7, arbitrary: FC.record({ _tag: FC.constantFrom("complete", "complete", "abort") }) },
    { weight: 3, arbitrary: FC.record({ _tag: FC.constantFrom("run again", "open twice", "use the last run's store") }) },
    { weight: 1, arbitrary: FC.record({ _tag: FC.constant("corrupt" as const) }) },
    { weight: 2, arbitrary: FC.record({ _tag: FC.constantFrom("discard", "finish"), n: FC.nat(3) }) }
  ),
  { maxLength: 20, size: "max" }
)

const showCommand = (command: Command): string => {
  switch (command._tag) {
    case "begin":
      return `begin, write ${command.files.length} files`
    case "discard":
      return `discard the ${command.n}. newest`
    case "finish":
      return `finish and keep the ${command.n}. newest`
    default:
      return command._tag
  }
}

interface Kept {
  readonly id: number
  readonly metadata: CheckpointMetadata
  readonly files: ReadonlyArray<{ readonly handle: StateHandle; readonly bytes: Uint8Array }>
}

const metadataOf = (job: string, id: number, handles: ReadonlyArray<StateHandle>): CheckpointMetadata => ({
  version: FORMAT_VERSION,
  job,
  id,
  kind: id % 2 === 0 ? savepoint("drain") : checkpoint,
  timestamp: 1_700_000_000_000 + id,
  operators: [{
    uid: "laws \"uid\"",
    name: "laws",
    parallelism: handles.length,
    maxParallelism: 128,
    subtasks: handles.map((handle, subtask) => ({
      subtask,
      phase: "running",
      handle,
      states: [{ name: "state", kind: "keyed", redistribution: "split", shape: { kind: "leaf", type: "number" }, entries: subtask }]
    }))
  }]
})

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(pieces.flatMap((piece) => Array.from(piece)))

const write = (writer: CheckpointWriter, file: string, pieces: ReadonlyArray<Uint8Array>) =>
  writer.write(file, (append) =>
    Effect.forEach(pieces, (piece) => {
      // a writer may use its buffer again
      const buffer = new Uint8Array(piece)
      return Effect.map(append(buffer), () => void buffer.fill(0))
    }, { discard: true }))

/** what a step must fail with */
const refused = (
  effect: Effect.Effect<unknown, { readonly _tag: string }>,
  tag: string,
  law: Law,
  what: string
): Effect.Effect<void, Violation> =>
  Effect.matchEffect(effect, {
    onSuccess: () => Effect.fail(new Violation(law, `${what} to fail with ${tag}`, "success")),
    onFailure: (error) => demand(error._tag === tag, law, () => `${what} to fail with ${tag}`, () => error._tag)
  })

class Run {
  private kept: ReadonlyArray<Kept> = []
  private highest = 0
  private ended: { readonly lastId: number; readonly upTo: number } | undefined
  private open: { readonly id: number; readonly writer: CheckpointWriter; readonly files: Array<Kept["files"][number]> } | undefined
  private store!: CheckpointStore
  private scope!: Scope.CloseableScope
  private last: CheckpointStore | undefined

  constructor(
    private readonly storage: CheckpointStorage["Type"],
    private readonly job: string,
    private readonly corrupt: CheckpointStorageOptions<any>["corrupt"]
  ) {}

  readonly start: Effect.Effect<void, unknown, Scope.Scope> = Effect.gen(this, function*() {
    this.scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    this.store = yield* Scope.extend(this.storage.open(this.job), this.scope)
  })

  command(command: Command): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const { open, store } = this
      switch (command._tag) {
        case "begin": {
          // what is left behind was never complete
          const id = ++this.highest
          const writer = yield* store.begin(id)
          const files: Array<Kept["files"][number]> = []
          for (const [i, pieces] of command.files.entries()) {
            const bytes = joined(pieces)
            const handle = yield* write(writer, `file-${i}`, pieces)
            const expected = { file: `file-${i}`, bytes: bytes.length, checksum: Checksum.of(bytes) }
            yield* demand(alike(handle, expected), BYTES, () => show(expected), () => show(handle))
            files.push({ handle, bytes })
          }
          this.open = { id, writer, files }
          return
        }
        case "complete": {
          if (open === undefined) return
          this.open = undefined
          const metadata = metadataOf(this.job, open.id, open.files.map(({ handle }) => handle))
          yield* open.writer.complete(metadata)
          this.kept = [{ id: open.id, metadata, files: open.files }, ...this.kept].sort((a, b) => b.id - a.id)
          yield* refused(store.begin(open.id), "StorageFailed", COMPLETE, "begin of a complete checkpoint")
          yield* refused(write(open.writer, "more", []), "StorageFailed", COMPLETE, "write to a complete checkpoint")
          // nothing is taken back
          yield* open.writer.abort
          return
        }
        case "abort": {
          if (open === undefined) return
          this.open = undefined
          yield* open.writer.abort
          yield* open.writer.abort
          yield* refused(write(open.writer, "more", []), "StorageFailed", COMPLETE, "write to an aborted checkpoint")
          yield* refused(open.writer.complete(metadataOf(this.job, open.id, [])), "StorageFailed", COMPLETE, "complete after abort")
          return
        }
        case "open twice": {
          yield* refused(Effect.scoped(this.storage.open(this.job)), "JobAlreadyRunning", WRITER, "a second open")
          const other = yield* Effect.scoped(Effect.flatMap(this.storage.open(`${this.job}-other`), ({ list }) => list)).pipe(
            Effect.mapError(({ message }) => new Violation(WRITER, "another job's store", message))
          )
          yield* demand(other.length === 0, WRITER, () => "nothing in another job's store", () => showAll(other))
          return
        }
        case "run again":
          this.open = undefined
          this.last = store
          yield* Scope.close(this.scope, Exit.void)
          return yield* this.start
        case "use the last run's store":
          if (this.last === undefined) return
          yield* refused(this.last.begin(this.highest + 1), "StorageFailed", WRITER, "begin by a run that has ended")
          yield* refused(this.last.finish(this.highest, []), "StorageFailed", WRITER, "finish by a run that has ended")
          if (this.kept.length > 0) {
            yield* refused(this.last.discard(this.kept[0].id), "StorageFailed", WRITER, "discard by a run that has ended")
          }
          return
        case "discard": {
          const id = this.kept[command.n]?.id ?? 1_000_000
          yield* store.discard(id)
          this.kept = this.kept.filter((each) => each.id !== id)
          return
        }
        case "finish":
          this.open = undefined
          this.kept = this.kept.filter((_, i) => i === command.n)
          yield* store.finish(this.highest, this.kept.map(({ id }) => id))
          this.ended = { lastId: this.highest, upTo: this.highest }
          return
        case "corrupt": {
          const damaged = this.kept.find(({ files }) => files.some(({ bytes }) => bytes.length > 0))
          if (this.corrupt === undefined || damaged === undefined) return
          const { handle } = damaged.files.find(({ bytes }) => bytes.length > 0)!
          yield* this.corrupt({ location: store.location(damaged.id), file: handle.file })
          yield* refused(store.read(damaged.id, handle), "CheckpointCorrupt", BYTES, "read of a damaged file")
          yield* store.discard(damaged.id)
          this.kept = this.kept.filter(({ id }) => id !== damaged.id)
        }
      }
    })
  }

  /** compares with the model */
  readonly look: Effect.Effect<void, unknown> = Effect.gen(this, function*() {
    const { kept, store } = this
    const ids = kept.map(({ id }) => id)
    const list = yield* store.list
    yield* demand(alike(list, ids), COMPLETE, () => `checkpoints ${showAll(ids)}`, () => showAll(list))
    const highest = yield* store.highestId
    yield* demand(highest === this.highest, IDS, () => `highest id ${this.highest}`, () => `${highest}`)
    const finished = yield* store.finished
    const mark = this.ended === undefined || (ids[0] ?? 0) > this.ended.upTo ? undefined : { lastId: this.ended.lastId }
    yield* demand(alike(finished, mark), MARK, () => show(mark), () => show(finished))
    for (const { files, id, metadata } of kept) {
      const found = yield* store.metadata(id)
      yield* demand(alike(found, metadata), COMPLETE, () => show(metadata), () => show(found))
      for (const { bytes, handle } of files) {
        const read = Array.from(yield* store.read(id, handle))
        yield* demand(alike(read, Array.from(bytes)), BYTES, () => show(Array.from(bytes)), () => show(read))
        const wrong = { ...handle, checksum: Checksum.of(Uint8Array.of(1, 2, 3, 4, 5)) }
        yield* refused(store.read(id, wrong), "CheckpointCorrupt", BYTES, "read with the checksum of other bytes")
      }
    }
    for (const id of [this.open?.id ?? 0, this.highest + 1]) {
      if (id === 0) continue
      const there = yield* Effect.either(store.metadata(id))
      yield* demand(Either.isLeft(there), COMPLETE, () => `no checkpoint ${id}`, () => "its metadata")
    }
  })
}

/**
 * Holds a checkpoint storage to its laws: incomplete checkpoints are never seen (H1), bytes come back as written or not at all (H2), a job has one writer
 * (H3), ids only grow (H4), a finished run is known as one (H5). Each script has a job name of its own, so the storage need not be empty.
 *
 * @example
 * ```ts
 * import { CheckpointStorage } from "sluice"
 * import { Laws } from "sluice/testing"
 * import { Effect } from "effect"
 *
 * await Effect.runPromise(Laws.checkpointStorage(CheckpointStorage.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category laws
 */
export const checkpointStorage = <E, R, R2 = never>(
  layer: Layer.Layer<CheckpointStorage, E, R>,
  options: CheckpointStorageOptions<R2> = {}
): Effect.Effect<void, LawBroken | E, R | R2> =>
  Effect.scoped(Effect.gen(function*() {
    const context = yield* Layer.build(layer)
    // a storage may still hold what an earlier use of this kit left
    const prefix = `laws-${yield* Random.nextIntBetween(0, 0x7fffffff)}`
    const { deadline = 5000 } = options
    const late = () => new Violation(FAILS, `each step ends within ${deadline} ms`, "it does not")
    let runs = 0
    yield* check<ReadonlyArray<Command>, any>({
      ...options,
      part: "the checkpoint storage",
      runs: 100,
      scripts: commands,
      print: (commands) => commands.map(showCommand).join(", ") || "nothing",
      run: (commands) =>
        Effect.gen(function*() {
          const run = new Run(yield* CheckpointStorage, `${prefix}-${runs++}`, options.corrupt)
          yield* run.start
          yield* run.look
          for (const command of commands) {
            yield* within(Effect.zipRight(run.command(command), run.look), deadline, late)
          }
        })
    }).pipe(Effect.provide(context))
  })) as Effect.Effect<void, LawBroken | E, R | R2>
