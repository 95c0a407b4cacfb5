/** Asks machines and the Docker engine, each once and side by side, for a few seconds at most. */
import { readProjectFile } from "../../lib/paths.ts";
import { isBusy, patience } from "../busy.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import type { Seen } from "./compare.ts";
import { askEngine } from "./engine.ts";
import type { Answers } from "./expectation.ts";

/** For all questions to one machine. */
const lookSeconds = 4;

/** What was answered, and who was not heard. */
export interface Look {
  readonly seen: Seen;
  readonly unheard: ReadonlyMap<string, string>;
}

/** @param asks questions by machine; `""` is the engine */
export async function ask(
  stack: OperatedStack,
  asks: ReadonlyMap<string, ReadonlySet<string>>,
): Promise<Look> {
  const seen = new Map<string, Answers>();
  const unheard = new Map<string, string>();
  await Promise.all(
    [...asks].map(async ([machine, questions]) => {
      try {
        const answers =
          machine === "" ? askEngine([...questions]) : askMachine(stack, machine, [...questions]);
        seen.set(machine, await answers);
      } catch (error) {
        unheard.set(machine || "Docker", (error as Error).message);
      }
    }),
  );
  return { seen, unheard };
}

async function askMachine(
  stack: OperatedStack,
  machine: string,
  questions: readonly string[],
): Promise<Answers> {
  try {
    return await askOnce(stack, machine, questions, lookSeconds);
  } catch (error) {
    if (!isBusy()) throw error;
    return askOnce(stack, machine, questions, lookSeconds * patience);
  }
}

async function askOnce(
  stack: OperatedStack,
  machine: string,
  questions: readonly string[],
  limitSeconds: number,
): Promise<Answers> {
  const outcome = await onMachineOf(stack, machine, readProjectFile("operate/drift/look"), {
    limitSeconds,
    input: questionsText(questions),
  });
  if (isUnreachable(outcome)) throw new Error(outcome.unreachable);
  const answers = readAnswers(outcome.stdout);
  if (answers !== undefined) return answers;
  const said = outcome.stderr.trim().split("\n").at(-1);
  throw new Error(said || `it did not answer all within ${limitSeconds} s`);
}

/** What `look` reads. */
export function questionsText(questions: Iterable<string>): string {
  return [...questions].map((one) => `${one}\n`).join("");
}

/** What `look` has printed; nothing where it did not come to its end. */
export function readAnswers(text: string): Answers | undefined {
  const lines = text.split("\n").slice(0, -1);
  if (lines.pop() !== "end") return undefined;
  const answers = new Map<string, [string, string][]>();
  for (const line of lines) {
    const [question = "", ...properties] = line.split("\t");
    const known = answers.get(question) ?? [];
    for (const property of properties) known.push(...readProperty(property));
    answers.set(question, known);
  }
  return answers;
}

function readProperty(text: string): [string, string][] {
  const [, name, value = ""] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  return name === undefined ? [] : [[name, value]];
}
