import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Checkpoint } from "sluice"
import * as Pending from "../../src/checkpoint/Pending.js"

type State = Pending.State<string>
type Event = Pending.Event<string>

const T = (id: number, needed: ReadonlyArray<string>, kind: Checkpoint.CheckpointKind = Checkpoint.checkpoint): Event => ({
  _tag: "Triggered",
  checkpoint: { id, kind, timestamp: 1000 + id, needed: new Set(needed), reports: new Map() }
})
const ack = (id: number, task: string): Event => ({ _tag: "Acknowledged", id, task, report: `report of ${task} on ${id}` })
const give = (id: number, reason: Checkpoint.CheckpointFailureReason = "EXPIRED"): Event => ({ _tag: "GivenUp", id, reason })

const lineOf = (action: Pending.Action<string>): string =>
  action._tag === "Complete" ? `complete ${action.checkpoint.id}` : `abort ${action.checkpoint.id} ${action.reason}`

type Row = readonly [event: Event, pending: ReadonlyArray<number>, outcome?: ReadonlyArray<string>]

const follow = (rows: ReadonlyArray<Row>): State => {
  let state: State = Pending.empty
  rows.forEach(([event, pending, outcome = []], i) => {
    const [next, actions] = Pending.step(state, event)
    assert.deepStrictEqual(actions.map(lineOf), outcome, `row ${i}`)
    assert.deepStrictEqual(Array.from(next.keys()), pending, `row ${i}`)
    state = next
  })
  return state
}

const reports = (state: State, id: number): ReadonlyArray<string> => Array.from(state.get(id)!.reports.keys())

