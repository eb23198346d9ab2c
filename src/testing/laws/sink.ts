/**
 * The laws of sinks, checked on random lives of one in real tasks: after every step exactly that is visible which completed checkpoints hold.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FC from "effect/FastCheck"
import type * as Scope from "effect/Scope"
import type { DataSink } from "../../DataSink.js"
import type { DataStream } from "../../language/DataStream.js"
import { transform } from "../../language/DataStream.js"
import { OncePerAttempt } from "../../operators/OncePerAttempt.js"
import * as sinks from "../../operators/sinks.js"
import * as Harness from "../Harness.js"
import { InjectedCrash } from "../Observer.js"
import type { Law, RunOptions, Values } from "./check.js"
import { alike, alikeAll, arbitraryOf, check, demand, show, showAll, Violation, within } from "./check.js"
import type { LawBroken } from "./LawBroken.js"

/**
 * A sink, and the eyes of its readers.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkUnderTest<A, R = never> {
  readonly sink: DataSink<A, any, R>
  /** what readers see now */
  readonly visible: Effect.Effect<ReadonlyArray<A>, unknown, R>
  /** what was written aside and is still there, such as temporary files: nothing once the job has ended */
  readonly leftovers?: Effect.Effect<ReadonlyArray<string>, unknown, R> | undefined
}

/**
 * What is known of a sink besides its types.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkOptions<A> extends RunOptions {
  /** whether readers see records in the order in which they were written; default "any" */
  readonly order?: "same" | "any" | undefined
  /** when two records are one; default structural */
  readonly equivalence?: ((self: A, that: A) => boolean) | undefined
}

const EXACTLY: Law = { law: "T1", rule: "what a checkpoint holds is visible exactly from its completion on" }
const ONCE: Law = { law: "T2", rule: "to commit again does nothing" }
const RECOVERS: Law = { law: "T3", rule: "after a restore what the checkpoint holds is visible, and what dead attempts left goes" }
const FLUSHED: Law = { law: "T0", rule: "a plain sink has written what a checkpoint covers, and nothing else" }
const ENDS: Law = { law: "L1", rule: "a task that starts ends in exactly one of finished, canceled, failed" }

type Checkpointing = "snapshot" | "complete" | "abort"

type Anywhere =
  | { readonly _tag: "element"; readonly value: any }
  | { readonly _tag: "cancel" | "kill" }
  | { readonly _tag: "fail"; readonly after: number }

type Drawn = Anywhere | { readonly _tag: Checkpointing }

/** `complete` and `abort` are those of a checkpoint that was taken in this attempt and is open */
type Step = Anywhere | { readonly _tag: Checkpointing; readonly id: number }

interface Script {
  readonly steps: ReadonlyArray<Step>
  /** whether the end waits for a checkpoint, and whether the task is lost between the two */
  readonly end: "without checkpoints" | "final checkpoint" | "lost before the final checkpoint is complete"
}

const ENDINGS = ["final checkpoint", "without checkpoints", "lost before the final checkpoint is complete"] as const

const scripts = (values: FC.Arbitrary<any>): FC.Arbitrary<Script> => {
  const plain = <T extends string>(...tags: Array<T>) => FC.record({ _tag: FC.constantFrom(...tags) })
  const step = FC.oneof<Array<FC.WeightedArbitrary<Drawn>>>(
    { weight: 6, arbitrary: FC.record({ _tag: FC.constant("element" as const), value: values }) },
    { weight: 4, arbitrary: plain("snapshot") },
    { weight: 4, arbitrary: plain("complete", "complete", "abort") },
    { weight: 2, arbitrary: plain("cancel", "kill") },
    { weight: 1, arbitrary: FC.record({ _tag: FC.constant("fail" as const), after: FC.nat(4) }) }
  )
  return FC.record({ steps: FC.array(step, { maxLength: 20, size: "max" }), end: FC.constantFrom(...ENDINGS) }).map(resolve)
}

const resolve = ({ end, steps }: { readonly end: Script["end"]; readonly steps: ReadonlyArray<Drawn> }): Script => {
  let id = 0
  let open: number | undefined
  return {
    end,
    steps: steps.flatMap((step): ReadonlyArray<Step> => {
      switch (step._tag) {
        case "snapshot":
          return [{ _tag: "snapshot", id: open = ++id }]
        case "complete":
        case "abort": {
          const of = open
          open = undefined
          return of === undefined ? [] : [{ _tag: step._tag, id: of }]
        }
        case "element":
          return [step]
        default:
          open = undefined
          return [step]
      }
    })
  }
}

