/**
 * All channels of a subtask's inputs: takes from inputs in turn, and from the channels of each in turn, and leaves the blocked ones alone.
 *
 * @since 0.1.0
 */
import type { Channel, Item } from "./Channel.js"

/** The channels that a subtask reads, numbered through all inputs. */
export class InputGate {
  readonly channels: ReadonlyArray<Channel>
  private readonly blocked: Array<boolean>
  /** what was taken and put back, to be taken first */
  private readonly waiting: Array<Item | undefined>
  /** of each input, its first channel; and one more, behind the last */
  private readonly firsts: ReadonlyArray<number>
  private readonly inputs: ReadonlyArray<number>
  /** of each input, the channel whose turn it is */
  private readonly next: Array<number>
  private nextInput = 0
  /** the channel of the item that `poll` gave last */
  channel = 0

  constructor(inputs: ReadonlyArray<ReadonlyArray<Channel>>) {
    this.channels = inputs.flat()
    this.inputs = inputs.flatMap((channels, input) => channels.map(() => input))
    this.firsts = inputs.reduce((firsts, channels) => [...firsts, firsts[firsts.length - 1] + channels.length], [0])
    this.next = this.firsts.slice(0, -1)
    this.blocked = this.channels.map(() => false)
    this.waiting = this.channels.map(() => undefined)
  }

  /** The input that a channel belongs to. */
  inputOf(channel: number): number {
    return this.inputs[channel]
  }

  /** Which of its input's channels a channel is. */
  placeOf(channel: number): number {
    return channel - this.firsts[this.inputs[channel]]
  }

  /** The channels of an input. */
  channelsOf(input: number): ReadonlyArray<number> {
    return Array.from({ length: this.firsts[input + 1] - this.firsts[input] }, (_, i) => this.firsts[input] + i)
  }

  /** The next item, of one input or of any, that is not blocked, or `undefined`. */
  poll(input?: number): Item | undefined {
    if (input !== undefined) return this.pollInput(input)
    const { next: { length } } = this
    for (let tried = 0; tried < length; tried++) {
      const at = this.nextInput
      this.nextInput = at + 1 === length ? 0 : at + 1
      const item = this.pollInput(at)
      if (item !== undefined) return item
    }
    return undefined
  }

  /** Gives back an item that was taken last from its channel. */
  putBack(channel: number, item: Item): void {
    this.waiting[channel] = item
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

  private pollInput(input: number): Item | undefined {
    const first = this.firsts[input]
    const end = this.firsts[input + 1]
    for (let tried = first; tried < end; tried++) {
      const at = this.next[input]
      this.next[input] = at + 1 === end ? first : at + 1
      if (this.blocked[at]) continue
      const item = this.waiting[at] ?? this.channels[at].poll()
      if (item !== undefined) {
        this.waiting[at] = undefined
        this.channel = at
        return item
      }
    }
    return undefined
  }
}
