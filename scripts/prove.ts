import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planProof } from "../operate/prove/prove.ts";
import { openStack } from "../operate/stack.ts";
import { orUntold } from "../operate/untold.ts";

const usage =
  "npm run prove [-- --stack NAME] [--runs N] [--only FAULT[,FAULT]] [--draw N] [--resume] [--json] [--yes]";

const own = {
  runs: { type: "string" },
  only: { type: "string" },
  draw: { type: "string" },
  resume: { type: "boolean" },
  json: { type: "boolean" },
} as const;

/**
 * `npm run prove`: what is promised, measured on the running stack, one fault after the other. It ends
 * with 0 where all promises were kept, 1 where one was missed or something happened that must never be, and 2 where
 * that could not be told: it did not come to its end, or of some fault no run counts.
 */
export const main = (args: readonly string[]): Promise<number> => orUntold(() => prove(args));

async function prove(args: readonly string[]): Promise<number> {
  const { stack: name, yes, options } = readOperationCall(args, usage, { own, names: 0 });
  const stack = openStack(name);
  const runs = readCount("runs", options.runs);
  const draw = readCount("draw", options.draw);
  const only = typeof options.only === "string" ? options.only.split(",") : undefined;
  let status = 2;
  const tell = (found: number) => {
    status = found;
  };
  const wanted = {
    json: options.json === true,
    resume: options.resume === true,
    ...(runs !== undefined && { runs }),
    ...(only && { only }),
    ...(draw !== undefined && { draw }),
    tell,
  };
  const code = await operate(stack, { what: "prove", yes }, () => planProof(stack, wanted));
  // Whatever was found, what could not be taken away afterwards is no success
  return code === 0 ? 0 : status || 2;
}

/** @throws for what is no number */
function readCount(name: string, text: string | boolean | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 100) return count;
  throw new Error(`--${name} ${text}: it is a whole number from 1 to 100`);
}
