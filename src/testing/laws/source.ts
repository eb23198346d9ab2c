/**
 * The laws of sources, checked by reading one as a source task does: in batches of any size, by readers that are closed and go on at any position.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FC from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { DataSource, SplitReader } from "../../DataSource.js"
import * as Codec from "../../state/Codec.js"
import { turn } from "../../task/EventLoop.js"
import type { Law, RunOptions } from "./check.js"
import { alike, alikeAll, check, demand, showAll, Violation, within } from "./check.js"
import type { LawBroken } from "./LawBroken.js"

/**
 * What is known of a source besides its types.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions<A> extends RunOptions {
  /** how many records of a split are read: a limit for those without an end; default 1000 */
  readonly limit?: number | undefined
  /** when two records are one; default structural */
  readonly equivalence?: ((self: A, that: A) => boolean) | undefined
  /** how many resources are held now: as many after each reader as before it */
  readonly resources?: Effect.Effect<number> | undefined
  /** whether the splits may be others when they are listed again; default false */
  readonly splitsChange?: boolean | undefined
}

const EXACT: Law = { law: "S1", rule: "reading from the position of a batch gives exactly the records that followed it" }
const ENDS: Law = { law: "S2", rule: "fetch ends, with more at hand or with the split's end, and can be interrupted" }
const BATCH: Law = { law: "S3", rule: "a batch holds at most as many records as were asked for, and a timestamp for each or none" }
const STABLE: Law = { law: "X0", rule: "the splits are the same when they are listed again" }
const RELEASED: Law = { law: "L2", rule: "what a reader acquired is released" }

/** one reader's part of a script */
interface Reading {
  readonly max: number
  /** it is closed after that many batches */
  readonly batches: number
  /** `fetch` is called before each poll, whether anything is at hand or not */
  readonly eager: boolean
  /** the last thing that is done is to interrupt a `fetch` */
  readonly interrupts: boolean
}

interface Script {
  readonly split: number
  readonly readings: ReadonlyArray<Reading>
}

const scripts: FC.Arbitrary<Script> = FC.record({
  split: FC.nat(7),
  readings: FC.array(
    FC.record({
      max: FC.constantFrom(1, 2, 3, 7, 100, 1024),
      batches: FC.nat(3),
      eager: FC.integer({ min: 0, max: 4 }).map((n) => n === 4),
      interrupts: FC.integer({ min: 0, max: 4 }).map((n) => n === 4)
    }),
    { maxLength: 6 }
  )
})

const showScript = ({ readings, split }: Script): string =>
  [
    `open split ${split}`,
    ...readings.flatMap(({ batches, eager, interrupts, max }) => [
      `read ${batches} ${batches === 1 ? "batch" : "batches"} of ${max}${eager ? ", fetching before each" : ""}`,
      ...interrupts ? ["interrupt a fetch"] : [],
      "restore"
    ]),
    "read the rest"
  ].join(", ")

/** what came of a split */
interface Read {
  readonly values: Array<unknown>
  readonly timestamps: Array<number>
  readonly side: Array<unknown>
}

const FETCHES = 1000

/**
 * Holds a source to its laws: readers that go on at the position of any batch miss nothing and repeat nothing (S1), positions and splits can be stored,
 * `fetch` ends (S2), batches are no larger than asked for (S3), and with `resources` readers release what they acquired (L2). The source is read many
 * times, and has to have the same records each time.
 *
 * @example
 * ```ts
 * import { DataSource } from "sluice"
 * import { Laws } from "sluice/testing"
 * import { Effect } from "effect"
 *
 * const source = DataSource.make({
 *   name: "countdown",
 *   splits: Effect.succeed([3, 5]),
 *   read: (from: number, position: number | undefined) =>
 *     Effect.sync(() => {
 *       let next = position ?? from
 *       let ready = false
 *       return {
 *         poll: () => ready && next > 0 ? { values: [next], position: --next } : undefined,
 *         fetch: Effect.sync(() => (ready = true) && next > 0)
 *       }
 *     })
 * })
 * await Effect.runPromise(Laws.source(source))
 * ```
 *
 * @since 0.1.0
 * @category laws
 */
