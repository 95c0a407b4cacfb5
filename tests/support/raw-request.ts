/** Requests as bytes, for what no HTTP client would send. */
import { once } from "node:events";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Door } from "./traffic.ts";

/**
 * Sends bytes over a connection of its own, and reads until the server closes it.
 * @returns the status; 0 where the connection was closed without an answer
 * @throws when it is still open at the limit
 */
export async function rawStatus(
  { url, ca }: Door,
  bytes: string,
  limitMilliseconds = 10_000,
): Promise<number> {
  const { protocol, hostname, port } = new URL(url);
  const isSecure = protocol === "https:";
  const at = { host: hostname, port: Number(port) || (isSecure ? 443 : 80) };
  const socket = isSecure
    ? connectTls({ ...at, ...(ca === undefined ? {} : { ca }) })
    : connect(at);
  const limit = setTimeout(
    () =>
      socket.destroy(new Error(`no end within ${limitMilliseconds} ms: ${bytes.slice(0, 200)}`)),
    limitMilliseconds,
  );
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  try {
    socket.write(Buffer.from(bytes, "latin1"));
    await once(socket, "close");
  } catch (error) {
    // A server that has answered may cut off what it does not want to read.
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  } finally {
    clearTimeout(limit);
  }
  return Number(/^HTTP\/1\.[01] (\d+)/.exec(text)?.[1] ?? 0);
}
