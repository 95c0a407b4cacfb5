/** Whether answers are late because of the machine that asks. */
import { availableParallelism, loadavg } from "node:os";

/** So many programs want each processor of this machine that answers are late. */
export const isBusy = (): boolean => (loadavg()[0] ?? 0) > 4 * availableParallelism();

/** So many times as long as usual may whoever was late take then. */
export const patience = 3;
