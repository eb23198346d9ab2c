/**
 * Compiles and runs every example of the documentation: the ```ts fences below `@example` in src, and all ```ts fences of the READMEs.
 *
 * An example is a module of its own that imports what users import. All are type-checked in one program under the repository's own compiler
 * options; then each is imported, and everything it awaits or hands to `NodeRuntime.runMain` has to succeed.
 * A fence that opens with ```ts no-run is compiled only.
 *
 * D1. Each fence is one test, named by the file and line of its first line of code.
 * D2. An error is reported at the line of the comment it stands in: the module is padded with empty lines up to there.
 * D3. An example leaves no promise and no effect floating: what nobody awaits cannot fail its test.
 */
import type * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"

interface Example {
  /** relative to the repository */
  readonly file: string
  /** of the first line of code, from 1 */
  readonly line: number
  readonly code: string
  readonly run: boolean
}

const root = fileURLToPath(new URL("..", import.meta.url))

/** the fences in `lines`; a line that is `undefined` belongs to no documentation */
const fences = (file: string, lines: ReadonlyArray<string | undefined>): Array<Example> => {
  const examples: Array<Example> = []
  for (let i = 0; i < lines.length; i++) {
    const opening = /^(\s*)(`{3,})(?:ts|typescript)\b(.*)$/.exec(lines[i] ?? "")
    if (opening === null) continue
    const [, indent = "", ticks = "", info = ""] = opening
    const code: Array<string> = []
    const line = i + 2
    while (lines[++i] !== undefined && lines[i]!.trim() !== ticks) {
      code.push(lines[i]!.startsWith(indent) ? lines[i]!.slice(indent.length) : lines[i]!)
    }
    examples.push({ file, line, code: code.join("\n"), run: !info.split(/\s+/).includes("no-run") })
  }
  return examples
}

const fromMarkdown = (file: string, text: string): Array<Example> => fences(file, text.split("\n"))

const fromSource = (file: string, text: string): Array<Example> => {
  const lines: Array<string | undefined> = text.split("\n").map(() => undefined)
  for (const comment of text.matchAll(/^[ \t]*\/\*\*[\s\S]*?\*\//gm)) {
    const first = text.slice(0, comment.index).split("\n").length - 1
    let tag: string | undefined
    comment[0].split("\n").forEach((raw, i) => {
      const line = raw.replace(/^\s*\/?\*+ ?/, "").replace(/\s*\*\/$/, "")
      tag = /^@(\w+)/.exec(line)?.[1] ?? tag
      if (tag === "example") lines[first + i] = line
    })
  }
  return fences(file, lines)
}

const read = (file: string) => Fs.readFileSync(Path.join(root, file), "utf8")
const sources = Fs.readdirSync(Path.join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => `src/${file.split(Path.sep).join("/")}`)
  .sort()
const readmes = ["README.md", "src/README.md"].filter((file) => Fs.existsSync(Path.join(root, file)))
const examples = [...readmes.flatMap((file) => fromMarkdown(file, read(file))), ...sources.flatMap((file) => fromSource(file, read(file)))]

// the same place for every run would let two runs take away each other's files
const cache = Path.join(root, "node_modules/.cache/sluice-docs")
Fs.mkdirSync(cache, { recursive: true })
const directory = Fs.mkdtempSync(Path.join(cache, "run-"))
const scratch = Fs.mkdtempSync(Path.join(Os.tmpdir(), "sluice-docs-"))
const moduleOf = (example: Example) =>
  Path.join(directory, `${example.file.replaceAll("/", ".").replace(/\.(ts|md)$/, "")}.${example.line}.ts`)

/** what the compiler says of each module, by its path, at the lines of the documentation */
const typeCheck = (): Map<string, Array<string>> => {
  const config = ts.readConfigFile(Path.join(root, "tsconfig.json"), (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root, undefined, Path.join(root, "tsconfig.json"))
  const program = ts.createProgram(examples.map(moduleOf), { ...options, noEmit: true })
  const checker = program.getTypeChecker()
  return new Map(examples.map((example) => {
    const module = moduleOf(example)
    const file = program.getSourceFile(module)!
    const at = (position: number) => `${example.file}:${file.getLineAndCharacterOfPosition(position).line + 1}`
    const problems: Array<string> = []
    for (const diagnostic of [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]) {
      // an example may name a thing only to show it; an import it does not need is a mistake all the same
      const unused = diagnostic.reportsUnnecessary !== undefined
      const start = diagnostic.start ?? 0
      if (unused && !file.statements.some((node) => ts.isImportDeclaration(node) && node.pos <= start && start < node.end)) continue
      problems.push(`${at(start)} TS${diagnostic.code}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n")}`)
    }
    const visit = (node: ts.Node): void => {
      if (ts.isExpressionStatement(node)) {
        const properties = checker.getTypeAtLocation(node.expression).getProperties().map((property) => property.name)
        if (properties.includes("then")) problems.push(`${at(node.getStart())} D3: a promise that nobody awaits`)
        if (properties.some((name) => name.startsWith("__@EffectTypeId"))) {
          problems.push(`${at(node.getStart())} D3: an effect that nobody runs`)
        }
      }
      ts.forEachChild(node, visit)
    }
    visit(file)
    return [module, problems]
  }))
}

