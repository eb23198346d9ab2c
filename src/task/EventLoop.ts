/**
 * Gives the event loop a turn: the one place that names a host's scheduler.
 *
 * Effect v3's `yieldNow` is a microtask and lets neither timers nor I/O run.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

const macrotask: Effect.Effect<void> = Effect.async((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})

/** How a turn is taken; a simulation, which runs all fibers by itself, takes it otherwise. */
export class EventLoop extends Context.Reference<EventLoop>()("sluice/EventLoop", {
  defaultValue: (): { readonly turn: Effect.Effect<void> } => ({ turn: macrotask })
}) {}

/** Goes on after timers and I/O had their turn. */
export const turn: Effect.Effect<void> = Effect.flatMap(EventLoop, ({ turn }) => turn)
