/** Every generated password and secret is replaced, while visitors and clients go on and members die. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type StackSecrets, secretsOf } from "../../support/attacks/state.ts";
import { assertNoneFailed, show, timed, underLoad } from "../../support/measure.ts";
import {
  attempt,
  healed,
  killPostmaster,
  killProcess,
  primary,
  wholePair,
} from "../../support/members.ts";
import { mustCommand } from "../../support/operation.ts";
import { limits, promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites } from "../../support/traffic.ts";
import { Visitor } from "../../support/visitor.ts";

export function rotateSuite(stack: TestStack): void {
  describe("passwords", () => {
    let former: StackSecrets;
    let present: StackSecrets;
    let visitors: Visitor[];

    before(async () => {
      await healed(stack);
      former = await secretsOf(stack);
      // Asked of Pulumi once, which the first write would else wait for
      await stack.authorization();
      visitors = [new Visitor(stack), new Visitor(stack)];
      await Promise.all(visitors.map((one) => one.register()));
    });

    it("N3: all are replaced by npm run rotate, and no request fails, nor anybody's session", async () => {
      const sessions = { good: 0, lost: [] as string[] };
      const report = await underLoad(stack, async () => {
        const end = new AbortController();
        const [visitor] = visitors;
        const looking = look(end.signal, async () => {
          await visitor?.whoAmI().then(
            () => (sessions.good += 1),
            ({ message }: Error) => sessions.lost.push(message),
          );
        });
        const dying = killInTurns(stack, end.signal);
        try {
          await timed("rotate", () => rotateToTheEnd(stack));
        } finally {
          end.abort();
          await Promise.all([looking, dying]);
        }
      });
      show(
        "rotate, while an instance's program or the standby's PostgreSQL dies every 20 s",
        report,
        promises.release,
      );
      assertNoneFailed(report);
      assert.deepEqual(sessions.lost, []);
      assert.ok(sessions.good > 100, `${sessions.good} looks`);
      assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
      await healed(stack);
      present = await secretsOf(stack);
    });

    it("W3: another up changes nothing", async () => {
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });

    it("N3: no password is the one before, and the administrator's first one is", () => {
      const same = [...former.passwords].filter(([, one]) =>
        [...present.passwords.values()].includes(one),
      );
      const kept = same.map(([name]) => name).sort();
      assert.deepEqual(kept, [
        "secret-adminPassword",
        "secret-cookieSecret",
        "secret-sessionSecret-admin",
        "secret-sessionSecret-storefront",
      ]);
    });

    it("N3: those before are refused everywhere, and those of now are taken", async () => {
      for (const door of doors(stack)) {
        const old = former.password(door.of);
        const now = present.passwords.get(`password-${door.of}.2`) ?? "";
        assert.equal(await door.opens(now, 2), true, `${door.name} with the one of now`);
        assert.equal(await door.opens(old, 1), false, `${door.name} with the one before`);
        assert.equal(await door.opens(old, 2), false, `${door.name}, its login of now, before`);
      }
    });

    it("A6: a cookie that the secret before has signed is taken until --finish, and those who came keep theirs", async () => {
      const [came, away] = visitors as [Visitor, Visitor];
      const forged = resigned(came, former.passwords.get("secret-sessionSecret-storefront") ?? "");
      assert.equal(await statusWith(stack, forged), 200);
      await away.whoAmI();
      await rotate(stack, "--finish");
      assert.equal(await statusWith(stack, forged), 401);
      await came.whoAmI();
      await away.whoAmI();
    });

    it("W5, N3: a step that is left out is refused before anything is touched", async () => {
      const file = `${stack.folder}Pulumi.${stack.name}.yaml`;
      const text = readFileSync(file, "utf8");
      writeFileSync(file, text.replace("cache: [2]", "cache: [3]"));
      const { code, stdout } = await stack.up();
      writeFileSync(file, text);
      assert.notEqual(code, 0);
      assert.match(stdout, /hastack:credentials.cache: change it by one step at a time/);
      await stack.mustUp();
      await healed(stack);
    });
  });
}

const rotate = (stack: TestStack, ...args: string[]) =>
  mustCommand(stack, ["rotate", ...args], 3 * limits.up);

/** A member that is dead just when an `up` waits for it may stop that; the same command goes on then. */
async function rotateToTheEnd(stack: TestStack): Promise<void> {
  await rotate(stack).catch(async ({ message }: Error) => {
    console.log(`      stopped, and run again: ${message}`);
    await rotate(stack);
  });
}

async function look(signal: AbortSignal, act: () => Promise<unknown>): Promise<void> {
  while (!signal.aborted) {
    await act();
    await sleep(200, undefined, { signal }).catch(() => {});
  }
}

/** What starts anew just then must get in, too. */
async function killInTurns(stack: TestStack, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn += 1) {
    await sleep(20_000, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    if (turn % 2 === 0) await killProcess(stack, "storefront-1", "storefront").catch(() => {});
    else {
      const first = await primary(stack).catch(() => undefined);
      if (!first) continue;
      await killPostmaster(stack, first === "db-1" ? "db-2" : "db-1").catch(() => {});
      await wholePair(stack);
    }
  }
}

interface Entrance {
  readonly name: string;
  /** Whose password it asks for. */
  readonly of: string;
  /** @param login of which generation */
  opens(password: string, login: number): Promise<boolean>;
}

