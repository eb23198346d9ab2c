import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc } from "effect"
import { DataStream, Job, KeyedStream, OutputTag, StreamError } from "sluice"
import type { JobOptions } from "sluice"
import { collect, edgesOf } from "../../src/graph/StreamGraph.js"

type Streams = DataStream.DataStream<number>

const numbers = (name = "numbers"): Streams => DataStream.range(1, 3).pipe(DataStream.named(name))
const map = (name: string) => (self: Streams): Streams => DataStream.map(self, (n) => n + 1).pipe(DataStream.named(name))
const end = (self: DataStream.DataStream<any, any, any>, name = "end") => DataStream.to(self, sink, { name })
const sink = { _tag: "WriterSink", name: "sink", open: () => Effect.succeed({ write: () => {} }) } as const

const { broadcast, global, rebalance } = DataStream
const partitionings = { broadcast, global, rebalance }

const explain = (job: Job.Job<any, any>, options?: JobOptions.JobOptions): Job.Explanation => Effect.runSync(Job.explain(job, options))
const explainStream = (self: DataStream.DataStream<any>, options?: JobOptions.JobOptions) =>
  explain(Job.make("job", end(self)), options).json
const refused = (job: Job.Job<any, any>, options?: JobOptions.JobOptions): StreamError.GraphError =>
  Effect.runSync(Effect.flip(Job.explain(job, options)))

const names = (json: Job.Explanation["json"]): ReadonlyArray<string> =>
  json.vertices.map((vertex) => `${vertex.name} x${vertex.parallelism}`)
/** edges by the names of the tasks they join */
const edges = (json: Job.Explanation["json"]): ReadonlyArray<string> =>
  json.edges.map(({ from, partitioning, tag, to }) =>
    `${json.vertices[from].name} -${partitioning}${tag === undefined ? "" : ` ${tag}`}-> ${json.vertices[to].name}`
  )
const uids = (json: Job.Explanation["json"]): Record<string, string> =>
  Object.fromEntries(json.vertices.flatMap((vertex) => vertex.operators.map(({ name, uid }) => [name, uid])))

