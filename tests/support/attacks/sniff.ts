/** Reading along on the backend network, as whoever is on its wire can. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { mustRun } from "../../../lib/run.ts";
import type { TestStack } from "../test-stack.ts";
import { networkOf } from "./from.ts";

/** What went one way over one connection, in the order in which it was seen. */
export interface Stream {
  /** `172.29.11.41:51312 > 172.29.11.31:5432`. */
  readonly name: string;
  /** Of both ends. */
  readonly ports: readonly [number, number];
  readonly bytes: Buffer;
}

/** The capture ends after this, whatever a test forgets. */
const longestSeconds = 60;
/** What was sent last is still on its way to the capture. */
const lastMilliseconds = 500;

/** Reads along while something goes on. @returns what was seen */
export async function readAlong(stack: TestStack, act: () => Promise<unknown>): Promise<Stream[]> {
  const container = stack.place.container("db-1");
  const bridge = await bridgeOf(container, stack.place.address("db-1"));
  const look = ["docker", "inspect", "--format={{.Image}}", container];
  const image = (await mustRun(look)).trim();
  const options = ["--rm", "--init", "--interactive", "--network=host", "--cap-add=NET_RAW"];
  const program = readFileSync(`${import.meta.dirname}/sniff.pl`, "utf8");
  const child = spawn("docker", [
    ...["run", ...options, "--user=0", "--entrypoint=perl", image],
    ...["-e", program, bridge, String(longestSeconds)],
  ]);
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk) => chunks.push(chunk));
  const closed = once(child, "close");
  const [told] = await Promise.race([once(child.stderr, "data"), closed]);
  if (!String(told).startsWith("ready")) throw new Error(`nothing is captured: ${told}`);
  try {
    await act();
    await sleep(lastMilliseconds);
  } finally {
    child.stdin.end();
    await closed;
  }
  return streamsOf(framesOf(Buffer.concat(chunks)));
}

/** The host's bridge of the network in which a container has an address. */
async function bridgeOf(container: string, address: string): Promise<string> {
  const network = await networkOf(container, address);
  const name = '{{index .Options "com.docker.network.bridge.name"}}';
  const own = await mustRun(["docker", "network", "inspect", `--format=${name}`, network]);
  return own.trim() || `br-${network.slice(0, 12)}`;
}

/** Frames out of the capture; the last one may be cut off. */
export function framesOf(capture: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 4 <= capture.length; ) {
    const end = at + 4 + capture.readUInt32BE(at);
    if (end > capture.length) break;
    frames.push(capture.subarray(at + 4, end));
    at = end;
  }
  return frames;
}

/** What each connection carried, from Ethernet frames of IPv4 and TCP. */
export function streamsOf(frames: readonly Buffer[]): Stream[] {
  const streams = new Map<string, { ports: [number, number]; parts: Buffer[] }>();
  const ethernet = 14;
  for (const frame of frames) {
    const tcp = ethernet + ((frame[ethernet] ?? 0) & 15) * 4;
    const length = frame.readUInt16BE(ethernet + 2);
    const payload = tcp + ((frame[tcp + 12] ?? 0) >> 4) * 4;
    const ports: [number, number] = [frame.readUInt16BE(tcp), frame.readUInt16BE(tcp + 2)];
    const [from, to] = [frame.subarray(26, 30), frame.subarray(30, 34)].map((one) => one.join("."));
    const name = `${from}:${ports[0]} > ${to}:${ports[1]}`;
    const stream = streams.get(name) ?? { ports, parts: [] };
    streams.set(name, stream);
    stream.parts.push(frame.subarray(payload, ethernet + length));
  }
  return [...streams].map(([name, { ports, parts }]) => ({
    name,
    ports,
    bytes: Buffer.concat(parts),
  }));
}

/** Where one of these texts was seen, one line each: the stream, and the beginning of the text. */
export function seenIn(streams: readonly Stream[], texts: readonly string[]): string[] {
  return streams.flatMap(({ name, bytes }) =>
    texts.filter((text) => bytes.includes(text)).map((text) => `${name}: ${text.slice(0, 6)}…`),
  );
}
