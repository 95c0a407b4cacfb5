import { parseArgs } from "node:util";
import { signals } from "../lib/interrupted.ts";
import { say } from "../operate/act/plan.ts";
import { describe, devApp, tierFor } from "../operate/dev-app/dev-app.ts";
import { openStack } from "../operate/stack.ts";
import { defaultStack } from "./launcher/stack.ts";

const usage = "npm run dev:app [-- TIER] [--port PORT] [--stack NAME]";

/** `npm run dev:app`: the application's folder as one more instance, run anew at each save. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      stack: { type: "string", default: defaultStack },
      port: { type: "string", default: "3000" },
    },
    allowPositionals: true,
  });
  const port = Number(values.port);
  const isPort = Number.isInteger(port) && port > 0 && port < 65_536;
  if (positionals.length > 1 || !isPort) throw new Error(`use: ${usage}`);
  const stack = openStack(values.stack);
  const tier = tierFor(stack, positionals[0]);
  say(describe(stack, tier, port));
  const stop = new AbortController();
  for (const name of signals) process.on(name, () => stop.abort());
  await devApp(stack, { tier: tier.name, port, signal: stop.signal });
  return 0;
}
