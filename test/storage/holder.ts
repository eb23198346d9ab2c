/**
 * A process of its own that opens a job's store: says `ready`, waits for a line, then says `held` or who holds it, and lives until its input ends.
 *
 *     node --import tsx test/storage/holder.ts <directory> <job>
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import { createInterface } from "node:readline"
import * as file from "../../src/storage/fileStorage.js"

const [directory, job] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const line = Effect.promise(() => lines.next())

console.log("ready")
await Effect.gen(function*() {
  yield* line
  const store = yield* (yield* file.make(directory)).open(job)
  const id = (yield* store.highestId) + 1
  const writer = yield* store.begin(id)
  console.log("held")
  yield* line
  yield* writer.abort
}).pipe(
  Effect.catchAll((error) => Effect.zipRight(Effect.sync(() => console.log(`${error._tag}: ${error.message}`)), line)),
  Effect.scoped,
  Effect.provide(NodeContext.layer),
  Effect.runPromise
)
