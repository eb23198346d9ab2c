// toBeCallableWith makes a statement of the call, and a stream that is not used is none that was forgotten
// @effect-diagnostics floatingEffect:off
import type { Scope } from "effect"
import { Context, Data, Effect, Schema } from "effect"
import type { DataStream, ProcessFunction, StreamOperator } from "sluice"
import { ConnectedStreams, KeyedStream, OutputTag, State } from "sluice"
import { describe, expect, test } from "tstyche"

interface Order {
  readonly id: number
  readonly item: string
}

interface Payment {
  readonly order: number
  readonly cents: bigint
}

class Unreadable extends Data.TaggedError("Unreadable")<{}> {}
class Unpaid extends Data.TaggedError("Unpaid")<{}> {}
class Refused extends Data.TaggedError("Refused")<{}> {}
class Disk extends Context.Tag("Disk")<Disk, { readonly read: Effect.Effect<string> }>() {}
class Bank extends Context.Tag("Bank")<Bank, { readonly ask: Effect.Effect<string> }>() {}
class Db extends Context.Tag("Db")<Db, { readonly name: (user: string) => string }>() {}

declare const orders: DataStream.DataStream<Order, Unreadable, Disk>
declare const payments: DataStream.DataStream<Payment, Unpaid, Bank>

type E = Unreadable | Unpaid
type R = Disk | Bank

const connected = ConnectedStreams.connect(orders, payments)
const keyed = connected.pipe(ConnectedStreams.keyBy((order) => order.id, (payment) => payment.order))

describe("connect", () => {
  test("has the records, errors and needs of both", () => {
    expect(connected).type.toBe<ConnectedStreams.ConnectedStreams<Order, Payment, E, R>>()
    expect(orders.pipe(ConnectedStreams.connect(payments))).type.toBe<ConnectedStreams.ConnectedStreams<Order, Payment, E, R>>()
  })

  test("of streams with keys of one kind has keys, of others none", () => {
    const byId = KeyedStream.keyBy(orders, (order) => order.id)
    const byOrder = KeyedStream.keyBy(payments, (payment) => payment.order)
    expect(ConnectedStreams.connect(byId, byOrder)).type.toBe<ConnectedStreams.KeyedConnectedStreams<number, Order, Payment, E, R>>()
    expect(byId.pipe(ConnectedStreams.connect(byOrder))).type.toBe<ConnectedStreams.KeyedConnectedStreams<number, Order, Payment, E, R>>()
    expect(ConnectedStreams.connect(byId, payments)).type.toBe<ConnectedStreams.ConnectedStreams<Order, Payment, E, R>>()
    expect(ConnectedStreams.connect(orders, byOrder)).type.toBe<ConnectedStreams.ConnectedStreams<Order, Payment, E, R>>()
    expect(ConnectedStreams.connect(KeyedStream.keyBy(orders, (order) => order.item), byOrder))
      .type.toBe<ConnectedStreams.ConnectedStreams<Order, Payment, E, R>>()
  })

  test("is covariant in all it has, and what has keys is also what has none", () => {
    expect<ConnectedStreams.ConnectedStreams<Order, Payment>>().type.toBeAssignableTo<
      ConnectedStreams.ConnectedStreams<{ readonly id: number }, unknown, Unreadable, Disk>
    >()
    expect<ConnectedStreams.ConnectedStreams<Order, Payment, Unreadable>>().type.not.toBeAssignableTo<
      ConnectedStreams.ConnectedStreams<Order, Payment>
    >()
    expect(keyed).type.toBeAssignableTo<ConnectedStreams.ConnectedStreams<Order, Payment, E, R>>()
    expect(connected).type.not.toBeAssignableTo<ConnectedStreams.KeyedConnectedStreams<number, Order, Payment, E, R>>()
  })
})

