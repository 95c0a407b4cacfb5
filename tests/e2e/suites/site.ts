/** What the running stack shows from outside. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { until } from "../../../lib/until.ts";
import {
  attempt,
  instances,
  must,
  primary,
  servingInstances,
  sql,
  storefronts,
} from "../../support/members.ts";
import { rawStatus } from "../../support/raw-request.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { postDestination } from "../../support/traffic.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function siteSuite(stack: TestStack): void {
  describe("the site", () => {
    it("W2, A1: pages and API answer at the virtual address and at both load balancers", async () => {
      for (const base of [stack.url, ...stack.localUrls]) {
        for (const path of [
          "",
          "admin/login",
          "offers",
          "api/content",
          "api/time",
          "api/health",
          "api/live",
        ]) {
          const { status } = await stack.request(base + path);
          assert.equal(status, 200, base + path);
        }
      }
    });

    it("A13: there is sample data, with pictures that load", async () => {
      const { body } = await stack.request("api/content");
      const { items } = JSON.parse(body) as { items: { image: string }[] };
      assert.ok(items.length >= 4, `${items.length} destinations`);
      for (const { image } of items) {
        assert.equal((await stack.request(image)).status, 200, image);
      }
    });

    it("L1, A10: requests go round over all instances, by tier", async () => {
      assert.deepEqual(await servingInstances(stack), instances);
      const servedBy = [];
      for (let turn = 0; turn < 6; turn += 1) {
        servedBy.push((await stack.request("api/live")).servedBy);
      }
      assert.equal(servedBy.filter((name) => name === "storefront-1").length, 3, `${servedBy}`);
    });

    it("A11: reads come from the standby, writes go to the primary", async () => {
      const { body } = await stack.request("api/health");
      const { database } = JSON.parse(body);
      assert.equal(database.writer.inRecovery, false);
      assert.equal(database.reader.inRecovery, true);
      assert.equal(database.writer.member, await primary(stack));
    });

    it("S1: an upload is served by every storefront at once, and seen by its writer", async () => {
      const { image } = await postDestination(stack, `seen by all ${randomUUID()}`);
      const seen = new Set<string>();
      for (let turn = 0; turn < 6; turn += 1) {
        const { status, servedBy } = await stack.request(image);
        assert.equal(status, 200);
        seen.add(servedBy);
      }
      assert.deepEqual([...seen].sort(), storefronts);
    });

    it("D1: an acknowledged row is on both members", async () => {
      const quote = `durable ${randomUUID()}`;
      await postDestination(stack, quote);
      for (const member of ["db-1", "db-2"]) {
        await until(`${member} shows the row`, {
          probe: () => sql(stack, member, `SELECT count(*) FROM content WHERE quote = '${quote}';`),
          done: (count) => count === "1",
          limitSeconds: 5,
        });
      }
      const state = await sql(
        stack,
        await primary(stack),
        "SELECT sync_state FROM pg_stat_replication WHERE usename <> 'keeper'; SHOW synchronous_commit;",
      );
      assert.equal(state, "sync\non");
    });

    it("L7: a forged request id and address are replaced by true ones", async () => {
      const forged = randomUUID();
      const answer = await stack.request("api/content?limit=x", {
        headers: { "X-Request-Id": forged, "X-Forwarded-For": "203.0.113.9" },
      });
      const id = String(answer.headers["x-request-id"]);
      assert.match(id, uuid);
      assert.notEqual(id, forged);
      assert.equal(JSON.parse(answer.body).requestId, id);
      const server = answer.servedBy;
      const line = await until(`${server} logs the request`, {
        probe: async () =>
          (await stack.place.log(server, 50)).split("\n").find((it) => it.includes(id)),
        done: (found) => found !== undefined,
        limitSeconds: 5,
      });
      assert.equal(JSON.parse(line ?? "{}").client, stack.place.ownAddress);
      for (const member of storefronts) {
        const log = await stack.place.log(member, 50);
        assert.ok(!log.includes("203.0.113.9"), `the forged address is in ${member}'s log`);
        assert.ok(!log.includes(forged), `the forged id is in ${member}'s log`);
      }
    });

    it("A17: no form of request target or method is answered with 5xx", async () => {
      const methods = ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "TRACE", "CONNECT"];
      methods.push("PROPFIND", "MKCOL", "QUERY", "BREW");
      const targets = [
        ...["*", "/", "/offers", "/api/live", "/admin", "/api/content", "http://x/api/live"],
        ...[
          "http://x",
          "ftp://x/",
          "http://",
          "http://[::1",
          "x:443",
          "x",
          "?",
          "/?#",
          "//",
          "///",
        ],
        ...["/..", "/../..", "/.", "/%", "/%00", "/%ff", "/%0d%0a", "/\u00e9", "\\", "/\\x", "/;x"],
        ...[`/${"a".repeat(8000)}`, `/?${"a=b&".repeat(1500)}`, `/${"/".repeat(3000)}`],
      ];
      const wrong: string[] = [];
      for (const door of stack.doors) {
        for (const method of methods) {
          for (const target of targets) {
            const status = await rawStatus(
              door,
              `${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
            );
            if (status >= 200 && status < 500) continue;
            wrong.push(`${door.url} ${method} ${JSON.stringify(target).slice(0, 40)}: ${status}`);
          }
        }
      }
      assert.deepEqual(wrong, []);
      assert.deepEqual(await servingInstances(stack), instances);
    });

    it("L3: figures are not public, statistics want a password and hide the version", async () => {
      assert.equal((await stack.request("metrics")).status, 404);
      const { statsPassword, statsUrls } = await stack.outputs();
      const pages = stack.place.statsHosts.map((host) => new URL(`//${host}/`, stack.url).href);
      assert.deepEqual(statsUrls, pages);
      const [first = "", second = ""] = pages;
      assert.equal((await stack.request(first)).status, 401);
      const authorization = `Basic ${Buffer.from(`operator:${statsPassword}`).toString("base64")}`;
      const { status, body } = await stack.request(first, { headers: { authorization } });
      assert.equal(status, 200);
      assert.ok(body.includes("storefront-1"));
      assert.ok(!/version 3\.\d/.test(body), "the version is shown");
      const metrics = await stack.request(`${second}metrics`, { headers: { authorization } });
      assert.match(metrics.body, /haproxy_server_status/);
    });

    it("D7, D6: a member's certificate alone is not enough, nor is a connection without TLS", async () => {
      const folder = stack.place.files("etcd-1");
      const own = `--cacert=tls/quorum-client-ca.crt --cert=tls/etcd-server.pem --key=tls/etcd-server.pem`;
      const endpoint = `--endpoints=https://${stack.place.address("etcd-1")}:2379`;
      const words = `cd ${folder}; etcdctl get --prefix / ${own} ${endpoint}`;
      const { stderr } = await attempt(stack, "etcd-1", ["sh", "-c", words]);
      assert.match(stderr, /etcdserver: (permission denied|user name is empty)/);
      const rules = (condition: string) =>
        sql(stack, "db-1", `SELECT count(*) FROM pg_hba_file_rules WHERE ${condition};`);
      // Who fetches backups has no password that could be stolen: its certificate names it
      const isKeeper = "auth_method = 'cert' AND type = 'hostssl' AND user_name = '{keeper}'";
      const other = `auth_method NOT IN ('scram-sha-256', 'peer', 'reject') AND NOT (${isKeeper})`;
      assert.equal(await rules(other), "0");
      assert.equal(await rules("type = 'host' AND auth_method <> 'reject'"), "0");
    });

    it("A5: the principals of the tiers have no more than their grants", async () => {
      const rights = await sql(
        stack,
        await primary(stack),
        `SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb) FROM pg_roles
          WHERE rolname IN ('app_storefront', 'app_admin', 'migrator', 'rewinder', 'replicator');`,
      );
      assert.equal(rights, "f");
      const refused = {
        "storefront-1": [
          "INSERT INTO content (title) VALUES ('x')",
          "UPDATE offer SET quantity = 1000000",
          "DELETE FROM offer",
          "UPDATE booking SET cancelled_at = NULL",
          "UPDATE account SET email = 'x'",
          "SELECT * FROM administrator",
          "DROP TABLE offer",
          "CREATE TABLE mine (id integer)",
          "SET ROLE migrator",
        ],
        "admin-1": [
          "SELECT password_hash FROM account",
          "SELECT id_hash FROM session",
          "INSERT INTO booking (account_id, offer_id) VALUES (1, 1)",
          "SELECT book(1, 1, 1)",
          "INSERT INTO administrator (name) VALUES ('x')",
          "SELECT pg_read_file('/etc/passwd')",
        ],
      };
      for (const [member, queries] of Object.entries(refused)) {
        const codes = await asItself(stack, member, queries);
        assert.deepEqual(
          codes,
          queries.map((query) => `${query}: 42501`),
        );
      }
    });

    it("N3: no secret is in plain sight where the stack runs, nor in the plain state", async () => {
      const secrets = await secretsOf(stack);
      assert.ok(secrets.length >= 10, `${secrets.length} secrets`);
      const looks = [...(await stack.place.plainSight()), stack.storedState()];
      for (const coded of secrets.flatMap(codings)) {
        assert.ok(!looks.some((text) => text.includes(coded)), "a secret is in plain sight");
      }
    });
  });
}

/** A secret as it is, in hex, and in base64, also inside a longer text (a user's name before it). */
function codings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((skipped) => {
    const rest = bytes.subarray(skipped);
    // Whole groups of three only: the coding of a last part depends on what follows
    return rest.subarray(0, rest.length - (rest.length % 3)).toString("base64");
  });
  return [secret, bytes.toString("hex"), ...base64];
}

