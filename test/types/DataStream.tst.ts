// toBeCallableWith makes a statement of the call, and a stream that is not used is none that was forgotten
// @effect-diagnostics floatingEffect:off
import type { Cause } from "effect"
import { Context, Data, Effect, Option, Schema, Stream } from "effect"
import type { JobOptions, StreamError } from "sluice"
import { DataSink, DataSource, DataStream, KeyedStream, OutputTag, WatermarkStrategy } from "sluice"
import { describe, expect, test } from "tstyche"

interface Click {
  readonly user: string
  readonly at: number
  readonly page: number | undefined
}

class Unreadable extends Data.TaggedError("Unreadable")<{}> {}
class Refused extends Data.TaggedError("Refused")<{}> {}
class Disk extends Context.Tag("Disk")<Disk, { readonly read: Effect.Effect<string> }>() {}
class Db extends Context.Tag("Db")<Db, { readonly name: (user: string) => Effect.Effect<string, Refused> }>() {}

declare const clicks: DataStream.DataStream<Click, Unreadable, Disk>
declare const pure: DataStream.DataStream<Click>
declare const listed: Effect.Effect<ReadonlyArray<string>, Unreadable, Disk>
declare const lookup: (click: Click) => Effect.Effect<string, Refused, Db>
const total: (click: Click) => Effect.Effect<string> = () => Effect.succeed("")

describe("sources", () => {
  test("what is read without effects neither fails nor needs anything", () => {
    expect(DataStream.fromIterable([1, 2])).type.toBe<DataStream.DataStream<number>>()
    expect(DataStream.fromIterable(new Set(["a"]))).type.toBe<DataStream.DataStream<string>>()
    expect(DataStream.range(1, 2)).type.toBe<DataStream.DataStream<number>>()
    expect(DataStream.generate({ make: (i) => ({ i }) })).type.toBe<DataStream.DataStream<{ i: number }>>()
  })

  test("an Effect Stream gives its own E and R", () => {
    expect(DataStream.fromStream(Stream.make(1, 2))).type.toBe<DataStream.DataStream<number>>()
    expect(DataStream.fromStream(Stream.fromEffect(Effect.flatMap(Db, (db) => db.name("a")))))
      .type.toBe<DataStream.DataStream<string, Refused, Db>>()
  })

  test("a source gives the E and R of listing and of reading, without the Scope that reading has", () => {
    const source = DataSource.make({
      name: "clicks",
      splits: listed,
      read: (split, position: number | undefined) =>
        Effect.gen(function*() {
          expect(split).type.toBe<string>()
          expect(position).type.toBe<number | undefined>()
          yield* Effect.acquireRelease(Effect.void, () => Effect.void)
          yield* Db
          if (split === "") return yield* new Refused()
          return { poll: () => ({ values: [1], position: 2 }), fetch: Effect.succeed(true) }
        })
    })
    expect(source).type.toBe<DataSource.DataSource<number, Unreadable | Refused, Disk | Db>>()
    expect(DataStream.fromSource(source)).type.toBe<DataStream.DataStream<number, Unreadable | Refused, Disk | Db>>()
    expect(DataStream.fromSource(source, { watermarks: WatermarkStrategy.monotonic }))
      .type.toBe<DataStream.DataStream<number, Unreadable | Refused, Disk | Db>>()
  })

  test("the errors of opening a split and of reading it may differ", () => {
    expect(DataSource.make).type.toBeCallableWith({
      name: "clicks",
      splits: listed,
      read: (_: string, position: number | undefined) =>
        Effect.if(position === undefined, {
          onTrue: () => new Unreadable(),
          onFalse: () => Effect.succeed({ poll: () => ({ values: [1], position: 2 }), fetch: new Refused() })
        })
    })
  })

  test("the watermarks of a source see its records", () => {
    const source = DataSource.make({
      name: "numbers",
      splits: Effect.succeed([0]),
      read: () => Effect.succeed({ poll: () => ({ values: [{ at: 1 }], position: 1 }), fetch: Effect.succeed(false) })
    })
    expect(DataStream.fromSource(source, {
      watermarks: WatermarkStrategy.punctuated((value) => {
        expect(value).type.toBe<{ at: number }>()
        return value.at
      })
    })).type.toBe<DataStream.DataStream<{ at: number }>>()
    expect(DataStream.fromSource<{ at: number }, never, never>).type.not.toBeCallableWith(source, {
      watermarks: WatermarkStrategy.punctuated((value: { readonly other: string }) => value.other.length)
    })
  })
})

