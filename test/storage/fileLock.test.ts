import * as NodeContext from "@effect/platform-node/NodeContext"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FC from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { ChildProcessWithoutNullStreams } from "node:child_process"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as FileLock from "../../src/storage/fileLock.js"
import * as file from "../../src/storage/fileStorage.js"
import type { Host } from "../../src/storage/host.js"
import { thisProcess } from "../../src/storage/host.js"
import type { JobAlreadyRunning } from "../../src/StreamError.js"
import { failure, put } from "./conformance.js"
import { intercept } from "./interceptedFileSystem.js"

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "sluice-lock-" })).pipe(Effect.orDie)

const host = (pid: number, more?: Partial<Host>): Host => ({ name: "here", pid, born: pid, isAlive: () => true, ...more })

const acquireWith = (fs: FileSystem.FileSystem, host: Host, lock: string) =>
  Effect.flatMap(Path.Path, (path) => FileLock.acquire(fs, path, host, "flights", lock))

const acquire = (host: Host, lock: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => acquireWith(fs, host, lock))

/** a lock whose holder went without releasing it, last touched `age` ms ago by the file system's clock */
const leave = Effect.fnUntraced(
  function*(lock: string, holder: { readonly pid: number; readonly host?: string; readonly born?: number } | "unreadable", age: number) {
    const fs = yield* FileSystem.FileSystem
    const text = holder === "unreadable"
      ? "{\"tok"
      : JSON.stringify({ token: `old-${holder.pid}`, host: "here", born: holder.pid, startedAt: "2024-01-01T00:00:00.000Z", ...holder })
    yield* fs.writeFileString(lock, text)
    const now = Option.getOrThrow((yield* fs.stat(lock)).mtime).getTime()
    yield* fs.utimes(lock, new Date(now - age), new Date(now - age))
  }
)

