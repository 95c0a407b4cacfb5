/** The screen again and again, until it is ended. */
import { setTimeout as sleep } from "node:timers/promises";

/** From the end of one look to the start of the next. */
const pauseSeconds = 2;

/**
 * @param show makes one screen of text
 * @param clear whether each takes the place of the one before, as on a terminal
 */
export async function watch(
  show: () => Promise<string>,
  clear: boolean,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const text = await show();
    if (signal.aborted) return;
    process.stdout.write(clear ? `\u001b[H\u001b[2J${text}` : `${text}\n`);
    await sleep(pauseSeconds * 1000, undefined, { signal }).catch(() => {});
  }
}
