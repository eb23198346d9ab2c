/**
 * One holder for a name among all processes that see a directory.
 *
 * The lock is a file that its holder created exclusively and keeps touching. A lock whose holder is dead is taken over by creating,
 * exclusively again, its one successor `<lock>.<token of the dead>`, which is then renamed over it: a compare-and-swap. Successors that died on
 * the way have successors of their own.
 *
 * K1. Of several that start at once, on a free or on a stale lock, at most one gets it, and it keeps it.
 * K2. A holder that was killed is succeeded at once on its own machine; one that is silent, from elsewhere, after 15 s.
 * K3. In the holder's own process the lock is held until its Scope closes.
 * K4. After `check` failed the lock is never ours again.
 *
 * NOT guaranteed: a holder that stood still for 15 s (a suspended machine) may run on beside its successor until its next `check`.
 *
 * @since 0.1.0
 */
import type { File, FileSystem } from "@effect/platform/FileSystem"
import type { Path } from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { JobAlreadyRunning, StorageFailed } from "../StreamError.js"
import { failedBy, remove, step, toStorageFailed } from "./durable.js"
import type { Host } from "./host.js"

/** How often a holder touches its lock. */
const BEAT = "2 seconds"
/** How long a lock may be silent, ms. */
const SILENCE = 15_000
/** Births of one process, measured twice, differ by less, seconds. */
const SAME_BIRTH = 2
/** How often others may come first before we give up. */
const ATTEMPTS = 50

/**
 * A lock that was got.
 */
export interface Lock {
  /** fails unless the lock is still ours; `operation` and `path` say what for */
  readonly check: (operation: string, path: string) => Effect.Effect<void, StorageFailed>
}

const Holder = Schema.parseJson(Schema.Struct({
  token: Schema.String.pipe(Schema.pattern(/^[\w.-]+$/)),
  pid: Schema.Int,
  host: Schema.String,
  born: Schema.Number,
  startedAt: Schema.String
}))

/** A lock file as it was found; `holder` is undefined when it cannot be read, as between its creation and its first write. */
interface Found {
  readonly token: string
  readonly holder: typeof Holder.Type | undefined
  /** when it was last touched, by the file system's clock, ms */
  readonly touched: number
}

interface Claim {
  readonly touch: Effect.Effect<void, StorageFailed>
  readonly close: Effect.Effect<void>
}

const describe = ({ holder }: Found): string =>
  holder === undefined ? "a run that is just starting" : `pid ${holder.pid} on ${holder.host}, since ${holder.startedAt}`

const uuid = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 256), 16),
  (bytes) =>
    bytes.map((byte, i) => (i === 6 ? byte & 0x0f | 0x40 : i === 8 ? byte & 0x3f | 0x80 : byte).toString(16).padStart(2, "0")).join("")
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
)

/**
 * Gets the lock `file` for a run of `job` in the process `host`, and holds it until the Scope closes.
 */
