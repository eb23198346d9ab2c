// toBeCallableWith makes a statement of the call, and a stream that is not used is none that was forgotten
// @effect-diagnostics floatingEffect:off
import type { Cause, Layer, Scope } from "effect"
import { Context, Data, Effect, Stream } from "effect"
import type { JobMetrics, JobOptions, StreamError } from "sluice"
import { DataStream, Job } from "sluice"
import { describe, expect, test } from "tstyche"

class Unreadable extends Data.TaggedError("Unreadable")<{}> {}
class Refused extends Data.TaggedError("Refused")<{}> {}
class Disk extends Context.Tag("Disk")<Disk, { readonly read: Effect.Effect<string> }>() {}
class Db extends Context.Tag("Db")<Db, { readonly name: (user: string) => string }>() {}

declare const read: DataStream.Pipeline<Unreadable, Disk>
declare const write: DataStream.Pipeline<Refused, Db>
declare const pure: DataStream.Pipeline

const job = Job.make("both", read, write)

describe("Job.make", () => {
  test("a job has the errors and services of all its pipelines", () => {
    expect(job).type.toBe<Job.Job<Unreadable | Refused, Disk | Db>>()
    expect(Job.make("one", read)).type.toBe<Job.Job<Unreadable, Disk>>()
    expect(Job.make("three", read, pure, read)).type.toBe<Job.Job<Unreadable, Disk>>()
    expect(Job.make("many", ...([read, write] as Array<DataStream.Pipeline<Unreadable | Refused, Disk | Db>>)))
      .type.toBe<Job.Job<Unreadable | Refused, Disk | Db>>()
  })

  test("never stays never, also without a pipeline", () => {
    expect(Job.make("pure", pure)).type.toBe<Job.Job>()
    expect(Job.make("pure", pure, pure)).type.toBe<Job.Job>()
    expect(Job.make("empty")).type.toBe<Job.Job>()
  })

  test("a stream is no pipeline before it ends in a sink", () => {
    expect(Job.make).type.not.toBeCallableWith("job", DataStream.range(1, 2))
  })

  test("from the source to the job, in one pipe", () => {
    const end = DataStream.fromStream(Stream.fromEffect(Effect.flatMap(Disk, (disk) => disk.read))).pipe(
      DataStream.mapEffect((line) => line === "" ? new Unreadable() : Effect.map(Db, (db) => db.name(line))),
      DataStream.runForEach((name) => {
        expect(name).type.toBe<string>()
        return new Refused()
      })
    )
    expect(Job.make("all", end)).type.toBe<Job.Job<Unreadable | Refused, Disk | Db>>()
  })
})

