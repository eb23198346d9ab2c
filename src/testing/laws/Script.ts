/**
 * Scripts for operators: what happens to one, step by step.
 *
 * A script is drawn as plain steps that mean something wherever they stand, so that any of them can be left out, and then resolved: times become
 * absolute, ids are dealt out, steps that mean nothing where they stand are dropped.
 *
 * @since 0.1.0
 */
import * as FC from "effect/FastCheck"
import { show } from "./check.js"

/** What an input gets. `input` counts from 0. */
export type InputStep =
  | { readonly _tag: "element"; readonly input: number; readonly value: unknown; readonly timestamp: number }
  | { readonly _tag: "watermark"; readonly input: number; readonly timestamp: number }
  | { readonly _tag: "status"; readonly input: number; readonly idle: boolean }
  | { readonly _tag: "advance"; readonly by: number }
  | { readonly _tag: "endInput"; readonly input: number }

/** All that happens. */
export type Step =
  | InputStep
  | { readonly _tag: "snapshot" | "complete" | "abort"; readonly id: number }
  /** the subtasks are canceled at rest, or `crash` in the middle of the next element, and go on from the last snapshot */
  | { readonly _tag: "restore"; readonly parallelism: number }
  | { readonly _tag: "crash"; readonly turns: number; readonly parallelism: number }
  /** that step of the life cycle fails, counted from here */
  | { readonly _tag: "fail"; readonly after: number; readonly parallelism: number }

/** A script whose times are absolute. */
export interface Script {
  readonly steps: ReadonlyArray<Step>
  readonly end: "finish" | "close"
  /** whether an element may come after a watermark at or above its timestamp */
  readonly late: boolean
}

type Drawn =
  | { readonly _tag: "element"; readonly input: number; readonly value: unknown; readonly offset: number }
  | { readonly _tag: "watermark"; readonly input: number; readonly by: number }
  | { readonly _tag: "status"; readonly input: number; readonly idle: boolean }
  | { readonly _tag: "advance"; readonly by: number }
  | { readonly _tag: "endInput"; readonly input: number }
  | { readonly _tag: "snapshot" | "complete" | "abort" }
  | { readonly _tag: "restore"; readonly parallelism: number }
  | { readonly _tag: "crash"; readonly turns: number; readonly parallelism: number }
  | { readonly _tag: "fail"; readonly after: number; readonly parallelism: number }

/** A script as it is drawn. */
export interface DrawnScript {
  readonly steps: ReadonlyArray<Drawn>
  readonly cancel: boolean
  readonly late: boolean
}

/** the likelier, the oftener; the first is what the others shrink to */
const HOWS = ["restore", "restore", "restore", "crash", "fail"] as const

const restart = ({ after, how, parallelism, turns }: {
  readonly how: typeof HOWS[number]
  readonly turns: number
  readonly after: number
  readonly parallelism: number
}): Drawn => {
  switch (how) {
    case "restore":
      return { _tag: "restore", parallelism }
    case "crash":
      return { _tag: "crash", turns, parallelism }
    case "fail":
      return { _tag: "fail", after, parallelism }
  }
}

/** Scripts over the values of each input. */
export const drawn = (inputs: ReadonlyArray<FC.Arbitrary<unknown>>, parallelisms: ReadonlyArray<number>): FC.Arbitrary<DrawnScript> => {
  const input = FC.nat(inputs.length - 1)
  const parallelism = FC.constantFrom(...parallelisms)
  const plain = <T extends string>(tag: T) => FC.record({ _tag: FC.constant(tag) })
  const offset = FC.integer({ min: -10, max: 25 })
  const step = FC.oneof<Array<FC.WeightedArbitrary<Drawn>>>(
    ...inputs.map((value, i) => ({
      weight: 10,
      arbitrary: FC.record({ _tag: FC.constant("element" as const), input: FC.constant(i), value, offset })
    })),
    { weight: 5, arbitrary: FC.record({ _tag: FC.constant("watermark" as const), input, by: FC.integer({ min: 0, max: 20 }) }) },
    { weight: 1, arbitrary: FC.record({ _tag: FC.constant("status" as const), input, idle: FC.boolean() }) },
    { weight: 2, arbitrary: FC.record({ _tag: FC.constant("advance" as const), by: FC.constantFrom(1, 10, 100, 1000) }) },
    { weight: (inputs.length - 1) * 3, arbitrary: FC.record({ _tag: FC.constant("endInput" as const), input }) },
    { weight: 4, arbitrary: plain("snapshot") },
    { weight: 1, arbitrary: plain("complete") },
    { weight: 1, arbitrary: plain("abort") },
    { weight: 5, arbitrary: FC.record({ how: FC.constantFrom(...HOWS), turns: FC.nat(4), after: FC.nat(8), parallelism }).map(restart) }
  )
  return FC.record({
    steps: FC.array(step, { maxLength: 24, size: "max" }),
    cancel: FC.integer({ min: 0, max: 4 }).map((n) => n === 4),
    late: FC.integer({ min: 0, max: 4 }).map((n) => n === 4)
  })
}

