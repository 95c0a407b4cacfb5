import { connect } from "node:net";

/** What came back over one connection. */
export interface RawAnswer {
  /** 0 where the server closed the connection without an answer. */
  status: number;
  text: string;
  /** Until the server closed the connection; Infinity where it was still open at the limit. */
  ms: number;
}

/**
 * Sends bytes as they are over a connection of its own, and reads until the server closes it.
 * @param drip sent again and again, every 200 ms
 * @param limitMs after this the client gives up
 */
export function sendRaw(
  url: string,
  bytes: string | Buffer,
  { drip, limitMs = 3000 }: { drip?: string; limitMs?: number } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const begun = performance.now();
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = "";
    let closedByServer = true;
    const limit = setTimeout(() => {
      closedByServer = false;
      socket.destroy();
    }, limitMs);
    const timer = setInterval(() => drip && socket.writable && socket.write(drip), 200);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    socket.once("close", () => {
      clearTimeout(limit);
      clearInterval(timer);
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
      resolve({ status, text, ms: closedByServer ? performance.now() - begun : Infinity });
    });
    socket.write(bytes);
  });
}
