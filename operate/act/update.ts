/** Newer Debian packages on machines, those that the stack uses and what they need, one machine after the other. */
import { readFileSync } from "node:fs";
import { commandLine } from "../../infra/platform/shell.ts";
import { basePackages } from "../../infra/platform/ssh/programs.ts";
import { inRoot } from "../../lib/paths.ts";
import { callOf, type Resource } from "../drift/state.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import { type Plan, Refusal, say } from "./plan.ts";
import { startAnew } from "./reboot.ts";
import { type Place, placesNamed, planRolling } from "./rolling.ts";

/** Lists of packages come over the network, and somebody else may be at it for two minutes. */
const listSeconds = 400;
const installSeconds = 1800;

const program = readFileSync(inRoot("operate/act/upgrade"), "utf8");

/** Packages that the stack has brought to its machines, by machine. */
export function packagesIn(resources: readonly Resource[]): ReadonlyMap<string, readonly string[]> {
  const all = new Map<string, string[]>();
  for (const resource of resources) {
    const { name, environment } = callOf(resource) ?? {};
    if (name !== "ssh/run.ts packages" || !environment) continue;
    const { MACHINE = "", REQUEST = "{}" } = environment;
    const { packages = [] } = JSON.parse(REQUEST) as { packages?: string[] };
    all.set(MACHINE, [...new Set([...(all.get(MACHINE) ?? []), ...packages])]);
  }
  return all;
}

/** What a machine would get. */
export interface Newer {
  readonly machine: string;
  /** `NAME OLD → NEW`. */
  readonly changes: readonly string[];
  /** Names of packages that somebody keeps as they are. */
  readonly held: readonly string[];
}

/** Reads what the program says of a machine. */
export function readNewer(machine: string, text: string): Newer {
  const lines = text.split("\n").map((line) => line.split(" "));
  return {
    machine,
    changes: lines.flatMap(([name, old, now]) =>
      now === undefined ? [] : [`${name} ${old} → ${now}`],
    ),
    held: lines.flatMap(([word, name = "", now]) =>
      word === "held" && now === undefined ? [name] : [],
    ),
  };
}

/** Shell text that tells what is newer for these packages, or installs it. */
export const upgradeScript = (deed: "list" | "install", packages: readonly string[]): string =>
  commandLine(["sh", "-c", program, "upgrade", deed, ...packages]);

async function onPlace(
  stack: OperatedStack,
  machine: string,
  deed: "list" | "install",
  packages: readonly string[],
): Promise<string> {
  const limitSeconds = deed === "list" ? listSeconds : installSeconds;
  const outcome = await onMachineOf(stack, machine, upgradeScript(deed, packages), {
    limitSeconds,
  });
  if (isUnreachable(outcome)) throw new Error(`${machine}: ${outcome.unreachable}`);
  if (outcome.code === 0) return outcome.stdout;
  const last = outcome.stderr.trim().split("\n").slice(-5).join("\n");
  throw new Error(`${machine}: its packages cannot be ${deed}ed (${outcome.code}): ${last}`);
}

/** Equal changes are told once, with all machines that get them. */
export function describeNewer(all: readonly Newer[]): string[] {
  const machines = new Map<string, string[]>();
  for (const { machine, changes } of all)
    for (const change of changes) machines.set(change, [...(machines.get(change) ?? []), machine]);
  return [
    ...[...machines].map(([change, names]) => `${change} (${names.join(", ")})`),
    ...all
      .filter(({ held }) => held.length > 0)
      .map(
        ({ machine, held }) =>
          `${machine}: kept as it is, as it is on hold there: ${held.join(", ")}`,
      ),
  ];
}

/**
 * @param packages of the stack, by machine
 * @param names of machines or members @default all machines
 * @throws Refusal on Docker, or where the rest could not carry on
 */
export async function planUpdate(
  stack: OperatedStack,
  packages: ReadonlyMap<string, readonly string[]>,
  names: readonly string[],
): Promise<Plan> {
  if (stack.settings.platform === "docker") throw new Refusal(onDocker);
  const places = placesNamed(stack, names);
  const packagesOf = ({ machine }: Place) => [...basePackages, ...(packages.get(machine) ?? [])];
  say("asking Debian what is newer");
  const newer = await Promise.all(
    places.map(async (place) =>
      readNewer(place.machine, await onPlace(stack, place.machine, "list", packagesOf(place))),
    ),
  );
  const changing = places.filter((_place, at) => (newer[at]?.changes.length ?? 0) > 0);
  const told = describeNewer(newer);
  if (changing.length === 0)
    return { costs: told, run: async () => "nothing is newer: there is nothing to update" };
  const deed = {
    doing: "installing, then rebooting, so that nothing older goes on running",
    async run(place: Place, signal: AbortSignal) {
      await onPlace(stack, place.machine, "install", packagesOf(place));
      await startAnew(stack, place.machine, signal);
    },
  };
  return planRolling(stack, changing, deed, told);
}

const onDocker =
  "on Docker a member's packages are part of its image, which is made once for each set of packages: what is " +
  "newer comes with images that are made anew. That takes the stack down: npm run destroy, " +
  "docker builder prune --all, npm start (its data stays where hastack:keepData was true at the last up)";
