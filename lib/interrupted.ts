/** What tells a command to end. */
export const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Aborted once a person tells the command to end; told so again, it ends at once. */
export function interrupted(): AbortSignal {
  const stop = new AbortController();
  for (const name of signals) process.once(name, () => stop.abort(new Error("it was interrupted")));
  return stop.signal;
}
