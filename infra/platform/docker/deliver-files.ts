/**
 * Delivers a workload's files into its volume and makes its running processes take notice. Secrets
 * come by standard input and go on by standard input.
 */
import { fail, readInput, required } from "../../../lib/command.ts";
import type { Outcome } from "../../../lib/run.ts";
import { joined } from "../machine.ts";
import { encode, type PlaceRequest } from "../request.ts";
import { inContainer, inOneShot } from "./connection.ts";
import { containerState } from "./engine.ts";
import { configurationDirectory } from "./s6.ts";

/** What is delivered where. */
export interface DeliveryTarget {
  readonly volume: string;
  readonly container: string;
  readonly labels: readonly string[];
}

const limitSeconds = 120;
const deliver = joined(
  ["request", "pretend", "deliver"],
  "files",
  "pretend_addresses\ndeliver\nlist_notices",
);
const clean = joined(["request", "s6"], "files", "forget_processes");
const notify = joined(["request", "s6", "notify"], "files", "notify");

async function run(): Promise<void> {
  const request: PlaceRequest = JSON.parse(required("REQUEST"));
  const { volume, container, labels }: DeliveryTarget = JSON.parse(required("TARGET"));
  const oneShot = inOneShot(required("IMAGE"), {
    network: "none",
    labels,
    volumes: [`${volume}:${configurationDirectory}`],
    capabilities: ["NET_ADMIN"],
  });
  const report = succeeded(
    await oneShot.run(deliver, encode(request, await readInput()), limitSeconds),
  ).split("\n");
  const changed = report.filter((line) => /^(changed|removed) /.test(line));
  console.log(changed.join(", ") || "nothing changed");
  // A process that was stopped by hand is started, though its files are as they were
  const isMended = process.env.CHANGED_BY_HAND !== undefined;
  if (!isMended && !report.some((line) => /^(reload|restart|removed) /.test(line))) return;
  const { root, processes } = request;
  if ((await containerState(container)) !== "running") {
    // It reads its new files when it starts
    succeeded(await oneShot.run(clean, encode({ root, processes }), limitSeconds));
    return;
  }
  const told = await inContainer(container).run(notify, encode({ root, processes }), limitSeconds);
  process.stdout.write(succeeded(told));
}

function succeeded({ code, stdout, stderr }: Outcome): string {
  if (code !== 0) throw new Error(stderr.trim() || `it ended with ${code}`);
  return stdout;
}

await run().catch(fail);
