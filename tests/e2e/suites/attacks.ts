/**
 * Attacks from inside: on the backend network, with every certificate and every password that any member
 * has. docs/security.md says what follows.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { userOf } from "../../../infra/application/names.ts";
import type { Leaf } from "../../../infra/certificates/domains.ts";
import { ports } from "../../../infra/roles.ts";
import { type Door, doorsOf } from "../../support/attacks/doors.ts";
import { forgedAuthDisable, type Target } from "../../support/attacks/etcd.ts";
import { impersonate, type Shown } from "../../support/attacks/imposter.ts";
import { knockAll } from "../../support/attacks/knock.ts";
import { surprises, tableOf, tryAll } from "../../support/attacks/matrix.ts";
import {
  bareOffers,
  forgedOffers,
  forNobody,
  genuineOffers,
} from "../../support/attacks/offers.ts";
import { readAlong, seenIn } from "../../support/attacks/sniff.ts";
import { type Held, type StackSecrets, secretsOf } from "../../support/attacks/state.ts";
import { isFull } from "../../support/full.ts";
import { timed } from "../../support/measure.ts";
import { healed, must, primary, servingInstances } from "../../support/members.ts";
import { secretsInReach } from "../../support/secrets-in-reach.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { type Answer, postDestination, request } from "../../support/traffic.ts";
import { Visitor } from "../../support/visitor.ts";

/** Ports of which each must be seen in use: what is not used cannot be read along either. */
const usedPorts = [2379, 2380, 3000, 3001, 5000, 5432, 6379, 8008] as const;

/** What the storefront is given. */
const ofStorefront = [
  ...["password-storefront", "password-cache"],
  ...["secret-cookieSecret", "secret-sessionSecret-storefront"],
];

/** Words of the protocols between members, as they are without TLS. */
const clearWords = [
  "HTTP/1.",
  "SELECT ",
  "INSERT INTO",
  "server_version",
  "raft",
  "+PONG",
  "/v3/kv",
];

