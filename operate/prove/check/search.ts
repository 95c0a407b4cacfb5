/**
 * Whether operations on one register can have happened one after the other: the search of Wing and Gong, with Lowe's
 * memory of what was tried before. What it leaves out cannot change the answer.
 */
import type { Operation } from "../history.ts";
import { Order } from "./order.ts";

/**
 * @param deadline when to give up, by `performance.now`
 * @returns nothing where time was too short
 */
export function canHaveHappened(
  operations: readonly Operation[],
  deadline: number,
): boolean | undefined {
  const order = new Order(operations);
  const tried = new Set<string>();
  let from = order.first;
  while (order.missing > 0) {
    if (performance.now() > deadline) return undefined;
    const write = order.nextWrite(from);
    if (write) order.place(write);
    const state = write && order.state();
    if (state !== undefined && !tried.has(state)) {
      tried.add(state);
      from = order.first;
    } else {
      const last = order.takeBack();
      if (last === undefined) return false;
      from = last.after;
    }
  }
  return true;
}