const showStep = (step: Step): string => {
  switch (step._tag) {
    case "element":
      return `element ${show(step.value)}`
    case "snapshot":
    case "complete":
    case "abort":
      return `${step._tag} ${step.id}`
    case "cancel":
    case "kill":
      return `${step._tag}, restore`
    case "fail":
      return `fail at step +${step.after + 1} of the life cycle, restore`
  }
}

const showScript = ({ end, steps }: Script): string => [...steps.map(showStep), `finish (${end})`].join(", ")

interface Point {
  readonly id: number
  readonly snapshot: Harness.OperatorSnapshot | undefined
  /** how many records had come */
  readonly count: number
}

class Run {
  private readonly written: Array<any> = []
  private points: Array<Point> = [{ id: 0, snapshot: undefined, count: 0 }]
  /** how many records have to be visible */
  private committed = 0
  private attempts = 0
  private lastId = 0
  private restored = false
  private fuse: number | undefined
  private crashed: InjectedCrash | undefined
  private harness!: Harness.OneInputHarness<any, any, any>
  private readonly deadline: number

  constructor(
    private readonly part: SinkUnderTest<any, any>,
    private readonly script: Script,
    private readonly options: SinkOptions<any>
  ) {
    this.deadline = options.deadline ?? 5000
  }

  readonly run: Effect.Effect<void, unknown, any> = Effect.gen(this, function*() {
    yield* this.begin
    for (const step of this.script.steps) {
      yield* this.step(step)
      yield* this.look
      this.restored = false
    }
    yield* this.guarded(this.finish, true)
    yield* this.look
    const { leftovers } = this.part
    if (leftovers === undefined) return
    const left = yield* leftovers
    yield* demand(left.length === 0, RECOVERS, () => "nothing left behind at the end", () => left.join(", "))
  })

  private step(step: Step): Effect.Effect<void, unknown, any> {
    switch (step._tag) {
      case "element":
        return Effect.map(
          this.guarded(Effect.suspend(() => this.harness.element(step.value, this.written.length)), true),
          () => void this.written.push(step.value)
        )
      case "snapshot":
        this.lastId = step.id
        return this.guarded(this.snapshot(step.id), true)
      case "complete":
        return this.guarded(this.complete(step.id), false)
      case "abort":
        this.points = this.points.filter(({ id }) => id !== step.id)
        return this.guarded(Effect.suspend(() => this.harness.notifyCheckpointAborted(step.id)), false)
      case "cancel":
        return Effect.zipRight(this.soon(Effect.suspend(() => this.harness.close), "the task ends"), this.begin)
      case "kill":
        // nobody closes anything
        return this.begin
      case "fail":
        this.fuse = step.after
        return Effect.void
    }
  }

  private soon<A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E | Violation, R> {
    return within(effect, this.deadline, () => new Violation(ENDS, `${what} within ${this.deadline} ms`, "it does not"))
  }

  private guarded(effect: Effect.Effect<void, unknown, any>, redo: boolean): Effect.Effect<void, unknown, any> {
    return Effect.catchAllCause(this.soon(effect, "the task comes to rest"), (cause) => {
      if (this.crashed === undefined) return Effect.failCause(cause)
      this.crashed = undefined
      return Effect.zipRight(this.begin, redo ? this.soon(effect, "the task comes to rest") : Effect.void)
    })
  }

  private readonly begin: Effect.Effect<void, unknown, any> = Effect.gen(this, function*() {
    const point = this.points[this.points.length - 1]
    const exit = yield* Effect.exit(this.soon(this.start(point), "the task starts"))
    if (exit._tag === "Success") {
      this.restored = this.attempts > 1
      this.committed = Math.max(this.committed, point.count)
      return
    }
    if (this.crashed === undefined) return yield* exit
    this.crashed = undefined
    return yield* this.begin
  })