/** In the full run every certificate is tried at every member's ports; else one of each kind. */
export function attacksSuite(stack: TestStack): void {
  describe("attacks from inside", () => {
    let secrets: StackSecrets;
    before(async () => {
      await healed(stack);
      secrets = await secretsOf(stack);
    });

    it("N5, D7: no certificate opens a door that is not its own, and the right ones do", async () => {
      const which = isFull ? "all" : "one of each kind";
      const offers = [
        ...(await bareOffers()),
        ...genuineOffers(secrets, which),
        ...(await forgedOffers(secrets)),
      ];
      const doors = doorsOf(stack, secrets, which);
      const tried = await timed("certificates tried", () => tryAll(stack, doors, offers));
      console.log(tableOf(tried));
      const accepted = tried.filter((one) => one.accepted).length;
      const wrongly = tried.filter((one) => one.accepted && !one.expected).length;
      console.log(`      ${tried.length} tried, ${accepted} accepted, ${wrongly} wrongly`);
      assert.deepEqual(surprises(tried), []);
      const shut = doors.filter(
        (door) => door.opens.length > 0 && !tried.some((one) => one.door === door && one.accepted),
      );
      assert.deepEqual(
        shut.map(({ name, member }) => `${name} at ${member}`),
        [],
        "nothing opens it",
      );
    });

    it("D7, N5: nobody without etcd's certificates forges a raft message, or keeps or ends a lease", async () => {
      const client = genuine(secrets, "db-1", "etcd-client");
      const token = await logIn(stack, client, secrets.password("etcdPatroni"));
      const before = await leases(stack, client, token);
      assert.ok(before.length > 0, "Patroni has a lease");
      const targets = await quorumTargets(stack, client, token);
      const post = (
        path: string,
        body: Buffer,
        headers: Readonly<Record<string, string>> = {},
      ) => ({
        protocol: "http" as const,
        request: [`POST ${path} HTTP/1.1`, ...lines(headers)].join("\r\n"),
        body: body.toString("base64"),
      });
      const leaseCall = (path: string, ID: string) =>
        post(path, Buffer.from(JSON.stringify({ ID })));
      const forgedFor = (target: Target) => {
        const { path, body, headers } = forgedAuthDisable(target);
        return { port: ports.etcdPeer, speech: post(path, body, headers) };
      };
      const leaseSpeeches = [
        ...before.flatMap((id) => [
          { port: ports.etcdClient, speech: leaseCall("/v3/lease/keepalive", id) },
          { port: ports.etcdClient, speech: leaseCall("/v3/lease/revoke", id) },
        ]),
      ];
      const offers = [
        ...(await bareOffers()),
        ...(await forgedOffers(secrets)),
        // Those of other purposes
        ...genuineOffers(secrets, "one of each kind").filter(
          ({ kind }) => !kind.startsWith("etcd-"),
        ),
      ];
      const doors = [...targets].flatMap(([member, target]) =>
        [forgedFor(target), ...leaseSpeeches].map((one): Door => {
          const host = stack.place.address(member);
          return { ...one, name: "etcd", member, host, opens: [], isOpenTo: () => false };
        }),
      );
      assert.deepEqual(surprises(await tryAll(stack, doors, offers)), []);
      assert.deepEqual(await leases(stack, client, token), before);
      const { status, body } = await askEtcd(stack, client, "/v3/kv/range", { key: "AA==" });
      assert.ok(status >= 400 && status < 500, `without a password etcd answers ${status} ${body}`);
    });

    it("N5: on the backend network no password, session or page can be read along", async () => {
      const marker = `marker ${randomUUID()}`;
      const control = `control ${randomUUID()}`;
      const visitor = new Visitor(stack);
      const cookies: string[] = [];
      const streams = await readAlong(stack, async () => {
        cookies.push(...(await visit(stack, visitor, marker)));
        // Not by TLS: it is refused, and shows that what is in the clear is seen
        await speakPlainly(stack, control);
      });
      assert.equal(seenIn(streams, [control]).length, 1, "what is in the clear is seen");
      // A database member may have found an etcd member on its own machine
      const isOwn = stack.place.sharing("db-1").includes("etcd-1");
      const wire = usedPorts.filter((port) => !(isOwn && port === ports.etcdClient));
      const used = wire.filter((port) => streams.some((stream) => stream.ports.includes(port)));
      assert.deepEqual(used, wire, "every hop was in use");
      const others = streams.filter(({ bytes }) => !bytes.includes(control));
      const total = others.reduce((sum, { bytes }) => sum + bytes.length, 0);
      console.log(`      read along: ${others.length} streams, ${total} bytes`);
      assert.ok(cookies.length > 0, "there is a session");
      const words = [marker, visitor.account.email, visitor.account.password, ...cookies];
      assert.deepEqual(seenIn(others, [...words, ...written([...secrets.passwords.values()])]), []);
      assert.deepEqual(seenIn(others.filter(isOfMembers), clearWords), []);
    });

    it("N6: a tier's user reads no secret but its own, and no key of a certificate", async () => {
      const reach = async (secretsOfThese: Readonly<Record<string, string>>) =>
        secretsInReach(
          // It reads all files of the machine
          (script, input) =>
            must(stack, "storefront-1", ["sh", "-c", script], { input, limitSeconds: 300 }),
          userOf("storefront"),
          secretsOfThese,
        );
      const entries = [...secrets.passwords];
      const its = entries.filter(([name]) => ofStorefront.includes(name));
      assert.notDeepEqual(await reach(Object.fromEntries(its)), [], "its own are found");
      const others = entries.filter((one) => !its.includes(one));
      const keys = secrets.certificates.map(({ member, leaf, pem }) => [
        `key-of-${leaf}-of-${member}`,
        // Its last whole line; all keys begin alike
        /(.{64})\n[^\n]+\n-----END PRIVATE KEY-----/.exec(pem)?.[1] ?? "",
      ]);
      assert.ok(others.length >= 8 && keys.length > 20, `${others.length} and ${keys.length}`);
      assert.deepEqual(await reach(Object.fromEntries([...others, ...keys])), []);
    });

    it("A1: the site serves as before", () => healed(stack));
  });
}

const lines = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers).map(([name, value]) => `${name}: ${value}`);

/** PEM of a member's certificate. @throws where it has none */
function genuine({ certificates }: StackSecrets, member: string, leaf: Leaf): Held {
  const held = certificates.find((one) => one.member === member && one.leaf === leaf);
  if (held === undefined) throw new Error(`${member} has no ${leaf}`);
  return held;
}

/** Asks the first member of etcd as a database member does. @param token of a login @default none */
async function askEtcd(
  { place }: TestStack,
  { pem }: Held,
  path: string,
  body: object = {},
  token?: string,
): Promise<Answer> {
  const url = `https://${place.address("etcd-1")}:${ports.etcdClient}${path}`;
  return request(url, {
    ...{ cert: pem, key: pem, rejectUnauthorized: false, agent: false },
    method: "POST",
    ...(token !== undefined && { headers: { Authorization: token } }),
    body: JSON.stringify(body),
  });
}

/** Patroni's login at etcd. @returns the token that it gives */
async function logIn(stack: TestStack, client: Held, password: string): Promise<string> {
  const login = { name: "patroni", password };
  const { status, body } = await askEtcd(stack, client, "/v3/auth/authenticate", login);
  assert.equal(status, 200, body);
  return JSON.parse(body).token;
}

/** Numbers of the leases that there are. */
async function leases(stack: TestStack, client: Held, token: string): Promise<string[]> {
  const { status, body } = await askEtcd(stack, client, "/v3/lease/leases", {}, token);
  assert.equal(status, 200, body);
  const { leases: found = [] }: { leases?: { ID: string }[] } = JSON.parse(body);
  return found.map(({ ID }) => ID).sort();
}

