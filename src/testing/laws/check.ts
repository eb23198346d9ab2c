/**
 * Runs a script for each value of an arbitrary until one breaks a law, and shrinks that one.
 *
 * P1. What is run is a function of the seed; without one it comes from Effect's `Random`.
 * P2. Shrinking keeps the law: a shorter script that breaks another law is not taken for it.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FC from "effect/FastCheck"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { isDeepStrictEqual } from "node:util"
import { LawBroken } from "./LawBroken.js"

/**
 * How many scripts are run, and which.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunOptions {
  /** how many scripts; the default takes a second or two */
  readonly numRuns?: number | undefined
  /** of the scripts; default from Effect's `Random` */
  readonly seed?: number | undefined
  /** a script of a seed, as `LawBroken` names it */
  readonly path?: string | undefined
  /** whether a script that breaks a law is made shorter; default true */
  readonly shrink?: boolean | undefined
  /** how long a step may take, in milliseconds of real time; default 5000 */
  readonly deadline?: number | undefined
}

/**
 * Where values come from: an arbitrary, or a schema that has one.
 *
 * @since 0.1.0
 * @category models
 */
export type Values<A> = FC.Arbitrary<A> | Schema.Schema<A, any>

/** The arbitrary of values. */
export const arbitraryOf = <A>(values: Values<A>): FC.Arbitrary<A> =>
  Schema.isSchema(values) ? Arbitrary.make(values as Schema.Schema<A, any>) : values as FC.Arbitrary<A>

/** A law by its number, and what it says. */
export interface Law {
  readonly law: string
  readonly rule: string
}

/** A law that a script has broken. */
export class Violation extends Error {
  constructor(readonly law: Law, readonly expected: string, readonly found: string) {
    super(`${law.law}: expected ${expected}, found ${found}`)
  }
}

/** A script that injects no failure fails nowhere. */
export const FAILS: Law = { law: "O0", rule: "nothing fails where nothing was made to fail" }

/** Breaks off where a law does not hold. */
export const demand = (holds: boolean, law: Law, expected: () => string, found: () => string): Effect.Effect<void, Violation> =>
  holds ? Effect.void : Effect.fail(new Violation(law, expected(), found()))

/** A value as people read it. */
export const show = (value: unknown): string => FC.stringify(value)

/** Values in a row. */
export const showAll = (values: ReadonlyArray<unknown>): string => values.length === 0 ? "nothing" : values.map(show).join(", ")

/** Whether two values are alike all through. */
export const alike = (a: unknown, b: unknown): boolean => isDeepStrictEqual(a, b)

/** Whether two rows are alike, in order or in any. */
export const alikeAll = <A>(
  a: ReadonlyArray<A>,
  b: ReadonlyArray<A>,
  order: "same" | "any",
  equivalence: (a: A, b: A) => boolean
): boolean => {
  if (a.length !== b.length) return false
  if (order === "same") return a.every((each, i) => equivalence(each, b[i]))
  const rest = b.slice()
  return a.every((each) => {
    const at = rest.findIndex((other) => equivalence(each, other))
    if (at === -1) return false
    rest.splice(at, 1)
    return true
  })
}

/** Ends an Effect that takes too long, also one that cannot be interrupted. */
export const within = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  ms: number,
  violation: () => Violation
): Effect.Effect<A, E | Violation, R> => Effect.timeoutFail(Effect.disconnect(effect), { duration: ms, onTimeout: violation })

/** What is shown of a failure that nobody asked for. */
const causeOf = (cause: Cause.Cause<unknown>): string => Cause.pretty(cause).split("\n").slice(0, 4).join("\n            ")

/** how long a script is made shorter */
const SHRINKING_MS = 10_000

/** `Effect.scoped`, also where what is to be released is never done */
const scoped = <R>(run: Effect.Effect<void, unknown, R | Scope.Scope>, ms: number): Effect.Effect<void, unknown, Exclude<R, Scope.Scope>> =>
  Effect.flatMap(Scope.make(), (scope) =>
    Effect.onExit(
      Scope.extend(run, scope),
      (exit) => Effect.asVoid(Effect.interruptible(Effect.timeoutOption(Effect.disconnect(Scope.close(scope, exit)), ms)))
    ))

/** Checks one property of a part. `run` may fail with anything: what is no `Violation` breaks `FAILS`. */
export const check = <T, R>(
  options: RunOptions & {
    readonly part: string
    readonly scripts: FC.Arbitrary<T>
    readonly run: (script: T) => Effect.Effect<void, unknown, R | Scope.Scope>
    readonly print: (script: T) => string
    /** how many runs by default */
    readonly runs: number
  }
): Effect.Effect<void, LawBroken, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<Exclude<R, Scope.Scope>>()
    const seed = options.seed ?? (yield* Random.nextIntBetween(-0x80000000, 0x7fffffff))
    const clock = Clock.make()
    const { deadline = 5000 } = options
    let law: string | undefined
    let until = Infinity
    let count = 0
    let first = 0
    const details = yield* Effect.promise((signal) => {
      const property = FC.asyncProperty(options.scripts, async (script) => {
        if (signal.aborted || clock.unsafeCurrentTimeMillis() > until) return
        count++
        const exit = await Runtime.runPromiseExit(runtime)(scoped(options.run(script), deadline), { signal })
        if (Exit.isSuccess(exit) || signal.aborted) return
        const failure = Cause.failureOption(exit.cause)
        const violation = failure._tag === "Some" && failure.value instanceof Violation
          ? failure.value
          : new Violation(FAILS, "no failure", causeOf(exit.cause))
        if (law === undefined) {
          law = violation.law.law
          first = count
          until = clock.unsafeCurrentTimeMillis() + SHRINKING_MS
        }
        if (violation.law.law === law) throw violation
      })
      return FC.check(property, {
        seed,
        numRuns: options.numRuns ?? options.runs,
        endOnFailure: options.shrink === false,
        ...options.path === undefined ? {} : { path: options.path }
      })
    })
    if (!details.failed) return
    const found = details.errorInstance
    if (!(found instanceof Violation)) return yield* Effect.die(found)
    return yield* new LawBroken({
      part: options.part,
      ...found.law,
      script: options.print(details.counterexample![0]),
      expected: found.expected,
      found: found.found,
      seed,
      path: details.counterexamplePath ?? "",
      runs: first
    })
  }).pipe(Effect.withClock(Clock.make()))
