/**
 * What became visible in one run, held against what becomes visible without a crash.
 *
 * @since 0.1.0
 */
import * as Inspectable from "effect/Inspectable"
import * as canonical from "../../state/canonical.js"

/** one text for equal values; what is not plain data is told apart by how it prints */
const textOf = (value: unknown): string => {
  try {
    return canonical.encode(value)
  } catch {
    return Inspectable.toStringUnknown(value, 0)
  }
}

const counts = (values: ReadonlyArray<unknown>): Map<string, { readonly value: unknown; n: number }> => {
  const all = new Map<string, { readonly value: unknown; n: number }>()
  for (const value of values) {
    const text = textOf(value)
    const found = all.get(text)
    if (found === undefined) all.set(text, { value, n: 1 })
    else found.n++
  }
  return all
}

/** how many differences are printed of each sort */
const SHOWN = 5

const shown = (values: ReadonlyArray<unknown>): string => {
  const some = values.slice(0, SHOWN).map((value) => Inspectable.toStringUnknown(value, 0)).join(", ")
  return values.length > SHOWN ? `${some} and ${values.length - SHOWN} more` : some
}

/** what of `all` is not, or not as often, in `some` */
const without = (all: ReadonlyArray<unknown>, some: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
  const left = counts(some)
  return all.filter((value) => {
    const found = left.get(textOf(value))
    if (found === undefined || found.n === 0) return true
    found.n--
    return false
  })
}

/** What is wrong with a run that has ended, in lines; none if nothing is. */
export const compare = (expected: ReadonlyArray<unknown>, visible: ReadonlyArray<unknown>, ordered: boolean): ReadonlyArray<string> => {
  const missing = without(expected, visible)
  const extra = without(visible, expected)
  const lines: Array<string> = []
  if (missing.length > 0) lines.push(`missing: ${shown(missing)}`)
  if (extra.length > 0) lines.push(`too much: ${shown(extra)}`)
  if (ordered && lines.length === 0) {
    const at = expected.findIndex((value, i) => textOf(value) !== textOf(visible[i]))
    if (at >= 0) lines.push(`out of order from place ${at}: ${shown(visible.slice(at))}; expected ${shown(expected.slice(at))}`)
  }
  return lines
}

/** What is wrong with what is visible at a moment of a run: it may be less, never more. */
export const compareMeanwhile = (expected: ReadonlyArray<unknown>, visible: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const extra = without(visible, expected)
  return extra.length === 0 ? [] : [`visible too early, or too often: ${shown(extra)}`]
}
