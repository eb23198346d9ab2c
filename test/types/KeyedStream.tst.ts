// toBeCallableWith makes a statement of the call, and a stream that is not used is none that was forgotten
// @effect-diagnostics floatingEffect:off
import { Context, Data, Effect, Schema } from "effect"
import type { ProcessFunction } from "sluice"
import { Aggregator, DataStream, KeyedStream, OutputTag, State } from "sluice"
import { describe, expect, test } from "tstyche"

interface Click {
  readonly user: string
  readonly at: number
}

class Unreadable extends Data.TaggedError("Unreadable")<{}> {}
class Refused extends Data.TaggedError("Refused")<{}> {}
class Disk extends Context.Tag("Disk")<Disk, { readonly read: Effect.Effect<string> }>() {}
class Db extends Context.Tag("Db")<Db, { readonly name: (user: string) => string }>() {}

declare const clicks: DataStream.DataStream<Click, Unreadable, Disk>
const byUser = clicks.pipe(KeyedStream.keyBy((click) => click.user))

describe("keyBy", () => {
  test("the key is what the function gives; E and R stay", () => {
    expect(byUser).type.toBe<KeyedStream.KeyedStream<string, Click, Unreadable, Disk>>()
    expect(KeyedStream.keyBy(clicks, (click) => click.at)).type.toBe<KeyedStream.KeyedStream<number, Click, Unreadable, Disk>>()
    expect(clicks.pipe(KeyedStream.keyBy((click) => ({ user: click.user, day: Math.floor(click.at / 86_400_000) }))))
      .type.toBe<KeyedStream.KeyedStream<{ user: string; day: number }, Click, Unreadable, Disk>>()
    expect(DataStream.range(1, 2).pipe(KeyedStream.keyBy((n) => n % 2 === 0))).type.toBe<KeyedStream.KeyedStream<boolean, number>>()
  })

  test("a schema of the key is one of what the function gives", () => {
    const Key = Schema.Struct({ user: Schema.String })
    expect(KeyedStream.keyBy(({ user }: Click) => ({ user }), Key)).type.toBeCallableWith(clicks)
    expect(KeyedStream.keyBy(clicks, ({ user }: Click): { readonly user: string } => ({ user }), Key))
      .type.toBe<KeyedStream.KeyedStream<{ readonly user: string }, Click, Unreadable, Disk>>()
    expect(KeyedStream.keyBy(clicks, (click: Click) => new Date(click.at), Schema.Date))
      .type.toBe<KeyedStream.KeyedStream<Date, Click, Unreadable, Disk>>()
    expect(KeyedStream.keyBy<Click, string>).type.not.toBeCallableWith((click: Click) => click.user, Schema.Number)
    // @ts-expect-error is not assignable
    void KeyedStream.keyBy(clicks, (click) => click.user, Schema.Number)
    // @ts-expect-error is not assignable
    void KeyedStream.keyBy(clicks, ({ user }) => ({ user }), Schema.Struct({ user: Schema.Number }))
  })

  test("a schema of the key does not keep the function from seeing the record", () => {
    // a parameter with a default takes its type from where the function is used, as one without a type does
    expect(KeyedStream.keyBy).type.toBeCallableWith(clicks, (click = {} as Click) => click.user, Schema.String)
    expect(KeyedStream.keyBy).type.toBeCallableWith(clicks, (click = {} as Click) => new Date(click.at), Schema.Date)
    expect(KeyedStream.keyBy).type.toBeCallableWith(
      clicks,
      (click = {} as Click) => ({ user: click.user }),
      Schema.Struct({ user: Schema.String })
    )
    expect(KeyedStream.keyBy).type.not.toBeCallableWith(clicks, (click = {} as Click) => click.user, Schema.Number)
  })

  test("a keyed stream is a stream, and what a stream's function makes of it is none any more", () => {
    expect(byUser).type.toBeAssignableTo<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(byUser.pipe(DataStream.map((click) => click.at))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(KeyedStream.reduce((a: Click) => a)).type.not.toBeCallableWith(clicks)
    expect(KeyedStream.aggregate(Aggregator.count)).type.not.toBeCallableWith(clicks)
    expect(KeyedStream.process({ onElement: (click: Click) => [click] })).type.not.toBeCallableWith(
      byUser.pipe(DataStream.filter(() => true))
    )
  })

  test("keyed streams are covariant in all they have", () => {
    expect<KeyedStream.KeyedStream<"a", Click>>().type.toBeAssignableTo<
      KeyedStream.KeyedStream<string, { readonly at: number }, Unreadable, Disk>
    >()
    expect<KeyedStream.KeyedStream<string, Click>>().type.not.toBeAssignableTo<KeyedStream.KeyedStream<"a", Click>>()
  })
})

describe("reduce and aggregate", () => {
  test("reduce gives records", () => {
    expect(byUser.pipe(KeyedStream.reduce((a, b) => {
      expect(a).type.toBe<Click>()
      return a.at > b.at ? a : b
    }))).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(byUser.pipe(KeyedStream.reduce((a) => a, Schema.Struct({ user: Schema.String, at: Schema.Number }))))
      .type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(KeyedStream.reduce(byUser, (a) => a)).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
  })

  test("aggregate gives the aggregator's result", () => {
    expect(byUser.pipe(KeyedStream.aggregate(Aggregator.count))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(byUser.pipe(KeyedStream.aggregate(Aggregator.sum((click) => {
      expect(click).type.toBe<Click>()
      return click.at
    })))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(KeyedStream.aggregate(byUser, Aggregator.mean((click: Click) => click.at))).type.toBe<
      DataStream.DataStream<number, Unreadable, Disk>
    >()
  })

  test("with a projection it gives what that makes of the result and the key", () => {
    expect(byUser.pipe(KeyedStream.aggregate(Aggregator.max((click) => click.at), (latest, { key }) => {
      expect(latest).type.toBe<number>()
      expect(key).type.toBe<string>()
      return { key, latest }
    }))).type.toBe<DataStream.DataStream<{ key: string; latest: number }, Unreadable, Disk>>()
    expect(KeyedStream.aggregate(byUser, Aggregator.count, (n, { key }) => `${key} ${n}`)).type.toBe<
      DataStream.DataStream<string, Unreadable, Disk>
    >()
  })

  test("struct has the results of its parts, and takes what all of them take", () => {
    const stats = Aggregator.struct({
      n: Aggregator.count,
      latest: Aggregator.max((click: Click) => click.at),
      users: Aggregator.distinct(({ user }: { readonly user: string }) => user, Schema.String)
    })
    expect(stats).type.toBeAssignableTo<Aggregator.Any<Click, { readonly n: number; readonly latest: number; readonly users: number }>>()
    expect(byUser.pipe(KeyedStream.aggregate(stats)))
      .type.toBe<DataStream.DataStream<{ readonly n: number; readonly latest: number; readonly users: number }, Unreadable, Disk>>()
    expect(stats.add).type.not.toBeCallableWith(stats.init(), { user: "a" })
  })

  test("an aggregator of other records is refused", () => {
    const ofNumbers = Aggregator.sum((n: number) => n)
    expect(KeyedStream.aggregate(ofNumbers)).type.not.toBeCallableWith(byUser)
    // @ts-expect-error is not assignable
    void KeyedStream.aggregate(byUser, ofNumbers)
  })

  test("an aggregator of one's own: its accumulator is what its schema says", () => {
    const span = Aggregator.make({
      accumulator: Schema.Struct({ low: Schema.Number }),
      init: () => ({ low: Infinity }),
      add: (acc, click: Click) => ({ low: Math.min(acc.low, click.at) }),
      result: (acc) => acc.low
    })
    expect(span).type.toBe<Aggregator.Aggregator<Click, { readonly low: number }, number>>()
    expect(span.pipe(Aggregator.map((low) => `${low}`))).type.toBe<Aggregator.Aggregator<Click, { readonly low: number }, string>>()
    expect(Aggregator.make<Click, number, number>).type.not.toBeCallableWith({
      accumulator: Schema.String,
      init: () => 0,
      add: (acc: number) => acc,
      result: (acc: number) => acc
    })
  })
})

describe("process", () => {
  test("state, key, record and context are typed without annotations", () => {
    const stream = byUser.pipe(KeyedStream.process({
      state: {
        count: State.value(Schema.Number, { default: 0 }),
        last: State.value(Schema.Date),
        pages: State.list(Schema.String),
        seen: State.map(Schema.String, Schema.Number),
        longest: State.reducing(Schema.String, (a, b) => a.length > b.length ? a : b),
        mean: State.aggregating(Aggregator.mean((click: Click) => click.at))
      },
      onElement: (click, ctx) => {
        expect(click).type.toBe<Click>()
        expect(ctx.key).type.toBe<string>()
        expect(ctx.state.count).type.toBe<State.ValueState<number, number>>()
        expect(ctx.state.count.get()).type.toBe<number>()
        expect(ctx.state.last).type.toBe<State.ValueState<Date, undefined>>()
        expect(ctx.state.last.get()).type.toBe<Date | undefined>()
        expect(ctx.state.pages).type.toBe<State.ListState<string>>()
        expect(ctx.state.seen).type.toBe<State.MapState<string, number>>()
        expect(ctx.state.longest).type.toBe<State.AggregatingState<string, string>>()
        expect(ctx.state.mean).type.toBe<State.AggregatingState<Click, number>>()
        expect(ctx.timers).type.toBe<ProcessFunction.Timers>()
        ctx.state.count.update((n) => n + 1)
        return [{ user: ctx.key, n: ctx.state.count.get() }]
      }
    }))
    expect(stream).type.toBe<DataStream.DataStream<{ user: string; n: number }, Unreadable, Disk>>()
  })

  test("what a state does not hold cannot be put into it", () => {
    expect(byUser.pipe(KeyedStream.process({
      state: { count: State.value(Schema.Number, { default: 0 }), last: State.value(Schema.Date), pages: State.list(Schema.String) },
      onElement: (click, { state }) => {
        expect(state.count.set).type.not.toBeCallableWith("1")
        expect(state.count.set).type.not.toBeCallableWith(undefined)
        expect(state.last.set).type.not.toBeCallableWith("2020-01-01")
        expect(state.pages.add).type.not.toBeCallableWith(1)
        expect(state.pages.addAll).type.not.toBeCallableWith([1])
        expect(state.last.update).type.not.toBeCallableWith((date: Date) => date)
        expect(state).type.not.toHaveProperty("other")
        // @ts-expect-error 'string' is not assignable to parameter of type 'number'
        state.count.set(click.user)
        return [click]
      }
    }))).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    // @ts-expect-error 'string' is not assignable to type 'number'
    State.value(Schema.Number, { default: "0" })
  })

  test("without declared states there are none", () => {
    expect(byUser.pipe(KeyedStream.process({
      onElement: (click, ctx) => {
        expect(ctx.state).type.not.toHaveProperty("anything")
        return [click.at]
      }
    }))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
  })

  test("the results are those of records and of timers", () => {
    expect(byUser.pipe(KeyedStream.process({
      state: { count: State.value(Schema.Number, { default: 0 }) },
      onElement: (click, ctx) => {
        ctx.timers.eventTime(click.at + 1000)
        return [click.at]
      },
      onTimer: (timer, ctx) => {
        expect(timer).type.toBe<ProcessFunction.Timer>()
        expect(ctx.key).type.toBe<string>()
        expect(ctx.state.count.get()).type.toBe<number>()
        return [{ domain: timer.domain }]
      }
    }))).type.toBe<DataStream.DataStream<number | { domain: "event-time" | "processing-time" }, Unreadable, Disk>>()
  })

  test("a function without results gives none, one that gives results only sometimes gives those", () => {
    expect(byUser.pipe(KeyedStream.process({ onElement: () => {} }))).type.toBe<DataStream.DataStream<never, Unreadable, Disk>>()
    expect(byUser.pipe(KeyedStream.process({ onElement: () => {}, onTimer: () => ["tick"] })))
      .type.toBe<DataStream.DataStream<string, Unreadable, Disk>>()
    expect(byUser.pipe(KeyedStream.process({
      onElement: (click) => {
        if (click.at > 0) return [click.at]
      }
    }))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
  })

  test("only what the tag says can be sent to a side output", () => {
    const late = OutputTag.make<number>("late")
    expect(byUser.pipe(KeyedStream.process({
      onElement: (click, ctx) => {
        ctx.output(late, click.at)
        // @ts-expect-error 'string' is not assignable to parameter of type 'number'
        ctx.output(late, click.user)
        return [click]
      }
    }))).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
  })

  test("acquired by an Effect it adds that one's E and R, but not the Scope", () => {
    const acquired = Effect.gen(function*() {
      const db = yield* Db
      yield* Effect.addFinalizer(() => Effect.void)
      if (db.name("") === "") return yield* new Refused()
      const state = { count: State.value(Schema.Number, { default: 0 }) }
      return {
        state,
        onElement: (click: Click, ctx: ProcessFunction.KeyedProcessContext<string, typeof state>) => {
          expect(ctx.state.count.get()).type.toBe<number>()
          return [db.name(ctx.key) + click.at]
        },
        onTimer: () => [1]
      }
    })
    expect(byUser.pipe(KeyedStream.process(acquired))).type.toBe<DataStream.DataStream<string | number, Unreadable | Refused, Disk | Db>>()
  })

  test("never stays never: acquired without E and R it adds none", () => {
    const acquired = Effect.sync(() => ({ onElement: (click: Click) => [click.at] }))
    expect(DataStream.fromIterable<Click>([]).pipe(KeyedStream.keyBy((click) => click.user), KeyedStream.process(acquired)))
      .type.toBe<DataStream.DataStream<number>>()
  })
})
