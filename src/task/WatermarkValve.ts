/**
 * A subtask's event time: the least watermark of its active, aligned channels. Follows Flink's StatusWatermarkValve.
 *
 * W1. What it gives out only grows (L10).
 * W2. An idle channel does not count; one that becomes active again counts once it has caught up.
 * W3. It gives out IDLE when its last active channel goes idle, ACTIVE when the first comes back.
 * W4. While no active channel is aligned, nothing is given out.
 *
 * @since 0.1.0
 */
import { Watermark } from "../StreamElement.js"

/** Takes watermarks and statuses of channels, gives those of the whole input. */
export class WatermarkValve {
  private readonly watermarks: Array<number>
  private readonly idle: Array<boolean>
  private readonly aligned: Array<boolean>
  private last: number = Watermark.MIN
  private allIdle = false

  constructor(
    channels: number,
    private readonly emitWatermark: (timestamp: number) => void,
    private readonly emitStatus: (idle: boolean) => void
  ) {
    this.watermarks = new Array<number>(channels).fill(Watermark.MIN)
    this.idle = new Array<boolean>(channels).fill(false)
    this.aligned = new Array<boolean>(channels).fill(true)
  }

  /** the last watermark given out */
  get current(): number {
    return this.last
  }

  watermark(channel: number, timestamp: number): void {
    if (this.idle[channel] || timestamp <= this.watermarks[channel]) return
    this.watermarks[channel] = timestamp
    if (!this.aligned[channel] && timestamp >= this.last) this.aligned[channel] = true
    this.advance()
  }

  status(channel: number, idle: boolean): void {
    if (this.idle[channel] === idle) return
    this.idle[channel] = idle
    if (idle) {
      this.aligned[channel] = false
      if (this.idle.every((each) => each)) {
        // whoever reads on must not wait for what idle channels have already passed
        if (this.watermarks[channel] === this.last) this.emit(Math.max(...this.watermarks))
        this.allIdle = true
        this.emitStatus(true)
      } else if (this.watermarks[channel] === this.last) {
        this.advance()
      }
      return
    }
    if (this.watermarks[channel] >= this.last) this.aligned[channel] = true
    if (this.allIdle) {
      this.allIdle = false
      this.emitStatus(false)
    }
  }

  private advance(): void {
    let least = Infinity
    for (let channel = 0; channel < this.watermarks.length; channel++) {
      if (this.aligned[channel] && this.watermarks[channel] < least) least = this.watermarks[channel]
    }
    if (least !== Infinity) this.emit(least)
  }

  private emit(timestamp: number): void {
    // event time ends when it has ended for all: who is idle, or has not caught up, may still send
    if (timestamp === Watermark.MAX && this.watermarks.some((each) => each !== Watermark.MAX)) return
    if (timestamp <= this.last) return
    this.last = timestamp
    this.emitWatermark(timestamp)
  }
}
