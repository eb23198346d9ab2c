/**
 * The user functions of the window count. Load with `fresh`.
 *
 * @since 0.1.0
 */
import type { Reading } from "../records.js"
import { OUT_OF_ORDER, SLICE } from "../records.js"

/** what each key makes in each window */
export interface Count {
  readonly key: string
  readonly n: number
  readonly end: number
}

export const key = (x: Reading): string => x.key

export const init = (): number => 0

export const add = (acc: number, _: Reading): number => acc + 1

export const result = (acc: number): number => acc

export const project = (
  n: number,
  { key, window }: { readonly key: string; readonly window: { readonly start: number; readonly end: number } }
): Count => ({ key, n, end: window.end })

/** adds a result to the checksum */
export const check = (sum: number, x: Count): number => (sum + x.n * (x.key.length + x.end % 97)) | 0

/** The window as a thing that remembers, for libraries without windows: each record may give results, and the end gives the rest. */
export const remembering = (size: number) => {
  const panes = new Map<number, Map<string, { n: number }>>()
  const none: ReadonlyArray<Count> = []
  let seen = 0
  let highest = 0
  let watermark = -Infinity
  let next = size
  const fire = (): ReadonlyArray<Count> => {
    if (next - 1 > watermark) return none
    const out: Array<Count> = []
    for (; next - 1 <= watermark && panes.size > 0; next += size) {
      const pane = panes.get(next)
      if (pane === undefined) continue
      for (const [k, entry] of pane) out.push(project(result(entry.n), { key: k, window: { start: next - size, end: next } }))
      panes.delete(next)
    }
    return out
  }
  return {
    push: (x: Reading): ReadonlyArray<Count> => {
      const { ts } = x
      const end = ts - ts % size + size
      if (end - 1 > watermark) {
        let pane = panes.get(end)
        if (pane === undefined) panes.set(end, pane = new Map())
        const k = key(x)
        const entry = pane.get(k)
        if (entry === undefined) pane.set(k, { n: add(init(), x) })
        else entry.n = add(entry.n, x)
      }
      if (ts > highest) highest = ts
      if (++seen % SLICE !== 0) return none
      watermark = highest - OUT_OF_ORDER - 1
      return fire()
    },
    end: (): ReadonlyArray<Count> => {
      watermark = Infinity
      return fire()
    }
  }
}
