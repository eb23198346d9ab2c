/**
 * Which kind of task runs a vertex.
 *
 * @since 0.1.0
 */
import type { Invokable, TaskEnvironment } from "./Invokable.js"
import { OneInputStreamTask } from "./OneInputStreamTask.js"
import { SourceStreamTask } from "./SourceStreamTask.js"
import { TwoInputStreamTask } from "./TwoInputStreamTask.js"

/** The task of a subtask. */
export const taskOf = (env: TaskEnvironment): Invokable =>
  env.inputs.length === 0 ? new SourceStreamTask(env) : env.inputs.length === 1 ? new OneInputStreamTask(env) : new TwoInputStreamTask(env)
