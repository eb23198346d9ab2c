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
  private current: unknown = undefined
  private known = true

  constructor(private readonly codec: KeyCodec<any>) {}

  get key(): unknown {
    if (!this.known) {
      this.current = this.codec.fromMapKey(this.mapKey)
      this.known = true
    }
    return this.current
  }

  /** Hot: once per record. */
  setCurrentKey(key: unknown): void {
    this.current = key
    this.known = true
    this.mapKey = isMapKey(key) ? key : this.codec.toMapKey(key)
  }

  setMapKey(mapKey: MapKey): void {
    this.mapKey = mapKey
    this.known = false
  }

  fromMapKey(mapKey: MapKey): unknown {
    return this.codec.fromMapKey(mapKey)
  }
}