describe("keyBy", () => {
  test("the key is what both functions give; E and R stay", () => {
    expect(keyed).type.toBe<ConnectedStreams.KeyedConnectedStreams<number, Order, Payment, E, R>>()
    expect(ConnectedStreams.keyBy(connected, (order) => order.item, (payment) => `${payment.order}`))
      .type.toBe<ConnectedStreams.KeyedConnectedStreams<string, Order, Payment, E, R>>()
  })

  test("functions that give keys of two kinds are refused", () => {
    // @ts-expect-error is not assignable
    void ConnectedStreams.keyBy(connected, (order) => order.id, (payment) => payment.cents)
    // @ts-expect-error is not assignable
    void connected.pipe(ConnectedStreams.keyBy((order) => order.item, (payment) => payment.order))
  })

  test("a schema of the key is one of what the functions give", () => {
    expect(
      ConnectedStreams.keyBy(
        connected,
        ({ id }: Order) => ({ id }),
        ({ order }: Payment) => ({ id: order }),
        Schema.Struct({ id: Schema.Number })
      )
    )
      .type.toBe<ConnectedStreams.KeyedConnectedStreams<{ readonly id: number }, Order, Payment, E, R>>()
    // @ts-expect-error is not assignable
    void ConnectedStreams.keyBy(connected, ({ id }: Order) => id, ({ order }: Payment) => order, Schema.String)
  })
})

describe("map", () => {
  test("gives what either function gives; E and R stay", () => {
    expect(connected.pipe(ConnectedStreams.map((order) => order.item, (payment) => payment.cents)))
      .type.toBe<DataStream.DataStream<string | bigint, E, R>>()
    expect(ConnectedStreams.map(keyed, (order) => order.id, (payment) => payment.order)).type.toBe<DataStream.DataStream<number, E, R>>()
  })

  test("a function of other records is refused", () => {
    expect(ConnectedStreams.map((n: number) => n, (payment: Payment) => payment)).type.not.toBeCallableWith(connected)
    // @ts-expect-error is not assignable
    void ConnectedStreams.map(connected, (order) => order, (n: string) => n)
  })
})

describe("process, without keys", () => {
  test("records and context are typed without annotations; the results are those of both functions", () => {
    expect(connected.pipe(ConnectedStreams.process({
      onElement1: (order, ctx) => {
        expect(order).type.toBe<Order>()
        expect(ctx).type.toBe<ProcessFunction.ProcessContext>()
        return [order.item]
      },
      onElement2: (payment, ctx) => {
        expect(payment).type.toBe<Payment>()
        expect(ctx).type.toBe<ProcessFunction.ProcessContext>()
        return new Set([payment.cents])
      }
    }))).type.toBe<DataStream.DataStream<string | bigint, E, R>>()
  })

  test("a function without results gives none, one that gives results only sometimes gives those", () => {
    expect(connected.pipe(ConnectedStreams.process({ onElement1: () => {}, onElement2: () => {} })))
      .type.toBe<DataStream.DataStream<never, E, R>>()
    expect(connected.pipe(ConnectedStreams.process({
      onElement1: (order) => {
        if (order.id > 0) return [order.id]
      },
      onElement2: () => {}
    }))).type.toBe<DataStream.DataStream<number, E, R>>()
  })

  test("streams with keys take such a function too", () => {
    expect(keyed.pipe(ConnectedStreams.process({ onElement1: (order) => [order.id], onElement2: (payment) => [payment.cents] })))
      .type.toBe<DataStream.DataStream<number | bigint, E, R>>()
  })

  test("state, timers and the key are only where there are keys", () => {
    // @ts-expect-error is not assignable
    void connected.pipe(ConnectedStreams.process({
      state: { count: State.value(Schema.Number) },
      onElement1: () => [1],
      onElement2: () => [2]
    }))
    // @ts-expect-error is not assignable
    void connected.pipe(ConnectedStreams.process({ state: {}, onElement1: () => [1], onElement2: () => [2] }))
    // @ts-expect-error is not assignable
    void connected.pipe(ConnectedStreams.process({ onElement1: () => [1], onElement2: () => [2], onTimer: () => [3] }))
    // @ts-expect-error is not assignable
    void connected.pipe(ConnectedStreams.process(Effect.succeed({
      state: { count: State.value(Schema.Number) },
      onElement1: (_order: Order) => [1],
      onElement2: (_payment: Payment) => [2]
    })))
    expect<ProcessFunction.ProcessContext>().type.not.toHaveProperty("state")
    expect<ProcessFunction.ProcessContext>().type.not.toHaveProperty("timers")
    expect<ProcessFunction.ProcessContext>().type.not.toHaveProperty("key")
  })
})

