/**
 * A program of a user who has nothing but the published package: it has to compile without skipLibCheck, and to run.
 */
import * as Effect from "effect/Effect"
import { DataStream, KeyGroup } from "sluice"
import * as JsonLines from "sluice/connectors/JsonLines"
import * as Task from "sluice/task"
import * as Testing from "sluice/testing"

// @ts-expect-error what is no entry point cannot be imported
export type * from "sluice/dist/index.js"
// @ts-expect-error what is no entry point cannot be imported
export type * from "sluice/src/index.js"

const group: number = KeyGroup.of("hello", 128)

const program = DataStream.fromIterable([1, 2, 3]).pipe(DataStream.map((n) => n + group), DataStream.runCollect)

const result: Array<number> = await Effect.runPromise(program)
if (result.join() !== "36,37,38") throw new Error(`the job gave ${result.join()}`)
for (const module of [JsonLines, Task, Testing]) {
  if (Object.keys(module).length === 0) throw new Error("an entry point exports nothing")
}
