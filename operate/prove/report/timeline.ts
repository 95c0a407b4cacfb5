/** A run as a drawing: what clients saw, what the fault did when, and what programs of the stack wrote. */
import { classes } from "../judge.ts";
import type { Run } from "../proof.ts";
import { type Html, html } from "./html.ts";
import {
  beside,
  foot,
  isFarRight,
  type Lane,
  line,
  type Place,
  placeIn,
  upright,
  widthTo,
} from "./lane.ts";
import { latencyLane, rateLane } from "./plots.ts";
import { programLanes } from "./programs.ts";
import { stagesLane } from "./stages.ts";
import { exactSeconds, moment, seconds, seenOf } from "./words.ts";

/** Pixels between lanes, and of the axis. */
const [between, axisHeight] = [10, 20];
/** Steps of the axis, in seconds: the first that gives no more than so many. */
const axisSteps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const mostSteps = 7;

/** @param id of the run in its page, for the drawing's title and description */
export function timeline(run: Run, id: string): Html {
  const place = placeIn(run);
  const marks = marksOf(run);
  const lanes = lanesOf(run, place);
  const heights = lanes.map((lane) => lane.height + between);
  const topOf = (at: number) =>
    heights.slice(0, at).reduce((all, one) => all + one, marks.length * line + between);
  const height = topOf(lanes.length);
  return html`<svg class="timeline" role="img" aria-labelledby="${id}-title ${id}-told" width="100%" height="${height + axisHeight}">
<title id="${id}-title">Timeline of ${exactSeconds(run.seconds)}</title>
<desc id="${id}-told">${told(run)}</desc>
${shade(run, place, height)}
${axis(run, place, height)}
${marks.map(({ at, kind }) => upright(`mark ${kind}`, place(at), 0, height))}
${marks.map((mark, at) => markText(mark, place(mark.at), at * line + foot))}
${lanes.map((lane, at) => lane.draw(topOf(at)))}
</svg>`;
}

function lanesOf(run: Run, place: Place): Lane[] {
  const stages = stagesLane(run, place);
  return [
    ...classes.map((of) => rateLane(run, of)),
    latencyLane(run),
    ...(stages === undefined ? [] : [stages]),
    ...programLanes(run, place),
  ];
}

interface Mark {
  readonly at: number;
  readonly what: string;
  readonly kind: string;
}

/** When it was broken, mended and whole again: what is known of it. */
function marksOf({ brokenAt, mendedAt, wholeAt }: Run): Mark[] {
  const all = [
    { at: brokenAt, what: "broken", kind: "broken" },
    { at: mendedAt, what: "mended", kind: "mended" },
    { at: wholeAt, what: "whole again", kind: "whole" },
  ];
  return all.flatMap(({ at, ...mark }) => (at === undefined ? [] : [{ at, ...mark }]));
}

const markText = ({ at, what, kind }: Mark, x: string, y: number): Html =>
  html`<g class="mark ${kind}">${beside(x, y, `${what}, ${moment(at)}`, isFarRight(x))}</g>`;

/** From the fault to where all is as before, or to the end. */
function shade({ brokenAt, wholeAt, seconds: end }: Run, place: Place, height: number): Html {
  const width = widthTo(place(brokenAt), place(wholeAt ?? end));
  return html`<rect class="fault" x="${place(brokenAt)}" y="0" width="${width}" height="${height}"/>`;
}

function axis(run: Run, place: Place, height: number): Html {
  const step = axisSteps.find((one) => run.seconds / one <= mostSteps) ?? run.seconds;
  const times = Array.from({ length: Math.floor(run.seconds / step) + 1 }, (_, at) => at * step);
  const anchor = (at: number) => (at > run.seconds * 0.95 ? "end" : "middle");
  return html`<g class="axis">${times.map(
    (at) => html`${upright("second", place(at), 0, height)}
<text x="${place(at)}" y="${height + 15}" text-anchor="${anchor(at)}">${at} s</text>`,
  )}</g>`;
}

/** The drawing in words, for whoever does not see it. */
const told = (run: Run): string =>
  [
    ...marksOf(run).map(({ what, at }) => `${what} at ${moment(at)}`),
    ...classes.map((of) => seenOf(run, of)),
    ...run.stages.map(({ name, seconds: after }) => `${name} after ${seconds(after)}`),
  ].join("; ");
