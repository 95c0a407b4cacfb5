/** `npm run prove`: breaks a running stack in many ways under load, and judges what is promised of it. */
import http from "node:http";
import https from "node:https";
import { cpus, setPriority } from "node:os";
import { allPrintable } from "../../lib/printable.mjs";
import { type Plan, Refusal, say, Unfinished } from "../act/plan.ts";
import type { OperatedStack } from "../stack.ts";
import { makeDatabase } from "./database.ts";
import type { Fault } from "./fault.ts";
import { faults } from "./faults.ts";
import { countedOf, exitStatusOf, isWanted, verdictOfProof } from "./judge.ts";
import { keepProof, proofToResume } from "./kept.ts";
import { removeProof } from "./leftovers.ts";
import { rates } from "./load/load.ts";
import type { Site } from "./load/pages.ts";
import { promisedTogether } from "./promises.ts";
import type { FaultResult, Proof } from "./proof.ts";
import { progressOf, tableText } from "./report/table.ts";
import { some } from "./report/words.ts";
import { type Outcome, runOnce, whole } from "./run.ts";
import { sceneOf } from "./scene.ts";

export interface ProveOptions {
  /** How often each fault is tried. @default once */
  readonly runs?: number;
  /** Names of faults. @default all */
  readonly only?: readonly string[];
  /** How many faults are drawn from these. @default all are tried */
  readonly draw?: number;
  /** Goes on with the last proof of this stack, where it was cut off. @default false */
  readonly resume?: boolean;
  readonly json: boolean;
  /** Gets the exit status of what was found. */
  readonly tell: (status: number) => void;
}

/** @throws with what there is, for a name that is none */
export function chosenFaults(only: readonly string[] | undefined): readonly Fault[] {
  if (only === undefined) return faults;
  return [...new Set(only)].map((name) => {
    const found = faults.find((one) => one.name === name);
    if (found) return found;
    const all = faults.map((one) => `  ${one.name}`).join("\n");
    throw new Error(`--only ${name}: there is no such fault; these are\n${all}`);
  });
}

/** So many of them, each at most once, in any order. */
export function drawn<One>(all: readonly One[], count = all.length): readonly One[] {
  if (count >= all.length) return all;
  const left = [...all];
  return Array.from({ length: count }, () =>
    left.splice(Math.floor(Math.random() * left.length), 1),
  ).flat();
}

/** A stack that was changed a moment ago may not be whole yet, seconds. */
const soonSeconds = 20;

/** Of one run: quiet before and after, the fault, and what has to heal. */
const minutesOfRun = 1;

export async function planProof(stack: OperatedStack, options: ProveOptions): Promise<Plan> {
  const other = (["only", "draw", "runs"] as const).find((name) => options[name] !== undefined);
  if (options.resume && other !== undefined)
    throw new Refusal(`--resume goes on with the faults of the last proof: leave --${other} out`);
  const before = options.resume ? proofToResume(stack.name) : undefined;
  const runs = before?.runs ?? options.runs ?? 1;
  const chosen = chosenFaults(before?.chosen ?? options.only);
  const site = await siteOf(stack);
  const picture = await whole(stack, new AbortController().signal, soonSeconds).catch(
    (error: Error) => {
      throw new Refusal(`only a stack that is whole can be proved: ${error.message}`);
    },
  );
  const scene = await sceneOf(stack, picture);
  const reasons = await Promise.all(
    chosen.map(async (one) => (await one.whyNot?.(scene)) ?? noneThere(one, scene)),
  );
  const possible = chosen.filter((_one, index) => reasons[index] === undefined);
  const tried = before ? possible : drawn(possible, options.draw);
  const skipped = chosen.flatMap(({ name }, index) => {
    const why = reasons[index];
    return why === undefined ? [] : [{ name, why }];
  });
  if (tried.length === 0)
    throw new Refusal(
      `nothing can be tried at this stack: ${skipped.map(({ name, why }) => `${name} (${why})`).join("; ")}`,
    );
  const allSkipped = [...(before?.skipped ?? []), ...skipped];
  const done = (before?.faults ?? []).reduce((sum, one) => sum + countedOf(one).length, 0);
  const count = Math.max(0, tried.length * runs - done);
  return {
    costs: [
      `${some(tried.length, "fault")}, ${runs === 1 ? "once" : `${runs} times`}${tried.length > 1 ? " each" : ""}${done > 0 ? `, of which ${some(done, "run")} ${done === 1 ? "is" : "are"} done` : ""}: about ${some(Math.ceil(count * minutesOfRun), "minute")}.`,
      ...(options.draw === undefined
        ? []
        : [`Drawn: ${tried.map(({ name }) => name).join(", ")}.`]),
      "Visitors see each of them, as far as the stack lets them: pages and writes stand still for up to a minute at a time.",
      "Clients make some 85 requests a second, and write to a database of their own, which is removed afterwards.",
    ],
    hasOutput: true,
    undo: [{ do: "remove-proof" }],
    run: (signal) =>
      prove(stack, {
        ...options,
        ...{ runs, tried, skipped: allSkipped, site, signal },
        ...(before && { before }),
      }),
  };
}

