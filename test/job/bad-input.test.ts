/** Bad input, bad storage, bad jobs: each gives one clear error that says where and what to do. */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Cause, Effect, Exit, Logger, Schema } from "effect"
import type { Scope } from "effect"
import type { JobOptions } from "sluice"
import { Aggregator, CheckpointStorage, DataStream, Job, KeyedStream, OutputTag, State, Window, WindowedStream } from "sluice"
import type { StreamError } from "sluice"
import * as JsonLines from "sluice/connectors/JsonLines"
import * as Parquet from "sluice/connectors/Parquet"
import * as TextLines from "sluice/connectors/TextLines"
import { describe, expect, it } from "vitest"

const run = <A, E>(effect: Effect.Effect<A, E, NodeContext.NodeContext | Scope.Scope>, messages: Array<string> = []) =>
  Effect.runPromise(effect.pipe(
    Effect.scoped,
    Effect.provide([
      NodeContext.layer,
      Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => void messages.push(String(message))))
    ])
  ))

/** a folder that is removed afterwards */
const folder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

const failureOf = <A, E>(exit: Exit.Exit<A, E>): any => {
  if (Exit.isSuccess(exit)) throw new Error("it succeeded")
  return Cause.squash(exit.cause)
}

/** the error with which a user's function failed, out of `JobFailed` */
const causeOf = (exit: Exit.Exit<unknown, unknown>): any => Cause.squash((failureOf(exit) as StreamError.JobFailed).cause)

const collect = <A, E, R>(stream: DataStream.DataStream<A, E, R>, options?: JobOptions.JobOptions) =>
  Effect.exit(DataStream.runCollect(stream, options))

describe("files", () => {
  it("a missing file, and a directory instead of a file, are named", () =>
    run(Effect.gen(function*() {
      const directory = yield* folder
      const missing = yield* collect(DataStream.fromSource(TextLines.source(`${directory}/none.txt`)))
      expect(causeOf(missing)).toMatchObject({ _tag: "FileError", file: `${directory}/none.txt` })
      const instead = yield* collect(DataStream.fromSource(TextLines.source(directory)))
      expect(causeOf(instead)).toMatchObject({ _tag: "FileError", file: directory, reason: expect.stringContaining("directory") })
    })))

  it("malformed JSON fails with its line; a record that does not fit fails with the path to the field", () =>
    run(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      yield* fs.writeFileString(`${directory}/a.jsonl`, "{\"n\":1}\n{\"n\":2}\n{\"n\":\n{\"n\":4}\n")
      const malformed = yield* collect(DataStream.fromSource(JsonLines.source(`${directory}/a.jsonl`)))
      expect(causeOf(malformed)).toMatchObject({ _tag: "MalformedRecord", file: `${directory}/a.jsonl`, unit: "line", position: 3 })
      yield* fs.writeFileString(`${directory}/b.jsonl`, "{\"n\":{\"m\":1}}\n{\"n\":{\"m\":\"x\"}}\n")
      const schema = Schema.Struct({ n: Schema.Struct({ m: Schema.Number }) })
      const unfit = yield* collect(DataStream.fromSource(JsonLines.source(`${directory}/b.jsonl`, { schema })))
      expect(causeOf(unfit)).toMatchObject({ _tag: "MalformedRecord", position: 2, reason: expect.stringMatching(/n.*m.*number/i) })
    })))

  it("malformed records can go to an output instead, and are counted", () =>
    run(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      yield* fs.writeFileString(`${directory}/a.jsonl`, "{\"n\":1}\nnonsense\n{\"n\":3}\n")
      const bad = OutputTag.make<StreamError.MalformedRecord>("malformed")
      const source = DataStream.fromSource(JsonLines.source(`${directory}/a.jsonl`, { onMalformed: bad }))
      const lines: Array<number> = []
      const good: Array<unknown> = []
      const job = Job.make(
        "malformed",
        source.pipe(DataStream.runForEach((value) => void good.push(value))),
        source.pipe(DataStream.sideOutput(bad), DataStream.runForEach(({ position }) => void lines.push(position)))
      )
      const handle = yield* Job.start(job)
      yield* handle.await
      expect([good, lines]).toEqual([[{ n: 1 }, { n: 3 }], [2]])
      expect((yield* handle.metrics).vertices[0].counters).toEqual({ malformed: 1 })
    })))

  it("a truncated Parquet file, and a column that is not there, are named", () =>
    run(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const whole = yield* fs.readFile("node_modules/vega-datasets/data/flights-3m.parquet")
      yield* fs.writeFile(`${directory}/cut.parquet`, whole.subarray(0, 100_000))
      const cut = yield* collect(DataStream.fromSource(Parquet.source(`${directory}/cut.parquet`)))
      expect(causeOf(cut)).toMatchObject({ _tag: "FileError", file: `${directory}/cut.parquet` })
      yield* fs.writeFile(`${directory}/whole.parquet`, whole)
      const column = yield* collect(DataStream.fromSource(Parquet.source(`${directory}/whole.parquet`, { columns: ["date", "airline"] })))
      expect(causeOf(column)).toMatchObject({ _tag: "FileError", reason: expect.stringMatching(/airline.*origin/) })
    })))

  it("an output directory that cannot be made fails before the first record", () =>
    run(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      yield* fs.writeFileString(`${directory}/file`, "")
      let records = 0
      const stream = DataStream.range(1, 3).pipe(DataStream.tap(() => void records++))
      const exit = yield* Effect.exit(Job.run(Job.make("unwritable", DataStream.to(stream, JsonLines.sink(`${directory}/file/out`)))))
      expect(causeOf(exit)).toMatchObject({ _tag: "FileError", file: expect.stringContaining(`${directory}/file`) })
      expect(records).toBe(0)
    })))
})

