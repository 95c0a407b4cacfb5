/** The journal of what the backup member does at the operator's word, for which no lock is taken. */
import { type Entry, note } from "../act/journal.ts";
import { type Holder, holderOf } from "../act/lock.ts";
import { say } from "../act/plan.ts";
import type { OperatedStack } from "../stack.ts";

/** How it ended, in the journal. */
export interface Noted {
  readonly outcome: Exclude<Entry["outcome"], undefined>;
  /** Of which the first line is noted. */
  readonly result: string;
}

/**
 * Notes that it begins. A stack whose etcd cannot be asked does without: it is wanted all the more then.
 * @returns notes its end
 */
export function noteBegin(stack: OperatedStack, what: string): (end: Noted) => Promise<void> {
  const holder = holderOf(what);
  const begun = noted(stack, holder);
  return async ({ outcome, result }) => {
    await begun;
    const [line = ""] = result.split("\n");
    await noted(stack, holder, { until: new Date().toISOString(), outcome, result: line });
  };
}

const noted = (stack: OperatedStack, holder: Holder, end?: Parameters<typeof note>[2]) =>
  note(stack, holder, end).catch((error: Error) =>
    say(`this is not in the journal: ${error.message.split("\n")[0]}`),
  );
