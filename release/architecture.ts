import { run } from "../lib/run.ts";
import type { Architecture } from "./recipe.ts";

/** Docker's, Node's and Linux's names for an architecture, as Node's. @throws for others. */
export function architecture(name: string): Architecture {
  if (name === "x86_64" || name === "amd64" || name === "x64") return "x64";
  if (name === "aarch64" || name === "arm64") return "arm64";
  throw new Error(`architecture ${name}: releases are built for x64 and arm64 only`);
}

/** The architecture of the Docker engine, where there is one; else this machine's. */
export async function engineArchitecture(): Promise<Architecture> {
  const engine = await run(["docker", "info", "--format", "{{.Architecture}}"], {
    limitSeconds: 10,
  });
  const answer = engine.stdout.trim();
  return architecture(engine.code === 0 && answer !== "" ? answer : process.arch);
}
