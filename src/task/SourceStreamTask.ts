/**
 * A task whose head reads from outside.
 *
 * Checkpoints start here: the trigger takes the lock in a fiber of its own. A savepoint that stops the job first ends the data.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CheckpointBarrier } from "../Checkpoint.js"
import { Watermark } from "../StreamElement.js"
import { SourceNode } from "./OperatorChain.js"
import type { InputStatus } from "./Slices.js"
import { StreamTask } from "./StreamTask.js"

/** Runs a source's subtask. */
export class SourceStreamTask extends StreamTask {
  private fetching = false
  private stop: CheckpointBarrier | undefined
  private ended = false

  protected get recordsIn(): number {
    const head = this.chain?.head
    return head instanceof SourceNode ? head.operator.recordsRead : 0
  }

  /** event time begins behind the source, where watermarks are made */
  protected get watermark(): number {
    if (this.chain === undefined) return Watermark.MIN
    return Math.max(...this.chain.nodes.map((node) => node.watermark), ...this.chain.writers.map((writer) => writer.watermark))
  }

  protected processInput(): InputStatus {
    const head = this.chain.head as SourceNode
    if (this.ended) return "nothing"
    if (head.phase !== "running") {
      this.ended = true
      return "end"
    }
    if (this.fetching) return "nothing"
    switch (head.operator.poll(head.out)) {
      case "more-available":
        return "more"
      case "end-of-input":
        this.ended = true
        return "end"
      case "nothing-available":
        return this.fetch(head)
    }
  }

  protected override stops(): boolean {
    if (this.stop === undefined || this.ended) return false
    const { kind } = this.stop
    this.drain = kind._tag === "Savepoint" && kind.stop === "drain"
    this.ended = true
    return true
  }

  private fetch(head: SourceNode): Effect.Effect<void> {
    this.fetching = true
    return Effect.asVoid(Effect.forkIn(
      Effect.catchAllCause(head.operator.fetch, this.fail).pipe(
        Effect.zipRight(Effect.sync(() => {
          this.fetching = false
          this.parker.wake()
        }))
      ),
      this.fibers
    ))
  }

  override readonly triggerCheckpointAsync = (barrier: CheckpointBarrier): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      if (!this.isCheckpointable) return Effect.succeed(false)
      if (barrier.kind._tag === "Savepoint" && barrier.kind.stop !== "no" && this.state !== "awaitingFinalCheckpoint") {
        this.stop ??= barrier
        this.parker.wake()
        return Effect.succeed(true)
      }
      return Effect.as(this.underLock(this.triggerCheckpointOnBarrier(barrier)), true)
    })

  protected override beforeFinalCheckpoint = Effect.suspend(() =>
    this.stop === undefined ? Effect.void : this.lock.hold(this.triggerCheckpointOnBarrier(this.stop))
  )
}
