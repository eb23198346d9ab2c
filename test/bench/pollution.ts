/**
 * Other work that the process did before: twelve small jobs with records and user functions of other shapes, and as
 * many RxJS and Effect pipelines.
 *
 * What V8 learned from them is what it knows of the engine when the measured job starts. Without it an engine of
 * shared code looks up to twice as fast as it is in a program that runs more than one job.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Vm from "node:vm"
import * as Rx from "rxjs"
import { Aggregator, DataStream, KeyedStream, WatermarkStrategy, Window, WindowedStream } from "sluice"
import { random, SLICE, slices } from "./records.js"
import type { Checksum } from "./slicedJob.js"
import { runs, slicedSource } from "./slicedJob.js"

const JOBS = 12
const RECORDS = 60_000

const next = random(7)

/** What the jobs read: the timestamp of a record is its index. */
const shapes: ReadonlyArray<(i: number) => unknown> = [
  (i) => ({ id: i, amount: next() * 100, ts: i }),
  (i) => ({ a: `x${i % 50}`, b: i, ts: i }),
  (i) => i,
  (i) => `s${i % 1000}`,
  (i) => [i, i * 2],
  (i) => ({ user: { id: i % 99 }, v: i, ts: i }),
  (i) => ({ ts: i, kind: i % 3 === 0 ? "b" : "a", p: i * 0.5 }),
  (i) => BigInt(i),
  (i) => ({ w: i, h: i, d: i, k: String(i % 10) }),
  (i) => ({ lat: i * 0.1, lon: i * 0.2, t: i, car: i % 333 }),
  (i) => ({ m: [], i }),
  (i) => ({ sku: `k${i % 777}`, q: i % 5, price: 1.5, ts: i, extra: null })
]

interface Wrapped {
  readonly p: unknown
  readonly q: number
}

interface Functions {
  readonly wrap: (x: unknown) => Wrapped
  readonly widen: (x: Wrapped) => Wrapped
  readonly keep: (x: Wrapped) => boolean
  readonly key: (x: Wrapped) => string | number
  readonly add: (acc: number, x: Wrapped) => number
  readonly checksum: Checksum<unknown>
}

let made = 0

/** functions made from text, with another text for each pipeline: to V8 they are different functions */
const functionsOf = (job: number): Functions =>
  Vm.runInThisContext(`((n) => {
    const checksum = { value: 0, write: (x) => { checksum.value = (checksum.value + (typeof x === "object" ? 1 : ${job})) | 0 } }
    return {
      wrap: (x) => ({ p: x, q: n++ % 97, j${job}: 1 }),
      widen: (x) => ({ ...x, z${job}: 1 }),
      keep: (x) => x.q !== ${job + 1},
      key: (x) => ${job % 2 === 0 ? "x.q" : "\"k\" + x.q"},
      add: (acc, x) => acc + x.q * ${job % 3 === 0 ? "0.5" : "2"},
      checksum
    }
  })(${++made})`) as Functions

type Records = DataStream.DataStream<unknown>

/** Four kinds of pipeline, of which each job runs two. */
const pipelines: ReadonlyArray<(self: Records, f: Functions) => Records> = [
  (self, { keep, widen, wrap }) => self.pipe(DataStream.map(wrap), DataStream.filter(keep), DataStream.map(widen)),
  (self, { add, keep, key, widen, wrap }) =>
    self.pipe(
      DataStream.map(wrap),
      KeyedStream.keyBy(key),
      KeyedStream.aggregate(Aggregator.map(Aggregator.sum((x: Wrapped) => add(0, x)), (sum) => ({ p: sum, q: 1 }))),
      DataStream.startNewChain,
      DataStream.map(widen),
      DataStream.filter(keep)
    ),
  (self, { key, wrap }) =>
    self.pipe(
      DataStream.map(wrap),
      KeyedStream.keyBy(key),
      WindowedStream.window(Window.tumbling(100)),
      WindowedStream.aggregate(
        Aggregator.make({ ...Aggregator.count, add: (n, _: Wrapped) => n + 1 }),
        (n, { key, window }) => ({ n, key, end: window.end })
      )
    ),
  (self, { keep, key, widen, wrap }) =>
    self.pipe(
      DataStream.map(wrap),
      DataStream.filter(keep),
      DataStream.flatMap((x) => [widen(x)]),
      KeyedStream.keyBy(key),
      KeyedStream.reduce((x, y) => ({ p: y.p, q: x.q + y.q })),
      DataStream.map((x) => x.p),
      DataStream.filter((x) => x !== null)
    )
]

