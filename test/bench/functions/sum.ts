/**
 * The user functions of the rolling sum by key. Load with `fresh`.
 *
 * @since 0.1.0
 */
import type { Reading } from "../records.js"

/** what each record makes */
export interface Total {
  readonly key: string
  readonly total: number
}

export const key = (x: Reading): string => x.key

export const init = (): number => 0

export const add = (acc: number, x: Reading): number => acc + x.value

export const result = (acc: number): number => acc

export const project = (total: number, { key }: { readonly key: string }): Total => ({ key, total })

/** adds a result to the checksum */
export const check = (sum: number, x: Total): number => (sum + x.total) | 0

/** the whole operator as a function that remembers, for libraries without keyed state */
export const remembering = (): (x: Reading) => Total => {
  const sums = new Map<string, { sum: number }>()
  return (x) => {
    const k = key(x)
    let entry = sums.get(k)
    if (entry === undefined) sums.set(k, entry = { sum: add(init(), x) })
    else entry.sum = add(entry.sum, x)
    return project(result(entry.sum), { key: k })
  }
}
