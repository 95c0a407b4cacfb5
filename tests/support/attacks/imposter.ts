/**
 * Stands at a member's address while the member is away, and shows a certificate to whoever comes. It
 * answers everything with what its guest would like to hear. Run as a program it is the imposter itself.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { createServer } from "node:tls";
import { mustRun } from "../../../lib/run.ts";
import type { TestStack } from "../test-stack.ts";
import { networkOf, nodeIn } from "./from.ts";

/** What it shows at a port: PEM of certificate and key. */
export type Shown = Readonly<Record<number, string>>;

/** Who came to a port, and how many of them were content with what was shown. */
export type Guests = Readonly<Record<string, { came: number; spoke: number }>>;

/**
 * Stops a member that is a container of its own, and stands at its address.
 * @returns ends it, starts the member again, and tells who came
 */
export async function impersonate(
  { place }: TestStack,
  member: string,
  shown: Shown,
): Promise<() => Promise<Guests>> {
  const container = place.container(member);
  const address = place.address(member);
  const network = await networkOf(container, address);
  await mustRun(["docker", "stop", container], { limitSeconds: 120 });
  const end = await stand(container, ["--network", network, "--ip", address], shown);
  return async () => {
    const guests = await end();
    await mustRun(["docker", "start", container]);
    return guests;
  };
}

/** @param container whose image it has */
async function stand(
  container: string,
  network: readonly string[],
  shown: Shown,
): Promise<() => Promise<Guests>> {
  const [program = "", ...args] = await nodeIn(container, import.meta.filename, network);
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.write(`${JSON.stringify(shown)}\n`);
  const told = text(child.stdout);
  return async () => {
    child.stdin.end();
    await once(child, "close");
    return JSON.parse(await told);
  };
}

async function main(): Promise<void> {
  const guests: Record<string, { came: number; spoke: number }> = {};
  const [line = ""] = String((await once(process.stdin, "data"))[0]).split("\n");
  const shown: Shown = JSON.parse(line);
  for (const [port, pem] of Object.entries(shown)) {
    const seen = { came: 0, spoke: 0 };
    guests[port] = seen;
    const server = createServer({ cert: pem, key: pem }, (guest) => {
      seen.spoke += 1;
      guest.on("error", () => {}).end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    server.on("connection", () => {
      seen.came += 1;
    });
    server.on("tlsClientError", () => {});
    server.listen(Number(port), "0.0.0.0");
  }
  await once(process.stdin.resume(), "end");
  process.stdout.write(JSON.stringify(guests), () => process.exit(0));
}

if (import.meta.main) await main();