const restarts = (tag: Drawn["_tag"]): boolean => tag === "restore" || tag === "crash" || tag === "fail"

/** Makes times absolute and drops what means nothing. */
export const resolve = (script: DrawnScript, inputs: number): Script => {
  // after a restart event time begins anew, and what is late would not be the same
  const late = script.late && !script.steps.some(({ _tag }) => restarts(_tag))
  const steps: Array<Step> = []
  const watermarks = new Array<number>(inputs).fill(-1)
  const idle = new Array<boolean>(inputs).fill(false)
  const ended = new Array<boolean>(inputs).fill(false)
  // where the only other input has ended, one that is idle or was lately ends event time, though it has not ended
  let anyIdle = false
  let ids = 0
  let open: number | undefined
  const activate = (input: number) => {
    if (!idle[input]) return
    idle[input] = false
    steps.push({ _tag: "status", input, idle: false })
  }
  for (const step of script.steps) {
    switch (step._tag) {
      case "element": {
        if (ended[step.input]) break
        activate(step.input)
        const highest = Math.max(...watermarks)
        const timestamp = late ? Math.max(0, highest + step.offset) : highest + 1 + Math.abs(step.offset)
        steps.push({ _tag: "element", input: step.input, value: step.value, timestamp })
        break
      }
      case "watermark": {
        const { by, input } = step
        if (ended[input] || watermarks[input] + by < 0) break
        activate(input)
        steps.push({ _tag: "watermark", input, timestamp: watermarks[input] += by })
        break
      }
      case "status":
        if (ended.includes(true) || idle[step.input] === step.idle) break
        anyIdle = true
        idle[step.input] = step.idle
        steps.push(step)
        break
      case "endInput":
        // the last one ends with the script
        if (anyIdle || ended[step.input] || ended.filter((each) => !each).length === 1) break
        ended[step.input] = true
        steps.push(step)
        break
      case "snapshot":
        steps.push({ _tag: "snapshot", id: open = ++ids })
        break
      case "complete":
      case "abort":
        if (open !== undefined) steps.push({ _tag: step._tag, id: open })
        open = undefined
        break
      case "restore":
      case "crash":
      case "fail":
        open = undefined
        steps.push(step)
        break
      case "advance":
        steps.push(step)
        break
    }
  }
  // an idle input takes no watermark, also not the last one
  for (let input = 0; input < inputs; input++) if (!ended[input]) activate(input)
  return { steps, end: script.cancel ? "close" : "finish", late }
}

/** One step as people read it. */
const showStep = (step: Step, inputs: number): string => {
  const at = "input" in step && inputs > 1 ? step.input + 1 : ""
  const parallelism = "parallelism" in step && step.parallelism > 1 ? ` at parallelism ${step.parallelism}` : ""
  switch (step._tag) {
    case "element":
      return `element${at} ${show(step.value)}@${step.timestamp}`
    case "watermark":
      return `watermark${at} ${step.timestamp}`
    case "status":
      return `${step.idle ? "idle" : "active"}${at}`
    case "advance":
      return `advance ${step.by}`
    case "endInput":
      return `endInput${at}`
    case "snapshot":
    case "complete":
    case "abort":
      return `${step._tag} ${step.id}`
    case "restore":
      return `restore${parallelism}`
    case "crash":
      return `crash in the next element, restore${parallelism}`
    case "fail":
      return `fail at step +${step.after + 1} of the life cycle, restore${parallelism}`
  }
}

/** A script as people read it. */
export const showScript = (script: Script, inputs: number): string =>
  [...script.steps.map((step) => showStep(step, inputs)), script.end].join(", ")
