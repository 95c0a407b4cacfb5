/** A proof as a page of its own: nothing is fetched, nothing runs, and it can be handed on as it is. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { inRoot } from "../../../lib/paths.ts";
import { durationOf } from "../../backup/moment.ts";
import { classes, leftOf, verdictOfFault, verdictOfProof } from "../judge.ts";
import type { FaultResult, Proof } from "../proof.ts";
import { Html, html } from "./html.ts";
import { measuredCells, measuredHeads } from "./measured.ts";
import { pill } from "./pill.ts";
import { section } from "./section.ts";
import { count, runsOf, sentence, some, utc } from "./words.ts";

const style = readFileSync(inRoot("operate/prove/report/page.css"), "utf8");

/** Only this very style holds, and nothing else is loaded or run. */
const policy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'`;

/** @returns a whole page of HTML, in which all texts of the proof are text */
export function pageOf(proof: Proof): string {
  const { stack, faults } = proof;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What the stack ${stack} withstands, ${proof.began.slice(0, 10)}</title>
<style>${new Html(style)}</style>
</head>
<body>
<header>
<h1>What the stack ${stack} withstands</h1>
<p class="verdict">${pill(verdictOfProof(proof))} <span>${sentence(proof)}</span></p>
${unfinished(proof)}
${facts(proof)}
</header>
<main>
${faults.length === 0 ? undefined : overview(faults)}
${skippedPart(proof)}
${faults.length === 0 ? undefined : explanation}
${faults.map(section)}
</main>
</body>
</html>
`.text;
}

/** It is written after each run, and one that is cut off stays as it is. */
function unfinished(proof: Proof): Html | undefined {
  const left = leftOf(proof).length;
  if (left === 0) return undefined;
  return html`<p class="unfinished"><strong>Not at its end:</strong> ${count(left)} of ${some(proof.chosen.length, "fault")} had not all runs yet. <code>npm run prove -- --stack ${proof.stack} --resume</code> goes on.</p>`;
}

function facts({ stack, platform, application, began, ended, client, rates }: Proof): Html {
  const took = durationOf((Date.parse(ended) - Date.parse(began)) / 1000);
  const load = Object.entries(rates).map(([kind, rate]) => `${kind} ${count(rate)}`);
  const all = [
    ["stack", stack],
    ["platform", platform],
    ["application", application],
    ["date", `${utc(began)}, in ${took}`],
    ["operations due each second", load.join(", ")],
    ["clients", `on ${some(client.cores, "core")}, Node.js ${client.node}`],
  ] as const;
  return html`<dl>${all.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function overview(faults: readonly FaultResult[]): Html {
  return html`<table class="overview">
<caption>What fails, what is promised of it, and what was measured: the longest time without a success, and how many operations failed</caption>
<thead>
<tr><th scope="col" rowspan="2">what fails</th>${classes.map((of) => html`<th scope="colgroup" colspan="3">${of}</th>`)}<th scope="col" rowspan="2">runs</th><th scope="col" rowspan="2">verdict</th></tr>
<tr>${classes.map(() => measuredHeads)}</tr>
</thead>
<tbody>${faults.map(overviewRow)}</tbody>
</table>`;
}

function overviewRow(fault: FaultResult, at: number): Html {
  return html`<tr><th scope="row"><a href="#fault-${at + 1}">${fault.what}</a></th>${classes.map((of) => measuredCells(fault, of))}<td class="runs" data-label="runs">${runsOf(fault)}</td><td class="word">${pill(verdictOfFault(fault))}</td></tr>`;
}

function skippedPart({ skipped }: Proof): Html | undefined {
  if (skipped.length === 0) return undefined;
  return html`<section class="skipped"><h2>Not tried</h2>
<ul>${skipped.map(({ name, why }) => html`<li><code>${name}</code>: ${why}</li>`)}</ul></section>`;
}

const explanation = html`<section class="legend"><h2>How to read this</h2>
<p>Reads are what needs no primary of the database; writes are all else, and so are reads at the primary.</p>
<p>From left to right: the seconds of a measurement. The shade is the fault, until all is as before. Upwards: operations that
succeeded in each tenth of a second; more than twice the usual is cut off. Downwards, in red: those that failed, on a scale of
their own. Operations are due at a fixed rate, whatever becomes of those before, and their time counts from when they were due.
Ticks are lines in the logs, by their numbers in the list below; point at one to read it.</p></section>`;
