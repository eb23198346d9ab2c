/**
 * How damage is found: SHA-256 over bytes as they come, and small files that carry the checksum of their own body.
 *
 * Knows nothing of directories or checkpoints.
 *
 * S1. The checksum does not depend on how the bytes were cut into pieces.
 * S2. A framed file of which any byte was changed, added or lost is refused.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import { CheckpointCorrupt } from "../StreamError.js"

/**
 * A checksum over pieces: `update` with each in order, then `digest("hex")` once.
 */
export const make = () => createHash("sha256")

/**
 * The checksum of bytes, hex.
 */
export const of = (bytes: Uint8Array): string => make().update(bytes).digest("hex")

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const NEWLINE = 10

/**
 * A body under one header line, `sluice-<kind> <version> <checksum of the body>`.
 */
export const frame = (kind: string, version: number, body: string): Uint8Array => {
  const bytes = encoder.encode(body)
  const header = encoder.encode(`sluice-${kind} ${version} ${of(bytes)}\n`)
  const out = new Uint8Array(header.length + bytes.length)
  out.set(header)
  out.set(bytes, header.length)
  return out
}

/**
 * The body that `frame` put into `file`. Fails when a byte of it differs, and when it was written in another version of the format.
 */
export const unframe = (
  kind: string,
  version: number,
  file: string,
  bytes: Uint8Array
): Either.Either<string, CheckpointCorrupt> => {
  const end = bytes.indexOf(NEWLINE)
  const header = /^sluice-([a-z]+) (\d+) ([0-9a-f]{64})$/.exec(decoder.decode(bytes.subarray(0, Math.max(end, 0))))
  if (header === null || header[1] !== kind) {
    return Either.left(new CheckpointCorrupt({ file, expected: `a header of sluice-${kind}`, found: "none" }))
  }
  if (header[2] !== String(version)) {
    return Either.left(new CheckpointCorrupt({ file, expected: `format version ${version}`, found: `format version ${header[2]}` }))
  }
  const body = bytes.subarray(end + 1)
  const found = of(body)
  return found === header[3]
    ? Either.right(decoder.decode(body))
    : Either.left(new CheckpointCorrupt({ file, expected: header[3], found }))
}