/** Whom a forged message must name, by member. */
async function quorumTargets(
  stack: TestStack,
  client: Held,
  token: string,
): Promise<ReadonlyMap<string, Target>> {
  const { status, body } = await askEtcd(stack, client, "/v3/cluster/member/list", {}, token);
  assert.equal(status, 200, body);
  const { header, members } = JSON.parse(body);
  const cluster = BigInt(header.cluster_id).toString(16);
  const named = members.map(({ name, ID }: { name: string; ID: string }) => [
    name,
    { cluster, member: BigInt(ID) },
  ]);
  assert.equal(named.length, 3, body);
  return new Map(named);
}

/** @param stack whose members are containers of their own: others come to their addresses */
export function impostersSuite(stack: TestStack): void {
  describe("imposters", () => {
    before(() => healed(stack));

    it("N5: who stands at a member's address with another member's certificate is told nothing", async () => {
      const secrets = await secretsOf(stack);
      const { standby, shown } = await certificatesOfOthers(stack, secrets);
      const ends = [];
      for (const [member, certificates] of Object.entries(shown)) {
        ends.push({ member, end: await impersonate(stack, member, certificates) });
      }
      const seen: string[] = [];
      try {
        await sleep(imposterSeconds * 1000);
        assert.deepEqual(await servingInstances(stack), ["admin-1", "admin-2", "storefront-1"]);
        await postDestination(stack, "beside imposters");
      } finally {
        for (const { member, end } of ends) {
          for (const [port, { came, spoke }] of Object.entries(await end())) {
            console.log(`      ${member}:${port}: ${came} came, ${spoke} were deceived`);
            seen.push(`${member}:${port} ${came > 0 ? "came" : "nobody"} ${spoke}`);
          }
        }
      }
      assert.deepEqual(seen, [
        "storefront-2:3000 came 0",
        `${standby}:8008 came 0`,
        "etcd-3:2380 came 0",
        "cache-1:6379 came 0",
      ]);
      await healed(stack);
    });
  });
}

const imposterSeconds = 8;

/** What imposters show at the ports of four members: genuine certificates of the right domain. */
async function certificatesOfOthers(stack: TestStack, secrets: StackSecrets) {
  const leader = await primary(stack);
  const standby = leader === "db-1" ? "db-2" : "db-1";
  const of = (member: string, leaf: Leaf) => genuine(secrets, member, leaf);
  const shown: Record<string, Shown> = {
    "storefront-2": { 3000: of("storefront-1", "instance").pem },
    [standby]: { 8008: of(leader, "patroni-api").pem },
    "etcd-3": { 2380: of("etcd-1", "etcd-peer").pem },
    // There is one cache: its authority has issued for nobody else
    "cache-1": { 6379: await forNobody(secrets, of("cache-1", "cache-server")) },
  };
  return { standby, shown };
}

/** Uses every hop: pages, an upload, a login, the cache. @returns values of the visitor's cookies */
async function visit(stack: TestStack, visitor: Visitor, marker: string): Promise<string[]> {
  await visitor.register();
  const body = JSON.stringify(visitor.account);
  const json = { "Content-Type": "application/json", "X-Marker": marker };
  const { status, headers } = await visitor.send("POST", "api/session", body, json);
  assert.equal(status, 200);
  await postDestination(stack, marker);
  for (let turn = 0; turn < 10; turn += 1) {
    await visitor.send("GET", "api/content?limit=3");
    await visitor.send("GET", "api/offers");
    await visitor.whoAmI();
  }
  return (headers["set-cookie"] ?? []).flatMap((line) => {
    const [, value = ""] = /^[^=]+=([^;]*)/.exec(line) ?? [];
    return value.length < 16 ? [] : [value];
  });
}

async function speakPlainly(stack: TestStack, control: string): Promise<void> {
  const request = `GET /api/health HTTP/1.1\r\nX-Control: ${control}`;
  const at = { host: stack.place.address("storefront-2"), port: 3000, by: "plain" as const };
  const [verdict] = await knockAll([{ ...at, speech: { protocol: "http", request } }]);
  assert.equal(verdict?.accepted, false);
}

/** As they are on the wire: as they are, and as HTTP Basic has them. */
function written(passwords: readonly string[]): string[] {
  const users = ["patroni", "admin", "operator"];
  return passwords.flatMap((password) => [
    password,
    ...users.map((user) => Buffer.from(`${user}:${password}`).toString("base64")),
  ]);
}

/** GlusterFS between machines is without TLS (docs/security.md). */
const isOfMembers = ({ ports }: { readonly ports: readonly [number, number] }) =>
  usedPorts.some((port) => ports.includes(port));
