import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot, root, withOwnNode } from "../lib/paths.ts";
import { become } from "./bootstrap.mjs";
import { ensureBrowser } from "./setup/browser.ts";
import { runSteps, steps as setupSteps, sshStep } from "./setup.ts";
import { beginning, ending, failureList } from "./test/failures.ts";
import { type Choice, type Part, parts, readChoice, waves } from "./test/parts.ts";
import { lastResult, note, readRecord, tested, whatIsLeft, whyPassed } from "./test/record.ts";
import { Told } from "./test/side-by-side.ts";
import {
  duration,
  nothing,
  type Outcome,
  type Result,
  slowest,
  suiteOutcome,
  summaryTable,
  totalLine,
} from "./test/summary.ts";
import { prove, whyNoProof } from "./test/toolchain-proof.ts";

const say = (text: string) => process.stdout.write(`${text}\n`);

/** How a part runs. */
interface Way {
  readonly choice: Choice;
  /** Gets its output; without, it is shown as it comes. */
  readonly hear?: ((text: string) => void) | undefined;
}

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
async function check(
  program: string,
  args: readonly string[],
  { limitMinutes }: Part,
  { hear }: Way,
): Promise<Outcome> {
  let output = "";
  const listen = (text: string) => {
    (hear ?? ((shown) => process.stdout.write(shown)))(text);
    output += text;
  };
  const limit = limitMinutes * 60_000;
  const code = await become(inRoot("node_modules/.bin", program), args, process.env, listen, limit);
  if (code === 0) return { ...nothing, passed: 1 };
  const title = `${program} failed with exit code ${code}`;
  return { ...nothing, failed: 1, failures: [{ title, error: ending(output) }] };
}

