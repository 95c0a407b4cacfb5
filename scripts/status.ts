import { interrupted } from "../lib/interrupted.ts";
import { readOperationCall } from "../operate/act/call.ts";
import { openStack } from "../operate/stack.ts";
import { DriftBeside } from "../operate/status/drift.ts";
import { exitStatus, type Picture } from "../operate/status/picture.ts";
import { textOf } from "../operate/status/report.ts";
import { lookAt } from "../operate/status/status.ts";
import { watch } from "../operate/status/watch.ts";
import { showPage } from "../operate/status/web/web.ts";
import { orUntold } from "../operate/untold.ts";

const usage = "npm run status [-- --stack NAME] [--json] [--watch] [--web [--port PORT]]";

const own = {
  json: { type: "boolean" },
  watch: { type: "boolean" },
  web: { type: "boolean" },
  port: { type: "string" },
} as const;

/**
 * `npm run status`: how the stack is, what should be, and what to do. It ends with 0 where all is as
 * promised, 1 where something is not, 2 where that could not be told.
 */
export const main = (args: readonly string[]): Promise<number> => orUntold(() => look(args));

async function look(args: readonly string[]): Promise<number> {
  const { stack: name, options } = readOperationCall(args, usage, { own, names: 0 });
  const stack = openStack(name);
  const end = ended();
  const port = portOf(options.port);
  if (options.web) return await showPage(stack, port, end);
  const isTerminal = process.stdout.isTTY === true;
  const colour = isTerminal && !process.env.NO_COLOR;
  const drift = options.watch ? new DriftBeside(name, end) : undefined;
  let status = 0;
  const show = async () => {
    const picture = await lookAt(stack, drift);
    status = exitStatus(picture);
    return options.json ? jsonOf(picture, options.watch === true) : textOf(picture, colour);
  };
  if (!options.watch) {
    process.stdout.write(await show());
    return status;
  }
  await watch(show, isTerminal && !options.json, end);
  return status;
}

/** @throws for what no port can be */
function portOf(text: string | boolean | undefined): number {
  const port = Number(text ?? 0);
  if (Number.isInteger(port) && port >= 0 && port < 65_536) return port;
  throw new Error(`--port ${text}: it is a number up to 65535; leave it out for a free one`);
}

/** One line for each look where there are many, for programs that read lines. */
const jsonOf = (picture: Picture, isOneOfMany: boolean): string =>
  isOneOfMany ? JSON.stringify(picture) : `${JSON.stringify(picture, null, 2)}\n`;

/** Told to end, or read by nobody any more. */
function ended(): AbortSignal {
  const stop = new AbortController();
  process.stdout.on("error", () => stop.abort());
  return AbortSignal.any([stop.signal, interrupted()]);
}