/** counts per key; `Stored` is the state's schema */
const counting = (Stored: Schema.Schema<any, any>, first: unknown, rate = 2000) =>
  Job.make(
    "counting",
    DataStream.generate({ make: (i) => i, rate }).pipe(
      KeyedStream.keyBy((i) => i % 5),
      KeyedStream.process({
        state: { seen: State.value(Stored, { default: first }) },
        onElement: (_, ctx) => ctx.state.seen.set(ctx.state.seen.get())
      }),
      DataStream.uid("counter"),
      DataStream.runForEach(() => {})
    )
  )

const Count = Schema.Struct({ n: Schema.Number, last: Schema.Struct({ day: Schema.String }) })

const checkpointed = (job: ReturnType<typeof counting>, checkpoints: number, options?: JobOptions.JobOptions) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* Job.start(job, options)
    let id = 0
    for (let i = 0; i < checkpoints; i++) {
      yield* Effect.sleep(5)
      id = (yield* handle.triggerCheckpoint).id
    }
    yield* handle.cancel
    return id
  }))

const never: JobOptions.CheckpointOptions = { interval: "1 hour", retain: 2 }

describe("checkpoints", () => {
  it("a directory that cannot be written is named before anything runs", () =>
    run(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      yield* fs.writeFileString(`${directory}/file`, "")
      const exit = yield* Effect.exit(
        Job.run(counting(Count, {})).pipe(Effect.provide(CheckpointStorage.layerFileSystem(`${directory}/file/checkpoints`)))
      )
      expect(failureOf(exit)).toMatchObject({ _tag: "StorageFailed", path: expect.stringContaining(`${directory}/file`) })
    })))

  it("a state whose schema changed is refused before a record is read, with the path and both shapes", () =>
    run(
      Effect.gen(function*() {
        yield* checkpointed(counting(Count, { n: 0, last: { day: "" } }), 1, { checkpoint: never })
        const Changed = Schema.Struct({ n: Schema.Number, last: Schema.Struct({ day: Schema.Number }) })
        const exit = yield* Effect.exit(Job.run(counting(Changed, { n: 0, last: { day: 0 } }), { checkpoint: never }))
        expect(failureOf(exit)).toMatchObject({
          _tag: "StateIncompatible",
          operator: "counter",
          state: "seen",
          path: ".last.day",
          stored: "string",
          wanted: "number"
        })
      }).pipe(Effect.provide(CheckpointStorage.layerMemory))
    ))

  it("maxParallelism that changed, and an operator that is gone, are refused by name", () =>
    run(
      Effect.gen(function*() {
        yield* checkpointed(counting(Count, { n: 0, last: { day: "" } }), 1, { checkpoint: never })
        const other = yield* Effect.exit(Job.run(counting(Count, {}), { maxParallelism: 64 }))
        expect(failureOf(other)).toMatchObject({ _tag: "RestoreRejected", reason: expect.stringContaining("maxParallelism 128") })
        const gone = yield* Effect.exit(Job.run(Job.make("counting", DataStream.range(1, 2).pipe(DataStream.runForEach(() => {})))))
        expect(failureOf(gone)).toMatchObject({ _tag: "RestoreRejected", reason: expect.stringContaining("allowNonRestoredState") })
      }).pipe(Effect.provide(CheckpointStorage.layerMemory))
    ))

  it("a flipped byte in any file of the newest checkpoint: it goes back to the older one and says so; with none left it fails", () => {
    const messages: Array<string> = []
    return run(
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* folder
        const storage = CheckpointStorage.layerFileSystem(directory)
        const newest = yield* Effect.provide(checkpointed(counting(Count, { n: 0, last: { day: "" } }), 2, { checkpoint: never }), storage)
        const of = (id: number) => `${directory}/counting/chk-${id}`
        const flip = (file: string) =>
          Effect.flatMap(fs.readFile(file), (bytes) => {
            bytes[bytes.length >> 1] ^= 0x10
            return fs.writeFile(file, bytes)
          })
        const files = (yield* fs.readDirectory(of(newest))).filter((file) => file !== "_metadata")
        expect(files.length).toBeGreaterThan(0)
        for (const file of [...files, "_metadata"]) {
          yield* flip(`${of(newest)}/${file}`)
          messages.length = 0
          yield* Effect.provide(checkpointed(counting(Count, { n: 0, last: { day: "" } }), 0, { checkpoint: never }), storage)
          expect(messages.some((message) => message.includes(`checkpoint ${newest} is damaged, going back to ${newest - 1}`))).toBe(true)
          yield* flip(`${of(newest)}/${file}`)
        }
        yield* flip(`${of(newest)}/_metadata`)
        yield* flip(`${of(newest - 1)}/_metadata`)
        const exit = yield* Effect.exit(Effect.provide(Job.run(counting(Count, {})), storage))
        expect(failureOf(exit)).toMatchObject({ _tag: "CheckpointCorrupt", file: expect.stringContaining("_metadata") })
      }),
      messages
    )
  })

  it("a second run of a job's name is refused while the first goes on", () =>
    run(
      Effect.gen(function*() {
        yield* Job.start(counting(Count, { n: 0, last: { day: "" } }))
        const exit = yield* Effect.exit(Job.run(counting(Count, {})))
        expect(failureOf(exit)).toMatchObject({ _tag: "JobAlreadyRunning", job: "counting" })
      }).pipe(Effect.provide(CheckpointStorage.layerMemory))
    ))

  it("more failed checkpoints than are tolerated fail the job with the reason", () =>
    run(Effect.gen(function*() {
      const stream = DataStream.generate({ make: (i) => i, rate: 1000 }).pipe(
        DataStream.transform(
          "op",
          Effect.succeed({ processElement: () => {}, snapshotState: (ctx) => ctx.defer(Effect.fail("disk on fire")) })
        ),
        DataStream.runForEach(() => {})
      )
      const exit = yield* Effect.exit(
        Job.run(Job.make("tolerance", stream), { checkpoint: { interval: "5 millis", tolerableFailures: 2 }, restart: "none" })
      )
      expect(causeOf(exit)).toMatchObject({
        _tag: "CheckpointFailed",
        id: 3,
        reason: "ASYNC_EXCEPTION",
        detail: expect.stringContaining("disk on fire")
      })
    })))
})