export const acquire = Effect.fnUntraced(function*(fs: FileSystem, path: Path, host: Host, job: string, file: string) {
  const startedAt = DateTime.formatIso(DateTime.unsafeMake(yield* Clock.currentTimeMillis))
  // two runs under one seed draw the same uuid
  const token = `${yield* uuid}.${host.pid}.${Math.round(host.born * 100)}`
  const content = new TextEncoder().encode(JSON.stringify({ token, pid: host.pid, host: host.name, born: host.born, startedAt }))

  const find = (at: string): Effect.Effect<Found | undefined, StorageFailed> =>
    Effect.zipWith(fs.readFileString(at), fs.stat(at), (text, info): Found => {
      const touched = Option.match(info.mtime, { onNone: () => Infinity, onSome: (time) => time.getTime() })
      const holder = Option.getOrUndefined(Schema.decodeOption(Holder)(text))
      return { token: holder?.token ?? `unreadable-${touched}`, holder, touched }
    }).pipe(
      Effect.catchAll((error) => failedBy(error, "NotFound") ? Effect.succeed(undefined) : Effect.fail(error)),
      (effect) => step("lock", at, effect)
    )

  /** the lock, the successor of its holder, the successor's successor, and so on */
  const chain = Effect.fnUntraced(function*() {
    const all: Array<Found> = []
    for (let found = yield* find(file); found !== undefined; found = yield* find(`${file}.${found.token}`)) {
      if (all.some(({ token }) => token === found?.token)) break
      all.push(found)
    }
    return all
  })

  const touched = (handle: File) => handle.seek(0, "start").pipe(Effect.zipRight(handle.writeAll(content)), Effect.zipRight(handle.sync))

  /** now, by the clock that also times the touches of others */
  const now = Effect.suspend(() => {
    const probe = `${file}.now-${token}`
    return step(
      "lock",
      probe,
      Effect.scoped(Effect.flatMap(fs.open(probe, { flag: "w" }), (handle) => Effect.zipRight(touched(handle), handle.stat)))
    ).pipe(
      Effect.map((info) => Option.match(info.mtime, { onNone: () => -Infinity, onSome: (time) => time.getTime() })),
      Effect.ensuring(Effect.ignore(remove(fs, probe)))
    )
  })

  const isStale = ({ holder, touched }: Found): Effect.Effect<boolean, StorageFailed> => {
    if (holder?.host === host.name) {
      if (holder.pid === host.pid) return Effect.succeed(Math.abs(holder.born - host.born) > SAME_BIRTH)
      if (!host.isAlive(holder.pid)) return Effect.succeed(true)
    }
    return Effect.map(now, (now) => now - touched > SILENCE)
  }

  /** creates a file that was not there; undefined when it was */
  const claim = Effect.fnUntraced(function*(at: string) {
    const scope = yield* Scope.make()
    const close = Scope.close(scope, Exit.void)
    const opened = yield* fs.open(at, { flag: "wx" }).pipe(
      Scope.extend(scope),
      Effect.catchAll((error) =>
        failedBy(error, "AlreadyExists") ? Effect.succeed(undefined) : Effect.fail(toStorageFailed("lock", at)(error))
      )
    )
    if (opened === undefined) return undefined
    const touch = step("lock", at, touched(opened))
    yield* Effect.onError(touch, () => Effect.zipRight(close, Effect.ignore(remove(fs, at))))
    return { touch, close } satisfies Claim
  })

  const take = (attempts: number): Effect.Effect<Claim, StorageFailed | JobAlreadyRunning> =>
    Effect.gen(function*() {
      const fresh = yield* claim(file)
      if (fresh !== undefined) return fresh
      const before = yield* chain()
      for (const found of before) {
        if (!(yield* isStale(found))) return yield* new JobAlreadyRunning({ job, holder: describe(found) })
      }
      if (attempts === 0) return yield* new JobAlreadyRunning({ job, holder: "several runs that start at once" })
      if (before.length === 0) return yield* take(attempts - 1)
      const successor = `${file}.${before[before.length - 1].token}`
      const claimed = yield* claim(successor)
      if (claimed === undefined) return yield* take(attempts - 1)
      // whom we succeed may have been succeeded already, between our look and our claim
      const ours = yield* chain().pipe(
        Effect.flatMap((after) =>
          after.at(-1)?.token === token
            ? step("lock", file, Effect.as(fs.rename(successor, file), true))
            : Effect.as(remove(fs, successor), false)
        ),
        Effect.onError(() => Effect.zipRight(claimed.close, Effect.ignore(remove(fs, successor))))
      )
      if (ours) return claimed
      yield* claimed.close
      return yield* take(attempts - 1)
    })

  /** what starters that died on the way left; a claim to succeed us is not ours to remove */
  const sweep = Effect.gen(function*() {
    const directory = path.dirname(file)
    const left = `${path.basename(file)}.`
    for (const name of yield* step("list", directory, fs.readDirectory(directory))) {
      if (name.startsWith(left) && name !== `${left}${token}`) yield* remove(fs, path.join(directory, name))
    }
  })

  const held = find(file).pipe(Effect.map((found) => found?.token === token))

  const { touch } = yield* Effect.acquireRelease(
    take(ATTEMPTS),
    ({ close }) =>
      Effect.zipRight(close, Effect.whenEffect(remove(fs, file), held)).pipe(
        Effect.catchAll((error) => Effect.logWarning(`job ${job}: its lock was left behind: ${error.message}`))
      )
  )
  yield* Effect.ignore(sweep)
  // touching the handle, not the name, never freshens the lock of a successor
  yield* Effect.sleep(BEAT).pipe(
    Effect.zipRight(Effect.catchAll(touch, (error) => Effect.logWarning(`job ${job}: its lock could not be touched: ${error.message}`))),
    Effect.forever,
    Effect.forkScoped
  )
  const check = (operation: string, path: string): Effect.Effect<void, StorageFailed> =>
    Effect.flatMap(find(file), (found) =>
      found?.token === token ? Effect.void : new StorageFailed({
        operation,
        path,
        reason: found === undefined
          ? "this run no longer holds the job: its lock is gone"
          : `another run took over the job (${describe(found)})`
      }))
  return { check } satisfies Lock
})
