/**
 * What the parts of a run's drawing have in common. Places from left to right are shares of the width, so that a
 * drawing fits any screen while its letters stay as large as they are.
 */
import type { Run } from "../proof.ts";
import { type Html, html } from "./html.ts";

/** A part of the drawing: how high it is, and what is in it from its upper edge on. All numbers are pixels. */
export interface Lane {
  readonly height: number;
  draw(top: number): Html;
}

/** Height of a line of text, and where its letters stand in it. */
export const [line, foot] = [18, 13];
/** Left of the drawing, for the numbers of scales. */
export const margin = 48;

/** Where a moment of a run is, from left to right. */
export type Place = (at: number) => string;

export const placeIn =
  ({ seconds }: Pick<Run, "seconds">): Place =>
  (at) =>
    `${Number(((Math.min(Math.max(at, 0), seconds) / seconds) * 100).toFixed(2))}%`;

/** From one place to another. */
export const widthTo = (from: string, to: string): string =>
  `${Math.max(0, Number((Number.parseFloat(to) - Number.parseFloat(from)).toFixed(2)))}%`;

/** Whether a text beside a place has more room on its left. */
export const isFarRight = (x: string): boolean => Number.parseFloat(x) > 55;

/** A text that begins at a place, or ends there. */
export const beside = (x: string, y: number, what: string, isLeft: boolean): Html =>
  html`<text x="${x}" dx="${isLeft ? -5 : 5}" y="${y}" text-anchor="${isLeft ? "end" : "start"}">${what}</text>`;

export const laneTitle = (top: number, what: string): Html =>
  html`<text class="lane" x="${-margin}" y="${top + foot}">${what}</text>`;

export const across = (y: number, kind: "base" | "grid"): Html =>
  html`<line class="${kind}" x1="0" x2="100%" y1="${y}" y2="${y}"/>`;

export const upright = (kind: string, x: string, from: number, to: number): Html =>
  html`<line class="${kind}" x1="${x}" x2="${x}" y1="${from}" y2="${to}"/>`;
