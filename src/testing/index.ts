/**
 * What tests of jobs need.
 *
 * @since 0.1.0
 */
export * as Harness from "./Harness.js"
export * as Laws from "./Laws.js"
export * as Ledger from "./Ledger.js"
export * as Observer from "./Observer.js"
export * as Simulation from "./Simulation.js"
export { SteppingClock } from "./SteppingClock.js"
