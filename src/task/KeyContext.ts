/**
 * The current key of a keyed operator.
 *
 * @since 0.1.0
 */
import type { MapKey } from "../KeyGroup.js"
import type { KeyCodec } from "../state/KeyCodec.js"
import { isMapKey } from "../state/KeyCodec.js"
import type { KeyContext } from "../StreamOperator.js"

/** Holds the key of the record or timer in hand. */
export class CurrentKey implements KeyContext {
  mapKey: MapKey = undefined
  /** the last key that does not stand for itself, and what stands for it */
  private composite: { readonly key: unknown; readonly mapKey: MapKey } | undefined

  constructor(private readonly codec: KeyCodec<any>) {}

  get key(): unknown {
    const { mapKey } = this
    return isMapKey(mapKey) ? mapKey : this.decoded(mapKey)
  }

  /** Hot: once per record. */
  setCurrentKey(key: unknown): void {
    if (isMapKey(key)) this.mapKey = key
    else {
      this.mapKey = this.codec.toMapKey(key)
      this.composite = { key, mapKey: this.mapKey }
    }
  }

  setMapKey(mapKey: MapKey): void {
    this.mapKey = mapKey
  }

  fromMapKey(mapKey: MapKey): unknown {
    return this.codec.fromMapKey(mapKey)
  }

  private decoded(mapKey: MapKey): unknown {
    if (this.composite?.mapKey !== mapKey) this.composite = { key: this.codec.fromMapKey(mapKey), mapKey }
    return this.composite!.key
  }
}
