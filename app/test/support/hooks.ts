import { removeContainers } from "./docker.ts";
import { type Postgres, startPrimary } from "./postgres.ts";

let shared: Promise<Postgres> | undefined;

/** One PostgreSQL for all tests that need no more than a database of their own in it. */
export function sharedPostgres(): Promise<Postgres> {
  shared ??= startPrimary("shared");
  return shared;
}

// Files that import this module get the clean-up with it: a root hook runs once, at the very end.
after(async function () {
  this.timeout(60_000);
  await removeContainers();
});
