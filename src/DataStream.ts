/**
 * Streams: the language (`language/`), and the ways to run one stream as a job of its own.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import { CheckpointStorage } from "./CheckpointStorage.js"
import * as DataSink from "./DataSink.js"
import * as Job from "./Job.js"
import type { JobOptions } from "./JobOptions.js"
import type { DataStream } from "./language/DataStream.js"
import { to } from "./language/ends.js"
import * as memory from "./storage/memoryStorage.js"
import type { JobError } from "./StreamError.js"

export * from "./language/DataStream.js"
export * from "./language/ends.js"
export * from "./language/running.js"
export * from "./language/sources.js"

/** values that a subtask has collected since its last checkpoint, by the token that its committable carries */
const collecting = <A>(into: Array<A>): DataSink.DataSink<A> => {
  const prepared = new Map<string, Array<A>>()
  return DataSink.transactional({
    name: "collect",
    open: ({ attemptId, subtask }) =>
      Effect.sync((): DataSink.TransactionWriter<A, string> => {
        let values: Array<A> = []
        let n = 0
        return {
          write: (value) => {
            values.push(value)
          },
          prepare: () => {
            if (values.length === 0) return { committables: [], persist: Effect.void }
            const token = `${attemptId}/${subtask}/${n++}`
            prepared.set(token, values)
            values = []
            return { committables: [token], persist: Effect.void }
          },
          commit: (token) =>
            Effect.sync(() => {
              const committed = prepared.get(token)
              prepared.delete(token)
              // one by one: a spread of a large array would not fit on the stack
              if (committed !== undefined) { for (const value of committed) into.push(value) }
            })
        }
      })
  })
}

/** what these jobs give lives in this process, and so do their checkpoints, whatever storage the program provides */
const ownCheckpoints = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideServiceEffect(effect, CheckpointStorage, memory.make)

/**
 * Runs a job of this one stream and gives all its records. With checkpoints and restarts each record is there once; checkpoints are kept in memory.
 *
 * @since 0.1.0
 * @category running
 */
export const runCollect = <A, E, R>(
  stream: DataStream<A, E, R>,
  options?: JobOptions
): Effect.Effect<Array<A>, JobError<E>, R> =>
  Effect.suspend(() => {
    const values: Array<A> = []
    return Effect.as(ownCheckpoints(Job.run(Job.make("runCollect", to(stream, collecting(values))), options)), values)
  })

/** how many chunks of results may wait for the reader of `toStream` */
const LIVE_CHUNKS = 16

/**
 * Runs a job of this one stream and gives its records as they come; whoever reads slowly slows the job down. Interrupting the stream cancels the job.
 * Results are live: after a restart some may come again. Checkpoints are kept in memory.
 *
 * @since 0.1.0
 * @category running
 */
export const toStream = <A, E, R>(stream: DataStream<A, E, R>, options?: JobOptions): Stream.Stream<A, JobError<E>, R> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const queue = yield* Queue.bounded<Take.Take<A, JobError<E>>>(LIVE_CHUNKS)
    const sink = DataSink.make({
      name: "toStream",
      open: () =>
        Effect.sync((): DataSink.SinkWriter<A> => {
          let values: Array<A> = []
          const hand = Effect.suspend(() => {
            const chunk = Chunk.unsafeFromArray(values)
            values = []
            return Chunk.isEmpty(chunk) ? Effect.void : Effect.asVoid(Queue.offer(queue, Take.chunk(chunk)))
          })
          return {
            write: (value) => {
              values.push(value)
            },
            endBatch: () => values.length === 0 ? undefined : hand,
            flush: hand
          }
        })
    })
    const handle = yield* ownCheckpoints(Job.start(Job.make("toStream", to(stream, sink)), options))
    yield* Effect.forkScoped(
      Effect.flatMap(Effect.exit(handle.await), (exit) => Queue.offer(queue, Exit.isSuccess(exit) ? Take.end : Take.failCause(exit.cause)))
    )
    return Stream.flattenTake(Stream.fromQueue(queue))
  }))
