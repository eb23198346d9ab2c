/**
 * The time that work took, less the time in which this thread could have run and another process had its processor.
 *
 * On a machine that others use too that is most of the noise: a loop whose wall-clock time went from 390 to 880 ms
 * while three processes shared two processors took 190 to 210 ms of this time. What is left is noise of shared caches
 * and of V8's helper threads, which wait as well. Linux counts the wait for each thread; elsewhere the time is the
 * wall clock's.
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
