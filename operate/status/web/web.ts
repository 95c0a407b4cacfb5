/** `npm run status -- --web`: a page for people, until the command is ended. */
import { once } from "node:events";
import type { OperatedStack } from "../../stack.ts";
import { DriftBeside } from "../drift.ts";
import { lookAt } from "../status.ts";
import { Looks } from "./looks.ts";
import { sceneOf } from "./scene.ts";
import { serveStatus } from "./server.ts";

/** @param port 0 for a free one @returns the exit status */
export async function showPage(
  stack: OperatedStack,
  port: number,
  signal: AbortSignal,
): Promise<number> {
  const drift = new DriftBeside(stack.name, signal);
  const looks = new Looks(() => lookAt(stack, drift));
  const server = await serveStatus(sceneOf(stack), looks, port);
  process.stdout.write(`${server.url}\nIt is for this machine alone, until Ctrl-C.\n`);
  if (!signal.aborted) await once(signal, "abort");
  await server.close();
  return 0;
}