async function suite(part: Part, { choice, hear }: Way): Promise<Outcome> {
  const { globalSetup, limitMinutes, files = () => [] } = part;
  const folder = mkdtempSync(join(tmpdir(), "hastack-test-"));
  const report = join(folder, "report.json");
  try {
    const args = [
      ...["--reporter", inRoot("scripts/test/reporter.mjs"), "--forbid-only"],
      ...(globalSetup ? ["--require", globalSetup] : []),
      ...choice.mocha,
      ...files(),
    ];
    const all = {
      ...process.env,
      HASTACK_TEST_REPORT: report,
      ...(choice.full ? { HASTACK_TEST_FULL: "1" } : {}),
    };
    const mochaBin = inRoot("node_modules/.bin/mocha");
    const code = await become(mochaBin, args, all, hear, limitMinutes * 60_000);
    const told = existsSync(report) ? readFileSync(report, "utf8") : undefined;
    return suiteOutcome(told, code, limitMinutes);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In a log file, colours are noise. */
const plain = !process.stdout.isTTY;

async function runPart(part: Part, way: Way): Promise<Outcome> {
  const biome = ["ci", "--error-on-warnings", ...(plain || way.hear ? ["--colors=off"] : [])];
  if (part.name === "set-up") return setUp();
  if (part.name === "lint") return check("biome", biome, part, way);
  if (part.name === "types") return check("tsc", ["--noEmit"], part, way);
  const isProof = part.name === "toolchain" && way.choice.mocha.length === 0;
  return isProof ? prove(() => suite(part, way)) : suite(part, way);
}

async function timed(part: Part, way: Way): Promise<Result> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const { name: step } = part;
  const tell = (text: string) => (way.hear ? way.hear(`${text}\n`) : say(text));
  tell(`\n=== ${step}`);
  try {
    const outcome = await runPart(part, way);
    tell(`=== ${step}: ${outcome.failed > 0 ? "FAILED" : "ok"}, ${duration(seconds())}`);
    return { step, ...outcome, seconds: seconds() };
  } catch (error) {
    const { message } = error as Error;
    const [note = ""] = message.split("\n");
    tell(`=== ${step}: FAILED, ${duration(seconds())}\n${message}`);
    const failures = [{ title: "it broke off", error: beginning(message) }];
    return { step, ...nothing, failed: 1, seconds: seconds(), note, failures };
  }
}

/** Writes down what came of a part of the full run, unless only some of its cases ran. */
async function recorded(part: Part, way: Way): Promise<Result> {
  const { full, mocha } = way.choice;
  const before = full && mocha.length === 0 ? await tested() : undefined;
  const result = await timed(part, way);
  const after = await tested();
  if (before && after && part.name !== "set-up") note(result, before, after);
  return result;
}

/** More than one for each of two processors, and what is slow alone fails by its time limits. */
const atOnce = 2;

/** Parts that run side by side, two at a time; what they say comes one after the other. */
async function sideBySide(wave: readonly Part[], choice: Choice): Promise<Result[]> {
  const [only] = wave;
  if (only && wave.length === 1) return [await recorded(only, { choice })];
  const told = new Told(
    wave.map(({ name }) => name),
    (text) => process.stdout.write(text),
  );
  say(`\n=== side by side: ${wave.map(({ name }) => name).join(", ")}`);
  const results = new Map<Part, Result>();
  const waiting = [...wave];
  const runAll = async () => {
    for (let part = waiting.shift(); part; part = waiting.shift()) {
      const { name } = part;
      const hear = (text: string) => told.tell(name, text);
      results.set(part, await recorded(part, { choice, hear }));
      told.end(name);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runAll));
  return wave.flatMap((part) => results.get(part) ?? []);
}

async function whyNot(
  part: Part,
  choice: Choice,
  setUpFailed: boolean,
): Promise<string | undefined> {
  const { full, named, again, mocha } = choice;
  if (!full && !named && part.onlyFull) return part.onlyFull;
  if (setUpFailed && part.setUp === undefined) return "set-up failed";
  if (part.name === "toolchain" && !named && whyNoProof(full)) return whyNoProof(full);
  if (!full || named || again || mocha.length > 0) return undefined;
  return whyPassed(readRecord()[part.name], await tested());
}

/** What of the full run is left to do. */
async function left(): Promise<string> {
  const needed = parts.filter(
    ({ name }) => name !== "set-up" && !(name === "toolchain" && whyNoProof(true)),
  );
  const names = needed.map(({ name }) => name);
  return whatIsLeft(names, readRecord(), await tested());
}

/** `--list`: the parts, about how long they take, and what came of them the last time. */
function list(choice: Choice): string {
  const record = readRecord();
  const width = Math.max(...choice.parts.map(({ name }) => name.length));
  const rows = choice.parts.map(({ name, about, minutes, onlyFull }) => {
    const time = minutes < 1 ? "<1 min" : `${minutes} min`;
    const last = name === "set-up" ? "runs whenever it is needed" : lastResult(record[name]);
    const where = onlyFull ? "" : " (npm test has it too)";
    const indent = " ".repeat(width + 10);
    return `${name.padEnd(width)}  ${time.padStart(6)}  ${about}${where}\n${indent}${last}\n`;
  });
  return rows.join("");
}

/**
 * `npm test`: every part, also after one that failed, except where it could only fail too. With
 * `--full` (`npm run test:full`) the long runs too, and of all only what has not passed yet.
 */
export async function main(args: readonly string[]): Promise<number> {
  const choice = readChoice(args);
  if (choice.list) {
    process.stdout.write(list(choice));
    return 0;
  }
  process.chdir(root);
  process.env.PATH = withOwnNode();
  const results: Result[] = [];
  for (const wave of waves(choice.parts)) {
    const broken = results.some(({ step, failed }) => step === "set-up" && failed > 0);
    const running: Part[] = [];
    const skipped: Result[] = [];
    for (const part of wave) {
      const reason = await whyNot(part, choice, broken);
      if (reason === undefined) running.push(part);
      else skipped.push({ step: part.name, ...nothing, seconds: 0, note: `not run: ${reason}` });
    }
    results.push(...skipped, ...(running.length > 0 ? await sideBySide(running, choice) : []));
  }
  const end = [
    summaryTable(results),
    slowest(results),
    choice.full ? await left() : "",
    failureList(results),
  ]
    .filter(Boolean)
    .map((text) => `${text.trimEnd()}\n\n`);
  say(`\n${end.join("")}${totalLine(results)}`);
  return results.some(({ failed }) => failed > 0) ? 1 : 0;
}