describe("records", () => {
  test("functions see the record, in a pipe without annotations, and keep E and R", () => {
    const stream = clicks.pipe(
      DataStream.map((click) => {
        expect(click).type.toBe<Click>()
        return click.at
      }),
      DataStream.flatMap((at) => [at, `${at}`]),
      DataStream.filterMap((value) => {
        expect(value).type.toBe<string | number>()
        return typeof value === "number" ? Option.some({ value }) : Option.none()
      }),
      DataStream.tap((each) => {
        expect(each).type.toBe<{ value: number }>()
      })
    )
    expect(stream).type.toBe<DataStream.DataStream<{ value: number }, Unreadable, Disk>>()
  })

  test("never stays never through all of them", () => {
    const stream = pure.pipe(
      DataStream.map((click) => click),
      DataStream.filter((click) => click.at > 0),
      DataStream.flatMap((click) => [click]),
      DataStream.filterMap((click) => Option.some(click)),
      DataStream.tap(() => {}),
      DataStream.tap(() => Effect.void),
      DataStream.process({ onElement: (click) => [click] }),
      DataStream.mapEffect((click) => Effect.succeed(click)),
      DataStream.assignTimestamps((click) => click.at, WatermarkStrategy.monotonic),
      DataStream.union(pure),
      DataStream.named("a"),
      DataStream.uid("a"),
      DataStream.parallelism(2),
      DataStream.disableChaining,
      DataStream.startNewChain,
      DataStream.rebalance,
      DataStream.broadcast,
      DataStream.global,
      DataStream.forward
    )
    expect(stream).type.toBe<DataStream.DataStream<Click, never, never>>()
  })

  test("filter keeps the type, or narrows it by a refinement", () => {
    expect(clicks.pipe(DataStream.filter((click) => click.at > 0))).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.map((click) => click.page), DataStream.filter((page) => page !== undefined)))
      .type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.map((click) => click.page), DataStream.filter((page): page is number => page !== undefined)))
      .type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(DataStream.filter(DataStream.map(clicks, (click) => click.page), (page) => page !== undefined))
      .type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.map((click) => click.page), DataStream.filter((page) => page !== undefined && page > 3)))
      .type.toBe<DataStream.DataStream<number | undefined, Unreadable, Disk>>()
  })

  test("data first is the same", () => {
    expect(DataStream.map(clicks, (click) => click.at)).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(DataStream.flatMap(clicks, (click) => [click.at])).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(DataStream.filterMap(clicks, (click) => Option.some(click.at))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(DataStream.tap(clicks, lookup)).type.toBe<DataStream.DataStream<Click, Unreadable | Refused, Disk | Db>>()
    expect(DataStream.mapEffect(clicks, lookup)).type.toBe<DataStream.DataStream<string, Unreadable | Refused, Disk | Db>>()
    expect(DataStream.process(clicks, { onElement: (click) => [click.at] })).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
  })

  test("an Effect that is run for each record adds its E and R", () => {
    expect(clicks.pipe(DataStream.tap(lookup))).type.toBe<DataStream.DataStream<Click, Unreadable | Refused, Disk | Db>>()
    expect(clicks.pipe(DataStream.mapEffect(lookup))).type.toBe<DataStream.DataStream<string, Unreadable | Refused, Disk | Db>>()
    expect(pure.pipe(DataStream.mapEffect(lookup))).type.toBe<DataStream.DataStream<string, Refused, Db>>()
    expect(clicks.pipe(DataStream.mapEffect(total, { concurrency: 3 }))).type.toBe<DataStream.DataStream<string, Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.mapEffect((click) => Effect.map(Db, (db) => [db.name, click.at] as const))))
      .type.toBe<DataStream.DataStream<readonly [(user: string) => Effect.Effect<string, Refused>, number], Unreadable, Disk | Db>>()
  })

  test("with a timeout mapEffect can fail with TimeoutException", () => {
    expect(pure.pipe(DataStream.mapEffect(lookup, { timeout: "1 second" })))
      .type.toBe<DataStream.DataStream<string, Refused | Cause.TimeoutException, Db>>()
    expect(DataStream.mapEffect(pure, lookup, { timeout: "1 second" }))
      .type.toBe<DataStream.DataStream<string, Refused | Cause.TimeoutException, Db>>()
  })

  test("the schema of mapEffect is one of its input", () => {
    const Input = Schema.Struct({ user: Schema.String, at: Schema.Number, page: Schema.UndefinedOr(Schema.Number) })
    expect(DataStream.mapEffect<Click, string, Refused, Db>).type.toBeCallableWith(lookup, { schema: Input })
    expect(pure.pipe(DataStream.mapEffect((click) => lookup(click), { schema: Input }))).type.toBe<
      DataStream.DataStream<string, Refused, Db>
    >()
    expect(DataStream.mapEffect<Click, string, Refused, Db>).type.not.toBeCallableWith(lookup, { schema: Schema.String })
  })

  test("process gives its results and sees its context", () => {
    const stream = clicks.pipe(DataStream.process({
      onElement: (click, ctx) => {
        expect(click).type.toBe<Click>()
        expect(ctx.timestamp).type.toBe<number | undefined>()
        expect(ctx.watermark).type.toBe<number>()
        if (click.at < 0) return
        return [click.at]
      }
    }))
    expect(stream).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
  })

  test("timestamps are made of records, and watermarks may be", () => {
    expect(clicks.pipe(DataStream.assignTimestamps((click) => click.at, WatermarkStrategy.boundedOutOfOrderness("1 second"))))
      .type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.assignTimestamps(
      (click) => click.at,
      WatermarkStrategy.punctuated((click) => {
        expect(click).type.toBe<Click>()
        return click.at
      })
    ))).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.assignTimestamps(
      (click) => click.at,
      WatermarkStrategy.monotonic.pipe(WatermarkStrategy.withIdleness("1 second"))
    ))).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(DataStream.assignTimestamps<Click>).type.not.toBeCallableWith((click: Click) => click.user, WatermarkStrategy.monotonic)
  })

  test("a side output has the type of its tag", () => {
    const late = OutputTag.make<{ readonly why: string }>("late")
    expect(clicks.pipe(DataStream.sideOutput(late))).type.toBe<DataStream.DataStream<{ readonly why: string }, Unreadable, Disk>>()
    expect(DataStream.sideOutput(clicks, late)).type.toBe<DataStream.DataStream<{ readonly why: string }, Unreadable, Disk>>()
  })

  test("only what the tag says can be sent to a side output", () => {
    const late = OutputTag.make<{ readonly why: string }>("late")
    const stream = clicks.pipe(DataStream.process({
      onElement: (click, ctx) => {
        ctx.output(late, { why: "" })
        // @ts-expect-error 'number' is not assignable to type 'string'
        ctx.output(late, { why: click.at })
        // @ts-expect-error 'string' is not assignable
        ctx.output(late, click.user)
        return [click]
      }
    }))
    expect(stream).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
  })

  test("union has the records, errors and services of both", () => {
    const numbers = DataStream.fromStream(Stream.fromEffect(Effect.zipRight(Db, Effect.fail(new Refused()))))
    expect(clicks.pipe(DataStream.union(numbers))).type.toBe<DataStream.DataStream<Click, Unreadable | Refused, Disk | Db>>()
    expect(clicks.pipe(DataStream.union(DataStream.range(1, 2)))).type.toBe<DataStream.DataStream<Click | number, Unreadable, Disk>>()
    expect(DataStream.union(DataStream.range(1, 2), clicks)).type.toBe<DataStream.DataStream<Click | number, Unreadable, Disk>>()
  })

  test("an operator of one's own adds the E of its hooks, and the E and R of its factory", () => {
    const operator = Effect.gen(function*() {
      yield* Db
      if (yield* Effect.succeed(true)) return yield* new Refused()
      return { processElement: () => Effect.fail(new Unreadable()) }
    })
    expect(DataStream.transform(DataStream.range(1, 2), "own", operator)).type.toBe<
      DataStream.DataStream<unknown, Unreadable | Refused, Db>
    >()
  })

  test("never stays never: an operator whose hooks do not fail adds no error", () => {
    const operator = Effect.sync(() => ({ processElement: () => {} }))
    expect(DataStream.transform(DataStream.range(1, 2), "own", operator)).type.toBe<DataStream.DataStream<unknown>>()
    expect(DataStream.range(1, 2).pipe(DataStream.transform("own", operator))).type.toBe<DataStream.DataStream<unknown>>()
  })

  test("streams are covariant in all they have", () => {
    expect<DataStream.DataStream<Click, never, never>>().type.toBeAssignableTo<
      DataStream.DataStream<{ readonly at: number }, Unreadable, Disk>
    >()
    expect<DataStream.DataStream<Click, Unreadable>>().type.not.toBeAssignableTo<DataStream.DataStream<Click>>()
    expect<DataStream.DataStream<Click, never, Disk>>().type.not.toBeAssignableTo<DataStream.DataStream<Click>>()
    expect<DataStream.DataStream<{ readonly at: number }>>().type.not.toBeAssignableTo<DataStream.DataStream<Click>>()
  })
})

