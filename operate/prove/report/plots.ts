/** What clients saw of a run, drawn for each tenth of a second: how many succeeded and failed, and how slowly. */
import type { Class } from "../judge.ts";
import type { Run } from "../proof.ts";
import { type Html, html } from "./html.ts";
import { across, foot, type Lane, laneTitle, line } from "./lane.ts";
import { tenthsOf } from "./tenths.ts";
import { count } from "./words.ts";

/** Pixels of columns that go up and down, and of the scale of latency. */
const [upwards, downwards, latencyHeight] = [52, 20, 96];
/** Above the scale, for half of its uppermost number. */
const scaleRoom = 8;
/** However little it is, it is to be seen. */
const leastHeight = 3;

/** Successes upwards, failures downwards. */
export function rateLane(run: Run, of: Class): Lane {
  const { ok, failed } = tenthsOf(run.series, of);
  const [most, mostFailed] = [Math.max(0, ...ok), Math.max(0, ...failed)];
  const bad = html`, <tspan class="bad">up to ${count(mostFailed)} failed</tspan>`;
  const up = columns(ok, fullHeight(ok), upwards);
  const down = columns(failed, mostFailed, downwards);
  return {
    height: line + upwards + (mostFailed > 0 ? downwards : 0),
    draw(top) {
      const base = top + line + upwards;
      return html`${laneTitle(top, `${of} in each 0.1 s`)}
<text x="100%" y="${top + foot}" text-anchor="end">up to ${count(most)}${mostFailed > 0 ? bad : ""}</text>
${stretched(run, top + line, upwards, html`<path class="${of}" transform="matrix(1 0 0 -1 0 ${upwards})" d="${up}"/>`)}
${across(base, "base")}
${mostFailed > 0 ? stretched(run, base, downwards, html`<path class="failed" d="${down}"/>`) : ""}`;
    },
  };
}

/** What waited comes all at once when an outage ends: that is cut off, so that the usual is not flat beside it. */
function fullHeight(values: readonly number[]): number {
  const some = values.filter((value) => value > 0).toSorted((a, b) => a - b);
  return Math.min((some[Math.floor(some.length / 2)] ?? 0) * 2, some.at(-1) ?? 0);
}

/** Columns that stand on 0, one a unit wide; those beside each other are one shape. */
function columns(values: readonly number[], full: number, height: number): string {
  let [path, before] = ["", 0];
  for (const [at, value] of [...values, 0].entries()) {
    if (value === before) continue;
    const share = Math.min(1, value / full) * height;
    const y = value === 0 ? 0 : Number(Math.max(leastHeight, share).toFixed(1));
    path += `${before === 0 ? `M${at} 0` : `H${at}`}V${y}${value === 0 ? "Z" : ""}`;
    before = value;
  }
  return path;
}

/** A drawing with a unit for each tenth of a second, made as wide as the others. */
const stretched = (run: Run, y: number, height: number, inner: Html): Html =>
  html`<svg x="0" y="${y}" width="100%" height="${height}" viewBox="0 0 ${run.seconds * 10} ${height}" preserveAspectRatio="none">${inner}</svg>`;

/** The slowest operation of each tenth of a second, from 1 ms up on a scale of powers of ten. */
export function latencyLane(run: Run): Lane {
  const [reads, writes] = [tenthsOf(run.series, "reads"), tenthsOf(run.series, "writes")];
  const slowest = Math.max(1000, ...reads.slowest, ...writes.slowest);
  const powers = Math.ceil(Math.log10(slowest));
  const y = (value: number) =>
    Number((latencyHeight * (1 - Math.log10(Math.max(1, value)) / powers)).toFixed(1));
  return {
    height: line + scaleRoom + latencyHeight,
    draw: (top) => html`${laneTitle(top, "slowest in each 0.1 s")}
<text x="100%" y="${top + foot}" text-anchor="end"><tspan class="reads">reads</tspan>, <tspan class="writes">writes</tspan></text>
${Array.from({ length: powers + 1 }, (_, power) => scaleLine(10 ** power, top + line + scaleRoom + y(10 ** power)))}
${stretched(
  run,
  top + line + scaleRoom,
  latencyHeight,
  html`<path class="line reads" d="${steps(reads.slowest, y)}"/><path class="line writes" d="${steps(writes.slowest, y)}"/>`,
)}`,
  };
}

const scaleLine = (time: number, y: number): Html =>
  html`${across(y, "grid")}<text class="scale" x="-6" y="${y + 4}" text-anchor="end">${time < 1000 ? `${time} ms` : `${time / 1000} s`}</text>`;

/** A line from value to value; it is broken where there is none. */
function steps(values: readonly number[], y: (value: number) => number): string {
  let [path, before] = ["", 0];
  for (const [at, value] of [...values, 0].entries()) {
    if (value === before) continue;
    path += before === 0 ? `M${at} ${y(value)}` : `H${at}`;
    if (before > 0 && value > 0) path += `V${y(value)}`;
    before = value;
  }
  return path;
}