// `runMain` ends the process on failure, and nobody can wait for it: here it hands its program over to the test
const programs = vi.hoisted((): Array<Promise<unknown>> => [])
const handOver = vi.hoisted(() => async (original: object) => {
  const { runPromise } = await import("effect/Effect")
  const launch = (program: Effect.Effect<unknown, unknown>) => {
    const running = runPromise(program)
    // it may fail before the module has ended, when nobody waits for it yet
    running.catch(() => {})
    programs.push(running)
  }
  const runMain = (first: Effect.Effect<unknown, unknown> | undefined) =>
    typeof first === "object" && "pipe" in first ? launch(first) : launch
  return { ...original, runMain }
})
vi.mock("@effect/platform-node/NodeRuntime", async (original) => handOver(await original<object>()))
vi.mock("@effect/platform-node", async (original) => {
  const barrel = await original<{ readonly NodeRuntime: object }>()
  return { ...barrel, NodeRuntime: await handOver(barrel.NodeRuntime) }
})

describe("documentation", () => {
  const home = process.cwd()
  let problems: Map<string, Array<string>>

  beforeAll(() => {
    for (const example of examples) Fs.writeFileSync(moduleOf(example), "\n".repeat(example.line - 1) + example.code + "\n")
    problems = typeCheck()
    for (const method of ["log", "info", "debug", "warn", "error", "group", "groupEnd"] as const) {
      vi.spyOn(console, method).mockImplementation(() => {})
    }
    // what an example writes to a relative path must not land in the repository
    process.chdir(scratch)
  })

  afterAll(() => {
    process.chdir(home)
    vi.restoreAllMocks()
    Fs.rmSync(directory, { recursive: true, force: true })
    Fs.rmSync(scratch, { recursive: true, force: true })
  })

  it("D1: finds the ts fences of examples and of markdown, and nothing else", () => {
    const source =
      "/**\n * ```ts\n * prose\n * ```\n * @example\n * ```ts\n * a\n *   b\n * ```\n *\n * ```ts no-run\n * c\n * ```\n * @since 1\n */"
    assert.deepEqual(fromSource("f", source), [
      { file: "f", line: 7, code: "a\n  b", run: true },
      { file: "f", line: 12, code: "c", run: false }
    ])
    assert.deepEqual(fromMarkdown("f", "```sh\na\n```\n\n```ts\nb\n```"), [{ file: "f", line: 6, code: "b", run: true }])
  })

  for (const example of examples) {
    it(`${example.file}:${example.line}${example.run ? "" : " compiles"}`, async () => {
      const found = problems.get(moduleOf(example))!
      if (found.length > 0) assert.fail(found.join("\n"))
      if (!example.run) return
      programs.length = 0
      await import(moduleOf(example))
      await Promise.all(programs.splice(0))
    })
  }
})
