/**
 * Modules that are evaluated anew for each who asks.
 *
 * V8 keeps what it learns of a function's callees and types with the function. Were the user functions, or the loop
 * that calls them, shared by two variants, each would be compiled for both: the hand loop would pay for the engines,
 * and they for it. So each variant of a workload is an instance of its module of its own, with instances of the
 * modules of user functions of its own. Sluice, RxJS and Effect are shared, as they are in any program.
 *
 * @since 0.1.0
 */

let instances = 0

/** A new instance of the module at `path`, relative to the module `from`. */
export const fresh = <M>(path: string, from: string): Promise<M> =>
  import(`${new URL(path, from).href}?instance=${++instances}`) as Promise<M>
