/** Rows of the areas LC to MB that have no test, and why: what this project does instead. */
export const reasons: Record<string, string> = {
  "LC-32":
    "There are no metrics of initialization: a task's metrics are its records in and out and its watermark, and how long a restore took is not measured",
  "TI-21":
    "A timer's callback is plain synchronous code, so none can block while the timer service shuts down: it is stopped by interrupting its fiber, which takes " +
    "the Effects that a firing left to run with it; there is no timeout to wait for. Deadlines for what cannot be interrupted are another subject, see CA-21",
  "TI-23":
    "There is nothing that iterates over the timers of an operator: TimerService registers, deletes and counts; what is registered is in the snapshot by itself",
  "TI-25":
    "Timers are not interrupted: those of one watermark all fire, and the watermark goes on, in one step under the lock; what waits for the lock, or was asked for " +
    "with execute, comes after the batch in hand (L5)",
  "MB-11":
    "An operator never yields to a mailbox from within a hook: where it has to wait it answers with an Effect, which its task runs to the end before the " +
    "next record reaches it; what was asked for with execute is run by the task's loop alone",
  "MB-16":
    "What operators ask for with execute has no priorities: it is run in the order in which it was asked for (MB-04). What has to come first, timers, checkpoints " +
    "and notifications, waits for the lock in fibers of its own, to which the loop gives way after the batch in hand (L5)",
  "MB-17": "Deferrable mails exist to be passed over by yield, which there is not (MB-11)"
}
