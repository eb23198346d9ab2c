/**
 * A task that reads two inputs, in turn or as its operator selects.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { InputStreamTask } from "./InputStreamTask.js"
import type { InputStatus } from "./Slices.js"

/** Runs a subtask whose head reads two inputs. */
export class TwoInputStreamTask extends InputStreamTask {
  protected override taskInit = Effect.suspend(() =>
    this.chain.selection === undefined || this.env.options.checkpoint === undefined ? Effect.void : Effect.die(
      new Error(
        `${this.chain.head.name}: an operator that selects its inputs cannot be part of checkpoints, as it may never read the other input's barrier; ` +
          "leave out nextSelection, or run the job without checkpoints"
      )
    )
  )

  protected override processInput(): InputStatus {
    const selection = this.chain.selection?.()
    if (selection === undefined) return super.processInput()
    const input = selection === "any" ? undefined : selection - 1
    if (input !== undefined && this.hasEnded(input)) {
      return Effect.die(
        new Error(`${this.chain.head.name}: the operator selects input ${selection}, which has ended; it would wait for ever`)
      )
    }
    return this.processRecord(input)
  }
}
