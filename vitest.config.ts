import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^sluice\/connectors\/(.*)$/, replacement: source("connectors/$1.ts") },
      { find: /^sluice\/(testing|task)$/, replacement: source("$1/index.ts") },
      { find: /^sluice$/, replacement: source("index.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/types/**", "test/bench/**"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ["default"]
  }
})