function doors(stack: TestStack): Entrance[] {
  const { place } = stack;
  const folder = (member: string) => place.files(member);
  /** The password comes by the input, and the command says `in` where it is taken. */
  const ask = async (member: string, script: string, password: string, user?: string) => {
    const options = { input: `${password}\n`, ...(user && { user }) };
    const text = `read -r password; export password; cd ${folder(member)}; ${script}`;
    const { code, stdout, stderr } = await attempt(stack, member, ["sh", "-c", text], options);
    assert.match(
      `${stdout}${stderr}`,
      code === 0 ? /(^|\n)in\n/ : refusals,
      `${member}: ${script}`,
    );
    return code === 0;
  };
  const loginOf = (name: string, login: number) => (login === 2 ? `${name}_2` : name);
  const psql = (query: string, words: string) =>
    `PGPASSWORD=$password psql -XAtc "${query}" "host=${place.address("db-2")} sslmode=verify-full sslrootcert=tls/database-ca.crt ${words}" > /dev/null && echo in`;
  const asMember = (role: string) => `user=${role} sslcert=tls/${role}.pem sslkey=tls/${role}.pem`;
  const database = (name: string, of: string, query: string, words: string): Entrance => ({
    name: `a database member, for ${name}`,
    of,
    opens: (password) => ask("db-1", psql(query, words), password, "postgres"),
  });
  const tier = (name: string): Entrance => ({
    name: `the database, for ${name}`,
    of: name,
    opens: (password, login) =>
      ask(
        `${name}-1`,
        `set -a; . ./environment; set +a; cd ${place.release(`${name}-1`)}
PGUSER=${loginOf(`app_${name}`, login)} PGPASSWORD=$password node_modules/.bin/node --input-type=module -e '
import pg from "pg";
import { readFileSync } from "node:fs";
const client = new pg.Client({ ssl: { ca: readFileSync(process.env.PGSSLROOTCERT), servername: "" , checkServerIdentity: () => undefined } });
await client.connect();
const { rows } = await client.query("SELECT current_user AS role");
if (rows[0].role !== "app_${name}") throw new Error("it is " + rows[0].role);
console.log("in");
await client.end();'`,
        password,
      ),
  });
  const http = async (status: number) => {
    assert.ok([200, 401].includes(status), `status ${status}`);
    return status === 200;
  };
  return [
    tier("storefront"),
    tier("admin"),
    database("the migrations", "migrator", "SELECT", "dbname=hastack user=migrator"),
    database(
      "replication",
      "replicator",
      "IDENTIFY_SYSTEM",
      `replication=1 ${asMember("replicator")}`,
    ),
    database("pg_rewind", "rewinder", "SELECT", `dbname=postgres ${asMember("rewinder")}`),
    {
      name: "etcd, for Patroni",
      of: "etcdPatroni",
      opens: (password, login) =>
        ask(
          "etcd-1",
          etcdctl(stack, loginOf("patroni", login), "get --limit=1 --prefix /service/"),
          password,
        ),
    },
    {
      name: "etcd, for root",
      of: "etcdRoot",
      opens: (password) => ask("etcd-1", etcdctl(stack, "root", "user list"), password),
    },
    {
      name: "Patroni's REST API",
      of: "patroniApi",
      opens: (password) =>
        ask(
          "db-1",
          `printf 'user = "patroni:%s"\\n' "$password" | curl -sS --fail -X PATCH --config - --cacert tls/patroni-api-ca.crt --cert tls/patroni-api.pem -d '{"hastack_test": null}' https://${place.address("db-2")}:8008/config > /dev/null && echo in`,
          password,
        ),
    },
    {
      name: "the cache",
      of: "cache",
      opens: (password) =>
        ask(
          "cache-1",
          `REDISCLI_AUTH=$password valkey-cli --no-auth-warning --user hastack --tls --cacert tls/cache-ca.crt --cert tls/cache-client.pem --key tls/cache-client.pem -h ${place.address("cache-1")} ping 2>&1 | sed s/PONG/in/ | grep . | tee /dev/stderr | grep -qx in && echo in`,
          password,
        ),
    },
    {
      name: "the statistics page",
      of: "statistics",
      opens: async (password) => {
        const Authorization = `Basic ${Buffer.from(`operator:${password}`).toString("base64")}`;
        const url = new URL(stack.url);
        const { status } = await stack.request(`${url.protocol}//${place.statsHosts[0]}/`, {
          headers: { Authorization },
        });
        return http(status);
      },
    },
  ];
}

/** What each program says where it does not let in. */
const refusals =
  /password authentication failed|not permitted to log in|28P01|28000|authentication failed, invalid user ID or password|error: 401|WRONGPASS/;

const etcdctl = ({ place }: TestStack, user: string, words: string) =>
  `ETCDCTL_API=3 ETCDCTL_USER=${user} ETCDCTL_PASSWORD=$password etcdctl --endpoints=https://${place.address("etcd-1")}:2379 --cacert=tls/quorum-client-ca.crt --cert=tls/etcd-server.pem --key=tls/etcd-server.pem ${words} > /dev/null && echo in`;

/** A visitor's session as whoever knows a secret would sign it. */
function resigned({ headers }: Visitor, secret: string): string {
  const [, name = "", value = ""] =
    /([\w-]*hastack-session)=([^;]+)/.exec(headers.Cookie ?? "") ?? [];
  const [, id = ""] = /^s:(.*)\.[^.]*$/.exec(decodeURIComponent(value)) ?? [];
  assert.notEqual(id, "");
  const signature = createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "");
  return `${name}=${encodeURIComponent(`s:${id}.${signature}`)}`;
}

async function statusWith(stack: TestStack, Cookie: string): Promise<number> {
  return (await stack.request("api/account", { headers: { Cookie } })).status;
}