describe("JobGraph, chaining", () => {
  it("J1: operators one behind the other are one task", () => {
    const json = explainStream(numbers().pipe(map("a"), map("b")))
    assert.deepStrictEqual(names(json), ["numbers -> a -> b -> end x1"])
    assert.deepStrictEqual(edges(json), [])
  })

  it("J1: not where chaining is off", () => {
    const json = explainStream(numbers().pipe(map("a")), { chaining: false })
    assert.deepStrictEqual(names(json), ["numbers x1", "a x1", "end x1"])
    assert.deepStrictEqual(edges(json), ["numbers -forward-> a", "a -forward-> end"])
  })

  it("J1: one whose chaining is disabled runs alone, one that starts a chain runs with those behind it", () => {
    assert.deepStrictEqual(names(explainStream(numbers().pipe(map("a"), DataStream.disableChaining, map("b")))), [
      "numbers x1",
      "a x1",
      "b -> end x1"
    ])
    assert.deepStrictEqual(names(explainStream(numbers().pipe(map("a"), DataStream.startNewChain, map("b")))), [
      "numbers x1",
      "a -> b -> end x1"
    ])
  })

  it.each(["rebalance", "broadcast", "global"] as const)("J1: %s begins a new task, but not from one subtask to one", (partitioning) => {
    const stream = numbers().pipe(DataStream.parallelism(2), partitionings[partitioning], map("a"))
    assert.deepStrictEqual(edges(explainStream(stream, { parallelism: 2 })), [`numbers -${partitioning}-> a -> end`])
    assert.deepStrictEqual(names(explainStream(numbers().pipe(partitionings[partitioning], map("a")))), ["numbers -> a -> end x1"])
  })

  it("J1: keyBy begins a new task, but not from one subtask to one", () => {
    const stream = numbers().pipe(KeyedStream.keyBy((n) => n % 2), KeyedStream.reduce((a, b) => a + b))
    const json = explainStream(stream, { parallelism: 2 })
    assert.deepStrictEqual(edges(json), ["numbers -hash-> reduce -> end"])
    assert.deepStrictEqual(json.vertices.map((vertex) => vertex.operators.map(({ keyed }) => keyed)), [[false], [true, false]])
    assert.deepStrictEqual(names(explainStream(stream)), ["numbers -> reduce -> end x1"])
  })

  it("J1: a partitioning that is taken back by forward chains again", () =>
    assert.deepStrictEqual(
      names(
        explainStream(numbers().pipe(DataStream.parallelism(2), DataStream.rebalance, DataStream.forward, map("a")), { parallelism: 2 })
      ),
      ["numbers -> a -> end x2"]
    ))

  it("CH-05, J2: forward between different parallelisms becomes rebalance", () => {
    const stream = numbers().pipe(
      map("a"),
      DataStream.parallelism(2),
      map("b"),
      DataStream.parallelism(2),
      map("c"),
      DataStream.parallelism(3)
    )
    const json = explain(Job.make("job", DataStream.to(stream, sink, { name: "end", parallelism: 1 }))).json
    assert.deepStrictEqual(names(json), ["numbers x1", "a -> b x2", "c x3", "end x1"])
    assert.deepStrictEqual(edges(json), ["numbers -rebalance-> a -> b", "a -> b -rebalance-> c", "c -rebalance-> end"])
  })

  it("an operator that is read twice is one operator: fan-out inside a task", () => {
    const source = numbers().pipe(map("shared"))
    const json = explain(Job.make("job", end(map("a")(source), "end a"), end(map("b")(source), "end b"))).json
    assert.deepStrictEqual(names(json), ["numbers -> shared -> a -> end a -> b -> end b x1"])
  })

  it("an operator that is read twice is one operator: fan-out between tasks", () => {
    const source = numbers().pipe(DataStream.parallelism(2), DataStream.rebalance)
    const json = explain(Job.make("job", end(map("a")(source), "end a"), end(map("b")(source), "end b")), { parallelism: 2 }).json
    assert.deepStrictEqual(names(json), ["numbers x2", "a -> end a x2", "b -> end b x2"])
    assert.deepStrictEqual(edges(json), ["numbers -rebalance-> a -> end a", "numbers -rebalance-> b -> end b"])
  })

  it("a diamond: two ways from one operator to another are two edges, and a union begins a task", () => {
    const source = numbers()
    const json = explainStream(map("a")(source).pipe(DataStream.union(map("b")(source)), map("both")))
    assert.deepStrictEqual(names(json), ["numbers -> a -> b x1", "both -> end x1"])
    assert.deepStrictEqual(edges(json), ["numbers -> a -> b -forward-> both -> end", "numbers -> a -> b -forward-> both -> end"])
  })

  it("the union of a stream with itself is two edges", () => {
    const source = numbers()
    assert.deepStrictEqual(edges(explainStream(DataStream.union(source, source).pipe(map("a")))), [
      "numbers -forward-> a -> end",
      "numbers -forward-> a -> end"
    ])
  })

  it("a side output is an edge of its own, chained or not", () => {
    const odd = OutputTag.make<number>("odd")
    const source = numbers().pipe(DataStream.process({ onElement: (n) => [n] }))
    const pipelines = (
      streams: Streams
    ) => [end(map("main")(streams), "end main"), end(map("side")(DataStream.sideOutput(streams, odd)), "end side")]
    assert.deepStrictEqual(names(explain(Job.make("job", ...pipelines(source))).json), [
      "numbers -> process -> main -> end main -> side -> end side x1"
    ])
    const json = explain(Job.make("job", ...pipelines(source)), { chaining: false }).json
    assert.deepStrictEqual(edges(json), [
      "numbers -forward-> process",
      "process -forward-> main",
      "main -forward-> end main",
      "process -forward odd-> side",
      "side -forward-> end side"
    ])
  })

  it("a hundred thousand operators one behind the other are one task, and no deep stack", () => {
    let stream: Streams = numbers()
    for (let i = 0; i < 100_000; i++) stream = DataStream.map(stream, (n) => n)
    const job = Job.make("job", end(stream))
    const nodes = collect(job.ends)
    assert.strictEqual(new Set(nodes).size, 100_002)
    const at = new Map(nodes.map((node, i) => [node, i]))
    assert.isTrue(nodes.every((node, i) => node._tag === "Source" || edgesOf(node).every((edge) => at.get(edge.node)! < i)))
    const { edges, vertices } = explain(job).json
    assert.deepStrictEqual([vertices.length, edges.length, vertices[0].operators.length], [1, 0, 100_002])
    assert.strictEqual(new Set(vertices[0].operators.map(({ uid }) => uid)).size, 100_002)
  })

  it("a long chain is built in a number of steps that grows with its length, not with its square", () => {
    const reads = (length: number): number => {
      let stream: Streams = numbers()
      for (let i = 0; i < length; i++) stream = DataStream.map(stream, (n) => n)
      const job = Job.make("job", end(stream))
      let count = 0
      for (const node of collect(job.ends)) {
        if (node._tag === "Source") continue
        const { inputs } = node
        Object.defineProperty(node, "inputs", {
          get: () => {
            count++
            return inputs
          }
        })
      }
      explain(job)
      return count
    }
    assert.isBelow(reads(800), 3 * reads(400))
  })

  it("deep diamonds do not make the graph grow: each operator once, however many ways lead to it", () => {
    let stream: Streams = numbers()
    for (let i = 0; i < 40; i++) stream = map(`m${i}`)(DataStream.union(map(`l${i}`)(stream), map(`r${i}`)(stream)))
    const operators = explainStream(stream).vertices.flatMap((vertex) => vertex.operators)
    assert.strictEqual(operators.length, 1 + 40 * 3 + 1)
  })

  // ------------------------------------------------------------------------------------------------------------------------------------------

  interface Spec {
    readonly inputs: ReadonlyArray<{ readonly of: number; readonly partitioning: "none" | "rebalance" | "broadcast" | "global" | "hash" }>
    readonly parallelism: number
    readonly chaining: "always" | "head" | "never"
  }

  const partitioning = fc.constantFrom(
    "none" as const,
    "none" as const,
    "none" as const,
    "rebalance" as const,
    "broadcast" as const,
    "global" as const,
    "hash" as const
  )
  /** operators in the order of writing; each reads earlier ones, a source reads none */
  const program: fc.Arbitrary<ReadonlyArray<Spec>> = fc.array(
    fc.record({
      inputs: fc.array(fc.record({ of: fc.nat({ max: 9 }), partitioning }), { maxLength: 2 }),
      parallelism: fc.constantFrom(1, 1, 1, 2, 2, 3),
      chaining: fc.constantFrom("always" as const, "always" as const, "always" as const, "head" as const, "never" as const)
    }),
    { minLength: 1, maxLength: 9, size: "max" }
  ).map((specs) =>
    specs.map((spec, i) => ({ ...spec, inputs: i === 0 ? [] : spec.inputs.map((input) => ({ ...input, of: input.of % i })) }))
  )

  const write = (specs: ReadonlyArray<Spec>): Job.Job => {
    const streams: Array<Streams> = []
    specs.forEach(({ chaining, inputs, parallelism }, i) => {
      const read = inputs.map(({ of, partitioning }) => {
        const stream = streams[of]
        return partitioning === "none"
          ? stream
          : partitioning === "hash"
          ? KeyedStream.keyBy(stream, (n) => n)
          : partitionings[partitioning](stream)
      })
      const stream = read.length === 0
        ? numbers()
        : DataStream.map(read.slice(1).reduce((a, b) => DataStream.union(a, b), read[0]), (n) => n)
      const configured = stream.pipe(DataStream.named(`n${i}`), DataStream.parallelism(parallelism))
      streams.push(
        chaining === "always"
          ? configured
          : chaining === "head"
          ? DataStream.startNewChain(configured)
          : DataStream.disableChaining(configured)
      )
    })
    return Job.make("job", ...streams.map((stream, i) => DataStream.to(stream, sink, { name: `e${i}`, parallelism: specs[i].parallelism })))
  }

  it("J1, J2: any program: each operator in one task, tasks joined where the rules say, and one edge for each other input", () =>
    fc.assert(
      fc.property(program, fc.boolean(), (specs, chaining) => {
        const { edges, vertices } = explain(write(specs), { chaining }).json
        const taskOf = new Map(vertices.flatMap((vertex, i) => vertex.operators.map(({ name }) => [name, i] as const)))
        assert.strictEqual(vertices.flatMap((vertex) => vertex.operators).length, 2 * specs.length)
        const expectedEdges: Array<string> = []
        let joined = 0
        const all = specs.flatMap((spec, i): ReadonlyArray<Spec & { readonly name: string }> => [
          { ...spec, name: `n${i}` },
          { inputs: [{ of: i, partitioning: "none" }], parallelism: spec.parallelism, chaining: "always", name: `e${i}` }
        ])
        for (const { chaining: mode, inputs, name, parallelism } of all) {
          assert.strictEqual(vertices[taskOf.get(name)!].parallelism, parallelism)
          for (const { of, partitioning } of inputs) {
            const from = specs[of]
            const oneToOne = from.parallelism === 1 && parallelism === 1
            const effective = partitioning === "none" || oneToOne
              ? (from.parallelism === parallelism ? "forward" : "rebalance")
              : partitioning
            const chained = chaining && inputs.length === 1 && mode === "always" && from.chaining !== "never" && effective === "forward"
            if (chained) {
              joined++
              assert.strictEqual(taskOf.get(name), taskOf.get(`n${of}`))
            } else {
              expectedEdges.push(`${taskOf.get(`n${of}`)} ${effective} ${taskOf.get(name)}`)
            }
          }
        }
        assert.strictEqual(vertices.length, all.length - joined)
        assert.deepStrictEqual(edges.map(({ from, partitioning, to }) => `${from} ${partitioning} ${to}`).sort(), expectedEdges.sort())
        // a task comes after those it reads
        for (const { from, to } of edges) assert.isBelow(from, to)
      }),
      { numRuns: 500 }
    ))
})

