/** Backups at the operator's word: what is asked for, and what came of it. */
import { printable } from "../../lib/printable.mjs";
import { say } from "../act/plan.ts";
import type { OperatedStack } from "../stack.ts";
import { counted, sizeOf } from "../status/kind.ts";
import { backupMember } from "./member.ts";
import { durationOf } from "./moment.ts";
import { noteBegin } from "./noted.ts";
import { Failed, followRequest, GoesOn, putRequest, type Request } from "./request.ts";

/** What is put, what it is called in the journal, and how its end is told. */
export interface Wish {
  readonly request: Request;
  readonly what: string;
  /** @returns for people, and whether it is well */
  told(result: Readonly<Record<string, unknown>>): {
    readonly text: string;
    readonly isWell: boolean;
  };
}

const numberIn = (result: Readonly<Record<string, unknown>>, name: string): number | undefined =>
  typeof result[name] === "number" ? (result[name] as number) : undefined;
const textIn = (result: Readonly<Record<string, unknown>>, name: string): string | undefined =>
  typeof result[name] === "string" ? (result[name] as string) : undefined;

export const backupWish = (type: "full" | "diff"): Wish => ({
  request: { do: "backup", type },
  what: type === "full" ? "backup --full" : "backup",
  told(result) {
    const [bytes, stored] = [numberIn(result, "bytes"), numberIn(result, "repositoryBytes")];
    const size = bytes === undefined ? "" : `, ${sizeOf(bytes)} of the database`;
    const kept = stored === undefined ? "" : `, ${sizeOf(stored)} in the repositories`;
    const seconds = numberIn(result, "seconds");
    const took = seconds === undefined ? "" : `, in ${durationOf(seconds)}`;
    const text = `backed up: ${textIn(result, "label") ?? "?"} (${textIn(result, "type") ?? type})${size}${kept}${took}`;
    // The reason begins with the repository's name
    const failed = Object.values(result.failed ?? {}).filter((one) => typeof one === "string");
    const lacks = failed.map((why) => `not in every repository: ${why}`);
    return { text: [text, ...lacks].join("\n"), isWell: failed.length === 0 };
  },
});

/** Of problems as many as anybody reads. */
const mostProblems = 50;

export const checkWish: Wish = {
  request: { do: "check" },
  what: "backup --check",
  told({ ok, problems }) {
    const all = Array.isArray(problems) ? problems.filter((one) => typeof one === "string") : [];
    if (ok === true && all.length === 0)
      return {
        text: "the backups are whole: every file is there and has its checksum",
        isWell: true,
      };
    const rest = all.length > mostProblems ? [`and ${all.length - mostProblems} more`] : [];
    const list = [...all.slice(0, mostProblems), ...rest].map((one) => `- ${one}`).join("\n");
    return {
      text: `${all.length === 0 ? "the backups are not whole; it does not say why" : `${counted(all.length, "problem")} with the backups:\n${list}`}`,
      isWell: false,
    };
  },
};

export const drillWish: Wish = {
  request: { do: "drill" },
  what: "backup --drill",
  told(result) {
    const isWell = result.outcome === "passed";
    const seconds = numberIn(result, "seconds");
    const took = seconds === undefined ? "" : `, in ${durationOf(seconds)}`;
    const checks = Array.isArray(result.checks) ? result.checks : [];
    const lines = checks.slice(0, mostProblems).flatMap((one: unknown) => {
      if (typeof one !== "object" || one === null) return [];
      const { what, ok, detail } = one as Record<string, unknown>;
      return [
        `${ok === true ? "ok  " : "BAD "} ${String(what)}${typeof detail === "string" ? `: ${detail}` : ""}`,
      ];
    });
    const why = textIn(result, "why");
    const head = isWell
      ? `the drill passed${took}: ${textIn(result, "backup") ?? "?"} to ${textIn(result, "moment") ?? "?"}`
      : `the drill failed${took}: ${why ?? "it does not say why"}`;
    return { text: [head, ...lines].join("\n"), isWell };
  },
};

/**
 * Asks the backup member, and tells what came of it. There is no lock: it changes nothing of the stack, and the
 * member takes one request after the other.
 * @returns the command's exit status
 */
export async function wish(
  stack: OperatedStack,
  { request, what, told }: Wish,
  signal: AbortSignal,
): Promise<number> {
  const { name } = backupMember(stack);
  const id = await putRequest(stack, request);
  say(`${name} is asked (${id}); it goes on there if this command ends`);
  const noteEnd = noteBegin(stack, what);
  try {
    const { text, isWell } = told(await followRequest(stack, id, { signal }));
    await noteEnd({ outcome: isWell ? "done" : "failed", result: text });
    (isWell ? process.stdout : process.stderr).write(`${printable(text)}\n`);
    return isWell ? 0 : 1;
  } catch (error) {
    if (error instanceof GoesOn) {
      say(error.message);
      return 2;
    }
    if (error instanceof Failed) await noteEnd({ outcome: "failed", result: error.message });
    throw error;
  }
}
