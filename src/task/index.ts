/**
 * The runtime's contracts, for people who build on it.
 *
 * @since 0.1.0
 */
export * as BarrierAligner from "./BarrierAligner.js"
export type { CheckpointResponder, Invokable, SubtaskReport, TaskEnd, TaskEnvironment } from "./Invokable.js"
export { OneInputStreamTask } from "./OneInputStreamTask.js"
export { SourceStreamTask } from "./SourceStreamTask.js"
export { StreamTask } from "./StreamTask.js"
export { WatermarkValve } from "./WatermarkValve.js"