describe("JobGraph, uids", () => {
  const two = () => numbers().pipe(map("a"), KeyedStream.keyBy((n) => n), KeyedStream.reduce((x, y) => x + y), DataStream.named("total"))

  it("J3: a uid of one's own is kept", () =>
    assert.strictEqual(uids(explainStream(numbers().pipe(map("a"), DataStream.uid("mine")))).a, "mine"))

  it("J3: a made one depends on names and inputs alone: not on the run, parallelism, chaining, or what else the job does", () => {
    const before = uids(explainStream(two()))
    assert.deepStrictEqual(uids(explainStream(two())), before)
    assert.deepStrictEqual(uids(explainStream(two(), { parallelism: 4, chaining: false, batchSize: 1, maxParallelism: 7 })), before)
    assert.deepStrictEqual(
      uids(explainStream(
        numbers().pipe(
          DataStream.parallelism(3),
          map("a"),
          KeyedStream.keyBy((n) => -n),
          KeyedStream.reduce((x, y) => x * y),
          DataStream.named("total"),
          DataStream.disableChaining
        ),
        { parallelism: 2 }
      )),
      before
    )
    const more = explain(Job.make("another", end(two()), end(numbers("others").pipe(map("a")), "other end"))).json
    assert.strictEqual(uids({ ...more, vertices: more.vertices.slice(0, 1) }).total, before.total)
  })

  it("J3: all made ones are different, also of operators with one name and one input", () => {
    const source = numbers()
    const same = [1, 2, 3].map(() => end(map("a")(source)))
    const all = explain(Job.make("job", ...same)).json.vertices.flatMap((vertex) => vertex.operators.map(({ uid }) => uid))
    assert.strictEqual(all.length, 7)
    assert.strictEqual(new Set(all).size, 7)
  })

  it("J3: a made one changes with its name, with what it reads, and with the uid of what it reads", () => {
    const uid = (stream: Streams, name = "total") => uids(explainStream(stream))[name]
    const total = uid(two())
    const other = two().pipe(DataStream.named("sum"))
    assert.notStrictEqual(uid(other, "sum"), total)
    const read = (source: Streams) =>
      source.pipe(KeyedStream.keyBy((n) => n), KeyedStream.reduce((x, y) => x + y), DataStream.named("total"))
    const variants = [read(numbers()), read(numbers("others")), read(numbers().pipe(DataStream.uid("mine"))), two()].map((stream) =>
      uid(stream)
    )
    assert.strictEqual(new Set(variants).size, variants.length)
  })

  it("a uid that two operators share is refused, and both are named", () => {
    const error = refused(Job.make("flights", end(numbers().pipe(DataStream.uid("x"), map("a"), DataStream.uid("x")))))
    assert.deepStrictEqual({ job: error.job, node: error.node }, { job: "flights", node: "a" })
    assert.match(error.message, /^job flights: a: uid "x" is already taken by numbers; /)
  })

  it("one operator in two pipelines does not clash with itself", () => {
    const source = numbers().pipe(DataStream.uid("source"))
    assert.strictEqual(explain(Job.make("job", end(source), end(source, "other"))).json.vertices.length, 1)
  })

  it("a sink and a source take uids too", () => {
    const source = DataStream.fromSource({ ...emptySource, name: "empty" }, { uid: "in" })
    assert.deepStrictEqual(uids(explain(Job.make("job", DataStream.to(source, sink, { uid: "out" }))).json), { empty: "in", sink: "out" })
  })
})

