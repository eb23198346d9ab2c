/**
 * Imports the published package in plain node: each entry point exports something, and everything else is closed.
 */
import * as Fs from "node:fs"

for (const entry of ["sluice", "sluice/testing", "sluice/task", "sluice/connectors/JsonLines", "sluice/package.json"]) {
  const module = await import(entry, entry.endsWith(".json") ? { with: { type: "json" } } : {})
  if (Object.keys(module).length === 0) throw new Error(`${entry} exports nothing`)
}

const files = Fs.readdirSync(new URL("node_modules/sluice/dist/", import.meta.url), { recursive: true, encoding: "utf8" })
const modules = files.filter((file) => file.endsWith(".js")).map((file) => file.replaceAll("\\", "/"))
if (modules.length === 0) throw new Error("the package has no modules")

const opened = []
const closed = (specifier) =>
  import(specifier).then(
    () => opened.push(specifier),
    (error) => {
      if (error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error
    }
  )
for (const file of modules) {
  await closed(`sluice/dist/${file}`)
  const isEntry = file === "testing/index.js" || file === "task/index.js" || /^connectors\/[^/]+\.js$/.test(file)
  if (!isEntry) await closed(`sluice/${file.replace(/\.js$/, "")}`)
}
if (opened.length > 0) throw new Error(`these internals can be imported: ${opened.join(", ")}`)
console.log(`${modules.length} modules, closed but for the entry points`)
