/**
 * The user functions of the stateless chain. Load with `fresh`.
 *
 * @since 0.1.0
 */
import type { Reading } from "../records.js"

export const scale = (x: Reading): Reading => ({ key: x.key, value: x.value * 2 + 1, ts: x.ts })

export const keep = (x: Reading): boolean => x.value % 3 !== 0

export const mask = (x: Reading): Reading => ({ key: x.key, value: x.value ^ 0x55, ts: x.ts })

/** adds a result to the checksum */
export const check = (sum: number, x: Reading): number => (sum + x.value + 1) | 0
