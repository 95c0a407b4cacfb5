import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot, root, withOwnNode } from "../lib/paths.ts";
import { become } from "./bootstrap.mjs";
import { ensureBrowser } from "./setup/browser.ts";
import { runSteps, steps as setupSteps, sshStep } from "./setup.ts";
import { beginning, ending, failureList } from "./test/failures.ts";
import { type Choice, onlyFull, readChoice, type StepName } from "./test/steps.ts";
import {
  duration,
  nothing,
  type Outcome,
  type Result,
  suiteOutcome,
  summaryTable,
  totalLine,
} from "./test/summary.ts";
import { prove, whyNoProof } from "./test/toolchain-proof.ts";

const say = (text: string) => process.stdout.write(`${text}\n`);

const suites: Readonly<Partial<Record<StepName, string>>> = {
  unit: "tests/unit/**/*.test.ts",
  app: "app/test/**/*.test.ts",
  fuzz: "tests/fuzz/**/*.test.ts",
  toolchain: "tests/toolchain/**/*.test.ts",
  e2e: "tests/e2e/**/*.test.ts",
};

/** Made ready before a suite's first test. */
const globalSetups: Readonly<Partial<Record<StepName, string>>> = {
  app: inRoot("app/test/support/global-setup.ts"),
};

/** Minutes after which a suite is ended: one that hangs must not take the others' results along. */
const limits: Readonly<Partial<Record<StepName, number>>> = {
  unit: 25,
  app: 25,
  fuzz: 30,
  toolchain: 40,
  e2e: 55,
};

/** Counts as a test only when it fails: alone it proves nothing. */
async function setUp(): Promise<Outcome> {
  const browser = async (tell: (line: string) => void) => {
    process.env.CHROMIUM_PATH = await ensureBrowser(tell);
    return process.env.CHROMIUM_PATH;
  };
  await runSteps([...setupSteps, sshStep, { name: "Chromium", run: browser }]);
  return nothing;
}

/** A program that counts as one test. */
async function check(program: string, args: readonly string[]): Promise<Outcome> {
  let output = "";
  const code = await become(inRoot("node_modules/.bin", program), args, process.env, (text) => {
    process.stdout.write(text);
    output += text;
  });
  if (code === 0) return { ...nothing, passed: 1 };
  const title = `${program} ended with ${code}`;
  return { ...nothing, failed: 1, failures: [{ title, error: ending(output) }] };
}

async function suite(step: StepName, { full, mocha }: Choice): Promise<Outcome> {
  const pattern = suites[step] ?? "";
  const minutes = (limits[step] ?? 15) * (full ? 3 : 1);
  const folder = mkdtempSync(join(tmpdir(), "hastack-test-"));
  const report = join(folder, "report.json");
  try {
    const globalSetup = globalSetups[step] ? ["--require", globalSetups[step]] : [];
    const reporter = ["--reporter", inRoot("scripts/test/reporter.mjs")];
    const args = [...reporter, "--forbid-only", ...globalSetup, ...mocha];
    const env = {
      ...process.env,
      HASTACK_TEST_REPORT: report,
      ...(full ? { HASTACK_TEST_FULL: "1" } : {}),
    };
    const mochaBin = inRoot("node_modules/.bin/mocha");
    const code = await become(mochaBin, [...args, pattern], env, undefined, minutes * 60_000);
    const told = existsSync(report) ? readFileSync(report, "utf8") : undefined;
    return suiteOutcome(told, code, minutes);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In a log file, colours are noise. */
const plain = !process.stdout.isTTY;

async function runStep(step: StepName, choice: Choice): Promise<Outcome> {
  if (step === "set-up") return setUp();
  if (step === "lint")
    return check("biome", ["ci", "--error-on-warnings", ...(plain ? ["--colors=off"] : [])]);
  if (step === "types") return check("tsc", ["--noEmit"]);
  const isProof = step === "toolchain" && choice.mocha.length === 0;
  return isProof ? prove(() => suite(step, choice)) : suite(step, choice);
}

async function timed(step: StepName, choice: Choice): Promise<Result> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  say(`\n=== ${step}`);
  try {
    const outcome = await runStep(step, choice);
    say(`=== ${step}: ${outcome.failed > 0 ? "FAILED" : "ok"}, ${duration(seconds())}`);
    return { step, ...outcome, seconds: seconds() };
  } catch (error) {
    const { message } = error as Error;
    const [note = ""] = message.split("\n");
    say(`=== ${step}: FAILED, ${duration(seconds())}\n${message}`);
    const failures = [{ title: "it broke off", error: beginning(message) }];
    return { step, ...nothing, failed: 1, seconds: seconds(), note, failures };
  }
}

function whyNot(step: StepName, choice: Choice, setUpFailed: boolean): string | undefined {
  if (!choice.full && onlyFull[step]) return onlyFull[step];
  if (step === "toolchain" && !choice.named && whyNoProof()) return whyNoProof();
  const needsIt = step !== "set-up" && step !== "lint" && step !== "types" && step !== "unit";
  return setUpFailed && needsIt ? "set-up failed" : undefined;
}

/** `npm test`: every step, also after one that failed, except where it could only fail too. */
export async function main(args: readonly string[]): Promise<number> {
  const choice = readChoice(args);
  process.chdir(root);
  process.env.PATH = withOwnNode();
  const results: Result[] = [];
  for (const step of choice.steps) {
    const broken = results.some((result) => result.step === "set-up" && result.failed > 0);
    const reason = whyNot(step, choice, broken);
    results.push(
      reason === undefined
        ? await timed(step, choice)
        : { step, ...nothing, seconds: 0, note: `not run: ${reason}` },
    );
  }
  say(`\n${summaryTable(results)}\n${failureList(results)}${totalLine(results)}`);
  return results.some(({ failed }) => failed > 0) ? 1 : 0;
}