/** Every generated password of the stack. */
async function secretsOf(stack: TestStack): Promise<string[]> {
  const state = JSON.parse(await stack.must(["stack", "export", "--show-secrets"]));
  const resources: { type: string; outputs?: { result?: { plaintext?: string } } }[] =
    state.deployment.resources;
  return resources
    .filter(({ type }) => type.startsWith("random:"))
    .map(({ outputs }) => JSON.parse(outputs?.result?.plaintext ?? '""'))
    .filter((text) => text.length > 0);
}

/** Runs queries on the primary with an instance's own credentials, from where it is. @returns their errors */
async function asItself(
  stack: TestStack,
  member: string,
  queries: readonly string[],
): Promise<string[]> {
  const program = `const { readFileSync } = await import("node:fs");
const { default: pg } = await import("pg");
const given = readFileSync("${stack.place.files(member)}/environment", "utf8");
const client = new pg.Client({ connectionString: /^DATABASE_URL="(.*)"$/m.exec(given)[1] });
await client.connect();
for (const query of ${JSON.stringify(queries)}) {
  const code = await client.query(query).then(() => "done", (error) => error.code);
  console.log(query + ": " + code);
}
await client.end();`;
  const release = stack.place.release(member);
  const command = [`${release}/node_modules/.bin/node`, "--input-type=module"];
  const options = { folder: release, input: program, limitSeconds: 30 };
  const out = await must(stack, member, command, options);
  return out.trim().split("\n");
}
