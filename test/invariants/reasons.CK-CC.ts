/** Rows of the areas CK, FC, BA and CC that have no test, and why: what this project does instead. */
export const reasons: Record<string, string> = {
  "CK-19":
    "a task keeps no statistics of a snapshot; one that does not complete is reported as a whole, by the CheckpointFailed event with its reason",
  "CK-20":
    "there is no task-local copy of a snapshot: a subtask writes each state once, through the CheckpointWriter, and restores from there",
  "CK-21":
    "nobody keeps anything that a subsumed checkpoint would free: its files are removed by the coordinator, and tasks are told only of the newer one that completed (CC-05)",
  "CK-22":
    "every checkpoint is full, so there is no forced-full kind and no backend that could not take one; incremental state: subject being built",
  "FC-26":
    "no hook emits at a completion: notifyCheckpointComplete is given no output, and an operator's last chance to emit is finish, before the end of data goes on",
  "BA-20":
    "alignment is not measured: channels hold records, not bytes, and CheckpointStats tells the duration and the stored bytes of a whole checkpoint",
  "CC-27":
    "nothing on the coordinator's side has state of its own: a source deals out its splits, and a sink prepares its transactions, in subtasks, whose acknowledgements are all there are",
  "CC-29": "subject being built (incremental, shared state); until then every checkpoint owns all its files"
}
