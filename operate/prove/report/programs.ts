/** What programs of the stack wrote in a run: a lane for each, with a tick for each event. */
import type { Event, Run } from "../proof.ts";
import { type Html, html } from "./html.ts";
import { across, type Lane, laneTitle, line, type Place, upright } from "./lane.ts";
import { moment } from "./words.ts";

/** From clients to the data. */
const programs: readonly Event["program"][] = [
  "prove",
  "keepalived",
  "HAProxy",
  "etcd",
  "Patroni",
  "PostgreSQL",
];

/** Pixels of a tick, and of the line of numbers beneath. */
const [tickHeight, numberHeight] = [12, 11];
/** Of the width of a narrow screen, for a number. */
const numberShare = 0.07;

/** An event by its number in the list. */
interface Numbered extends Event {
  readonly number: number;
}

/** In the order in which they happened, as the drawing and the list number them. */
export const numbered = ({ events }: Run): Numbered[] =>
  events.toSorted((a, b) => a.at - b.at).map((event, at) => ({ ...event, number: at + 1 }));

/** Of those programs that wrote anything. */
export function programLanes(run: Run, place: Place): Lane[] {
  const events = numbered(run);
  return programs.flatMap((name) => {
    const own = events.filter(({ program }) => program === name);
    if (own.length === 0) return [];
    const shown = withRoom(run, own);
    const lane: Lane = {
      height: line + tickHeight + numberHeight,
      draw: (top) => html`${laneTitle(top, name)}
${across(top + line + tickHeight / 2, "base")}
${own.map((event) => tick(event, place(event.at), top + line, shown.has(event)))}`,
    };
    return [lane];
  });
}

/** Those whose numbers do not lie on each other. */
function withRoom(run: Run, events: readonly Numbered[]): ReadonlySet<Numbered> {
  const shown = new Set<Numbered>();
  let free = 0;
  for (const event of events) {
    const share = event.at / run.seconds;
    if (share < free) continue;
    shown.add(event);
    free = share + numberShare;
  }
  return shown;
}

/** It tells its event to whoever points at it; what can be pointed at is wider than what is seen. */
function tick(event: Numbered, x: string, y: number, isNumbered: boolean): Html {
  const { at, number, member, text } = event;
  const foot = y + tickHeight + numberHeight;
  return html`<g class="tick"><title>${number}: ${moment(at)}, ${member}: ${text}</title>
${upright("reach", x, y - 2, y + tickHeight + 2)}
${upright("seen", x, y, y + tickHeight)}
${isNumbered ? html`<text x="${x}" y="${foot}" text-anchor="middle">${number}</text>` : ""}</g>`;
}
