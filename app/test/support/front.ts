import { createServer, request } from "node:http";

/** Both tiers under one address, routed as the load balancer routes them. */
export async function startFront(tiers: {
  storefront: string;
  admin: string;
}): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    const { method = "GET", url = "/", headers } = incoming;
    const write = /^\/api\/(content|offers)/.test(url) && method !== "GET" && method !== "HEAD";
    const target = url.startsWith("/admin") || write ? tiers.admin : tiers.storefront;
    const onward = request(new URL(url, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.once("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
