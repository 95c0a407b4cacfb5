/**
 * Has the backup member do something: a request is a file there, which its keeper takes, and what becomes of it
 * is another one. So it goes on when the connection breaks, and can be followed again.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { quote } from "../../infra/platform/shell.ts";
import { backupDirectory } from "../../infra/roles.ts";
import { say } from "../act/plan.ts";
import { readJson } from "../json.ts";
import { type OperatedStack, stackOption } from "../stack.ts";
import { Away, onBackup } from "./member.ts";
import { type RequestState, requestShape } from "./shapes.ts";

/** What can be asked for. */
export type Request =
  | { readonly do: "backup"; readonly type: "full" | "diff" }
  | { readonly do: "restore"; readonly to: string }
  | {
      readonly do: "check" | "promote" | "bring-files" | "discard" | "lineage" | "drill" | "expire";
    };

/** Between two looks. */
const lookSeconds = 1;
/** A machine that does not answer for so long is given up; what was asked goes on there. */
const patienceSeconds = 60;
/** A keeper that runs takes a request within seconds, where it does nothing else. */
const takenSeconds = 30;
/** After this a request that nobody knows of any more is none. */
const lostSeconds = 20;

/** Sorts by time. */
export const newRequestId = (now = Date.now()): string =>
  `${now.toString(36)}-${randomBytes(4).toString("hex")}`;

/** @throws for what no request is called */
export function checkedId(id: string): string {
  if (/^[0-9a-z-]{1,60}$/.test(id)) return id;
  throw new Error(`${id} is no request's name: they look like ${newRequestId()}`);
}

/** Shell text that puts a request, which comes by its input: under another name first, so that it is read whole. */
export function putScript(id: string, directory = backupDirectory): string {
  const [folder, part, file] = [`${directory}/requests`, `.${id}.json`, `${id}.json`].map(quote);
  return `cd ${folder} && umask 077 && cat > ${part} && sync ${part} && mv ${part} ${file}`;
}

/** Shell text that tells what became of a request: its file of state, or `waiting`, or nothing. */
export function lookScript(id: string, directory = backupDirectory): string {
  const [state, request] = ["state/requests", "requests"].map((folder) =>
    quote(`${directory}/${folder}/${id}.json`),
  );
  return `cat ${state} 2> /dev/null || { [ ! -e ${request} ] || echo waiting; }`;
}

/** @returns the request's name @throws Away, or with why it cannot be put */
export async function putRequest(stack: OperatedStack, request: Request): Promise<string> {
  const id = newRequestId();
  await onBackup(stack, putScript(id), { input: `${JSON.stringify({ id, ...request })}\n` });
  return id;
}

/** What became of it. @returns nothing where nobody knows it there, `waiting` before it is taken */
export async function lookAtRequest(
  stack: OperatedStack,
  id: string,
): Promise<RequestState | "waiting" | undefined> {
  const text = (await onBackup(stack, lookScript(id))).trim();
  if (text === "") return undefined;
  if (text === "waiting") return "waiting";
  const state = readJson(text, requestShape);
  if (state?.id === id) return state;
  throw new Error(
    `what the backup member says of the request ${id} is no answer: ${text.slice(0, 200)}`,
  );
}

/** How to look at it again. */
export const howToFollow = ({ name }: Pick<OperatedStack, "name">, id: string): string =>
  `npm run backup -- --follow ${id}${stackOption(name)}`;

/** It ended badly there. */
export class Failed extends Error {}

/** What it does goes on there, and is not followed any more. */
export class GoesOn extends Error {}

export interface Following {
  /** Ends the following; what was asked goes on. */
  readonly signal?: AbortSignal;
  /** Gets what it says of itself. @default it is told */
  readonly tell?: (progress: string) => void;
}

/**
 * Follows a request to its end.
 * @returns what it resulted in
 * @throws Failed with its reason; GoesOn where it cannot be followed, with how to look again
 */
export async function followRequest(
  stack: OperatedStack,
  id: string,
  { signal, tell = say }: Following = {},
): Promise<Readonly<Record<string, unknown>>> {
  const later = `it goes on there; look again with ${howToFollow(stack, id)}`;
  let heard = Date.now();
  let known = Date.now();
  let told = "";
  const progress = (text: string) => {
    if (text !== told) tell(text);
    told = text;
  };
  for (;;) {
    if (signal?.aborted) throw new GoesOn(`not followed any more: ${later}`);
    try {
      const state = await lookAtRequest(stack, id);
      heard = Date.now();
      if (state !== undefined && state !== "waiting") {
        if (state.phase === "done") return state.result ?? {};
        if (state.phase === "failed")
          throw new Failed(`${state.do} failed: ${state.why ?? "it does not say why"}`);
        if (state.progress) progress(state.progress);
        known = heard;
      } else if (state === "waiting") {
        if (heard - known > takenSeconds * 1000)
          progress(
            "it waits: the member does something else, or its keeper does not run (npm run logs -- backup)",
          );
      } else if (heard - known > lostSeconds * 1000)
        throw new Failed(
          `the backup member knows no request ${id} (any more): only the last 20 are kept`,
        );
    } catch (error) {
      if (!(error instanceof Away)) throw error;
      if (Date.now() - heard > patienceSeconds * 1000)
        throw new GoesOn(`${error.message}; ${later}`);
      progress(`${error.message}: trying for ${patienceSeconds} s`);
    }
    await sleep(lookSeconds * 1000, undefined, signal && { signal }).catch(() => {});
  }
}

/** Puts a request, and follows it to its end. @throws as both do */
export async function request(
  stack: OperatedStack,
  wanted: Request,
  following?: Following,
): Promise<Readonly<Record<string, unknown>>> {
  return followRequest(stack, await putRequest(stack, wanted), following);
}
