/**
 * Who we are among the processes of this machine, and which of the others is alive.
 *
 * The only file of src that names `process`.
 *
 * @since 0.1.0
 */
/* oxlint-disable eslint/no-restricted-globals */
import * as os from "node:os"

/**
 * A process as others see it.
 */
export interface Host {
  readonly name: string
  readonly pid: number
  /** seconds between the machine's start and this process's: a restarted container often has the same pid, but not the same birth */
  readonly born: number
  readonly isAlive: (pid: number) => boolean
}

const isAlive = (pid: number): boolean => {
  if (pid <= 0) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // a process of another user may not be signalled, but it lives
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/**
 * The process we run in.
 */
export const thisProcess: Host = { name: os.hostname(), pid: process.pid, born: os.uptime() - process.uptime(), isAlive }
