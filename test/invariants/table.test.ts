/** Every row of the checked areas has a test or a reason; and the collector that says so. */
import { describe, expect, it } from "vitest"
import type { Row } from "./rows.js"
import { rows } from "./rows.js"
import { areaOf, checkedAreas, citedIn, idsIn, table, tableOf } from "./table.js"

describe("the invariants", () => {
  it("each row of a checked area has a test or a reason, and no reason is stale", async () => {
    expect((await table()).problems).toEqual([])
  })

  it("ids are unique, and every checked area has rows", () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
    for (const area of checkedAreas) expect(rows.some(({ id }) => areaOf(id) === area)).toBe(true)
  })
})

describe("the collector", () => {
  it("finds ids one by one, in lists, beside laws and in spans", () => {
    expect(idsIn("ZZ-01: a")).toEqual(["ZZ-01"])
    expect(idsIn("L1, ZZ-01, 2Z-12: b")).toEqual(["ZZ-01", "2Z-12"])
    expect(idsIn("B1/ZZ-03 and Z-1, ZZZ-04")).toEqual(["ZZ-03"])
    expect(idsIn("ZZ-03 to ZZ-05")).toEqual(["ZZ-03", "ZZ-05", "ZZ-04"])
    expect(idsIn("ZZ-09..11")).toEqual(["ZZ-09", "ZZ-10", "ZZ-11"])
  })

  it("reads strings and templates, not comments", () => {
    const source = "// ZZ-01\nit(\"ZZ-02: a\", () => {}) /* ZZ-03 */\nit.each([1])(`ZZ-04 ${1} ZZ-05`, () => {})\nit('ZZ-06')"
    expect(citedIn(source)).toEqual(["ZZ-02", "ZZ-04", "ZZ-05", "ZZ-06"])
  })

  it("says what is open, what is both, and what is no row", () => {
    const row = (id: string): Row => ({ id, tier: 1, statement: "" })
    const all = ["ZZ-01", "ZZ-02", "ZZ-03", "YY-01"].map(row)
    const cited = new Map([["a.test.ts", ["ZZ-01", "ZZ-03"]], ["b.test.ts", ["ZZ-01"]]])
    const { problems, rows } = tableOf(all, cited, { "ZZ-03": "because", "ZZ-04": "because" }, ["ZZ"])
    expect(problems).toEqual([
      "ZZ-02 has neither a test nor a reason",
      "ZZ-03 has a reason though a.test.ts tests it",
      "there is no row ZZ-04 to give a reason for"
    ])
    expect(rows.map(({ files }) => files)).toEqual([["a.test.ts", "b.test.ts"], [], ["a.test.ts"], []])
  })
})
