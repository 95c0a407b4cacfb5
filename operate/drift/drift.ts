/** Finds what was changed by hand since the last `up`. */
import { setTimeout as sleep } from "node:timers/promises";
import { allMembers } from "../../infra/topology.ts";
import { allPrintable } from "../../lib/printable.mjs";
import { isStopped, isStoppedSince } from "../act/whole.ts";
import type { OperatedStack } from "../stack.ts";
import { ask, type Look } from "./ask.ts";
import { compare, type Difference, findingsOf } from "./compare.ts";
import { memberOf } from "./engine.ts";
import type { Expectation, Finding } from "./expectation.ts";
import type { State } from "./state.ts";
import { expectations, secretsIn } from "./wanted.ts";

export interface Drift {
  readonly findings: readonly Finding[];
  /** What could not be looked at, and why. */
  readonly unseen: readonly { readonly machine: string; readonly why: string }[];
  /** What is worth to know and no change by hand. */
  readonly remarks: readonly string[];
  /** How many things were compared. */
  readonly compared: number;
}

/** After this what differed is looked at again: a process that is started anew, say. */
const againSeconds = 1.5;

/** Compares the state with what there is; changes nothing. */
export async function findDrift(stack: OperatedStack, state: State): Promise<Drift> {
  const absent = stack.topology.machines.filter((one) => one.absent).map(({ name }) => name);
  const wanted = expectations(stack.name, stack.topology, state.resources).filter(
    (one) => !absent.includes(machineOf(stack, one)),
  );
  const first = await ask(stack, questions(wanted));
  const { differences, unrecorded } = compare(wanted, first.seen);
  const differing = [...new Set(differences.map(({ expectation }) => expectation))];
  const stopped = differing.some(isProcess) && (await isStopped(stack));
  const doubtful = differing.filter((one) => !(stopped && isProcess(one)));
  const again = doubtful.length === 0 ? undefined : await lookAgain(stack, state, doubtful);
  const unheard = new Map([...first.unheard, ...(again?.unheard ?? [])]);
  return allPrintable({
    findings: again?.findings ?? [],
    unseen: [...unheard].map(([machine, why]) => ({ machine, why })),
    remarks: [
      ...(stopped ? [`${isStoppedSince}: its processes were not compared`] : []),
      ...absent.map((name) => `${name} is absent (hastack:absent), and was not looked at`),
      ...remarksOn(unrecorded),
      ...remarksOnPatroni(wanted, first),
      ...remarkOnSecrets(state),
    ],
    compared: wanted.length,
  });
}

async function lookAgain(
  stack: OperatedStack,
  { resources }: State,
  doubtful: readonly Expectation[],
): Promise<{ readonly findings: Finding[]; readonly unheard: Look["unheard"] }> {
  await sleep(againSeconds * 1000);
  const { seen, unheard } = await ask(stack, questions(doubtful, true));
  const differences: readonly Difference[] = compare(doubtful, seen).differences;
  const members = allMembers(stack.topology).map(({ name }) => name);
  const place = (one: Expectation) => placeOf(stack, members, one);
  return { findings: findingsOf(differences, seen, secretsIn(resources), place), unheard };
}

/** Whether it runs, and starts by itself. */
const isProcess = ({ ask: question }: Expectation): boolean => /^(service|unit) /.test(question);

/** @param withTexts whether the files themselves are to be read */
function questions(
  wanted: readonly Expectation[],
  withTexts = false,
): ReadonlyMap<string, ReadonlySet<string>> {
  const all = new Map<string, Set<string>>();
  const add = (machine: string, question: string) => {
    const known = all.get(machine) ?? new Set();
    all.set(machine, known.add(question));
  };
  for (const { machine, ask: question, file, brought } of wanted) {
    add(machine, question);
    if (brought) add(machine, `notes ${brought.folder}`);
    if (withTexts && file) add(machine, question.replace(/^file/, "text"));
  }
  return all;
}

/** On Docker members are machines, and the engine has things of theirs. */
function machineOf(stack: OperatedStack, { machine, ask: question }: Expectation): string {
  if (machine !== "") return machine;
  return memberOf(
    stack.name,
    question,
    allMembers(stack.topology).map(({ name }) => name),
  );
}

/** Where people look for it. */
function placeOf(
  { name }: OperatedStack,
  members: readonly string[],
  { machine, ask: question }: Expectation,
): string {
  if (machine === "") return memberOf(name, question, members);
  return question.startsWith("patroni ") ? "database" : machine;
}

/** By machine: an `up` that was cut off touches many files at once. */
function remarksOn(unrecorded: readonly Expectation[]): string[] {
  const machines = new Map<string, string[]>();
  for (const { machine, thing } of unrecorded) {
    machines.set(machine, [...(machines.get(machine) ?? []), thing]);
  }
  return [...machines].map(
    ([machine, things]) =>
      `${machine || "Docker"}: an up that failed or was cut off has changed ${things.join(", ")}; npx pulumi up ends it`,
  );
}

function remarksOnPatroni(wanted: readonly Expectation[], { seen }: Look): string[] {
  const asked = wanted.filter(({ ask: question }) => question.startsWith("patroni "));
  const isAnswered = ({ machine, ask: question }: Expectation) =>
    (seen.get(machine)?.get(question) ?? []).some(([, text]) => text !== "");
  return asked.length === 0 || asked.some(isAnswered)
    ? []
    : ["database: no member tells Patroni's settings, so they were not compared"];
}

function remarkOnSecrets({ closed }: State): string[] {
  return closed === undefined
    ? []
    : [`files with secrets are compared with what was noted of them on the machines (${closed})`];
}