describe("fileLock: who may take over", () => {
  const cases: ReadonlyArray<readonly [string, Parameters<typeof leave>[1], number, Partial<Host>, "held" | "free"]> = [
    ["a dead process of this machine, at once", { pid: 7 }, 0, { isAlive: (pid) => pid !== 7 }, "free"],
    ["a living process of this machine that is not silent", { pid: 7 }, 14_000, {}, "held"],
    ["a living process of this machine that is silent (its pid is another's by now)", { pid: 7 }, 16_000, {}, "free"],
    ["another machine's run that is not silent, whatever runs here under its pid", { pid: 7, host: "there" }, 14_000, {
      isAlive: () => false
    }, "held"],
    ["another machine's run that is silent", { pid: 7, host: "there" }, 16_000, {}, "free"],
    ["our own process, however silent", { pid: 1 }, 1_000_000, {}, "held"],
    ["an earlier process with our pid, as in a container that was restarted", { pid: 1, born: 500 }, 0, {}, "free"],
    ["a lock that is just being written", "unreadable", 0, {}, "held"],
    ["a lock whose writer died over it", "unreadable", 16_000, {}, "free"],
    ["a lock from the future, by a clock that runs ahead", { pid: 7, host: "there" }, -60_000, {}, "held"]
  ]
  for (const [title, holder, age, more, expected] of cases) {
    it.scoped(`K2, K3: ${title}: ${expected}`, () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporary
        const lock = `${directory}/_lock`
        yield* leave(lock, holder, age)
        const before = yield* fs.readFileString(lock)
        const result = yield* Effect.either(acquire(host(1, more), lock))
        expect(Either.isRight(result) ? "free" : "held").toBe(expected)
        expect(yield* fs.readDirectory(directory)).toEqual(["_lock"])
        if (Either.isRight(result)) {
          yield* result.right.check("test", lock)
          expect(JSON.parse(yield* fs.readFileString(lock))).toMatchObject({
            pid: 1,
            host: "here",
            born: 1,
            startedAt: "1970-01-01T00:00:00.000Z"
          })
        } else {
          expect(result.left).toMatchObject({
            _tag: "JobAlreadyRunning",
            job: "flights",
            holder: holder === "unreadable"
              ? "a run that is just starting"
              : `pid ${holder.pid} on ${holder.host ?? "here"}, since 2024-01-01T00:00:00.000Z`
          })
          expect(yield* fs.readFileString(lock)).toBe(before)
        }
      }).pipe(Effect.provide(NodeContext.layer)))
  }

  it.scoped("K2: a successor that died before it came to hold the lock is succeeded in its turn; what it left goes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const lock = `${directory}/_lock`
      const dead = (token: string, pid: number) => JSON.stringify({ token, pid, host: "here", born: pid, startedAt: "2024" })
      yield* fs.writeFileString(lock, dead("a", 7))
      yield* fs.writeFileString(`${lock}.a`, dead("b", 8))
      yield* fs.writeFileString(`${lock}.b`, dead("c", 9))
      yield* fs.writeFileString(`${lock}.z`, dead("y", 9))
      const ours = yield* acquire(host(1, { isAlive: (pid) => pid < 7 }), lock)
      yield* ours.check("test", lock)
      expect(yield* fs.readDirectory(directory)).toEqual(["_lock"])
      expect(yield* fs.readFileString(lock)).toContain("\"pid\":1,")
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("K2: a dead holder is not succeeded past a living successor", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const lock = `${yield* temporary}/_lock`
      yield* leave(lock, { pid: 7 }, 0)
      yield* leave(`${lock}.old-7`, { pid: 2 }, 0)
      expect(yield* failure(acquire(host(1, { isAlive: (pid) => pid < 7 }), lock))).toMatchObject({
        holder: expect.stringContaining("pid 2")
      })
      expect((yield* fs.readDirectory(lock.slice(0, -6))).sort()).toEqual(["_lock", "_lock.old-7"])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("K2: a holder that is heard again is not succeeded by way of one that died when it wanted to succeed it", () =>
    Effect.gen(function*() {
      const lock = `${yield* temporary}/_lock`
      yield* leave(lock, { pid: 2 }, 0)
      yield* leave(`${lock}.old-2`, { pid: 7 }, 0)
      expect(yield* failure(acquire(host(1, { isAlive: (pid) => pid < 7 }), lock))).toMatchObject({
        holder: expect.stringContaining("pid 2")
      })
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("K1: one that takes over removes what others left, but no claim to succeed itself", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const lock = `${directory}/_lock`
      yield* leave(`${lock}.left`, { pid: 7 }, 0)
      let claim = ""
      const watched = intercept(fs, (call, effect) =>
        call.op !== "readDirectory" ? effect : Effect.zipRight(
          Effect.flatMap(fs.readFileString(lock), (text) => fs.writeFileString(claim = `${lock}.${JSON.parse(text).token}`, "")),
          effect
        ))
      yield* acquireWith(watched, host(1), lock)
      expect((yield* fs.readDirectory(directory)).sort().map((name) => `${directory}/${name}`)).toEqual([lock, claim])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("a lock whose successor is itself does not make it search for ever", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const lock = `${yield* temporary}/_lock`
      yield* fs.writeFileString(lock, JSON.stringify({ token: "a", pid: 7, host: "here", born: 7, startedAt: "2024" }))
      yield* fs.writeFileString(`${lock}.a`, JSON.stringify({ token: "a", pid: 7, host: "here", born: 7, startedAt: "2024" }))
      expect(yield* failure(acquire(host(1, { isAlive: () => false }), lock))).toMatchObject({ _tag: "JobAlreadyRunning" })
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("fileLock: holding", () => {
  it.scoped("touches the lock every 2 s, until its Scope closes, and removes it then", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const lock = `${yield* temporary}/_lock`
      const touches = yield* Queue.unbounded<string>()
      const watched = intercept(fs, (call, effect) => call.path === lock ? Effect.tap(effect, () => Queue.offer(touches, call.op)) : effect)
      const scope = yield* Scope.make()
      const ours = yield* Scope.extend(acquireWith(watched, host(1), lock), scope)
      for (let i = 0; i < 3; i++) {
        yield* fs.utimes(lock, 1_000, 1_000)
        yield* Queue.takeAll(touches)
        yield* TestClock.adjust("1999 millis")
        expect(yield* Queue.size(touches)).toBe(0)
        yield* TestClock.adjust("1 millis")
        expect([yield* Queue.take(touches), yield* Queue.take(touches)]).toEqual(["write", "sync"])
        expect(Option.getOrThrow((yield* fs.stat(lock)).mtime).getTime()).toBeGreaterThan(1_000_000)
        yield* ours.check("test", lock)
      }
      yield* Scope.close(scope, Exit.void)
      expect(yield* fs.exists(lock)).toBe(false)
      yield* Queue.takeAll(touches)
      yield* TestClock.adjust("1 minute")
      expect(yield* Queue.size(touches)).toBe(0)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("K4: one that was taken over neither touches nor removes its successor's lock", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const lock = `${yield* temporary}/_lock`
      const touches = yield* Queue.unbounded<string>()
      const watched = intercept(fs, (call, effect) => call.op === "sync" ? Effect.tap(effect, () => Queue.offer(touches, call.op)) : effect)
      const scope = yield* Scope.make()
      const first = yield* Scope.extend(acquireWith(watched, host(1), lock), scope)
      const second = yield* acquire(host(2, { isAlive: (pid) => pid !== 1 }), lock)
      yield* fs.utimes(lock, 1_000, 1_000)
      yield* Queue.takeAll(touches)
      yield* TestClock.adjust("2 seconds")
      yield* Queue.take(touches)
      // the second one is due as well, and may have touched its own
      expect(yield* failure(first.check("complete", "x"))).toMatchObject({
        operation: "complete",
        path: "x",
        reason: /another run took over the job \(pid 2 on here/
      })
      yield* Scope.close(scope, Exit.void)
      yield* second.check("test", lock)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("K4: one whose lock was removed is told so", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const lock = `${yield* temporary}/_lock`
      const ours = yield* acquire(host(1), lock)
      yield* fs.remove(lock)
      expect(yield* failure(ours.check("begin", "x"))).toMatchObject({ reason: "this run no longer holds the job: its lock is gone" })
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("K1: two runs under one seed are told apart", () =>
    Effect.gen(function*() {
      const lock = `${yield* temporary}/_lock`
      const seeded = (host: Host) => Effect.withRandom(acquire(host, lock), Random.make("seed"))
      const first = yield* seeded(host(1))
      const second = yield* seeded(host(2, { isAlive: () => false }))
      yield* second.check("test", lock)
      expect(yield* failure(first.check("test", lock))).toMatchObject({ reason: /took over/ })
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("fileLock: races", () => {
  const starters = FC.array(FC.option(FC.integer({ min: 1, max: 40 }), { nil: undefined }), { minLength: 2, maxLength: 4 })

  it.scoped.prop(
    "K1: however the steps of several starters interleave, and wherever some of them are killed, at most one living one gets the lock, and it keeps it",
    [starters, FC.constantFrom("free", "stale", "unreadable"), FC.array(FC.nat(11), { minLength: 120, maxLength: 120 })],
    ([starters, state, choices]) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporary
        const lock = `${directory}/_lock`
        if (state !== "free") yield* leave(lock, state === "stale" ? { pid: 99 } : "unreadable", 20_000)
        const dead = new Set([99])
        const isAlive = (pid: number) => !dead.has(pid)
        type Event = { readonly at: number; readonly resume: Deferred.Deferred<void> | undefined }
        const events = yield* Queue.unbounded<Event>()
        let free = false
        const ends = yield* Effect.forEach(starters, (killedAt, i) =>
          Effect.gen(function*() {
            let steps = 0
            const gate = <A, R>(effect: Effect.Effect<A, PlatformError, R>) =>
              Effect.suspend(() => {
                if (dead.has(i)) return Effect.die("killed")
                if (free) return effect
                return Effect.gen(function*() {
                  const resume = yield* Deferred.make<void>()
                  yield* Queue.offer(events, { at: i, resume })
                  yield* Deferred.await(resume)
                  if (++steps === killedAt) dead.add(i)
                  return yield* dead.has(i) ? Effect.die("killed") : effect
                })
              })
            const scope = yield* Scope.make()
            const end = yield* Deferred.make<Exit.Exit<"kept", unknown>>()
            yield* acquireWith(intercept(fs, (_, effect) => gate(effect)), host(i, { isAlive }), lock).pipe(
              Effect.flatMap(({ check }) => Effect.zipRight(check("test", lock), check("test", lock))),
              Effect.as("kept" as const),
              Scope.extend(scope),
              Effect.exit,
              Effect.tap((exit) => Deferred.succeed(end, exit)),
              Effect.zipRight(Queue.offer(events, { at: i, resume: undefined })),
              Effect.forkDaemon
            )
            return { scope, end: Deferred.await(end) }
          }))
        // one starter runs at a time, to its next step or its end
        const waiting = new Map<number, Deferred.Deferred<void>>()
        const settle = Effect.map(Queue.take(events), ({ at, resume }) => {
          if (resume === undefined) waiting.delete(at)
          else waiting.set(at, resume)
        })
        for (const _ of starters) yield* settle
        for (let n = 0; waiting.size > 0; n++) {
          const next = Array.from(waiting.keys())[choices[n % choices.length] % waiting.size]
          const resume = waiting.get(next)!
          waiting.delete(next)
          yield* Deferred.succeed(resume, undefined)
          yield* settle
        }
        const exits = yield* Effect.forEach(ends, ({ end }) => end)
        const living = exits.filter((_, i) => !dead.has(i))
        const kept = living.filter(Exit.isSuccess)
        expect(kept.length).toBeLessThanOrEqual(1)
        if (dead.size === 1) expect(kept.length).toBe(1)
        for (const exit of living) {
          if (Exit.isFailure(exit)) expect(exit).toMatchObject({ cause: { _tag: "Fail", error: { _tag: "JobAlreadyRunning" } } })
        }
        // and whoever comes later is refused by the one, or gets the lock where there is none
        free = true
        for (const name of yield* fs.readDirectory(directory)) {
          // one killed between creating a file and its first write is thought to be starting for 15 s
          if ((yield* fs.readFileString(`${directory}/${name}`)).length < 50) yield* leave(`${directory}/${name}`, "unreadable", 20_000)
        }
        const later = yield* Effect.either(acquire(host(50, { isAlive }), lock))
        expect(Either.isRight(later)).toBe(kept.length === 0)
        for (const { scope } of ends) yield* Effect.exit(Scope.close(scope, Exit.void))
      }).pipe(Effect.provide(NodeContext.layer)),
    { fastCheck: { numRuns: 120 } }
  )
})

describe("fileLock: processes", () => {
  const script = fileURLToPath(new URL("./holder.ts", import.meta.url))

  interface Process {
    readonly child: ChildProcessWithoutNullStreams
    readonly line: Effect.Effect<string>
    readonly say: Effect.Effect<void>
    readonly kill: Effect.Effect<void>
  }

  const start = (directory: string): Effect.Effect<Process, never, Scope.Scope> =>
    Effect.gen(function*() {
      const lines = yield* Queue.unbounded<string>()
      const exited = yield* Deferred.make<void>()
      const child = yield* Effect.sync(() => spawn(process.execPath, ["--import", "tsx", script, directory, "flights"]))
      const kill = Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(exited))
      yield* Effect.addFinalizer(() => kill)
      let rest = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        const parts = (rest + text).split("\n")
        rest = parts.pop()!
        lines.unsafeOffer(parts[0])
        for (const part of parts.slice(1)) lines.unsafeOffer(part)
      })
      child.stderr.setEncoding("utf8").on("data", (text: string) => lines.unsafeOffer(`stderr: ${text}`))
      child.on("exit", () => Deferred.unsafeDone(exited, Effect.void))
      return { child, line: Queue.take(lines), say: Effect.sync(() => child.stdin.write("\n")), kill }
    })

  it.scoped("K1, K2: a job that another process runs is refused while that lives, and taken over at once when it was killed", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const storage = yield* file.make(directory)
      yield* Effect.scoped(Effect.flatMap(storage.open("flights"), (store) => put(store, 1)))
      const other = yield* start(directory)
      expect(yield* other.line).toBe("ready")
      yield* other.say
      expect(yield* other.line).toBe("held")
      const refused = yield* failure(storage.open("flights"))
      expect((refused as JobAlreadyRunning).holder).toMatch(new RegExp(`^pid ${other.child.pid} on ${thisProcess.name}, since \\d{4}-`))
      yield* other.kill
      const store = yield* storage.open("flights")
      expect([yield* store.list, yield* store.highestId]).toEqual([[1], 2])
      yield* put(store, 3)
      expect(yield* store.list).toEqual([3, 1])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scoped("K1: of several processes that find a killed one's lock at once, one gets it", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const first = yield* start(directory)
      yield* first.line
      yield* first.say
      expect(yield* first.line).toBe("held")
      const others = yield* Effect.forEach(Array.from({ length: 4 }), () => start(directory))
      for (const { line } of others) expect(yield* line).toBe("ready")
      yield* first.kill
      for (const { say } of others) yield* say
      const said = yield* Effect.forEach(others, ({ line }) => line)
      expect(said.filter((line) => line === "held").length).toBe(1)
      expect(said.filter((line) => line.startsWith("JobAlreadyRunning: ")).length).toBe(3)
    }).pipe(Effect.provide(NodeContext.layer)))
})
