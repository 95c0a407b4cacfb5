/** What was changed by hand. It takes longer than a look, so it is looked for beside, where looks go on. */
import { execFile } from "node:child_process";
import { setPriority } from "node:os";
import { z } from "zod";
import { inRoot } from "../../lib/paths.ts";
import type { Drift } from "../drift/drift.ts";
import { readJson } from "../json.ts";
import { type Finding, type Picture, type Subject, worst, worstOf } from "./picture.ts";

const name = "drift";
/** From the end of one to the start of the next: where nothing was found, and where something was. */
const pauseSeconds = { clean: 120, found: 20 };
/** It takes 2 to 10 s; on a machine that has much else to do, longer. */
const limitSeconds = 60;
/** It waits for whatever else wants a processor. */
const niceness = 10;

export class DriftBeside {
  readonly #stack: string;
  readonly #signal: AbortSignal;
  #subject = of("not looked at yet");
  #next = 0;

  /** @param signal ends what is under way */
  constructor(stack: string, signal: AbortSignal) {
    this.#stack = stack;
    this.#signal = signal;
  }

  /**
   * What is known now.
   * @param isWell whether all else is as promised: what is broken differs from what it should be, too
   */
  subject(isWell: boolean): Subject {
    if (isWell && Date.now() > this.#next) this.#start();
    return this.#subject;
  }

  #start(): void {
    this.#next = Number.POSITIVE_INFINITY;
    const args = [inRoot("scripts/run.mjs"), "drift", "--stack", this.#stack, "--json"];
    const limits = { signal: this.#signal, timeout: limitSeconds * 1000, maxBuffer: 2 ** 24 };
    const child = execFile(process.execPath, args, limits, (_error, stdout, stderr) => {
      this.#subject = driftSubject(stdout, stderr, new Date());
      const pause = this.#subject.state === "ok" ? pauseSeconds.clean : pauseSeconds.found;
      this.#next = Date.now() + pause * 1000;
    });
    if (child.pid !== undefined) setPriority(child.pid, niceness);
  }
}

/** @param stdout of `npm run drift -- --json` */
export function driftSubject(stdout: string, stderr: string, at: Date): Subject {
  const drift = readJson(stdout, z.custom<Drift>());
  if (drift === undefined)
    return of(`not looked at: ${stderr.trim().split("\n")[0] || "it took too long"}`);
  if (drift.compared === 0)
    return of("not looked at: no up of this stack was made from this checkout");
  const findings = drift.findings.map(
    ({ machine, what, fix }): Finding => ({
      state: "degraded",
      what: `changed by hand, ${machine}: ${what}`,
      should: "as the last up left it",
      fix,
    }),
  );
  const time = `${at.toISOString().slice(11, 19)} UTC`;
  const found = findings.length === 0 ? "nothing" : `${findings.length} of`;
  const unseen = drift.unseen.map(({ machine }) => machine);
  const but = unseen.length > 0 ? `, not looked at: ${unseen.join(", ")}` : "";
  return {
    name,
    state: worstOf(findings),
    is: `${found} ${findings.length === 0 ? "of " : ""}${drift.compared} things changed by hand, at ${time}${but}`,
    findings,
  };
}

const of = (is: string): Subject => ({ name, state: "ok", is, findings: [] });

/** @param drift where looks go on @default one look, which does not wait for it */
export function withDrift(picture: Picture, drift?: DriftBeside): Picture {
  const subject = drift?.subject(picture.state === "ok") ?? of("not looked at here: npm run drift");
  return {
    ...picture,
    subjects: [...picture.subjects, subject],
    state: worst([picture.state, subject.state]),
  };
}
