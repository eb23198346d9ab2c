import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { KeyGroup } from "sluice"

const int32 = fc.oneof(fc.integer(), fc.integer({ min: -300, max: 300 }), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1))

/** a parallelism and a maxParallelism that allows it */
const sizes = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: KeyGroup.MAX_PARALLELISM })).chain((max) =>
  fc.tuple(fc.integer({ min: 1, max }), fc.constant(max))
)

/** murmur3's round and finish over one 32-bit block, in arithmetic of unlimited size */
const murmur = (code: number): number => {
  const u32 = (n: bigint): bigint => BigInt.asUintN(32, n)
  const rotate = (n: bigint, by: bigint): bigint => u32((n << by) | (n >> (32n - by)))
  let h = u32(rotate(u32(u32(BigInt(code)) * 0xcc9e2d51n), 15n) * 0x1b873593n)
  h = u32(rotate(h, 13n) * 5n + 0xe6546b64n) ^ 4n
  h = u32((h ^ (h >> 16n)) * 0x85ebca6bn)
  h = u32((h ^ (h >> 13n)) * 0xc2b2ae35n)
  const signed = Number(BigInt.asIntN(32, h ^ (h >> 16n)))
  return signed === -2147483648 ? 0 : Math.abs(signed)
}

/** s[0] * 31^(n-1) + ... + s[n-1], modulo 2^32 */
const javaStringHash = (text: string): number =>
  Number(BigInt.asIntN(32, Array.from({ length: text.length }, (_, i) => BigInt(text.charCodeAt(i))).reduce((h, c) => h * 31n + c, 0n)))

