/** A verdict in its colour, and with its mark, which is another one for each. */
import type { Verdict } from "../proof.ts";
import { type Html, html } from "./html.ts";

export const pill = (verdict: Verdict): Html =>
  html`<span class="pill" data-verdict="${verdict}">${verdict}</span>`;
