/** Files in a directory that the application's machines share: written on one, read on another. */
import { randomUUID } from "node:crypto";
import type { Operation } from "../history.ts";
import type { Relay } from "../relay.ts";
import type { Client } from "./crew.ts";
import type { Recorder } from "./recorder.ts";

/** In the shared directory, and removed afterwards. */
export const uploadsFolder = ".hastack-prove";

const bytes = 2048;
/** Not there, or another one; all else tells of the way there. */
const isMissing = (read: string) => read === "it is not there" || read.length === bytes;
const fileOf = (value: string) => value.padEnd(bytes, ".");

export class Uploader implements Client {
  readonly name: string;
  readonly #recorder: Recorder;
  readonly #folder: string;
  readonly #relays: () => readonly Relay[];

  /** @param directory that is shared @param relays of machines that have it, for files alone */
  constructor(name: string, recorder: Recorder, directory: string, relays: () => readonly Relay[]) {
    this.name = name;
    this.#recorder = recorder;
    this.#folder = `${directory}/${uploadsFolder}`;
    this.#relays = relays;
  }

  async serve(due: number): Promise<void> {
    const key = `${this.#folder}/${randomUUID()}`;
    const value = randomUUID();
    const text = fileOf(value);
    await this.#recorder.record("upload", this.name, due, { key, value }, async () => {
      const [first, second = first] = this.#relays();
      if (first === undefined || second === undefined)
        return { outcome: "refused", why: "no machine with shared files is there" };
      try {
        await first.put(key, text);
      } catch (error) {
        return { outcome: "unknown", why: (error as Error).message };
      }
      const read = await second.get(key).catch((error: Error) => error.message);
      if (read === text) return { outcome: "ok", from: second.machine };
      return {
        outcome: "ok",
        why: `not there at ${second.machine}: ${read.slice(0, 80)}`,
      };
    });
  }

  async end(): Promise<void> {}
}

/** Reads all back that were acknowledged, once all is as before. @returns what is not there, or is another file */
export async function missingFiles(
  operations: readonly Operation[],
  relay: Relay,
): Promise<string[]> {
  const missing: string[] = [];
  for (const { kind, outcome, key = "", value } of operations) {
    if (kind !== "upload" || outcome !== "ok") continue;
    const read = await relay.get(key).catch((error: Error) => error.message);
    if (read !== fileOf(value ?? "") && isMissing(read))
      missing.push(`${key}: at the end, at ${relay.machine}: ${read.slice(0, 80)}`);
  }
  return missing;
}
