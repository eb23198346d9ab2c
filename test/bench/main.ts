/**
 * How fast Sluice is beside a loop written by hand, RxJS and Effect's Stream, all in this process.
 *
 *     npm run bench                    all workloads, as a table
 *     npm run bench -- --only keyed    workloads whose name contains that; may be given more than once
 *     npm run bench -- --quick         fewer and shorter rounds: for a look, not for a claim
 *     npm run bench -- --json FILE     the table as data
 *     npm run bench -- --check         ends with code 1 where a target is missed
 *     npm run bench -- --clean         without the other jobs before: what V8 makes of a process with one job; the targets are not for that
 *     npm run bench -- --profile       the functions in which Sluice spends its time, instead of the table
 *
 * Differences below 15 % mean nothing, nor does a ratio whose bracket is wide, or a run whose control is not close to
 * 1: run again on a quiet machine.
 *
 * @since 0.1.0
 */
import * as Fs from "node:fs"
import { parseArgs } from "node:util"
import { catalog } from "./catalog.js"
import type { Effort } from "./measure.js"
import { measure, SLUICE } from "./measure.js"
import { pollute } from "./pollution.js"
import { profile } from "./profile.js"
import type { Row } from "./report.js"
import { header, isMissed, jsonOf, rowsOf, table } from "./report.js"
const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    quick: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    clean: { type: "boolean", default: false },
    json: { type: "string" },
    profile: { type: "boolean", default: false }
  }
})

const effort: Effort = options.quick ? { rounds: 3, warmUp: 100, sample: 40 } : { rounds: 7, warmUp: 400, sample: 100 }

const wanted = catalog.filter(({ name }) => options.only?.some((part) => name.includes(part)) ?? true)
if (wanted.length === 0) throw new Error(`--only: no workload is called that; there are: ${catalog.map(({ name }) => name).join("; ")}`)

const rows: Array<Row> = []
console.log(`node ${process.version}, ${effort.rounds} rounds, ${options.clean ? "clean" : "after twelve other jobs in the same process"}`)
if (!options.clean) await pollute()
if (!options.profile) console.log(`\n${header}`)
for (const workload of wanted) {
  if (options.profile) {
    const run = await workload.variants.find(({ name }) => name === SLUICE)!.load()
    console.log(`\n${workload.name}\n${await profile(run, 20)}`)
    continue
  }
  const measured = rowsOf(workload, await measure(workload, effort))
  rows.push(...measured)
  console.log(table(measured))
}
if (options.json !== undefined) Fs.writeFileSync(options.json, `${JSON.stringify(rows.map(jsonOf), undefined, 2)}\n`)
if (options.check && rows.some(isMissed)) process.exitCode = 1
