/**
 * What a law kit says of a part that breaks a law: which law, in which script, and how to run that script again.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A part does not keep a law of the life cycle. `script` is the shortest one found that shows it; with `seed` and `path` as options the kit runs that
 * one first. `runs` is how many scripts were run until the first that showed it.
 *
 * @since 0.1.0
 * @category errors
 */
export class LawBroken extends Schema.TaggedError<LawBroken>("sluice/LawBroken")("LawBroken", {
  part: Schema.String,
  law: Schema.String,
  rule: Schema.String,
  script: Schema.String,
  expected: Schema.String,
  found: Schema.String,
  seed: Schema.Number,
  path: Schema.String,
  runs: Schema.Number
}) {
  override get message() {
    return `${this.part} breaks ${this.law}: ${this.rule}
  script:   ${this.script}
  expected: ${this.expected}
  found:    ${this.found}
  after ${this.runs} ${this.runs === 1 ? "run" : "runs"}; to run this script first: { seed: ${this.seed}, path: "${this.path}" }`
  }
}
