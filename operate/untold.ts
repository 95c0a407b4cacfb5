/** Commands that judge a stack: their exit status says what they found. */
import { say } from "./act/plan.ts";

/** @returns the exit status of what was found, or 2 where that could not be told, with why on standard error */
export async function orUntold(judge: () => Promise<number>): Promise<number> {
  try {
    return await judge();
  } catch (error) {
    say((error as Error).message);
    return 2;
  }
}
