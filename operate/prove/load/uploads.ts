/** Files in a directory that the application's machines share: written on one, read on another. */
import { randomUUID } from "node:crypto";
import type { Operation } from "../history.ts";
import type { Violation } from "../proof.ts";
import type { Relay } from "../relay.ts";
import type { Client } from "./crew.ts";
import type { Recorder } from "./recorder.ts";

const bytes = 2048;
const fileOf = (value: string) => value.padEnd(bytes, ".");

/** As the program on the machine says it. */
const notThere = "it is not there";

/** What is wrong with a file that was read. */
interface Wrong {
  readonly what: string;
  /** Not there, or another one. All else tells of the way there, and nothing of the file. */
  readonly isLost: boolean;
}

/** @returns undefined where it is as it was written */
async function wrongWith(
  relay: Pick<Relay, "get" | "machine">,
  key: string,
  value: string,
): Promise<Wrong | undefined> {
  try {
    const read = await relay.get(key);
    if (read === fileOf(value)) return undefined;
    return { what: `${read.length} bytes: ${read.slice(0, 80)}`, isLost: true };
  } catch (error) {
    const { message } = error as Error;
    return { what: message, isLost: message === notThere };
  }
}

export class Uploader implements Client {
  readonly name: string;
  readonly #recorder: Recorder;
  readonly #folder: string;
  readonly #relays: () => readonly Relay[];

  /** @param folder that is shared @param relays of machines that have it, for files alone */
  constructor(name: string, recorder: Recorder, folder: string, relays: () => readonly Relay[]) {
    this.name = name;
    this.#recorder = recorder;
    this.#folder = folder;
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
      const wrong = await wrongWith(second, key, value);
      // What could not be read is read once more in the end
      if (!wrong?.isLost) return { outcome: "ok", from: second.machine };
      return { outcome: "ok", why: `not there at ${second.machine}: ${wrong.what}` };
    });
  }

  async end(): Promise<void> {}
}

/**
 * Reads all back that were acknowledged, once all is as before.
 * @param deadline when to give up, by `performance.now` @default never
 * @returns a violation for each that is not there, or is another file, and one for the first that cannot be read
 */
export async function missingFiles(
  operations: readonly Operation[],
  relay: Pick<Relay, "get" | "machine">,
  deadline = Number.POSITIVE_INFINITY,
): Promise<Violation[]> {
  const missing: Violation[] = [];
  for (const { kind, outcome, key = "", value } of operations) {
    if (kind !== "upload" || outcome !== "ok") continue;
    if (performance.now() > deadline) {
      const what = `${key} and those after it: the shared storage is too slow`;
      return [...missing, { rule: "not read back", what }];
    }
    const wrong = await wrongWith(relay, key, value ?? "");
    if (wrong === undefined) continue;
    const what = `${key}: at the end, at ${relay.machine}: ${wrong.what}`;
    if (!wrong.isLost) return [...missing, { rule: "not read back", what }];
    missing.push({ rule: "lost file", what });
  }
  return missing;
}
