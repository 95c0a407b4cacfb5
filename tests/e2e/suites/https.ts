/** HTTPS at the load balancers: the site's certificate, its change, and plain HTTP beside it. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect } from "node:tls";
import { mustRun } from "../../../lib/run.ts";
import { assertNoneFailed, show, underLoad } from "../../support/measure.ts";
import { inside, startTimes } from "../../support/members.ts";
import { promises } from "../../support/promises.ts";
import { type Certificate, certificateFor, type TestStack } from "../../support/test-stack.ts";
import { missingWrites, request } from "../../support/traffic.ts";
import { Visitor } from "../../support/visitor.ts";

const refused = (stack: string) =>
  `hastack:certificate: is missing, give chain and key by cat CHAIN.pem KEY.pem | npx pulumi config set --stack ${stack} --secret hastack:certificate, or serve plain HTTP by hastack:plainHttp: true`;

/** A stack that has no certificate gets one, and goes back to plain HTTP in the end. */
export function httpsSuite(stack: TestStack): void {
  describe("HTTPS", () => {
    let wasPlain: boolean;

    before(() => {
      wasPlain = stack.ca === undefined;
    });

    it("L9: neither a certificate nor leave to do without is refused at preview", async () => {
      if (wasPlain) stack.configure({ "hastack:plainHttp": false });
      else await stack.must(["config", "rm", "hastack:certificate"]);
      const { code, stdout } = await stack.pulumi(["preview"], 60);
      stack.configure({});
      assert.notEqual(code, 0);
      assert.ok(stdout.includes(refused(stack.name)), stdout);
    });

    it("L9: a certificate given as a secret serves the site at every address", async () => {
      if (wasPlain) await give(stack, await certificateFor(hosts(stack)));
      const { url, adminUrl } = await stack.outputs();
      assert.deepEqual([url, adminUrl], [stack.url, `${stack.url}admin`]);
      const seen = await Promise.all(stack.doors.map((door) => served(door.url)));
      assert.equal(new Set(seen).size, 1);
      for (const { url: door } of stack.doors) {
        const { status, headers } = await stack.request(door);
        assert.equal(status, 200, door);
        assert.equal(headers["strict-transport-security"], "max-age=31536000");
      }
    });

    it("L9: plain HTTP leads there, with path and query", async () => {
      const plain = `http://${stack.place.vip}/offers?kind=flight`;
      const answers = [
        await request(plain),
        await request(plain, { method: "POST", headers: { "Content-Length": "0" } }),
      ];
      assert.deepEqual(
        answers.map(({ status, headers }) => [status, headers.location]),
        [301, 308].map((status) => [status, `${stack.url}offers?kind=flight`]),
      );
    });

    it("L9, A6: a visitor registers, logs in and is known, by cookies for HTTPS alone", async () => {
      const visitor = new Visitor(stack);
      await visitor.register();
      const { status, headers } = await visitor.send(
        "POST",
        "api/session",
        JSON.stringify(visitor.account),
        { "Content-Type": "application/json" },
      );
      assert.equal(status, 200);
      const cookies = headers["set-cookie"] ?? [];
      assert.ok(cookies.some((line) => line.startsWith("__Host-hastack-session=")));
      for (const line of cookies) assert.match(line, /; Secure(;|$)/);
      assert.equal((await visitor.whoAmI()).email, visitor.account.email);
    });

    it("L9, L8: another certificate is served after an up, and no request fails", async () => {
      const before = await served(stack.url);
      const started = await startTimes(stack, ["lb-1", "lb-2"]);
      const renewed = await certificateFor(hosts(stack));
      // Clients trust both authorities while one takes the other's place
      await configure(stack, { ...renewed, ca: `${stack.ca}${renewed.ca}` });
      const report = await underLoad(stack, () => stack.mustUp());
      show("another certificate", report, promises.release);
      assertNoneFailed(report);
      assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
      const expected = new X509Certificate(renewed.chainAndKey).fingerprint256;
      assert.notEqual(expected, before);
      for (const { url } of stack.doors) assert.equal(await served(url), expected, url);
      assert.equal(await startTimes(stack, ["lb-1", "lb-2"]), started, "reloaded, not started");
    });

    it("N3: certificate and key are in no state and no configuration in the clear, and root's alone", async () => {
      const folder = stack.place.files("lb-1");
      const look = `cat ${folder}/certificate.pem; echo; stat -c '%a %U' ${folder}/certificate.pem`;
      const file = (await inside(stack, "lb-1", look)).trim().split("\n");
      assert.equal(file.pop(), "600 root");
      const lines = file.filter((line) => /^[\w+/=]{32,}$/.test(line));
      assert.ok(lines.length > 5);
      const [tracked, overlay] = [
        `Pulumi.${stack.name}.yaml`,
        `.hastack/stacks/${stack.name}.yaml`,
      ];
      const configuration = await Promise.all(
        [tracked, overlay].map((path) => readFile(stack.folder + path, "utf8")),
      );
      assert.match(configuration[1] ?? "", /hastack:certificate:\s+secure:/);
      const seen = [stack.storedState(), ...configuration, ...(await stack.place.plainSight())];
      const text = seen.join("\n");
      for (const line of lines) {
        for (const code of ["utf8", "hex", "base64"] as const) {
          const trace = Buffer.from(line).toString(code).slice(0, 24);
          assert.ok(!text.includes(trace), "a line of it is in the clear");
        }
      }
      assert.equal((await stack.previewNoChanges()).code, 0);
    });

    it("L9: without a certificate it is plain HTTP again", async function () {
      if (!wasPlain) this.skip();
      await stack.must(["config", "rm", "hastack:certificate"]);
      stack.serveWith(undefined);
      await stack.mustUp();
      for (const { url } of stack.doors) {
        const { status, headers } = await stack.request(url);
        assert.equal(status, 200, url);
        assert.equal(headers["strict-transport-security"], undefined);
      }
      await assert.rejects(served(`https://${stack.place.vip}/`), /ECONNREFUSED/);
    });
  });
}

/** Host names of the site's addresses. */
function hosts({ place }: TestStack): string[] {
  return [...new Set([place.vip, ...place.localHosts.map((host) => host.replace(/:\d+$/, ""))])];
}

/** Sets a certificate as docs/operate.md says. */
async function configure(stack: TestStack, certificate: Certificate): Promise<void> {
  stack.serveWith(certificate);
  await mustRun(stack.command(["config", "set", "--secret", "hastack:certificate"]), {
    cwd: stack.folder,
    env: stack.env,
    input: certificate.chainAndKey,
    limitSeconds: 60,
  });
}

async function give(stack: TestStack, certificate: Certificate): Promise<void> {
  await configure(stack, certificate);
  await stack.mustUp();
}

/** Fingerprint of the certificate that an address shows. @throws where nothing answers */
function served(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host: hostname, port: Number(port || 443), rejectUnauthorized: false, timeout: 5000 },
      () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      },
    );
    socket.on("error", reject).on("timeout", () => socket.destroy(new Error("no answer")));
  });
}
