/**
 * The one source of chance of a simulation: what it gives is a function of the seed. Seed 0 stands for no chance at all: the first of all choices,
 * and what happens now and then happens at even distances.
 *
 * @since 0.1.0
 */

/** Chance, in a fixed order. */
export class Dice {
  private state: number
  private calls = 0

  constructor(readonly seed: number) {
    this.state = Math.imul(seed, 0x9e3779b1) >>> 0
  }

  /** A whole number from 0 to `n - 1`. */
  choose(n: number): number {
    return this.seed === 0 ? 0 : Math.floor(this.roll() * n)
  }

  /** True in one of `n` cases. */
  oneIn(n: number): boolean {
    return this.seed === 0 ? ++this.calls % n === 0 : this.roll() * n < 1
  }

  /** mulberry32 */
  private roll(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