describe("process, with keys", () => {
  test("state, key, records and context are typed without annotations; the results are those of records and of timers", () => {
    expect(keyed.pipe(ConnectedStreams.process({
      state: { item: State.value(Schema.String), paid: State.value(Schema.Boolean, { default: false }) },
      onElement1: (order, ctx) => {
        expect(order).type.toBe<Order>()
        expect(ctx.key).type.toBe<number>()
        expect(ctx.timers).type.toBe<ProcessFunction.Timers>()
        expect(ctx.state.item).type.toBe<State.ValueState<string, undefined>>()
        expect(ctx.state.paid).type.toBe<State.ValueState<boolean, boolean>>()
        expect(ctx.state).type.not.toHaveProperty("other")
        return [order.item]
      },
      onElement2: (payment, ctx) => {
        expect(payment).type.toBe<Payment>()
        expect(ctx.key).type.toBe<number>()
        expect(ctx.state.item.get()).type.toBe<string | undefined>()
        return [payment.cents]
      },
      onTimer: (timer, ctx) => {
        expect(timer).type.toBe<ProcessFunction.Timer>()
        expect(ctx.key).type.toBe<number>()
        expect(ctx.state.paid.get()).type.toBe<boolean>()
        return [ctx.state.paid.get()]
      }
    }))).type.toBe<DataStream.DataStream<string | bigint | boolean, E, R>>()
  })

  test("timers need no state, and the key alone an empty one", () => {
    expect(keyed.pipe(ConnectedStreams.process({
      onElement1: (_, ctx) => ctx.timers.eventTime(1),
      onElement2: () => {},
      onTimer: (_, ctx) => [ctx.key]
    }))).type.toBe<DataStream.DataStream<number, E, R>>()
    expect(keyed.pipe(ConnectedStreams.process({ state: {}, onElement1: (_, ctx) => [ctx.key], onElement2: () => {} })))
      .type.toBe<DataStream.DataStream<number, E, R>>()
  })

  test("one that is acquired adds its own E and R, without the Scope it is acquired in", () => {
    const acquired = Effect.gen(function*() {
      yield* Db
      yield* Effect.acquireRelease(Effect.void, () => Effect.void)
      if (Math.random() > 1) return yield* new Refused()
      return {
        state: { item: State.value(Schema.String) },
        onElement1: (order: Order) => [order.item],
        onElement2: (payment: Payment) => [payment.cents],
        onTimer: () => [true]
      }
    })
    expect(acquired).type.toBeAssignableTo<Effect.Effect<unknown, Refused, Db | Scope.Scope>>()
    expect(keyed.pipe(ConnectedStreams.process(acquired)))
      .type.toBe<DataStream.DataStream<string | bigint | boolean, E | Refused, R | Db>>()
  })

  test("only what a state holds can be put into it, and what a tag says to its side output", () => {
    const late = OutputTag.make<Order>("late")
    expect(keyed.pipe(ConnectedStreams.process({
      state: { item: State.value(Schema.String) },
      onElement1: (order, ctx) => {
        expect(ctx.state.item.set).type.not.toBeCallableWith(1)
        ctx.output(late, order)
        // @ts-expect-error is not assignable
        ctx.output(late, order.item)
      },
      onElement2: () => {}
    }))).type.toBe<DataStream.DataStream<never, E, R>>()
  })
})

describe("transform", () => {
  const operator: StreamOperator.TwoInputStreamOperator<Order, Payment, string, Refused> = {
    processElement1: () => Effect.fail(new Refused()),
    processElement2: (payment, out) => out.emit(`${payment.value.cents}`, payment.timestamp)
  }

  test("adds the E of the operator and the E and R of its factory", () => {
    class NotMade extends Data.TaggedError("NotMade")<{}> {}
    const factory = Effect.gen(function*() {
      yield* Db
      if (Math.random() > 1) return yield* new NotMade()
      return operator
    })
    expect(ConnectedStreams.transform(connected, "both", factory)).type.toBe<DataStream.DataStream<string, E | Refused | NotMade, R | Db>>()
    expect(connected.pipe(ConnectedStreams.transform("both", factory))).type.toBe<
      DataStream.DataStream<string, E | Refused | NotMade, R | Db>
    >()
    expect(ConnectedStreams.transform(keyed, "both", Effect.succeed(operator))).type.toBe<DataStream.DataStream<string, E | Refused, R>>()
  })

  test("an operator of other records is refused", () => {
    expect(ConnectedStreams.transform("both", Effect.succeed(operator))).type.not.toBeCallableWith(
      ConnectedStreams.connect(payments, orders)
    )
  })
})
