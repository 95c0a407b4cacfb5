/** Cells of the page's tables: what is promised of a class of operations, and what was measured. */
import { type Class, measuredOf } from "../judge.ts";
import type { FaultResult } from "../proof.ts";
import { type Html, html } from "./html.ts";
import { count, limits, seconds } from "./words.ts";

export const measuredHeads: readonly Html[] = ["promised", "median", "worst"].map(
  (name) => html`<th scope="col">${name}</th>`,
);

/** One for each of the heads. */
export function measuredCells(fault: FaultResult, of: Class): Html {
  const found = measuredOf(fault, of);
  const promised = fault.promised[of];
  const cell = (name: "median" | "worst") =>
    html`<td data-label="${of}, ${name}">${
      found === undefined
        ? "-"
        : html`${within(found.gapSeconds[name], promised.seconds, seconds)} ${within(found.failed[name], promised.failed, failed)}`
    }</td>`;
  return html`<td class="promised" data-label="${of}, promised">${limits(promised)}</td>${cell("median")}${cell("worst")}`;
}

const failed = (number: number): string => `${count(number)} failed`;

/** Marked, where it is more than is promised. */
const within = (value: number, most: number | undefined, word: (value: number) => string): Html =>
  most !== undefined && value > most
    ? html`<span class="over">${word(value)}</span>`
    : html`<span>${word(value)}</span>`;
