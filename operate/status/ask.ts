/** All questions to a machine in one script, and its answers. */
import { quote } from "../../infra/platform/shell.ts";
import { isUnreachable, onMachineOf, type Unreachable } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** Shell text that asks a program, run in a folder of the machine. */
export interface Question {
  /** One word; answers come by it. */
  readonly name: string;
  readonly folder: string;
  readonly command: string;
}

/** What a program said, its standard error too. */
export interface Answer {
  /** The command's exit code; 124 where it did not end in time. */
  readonly code: number;
  readonly text: string;
}

/** By the questions' names; one that is missing has not come. */
export type Answers = Readonly<Record<string, Answer>>;

/** A program that takes longer hangs; all of them answer within 0.3 s on a busy machine. */
const answerSeconds = 1.5;
/** What a question waits for by itself, where its program can: it is `$wait` there. */
const waitSeconds = 1.2;
/** The script as a whole, where questions do not end even when they are killed. */
const scriptSeconds = 1.9;
/** What logging in and the way back may take besides. */
const graceSeconds = 0.5;
/** Of one answer, in base64: what is longer is no program's of the stack, and counts as not come. */
const mostCharacters = 2 ** 20;

/** 28 is curl's own for what took too long. */
export const hangs = (answer: Answer | undefined): boolean =>
  answer === undefined || [124, 137, 28].includes(answer.code);

/**
 * The script asks all at once, so that one that hangs keeps no other. Lines are written one at a time,
 * and so do not mix.
 */
export function scriptOf(questions: readonly Question[], patience = 1): string {
  const asked = questions.map(
    ({ name, folder, command }) => `ask ${quote(name)} ${quote(folder)} ${quote(command)} &`,
  );
  return `export wait=${waitSeconds * patience}
ask() {
  {
    (cd "$2" && exec timeout --kill-after=0.2 ${answerSeconds * patience} sh -c "$3") 2>&1 < /dev/null
    printf '\\n%s' "$?"
  } | base64 --wrap=900 | sed --unbuffered "s|^|$1 |"
}
${asked.join("\n")}
wait`;
}

/** Whether a machine, or one of its programs, did not answer in time. */
export const isLate = (said: Answers | Unreachable, questions: readonly Question[]): boolean =>
  "unreachable" in said
    ? /^it (does not answer|says nothing)/.test(String(said.unreachable))
    : questions.some(({ name }) => hangs((said as Answers)[name]));

/** Reads what the script wrote; what was cut off on its way is left out, as is what nobody would read. */
export function readAnswers(output: string): Answers {
  const parts = new Map<string, string>();
  for (const line of output.split("\n")) {
    const [name = "", part = ""] = line.split(" ");
    if (name !== "") parts.set(name, (parts.get(name) ?? "") + part);
  }
  const answers: Record<string, Answer> = {};
  for (const [name, encoded] of parts) {
    if (encoded.length > mostCharacters) continue;
    const whole = Buffer.from(encoded, "base64").toString("utf8");
    const end = whole.lastIndexOf("\n");
    const code = whole.slice(end + 1);
    if (end >= 0 && /^\d+$/.test(code))
      answers[name] = { code: Number(code), text: whole.slice(0, end) };
  }
  return answers;
}

/**
 * Asks a machine, within three seconds whatever state it is in.
 * @param patience how many times as long it may take @default 1
 */
export async function askMachine(
  stack: OperatedStack,
  machine: string,
  questions: readonly Question[],
  patience = 1,
): Promise<Answers | Unreachable> {
  const limits = {
    limitSeconds: scriptSeconds * patience,
    graceSeconds: graceSeconds * patience,
  };
  const outcome = await onMachineOf(stack, machine, scriptOf(questions, patience), limits);
  const answers = readAnswers(isUnreachable(outcome) ? (outcome.said ?? "") : outcome.stdout);
  // Of a script that does not end, others' answers have come
  if (Object.keys(answers).length > 0) return answers;
  if (isUnreachable(outcome)) return outcome;
  return { unreachable: outcome.stderr.trim().split("\n").at(-1) || "it says nothing" };
}
