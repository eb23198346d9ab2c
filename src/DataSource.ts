/**
 * Where records come from: splits that can be read from any position on.
 *
 * A source is listed once, when the job starts without state of it; its splits are dealt out to the subtasks in turn, in order, and each subtask
 * reads its splits one after the other. What is left of each split is in every checkpoint, and a restored job goes on from there.
 *
 * S1. Reading a split from the position of a batch gives exactly the records that followed that batch.
 * S2. `poll` never waits; `fetch` waits outside the lock, and is interrupted when the task ends.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { OutputTag } from "./OutputTag.js"

/**
 * Records that are at hand.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceBatch<out A, out P> {
  readonly values: ReadonlyArray<A>
  /** event time of each value, where the source knows it */
  readonly timestamps?: ReadonlyArray<number> | undefined
  /** where to go on reading after this batch */
  readonly position: P
  /** what goes to a side output; a batch may hold nothing else */
  readonly side?: ReadonlyArray<{ readonly tag: OutputTag<any>; readonly value: unknown }> | undefined
}

/**
 * Reads one split.
 *
 * @since 0.1.0
 * @category models
 */
export interface SplitReader<out A, out P, out E = never> {
  /** the next batch that is at hand, of at most `max` records with those for side outputs, or `undefined` */
  readonly poll: (max: number) => SourceBatch<A, P> | undefined
  /** brings more to hand, also where some is at hand already; gives false where the split has no more */
  readonly fetch: Effect.Effect<boolean, E>
}

/**
 * A source of `A` that may fail with `E` and needs `R`.
 *
 * @since 0.1.0
 * @category models
 */
export interface DataSource<out A, out E = never, out R = never> {
  readonly _tag: "DataSource"
  readonly name: string
  readonly boundedness: "bounded" | "unbounded"
  /** lists the splits, in the order in which they are to be read */
  readonly splits: Effect.Effect<ReadonlyArray<unknown>, E, R>
  readonly split: Schema.Schema<any, any> | undefined
  readonly position: Schema.Schema<any, any> | undefined
  readonly read: (split: any, position: any) => Effect.Effect<SplitReader<A, unknown, E>, E, R | Scope.Scope>
}

/**
 * Makes a source. Splits and positions are stored in checkpoints: plain data, or with a schema.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <S, P, A, E1 = never, R1 = never, E2 = never, R2 = never, E3 = never>(options: {
  readonly name: string
  readonly boundedness?: "bounded" | "unbounded" | undefined
  readonly splits: Effect.Effect<ReadonlyArray<S>, E1, R1>
  readonly split?: Schema.Schema<S, any> | undefined
  readonly position?: Schema.Schema<P, any> | undefined
  /** opens a split at a position, or at its start; the Scope closes when the split has been read or the task ends */
  readonly read: (split: S, position: P | undefined) => Effect.Effect<SplitReader<A, P, E3>, E2, R2>
}): DataSource<A, E1 | E2 | E3, R1 | Exclude<R2, Scope.Scope>> => ({
  _tag: "DataSource",
  name: options.name,
  boundedness: options.boundedness ?? "bounded",
  splits: options.splits as any,
  split: options.split,
  position: options.position,
  read: options.read as any
})
