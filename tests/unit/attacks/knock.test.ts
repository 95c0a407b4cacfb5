/** The attacks' own tools: a knock that is judged wrongly would show nothing. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:tls";
import { issueAuthority, issueLeaf, type Pair } from "../../../infra/certificates/issue.ts";
import type { LeafPlan } from "../../../infra/certificates/plan.ts";
import { type Knock, knockAll, type Speech } from "../../support/attacks/knock.ts";

const plan: LeafPlan = {
  leaf: "cache-client",
  domain: "cache",
  use: "client",
  commonName: "web-1",
  names: [],
  addresses: [],
};
const inAnHour = () => new Date(Date.now() + 3_600_000);
const pemOf = ({ certificate, key }: Pair) => certificate + key;
const http: Speech = { protocol: "http", request: "GET / HTTP/1.1" };

describe("a knock at a port that wants certificates", () => {
  let authority: Pair;
  let server: Server;
  let answer = "HTTP/1.1 200 OK\r\n\r\n";

  before(async () => {
    authority = await issueAuthority("knock");
    const own = await issueLeaf({ ...plan, use: "server" }, authority, inAnHour());
    const options = { cert: own.certificate, key: own.key, ca: authority.certificate };
    server = createServer({ ...options, requestCert: true, minVersion: "TLSv1.3" }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(answer));
    });
    server.on("tlsClientError", () => {});
    await once(server.listen(0, "127.0.0.1"), "listening");
  });
  after(() => server.close());
  beforeEach(() => {
    answer = "HTTP/1.1 200 OK\r\n\r\n";
  });

  async function accepted(wish: Partial<Knock>): Promise<boolean> {
    const { port } = server.address() as AddressInfo;
    const knock = { host: "127.0.0.1", port, speech: http, by: "tls" as const, ...wish };
    const [verdict] = await knockAll([knock]);
    assert.ok(verdict);
    return verdict.accepted;
  }
  const right = async () => pemOf(await issueLeaf(plan, authority, inAnHour()));

  it("is accepted with the right one", async () => {
    assert.equal(await accepted({ certificate: await right() }), true);
  });

  it("is refused without one, although the handshake ends well with TLS 1.3", async () => {
    assert.equal(await accepted({}), false);
  });

  it("is refused with one of another authority of the same name", async () => {
    const other = await issueAuthority("knock");
    const certificate = pemOf(await issueLeaf(plan, other, inAnHour()));
    assert.equal(await accepted({ certificate }), false);
  });

  it("is refused with one that has ended", async () => {
    const yesterday = new Date(Date.now() - 24 * 3_600_000);
    const ended = await issueLeaf(plan, authority, new Date(Date.now() - 1000), yesterday);
    assert.equal(await accepted({ certificate: pemOf(ended) }), false);
  });

  it("is refused with one that is for servers", async () => {
    const certificate = pemOf(await issueLeaf({ ...plan, use: "server" }, authority, inAnHour()));
    assert.equal(await accepted({ certificate }), false);
  });

  it("is refused without TLS", async () => {
    assert.equal(await accepted({ by: "plain" }), false);
  });

  it("is refused where the answer says so", async () => {
    const certificate = await right();
    for (const no of ["HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP/1.0 400 Bad Request\r\n\r\n"]) {
      answer = no;
      assert.equal(await accepted({ certificate }), false, no);
    }
  });

  it("at a cache is accepted by a login that went well, and no other answer", async () => {
    const certificate = await right();
    const login: Speech = { protocol: "cache", user: "one", password: "secret" };
    for (const [said, isGood] of [
      ["+OK\r\n", true],
      ["-WRONGPASS no\r\n", false],
      ["-NOAUTH no\r\n", false],
    ] as const) {
      answer = said;
      assert.equal(await accepted({ certificate, speech: login }), isGood, said);
    }
    answer = "+PONG\r\n";
    assert.equal(await accepted({ certificate, speech: { protocol: "cache" } }), true);
  });
});
