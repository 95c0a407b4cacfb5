/** What the running stack shows from outside. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mustRun, run } from "../../../scripts/lib/run.ts";
import { until } from "../../../scripts/lib/until.ts";
import { inside, primary, servingInstances, sql } from "../../support/members.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { postDestination, request } from "../../support/traffic.ts";

/** The frontend's gateway: as whom this machine comes to the load balancers. */
const ownAddress = "172.29.10.1";
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function siteSuite(stack: TestStack): void {
  describe("the site", () => {
    it("W2, A1: pages and API answer at the virtual address and at both local ports", async () => {
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
          const { status } = await request(base + path);
          assert.equal(status, 200, base + path);
        }
      }
    });

    it("A13: there is sample data, with pictures that load", async () => {
      const { body } = await request(`${stack.url}api/content`);
      const { items } = JSON.parse(body) as { items: { image: string }[] };
      assert.ok(items.length >= 4, `${items.length} destinations`);
      for (const { image } of items) {
        assert.equal((await request(new URL(image, stack.url).href)).status, 200, image);
      }
    });

    it("L1, A10: requests go round over all instances, by tier", async () => {
      const expected = ["admin-1", "admin-2", "storefront-1", "storefront-2"];
      assert.deepEqual(await servingInstances(stack), expected);
      const servedBy = [];
      for (let turn = 0; turn < 6; turn += 1) {
        servedBy.push((await request(`${stack.url}api/live`)).servedBy);
      }
      assert.equal(servedBy.filter((name) => name === "storefront-1").length, 3, `${servedBy}`);
    });

    it("A11: reads come from the standby, writes go to the primary", async () => {
      const { body } = await request(`${stack.url}api/health`);
      const { database } = JSON.parse(body);
      assert.equal(database.writer.inRecovery, false);
      assert.equal(database.reader.inRecovery, true);
      assert.equal(database.writer.member, await primary(stack));
    });

    it("S1: an upload is served by every storefront at once, and seen by its writer", async () => {
      const { image } = await postDestination(stack, `seen by all ${randomUUID()}`);
      const seen = new Set<string>();
      for (let turn = 0; turn < 6; turn += 1) {
        const { status, servedBy } = await request(new URL(image, stack.url).href);
        assert.equal(status, 200);
        seen.add(servedBy);
      }
      assert.deepEqual([...seen].sort(), ["storefront-1", "storefront-2"]);
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
        "SELECT sync_state FROM pg_stat_replication; SHOW synchronous_commit;",
      );
      assert.equal(state, "sync\non");
    });

    it("L7: a forged request id and address are replaced by true ones", async () => {
      const forged = randomUUID();
      const answer = await fetch(`${stack.url}api/content?limit=x`, {
        headers: { "X-Request-Id": forged, "X-Forwarded-For": "203.0.113.9" },
        signal: AbortSignal.timeout(5000),
      });
      const id = answer.headers.get("x-request-id") ?? "";
      assert.match(id, uuid);
      assert.notEqual(id, forged);
      assert.equal(((await answer.json()) as { requestId: string }).requestId, id);
      const server = answer.headers.get("x-served-by") ?? "";
      const line = await until(`${server} logs the request`, {
        probe: async () => (await logOf(stack, server)).split("\n").find((it) => it.includes(id)),
        done: (found) => found !== undefined,
        limitSeconds: 5,
      });
      assert.equal(JSON.parse(line ?? "{}").client, ownAddress);
      for (const member of ["storefront-1", "storefront-2"]) {
        const log = await logOf(stack, member);
        assert.ok(!log.includes("203.0.113.9"), `the forged address is in ${member}'s log`);
        assert.ok(!log.includes(forged), `the forged id is in ${member}'s log`);
      }
    });

    it("L3: figures are not public, statistics want a password and hide the version", async () => {
      assert.equal((await request(`${stack.url}metrics`)).status, 404);
      assert.equal((await request("http://127.0.0.1:18404/")).status, 401);
      const { statsPassword } = await stack.outputs();
      const authorization = `Basic ${Buffer.from(`operator:${statsPassword}`).toString("base64")}`;
      const { status, body } = await request("http://127.0.0.1:18404/", {
        headers: { authorization },
      });
      assert.equal(status, 200);
      assert.ok(body.includes("storefront-1"));
      assert.ok(!/version 3\.\d/.test(body), "the version is shown");
      const metrics = await request("http://127.0.0.1:18405/metrics", {
        headers: { authorization },
      });
      assert.match(metrics.body, /haproxy_server_status/);
    });

    it("N1: from another bridge nothing in the backend answers, though a neighbour there does", async () => {
      const [stranger, neighbour] = ["e2e-test-stranger", "e2e-test-neighbour"];
      try {
        await startServer(stack, stranger);
        const address = await startServer(stack, neighbour);
        const connect = async (target: string) => {
          const curl = ["curl", "-s", "-m", "2", "-o", "/dev/null", `http://${target}/`];
          return (await run(["docker", "exec", stranger, ...curl], { limitSeconds: 30 })).code;
        };
        await until("the neighbour answers", {
          probe: () => connect(`${address}:3000`),
          done: (code) => code === 0,
          limitSeconds: 10,
        });
        for (const target of [
          "41:3000",
          "51:3001",
          "31:5432",
          "31:8008",
          "61:6379",
          "21:2379",
          "100:5000",
        ]) {
          const code = await connect(`172.29.11.${target}`);
          assert.ok(code === 7 || code === 28, `172.29.11.${target}: curl ended with ${code}`);
        }
      } finally {
        await run(["docker", "rm", "--force", stranger, neighbour]);
      }
    });

    it("D7, D6: being on the backend network is not enough", async () => {
      const etcd = await run(
        ["docker", "exec", stack.container("etcd-1"), "etcdctl", "get", "--prefix", "/"].concat(
          "--endpoints=172.29.11.21:2379",
        ),
      );
      assert.match(etcd.stderr, /user name is empty/);
      const change =
        "curl -s -o /dev/null -w '%{http_code}' -X POST http://172.29.11.31:8008/restart";
      assert.equal(await inside(stack, "lb-1", change), "401");
      const trusting = await sql(
        stack,
        "db-1",
        "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method NOT IN ('scram-sha-256', 'peer', 'reject');",
      );
      assert.equal(trusting, "0");
      const ask = `exec 3<> /dev/tcp/172.29.11.61/6379; printf 'GET x\r\n' >&3; read -r answer <&3; echo "$answer"`;
      const cache = await run(["docker", "exec", stack.container("admin-1"), "bash", "-c", ask]);
      assert.match(cache.stdout, /^-NOAUTH/);
    });

    it("A5: the principals of the tiers have no more than their grants", async () => {
      const rights = await sql(
        stack,
        await primary(stack),
        `SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb) FROM pg_roles
          WHERE rolname IN ('storefront', 'admin', 'migrator', 'rewinder', 'replicator');`,
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

    it("N3: no secret is in the engine's view, in process lists, in logs or in the plain state", async () => {
      const secrets = await secretsOf(stack);
      assert.ok(secrets.length >= 10, `${secrets.length} secrets`);
      const names = (
        await mustRun(["docker", "ps", "-q", "--filter", `label=hastack.stack=${stack.name}`])
      )
        .trim()
        .split("\n");
      const looks = [await mustRun(["docker", "inspect", ...names]), stack.storedState()];
      for (const name of names) {
        looks.push(await mustRun(["docker", "top", name, "-o", "pid,args"]));
        const { stdout, stderr } = await run(["docker", "logs", name]);
        looks.push(stdout + stderr);
      }
      for (const coded of secrets.flatMap(codings)) {
        assert.ok(!looks.some((text) => text.includes(coded)), "a secret is in plain sight");
      }
    });
  });
}

