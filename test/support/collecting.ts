/** An output that keeps what it is given. */
import { StreamElement } from "sluice"
import type { StreamOperator } from "sluice"

export const collecting = <A>() => {
  const records: Array<StreamElement.StreamRecord<A>> = []
  const emit = (value: A, timestamp: number | undefined) => void records.push(StreamElement.record(value, timestamp))
  const output: StreamOperator.Output<A> = {
    emit,
    emitBatch: (values, timestamps, count) => {
      if (count > values.length || (timestamps !== undefined && count > timestamps.length)) throw new Error(`there are no ${count}`)
      for (let i = 0; i < count; i++) emit(values[i], timestamps === undefined ? undefined : timestamps[i])
    },
    emitWatermark: () => {},
    emitStatus: () => {},
    output: () => {}
  }
  return { output, records }
}
