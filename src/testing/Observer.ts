/**
 * Lifecycle observers for tests: one that remembers, one that crashes a job at a step of its life.
 *
 * @since 0.1.0
 */
import type { LifecycleEvent } from "../Lifecycle.js"

/**
 * What `Lifecycle.LifecycleObserver` is provided with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observer {
  readonly observe: (event: LifecycleEvent) => void
}

/**
 * The failure of a step that `crashAt` chose.
 *
 * @since 0.1.0
 * @category models
 */
export class InjectedCrash extends Error {
  constructor(readonly event: LifecycleEvent) {
    super(`injected at ${event.phase} of ${event.operator ?? event.vertex}[${event.subtask}]`)
    this.name = "InjectedCrash"
  }
}

/**
 * Remembers every step, in order.
 *
 * @example
 * ```ts
 * import { DataStream, Job, Lifecycle } from "sluice"
 * import { Observer } from "sluice/testing"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const observer = Observer.recording()
 * const job = Job.make("watched", DataStream.range(1, 3).pipe(DataStream.runForEach(() => {})))
 * await Effect.runPromise(Effect.provideService(Job.run(job), Lifecycle.LifecycleObserver, observer))
 * assert.equal(observer.events.at(-1)?.phase, "finished")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const recording = (): Observer & { readonly events: ReadonlyArray<LifecycleEvent> } => {
  const events: Array<LifecycleEvent> = []
  return { events, observe: (event) => void events.push(event) }
}

/**
 * Lets the steps with these numbers fail, counted from 0 over all tasks and attempts: the step fails as if its hook had thrown `InjectedCrash`.
 * `happen` does something else at them instead, such as to interrupt the job.
 *
 * @since 0.1.0
 * @category constructors
 */
export const crashAt = (
  steps: ReadonlyArray<number>,
  happen: (event: LifecycleEvent) => void = (event) => {
    throw new InjectedCrash(event)
  }
): Observer => {
  let n = 0
  return {
    observe: (event) => {
      if (steps.includes(n++)) happen(event)
    }
  }
}
