/** What is shown of drift: text for people, and how the command ends. */
import type { Drift } from "./drift.ts";
import type { Finding } from "./expectation.ts";

/** Exit status: whether it is as the last `up` left it. */
export function statusOf({ findings, unseen }: Drift): number {
  if (findings.length > 0) return 1;
  return unseen.length > 0 ? 2 : 0;
}

export function textOf({ findings, unseen, remarks, compared }: Drift, stack: string): string {
  const machines = [...new Set(findings.map(({ machine }) => machine))];
  const lines = machines.flatMap((machine) => {
    const own = findings.filter((one) => one.machine === machine);
    return [machine, ...own.map(({ what }) => `  ${what}`), ...fixes(own), ""];
  });
  return [
    ...lines,
    ...unseen.map(({ machine, why }) => `${machine}: not looked at: ${why}`),
    ...remarks,
    summary(findings.length, compared, stack),
    "",
  ].join("\n");
}

/** Each once. */
function fixes(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ fix }) => fix))].map((fix) => `  to mend it: ${fix}`);
}

function summary(found: number, compared: number, stack: string): string {
  const what =
    found === 0 ? "nothing was" : `${found} ${found === 1 ? "thing was" : "things were"}`;
  return `${stack}: ${what} changed by hand (${compared} things compared)`;
}
