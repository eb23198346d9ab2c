/**
 * Stateful streaming jobs inside Effect programs.
 *
 * @since 0.1.0
 */
export * as Aggregator from "./Aggregator.js"
export * as Checkpoint from "./Checkpoint.js"
export * as CheckpointStorage from "./CheckpointStorage.js"
export * as DataSink from "./DataSink.js"
export * as DataSource from "./DataSource.js"
export * as DataStream from "./DataStream.js"
export * as Job from "./Job.js"
export type * as JobMetrics from "./JobMetrics.js"
export * as JobOptions from "./JobOptions.js"
export * as KeyGroup from "./KeyGroup.js"
export * as KeyedStream from "./language/KeyedStream.js"
export * as WindowedStream from "./language/WindowedStream.js"
export * as Lifecycle from "./Lifecycle.js"
export type * as OperatorCode from "./OperatorCode.js"
export * as OutputTag from "./OutputTag.js"
export type * as ProcessFunction from "./ProcessFunction.js"
export * as State from "./State.js"
export * as StateBackend from "./StateBackend.js"
export * as StreamElement from "./StreamElement.js"
export { Watermark } from "./StreamElement.js"
export * as StreamError from "./StreamError.js"
export type * as StreamOperator from "./StreamOperator.js"
export * as WatermarkStrategy from "./WatermarkStrategy.js"
export * as Window from "./Window.js"
