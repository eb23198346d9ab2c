/**
 * Lint rules of this repository that oxlint does not bring along.
 *
 * whole-suite       in test/: no `only`, `skip` or `todo`, in whatever chain of `it`, `test`, `describe` or tstyche's `expect` it stands
 *                   (`it.effect.only`, `describe.skip`, …), and none of `fit`, `xit`, `fdescribe`, `xdescribe`
 * no-current-date   in src/: no `new Date()` and no `Date()`: they read the wall clock, which belongs to Effect's Clock
 */

const roots = new Set(["it", "test", "describe", "suite", "expect"])
const partial = new Set(["only", "skip", "todo"])
const aliases = new Set(["fit", "xit", "xtest", "fdescribe", "xdescribe"])

const rootName = (node) => {
  while (node.type === "MemberExpression" || node.type === "CallExpression") {
    node = node.type === "MemberExpression" ? node.object : node.callee
  }
  return node.type === "Identifier" ? node.name : undefined
}

const propertyName = (node) =>
  !node.computed && node.property.type === "Identifier"
    ? node.property.name
    : node.property.type === "Literal" && typeof node.property.value === "string"
    ? node.property.value
    : undefined

const wholeSuite = {
  create: (context) => ({
    MemberExpression(node) {
      const name = propertyName(node)
      if (partial.has(name) && roots.has(rootName(node.object))) {
        context.report({ node, message: `A committed suite runs whole: take "${name}" away, or the test.` })
      }
    },
    CallExpression(node) {
      if (node.callee.type === "Identifier" && aliases.has(node.callee.name)) {
        context.report({ node, message: `A committed suite runs whole: "${node.callee.name}" focuses or skips.` })
      }
    }
  })
}

const noCurrentDate = {
  create: (context) => {
    const check = (node) => {
      if (
        node.callee.type === "Identifier" && node.callee.name === "Date" && (node.type === "CallExpression" || node.arguments.length === 0)
      ) {
        context.report({ node, message: "This reads the wall clock: take the time from Effect's Clock." })
      }
    }
    return { NewExpression: check, CallExpression: check }
  }
}

export default {
  meta: { name: "sluice" },
  rules: { "whole-suite": wholeSuite, "no-current-date": noCurrentDate }
}