describe("how it runs", () => {
  test("settings keep the type of the stream, a keyed one too", () => {
    const keyed = clicks.pipe(
      DataStream.named("clicks"),
      KeyedStream.keyBy((click) => click.user),
      DataStream.uid("keyed"),
      DataStream.parallelism(2),
      DataStream.startNewChain
    )
    expect(keyed).type.toBe<KeyedStream.KeyedStream<string, Click, Unreadable, Disk>>()
    expect(DataStream.named(clicks, "clicks")).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
  })

  test("a partitioning keeps the records and gives up the key", () => {
    const keyed = KeyedStream.keyBy(clicks, (click) => click.user)
    expect(keyed.pipe(DataStream.rebalance)).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.broadcast)).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
  })
})

describe("ends", () => {
  const sink = <A>() =>
    DataSink.make({
      name: "sink",
      open: () =>
        Effect.gen(function*() {
          yield* Db
          yield* Effect.addFinalizer(() => Effect.void)
          return { write: (_: A) => Effect.fail(new Refused()) }
        })
    })

  test("a sink adds its E and R, without the Scope it is opened in", () => {
    expect(sink<Click>()).type.toBe<DataSink.DataSink<Click, Refused, Db>>()
    expect(clicks.pipe(DataStream.to(sink<Click>()))).type.toBe<DataStream.Pipeline<Unreadable | Refused, Disk | Db>>()
    expect(DataStream.to(clicks, sink<Click>(), { uid: "sink" })).type.toBe<DataStream.Pipeline<Unreadable | Refused, Disk | Db>>()
    expect(pure.pipe(DataStream.to(DataSink.forEach((click: Click) => void click.at)))).type.toBe<DataStream.Pipeline>()
  })

  test("the errors of opening a sink and of writing to it may differ", () => {
    expect(DataSink.make).type.toBeCallableWith({
      name: "sink",
      open: () => Effect.if(true, { onTrue: () => new Unreadable(), onFalse: () => Effect.succeed({ write: (_: Click) => new Refused() }) })
    })
  })

  test("a transactional sink adds the E and R of all its parts", () => {
    const transactional = DataSink.transactional({
      name: "files",
      open: () =>
        Effect.map(listed, () => ({
          write: (_: Click) => {},
          prepare: () => ({ committables: ["token"], persist: Effect.void }),
          commit: (_: string) => Effect.void
        })),
      recover: (restored) => {
        expect(restored).type.toBe<ReadonlyArray<string>>()
        return Effect.asVoid(Effect.flatMap(Db, (db) => db.name("")))
      }
    })
    expect(transactional).type.toBe<DataSink.DataSink<Click, Unreadable | Refused, Disk | Db>>()
  })

  test("a sink takes what it can write, and what is more than that", () => {
    expect(DataStream.to(sink<{ readonly at: number }>())).type.toBeCallableWith(clicks)
    expect(DataStream.to(sink<unknown>())).type.toBeCallableWith(clicks)
    expect(DataStream.to(sink<string>())).type.not.toBeCallableWith(clicks)
    expect(DataStream.to(sink<Click & { readonly more: string }>())).type.not.toBeCallableWith(clicks)
    expect(DataStream.to<Click, Unreadable, Disk, Refused, Db>).type.not.toBeCallableWith(clicks, sink<string>())
  })

  test("runForEach adds the E and R of its function", () => {
    expect(clicks.pipe(DataStream.runForEach((click) => {
      expect(click).type.toBe<Click>()
    }))).type.toBe<DataStream.Pipeline<Unreadable, Disk>>()
    expect(clicks.pipe(DataStream.runForEach((click) => Effect.asVoid(lookup(click))))).type.toBe<
      DataStream.Pipeline<Unreadable | Refused, Disk | Db>
    >()
    expect(DataStream.runForEach(pure, () => {})).type.toBe<DataStream.Pipeline>()
  })

  test("runCollect and toStream fail with what a job of the stream's E fails with, and need its R", () => {
    expect(DataStream.runCollect(clicks)).type.toBe<Effect.Effect<Array<Click>, StreamError.JobError<Unreadable>, Disk>>()
    expect(clicks.pipe(DataStream.runCollect)).type.toBe<Effect.Effect<Array<Click>, StreamError.JobError<Unreadable>, Disk>>()
    expect(DataStream.runCollect(pure, { parallelism: 2 })).type.toBe<Effect.Effect<Array<Click>, StreamError.JobError, never>>()
    expect(DataStream.toStream(clicks)).type.toBe<Stream.Stream<Click, StreamError.JobError<Unreadable>, Disk>>()
    expect(DataStream.toStream(pure)).type.toBe<Stream.Stream<Click, StreamError.JobError>>()
    expect<JobOptions.JobOptions>().type.toBeAssignableFrom<
      { parallelism: undefined; checkpoint: { interval: "1 second"; retain: undefined } }
    >()
  })
})