export const source = <A, E, R>(
  source: DataSource<A, E, R>,
  options: SourceOptions<NoInfer<A>> = {}
): Effect.Effect<void, LawBroken, Exclude<R, Scope.Scope>> => {
  const { deadline = 5000, equivalence = alike, limit = 1000, resources } = options
  const late = () => new Violation(ENDS, `fetch ends within ${deadline} ms`, "it does not")

  const stored = <S>(schema: Schema.Schema<S, any> | undefined, value: S, what: string): Effect.Effect<S, Violation> =>
    Effect.try({
      try: () => {
        const codec = Codec.make(schema)
        return codec.decode(Codec.unpack(Codec.pack(codec.copy(value))))
      },
      catch: (error) => new Violation(EXACT, `${what} that can be stored`, error instanceof Error ? error.message : String(error))
    })

  /** reads some batches from a position on; gives the position to go on at, or that the split has ended */
  const read = (split: unknown, from: { readonly position: unknown }, reading: Reading, into: Read) =>
    Effect.gen(function*() {
      const held = resources === undefined ? 0 : yield* resources
      const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
      const reader: SplitReader<A, unknown, E> = yield* within(Scope.extend(source.read(split, from.position), scope), deadline, late)
      let { position } = from
      let ended = false
      let fetches = 0
      for (let count = 0; count < reading.batches && into.values.length < limit;) {
        if (reading.eager) yield* within(reader.fetch, deadline, late)
        const batch = reader.poll(reading.max)
        if (batch === undefined) {
          yield* demand(++fetches <= FETCHES, ENDS, () => "more at hand after fetch gave true", () => `nothing, ${FETCHES} times`)
          if (yield* within(reader.fetch, deadline, late)) continue
          const lost = reader.poll(reading.max)
          yield* demand(
            lost === undefined,
            ENDS,
            () => "nothing at hand once fetch gave false",
            () => showAll(lost?.values ?? [])
          )
          ended = true
          break
        }
        fetches = 0
        const size = batch.values.length + (batch.side?.length ?? 0)
        yield* demand(size <= reading.max, BATCH, () => `at most ${reading.max} records`, () => `${size}`)
        const { timestamps } = batch
        if (timestamps !== undefined) {
          const found = timestamps.length
          yield* demand(found === batch.values.length, BATCH, () => `${batch.values.length} timestamps`, () => `${found}`)
        }
        into.values.push(...batch.values)
        into.timestamps.push(...timestamps ?? [])
        into.side.push(...(batch.side ?? []).map(({ tag, value }) => [tag.id, value]))
        position = yield* stored(source.position, batch.position, "a position")
        count++
      }
      if (reading.interrupts) {
        const fiber = yield* Effect.fork(reader.fetch)
        yield* turn
        yield* within(Fiber.interrupt(fiber), deadline, late)
      }
      yield* within(Scope.close(scope, Exit.void), deadline, () =>
        new Violation(RELEASED, `the reader closes within ${deadline} ms`, "it does not"))
      if (resources !== undefined) {
        const after = yield* resources
        yield* demand(after === held, RELEASED, () =>
          `${held} resources after a reader, as before it`, () =>
          `${after}`)
      }
      return { position, ended }
    })

  const whole: Reading = { max: 1024, batches: Infinity, eager: false, interrupts: false }

  const checkScript = (script: Script) =>
    Effect.gen(function*() {
      const splits = yield* within(source.splits, deadline, late)
      if (options.splitsChange !== true) {
        const again = yield* within(source.splits, deadline, late)
        yield* demand(alike(splits, again), STABLE, () => showAll(splits), () => showAll(again))
      }
      if (splits.length === 0) return
      const split = splits[script.split % splits.length]
      const expected: Read = { values: [], timestamps: [], side: [] }
      yield* read(split, { position: undefined }, whole, expected)

      const found: Read = { values: [], timestamps: [], side: [] }
      const restored = yield* stored(source.split, split, "a split")
      let from: { readonly position: unknown; readonly ended: boolean } = { position: undefined, ended: false }
      for (const reading of [...script.readings, whole]) {
        if (from.ended) break
        from = yield* read(restored, from, reading, found)
      }
      const same = (a: unknown, b: unknown) => equivalence(a as A, b as A)
      const cut = (values: ReadonlyArray<unknown>) => values.slice(0, limit)
      yield* demand(
        alikeAll(cut(expected.values), cut(found.values), "same", same),
        EXACT,
        () => showAll(cut(expected.values)),
        () => showAll(cut(found.values))
      )
      if (expected.values.length >= limit) return
      yield* demand(
        alike(expected.timestamps, found.timestamps),
        EXACT,
        () => showAll(expected.timestamps),
        () => showAll(found.timestamps)
      )
      yield* demand(alike(expected.side, found.side), EXACT, () => showAll(expected.side), () => showAll(found.side))
    })

  return check<Script, any>({ ...options, part: "the source", runs: 100, scripts, run: checkScript, print: showScript }) as Effect.Effect<
    void,
    LawBroken,
    any
  >
}
