// toBeCallableWith makes a statement of the call, and a stream that is not used is none that was forgotten
// @effect-diagnostics floatingEffect:off
import { Context, Data, Schema } from "effect"
import type { Effect } from "effect"
import { Aggregator, DataStream, KeyedStream, OutputTag, Window, WindowedStream } from "sluice"
import { describe, expect, test } from "tstyche"

interface Click {
  readonly user: string
  readonly at: number
}

class Unreadable extends Data.TaggedError("Unreadable")<{}> {}
class Disk extends Context.Tag("Disk")<Disk, { readonly read: Effect.Effect<string> }>() {}

declare const clicks: DataStream.DataStream<Click, Unreadable, Disk>
const byUser = clicks.pipe(KeyedStream.keyBy((click) => click.user))
const windowed = byUser.pipe(WindowedStream.window(Window.tumbling("1 minute")))
type Windowed = WindowedStream.WindowedStream<string, Click, Window.TimeWindow, Unreadable, Disk>

describe("window", () => {
  test("keeps key, record, E and R", () => {
    expect(windowed).type.toBe<Windowed>()
    expect(WindowedStream.window(byUser, Window.sliding("1 minute", "1 second"))).type.toBe<Windowed>()
    expect(windowed.pipe(WindowedStream.allowedLateness("1 second"))).type.toBe<Windowed>()
    expect(windowed.pipe(WindowedStream.lateOutput(OutputTag.make<Click>("late")))).type.toBe<Windowed>()
    expect(WindowedStream.lateOutput(windowed, OutputTag.make<Click>("late"))).type.toBe<Windowed>()
  })

  test("a stream without keys has no windows", () => {
    expect(WindowedStream.window(Window.tumbling("1 minute"))).type.not.toBeCallableWith(clicks)
    expect(WindowedStream.window(Window.tumbling("1 minute"))).type.not.toBeCallableWith(byUser.pipe(DataStream.map((click) => click)))
    // @ts-expect-error 'DataStream<Click, Unreadable, Disk>' is not assignable
    void WindowedStream.window(clicks, Window.tumbling("1 minute"))
    // @ts-expect-error is not assignable
    void clicks.pipe(WindowedStream.window(Window.tumbling("1 minute")))
  })

  test("windows have no records before they have a result", () => {
    expect(DataStream.map((click: Click) => click)).type.not.toBeCallableWith(windowed)
    expect(KeyedStream.aggregate(Aggregator.count)).type.not.toBeCallableWith(windowed)
  })

  test("the tag for late records takes them", () => {
    expect(WindowedStream.lateOutput(OutputTag.make<string>("late"))).type.not.toBeCallableWith(windowed)
    // @ts-expect-error is not assignable
    void WindowedStream.lateOutput(windowed, OutputTag.make<{ readonly other: string }>("late"))
  })

  test("windowed streams are covariant in all they have", () => {
    expect<WindowedStream.WindowedStream<"a", Click, Window.TimeWindow>>()
      .type.toBeAssignableTo<WindowedStream.WindowedStream<string, { readonly at: number }, unknown, Unreadable, Disk>>()
    expect<WindowedStream.WindowedStream<string, { readonly at: number }, Window.TimeWindow>>()
      .type.not.toBeAssignableTo<WindowedStream.WindowedStream<string, Click, Window.TimeWindow>>()
  })
})

describe("results", () => {
  test("reduce gives records", () => {
    expect(windowed.pipe(WindowedStream.reduce((a, b) => {
      expect(a).type.toBe<Click>()
      return a.at > b.at ? a : b
    }))).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
    expect(WindowedStream.reduce(windowed, (a) => a)).type.toBe<DataStream.DataStream<Click, Unreadable, Disk>>()
  })

  test("aggregate gives the aggregator's result", () => {
    expect(windowed.pipe(WindowedStream.aggregate(Aggregator.sum((click) => {
      expect(click).type.toBe<Click>()
      return click.at
    })))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(
      windowed.pipe(
        WindowedStream.aggregate(Aggregator.struct({ n: Aggregator.count, latest: Aggregator.max((click: Click) => click.at) }))
      )
    )
      .type.toBe<DataStream.DataStream<{ readonly n: number; readonly latest: number }, Unreadable, Disk>>()
    expect(WindowedStream.aggregate(windowed, Aggregator.count)).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
  })

  test("an aggregator that takes more than the records, as count does, takes them", () => {
    expect(windowed.pipe(WindowedStream.aggregate(Aggregator.count))).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(windowed.pipe(WindowedStream.aggregate(Aggregator.max((each: { readonly at: number }) => each.at))))
      .type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
    expect(windowed.pipe(WindowedStream.aggregate(Aggregator.count, (n, { key, window }) => {
      expect(key).type.toBe<string>()
      expect(window).type.toBe<Window.TimeWindow>()
      return [n]
    }))).type.toBe<DataStream.DataStream<Array<number>, Unreadable, Disk>>()
  })

  test("with a projection it gives what that makes of the result, the key and the window", () => {
    expect(windowed.pipe(WindowedStream.aggregate(Aggregator.sum((click) => click.at), (total, { key, window }) => {
      expect(total).type.toBe<number>()
      expect(key).type.toBe<string>()
      expect(window).type.toBe<Window.TimeWindow>()
      return { key, end: window.end, total }
    }))).type.toBe<DataStream.DataStream<{ key: string; end: number; total: number }, Unreadable, Disk>>()
    expect(WindowedStream.aggregate(windowed, Aggregator.count, (n, { key, window }) => `${key} ${window.start} ${n}`))
      .type.toBe<DataStream.DataStream<string, Unreadable, Disk>>()
  })

  test("an aggregator of other records is refused", () => {
    const ofNumbers = Aggregator.sum((n: number) => n)
    expect(WindowedStream.aggregate(ofNumbers)).type.not.toBeCallableWith(windowed)
    // @ts-expect-error is not assignable
    void WindowedStream.aggregate(windowed, ofNumbers)
  })

  test("process sees all records, the key and the window", () => {
    expect(windowed.pipe(WindowedStream.process((elements, { key, window }) => {
      expect(elements).type.toBe<ReadonlyArray<Click>>()
      expect(key).type.toBe<string>()
      expect(window).type.toBe<Window.TimeWindow>()
      return elements.map(({ at }) => [key, window.start, at] as const)
    }))).type.toBe<DataStream.DataStream<readonly [string, number, number], Unreadable, Disk>>()
    expect(WindowedStream.process(windowed, (elements) => [elements.length])).type.toBe<DataStream.DataStream<number, Unreadable, Disk>>()
  })

  test("a schema of the records is one of them", () => {
    const Stored = Schema.Struct({ user: Schema.String, at: Schema.Number })
    expect(windowed.pipe(WindowedStream.process((elements) => [elements.length], Stored))).type.toBe<
      DataStream.DataStream<number, Unreadable, Disk>
    >()
    // @ts-expect-error is not assignable
    void WindowedStream.process(windowed, (elements) => [elements.length], Schema.String)
    // @ts-expect-error is not assignable
    void WindowedStream.reduce(windowed, (a) => a, Schema.Number)
  })
})
