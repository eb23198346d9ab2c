/**
 * Names a side output and the type of what goes there.
 *
 * @since 0.1.0
 */

/**
 * The name of a side output; two tags with one id are the same output.
 *
 * @since 0.1.0
 * @category models
 */
export interface OutputTag<in out A> {
  readonly id: string
  readonly _A: (_: A) => A
}

/**
 * Makes a tag.
 *
 * @example
 * ```ts
 * import { OutputTag } from "sluice"
 *
 * const late = OutputTag.make<{ readonly user: string }>("late")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A>(id: string): OutputTag<A> => ({ id, _A: (a) => a })
