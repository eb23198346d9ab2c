/**
 * Drives sources by hand, as a source task does: polls until nothing is at hand, then fetches; and may stop after any batch, close the
 * reader, store its position as a checkpoint does, and go on with a new reader there.
 */
import { NodeContext } from "@effect/platform-node"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Scope from "effect/Scope"
import type { DataSource, SourceBatch } from "../../src/DataSource.js"
import * as Codec from "../../src/state/Codec.js"

export type Services = FileSystem.FileSystem | Path.Path

/** what was read, in order */
export interface Read<A> {
  readonly values: Array<A>
  readonly timestamps: Array<number>
  readonly side: Array<unknown>
  /** the position after each batch */
  readonly positions: Array<unknown>
}

const stored = (value: unknown): unknown => Codec.unpack(Codec.pack(Codec.plain.copy(value)))

/** at most `batches` batches of a split, from a position on; gives whether it has ended */
const readSome = <A, E>(
  source: DataSource<A, E, Services>,
  split: unknown,
  from: unknown,
  options: { readonly max: number; readonly batches: number },
  into: Read<A>
): Effect.Effect<boolean, E, Services> =>
  Effect.scoped(Effect.gen(function*() {
    const reader = yield* source.read(split, from)
    for (let count = 0; count < options.batches;) {
      const batch: SourceBatch<A, unknown> | undefined = reader.poll(options.max)
      if (batch === undefined) {
        if (!(yield* reader.fetch)) return true
        continue
      }
      const size = batch.values.length + (batch.side?.length ?? 0)
      if (size > options.max || size === 0) return yield* Effect.dieMessage(`a batch of ${size}, asked for ${options.max}`)
      if (batch.timestamps !== undefined && batch.timestamps.length !== batch.values.length) return yield* Effect.dieMessage("timestamps")
      into.values.push(...batch.values)
      into.timestamps.push(...(batch.timestamps ?? []))
      into.side.push(...(batch.side ?? []).map(({ value }) => value))
      into.positions.push(batch.position)
      count++
    }
    return false
  }))

/** reads all splits; with `restartEvery`, by readers that each read that many batches */
export const readAll = <A, E>(
  source: DataSource<A, E, Services>,
  options: { readonly max?: number; readonly restartEvery?: number } = {}
): Effect.Effect<Read<A>, E, Services> =>
  Effect.gen(function*() {
    const into: Read<A> = { values: [], timestamps: [], side: [], positions: [] }
    for (const split of yield* source.splits) {
      let from: unknown = undefined
      const size = { max: options.max ?? 1024, batches: options.restartEvery ?? Infinity }
      while (!(yield* readSome(source, stored(split), from, size, into))) from = stored(into.positions.at(-1))
    }
    return into
  })

/** reads the first split from a position on */
export const readFrom = <A, E>(source: DataSource<A, E, Services>, from: unknown): Effect.Effect<Array<A>, E, Services> =>
  Effect.gen(function*() {
    const into: Read<A> = { values: [], timestamps: [], side: [], positions: [] }
    yield* readSome(source, (yield* source.splits)[0], from, { max: 1024, batches: Infinity }, into)
    return into.values
  })

/** a directory of its own, and a way to put files there */
export const temporary = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* fs.makeTempDirectoryScoped()
  const write = (name: string, content: string | Uint8Array) => {
    const file = path.join(directory, name)
    return Effect.as(
      Effect.zipRight(
        fs.makeDirectory(path.dirname(file), { recursive: true }),
        fs.writeFile(file, typeof content === "string" ? new TextEncoder().encode(content) : content)
      ),
      file
    )
  }
  return { directory, write, fs, path }
})

const runtime = ManagedRuntime.make(NodeContext.layer)

/** checks a property that needs files */
export const holds = <T>(
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => Effect.Effect<void, unknown, Services | Scope.Scope>,
  numRuns = 200
): Promise<void> => fc.assert(fc.asyncProperty(arbitrary, (value) => runtime.runPromise(Effect.scoped(property(value)))), { numRuns })

/** how a source is read in a property: tiny chunks and batches, so that every border is hit */
export const reading = fc.record({
  chunkBytes: fc.integer({ min: 1, max: 9 }),
  max: fc.integer({ min: 1, max: 4 }),
  restartEvery: fc.constantFrom(1, 2, 3, Infinity)
})
