/**
 * The floors of src: a file imports only from its own floor and from those below, type imports included, and never in a circle.
 *
 * A file that stands on no floor is an error too: place it here when you add it.
 */

/** each floor by name, lowest first: the files that stand on it, as regular expressions below `src/` */
const floors = [
  ["words", ["(?:StreamElement|StreamError|KeyGroup|Checkpoint|Lifecycle)\\.ts$", "state/Shape\\.ts$"]],
  [
    "contracts",
    [
      "(?:StreamOperator|OperatorCode|ProcessFunction|State|StateBackend|CheckpointStorage|Aggregator|WatermarkStrategy)\\.ts$",
      "(?:Window|Trigger|DataSource|DataSink|OutputTag|JobOptions|JobMetrics)\\.ts$",
      "state/(?!Shape\\.ts$)",
      "storage/"
    ]
  ],
  ["graph and operators", ["graph/", "operators/"]],
  ["language", ["language/"]],
  ["runtime", ["task/", "checkpoint/", "job/"]],
  ["job", ["(?:Job|DataStream)\\.ts$"]],
  ["edges", ["connectors/", "testing/", "cluster/", "dashboard/"]]
]

const below = (patterns) => `^src/(?:${patterns.join("|")})`
const floor = Object.fromEntries(floors.map(([name, patterns]) => [name, below(patterns)]))
const all = below(floors.flatMap(([, patterns]) => patterns).concat("index\\.ts$"))

const upward = floors.slice(0, -1).map(([name, patterns], i) => ({
  name: `floor-${i}-imports-nothing-above`,
  comment: `${name}: move what is needed down, or the one who needs it up`,
  severity: "error",
  from: { path: below(patterns) },
  to: { path: floors.slice(i + 1).map(([, above]) => below(above)) }
}))

/** a rule beyond the floors: `from` never imports `to` */
const never = (name, comment, from, to) => ({ name, comment, severity: "error", from, to })

module.exports = {
  forbidden: [
    ...upward,
    never("graph-not-operators", "a graph knows operators by their contract", { path: "^src/graph/" }, { path: "^src/operators/" }),
    never("operators-on-contracts-alone", "a built-in operator is written as a user's would be", { path: "^src/operators/" }, {
      path: "^src/graph/"
    }),
    never("runtime-not-operators", "runtime and operators meet in JobGraph", { path: floor.runtime }, { path: "^src/operators/" }),
    never("runtime-not-language", "runtime and language meet in JobGraph", { path: floor.runtime }, { path: floor.language }),
    never("connectors-as-users", "a connector is written as a user's would be", { path: "^src/connectors/" }, {
      path: [floor.runtime, floor.job, "^src/(?:testing|cluster|dashboard)/"]
    }),
    never("testing-is-for-tests", "nothing that runs in production needs sluice/testing", {
      path: "^src/",
      pathNot: "^src/(?:testing/|index\\.ts$)"
    }, {
      path: "^src/testing/"
    }),
    never("barrel-is-for-users", "import the module itself", { path: "^src/" }, { path: "^src/index\\.ts$" }),
    never("nothing-outside-src", "src is all that is published", { path: "^src/" }, { path: "^(?:test|examples|dist|\\.ci)/" }),
    never("every-file-has-a-floor", "place the file in .dependency-cruiser.cjs", { path: "^src/", pathNot: all }, {}),
    never("every-file-has-a-floor", "place the file in .dependency-cruiser.cjs", {}, { path: "^src/", pathNot: all }),
    never("no-circles", "split the file that both need", {}, { circular: true }),
    never("resolvable", "the import resolves to nothing", {}, { couldNotResolve: true }),
    never("declared", "declare it in dependencies or peerDependencies", { path: "^src/" }, {
      dependencyTypes: ["npm-no-pkg", "npm-unknown", "npm-dev"],
      dependencyTypesNot: ["npm", "npm-peer", "npm-optional"]
    })
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
      extensions: [".ts", ".js"]
    }
  }
}
