/** Who may read the page, and how machines are asked for all pages together. */
import assert from "node:assert/strict";
import { get, request } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../../../lib/until.ts";
import { Looks } from "../../../../../operate/status/web/looks.ts";
import { sceneOf } from "../../../../../operate/status/web/scene.ts";
import { type StatusServer, serveStatus } from "../../../../../operate/status/web/server.ts";
import { recordedPicture, recordedStack } from "../recorded-dev.ts";

describe("the server of the status page", function () {
  this.timeout(20_000);
  let server: StatusServer;
  let looking = 0;
  let most = 0;
  let looked = 0;

  const looks = new Looks(async () => {
    looking += 1;
    most = Math.max(most, looking);
    await sleep(50);
    looking -= 1;
    looked += 1;
    return recordedPicture("whole");
  });

  before(async () => {
    server = await serveStatus(sceneOf(recordedStack), looks);
  });
  after(() => server.close());

  interface Asked {
    readonly path?: string;
    readonly method?: string;
    readonly headers?: Record<string, string>;
  }
  function ask({ path, method = "GET", headers = {} }: Asked) {
    const url = new URL(path ?? server.url, server.url);
    return new Promise<{ status?: number; headers: Record<string, unknown> }>((resolve, reject) => {
      request(url, { method, headers }, (response) => {
        response.resume();
        resolve({ status: response.statusCode, headers: response.headers });
      })
        .on("error", reject)
        .end();
    });
  }

  const token = () => new URL(server.url).hash.slice(1);

  it("O1: is read by its own address, and never kept; no cookie goes to other ports of the machine", async () => {
    const { status, headers } = await ask({});
    assert.equal(status, 200);
    assert.equal(headers["cache-control"], "no-store");
    assert.match(
      String(headers["content-security-policy"]),
      /^default-src 'none'; script-src 'self'/,
    );
    assert.equal(headers["set-cookie"], undefined);
    assert.equal((await ask({ path: "/page.js" })).status, 200);
    assert.equal((await ask({ path: "/../server.ts" })).status, 404);
  });

  it("O1: is refused without the token, by another name, and for everything but reading", async () => {
    for (const path of ["/news", "/news?token=", "/news?token=wrong", `/news?token=${token()}x`])
      assert.equal((await ask({ path })).status, 403, path);
    assert.equal((await ask({ headers: { host: "evil.example" } })).status, 421);
    for (const method of ["POST", "HEAD", "PUT", "DELETE", "OPTIONS"])
      assert.equal((await ask({ method })).status, 405, method);
  });

  it("O1: asks the machines once for all pages, one look after the other, and none for nobody", async () => {
    const news = new URL(`/news?token=${token()}`, server.url);
    const heard: string[] = [];
    const pages = Array.from({ length: 5 }, () =>
      get(news, (response) => response.setEncoding("utf8").on("data", (text) => heard.push(text))),
    );
    await until("looks at all pages", {
      probe: () => heard.join("").split("event: look").length - 1,
      done: (looks) => looks >= 10,
      limitSeconds: 10,
    });
    assert.equal(most, 1);
    assert.ok(looked <= 4, `${looked} looks`);
    for (const page of pages) page.destroy();
    await sleep(1500);
    const before = looked;
    await sleep(1500);
    assert.equal(looked, before);
  });

  it("O1: closes a page that does not read, and keeps nothing for it", async () => {
    const big = { ...recordedPicture("whole"), stack: "x".repeat(2 ** 22) };
    const other = await serveStatus(sceneOf(recordedStack), new Looks(async () => big));
    try {
      const socket = connect(Number(new URL(other.url).port), "127.0.0.1");
      const { hash, host } = new URL(other.url);
      socket.write(`GET /news?token=${hash.slice(1)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      socket.on("error", () => {});
      // What has come is read after a while: the rest was not kept
      await sleep(6000);
      let bytes = 0;
      socket.on("data", (part) => {
        bytes += part.length;
      });
      await new Promise((resolve) => socket.on("close", resolve));
      assert.ok(bytes < 2 ** 22, `${bytes} bytes`);
    } finally {
      await other.close();
    }
  });
});
