/**
 * Runs a task to its end: in a container of its own where it brings an image along, else in the
 * machine's. Secrets come by standard input and go on by standard input.
 */
import { fail, readInput, required } from "../../../lib/command.ts";
import { joined } from "../machine.ts";
import type { Task } from "../platform.ts";
import { encode, type TaskRequest } from "../request.ts";
import { inContainer, inOneShot, type OneShot } from "./connection.ts";
import { containerState } from "./engine.ts";

/** The machine's container, or one that is made for the task, of the image `IMAGE`. */
export type TaskTarget =
  | { readonly container: string; readonly onWorkload?: Task["onWorkload"] }
  | OneShot;

const limitSeconds = 290;

async function run(): Promise<void> {
  const request: TaskRequest = JSON.parse(required("REQUEST"));
  const target: TaskTarget = JSON.parse(required("TARGET"));
  if ("onWorkload" in target) {
    const state = await containerState(target.container);
    if (state === undefined && target.onWorkload === "optional") {
      console.log("nothing runs there yet");
      return;
    }
    // Skipped, it would count as done
    if (state !== undefined && state !== "running") {
      throw new Error(`${target.container} is ${state}: start it, then run up again`);
    }
  }
  const connection =
    "container" in target ? inContainer(target.container) : inOneShot(required("IMAGE"), target);
  const { code, stdout, stderr } = await connection.run(
    joined(["request", "users", "share", "deliver", "task"], request.name, "task"),
    encode(request, await readInput()),
    limitSeconds,
  );
  if (code !== 0) throw new Error(stderr.trim() || `it ended with ${code}`);
  console.log(stdout.trim());
}

await run().catch(fail);
