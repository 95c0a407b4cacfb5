import { type ChildProcess, spawn } from "node:child_process";

export interface Outcome {
  /**
   * The exit code; 124 when its time was up, 127 when it could not be started, 128 when a signal
   * ended it.
   */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it could not be started: not installed, say. Absent where it ran. */
  readonly notStarted?: string;
  /** Whether it was ended for what it wrote, of which nothing is kept. @default it was not */
  readonly isEndless?: true;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** For its standard input: a text, or an open file. @default nothing: the input is empty */
  readonly input?: string | number;
  /** It gets SIGTERM after this long, and the outcome says so. @default no limit */
  readonly limitSeconds?: number;
  /** It is killed once it has written more characters than this, and the outcome says so. @default no limit */
  readonly limitCharacters?: number;
  /** Whether Ctrl-C at the terminal is not for it: it is ended by whoever started it. @default false */
  readonly apart?: boolean;
  /** `stderr`: show all output live on our standard error. @default kept, not shown */
  readonly show?: "stderr";
  /** Gets all output as it comes. @default none */
  readonly hear?: (text: string, from: "stdout" | "stderr") => void;
}

const timedOut = 124;
const missingProgram = 127;
const killed = 128;
/** Time between SIGTERM and SIGKILL. */
const graceSeconds = 5;

/** Runs a program to its end and keeps its output. Never throws: look at `code`. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [program = "", ...args] = command;
  const { cwd, env = process.env, input, limitSeconds, apart = false, show, hear } = options;
  const { limitCharacters = Number.POSITIVE_INFINITY } = options;
  const stdin = typeof input === "string" ? "pipe" : (input ?? "ignore");
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd,
      env,
      stdio: [stdin, "pipe", "pipe"],
      detached: apart,
    });
    const kept = { stdout: "", stderr: "" };
    let isEndless = false;
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => {
        if (isEndless) return;
        isEndless = kept.stdout.length + kept.stderr.length + text.length > limitCharacters;
        if (isEndless) {
          child.kill("SIGKILL");
          return;
        }
        kept[name] += text;
        if (show) process.stderr.write(text);
        hear?.(text, name);
      });
    }
    const limit = startLimit(child, limitSeconds);
    // A program that ends without reading its input is told by its exit code
    child.stdin?.on("error", () => {}).end(input);
    child.on("error", ({ message }) => {
      limit.clear();
      resolve({ code: missingProgram, ...kept, stderr: message, notStarted: message });
    });
    child.on("close", (code) => {
      limit.clear();
      if (isEndless) {
        const stderr = `it wrote more than ${limitCharacters} characters\n`;
        return resolve({ code: killed, stdout: "", stderr, isEndless });
      }
      if (!limit.isOver()) return resolve({ code: code ?? killed, ...kept });
      // The program's own exit code may be 0 when it is told to end
      const stderr = `${kept.stderr}not done within ${limitSeconds} s\n`;
      return resolve({ code: timedOut, stdout: kept.stdout, stderr });
    });
  });
}

/** Tells a program to end when its time is up, and kills it where it does not. */
function startLimit(child: ChildProcess, seconds: number | undefined) {
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    over = true;
    child.kill("SIGTERM");
    timer = setTimeout(() => child.kill("SIGKILL"), graceSeconds * 1000);
  };
  if (seconds !== undefined) timer = setTimeout(end, seconds * 1000);
  return { isOver: () => over, clear: () => clearTimeout(timer) };
}

/** The last lines of what a program said, for an error message. */
export function lastWords(outcome: Outcome, lines = 15): string {
  const text = `${outcome.stdout.trimEnd()}\n${outcome.stderr.trimEnd()}`.trim();
  return text.split("\n").slice(-lines).join("\n");
}

/**
 * Runs a program that must succeed, and gives its standard output.
 * @throws with the command, its exit code and its last words.
 */
export async function mustRun(
  command: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const outcome = await run(command, options);
  if (outcome.code === 0) return outcome.stdout;
  throw new Error(
    `\`${command.join(" ")}\` failed with exit code ${outcome.code}:\n${lastWords(outcome)}`,
  );
}
