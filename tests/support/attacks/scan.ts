/** Which ports answer, asked from wherever a shell can be run. */
import { readProjectFile } from "../../../lib/paths.ts";

/** Somewhere to connect to. */
export interface Target {
  readonly to: string;
  readonly port: number;
}

/** Seconds within which a machine of the same network answers, with all of them at it. */
const answerSeconds = 4;
const scanner = readProjectFile("tests/support/attacks/scan.pl");

/**
 * @param run runs shell text with an input
 * @param targets some hundreds at most: all are tried at once
 * @returns what came of each, in the order given: `ADDRESS PORT open`, `refused` or `nothing`
 */
export async function scanFrom(
  run: (script: string, input: string) => Promise<string>,
  targets: readonly Target[],
): Promise<string[]> {
  const input = targets.map(({ to, port }) => `${to} ${port}\n`).join("");
  const words = `perl -e "$(cat <<'END_OF_PROGRAM'\n${scanner}\nEND_OF_PROGRAM\n)" ${answerSeconds}`;
  return (await run(words, input)).trim().split("\n");
}
