/** Reads the visible result lines back and shows the airport-days with the highest mean delay. */
import { FileSystem, Path } from "@effect/platform"
import { Console, Effect, Schema } from "effect"

const AirportDay = Schema.parseJson(Schema.Struct({
  origin: Schema.String,
  day: Schema.String,
  flights: Schema.Number,
  meanDelay: Schema.Number,
  maxDelay: Schema.Number,
  lateShare: Schema.Number
}))

const decode = Schema.decodeUnknown(AirportDay)

/** Prints the `n` worst days among those with at least 50 flights. */
export const showWorst = (directory: string, n: number) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const files = (yield* fs.readDirectory(directory, { recursive: true }))
      .filter((file) => file.endsWith(".jsonl") && !/^[._]/.test(path.basename(file)))
    const texts = yield* Effect.forEach(files, (file) => fs.readFileString(path.join(directory, file)))
    const days = yield* Effect.forEach(texts.flatMap((text) => text.split("\n").filter((line) => line !== "")), (line) => decode(line))
    const worst = days.filter((each) => each.flights >= 50).sort((a, b) => b.meanDelay - a.meanDelay).slice(0, n)
    yield* Console.log(`\n${days.length} airport-days; the ${worst.length} worst with at least 50 flights:`)
    yield* Console.table(worst.map(({ day, flights, lateShare, maxDelay, meanDelay, origin }) => ({
      origin,
      day,
      flights,
      "mean delay": Number(meanDelay.toFixed(1)),
      "max delay": maxDelay,
      "late > 15 min": `${(100 * lateShare).toFixed(0)} %`
    })))
  })
