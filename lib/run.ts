import { type SpawnOptions, spawn } from "node:child_process";

export interface Outcome {
  /** The exit code; 127 when the program is missing, 128 + signal number when it was killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Given to the program's standard input. @default nothing: the input is empty */
  readonly input?: string;
  /** Kill it after this long; the outcome then says so. @default no limit */
  readonly limitSeconds?: number;
  /** `stderr`: show all output live on our standard error. @default kept, and shown to nobody */
  readonly show?: "stderr";
  /** Gets all output as it comes. @default nobody */
  readonly hear?: (text: string) => void;
}

const missingProgram = 127;
const killed = 128;

/** Runs a program to its end and keeps its output. Never throws: look at `code`. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [program = "", ...args] = command;
  const settings: SpawnOptions = {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    timeout: options.limitSeconds === undefined ? undefined : options.limitSeconds * 1000,
    killSignal: "SIGKILL",
  };
  return new Promise((resolve) => {
    const child = spawn(program, args, settings);
    const kept = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => {
        kept[name] += text;
        if (options.show) process.stderr.write(text);
        options.hear?.(text);
      });
    }
    child.stdin?.on("error", () => {}).end(options.input);
    child.on("error", (error) => resolve({ code: missingProgram, ...kept, stderr: error.message }));
    child.on("close", (code) => resolve({ code: code ?? killed, ...kept }));
  });
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
  throw new Error(`\`${command.join(" ")}\` ended with ${outcome.code}:\n${lastWords(outcome)}`);
}