  private start({ count, snapshot }: Point): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const { sink } = this.part
      const made = yield* Harness.oneInput(
        (input: DataStream<any>) => transform(input, sink.name, Effect.sync(() => sinks.make(sink, new OncePerAttempt<void, any>()))),
        {
          restore: snapshot,
          attemptId: `laws-${this.attempts++}`,
          finalCheckpoint: this.script.end !== "without checkpoints",
          observe: (event) => {
            if (this.fuse === undefined || event.operator === undefined || event.phase === "setup" || event.phase === "close") return
            if (this.fuse-- > 0) return
            this.fuse = undefined
            throw this.crashed = new InjectedCrash(event)
          }
        }
      )
      this.harness = made
      for (const [i, value] of this.written.slice(count).entries()) yield* made.element(value, count + i)
    })
  }

  private snapshot(id: number): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      const snapshot = yield* this.harness.snapshot(id)
      this.points.push({ id, snapshot, count: this.written.length })
    })
  }

  private complete(id: number): Effect.Effect<void, unknown, any> {
    return Effect.gen(this, function*() {
      yield* this.harness.notifyCheckpointComplete(id)
      this.committed = Math.max(this.committed, this.points.find((point) => point.id === id)!.count)
    })
  }

  private readonly finish: Effect.Effect<void, unknown, any> = Effect.gen(this, function*() {
    yield* this.harness.endInput
    if (this.script.end !== "without checkpoints") {
      yield* this.look
      yield* this.snapshot(++this.lastId)
      yield* this.look
      if (this.script.end === "lost before the final checkpoint is complete") {
        yield* this.begin
        yield* this.look
        yield* this.harness.endInput
        yield* this.snapshot(++this.lastId)
      }
      yield* this.complete(this.lastId)
    }
    const end = yield* this.harness.finish
    yield* demand(end._tag === "finished", ENDS, () => "finished", () => end._tag === "failed" ? Cause.pretty(end.cause) : end._tag)
    this.committed = this.written.length
  })

  /** looks at what is visible */
  private readonly look: Effect.Effect<void, unknown, any> = Effect.gen(this, function*() {
    const { equivalence = alike, order = "any" } = this.options
    const visible = yield* this.part.visible
    const expected = this.written.slice(0, this.committed)
    const plain = this.part.sink._tag === "WriterSink"
    if (!plain && alikeAll(expected, visible, order, equivalence)) return
    const surplus = rest(visible, this.written, equivalence)
    const missing = rest(expected, visible, equivalence)
    if (plain) {
      const foreign = visible.filter((value) => !this.written.some((other) => equivalence(value, other)))
      yield* demand(foreign.length === 0, FLUSHED, () => "nothing that was not written", () => showAll(foreign))
      yield* demand(missing.length === 0, FLUSHED, () => `${showAll(expected)}, each at least once`, () => showAll(visible))
      return
    }
    const law = surplus.length > 0 ? ONCE : missing.length > 0 && this.restored ? RECOVERS : EXACTLY
    yield* Effect.fail(new Violation(law, `${showAll(expected)} visible`, showAll(visible)))
  })
}

/** what of `all` is left when each of `without` has taken one away */
const rest = <A>(all: ReadonlyArray<A>, without: ReadonlyArray<A>, equivalence: (a: A, b: A) => boolean): ReadonlyArray<A> => {
  const left = all.slice()
  for (const each of without) {
    const at = left.findIndex((other) => equivalence(each, other))
    if (at !== -1) left.splice(at, 1)
  }
  return left
}

/**
 * Holds a sink to its laws. `fresh` makes the sink and an empty outside world for each script. Of a transactional sink exactly that is visible, at every
 * moment, which completed checkpoints hold (T1), whatever is committed again (T2), canceled, killed or restored (T3). Of a plain one all that a checkpoint
 * covers is there at least once (T0).
 *
 * @example
 * ```ts
 * import { Laws, Ledger } from "sluice/testing"
 * import { Effect, Schema } from "effect"
 *
 * const fresh = Effect.sync(() => {
 *   const ledger = Ledger.make<number>()
 *   return { sink: ledger.sink, visible: Effect.sync(ledger.visible) }
 * })
 * await Effect.runPromise(Laws.sink(fresh, Schema.Int, { numRuns: 20 }))
 * ```
 *
 * @since 0.1.0
 * @category laws
 */
export const sink = <A, R1, E, R>(
  fresh: Effect.Effect<SinkUnderTest<A, R1>, E, R>,
  values: Values<NoInfer<A>>,
  options: SinkOptions<NoInfer<A>> = {}
): Effect.Effect<void, LawBroken, R1 | Exclude<R, Scope.Scope>> =>
  check<Script, any>({
    ...options,
    part: "the sink",
    runs: 100,
    scripts: scripts(arbitraryOf(values)),
    run: (script) => Effect.flatMap(fresh, (part) => new Run(part, script, options).run),
    print: showScript
  }) as Effect.Effect<void, LawBroken, any>
