/**
 * Timers by key and namespace, of one operator, in event time and in processing time.
 *
 * A key's timers are one entry of keyed state, so they are in every snapshot and follow the key when the job is rescaled. What fires next is found
 * through buckets by time, which are made anew on restore.
 *
 * M1. Event-time timers with t <= w fire in the order of (t, registration) (L7).
 * M2. There is one timer for each (key, namespace, t) and domain.
 * M3. Each domain has at most one physical timer, for its earliest time (TI-03 to TI-05).
 *
 * @since 0.1.0
 */
import type { MapKey } from "../KeyGroup.js"
import type { Codec } from "../state/Codec.js"
import type { StateTable } from "../state/StateTable.js"
import { NO_NAMESPACE } from "../state/StateTable.js"
import { Watermark } from "../StreamElement.js"
import type { FiredTimer, KeyContext, ProcessingTimeService, TimerService } from "../StreamOperator.js"
import { Heap } from "./Heap.js"

type Domain = FiredTimer["domain"]

interface Timer {
  readonly domain: Domain
  readonly namespace: MapKey
  readonly time: number
  readonly sequence: number
  live: boolean
}

type Stored = readonly [domain: 0 | 1, namespace: MapKey, time: number, sequence: number]

/** How a key's timers are stored. */
export const timersCodec: Codec<Array<Timer>> = (() => {
  const encode = (timers: Array<Timer>): Array<Stored> =>
    timers.map(({ domain, namespace, sequence, time }) => [domain === "event-time" ? 0 : 1, namespace, time, sequence])
  return {
    shape: { kind: "named", name: "timers", of: [] },
    encode,
    copy: encode,
    decode: (stored) =>
      (stored as Array<Stored>).map(([domain, namespace, time, sequence]) => ({
        domain: domain === 0 ? "event-time" : "processing-time",
        namespace,
        time,
        sequence,
        live: true
      }))
  }
})()

interface Due {
  readonly key: MapKey
  readonly timer: Timer
}

/** The timers of one domain by time: a bucket for each, in the order of registration. */
class Buckets {
  private readonly buckets = new Map<number, Array<Due>>()
  private readonly times = new Heap<number>((a, b) => a < b)
  count = 0

  add(due: Due): void {
    const { time } = due.timer
    const bucket = this.buckets.get(time)
    if (bucket === undefined) {
      this.buckets.set(time, [due])
      this.times.push(time)
    } else bucket.push(due)
    this.count++
  }

  /** the earliest time that still has a timer */
  earliest(): number | undefined {
    for (;;) {
      const time = this.times.peek()
      if (time === undefined) return undefined
      if (this.buckets.get(time)!.some((due) => due.timer.live)) return time
      this.remove(time)
    }
  }

  /** takes the bucket of a time out */
  remove(time: number): ReadonlyArray<Due> {
    const bucket = this.buckets.get(time)!
    this.buckets.delete(time)
    this.times.pop()
    return bucket
  }
}

/** The timers of one operator's subtask. */
export class KeyedTimers implements TimerService {
  private readonly eventTime = new Buckets()
  private readonly processingTime = new Buckets()
  private sequence = 0
  private watermark: number = Watermark.MIN
  private physical: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(
    private readonly table: StateTable<Array<Timer>>,
    private readonly keys: KeyContext,
    private readonly clock: ProcessingTimeService,
    private readonly onTimer: (timer: FiredTimer) => void
  ) {
    const restored: Array<Due> = []
    for (const [key, entry] of table.only) for (const timer of entry.value) restored.push({ key, timer })
    restored.sort((a, b) => a.timer.time - b.timer.time || a.timer.sequence - b.timer.sequence)
    for (const due of restored) {
      this.bucketsOf(due.timer.domain).add(due)
      this.sequence = Math.max(this.sequence, due.timer.sequence + 1)
    }
    this.arm()
  }

  registerEventTime(namespace: MapKey, time: number): void {
    this.register("event-time", namespace, time)
  }

  registerProcessingTime(namespace: MapKey, time: number): void {
    this.register("processing-time", namespace, time)
    this.arm()
  }

  deleteEventTime(namespace: MapKey, time: number): void {
    this.delete("event-time", namespace, time)
  }

  deleteProcessingTime(namespace: MapKey, time: number): void {
    this.delete("processing-time", namespace, time)
    this.arm()
  }

  currentWatermark(): number {
    return this.watermark
  }

  currentProcessingTime(): number {
    return this.clock.now()
  }

  counts() {
    return { eventTime: this.eventTime.count, processingTime: this.processingTime.count }
  }

  /** Fires the event-time timers that a watermark has reached. */
  advanceWatermark(watermark: number): void {
    this.watermark = watermark
    this.fire(this.eventTime, watermark)
  }

  private bucketsOf(domain: Domain): Buckets {
    return domain === "event-time" ? this.eventTime : this.processingTime
  }

  private register(domain: Domain, namespace: MapKey, time: number): void {
    if (!Number.isFinite(time)) throw new RangeError(`a timer needs a time in milliseconds, got ${time}`)
    const { mapKey } = this.keys
    const pane = this.table.only
    const timers = this.table.entry(pane, NO_NAMESPACE, mapKey)?.value ?? this.table.insert(pane, mapKey, []).value
    if (find(timers, domain, namespace, time) !== -1) return
    const timer: Timer = { domain, namespace, time, sequence: this.sequence++, live: true }
    timers.push(timer)
    this.bucketsOf(domain).add({ key: mapKey, timer })
  }

  private delete(domain: Domain, namespace: MapKey, time: number): void {
    const timers = this.table.entry(this.table.only, NO_NAMESPACE, this.keys.mapKey)?.value
    const at = timers === undefined ? -1 : find(timers, domain, namespace, time)
    if (at === -1) return
    timers![at].live = false
    this.bucketsOf(domain).count--
    this.forget(this.keys.mapKey, timers!, at)
  }

  /** a key without timers has no entry */
  private forget(key: MapKey, timers: Array<Timer>, at: number): void {
    timers.splice(at, 1)
    if (timers.length === 0) this.table.delete(this.table.only, NO_NAMESPACE, key)
  }

  private fire(buckets: Buckets, upTo: number): void {
    for (;;) {
      const time = buckets.earliest()
      if (time === undefined || time > upTo) return
      for (const { key, timer } of buckets.remove(time)) {
        if (!timer.live) continue
        timer.live = false
        buckets.count--
        const timers = this.table.entry(this.table.only, NO_NAMESPACE, key)!.value
        this.forget(key, timers, timers.indexOf(timer))
        this.keys.setMapKey(key)
        this.onTimer({ namespace: timer.namespace, timestamp: timer.time, domain: timer.domain })
      }
    }
  }

  private arm(): void {
    const at = this.processingTime.earliest()
    if (this.physical?.at === at) return
    this.physical?.cancel()
    this.physical = at === undefined ? undefined : {
      at,
      cancel: this.clock.schedule(at, () => {
        this.physical = undefined
        this.fire(this.processingTime, this.clock.now())
        this.arm()
      })
    }
  }
}

const find = (timers: ReadonlyArray<Timer>, domain: Domain, namespace: MapKey, time: number): number =>
  timers.findIndex((timer) => timer.time === time && timer.domain === domain && timer.namespace === namespace)
