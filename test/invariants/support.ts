/** What the tests of the invariants have in common. */
import { Data, Effect, Logger } from "effect"
import type { StreamOperator } from "sluice"
import { DataStream, Job, Lifecycle } from "sluice"
import { Harness, Observer } from "sluice/testing"
import { fromNode } from "../../src/language/DataStream.js"

export const quiet = Logger.remove(Logger.defaultLogger)

export type Events = ReadonlyArray<Lifecycle.LifecycleEvent>

/** Steps of a life as text: `operator.phase`, or the phase alone for a step of the task itself. */
export const steps = (events: Events): ReadonlyArray<string> =>
  events.map(({ operator, phase }) => operator === undefined ? phase : `${operator}.${phase}`)

/** The steps of one operator. */
export const stepsOf = (events: Events, operator: string): ReadonlyArray<string> =>
  events.flatMap((event) => event.operator === operator ? [event.phase] : [])

/** What one task tells of its state: that it initializes, that it runs, how it ended. */
export const announced = (events: Events): ReadonlyArray<string> => {
  const seen: Array<string> = []
  for (const { phase } of events) {
    if (phase === "setInitialState") seen.push("initializing")
    else if (phase === "run") { if (seen.at(-1) !== "running") seen.push("running") }
    else if (phase === "finished" || phase === "canceled" || phase === "failed") seen.push(phase)
  }
  return seen
}

/** Hands on what it gets. */
export const pass = {
  processElement: ({ timestamp, value }, out) => out.emit(value, timestamp)
} satisfies StreamOperator.StreamOperator<any, any>

/** An operator of the test's own behind `input`. */
export const operator = <A, B = A, E = never>(name: string, make: () => StreamOperator.Operator<A, B, E>) =>
  DataStream.transform(name, Effect.sync(make)) as <E1, R>(input: DataStream.DataStream<A, E1, R>) => DataStream.DataStream<B, E | E1, R>

/** A harness with one operator, `op`, of the test's own. */
export const only = <A, B = A, E = never>(make: () => StreamOperator.Operator<A, B, E>, options?: Harness.Options) =>
  Harness.oneInput((input: DataStream.DataStream<A>) => DataStream.transform(input, "op", Effect.sync(make)), options)

/** A stream whose head is an operator of the test's own. */
export const source = <A, E = never>(name: string, make: () => StreamOperator.SourceOperator<A, E>): DataStream.DataStream<A, E> =>
  fromNode({
    _tag: "Source",
    name,
    uid: undefined,
    parallelism: 1,
    chaining: "head",
    problem: undefined,
    factory: Effect.sync(make)
  })

/** An error of a user's own. */
export class Broken extends Data.TaggedError("Broken")<{ readonly where: string }> {}

/** A place where fibers wait until the test opens it. */
export const gate = () => {
  let opened = false
  let waiting: Array<() => void> = []
  return {
    wait: Effect.async<void>((resume) => {
      if (opened) resume(Effect.void)
      else waiting.push(() => resume(Effect.void))
    }),
    open: () => {
      opened = true
      const all = waiting
      waiting = []
      for (const each of all) each()
    }
  }
}

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Lets all that can run now run. */
export const settle = Effect.repeatN(turn, 10)

/** Waits for what other fibers do, and fails rather than hang. */
export const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (let turns = 0; !holds(); turns++) {
      if (turns > 50_000) throw new Error("it never came")
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  })

/** Runs a job to its end, however that comes, and gives every step of its tasks. */
export const watched = <E>(job: Job.Job<E>, options?: Parameters<typeof Job.run>[1]) =>
  Effect.gen(function*() {
    const { events, observe } = Observer.recording()
    const exit = yield* Effect.exit(Job.run(job, options)).pipe(Effect.provideService(Lifecycle.LifecycleObserver, { observe }))
    return { exit, events }
  }).pipe(Effect.provide(quiet))
