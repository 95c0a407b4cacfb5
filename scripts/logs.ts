import { interrupted } from "../lib/interrupted.ts";
import { printable } from "../lib/printable.mjs";
import { readOperationCall } from "../operate/act/call.ts";
import { membersCalled, readLogs } from "../operate/logs/logs.ts";
import { readSince } from "../operate/logs/read.ts";
import { openStack } from "../operate/stack.ts";

const usage =
  "npm run logs -- [MEMBER|COMPONENT|MACHINE …] [--follow] [--since 10m] [--stack NAME]";

const own = { follow: { type: "boolean" }, since: { type: "string" } } as const;

/** `npm run logs -- NAME`: the logs of members as one, by time (UTC); of the last ten minutes unless said. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, names, options } = readOperationCall(args, usage, { own });
  const stack = openStack(name);
  const members = membersCalled(stack, names);
  const since = readSince(String(options.since ?? "10m"));
  const stop = new AbortController();
  const ended = AbortSignal.any([stop.signal, interrupted()]);
  // Whoever reads this may have enough, as `head` has
  process.stdout.on("error", () => stop.abort());
  const width = Math.max(...members.map((one) => one.name.length));
  const follow = options.follow === true;
  for await (const line of readLogs(stack, members, { since, follow, signal: ended })) {
    const time = line.time.slice(0, 23).replace("T", " ");
    if (process.stdout.write(`${time}  ${line.name.padEnd(width)}  ${printable(line.text)}\n`))
      continue;
    if (ended.aborted) break;
    await new Promise<void>((resolve) => {
      process.stdout.once("drain", resolve);
      ended.addEventListener("abort", () => resolve(), { once: true });
    });
  }
  return 0;
}
