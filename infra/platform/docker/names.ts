/** What things are called in the Docker engine: one place, so that a stack's own are easy to find. */
import type { Network } from "../platform.ts";

export function dockerNames(stack: string) {
  const prefix = `hastack-${stack}`;
  return {
    container: (member: string) => `${prefix}-${member}`,
    network: (network: Network) => `${prefix}-${network}`,
    volume: (name: string) => `${prefix}-${name}`,
  };
}