/** The last lines of a member's log. */
async function logOf(stack: TestStack, member: string): Promise<string> {
  return (await run(["docker", "logs", "--tail=50", stack.container(member)])).stdout;
}

/**
 * Starts a container on Docker's own bridge that serves HTTP on port 3000. It is of the
 * application's image, which has both a server and a client.
 * @returns its address there
 */
async function startServer(stack: TestStack, name: string): Promise<string> {
  const look = ["docker", "inspect", "--format"];
  const image = await mustRun([...look, "{{.Image}}", stack.container("storefront-1")]);
  const serve = 'require("node:http").createServer((_, answer) => answer.end()).listen(3000)';
  const program = ["/opt/hastack/current/bin/node", "--eval", serve];
  await run(["docker", "rm", "--force", name]);
  const options = ["--detach", `--name=${name}`, "--label=hastack.test=e2e", "--network=bridge"];
  await mustRun(["docker", "run", ...options, image.trim(), ...program]);
  const address = await mustRun([...look, "{{.NetworkSettings.Networks.bridge.IPAddress}}", name]);
  return address.trim();
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
const { writer, name: database, user, password } = JSON.parse(readFileSync("/etc/hastack/app.json")).database;
const client = new pg.Client({ ...writer, database, user, password });
await client.connect();
for (const query of ${JSON.stringify(queries)}) {
  const code = await client.query(query).then(() => "done", (error) => error.code);
  console.log(query + ": " + code);
}
await client.end();`;
  const out = await mustRun(
    ["docker", "exec", "--interactive", "--workdir=/opt/hastack/current/app"].concat([
      stack.container(member),
      "/opt/hastack/current/bin/node",
      "--input-type=module",
    ]),
    { input: program, limitSeconds: 30 },
  );
  return out.trim().split("\n");
}