describe("Pending", () => {
  it("CC-01, P1: complete with the last acknowledgement, not before; the same one twice counts once; then the next", () => {
    const state = follow([[T(1, ["a", "b"]), [1]], [ack(1, "a"), [1]], [ack(1, "a"), [1]]])
    assert.deepStrictEqual(reports(state, 1), ["a"])
    follow([
      [T(1, ["a", "b"]), [1]],
      [ack(1, "a"), [1]],
      [ack(1, "a"), [1]],
      [ack(1, "b"), [], ["complete 1"]],
      [ack(1, "b"), []],
      [T(2, ["a", "b"]), [2]],
      [ack(2, "b"), [2]],
      [ack(2, "a"), [], ["complete 2"]]
    ])
  })

  it("P1: what is completed carries what every task reported", () => {
    const [state] = Pending.step(Pending.step(Pending.empty as State, T(4, ["a", "b"]))[0], ack(4, "b"))
    const [, [action]] = Pending.step(state, ack(4, "a"))
    assert.deepStrictEqual(action.checkpoint.reports, new Map([["a", "report of a on 4"], ["b", "report of b on 4"]]))
    assert.strictEqual(action.checkpoint.timestamp, 1004)
  })

  it("P3: of what one task reports twice the first stands", () => {
    const state = follow([[T(1, ["a", "b"]), [1]], [ack(1, "a"), [1]], [{ _tag: "Acknowledged", id: 1, task: "a", report: "another" }, [
      1
    ]]])
    assert.strictEqual(state.get(1)!.reports.get("a"), "report of a on 1")
  })

  it("CC-02, P3: after a decline what comes for that checkpoint is ignored, declines and acknowledgements alike", () =>
    void follow([
      [T(1, ["a", "b"]), [1]],
      [give(1, "ASYNC_EXCEPTION"), [], ["abort 1 ASYNC_EXCEPTION"]],
      [give(1, "ASYNC_EXCEPTION"), []],
      [ack(1, "a"), []],
      [ack(1, "b"), []]
    ]))

  it("CC-03: declining the first of two leaves the second as it is", () => {
    const state = follow([
      [T(1, ["a", "b"]), [1]],
      [T(2, ["a", "b"]), [1, 2]],
      [ack(2, "a"), [1, 2]],
      [give(1, "TASK_FAILURE"), [2], ["abort 1 TASK_FAILURE"]],
      [give(1, "TASK_FAILURE"), [2]]
    ])
    assert.deepStrictEqual(reports(state, 2), ["a"])
  })

  it("CC-04: two under way complete one after the other, each with its last acknowledgement", () =>
    void follow([
      [T(1, ["a", "b"]), [1]],
      [ack(1, "a"), [1]],
      [T(2, ["a", "b"]), [1, 2]],
      [ack(2, "a"), [1, 2]],
      [ack(1, "b"), [2], ["complete 1"]],
      [ack(2, "b"), [], ["complete 2"]]
    ]))

  it("CC-05, P2: completing a newer one gives the older ones up, with what they had; late acknowledgements change nothing", () => {
    const rows: ReadonlyArray<Row> = [
      [T(1, ["a", "b"]), [1]],
      [ack(1, "a"), [1]],
      [T(2, ["a", "b"]), [1, 2]],
      [ack(2, "b"), [1, 2]]
    ]
    const [, [completed, subsumed]] = Pending.step(follow(rows), ack(2, "a"))
    assert.deepStrictEqual([completed, subsumed].map(lineOf), ["complete 2", "abort 1 SUBSUMED"])
    assert.deepStrictEqual(Array.from(subsumed.checkpoint.reports.keys()), ["a"])
    follow([...rows, [ack(2, "a"), [], ["complete 2", "abort 1 SUBSUMED"]], [ack(1, "b"), []]])
  })

  it("CC-13: of two under way the second completes and subsumes the first; then there is room for the next two", () =>
    void follow([
      [T(1, ["a"]), [1]],
      [T(2, ["a"]), [1, 2]],
      [ack(2, "a"), [], ["complete 2", "abort 1 SUBSUMED"]],
      [T(3, ["a"]), [3]],
      [T(4, ["a"]), [3, 4]]
    ]))

  it("P2: completing an older one leaves the newer ones alone", () =>
    void follow([
      [T(1, ["a"]), [1]],
      [T(2, ["a"]), [1, 2]],
      [T(3, ["a"]), [1, 2, 3]],
      [ack(2, "a"), [3], ["complete 2", "abort 1 SUBSUMED"]]
    ]))

  it.each(["no", "suspend", "drain"] as const)(
    "CC-23: a savepoint (stop: %s) subsumes nothing and is subsumed by nothing",
    (stop) =>
      void follow([
        [T(1, ["a"]), [1]],
        [T(2, ["a"], Checkpoint.savepoint(stop)), [1, 2]],
        [T(3, ["a"], Checkpoint.savepoint(stop)), [1, 2, 3]],
        [ack(3, "a"), [1, 2], ["complete 3"]],
        [T(4, ["a"]), [1, 2, 4]],
        [ack(4, "a"), [2], ["complete 4", "abort 1 SUBSUMED"]],
        [ack(2, "a"), [], ["complete 2"]]
      ])
  )

  it("CC-07, P3: acknowledgements of an unknown checkpoint or of a task that is not needed change nothing", () => {
    const state = follow([[T(1, ["a"]), [1]], [ack(7, "a"), [1]], [ack(1, "stranger"), [1]], [give(7), [1]]])
    assert.deepStrictEqual(reports(state, 1), [])
  })

  it("P1: one that needs nobody is complete at once", () => void follow([[T(1, []), [], ["complete 1"]]]))

  // ------------------------------------------------------------------------------------------------------------------------------------------

  const tasks = ["a", "b", "c"]

  /** ids grow, as the coordinator's do; what is heard of them comes in any order, also of ids that were never triggered */
  const run = fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.tuple(
          fc.subarray(tasks),
          fc.constantFrom(
            Checkpoint.checkpoint,
            Checkpoint.checkpoint,
            Checkpoint.checkpoint,
            Checkpoint.savepoint(),
            Checkpoint.savepoint("drain")
          )
        ).map(([needed, kind]) => (id: number) => T(id, needed, kind))
      },
      {
        weight: 12,
        arbitrary: fc.tuple(fc.nat({ max: 4 }), fc.constantFrom(...tasks)).map(([back, task]) => (id: number) => ack(id - back, task))
      },
      {
        weight: 1,
        arbitrary: fc.tuple(fc.nat({ max: 4 }), fc.constantFrom("EXPIRED" as const, "ASYNC_EXCEPTION" as const)).map(
          ([back, reason]) => (id: number) => give(id - back, reason)
        )
      }
    ),
    { maxLength: 40, size: "max" }
  ).map((makers) => {
    let last = 0
    return makers.map((make): Event => {
      const event = make(last + 1)
      if (event._tag === "Triggered") last++
      return event
    })
  })

  /** from the whole history, anew at each step: who has acknowledged, and how each checkpoint ended */
  const expected = (
    history: ReadonlyArray<Event>
  ): { readonly outcome: ReadonlyArray<string>; readonly pending: ReadonlyArray<number> } => {
    const ended = new Set<number>()
    const triggered: Array<Pending.PendingCheckpoint<string>> = []
    const acknowledged = new Set<string>()
    let outcome: Array<string> = []
    for (const event of history) {
      outcome = []
      if (event._tag === "Triggered") triggered.push(event.checkpoint)
      const isPending = (id: number) => triggered.some((each) => each.id === id) && !ended.has(id)
      if (event._tag === "Acknowledged" && isPending(event.id)) acknowledged.add(`${event.id} ${event.task}`)
      if (event._tag === "GivenUp" && isPending(event.id)) {
        ended.add(event.id)
        outcome.push(`abort ${event.id} ${event.reason}`)
      }
      for (const { id, kind, needed } of triggered) {
        if (ended.has(id) || !Array.from(needed).every((task) => acknowledged.has(`${id} ${task}`))) continue
        ended.add(id)
        outcome.push(`complete ${id}`)
        if (kind._tag === "Savepoint") continue
        for (const older of triggered) {
          if (older.id >= id || ended.has(older.id) || older.kind._tag === "Savepoint") continue
          ended.add(older.id)
          outcome.push(`abort ${older.id} SUBSUMED`)
        }
      }
    }
    return { outcome, pending: triggered.flatMap(({ id }) => ended.has(id) ? [] : [id]) }
  }

  it("P1 to P3: any history gives what its whole says, step by step, and no step changes what was before it", () =>
    fc.assert(
      fc.property(run, (events) => {
        let state: State = Pending.empty
        const ends = new Map<number, string>()
        events.forEach((event, i) => {
          const before = JSON.stringify(Array.from(state, ([id, { reports }]) => [id, Array.from(reports)]))
          const [next, actions] = Pending.step(state, event)
          assert.strictEqual(JSON.stringify(Array.from(state, ([id, { reports }]) => [id, Array.from(reports)])), before)
          const { outcome, pending } = expected(events.slice(0, i + 1))
          assert.strictEqual(actions.map(lineOf).join(), outcome.join())
          assert.strictEqual(Array.from(next.keys()).join(), pending.join())
          for (const action of actions) {
            // P1, P3: each ends once
            if (ends.has(action.checkpoint.id)) assert.fail(`checkpoint ${action.checkpoint.id} ended twice`)
            ends.set(action.checkpoint.id, action._tag)
            if (action._tag === "Complete") {
              assert.strictEqual(
                Array.from(action.checkpoint.reports.keys()).sort().join(),
                Array.from(action.checkpoint.needed).sort().join()
              )
            }
          }
          state = next
        })
      }),
      { numRuns: 1_500 }
    ))
})