const emptySource = {
  _tag: "DataSource",
  name: "empty",
  boundedness: "bounded",
  splits: Effect.succeed([]),
  split: undefined,
  position: undefined,
  read: () => Effect.die("nothing to read")
} as const

describe("JobGraph, what is refused", () => {
  const job = Job.make("job", end(numbers().pipe(map("a"))))

  it.each<readonly [string, JobOptions.JobOptions, string, RegExp]>([
    ["maxParallelism 0", { maxParallelism: 0 }, "JobOptions", /maxParallelism must be a whole number from 1 to 32768, got 0/],
    ["maxParallelism 32769", { maxParallelism: 32769 }, "JobOptions", /got 32769/],
    ["maxParallelism 1.5", { maxParallelism: 1.5 }, "JobOptions", /got 1.5/],
    ["maxParallelism NaN", { maxParallelism: NaN }, "JobOptions", /got NaN/],
    ["batchSize 0", { batchSize: 0 }, "JobOptions", /batchSize must be a whole number from 1 to 65536, got 0/],
    ["batchSize 65537", { batchSize: 65537 }, "JobOptions", /got 65537/],
    ["batchSize 2.5", { batchSize: 2.5 }, "JobOptions", /got 2.5/],
    ["parallelism 0", { parallelism: 0 }, "a", /parallelism must be a whole number from 1 on, got 0/],
    ["parallelism -1", { parallelism: -1 }, "a", /got -1/],
    ["parallelism 1.5", { parallelism: 1.5 }, "a", /got 1.5/],
    ["parallelism NaN", { parallelism: NaN }, "a", /got NaN/],
    ["parallelism above maxParallelism", { parallelism: 129 }, "a", /parallelism 129 is above maxParallelism 128; raise maxParallelism/]
  ])("%s", (_, options, node, message) => {
    const error = refused(job, options)
    assert.instanceOf(error, StreamError.GraphError)
    assert.strictEqual(error.job, "job")
    assert.strictEqual(error.node, node)
    assert.match(error.message, message)
  })

  it.each<readonly [string, Partial<JobOptions.CheckpointOptions>, RegExp]>([
    ["no checkpoint at a time, with which the final one would be waited for in vain", { maxConcurrent: 0 }, /maxConcurrent/],
    ["a number of checkpoints that is none", { maxConcurrent: NaN }, /maxConcurrent/],
    ["keeping no checkpoint, with which a restart would find none", { retain: 0 }, /retain/]
  ])("%s", (_, options, message) => {
    const explained = Effect.runSync(Effect.either(Job.explain(job, { checkpoint: { interval: "1 second", ...options } })))
    if (Either.isRight(explained)) assert.fail("it was not refused")
    assert.match(explained.left.message, message)
  })

  it("the largest that is allowed is not refused", () =>
    assert.strictEqual(explain(job, { maxParallelism: 32768, parallelism: 32768, batchSize: 65536 }).json.vertices[1].parallelism, 32768))

  it("an operator's own parallelism above maxParallelism, naming the operator", () => {
    const error = refused(Job.make("job", end(numbers().pipe(map("a"), DataStream.parallelism(9), map("b")))), { maxParallelism: 8 })
    assert.strictEqual(error.node, "a")
    assert.match(error.message, /parallelism 9 is above maxParallelism 8/)
  })

  it("a job without a pipeline", () => assert.match(refused(Job.make("job") as Job.Job).message, /at least one pipeline/))

  it.each(["", "  ", "\n"])(
    "a job without a name: %j",
    (name) => assert.match(refused(Job.make(name, end(numbers()))).message, /a job needs a name/)
  )

  it("a name of 201 characters, but not one of 200", () => {
    assert.match(refused(Job.make("x".repeat(201), end(numbers()))).message, /at most 200 characters/)
    explain(Job.make("x".repeat(200), end(numbers())))
  })

  it.each<readonly [string, string, (self: Streams) => Streams]>([
    ["named", "named", DataStream.named("x")],
    ["uid", "uid", DataStream.uid("x")],
    ["parallelism", "parallelism", DataStream.parallelism(2)],
    ["disableChaining", "chaining", DataStream.disableChaining],
    ["startNewChain", "chaining", DataStream.startNewChain]
  ])("%s on a union or on a side output, which are no operators", (_, what, configure) => {
    const tag = OutputTag.make<number>("tag")
    for (const stream of [DataStream.union(numbers("l"), numbers("r")), DataStream.sideOutput(numbers(), tag)]) {
      const message = new RegExp(`${what} applies to the operator before it, and a union or a side output is none`)
      assert.match(refused(Job.make("job", end(configure(stream)))).message, message)
    }
  })

  it("it is enough to put it before the union", () => {
    const json = explainStream(DataStream.union(numbers("l").pipe(DataStream.uid("left")), numbers("r").pipe(DataStream.uid("right"))))
    assert.deepStrictEqual(uids(json), { ...uids(json), l: "left", r: "right" })
  })
})

