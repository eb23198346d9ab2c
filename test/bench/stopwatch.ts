/**
 * The time that work took, less the time in which this thread could have run and another process had its processor.
 *
 * On a machine that others use too that is most of the noise: with it a loop takes the same time, within 5 %, on an idle machine and on one with three busy
 * processes for two processors. Linux counts the wait for each thread; elsewhere the time is the wall clock's.
 *
 * @since 0.1.0
 */
import * as Fs from "node:fs"

const schedule = `/proc/${process.pid}/task/${process.pid}/schedstat`

const counts = Fs.existsSync(schedule)

/** milliseconds that the main thread has run, and has waited for a processor */
const usage = (): { readonly ran: number; readonly waited: number } => {
  if (!counts) return { ran: 0, waited: 0 }
  const [ran, waited] = Fs.readFileSync(schedule, "utf8").split(" ")
  return { ran: Number(ran) / 1e6, waited: Number(waited) / 1e6 }
}

/** Starts a stopwatch: what it gives is the milliseconds since then. */
export const start = (): () => number => {
  const before = usage()
  const at = performance.now()
  return () => {
    const wall = performance.now() - at
    const { ran, waited } = usage()
    // a virtual machine that was stopped for a while may count that as waiting: work never takes less than it ran
    return Math.max(wall - (waited - before.waited), ran - before.ran)
  }
}
