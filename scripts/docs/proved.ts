/** docs/proved.md, and the README's table of promises: what `npm run prove` measured, as docs/proved/ has it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { inRoot } from "../../lib/paths.ts";
import type { Limits } from "../../operate/prove/proof.ts";
import type { ClassSummary, FaultSummary, Summary } from "../../operate/prove/report/summary.ts";
import { limits } from "../../operate/prove/report/words.ts";
import type { Generated } from "./generated.ts";
import { markdownTable } from "./markdown-table.ts";

const folder = "docs/proved";

export function provedDocuments(): Generated[] {
  const names = existsSync(inRoot(folder)) ? readdirSync(inRoot(folder)) : [];
  const summaries = names
    .filter((name) => name.endsWith(".json"))
    .toSorted()
    .map((name): Summary => JSON.parse(readFileSync(inRoot(folder, name), "utf8")));
  if (summaries.length === 0) return [];
  const readme = readFileSync(inRoot("README.md"), "utf8");
  return [
    { path: "docs/proved.md", text: `${[beginning, ...summaries.map(section)].join("\n\n")}\n` },
    { path: "README.md", text: withTable(readme, summaries) },
  ];
}

const beginning = `# What was proved

<!-- Generated from docs/proved/ by \`npm run docs\`. For another stack copy .hastack/prove/STACK/summary.json there. -->

What [\`npm run prove\`](prove.md) measured: seconds of the longest time without a success at a client, and how many
operations failed, as the median of all runs and the worst, in bold where that is above what is promised. In none of them
was an acknowledged write lost, but where it is said below.`;

function section({ stack, platform, began, client, faults, skipped }: Summary): string {
  const rows = faults.map((one) => [
    one.what,
    limits(one.promised.reads),
    ...measuredCells(one.reads, one.promised.reads),
    limits(one.promised.writes),
    ...measuredCells(one.writes, one.promised.writes),
    String(one.reads.failed.length),
  ]);
  const heads = [
    "what fails",
    "reads: promised",
    "seconds",
    "failed",
    "writes: promised",
    "seconds",
    "failed",
    "runs",
  ];
  const wrong = faults.flatMap(({ name, violations }) =>
    violations.map((one) => `- ${name}: ${one}`),
  );
  return [
    `## ${stack}`,
    `On ${platform === "docker" ? "Docker" : "machines"}, ${began.slice(0, 10)}, with the clients on the same ${client.cores} cores.`,
    markdownTable(heads, rows),
    ...(wrong.length > 0 ? [`What must never be:\n\n${wrong.join("\n")}`] : []),
    ...stagesOf(faults),
    ...(skipped.length > 0
      ? [`Not tried: ${skipped.map(({ name, why }) => `${name} (${why})`).join("; ")}.`]
      : []),
  ].join("\n\n");
}

function measuredCells({ gapSeconds, failed }: ClassSummary, most: Limits): [string, string] {
  const cell = (values: readonly number[], limit: number | undefined) => {
    if (values.length === 0) return "-";
    const worst = Math.max(...values);
    const usual = median(values);
    return [...(usual === worst ? [] : [String(usual)]), compared(worst, limit)].join(", ");
  };
  return [cell(gapSeconds, most.seconds), cell(failed, most.failed)];
}

/** In bold where it is more than is promised. */
function compared(value: number, most: number | undefined, unit = ""): string {
  const text = `${value}${unit}`;
  return most !== undefined && value > most ? `**${text}**` : text;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

const stageNames = ["noticed", "decided", "promoted", "rerouted", "first success"] as const;
/** An outage as long as a lease. */
const longSeconds = 10;

/** Where the seconds of the long outages go. */
function stagesOf(faults: readonly FaultSummary[]): string[] {
  const long = faults.filter((one) => median(one.writes.gapSeconds) > longSeconds);
  const rows = long.flatMap(({ what, stages }) => {
    const own = stages.filter((one) => one.promoted !== undefined);
    if (own.length === 0) return [];
    const cells = stageNames.map((name) => {
      const values = own.flatMap((one) => one[name] ?? []);
      return values.length === 0 ? "-" : String(median(values));
    });
    return [[what, ...cells]];
  });
  if (rows.length === 0) return [];
  return [
    "Where the seconds go, since the fault (median):",
    markdownTable(["what fails", ...stageNames], rows),
  ];
}

/** Rows of the README, by their names. */
const shown = [
  "instance-process-killed",
  "instance-power-cut",
  "balancer-power-cut",
  "haproxy-hung",
  "postgres-killed",
  "primary-power-cut",
  "primary-cut-off-from-etcd-and-standby",
  "standby-power-cut",
  "etcd-member-power-cut",
  "etcd-all-hung",
  "cache-hung",
  "brick-power-cut",
];

const [from, to] = ["<!-- npm run docs: proved -->", "<!-- /proved -->"];

function withTable(readme: string, summaries: readonly Summary[]): string {
  const rows = shown.flatMap((name) => {
    const all = summaries.map(({ faults }) => faults.find((one) => one.name === name));
    const [first] = all.filter((one) => one !== undefined);
    if (first === undefined) return [];
    const promised = promiseOf(first);
    const cells = all.map((one) => {
      const other = one && promiseOf(one) !== promised ? ` (promised ${promiseOf(one)})` : "";
      return `${worstPair(one)}${other}`;
    });
    return [[first.what, promised, ...cells]];
  });
  const heads = [
    "what fails",
    "promised: reads; writes",
    ...summaries.map(({ stack }) => `\`${stack}\``),
  ];
  const [before = "", after = ""] = [readme.split(from)[0], readme.split(to)[1]];
  return `${before}${from}\n\n${markdownTable(heads, rows)}\n\n${to}${after}`;
}

/** A machine that has several members may promise less than one that has one. */
function promiseOf({ promised: { reads, writes } }: FaultSummary): string {
  const [ofReads, ofWrites] = [limits(reads), limits(writes)];
  return ofReads === ofWrites ? ofReads : `${ofReads}; ${ofWrites}`;
}

function worstPair(fault: FaultSummary | undefined): string {
  if (fault === undefined) return "-";
  const of = ({ gapSeconds, failed }: ClassSummary, most: Limits) => {
    if (gapSeconds.length === 0) return "-";
    const time = compared(Math.max(...gapSeconds), most.seconds, " s");
    if (most.failed === undefined) return time;
    return `${compared(Math.max(...failed), most.failed, " failed")}, ${time}`;
  };
  return `${of(fault.reads, fault.promised.reads)}; ${of(fault.writes, fault.promised.writes)}`;
}
