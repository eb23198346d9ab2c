import { assert, describe, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import * as Print from "../../src/connectors/Print.js"

const printed = <A>(options: Print.SinkOptions<A> | undefined, values: ReadonlyArray<A>) =>
  Effect.gen(function*() {
    const lines: Array<unknown> = []
    const current = yield* Console.consoleWith(Effect.succeed)
    const console: Console.Console = { ...current, log: (...args) => Effect.sync(() => void lines.push(...args)) }
    const sink = Print.sink<A>(options)
    if (sink._tag !== "WriterSink") return yield* Effect.dieMessage("not a plain sink")
    const writer = yield* sink.open({ job: "job", uid: "print", subtask: 0, parallelism: 1, attemptId: "0" })
    for (const value of values) yield* Effect.withConsole(writer.write(value, undefined) ?? Effect.void, console)
    return lines
  })

describe("Print", () => {
  it.scoped("prints one line per record", () =>
    Effect.gen(function*() {
      const cyclic: Record<string, unknown> = {}
      cyclic["self"] = cyclic
      assert.deepStrictEqual(yield* printed(undefined, ["a b", 1, { n: 1n, at: new Date(0) }, undefined, cyclic]), [
        "a b",
        "1",
        "{\"n\":\"1\",\"at\":\"1970-01-01T00:00:00.000Z\"}",
        "undefined",
        "[object Object]"
      ])
      assert.deepStrictEqual(yield* printed({ prefix: "> ", render: (n: number) => `<${n}>` }, [1, 2]), ["> <1>", "> <2>"])
    }))
})
