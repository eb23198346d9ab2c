/**
 * A task that reads one input.
 *
 * @since 0.1.0
 */
import { InputStreamTask } from "./InputStreamTask.js"

/** Runs a subtask whose head reads one input. */
export class OneInputStreamTask extends InputStreamTask {}
