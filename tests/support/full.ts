/** Whether this is a run of `npm run test:full`. */
export const isFull = process.env.HASTACK_TEST_FULL === "1";

/** Skips a test, or in a hook a suite, that `npm run test:full` has the minutes for. */
export function onlyInFull(context: Mocha.Context): void {
  if (isFull) return;
  console.log("      skipped: it belongs to npm run test:full");
  context.skip();
}