const runJob = async (name: string, kind: number, values: ReadonlyArray<unknown>, functions: Functions): Promise<void> => {
  const timestamps = values.map((_, i) => i)
  const source = DataStream.fromSource(slicedSource(slices(values, SLICE), slices(timestamps, SLICE)), {
    watermarks: WatermarkStrategy.monotonic
  })
  await runs(name, pipelines[kind](source, functions), functions.checksum)()
}

const runObservable = (kind: number, values: ReadonlyArray<unknown>, { add, checksum, keep, key, widen, wrap }: Functions): void => {
  const sums = new Map<string | number, number>()
  const sum = (x: Wrapped) => {
    const total = add(sums.get(key(x)) ?? 0, x)
    sums.set(key(x), total)
    return { p: total, q: 1 }
  }
  const source = Rx.from(values).pipe(Rx.map(wrap))
  const pipeline: Rx.Observable<unknown> = kind === 0
    ? source.pipe(Rx.filter(keep), Rx.map(widen))
    : kind === 1
    ? source.pipe(Rx.map(sum), Rx.map(widen), Rx.filter(keep))
    : kind === 2
    ? source.pipe(Rx.concatMap((x) => x.q === 0 ? [sum(x)] : []))
    : source.pipe(Rx.filter(keep), Rx.mergeMap((x) => [widen(x)]), Rx.map((x) => x.p))
  pipeline.subscribe(checksum.write)
}

const runStream = async (
  kind: number,
  values: ReadonlyArray<unknown>,
  { add, checksum, keep, key, widen, wrap }: Functions
): Promise<void> => {
  const sums = new Map<string | number, number>()
  const sum = (x: Wrapped) => {
    const total = add(sums.get(key(x)) ?? 0, x)
    sums.set(key(x), total)
    return { p: total, q: 1 }
  }
  const source = Stream.fromChunks(...slices(values, 4096).map(Chunk.unsafeFromArray)).pipe(Stream.map(wrap))
  const pipeline: Stream.Stream<unknown> = kind === 0
    ? source.pipe(Stream.filter(keep), Stream.map(widen))
    : kind === 1
    ? source.pipe(Stream.bufferChunks({ capacity: 8 }), Stream.map(sum), Stream.map(widen), Stream.filter(keep))
    : kind === 2
    ? source.pipe(Stream.mapConcat((x) => x.q === 0 ? [sum(x)] : []))
    : source.pipe(Stream.filter(keep), Stream.mapConcat((x) => [widen(x)]), Stream.map((x) => x.p))
  await Effect.runPromise(Stream.runForEachChunk(pipeline, (chunk) => Effect.sync(() => Chunk.forEach(chunk, checksum.write))))
}

/** Runs all of it. */
export const pollute = async (): Promise<void> => {
  for (let job = 0; job < JOBS; job++) {
    const values = Array.from({ length: RECORDS }, (_, i) => shapes[job](i))
    for (const kind of [job % pipelines.length, (job + 1) % pipelines.length]) {
      await runJob(`pollution ${job}`, kind, values, functionsOf(job))
      runObservable(kind, values, functionsOf(job))
      await runStream(kind, values, functionsOf(job))
    }
  }
}
