/**
 * All channels of a subtask's inputs: takes from inputs in turn, and from the channels of each in turn, and leaves the blocked ones alone.
 *
 * @since 0.1.0
 */
import type { Channel, Item, Overtaking } from "./Channel.js"

/** the place of an item that was put back: before all others */
const PUT_BACK = -1

/** The channels that a subtask reads, numbered through all inputs. */
export class InputGate {
  readonly channels: ReadonlyArray<Channel>
  private readonly blocked: Array<boolean>
  /** what was put back, to be taken first */
  private readonly waiting: Array<Array<Item>>
  /** of each input, its first channel; and one more, behind the last */
  private readonly firsts: ReadonlyArray<number>
  private readonly inputs: ReadonlyArray<number>
  /** of each input, the channel whose turn it is */
  private readonly next: Array<number>
  private nextInput = 0
  /** the channel of the item that `poll` gave last, and its place there */
  channel = 0
  place = 0

  constructor(inputs: ReadonlyArray<ReadonlyArray<Channel>>) {
    this.channels = inputs.flat()
    this.inputs = inputs.flatMap((channels, input) => channels.map(() => input))
    this.firsts = inputs.reduce((firsts, channels) => [...firsts, firsts[firsts.length - 1] + channels.length], [0])
    this.next = this.firsts.slice(0, -1)
    this.blocked = this.channels.map(() => false)
    this.waiting = this.channels.map(() => [])
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

  /** Has an item taken before all that is in its channel, after what was put back before it. */
  putBack(channel: number, item: Item): void {
    this.waiting[channel].push(item)
  }

  /** Has an item that was taken last taken next again. */
  giveBack(channel: number, item: Item): void {
    this.waiting[channel].unshift(item)
  }

  /** What was put back into a channel. */
  putBackIn(channel: number): ReadonlyArray<Item> {
    return this.waiting[channel]
  }

  /** The next barrier that has overtaken what is queued; `channel` is where. */
  pollOvertaking(): Overtaking | undefined {
    for (let at = 0; at < this.channels.length; at++) {
      const found = this.channels[at].pollOvertaking()
      if (found !== undefined) {
        this.channel = at
        return found
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

  private pollInput(input: number): Item | undefined {
    const first = this.firsts[input]
    const end = this.firsts[input + 1]
    for (let tried = first; tried < end; tried++) {
      const at = this.next[input]
      this.next[input] = at + 1 === end ? first : at + 1
      if (this.blocked[at]) continue
      const place = this.channels[at].first
      const item = this.waiting[at].length === 0 ? this.channels[at].poll() : this.waiting[at].shift()
      if (item !== undefined) {
        this.channel = at
        this.place = this.channels[at].first === place ? PUT_BACK : place
        return item
      }
    }
    return undefined
  }
}
