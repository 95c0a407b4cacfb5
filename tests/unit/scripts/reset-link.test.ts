import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { readResetLinkCall, requestResetLink } from "../../../scripts/reset-link.ts";
import { makeCertificate, pemOf } from "../../support/certificates.ts";

describe("npm run reset-link", () => {
  it("A6: reads an address, and a stack other than dev", () => {
    assert.deepEqual(readResetLinkCall(["a@b.example"]), { email: "a@b.example", stack: "dev" });
    const call = { email: "a@b.example", stack: "lab" };
    assert.deepEqual(readResetLinkCall(["a@b.example", "--stack", "lab"]), call);
    assert.deepEqual(readResetLinkCall(["--stack", "lab", "a@b.example"]), call);
  });

  for (const args of [[], ["a", "b"], ["--stack", "lab"], ["a", "--stack"]]) {
    it(`A6: refuses "${args.join(" ")}", and says how it is used`, () => {
      assert.throws(() => readResetLinkCall(args), /npm run reset-link -- EMAIL/);
    });
  }

  describe("asks the site", () => {
    let server: Server;
    let site: string;
    let answer: { status: number; body: string };
    let seen: { request: IncomingMessage; body: string } | undefined;

    before(async () => {
      server = createServer(async (request, response) => {
        let body = "";
        for await (const chunk of request) body += chunk;
        seen = { request, body };
        response.writeHead(answer.status).end(answer.body);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      site = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    });
    after(() => server.close());

    const ask = () =>
      requestResetLink("a@b.example", { sites: ["http://127.0.0.1:1/", site], password: "p:w" });

    it("A6: with the administrator's password, at the first address that answers", async () => {
      const link = { url: "http://x/reset?token=t", expiresAt: "2027-01-01T00:00:00.000Z" };
      answer = { status: 201, body: JSON.stringify(link) };
      assert.deepEqual(await ask(), link);
      assert.equal(seen?.request.method, "POST");
      assert.equal(seen?.request.url, "/admin/reset-links");
      const basic = Buffer.from("admin:p:w").toString("base64");
      assert.equal(seen?.request.headers.authorization, `Basic ${basic}`);
      assert.deepEqual(JSON.parse(seen?.body ?? ""), { email: "a@b.example" });
    });

    it("A6: and passes on why it refuses", async () => {
      answer = { status: 404, body: JSON.stringify({ message: "There is no account." }) };
      await assert.rejects(ask(), /^Error: There is no account\.$/);
      answer = { status: 401, body: "{}" };
      await assert.rejects(ask(), /HASTACK_ADMIN_PASSWORD/);
      answer = { status: 503, body: "<html>" };
      await assert.rejects(ask(), /answered 503/);
    });

    it("A6: names every address where none answers", async () => {
      const sites = ["http://127.0.0.1:1/", "http://127.0.0.1:2/"];
      await assert.rejects(
        requestResetLink("a@b.example", { sites, password: "p" }),
        /cannot be reached[\s\S]*:1\/: [\s\S]*:2\/: /,
      );
    });

    describe("by HTTPS", () => {
      const body = JSON.stringify({ url: "https://x/reset?token=t", expiresAt: "2027" });
      let secure: Server;
      let address: string;
      let own: string;

      before(async () => {
        // For another name than the one it is reached by, as behind a virtual IP
        const root = await makeCertificate({ authority: true });
        const made = await makeCertificate({ names: ["DNS:travel.example"], issuer: root });
        own = pemOf(made);
        secure = createSecureServer({ cert: made.certificate, key: made.key }, (_, response) =>
          response.writeHead(201).end(body),
        );
        await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
        address = `https://127.0.0.1:${(secure.address() as AddressInfo).port}/`;
      });
      after(() => secure.close());

      const askBy = (certificate?: string) =>
        requestResetLink("a@b.example", { sites: [address], password: "p", certificate });

      it("L9, A6: believes the stack's own certificate, whoever vouches for it", async () => {
        assert.deepEqual(await askBy(own), JSON.parse(body));
      });

      it("L9, A6: gives the password to nobody who shows another one", async () => {
        const other = pemOf(await makeCertificate({ names: ["IP:127.0.0.1"] }));
        await assert.rejects(askBy(other), /cannot be reached[\s\S]*certificate/);
        await assert.rejects(askBy(), /cannot be reached[\s\S]*certificate/);
      });
    });
  });
});
