/**
 * Kits that hold parts of one's own to the laws of the life cycle: operators, sources, sinks, state backends, checkpoint storages.
 *
 * Each runs random scripts against a part, fails with `LawBroken` and the shortest script that shows it, and is one Effect: the body of a test.
 *
 * @since 0.1.0
 */
export type { RunOptions, Values } from "./laws/check.js"
export { checkpointStorage } from "./laws/checkpointStorage.js"
export type { CheckpointStorageOptions } from "./laws/checkpointStorage.js"
export { LawBroken } from "./laws/LawBroken.js"
export { operator, twoInputOperator } from "./laws/operator.js"
export type { OperatorOptions } from "./laws/OperatorRun.js"
export { sink } from "./laws/sink.js"
export type { SinkOptions, SinkUnderTest } from "./laws/sink.js"
export { source } from "./laws/source.js"
export type { SourceOptions } from "./laws/source.js"
export { stateBackend } from "./laws/stateBackend.js"