const noneThere = ({ name, hits }: Fault, scene: Parameters<Fault["hits"]>[0]) =>
  name !== "nothing" && hits(scene).length === 0
    ? "the stack has no member that it hits"
    : undefined;

/** The page that every application has: its first one. */
async function siteOf({ topology }: OperatedStack): Promise<Site> {
  const host = topology.network.frontend.vip;
  const plain = `http://${host}`;
  try {
    const { headers, statusCode = 0 } = await answerOf(plain);
    const isSecured = headers.location?.startsWith("https:") === true;
    const origin = isSecured ? `https://${host}` : plain;
    const status = isSecured ? ((await answerOf(origin)).statusCode ?? 0) : statusCode;
    if (status < 400) return { origin, paths: ["/"] };
    throw new Error(`${origin}/ answers ${status}`);
  } catch (error) {
    throw new Refusal(
      `the site's first page cannot be had (${(error as Error).message}): it has to answer with less than 400, and this command has to run where ${host} can be reached`,
    );
  }
}

function answerOf(origin: string): Promise<http.IncomingMessage> {
  const { get } = origin.startsWith("https:") ? https : http;
  return new Promise((resolve, reject) => {
    // Whose certificate it is, is no matter here
    const signal = AbortSignal.timeout(5000);
    const call = get(`${origin}/`, { signal, rejectUnauthorized: false }, (answer) => {
      resolve(answer);
      call.destroy();
    });
    call.on("error", (error) => reject(signal.aborted ? new Error("no answer within 5 s") : error));
  });
}

interface Chosen extends ProveOptions {
  readonly runs: number;
  readonly tried: readonly Fault[];
  readonly skipped: Proof["skipped"];
  readonly site: Site;
  readonly signal: AbortSignal;
  /** What was found before it was cut off. */
  readonly before?: Proof;
}

async function prove(stack: OperatedStack, chosen: Chosen): Promise<string> {
  const { tried, skipped, site, signal, runs, json, tell, before } = chosen;
  const access = await makeDatabase(stack);
  const results = new Map(before?.faults.map((one) => [one.name, one]));
  const proof = (): Proof => ({
    version: 1,
    stack: stack.name,
    platform: stack.settings.platform,
    application: stack.application.name,
    began,
    ended: new Date().toISOString(),
    client: { cores: cpus().length, node: process.version },
    rates,
    faults: [...results.values()],
    chosen: tried.map(({ name }) => name),
    runs,
    skipped,
  });
  const began = before?.began ?? new Date().toISOString();
  beforeOthers();
  // One that is cut off in its first run is the one to go on with
  if (before === undefined) keepProof(proof());
  try {
    for (const fault of tried)
      for (let one = results.get(fault.name); isWanted(one, runs); ) {
        const outcome = await runOnce({ stack, site, access, signal }, fault);
        one = withRun(fault, one, outcome);
        results.set(fault.name, one);
        process.stderr.write(
          `${progressOf(one, runs, hasColour(process.stderr), process.stderr.isTTY)}\n`,
        );
        keepProof(proof());
      }
  } catch (error) {
    const kept = keepProof(proof());
    say(`what was seen is in ${kept}; npm run prove -- --stack ${stack.name} --resume goes on`);
    throw error;
  }
  const text = json
    ? JSON.stringify(allPrintable(proof()), null, 2)
    : tableText(proof(), hasColour());
  process.stdout.write(`${text}\n`);
  tell(exitStatusOf(proof()));
  // Where it is cut off before, this is the plan's to undo, unless another one has the lock by then
  await removeProof(stack);
  const files = keepProof(proof(), true);
  const result = `${verdictOfProof(proof())}: ${files}`;
  if (exitStatusOf(proof()) === 0) return result;
  throw new Unfinished(result);
}

/** What is measured must not wait for who measures, where both share a machine, and one may have it so. */
function beforeOthers(): void {
  try {
    setPriority(-10);
  } catch {
    // Only root may, and a run in which the clients are too late says so
  }
}

/** One run more; what is promised is what holds for whoever was hit in any of them. */
function withRun({ name, what }: Fault, before: FaultResult | undefined, outcome: Outcome) {
  const promises = [outcome.promised, ...(before ? [before.promised] : [])];
  return {
    name,
    what,
    promised: promisedTogether(promises),
    runs: [...(before?.runs ?? []), { ...outcome.run, promised: outcome.promised }],
  };
}

const hasColour = (stream: NodeJS.WriteStream = process.stdout) =>
  stream.isTTY === true && !process.env.NO_COLOR;
