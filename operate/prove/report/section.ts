/** A fault's part of the page: what it does, what was promised and seen, and each of its runs. */
import {
  type Class,
  classes,
  countedOf,
  promisedOf,
  verdictOfFault,
  verdictOfRun,
  violationsOf,
} from "../judge.ts";
import type { FaultResult, Run, Verdict } from "../proof.ts";
import { type Html, html } from "./html.ts";
import { measuredCells, measuredHeads } from "./measured.ts";
import { pill } from "./pill.ts";
import { numbered } from "./programs.ts";
import { timeline } from "./timeline.ts";
import {
  exactSeconds,
  failures,
  milliseconds,
  missed,
  moment,
  reasons,
  runName,
  some,
  utc,
} from "./words.ts";

/** @param at which fault of the proof it is, from 0 */
export function section(fault: FaultResult, at: number): Html {
  const left = fault.runs.length - countedOf(fault).length;
  return html`<section id="fault-${at + 1}" aria-labelledby="fault-${at + 1}-title">
<h2 id="fault-${at + 1}-title">${fault.what} ${pill(verdictOfFault(fault))}</h2>
<p class="soft"><code>${fault.name}</code>, ${some(fault.runs.length, "run")}${left > 0 ? `, of which ${left} ${left === 1 ? "does" : "do"} not count` : ""}</p>
${summary(fault)}
${fault.runs.map((run, index) => runPart(fault, run, index, `run-${at + 1}-${index + 1}`))}
</section>`;
}

/** Over all runs that count. */
const summary = (fault: FaultResult): Html => html`<table class="summary">
<thead><tr><td></td>${measuredHeads}</tr></thead>
<tbody>${classes.map((of) => html`<tr><th scope="row">${of}</th>${measuredCells(fault, of)}</tr>`)}</tbody>
</table>`;

/** @param at which run of the fault it is, from 0 */
function runPart(fault: FaultResult, run: Run, at: number, id: string): Html {
  const name = runName(run, at, fault.runs.length);
  return html`<article id="${id}">
<h3>${name[0]?.toUpperCase()}${name.slice(1)} ${pill(verdictOfRun(run, promisedOf(fault, run)))} <small>${utc(run.at)}</small></h3>
${notes(fault, run)}
<dl>${classes.map((of) => seenPart(run, of))}
<div><dt>checked</dt><dd>${some(run.checked.operations, "operation")} on ${some(run.checked.registers, "register")}</dd></div></dl>
${timeline(run, id)}
${eventsPart(run)}
</article>`;
}

/** What did not hold, and what else is to be known of a run. */
function notes(fault: FaultResult, run: Run): Html | undefined {
  const note = (verdict: Verdict, title: string, text: string) =>
    html`<li data-verdict="${verdict}"><strong>${title}</strong>: ${text}</li>`;
  const all = [
    ...(run.void === undefined ? [] : [note("void", "does not count", run.void)]),
    ...violationsOf(run).map(({ rule, what }) => note("violated", rule, what)),
    ...(run.void === undefined ? missed(run, promisedOf(fault, run)) : []).map((text) =>
      note("missed", "missed", text),
    ),
    ...run.overlaps
      .filter(({ what }) => what === "serves reads as the primary")
      .map(({ members, milliseconds: time }) =>
        note(
          "held",
          "to be known",
          `${members.join(" and ")} served reads as the primary at once, for ${milliseconds(time)}`,
        ),
      ),
  ];
  return all.length === 0 ? undefined : html`<ul class="notes">${all}</ul>`;
}

function seenPart(run: Run, of: Class): Html {
  const seen = run[of];
  const why = reasons(seen.reasons);
  return html`<div><dt>${of}</dt><dd>${exactSeconds(seen.gapSeconds)} without a success; ${failures(
    seen.failed,
    seen.count,
  )}${why && ` (${why})`}; median ${milliseconds(seen.medianMilliseconds)}, 99th percentile ${milliseconds(seen.p99Milliseconds)}</dd></div>`;
}

function eventsPart(run: Run): Html | undefined {
  const events = numbered(run);
  if (events.length === 0) return undefined;
  return html`<details><summary>${some(events.length, "event")} in the logs</summary>
<ol class="events">${events.map(
    ({ at, program, member, text }) =>
      html`<li><span class="at">${moment(at)}</span> <b>${program}, ${member}</b> <span class="what">${text}</span></li>`,
  )}</ol></details>`;
}
