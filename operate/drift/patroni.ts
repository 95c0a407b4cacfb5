/** Patroni's settings as things with properties. */
import type { Properties } from "./expectation.ts";

/** What is the operator's: a pause of automatic failover stays. */
const operators: readonly string[] = ["pause"];

/** Nested values by their paths, such as `postgresql.parameters.max_connections`. */
export function flat(value: unknown, path = ""): Properties {
  if (typeof value !== "object" || value === null) return { [path]: String(value) };
  return Object.assign(
    {},
    ...Object.entries(value)
      .filter(([name]) => path !== "" || !operators.includes(name))
      .map(([name, inner]) => flat(inner, path === "" ? name : `${path}.${name}`)),
  );
}