describe("Job.explain", () => {
  const odd = OutputTag.make<number>("odd \"one\"")
  const source = numbers("say \"hi\"").pipe(DataStream.uid("s"))
  const total = source.pipe(
    KeyedStream.keyBy((n) => n),
    KeyedStream.reduce((a, b) => a + b),
    DataStream.uid("t"),
    DataStream.parallelism(2)
  )
  const job = Job.make(
    "numbers",
    DataStream.to(total, sink, { uid: "e", parallelism: 2 }),
    DataStream.to(DataStream.sideOutput(source, odd), sink, { name: "odds", uid: "o", parallelism: 2 })
  )

  it("as JSON: tasks, their operators, and the edges between them", () =>
    assert.deepStrictEqual(explain(job, { maxParallelism: 16 }).json, {
      name: "numbers",
      maxParallelism: 16,
      vertices: [
        { name: "say \"hi\"", parallelism: 1, operators: [{ name: "say \"hi\"", uid: "s", keyed: false }] },
        {
          name: "reduce -> sink",
          parallelism: 2,
          operators: [{ name: "reduce", uid: "t", keyed: true }, { name: "sink", uid: "e", keyed: false }]
        },
        { name: "odds", parallelism: 2, operators: [{ name: "odds", uid: "o", keyed: false }] }
      ],
      edges: [{ from: 0, to: 1, partitioning: "hash" }, { from: 0, to: 2, partitioning: "rebalance", tag: "odd \"one\"" }]
    }))

  it("as text", () =>
    assert.strictEqual(
      explain(job, { maxParallelism: 16 }).text,
      [
        "job numbers, 16 key groups",
        "[0] say \"hi\" x1",
        "      say \"hi\"  uid s",
        "      -- hash --> [1]",
        "      -- rebalance (odd \"one\") --> [2]",
        "[1] reduce -> sink x2",
        "      reduce  uid t  keyed",
        "      sink  uid e",
        "[2] odds x2",
        "      odds  uid o"
      ].join("\n")
    ))

  it("as a Mermaid flowchart, quotes escaped", () =>
    assert.strictEqual(
      explain(job).mermaid,
      [
        "flowchart LR",
        "  v0[\"say &quot;hi&quot; x1\"]",
        "  v1[\"reduce -> sink x2\"]",
        "  v2[\"odds x2\"]",
        "  v0 -->|hash| v1",
        "  v0 -->|rebalance odd &quot;one&quot;| v2"
      ].join("\n")
    ))

  it("JSON is JSON: nothing is lost when it is written down", () => {
    const { json } = explain(job)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(json)), json)
  })

  it("explaining twice, or under other options, changes nothing", () => {
    const before = explain(job)
    explain(job, { parallelism: 3, chaining: false })
    assert.deepStrictEqual(explain(job), before)
  })

  it("making a job runs nothing", () => {
    let ran = 0
    const factory = Effect.sync(() => {
      ran++
      return { processElement: () => {} }
    })
    const stream = numbers().pipe(DataStream.transform("own", factory))
    explain(Job.make("job", end(stream)))
    assert.strictEqual(ran, 0)
  })
})
