/** What all machines of a whole stack `dev` answered, as it was and while something was broken. */
import { readFileSync } from "node:fs";
import { inRoot } from "../../../../lib/paths.ts";
import type { Answers } from "../../../../operate/status/ask.ts";
import type { Picture } from "../../../../operate/status/picture.ts";
import { judge, type Said } from "../../../../operate/status/status.ts";
import { planWith } from "../../../support/unit/fixtures.ts";

interface Recording {
  readonly at: string;
  /** What differs from the whole stack; null for an answer that did not come. */
  readonly said: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const recordings: Readonly<Record<string, Recording>> = JSON.parse(
  readFileSync(inRoot("tests/unit/operate/status/recorded-dev.json"), "utf8"),
);

export const recordedStack = {
  name: "dev",
  ...planWith({
    network: {
      frontend: { subnet: "172.28.10.0/24", vip: "172.28.10.100" },
      backend: { subnet: "172.28.11.0/24", vip: "172.28.11.100" },
    },
  }),
};

/** @param state as it was recorded: `whole`, `lb-killed` … */
export function recordedAnswers(state: string): { at: Date; machines: Map<string, Said> } {
  const { at, said } = recordings[state] as Recording;
  const machines = new Map<string, Said>();
  for (const [machine, whole] of Object.entries(recordings.whole?.said ?? {})) {
    const changed = said[machine] ?? {};
    const all = "unreachable" in changed ? changed : { ...whole, ...changed };
    const came = Object.entries(all).filter(([, answer]) => answer !== null);
    machines.set(machine, Object.fromEntries(came) as Answers);
  }
  return { at: new Date(at), machines };
}

/** @param state as above */
export function recordedPicture(state: string): Picture {
  const { at, machines } = recordedAnswers(state);
  return judge(recordedStack, machines, at, 1);
}
