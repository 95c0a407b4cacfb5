/** The page's server: on this machine alone; how the stack is it tells whoever has its token. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { inRoot } from "../../../lib/paths.ts";
import type { Looks, News } from "./looks.ts";
import type { Scene } from "./scene.ts";

const types = { html: "text/html", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };

/** All that there is to be read, by path. */
const files: Readonly<Record<string, { readonly type: string; readonly text: Buffer }>> =
  Object.fromEntries(
    ["index.html", "page.css", "page.js", "draw.js", "icon.svg"].map((name) => {
      const ending = name.split(".")[1] as keyof typeof types;
      const text = readFileSync(inRoot("operate/status/web/page", name));
      const path = name === "index.html" ? "/" : `/${name}`;
      return [path, { type: `${types[ending]}; charset=utf-8`, text }];
    }),
  );

const headers = {
  "Cache-Control": "no-store",
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

/** Who else is on this machine may open connections, too: the command needs its files for itself. */
const mostConnections = 64;

/** Bytes that wait for a page that does not read: then it is closed, and asks again when it is awake. */
const mostWaiting = 2 ** 20;

/** So often pages hear that the server is there, however long a look takes. */
const aliveSeconds = 2;

export interface StatusServer {
  /**
   * With its token, which browsers send to nobody: whoever has it sees the page. A cookie would go to all
   * ports of this machine, and so to whoever has one of them.
   */
  readonly url: string;
  close(): Promise<void>;
}

/** @param port @default 0: a free one */
export async function serveStatus(scene: Scene, looks: Looks, port = 0): Promise<StatusServer> {
  const token = randomBytes(24).toString("base64url");
  const server = createServer((request, response) => {
    answer(request, response, token, scene, looks);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new Error(`--port ${port}: another program has it; leave it out for a free one`)
          : error,
      ),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
  server.maxConnections = mostConnections;
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}/#${token}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  token: string,
  scene: Scene,
  looks: Looks,
): void {
  const port = request.socket.localPort;
  const refuse = (status: number, why: string) =>
    response.writeHead(status, { ...headers, "Content-Type": "text/plain" }).end(`${why}\n`);
  // Another name that leads here is a page of somebody else's that asks in its visitor's name
  if (![`127.0.0.1:${port}`, `localhost:${port}`].includes(request.headers.host ?? ""))
    return void refuse(421, "this is asked for as 127.0.0.1");
  if (request.method !== "GET") {
    response.setHeader("Allow", "GET");
    return void refuse(405, "there is nothing to change here");
  }
  const url = URL.parse(`http://127.0.0.1${request.url}`);
  if (url === null) return void refuse(400, "this is no address of a page");
  if (url.pathname === "/news") {
    if (!isSame(url.searchParams.get("token") ?? "", token))
      return void refuse(403, "use the whole address that npm run status -- --web printed");
    sendNews(response, scene, looks);
    return;
  }
  const file = files[url.pathname];
  if (file === undefined) return void refuse(404, "there is no such page");
  response.writeHead(200, { ...headers, "Content-Type": file.type }).end(file.text);
}

/** Takes as long whatever is given. */
function isSame(given: string, token: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

/** Server-sent events: what is drawn, then each look. */
function sendNews(response: ServerResponse, scene: Scene, looks: Looks): void {
  response.writeHead(200, { ...headers, "Content-Type": "text/event-stream" });
  const send = (event: string, data: object) => {
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    if (response.writableLength > mostWaiting) response.destroy();
  };
  send("scene", scene);
  const stop = looks.watch((news: News) => {
    // By this machine's clock, which the browser's need not be
    const age = "picture" in news ? (Date.now() - Date.parse(news.picture.at)) / 1000 : 0;
    send("look", { ...news, age });
  });
  const alive = setInterval(() => send("alive", {}), aliveSeconds * 1000);
  response.once("close", () => {
    clearInterval(alive);
    stop();
  });
}
