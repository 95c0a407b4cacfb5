import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { inRoot } from "../../lib/paths.ts";

const run = promisify(execFile);
const requirements = join(import.meta.dirname, "requirements.txt");

/**
 * Puts the fuzzer into an environment of its own, once for each list of packages.
 * @returns path of the program
 * @throws Error where there is no Python 3, or no registry to be reached
 */
export async function ensureSchemathesis(): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 12);
  const folder = inRoot(".hastack", `fuzz-${hash}`);
  const program = join(folder, "bin/schemathesis");
  const complete = join(folder, "complete");
  if (existsSync(complete)) return program;
  rmSync(folder, { recursive: true, force: true });
  await run("python3", ["-m", "venv", folder]);
  await run(join(folder, "bin/pip"), ["install", "--quiet", "--no-deps", "-r", requirements]);
  await run("touch", [complete]);
  return program;
}

/** How a run ended. */
export interface FuzzResult {
  code: number;
  output: string;
}

/** Runs the fuzzer to its end. */
export async function fuzz(program: string, args: readonly string[]): Promise<FuzzResult> {
  const options = { maxBuffer: 64 * 1024 * 1024, cwd: inRoot(".hastack") };
  try {
    const { stdout } = await run(program, args, options);
    return { code: 0, output: stdout };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: `${stdout}${stderr}` };
  }
}
