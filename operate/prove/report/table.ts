/** A proof on a terminal: a table, below it what did not hold, and where the seconds of outages went. */
import { printable } from "../../../lib/printable.mjs";
import { durationOf } from "../../backup/moment.ts";
import { tableOf } from "../../backup/table.ts";
import {
  type Class,
  classes,
  countedOf,
  measuredOf,
  promisedOf,
  verdictOfFault,
  verdictOfProof,
  verdictOfRun,
  violationsOf,
} from "../judge.ts";
import type { FaultResult, Proof, Run, Stage, Verdict } from "../proof.ts";
import { cut, fold } from "./fold.ts";
import { count, limits, missed, runName, runsOf, seconds, seenOf, sentence, utc } from "./words.ts";

/** No line is wider. */
export const columns = 110;

/** Between columns. */
const separator = 2;
/** Of the first column, whatever the others leave. */
const [leastWhat, mostWhat] = [12, 44];

/** The two lines above the table. */
const above = ["", "", "", "longest gap", "", "failed", "", "", ""];
const names = [
  "what fails",
  "",
  "promised",
  "median",
  "worst",
  "median",
  "worst",
  "runs",
  "verdict",
];

/** Colours of a terminal, by number. */
const colours: Readonly<Record<Verdict, number>> = { held: 32, missed: 33, violated: 31, void: 35 };

/** The stages of an outage, in the order in which they come. */
const stageNames: readonly Stage["name"][] = [
  "noticed",
  "decided",
  "promoted",
  "rerouted",
  "first success",
];

/**
 * @param colour of verdicts, for a terminal
 * @returns lines of at most `columns` characters
 */
