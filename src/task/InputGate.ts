/**
 * All channels of a subtask's input: takes from them in turn, and leaves the blocked ones alone.
 *
 * @since 0.1.0
 */
import type { Channel, Item } from "./Channel.js"

/** The channels that a subtask reads. */
export class InputGate {
  private readonly blocked: Array<boolean>
  private next = 0
  /** the channel of the item that `poll` gave last */
  channel = 0

  constructor(readonly channels: ReadonlyArray<Channel>) {
    this.blocked = channels.map(() => false)
  }

  /** The next item of a channel that is not blocked, in turn, or `undefined`. */
  poll(): Item | undefined {
    const { channels } = this
    for (let tried = 0; tried < channels.length; tried++) {
      const at = this.next
      this.next = at + 1 === channels.length ? 0 : at + 1
      if (this.blocked[at]) continue
      const item = channels[at].poll()
      if (item !== undefined) {
        this.channel = at
        return item
      }
    }
    return undefined
  }

  block(channel: number): void {
    this.blocked[channel] = true
  }

  unblockAll(): void {
    this.blocked.fill(false)
  }

  onData(wake: () => void): void {
    for (const channel of this.channels) channel.onData = wake
  }
}
