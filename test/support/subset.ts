/** L9: what is visible is at every moment part of what is right. */

/** Fails where `visible` holds something that is not in `all`, or more often. */
export const checkSubset = (all: ReadonlyArray<string>) => {
  const allowed = new Map<string, number>()
  for (const each of all) allowed.set(each, (allowed.get(each) ?? 0) + 1)
  return (visible: ReadonlyArray<string>): void => {
    const seen = new Map<string, number>()
    for (const each of visible) {
      const n = (seen.get(each) ?? 0) + 1
      seen.set(each, n)
      if (n > (allowed.get(each) ?? 0)) throw new Error(`L9: ${each} is visible ${n} times, ${allowed.get(each) ?? 0} are right`)
    }
  }
}
