import { createServer, type Server, Socket } from "node:net";

/** Stands in for the load balancer in front of the database, faults included. */
export interface TestProxy {
  port: number;
  /** Where new connections go. */
  target: { host: string; port: number };
  /** `pass`; `refuse` closes new connections; `silence` swallows every byte, both ways. */
  mode: "pass" | "refuse" | "silence";
  /** Bytes from the application that, once passed on, cost it the connection before an answer. */
  cutAfter: string | undefined;
  /** Bytes that must have come before `cutAfter` counts. @default nothing need have */
  cutSince: string | undefined;
  /** How often `cutAfter` was met. */
  cuts: number;
  /** Everything the application has sent since this was last set to nothing. */
  heard: string;
  /** Lets the connections that are open now go silent, as when their machine is lost. */
  silenceOpen: () => void;
  /** Closes every connection, as HAProxy does when a member goes down. */
  closeAll: () => void;
  close: () => Promise<void>;
}

/** Starts a TCP proxy on 127.0.0.1. */
export async function startProxy(target: { host: string; port: number }): Promise<TestProxy> {
  const sockets = new Set<Socket>();
  const silenced = new WeakSet<Socket>();
  const server = createServer((client) => connect(client, proxy, sockets, silenced));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const closeAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  const proxy: TestProxy = {
    port: (server.address() as { port: number }).port,
    target,
    mode: "pass",
    cutAfter: undefined,
    cutSince: undefined,
    cuts: 0,
    heard: "",
    silenceOpen: () => {
      for (const socket of sockets) silenced.add(socket);
    },
    closeAll,
    close: () => close(server, closeAll),
  };
  return proxy;
}

function connect(
  client: Socket,
  proxy: TestProxy,
  sockets: Set<Socket>,
  silenced: WeakSet<Socket>,
): void {
  const server = new Socket();
  for (const socket of [client, server]) {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      client.destroy();
      server.destroy();
    });
  }
  if (proxy.mode === "refuse") {
    client.destroy();
    return;
  }
  let muted = false;
  const silent = () => proxy.mode === "silence" || silenced.has(client);
  client.on("data", (chunk) => {
    if (silent()) return;
    proxy.heard += chunk.toString("latin1");
    server.write(chunk);
    if (proxy.cutSince && chunk.includes(proxy.cutSince)) proxy.cutSince = undefined;
    if (proxy.cutAfter && !proxy.cutSince && chunk.includes(proxy.cutAfter)) {
      muted = true;
      proxy.cuts += 1;
      setTimeout(() => client.destroy(), 150);
    }
  });
  server.on("data", (chunk) => {
    if (!muted && !silent()) client.write(chunk);
  });
  server.connect(proxy.target.port, proxy.target.host);
}

async function close(server: Server, closeAll: () => void): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  closeAll();
  await closed;
}
