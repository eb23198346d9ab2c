/**
 * Where keyed state lives while a job runs.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Codec } from "./state/Codec.js"
import { StateTable } from "./state/StateTable.js"

/**
 * The tables of one operator's subtask.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedBackend {
  readonly table: <V>(name: string, codec: Codec<V>) => StateTable<V>
}

/**
 * Makes the keyed state of each operator's subtask. By default, and with `layerMemory`, it is held in Maps on the heap.
 *
 * @since 0.1.0
 * @category services
 */
export class StateBackend extends Context.Reference<StateBackend>()("sluice/StateBackend", {
  defaultValue: (): {
    readonly open: (operator: { readonly job: string; readonly uid: string; readonly subtask: number }) => Effect.Effect<
      KeyedBackend,
      never,
      Scope.Scope
    >
  } => memory
}) {}

const memory = { open: () => Effect.succeed<KeyedBackend>({ table: (_name, codec) => new StateTable(codec) }) }

/**
 * Keyed state in Maps on the heap.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<never> = Layer.succeed(StateBackend, memory) as Layer.Layer<never>