describe("KeyGroup", () => {
  it("KG-01: murmur's golden values", () =>
    assert.deepStrictEqual([0, 1, 2, 3, 42, -1].map(KeyGroup.murmur), [593689054, 68075478, 1085422463, 847579505, 1134849565, 1982413648]))

  it("KG-01: the golden key groups of the integers", () => {
    const keys = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert.deepStrictEqual(keys.map((key) => KeyGroup.of(key, 10)), [4, 8, 3, 5, 5, 4, 4, 1, 5, 1, 9])
    assert.deepStrictEqual(keys.map((key) => KeyGroup.of(key, 128)), [94, 86, 127, 113, 7, 126, 18, 113, 15, 51, 67])
    assert.deepStrictEqual([KeyGroup.of(42, 10), KeyGroup.of(42, 128)], [5, 29])
    assert.deepStrictEqual([KeyGroup.of(-1, 10), KeyGroup.of(-1, 128)], [8, 80])
  })

  it.each([
    ["a", 1, 81],
    ["b", 8, 22],
    ["key1", 1, 41],
    ["key2", 3, 27],
    ["hello", 9, 35],
    ["test", 0, 66]
  ])("KG-01: the golden key groups of \"%s\" are %i of 10 and %i of 128", (key, of10, of128) => {
    assert.strictEqual(KeyGroup.of(key, 10), of10)
    assert.strictEqual(KeyGroup.of(key, 128), of128)
  })

  it("KG-01: murmur of any 32-bit hash is that of the published algorithm, and not negative", () =>
    fc.assert(
      fc.property(int32, (code) => {
        assert.strictEqual(KeyGroup.murmur(code), murmur(code))
        assert.isAtLeast(KeyGroup.murmur(code), 0)
      }),
      { numRuns: 5_000 }
    ))

  it("KG-01: an integer is its own hash, a string hashes as in Java", () =>
    fc.assert(
      fc.property(int32, fc.oneof(fc.string({ maxLength: 8 }), fc.string({ unit: "binary", maxLength: 8 })), (n, text) => {
        assert.strictEqual(KeyGroup.hash(n), n)
        assert.strictEqual(KeyGroup.hash(text), javaStringHash(text))
      }),
      { numRuns: 5_000 }
    ))

  it("any other number hashes as Java's Double, a bigint as its Long, a boolean as its Boolean", () => {
    const view = new DataView(new ArrayBuffer(8))
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (n, big) => {
        if (!Number.isInteger(n) || Math.abs(n) > 2 ** 31) {
          view.setFloat64(0, n)
          assert.strictEqual(KeyGroup.hash(n), view.getInt32(0) ^ view.getInt32(4))
        }
        assert.strictEqual(KeyGroup.hash(big), Number(BigInt.asIntN(32, BigInt.asUintN(64, big) ^ (BigInt.asUintN(64, big) >> 32n))))
      }),
      { numRuns: 5_000 }
    )
    assert.deepStrictEqual([KeyGroup.hash(1.5), KeyGroup.hash(-1n), KeyGroup.hash(true), KeyGroup.hash(false)], [1073217536, 0, 1231, 1237])
  })

  it("K1: keys that a Map holds as one have one key group: the two zeros, and NaN however it was made", () => {
    const made = new Float64Array(new Uint8Array(8).fill(0xff).buffer)[0]
    const [one, ...others] = [NaN, made, -NaN, Math.sqrt(-1), Number("no number")].map((key) => KeyGroup.of(key, 128))
    assert.strictEqual(KeyGroup.of(-0, 128), KeyGroup.of(0, 128))
    assert.deepStrictEqual(others, others.map(() => one))
  })

  it("K1: every key has a key group below maxParallelism", () =>
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.double(), fc.integer(), fc.bigInt(), fc.boolean(), fc.constantFrom(null, undefined)),
        fc.integer({ min: 1, max: KeyGroup.MAX_PARALLELISM }),
        (key, max) => {
          const group = KeyGroup.of(key, max)
          assert.isTrue(Number.isInteger(group) && group >= 0 && group < max)
        }
      ),
      { numRuns: 5_000 }
    ))

  it.each([
    [1, 1],
    [13, 1],
    [13, 2],
    [32767, 1],
    [32767, 13],
    [32767, 32767]
  ])(
    "KG-03: with maxParallelism %i and parallelism %i the subtask of a key group is k * p div max, and its range holds it",
    (max, parallelism) => {
      for (let group = 0; group < max; group++) {
        const subtask = KeyGroup.subtask(group, parallelism, max)
        if (subtask !== Number((BigInt(group) * BigInt(parallelism)) / BigInt(max))) assert.fail(`subtask of ${group}`)
        if (!KeyGroup.contains(KeyGroup.range(subtask, parallelism, max), group)) assert.fail(`range of ${subtask}`)
      }
    }
  )

  it("KG-03, K2: for any parallelism the ranges of the subtasks follow one another without gap or overlap, and are those of `subtask`", () =>
    fc.assert(
      fc.property(sizes, fc.nat(), ([parallelism, max], pick) => {
        const subtask = pick % parallelism
        const { end, start } = KeyGroup.range(subtask, parallelism, max)
        assert.strictEqual(start, subtask === 0 ? 0 : KeyGroup.range(subtask - 1, parallelism, max).end + 1)
        assert.strictEqual(subtask === parallelism - 1 ? max - 1 : KeyGroup.range(subtask + 1, parallelism, max).start - 1, end)
        // as even as can be, and none without a key group
        assert.isAtLeast(end - start + 1, Math.floor(max / parallelism))
        assert.isAtMost(end - start + 1, Math.ceil(max / parallelism))
        for (const group of [start, end, (start + end) >> 1]) {
          assert.strictEqual(KeyGroup.subtask(group, parallelism, max), subtask)
          assert.strictEqual(subtask, Number((BigInt(group) * BigInt(parallelism)) / BigInt(max)))
        }
      }),
      { numRuns: 10_000 }
    ))

  it("K2: small ones counted out: each key group lies in the range of exactly one subtask", () => {
    for (let max = 1; max <= 24; max++) {
      for (let parallelism = 1; parallelism <= max; parallelism++) {
        const ranges = Array.from({ length: parallelism }, (_, subtask) => KeyGroup.range(subtask, parallelism, max))
        const owners = Array.from({ length: max }, (_, group) => ranges.flatMap((range, i) => KeyGroup.contains(range, group) ? [i] : []))
        assert.deepStrictEqual(owners, Array.from({ length: max }, (_, group) => [Math.floor(group * parallelism / max)]))
      }
    }
  })

  it("KG-05: what two ranges share, either way round", () => {
    const range = (start: number, end: number): KeyGroup.KeyGroupRange => ({ start, end })
    const cases: ReadonlyArray<readonly [KeyGroup.KeyGroupRange, KeyGroup.KeyGroupRange, KeyGroup.KeyGroupRange | undefined]> = [
      [range(0, 10), range(3, 7), range(3, 7)],
      [range(0, 5), range(6, 10), undefined],
      [range(0, 10), range(5, 20), range(5, 10)],
      [range(3, 12), range(0, 10), range(3, 10)],
      [range(4, 4), range(4, 4), range(4, 4)]
    ]
    for (const [a, b, shared] of cases) {
      assert.deepStrictEqual(KeyGroup.intersect(a, b), shared)
      assert.deepStrictEqual(KeyGroup.intersect(b, a), shared)
    }
  })

  it("KG-05: the intersection holds what both hold, bounds included", () => {
    const range = fc.tuple(fc.nat({ max: 30 }), fc.nat({ max: 30 })).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }))
    fc.assert(
      fc.property(range, range, fc.nat({ max: 30 }), (a, b, group) => {
        const shared = KeyGroup.intersect(a, b)
        const within = ({ end, start }: KeyGroup.KeyGroupRange) => group >= start && group <= end
        assert.strictEqual(shared !== undefined && KeyGroup.contains(shared, group), within(a) && within(b))
      }),
      { numRuns: 5_000 }
    )
  })

  it("KG-06: the subtask of a key depends on nothing but the key, for 1, 2 and 1024 subtasks", () => {
    for (const parallelism of [1, 2, 1024]) {
      const subtasks = Array.from({ length: 5 }, () => KeyGroup.subtask(KeyGroup.of(["te", "st"].join(""), 32768), parallelism, 32768))
      assert.deepStrictEqual(subtasks, subtasks.map(() => Math.floor((murmur(javaStringHash("test")) % 32768) * parallelism / 32768)))
    }
  })
})