describe("jobs", () => {
  const ends = (...uids: ReadonlyArray<string>) =>
    uids.map((uid) => DataStream.range(1, 2).pipe(DataStream.map((n) => n), DataStream.uid(uid), DataStream.runForEach(() => {})))

  it("a uid that is there twice, and parallelism above maxParallelism, name the operator", () =>
    run(Effect.gen(function*() {
      const twice = yield* Effect.exit(Job.run(Job.make("twice", ...ends("same", "same"))))
      expect(failureOf(twice)).toMatchObject({ _tag: "GraphError", node: "map", reason: expect.stringContaining("uid \"same\"") })
      const above = yield* Effect.exit(Job.explain(Job.make("above", ...ends("a")), { parallelism: 9, maxParallelism: 8 }))
      expect(failureOf(above)).toMatchObject({ _tag: "GraphError", reason: expect.stringContaining("above maxParallelism 8") })
    })))

  it("a record without a timestamp in a window of event time says what to do", () =>
    run(Effect.gen(function*() {
      const exit = yield* collect(
        DataStream.range(1, 3).pipe(
          KeyedStream.keyBy((n) => n),
          WindowedStream.window(Window.tumbling("1 second")),
          WindowedStream.aggregate(Aggregator.count)
        )
      )
      expect(causeOf(exit).message).toContain("assignTimestamps")
    })))
})
