/**
 * Which invariant is covered by which test, or why by none.
 *
 *     npm run invariants
 *
 * A test covers a row by citing its id in a title. Comments do not count.
 */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, sep } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import ts from "typescript"
import type { Row } from "./rows.js"
import { rows } from "./rows.js"

const here = dirname(fileURLToPath(import.meta.url))
const tests = dirname(here)

/** The area of a row. */
export const areaOf = (id: string): string => id.slice(0, id.indexOf("-"))

/** The areas whose rows all need a test or a reason: all there are. */
export const checkedAreas: ReadonlyArray<string> = Array.from(new Set(rows.map(({ id }) => areaOf(id))))

const ID = String.raw`\b([A-Z0-9]{2})-(\d+)\b`
const one = new RegExp(ID, "g")
const span = new RegExp(String.raw`${ID}(?: to |\.\.| ?– ?)(?:\1-)?(\d+)\b`, "g")

/** The ids that a text cites: one by one, or from one to another of the same area. */
export const idsIn = (text: string): ReadonlyArray<string> => {
  const ids = new Set(Array.from(text.matchAll(one), ([id]) => id))
  for (const [, area, first, last] of text.matchAll(span)) {
    for (let n = Number(first); n <= Number(last); n++) ids.add(`${area}-${String(n).padStart(first.length, "0")}`)
  }
  return Array.from(ids)
}

/** The ids cited in the strings of a source. */
export const citedIn = (source: string): ReadonlyArray<string> => {
  const ids = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      for (const id of idsIn(node.text)) ids.add(id)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile("test.ts", source, ts.ScriptTarget.Latest))
  return Array.from(ids)
}

/** A row, the test files that cite it and the reason why none has to. */
export interface Covered extends Row {
  readonly files: ReadonlyArray<string>
  readonly reason: string | undefined
}

/** The table, and what is wrong with it. */
export interface Table {
  readonly rows: ReadonlyArray<Covered>
  readonly problems: ReadonlyArray<string>
}

/** Joins rows, citations by file, and reasons. Rows of other areas than these may be open. */
export const tableOf = (
  all: ReadonlyArray<Row>,
  cited: ReadonlyMap<string, ReadonlyArray<string>>,
  reasons: Readonly<Record<string, string>>,
  areas: ReadonlyArray<string>
): Table => {
  const covered = all.map((row): Covered => ({
    ...row,
    files: Array.from(cited).filter(([, ids]) => ids.includes(row.id)).map(([file]) => file),
    reason: reasons[row.id]
  }))
  const ids = new Set(all.map(({ id }) => id))
  const problems: Array<string> = []
  for (const { files, id, reason } of covered) {
    if (!areas.includes(areaOf(id))) continue
    if (files.length === 0 && reason === undefined) problems.push(`${id} has neither a test nor a reason`)
    if (files.length > 0 && reason !== undefined) problems.push(`${id} has a reason though ${files.join(", ")} tests it`)
  }
  for (const id of Object.keys(reasons)) if (!ids.has(id)) problems.push(`there is no row ${id} to give a reason for`)
  return { rows: covered, problems }
}

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : []
  })

const citations = (): ReadonlyMap<string, ReadonlyArray<string>> =>
  new Map(
    filesBelow(tests).filter((path) => path.endsWith(".test.ts") && path !== join(here, "table.test.ts")).sort().map((path) => [
      relative(tests, path).split(sep).join("/"),
      citedIn(readFileSync(path, "utf8"))
    ])
  )

const allReasons = async (): Promise<Record<string, string>> => {
  const joined: Record<string, string> = {}
  for (const name of readdirSync(here).filter((name) => /^reasons.*\.ts$/.test(name)).sort()) {
    const module = await import(pathToFileURL(join(here, name)).href) as { readonly reasons: Readonly<Record<string, string>> }
    for (const [id, reason] of Object.entries(module.reasons)) {
      if (joined[id] !== undefined) throw new Error(`${name}: ${id} has a reason already`)
      joined[id] = reason
    }
  }
  return joined
}

/** The table of this project. */
export const table = async (): Promise<Table> => tableOf(rows, citations(), await allReasons(), checkedAreas)

const print = ({ problems, rows }: Table): void => {
  for (const { files, id, reason, statement, tier } of rows) {
    const coverage = files.length > 0 ? files.join(", ") : reason === undefined ? "OPEN" : `no test: ${reason}`
    console.log(`${id}  T${tier}  ${statement}\n            ${coverage}`)
  }
  console.log("\narea   rows  tested  reasoned  open")
  for (const area of checkedAreas) {
    const own = rows.filter(({ id }) => areaOf(id) === area)
    const tested = own.filter(({ files }) => files.length > 0).length
    const reasoned = own.filter(({ files, reason }) => files.length === 0 && reason !== undefined).length
    const counts = [String(own.length).padStart(7), String(tested).padStart(8), String(reasoned).padStart(10)].join("")
    console.log(`${area}  ${counts}${String(own.length - tested - reasoned).padStart(6)}`)
  }
  for (const problem of problems) console.error(problem)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const whole = await table()
  print(whole)
  process.exitCode = whole.problems.length === 0 ? 0 : 1
}
