/**
 * The file of one subtask's snapshot: frames, each a length and a body; a body is a state's description or a chunk of the state described last.
 *
 * The format version, operator uid, state name, shape and key-group range stand in the description; the checksum of the whole file in the metadata.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { OperatorPhase, StateDescription } from "../Checkpoint.js"
import { FORMAT_VERSION } from "../Checkpoint.js"
import type { KeyGroupRange } from "../KeyGroup.js"
import { pack, unpack } from "../state/Codec.js"
import type { PendingSnapshot } from "./OperatorState.js"

/** A state as it stands in a file. */
export interface FileState extends Omit<StateDescription, "entries"> {
  readonly version: number
  readonly uid: string
  readonly keyGroups: KeyGroupRange
  readonly chunks: Array<Uint8Array>
}

const DESCRIPTION = 1
const CHUNK = 2

const frame = (kind: number, body: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(5 + body.length)
  new DataView(bytes.buffer).setUint32(0, body.length)
  bytes[4] = kind
  bytes.set(body, 5)
  return bytes
}

/** Writes the snapshots of a chain one after the other; gives what each holds. */
export const write = <E>(
  snapshots: ReadonlyArray<PendingSnapshot>,
  keyGroups: KeyGroupRange,
  append: (bytes: Uint8Array) => Effect.Effect<void, E>
): Effect.Effect<
  ReadonlyArray<{ readonly uid: string; readonly phase: OperatorPhase; readonly states: ReadonlyArray<StateDescription> }>,
  E
> =>
  Effect.forEach(snapshots, (snapshot) =>
    Effect.map(
      snapshot.write({
        begin: (state) => append(frame(DESCRIPTION, pack({ version: FORMAT_VERSION, uid: snapshot.uid, keyGroups, ...state }))),
        chunk: (bytes) => append(frame(CHUNK, bytes))
      }),
      (states) => ({ uid: snapshot.uid, phase: snapshot.phase, states })
    ))

/** Reads a file back; its bytes have been checked against their checksum. */
export const parse = (bytes: Uint8Array): ReadonlyArray<FileState> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const states: Array<FileState> = []
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at)
    const body = bytes.subarray(at + 5, at + 5 + length)
    if (bytes[at + 4] === DESCRIPTION) states.push({ ...unpack(body) as Omit<FileState, "chunks">, chunks: [] })
    else states[states.length - 1].chunks.push(body)
    at += 5 + length
  }
  return states
}
