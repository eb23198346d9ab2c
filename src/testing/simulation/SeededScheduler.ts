/**
 * Runs fibers one step at a time, in an order that dice decide; it also decides where a fiber has to let others go first.
 *
 * G1. The steps of one fiber keep their order.
 * G2. After `kill` no fiber takes another step: as if the process had died.
 *
 * @since 0.1.0
 */
import * as Fiber from "effect/Fiber"
import { globalValue } from "effect/GlobalValue"
import type { Scheduler, Task } from "effect/Scheduler"
import type { Dice } from "./Dice.js"

/** what is scheduled for no fiber in particular */
const nobody = {}

/** how many operations a fiber may run in one go, at the most and nearly */
const GOES = [8, 64, 512, 4096]

/** A scheduler that is driven from outside. */
export class SeededScheduler implements Scheduler {
  private readonly queues = new Map<object, Array<Task>>()
  /** whoever can take a step */
  private ready: Array<object> = []
  private readonly priorities: Map<object, number> | undefined
  private readonly go: number
  private left: number
  private dead = false
  private readonly started = new WeakSet<object>()
  steps = 0

  constructor(private readonly dice: Dice) {
    this.go = dice.seed === 0 ? 2048 : GOES[dice.choose(GOES.length)]
    this.left = this.go
    // every other schedule lets some fibers wait for long
    this.priorities = dice.seed !== 0 && dice.oneIn(2) ? new Map() : undefined
  }

  readonly shouldYield = (fiber: object): number | false => {
    if (this.dead) return 0
    if (--this.left > 0 || this.isRacing(fiber)) return false
    // Effect takes some operations of its own to yield, and the fiber has to get on
    this.left = 24 + this.dice.choose(this.go) + (this.dice.seed === 0 ? this.go : 0)
    return 0
  }

  /**
   * Effect's races make their fibers in one operation and start them in the next. Interrupted in between, the parent would wait for ever for fibers that nobody
   * starts; Effect's own scheduler hardly ever yields just there.
   */
  private isRacing(fiber: object): boolean {
    const { _children: children } = fiber as { readonly _children?: ReadonlySet<object> | null }
    for (const child of children ?? []) if (!this.started.has(child)) return true
    return false
  }

  readonly scheduleTask = (task: Task, _priority: number, fiber?: object): void => {
    if (this.dead) return
    const key = fiber ?? nobody
    this.started.add(key)
    const queue = this.queues.get(key)
    if (queue !== undefined) return void queue.push(task)
    this.queues.set(key, [task])
    this.ready.push(key)
  }

  get isResting(): boolean {
    return this.ready.length === 0
  }

  /** Lets one fiber take a step. */
  step(): void {
    this.steps++
    const at = this.pick()
    const [key] = this.ready.splice(at, 1)
    const queue = this.queues.get(key)!
    const task = queue.shift()!
    if (queue.length === 0) this.queues.delete(key)
    else this.ready.push(key)
    task()
  }

  /** Stops everything for good. */
  kill(): void {
    this.dead = true
    this.ready = []
    this.queues.clear()
    // fibers that never end would be kept for ever among Effect's roots
    const { roots } = globalValue(Symbol.for("effect/FiberScope/Global"), () => ({ roots: new Set<unknown>() }))
    for (const fiber of Fiber.unsafeRoots()) if (fiber.currentScheduler === this) roots.delete(fiber)
  }

  private pick(): number {
    const { dice, priorities } = this
    // with priorities too everybody gets on in the end
    if (priorities === undefined || dice.oneIn(24)) return dice.choose(this.ready.length)
    let best = 0
    for (let i = 0; i < this.ready.length; i++) {
      const key = this.ready[i]
      if (!priorities.has(key)) priorities.set(key, dice.choose(1000))
      if (priorities.get(key)! > priorities.get(this.ready[best])!) best = i
    }
    if (dice.oneIn(12)) priorities.set(this.ready[best], dice.choose(1000))
    return best
  }
}
