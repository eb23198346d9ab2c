/**
 * Checkpoints in memory: they outlive the run that wrote them, not the process.
 *
 * M1. What a reader or a writer does with bytes or metadata it was given, or gave, does not change what is kept.
 * M2. A store whose Scope has closed changes nothing any more.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CheckpointMetadata, StateHandle } from "../Checkpoint.js"
import { CheckpointCorrupt, JobAlreadyRunning, StorageFailed } from "../StreamError.js"
import type { CheckpointStore, CheckpointWriter, Storage } from "./CheckpointStore.js"
import * as Checksum from "./checksum.js"

interface Kept {
  readonly metadata: CheckpointMetadata
  readonly files: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly checksum: string }>
}

interface Job {
  readonly checkpoints: Map<number, Kept>
  highestId: number
  /** the last finished run; `upTo` is the highest id of its time */
  finished: { readonly lastId: number; readonly upTo: number } | undefined
  holder: object | undefined
}

const newestFirst = (job: Job): ReadonlyArray<number> => Array.from(job.checkpoints.keys()).sort((a, b) => b - a)

const location = (name: string, id: number): string => `memory:${name}/chk-${id}`

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

const makeWriter = (
  name: string,
  id: number,
  job: Job,
  check: (operation: string) => Effect.Effect<void, StorageFailed>
): CheckpointWriter => {
  const path = location(name, id)
  const files = new Map<string, { readonly bytes: Uint8Array; readonly checksum: string }>()
  let phase: "writing" | "complete" | "aborted" = "writing"
  const fail = (operation: string, reason: string) => new StorageFailed({ operation, path, reason })
  const writing = (operation: string) =>
    Effect.suspend(() => phase === "writing" ? Effect.void : fail(operation, `the checkpoint is ${phase}`))
  return {
    write: (file, body) =>
      Effect.suspend(() => {
        const pieces: Array<Uint8Array> = []
        let phase: "writing" | "over" = "writing"
        const append = (bytes: Uint8Array) =>
          Effect.suspend(() => {
            if (phase === "over") return fail("write", `${file} is written already`)
            // a Buffer's slice would share its bytes
            pieces.push(new Uint8Array(bytes))
            return Effect.void
          })
        return writing("write").pipe(
          Effect.zipRight(body(append)),
          Effect.ensuring(Effect.sync(() => {
            phase = "over"
          })),
          Effect.zipRight(writing("write")),
          Effect.flatMap(() => {
            if (files.has(file)) return fail("write", `${file} is written already`)
            const bytes = joined(pieces)
            const checksum = Checksum.of(bytes)
            files.set(file, { bytes, checksum })
            return Effect.succeed<StateHandle>({ file, bytes: bytes.length, checksum })
          })
        )
      }),
    complete: (metadata) =>
      Effect.zipRight(check("complete"), writing("complete")).pipe(Effect.map(() => {
        job.checkpoints.set(id, { metadata: structuredClone(metadata), files })
        phase = "complete"
      })),
    abort: Effect.sync(() => {
      if (phase === "writing") phase = "aborted"
    })
  }
}

const makeStore = (name: string, job: Job, holder: object): CheckpointStore => {
  const check = (operation: string, id?: number) =>
    Effect.suspend(() =>
      job.holder === holder ? Effect.void : new StorageFailed({
        operation,
        path: id === undefined ? `memory:${name}` : location(name, id),
        reason: job.holder === undefined ? "this run no longer holds the job" : "another run took over the job"
      })
    )
  const kept = (operation: string, id: number) =>
    Effect.suspend(() => {
      const found = job.checkpoints.get(id)
      return found === undefined
        ? new StorageFailed({ operation, path: location(name, id), reason: "there is no such checkpoint" })
        : Effect.succeed(found)
    })
  return {
    begin: (id) =>
      Effect.flatMap(check("begin", id), () => {
        if (job.checkpoints.has(id)) {
          return new StorageFailed({ operation: "begin", path: location(name, id), reason: "the checkpoint is complete already" })
        }
        job.highestId = Math.max(job.highestId, id)
        return Effect.succeed(makeWriter(name, id, job, (operation) => check(operation, id)))
      }),
    list: Effect.sync(() => newestFirst(job)),
    metadata: (id) => Effect.map(kept("read", id), ({ metadata }) => structuredClone(metadata)),
    read: (id, handle) =>
      Effect.flatMap(kept("read", id), ({ files }) => {
        const file = `${location(name, id)}/${handle.file}`
        const found = files.get(handle.file)
        if (found === undefined) return new CheckpointCorrupt({ file, expected: handle.checksum, found: "missing" })
        if (found.bytes.length !== handle.bytes) {
          return new CheckpointCorrupt({ file, expected: `${handle.bytes} bytes`, found: `${found.bytes.length} bytes` })
        }
        return found.checksum === handle.checksum
          ? Effect.succeed(found.bytes.slice())
          : new CheckpointCorrupt({ file, expected: handle.checksum, found: found.checksum })
      }),
    discard: (id) =>
      Effect.map(check("discard", id), () => {
        job.checkpoints.delete(id)
      }),
    highestId: Effect.sync(() => job.highestId),
    finished: Effect.sync(() => {
      const newest = newestFirst(job)[0] ?? 0
      return job.finished === undefined || newest > job.finished.upTo ? undefined : { lastId: job.finished.lastId }
    }),
    finish: (lastId, keep) =>
      Effect.map(check("finish"), () => {
        job.highestId = Math.max(job.highestId, lastId)
        job.finished = { lastId, upTo: job.highestId }
        for (const id of newestFirst(job)) if (!keep.includes(id)) job.checkpoints.delete(id)
      }),
    location: (id) => location(name, id)
  }
}

/**
 * An empty storage in memory.
 */
export const make: Effect.Effect<Storage> = Effect.sync(() => {
  const jobs = new Map<string, Job>()
  return {
    open: (name) =>
      Effect.acquireRelease(
        Effect.suspend(() => {
          const job = jobs.get(name) ?? { checkpoints: new Map(), highestId: 0, finished: undefined, holder: undefined }
          if (job.holder !== undefined) return new JobAlreadyRunning({ job: name, holder: "another run in this process" })
          jobs.set(name, job)
          const holder = job.holder = {}
          return Effect.succeed({ job, holder })
        }),
        ({ job }) =>
          Effect.sync(() => {
            job.holder = undefined
          })
      ).pipe(Effect.map(({ job, holder }) => makeStore(name, job, holder)))
  }
})
