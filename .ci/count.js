/**
 * Counts the tests of vitest's json report: `node .ci/count.js <report> <exit code of vitest>` prints `<passed> <failed>`.
 *
 * A file that could not be loaded counts as one failure, and so does a run that failed without a failed test (an unhandled error) or that
 * left no report.
 */
import * as Fs from "node:fs"

const [, , report, code] = process.argv

const testFiles = () => {
  try {
    return JSON.parse(Fs.readFileSync(report, "utf8")).testResults
  } catch (error) {
    console.error(`no report of the tests: ${error.message}`)
    return []
  }
}

let passed = 0
let failed = 0
for (const file of testFiles()) {
  const having = (status) => file.assertionResults.filter((test) => test.status === status).length
  passed += having("passed")
  failed += file.status === "failed" && having("failed") === 0 ? 1 : having("failed")
}
if (failed === 0 && (passed === 0 || code !== "0")) failed = 1
console.log(`${passed} ${failed}`)
