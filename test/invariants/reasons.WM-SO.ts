/** Rows of areas WM to SO that have no test, and why. */
export const reasons: Record<string, string> = {
  "ST-03":
    "comes with broadcast state; a function of two streams has state only where both have keys, and without them it does not compile",
  "ST-05":
    "there is no raw keyed state: an operator that manages its own keeps it in a StateTable, which is stored by key group like all other",
  "WI-04": "comes with session windows; windows here are the same for all keys and never merge",
  "WI-10": "comes with triggers and global windows; a window fires when the watermark reaches its last timestamp",
  "WI-11": "comes with windows of processing time",
  "WI-18": "comes with session windows; no other windows merge",
  "JO-02": "comes with joins",
  "JO-05": "comes with joins",
  "2P-13":
    "there is no committer of its own, and no global one: each subtask of a sink commits what it has prepared, once it is told of the " +
    "checkpoint, which is complete only when every subtask's part of it is stored",
  "SO-04": "comes with broadcast state; side outputs of functions of two streams are tested in test/operators/builtin.harness.test.ts"
}