describe("running", () => {
  test("run and start fail with JobError of the job's E, and need its R", () => {
    expect(Job.run(job)).type.toBe<Effect.Effect<Job.JobResult, StreamError.JobError<Unreadable | Refused>, Disk | Db>>()
    expect(Job.run(Job.make("pure", pure))).type.toBe<Effect.Effect<Job.JobResult, StreamError.JobError>>()
    expect(Job.start(job)).type.toBe<
      Effect.Effect<Job.JobHandle<Unreadable | Refused>, StreamError.JobError<Unreadable | Refused>, Disk | Db | Scope.Scope>
    >()
  })

  test("a layer needs the job's R, and no Scope", () => {
    class Running extends Context.Tag("Running")<Running, Job.JobHandle<Unreadable | Refused>>() {}
    expect(Job.layer(Running, job)).type.toBe<Layer.Layer<Running, StreamError.JobError<Unreadable | Refused>, Disk | Db>>()
    class Other extends Context.Tag("Other")<Other, Job.JobHandle<Unreadable>>() {}
    expect(Job.layer<Other, Unreadable, Disk | Db>).type.not.toBeCallableWith(Other, job)
  })

  test("explain needs nothing, and fails with GraphError alone", () => {
    expect(Job.explain(job)).type.toBe<Effect.Effect<Job.Explanation, StreamError.GraphError>>()
  })

  test("a job cannot be run without the services it needs, and can with them", () => {
    const run = Job.run(job)
    expect(Effect.runPromise<Job.JobResult, unknown>).type.not.toBeCallableWith(run)
    expect(Effect.runPromise<Job.JobResult, unknown>).type.not.toBeCallableWith(Effect.provideService(run, Db, { name: (user) => user }))
    expect(Effect.runPromise<Job.JobResult, unknown>).type.toBeCallableWith(
      run.pipe(Effect.provideService(Db, { name: (user) => user }), Effect.provideService(Disk, { read: Effect.succeed("") }))
    )
  })

  test("the handle waits with the job's errors", () => {
    expect<Job.JobHandle<Unreadable>["await"]>().type.toBe<Effect.Effect<Job.JobResult, StreamError.JobError<Unreadable>>>()
    expect<Job.JobHandle<Unreadable>["cancel"]>().type.toBe<Effect.Effect<void>>()
    expect<Job.JobHandle["metrics"]>().type.toBe<Effect.Effect<JobMetrics.JobMetrics>>()
    expect<Job.JobHandle["savepoint"]>().type.toBe<Effect.Effect<JobMetrics.CheckpointStats, StreamError.CheckpointFailed>>()
    expect<ReturnType<Job.JobHandle<Unreadable>["stopWithSavepoint"]>>()
      .type.toBe<Effect.Effect<JobMetrics.CheckpointStats, StreamError.CheckpointFailed | StreamError.JobError<Unreadable>>>()
    expect<Job.JobHandle<Unreadable>>().type.toBeAssignableTo<Job.JobHandle<Unreadable | Refused>>()
    expect<Job.JobHandle<Unreadable | Refused>>().type.not.toBeAssignableTo<Job.JobHandle<Unreadable>>()
  })

  test("JobError: what failed keeps its type inside JobFailed, beside what any job can fail with", () => {
    expect<StreamError.JobError<Unreadable>>().type.toBe<
      | StreamError.JobFailed<Unreadable>
      | StreamError.GraphError
      | StreamError.StateIncompatible
      | StreamError.CheckpointCorrupt
      | StreamError.RestoreRejected
      | StreamError.StorageFailed
      | StreamError.JobAlreadyRunning
      | StreamError.TaskHung
    >()
    expect<StreamError.JobFailed<Unreadable>["cause"]>().type.toBe<
      Cause.Cause<Unreadable | StreamError.CheckpointFailed | StreamError.TaskHung>
    >()
    expect<StreamError.JobError>().type.toBeAssignableTo<StreamError.JobError<Unreadable>>()
    expect<StreamError.JobError<Unreadable>>().type.not.toBeAssignableTo<StreamError.JobError>()
  })

  test("it can be caught by its tag, and the rest stays", () => {
    const caught = Job.run(job).pipe(Effect.catchTag("JobFailed", (failed) => {
      expect(failed).type.toBe<StreamError.JobFailed<Unreadable | Refused>>()
      return Effect.void
    }))
    expect(caught).type.toBe<
      Effect.Effect<
        void | Job.JobResult,
        | StreamError.GraphError
        | StreamError.RestoreError
        | StreamError.StorageFailed
        | StreamError.JobAlreadyRunning
        | StreamError.TaskHung,
        Disk | Db
      >
    >()
  })

  test("options: all optional, undefined allowed, and nothing else", () => {
    expect<JobOptions.JobOptions>().type.toBeAssignableFrom<{}>()
    expect<JobOptions.JobOptions>().type.toBeAssignableFrom<{ parallelism: undefined; restore: { savepoint: number }; restart: "none" }>()
    expect(Job.run<never, never>).type.not.toBeCallableWith(Job.make("pure", pure), { paralelism: 2 })
    expect(Job.run<never, never>).type.not.toBeCallableWith(Job.make("pure", pure), { checkpoint: {} })
    expect(Job.run<never, never>).type.not.toBeCallableWith(Job.make("pure", pure), { restore: "newest" })
  })

  test("jobs are covariant in E and R", () => {
    expect<Job.Job<Unreadable>>().type.toBeAssignableTo<Job.Job<Unreadable | Refused, Db>>()
    expect<Job.Job<Unreadable | Refused>>().type.not.toBeAssignableTo<Job.Job<Unreadable>>()
    expect<Job.Job<never, Db>>().type.not.toBeAssignableTo<Job.Job>()
  })
})
