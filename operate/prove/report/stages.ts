/** Where the seconds of an outage went: each stage as a bar that begins where the one before ended. */
import type { Run, Stage } from "../proof.ts";
import { type Html, html } from "./html.ts";
import {
  beside,
  foot,
  isFarRight,
  type Lane,
  laneTitle,
  line,
  type Place,
  upright,
  widthTo,
} from "./lane.ts";
import { seconds } from "./words.ts";

/** @returns undefined, where the run has none */
export function stagesLane(run: Run, place: Place): Lane | undefined {
  if (run.stages.length === 0) return undefined;
  const stages = run.stages.toSorted((a, b) => a.seconds - b.seconds);
  const ends = [0, ...stages.map((stage) => stage.seconds)].map((at) => place(run.brokenAt + at));
  return {
    height: line * (stages.length + 1),
    draw: (top) => html`${laneTitle(top, "stages, in seconds since the fault")}
${stages.map((stage, at) => bar(stage, ends[at] ?? "0%", ends[at + 1] ?? "0%", top + line * (at + 1)))}`,
  };
}

function bar({ name, seconds: after }: Stage, from: string, to: string, y: number): Html {
  const told = `${name} ${seconds(after)}`;
  // Beside a bar that is not long there is room on one of its sides; in a long one there is
  const isInside = isFarRight(to) && Number.parseFloat(from) < 45;
  const text = beside(isFarRight(to) && !isInside ? from : to, y + foot, told, isFarRight(to));
  return html`<rect class="stage" x="${from}" y="${y + 2}" width="${widthTo(from, to)}" height="${line - 3}"/>
${upright("stage", to, y + 1, y + line)}
${isInside ? html`<g class="inside">${text}</g>` : text}`;
}
