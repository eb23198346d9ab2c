/** Rows of the areas LC to MB that have no test, and why: what this project does instead. */
export const reasons: Record<string, string> = {
  "LC-32":
    "There are no metrics of initialization: a task's metrics are its records in and out and its watermark, and how long a restore took is not measured",
  "CA-21": "Subject being built: deadlines for code that cannot be interrupted",
  "CA-22":
    "Subject being built: barriers that overtake records, with unaligned checkpoints; without them no event has priority over another"
}