export function tableText(proof: Proof, colour: boolean): string {
  const { stack, platform, application, began, ended } = proof;
  const took = durationOf((Date.parse(ended) - Date.parse(began)) / 1000);
  const head = `${stack} on ${platform}, ${application}, ${utc(began)}, in ${took}`;
  const told = `${verdictOfProof(proof)}: ${sentence(proof)}`;
  const blocks = [
    [...fold(printable(head), columns), ...paintedFirst(fold(told, columns), proof, colour)],
    proof.faults.length === 0 ? [] : faultsTable(proof.faults, colour),
    block("What did not hold", proof.faults.flatMap(failures)),
    block("Outages: seconds since the fault", stagesTable(proof.faults)),
    block("Runs that do not count", proof.faults.flatMap(voids)),
    block(
      "Not tried",
      proof.skipped.flatMap(({ name, why }) => item(`${name}: ${why}`, 1)),
    ),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

/**
 * One line for a run that has just ended.
 * @param fault with the runs so far, of which the last one is told
 * @param of how many runs there are to be
 * @param isCut whether the line has to fit on a terminal @default true
 */
export function progressOf(fault: FaultResult, of: number, colour: boolean, isCut = true): string {
  const run = fault.runs.at(-1);
  if (run === undefined) return cut(printable(`${fault.name}: no run yet`), columns);
  const verdict = verdictOfRun(run, promisedOf(fault, run));
  const found = [
    ...(run.void === undefined ? [] : [run.void]),
    ...violationsOf(run).map(({ rule, what }) => `${rule}: ${what}`),
    ...classes.map((one) => seenOf(run, one)),
  ].join("; ");
  // One that does not count is tried again
  const counted = countedOf({ runs: fault.runs.slice(0, -1) }).length;
  const name = `${fault.name}, ${runName(run, counted, of)}: `;
  const whole = printable(`${name}${verdict}; ${found}`);
  const line = isCut ? cut(whole, columns) : whole;
  return line.replace(`: ${verdict};`, () => `: ${painted(verdict, colour)};`);
}

const painted = (verdict: Verdict, colour: boolean): string =>
  colour ? `\u001b[${colours[verdict]}m${verdict}\u001b[0m` : verdict;

/** The verdict is the first word. */
function paintedFirst(lines: readonly string[], proof: Proof, colour: boolean): string[] {
  const verdict = verdictOfProof(proof);
  const [first = "", ...others] = lines;
  return [painted(verdict, colour) + first.slice(verdict.length), ...others];
}

function faultsTable(faults: readonly FaultResult[], colour: boolean): string[] {
  const cells = faults.map(cellsOf);
  const numbers = tableOf(above.slice(1), [names.slice(1), ...cells.flat()]);
  const left = columns - separator - Math.max(...numbers.map((line) => line.length));
  const width = Math.min(mostWhat, Math.max(leastWhat, left));
  const rows = faults.flatMap(({ what }, at) => {
    const lines = fold(printable(what), width);
    const own = cells[at] ?? [];
    const height = Math.max(lines.length, own.length);
    return Array.from({ length: height }, (_, line) => [lines[line] ?? "", ...(own[line] ?? [])]);
  });
  const verdicts = ["", "", ...rows.map((row) => row[above.length - 1] ?? "")] as (Verdict | "")[];
  return tableOf(above, [names, ...rows], [3, 4, 5, 6, 7]).map((line, at) => {
    const verdict = verdicts[at] || undefined;
    return verdict ? line.slice(0, -verdict.length) + painted(verdict, colour) : line;
  });
}

/** A line for reads, which has the number of runs and the verdict besides, and one for writes. */
const cellsOf = (fault: FaultResult): string[][] =>
  classes.map((of) => [
    of,
    limits(fault.promised[of]),
    ...measured(fault, of),
    ...(of === "reads" ? [runsOf(fault), verdictOfFault(fault)] : []),
  ]);

function measured(fault: FaultResult, of: Class): string[] {
  const found = measuredOf(fault, of);
  if (found === undefined) return ["-", "-", "-", "-"];
  const { gapSeconds, failed } = found;
  return [
    seconds(gapSeconds.median),
    seconds(gapSeconds.worst),
    count(failed.median),
    count(failed.worst),
  ];
}

function block(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines];
}

/** @param depth 1 for what is right below a title */
function item(text: string, depth: number): string[] {
  const indent = "  ".repeat(depth);
  return fold(printable(text), columns - indent.length, "  ").map((line) => indent + line);
}

function failures(fault: FaultResult): string[] {
  const found = fault.runs.flatMap((run, at) => {
    if (run.void !== undefined) return [];
    const texts = [
      ...violationsOf(run).map(({ rule, what }) => `violated: ${rule}: ${what}`),
      ...missed(run, promisedOf(fault, run)).map((text) => `missed: ${text}`),
    ];
    const name = runName(run, at, fault.runs.length);
    return texts.flatMap((text) => item(`${name}: ${text}`, 2));
  });
  return found.length === 0 ? [] : [...item(titleOf(fault), 1), ...found];
}

const titleOf = ({ what, name }: FaultResult): string => `${what} (${name})`;

function stagesTable(faults: readonly FaultResult[]): string[] {
  const rows = faults.flatMap((fault) =>
    countedOf(fault)
      .filter(({ stages }) => stages.length > 0)
      .map((run) => stagesRow(fault, run)),
  );
  if (rows.length === 0) return [];
  return tableOf(["", ...stageNames], rows, [1, 2, 3, 4, 5]).map((line) => `  ${line}`);
}

function stagesRow(fault: FaultResult, run: Run): string[] {
  const name = `${fault.name}, ${runName(run, fault.runs.indexOf(run), fault.runs.length)}`;
  const times = stageNames.map((stage) => {
    const found = run.stages.find((one) => one.name === stage);
    return found === undefined ? "-" : seconds(found.seconds).replace(" s", "");
  });
  return [cut(printable(name), 50), ...times];
}

/** What must never be is told of them, too: a late client loses no write. */
const voids = (fault: FaultResult): string[] =>
  fault.runs.flatMap((run, at) => {
    if (run.void === undefined) return [];
    const name = `${fault.name}, ${runName(run, at, fault.runs.length)}`;
    const seen = violationsOf(run).map(({ rule, what }) => `seen all the same: ${rule}: ${what}`);
    return [...item(`${name}: ${run.void}`, 1), ...seen.flatMap((text) => item(text, 2))];
  });
