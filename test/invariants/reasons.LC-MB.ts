/** Rows of the areas LC to MB that have no test, and why: what this project does instead. */
export const reasons: Record<string, string> = {}
