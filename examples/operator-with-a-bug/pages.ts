/**
 * An operator that gathers records into pages of `n`, written twice: as one writes it at first, and as it must be.
 */
import { Effect } from "effect"
import type { StreamOperator } from "sluice"

/** Right as long as nothing crashes: records of a page that is not full are in no checkpoint, and the source does not give them again. */
export const forgetful = (n: number) =>
  Effect.sync((): StreamOperator.StreamOperator<number, ReadonlyArray<number>> => {
    let page: Array<number> = []
    return {
      processElement: ({ value }, out) => {
        page.push(value)
        if (page.length < n) return
        out.emit(page, undefined)
        page = []
      },
      finish: (out) => {
        if (page.length > 0) out.emit(page, undefined)
      }
    }
  })

/** The page in hand is part of each snapshot, and a restore begins with it. */
export const mended = (n: number) =>
  Effect.sync((): StreamOperator.StreamOperator<number, ReadonlyArray<number>> => {
    let page: Array<number> = []
    let state: StreamOperator.OperatorListState<number>
    return {
      initializeState: (ctx) => {
        state = ctx.list<number>("page", undefined)
        page = state.get().slice()
      },
      snapshotState: () => state.set(page.slice()),
      processElement: ({ value }, out) => {
        page.push(value)
        if (page.length < n) return
        out.emit(page, undefined)
        page = []
      },
      finish: (out) => {
        if (page.length > 0) out.emit(page, undefined)
        page = []
      }
    }
  })
