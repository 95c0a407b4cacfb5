/** Every port that a member of the stack listens on, and who may enter there. */
import { databaseName } from "../../../infra/render/patroni.ts";
import { ports } from "../../../infra/roles.ts";
import type { TestStack } from "../test-stack.ts";
import type { Speech } from "./knock.ts";
import type { Offer } from "./offers.ts";
import type { StackSecrets } from "./state.ts";

/** The application's tiers, as the travel agency has them. */
const tiers = { storefront: 3000, admin: 3001 } as const;
/** Where PostgreSQL asks for no certificate, any that its authority has issued to a client will do. */
const anybody = [
  ...["none", "replicator", "rewinder", "keeper"],
  ...["misnamed replicator", "misnamed rewinder", "misnamed keeper"],
] as const satisfies readonly Offer["kind"][];

/** One row per purpose of a port; `at` are the members that have it. */
interface Row {
  readonly name: string;
  readonly at: readonly string[];
  readonly port: number;
  readonly speech: Speech;
  /** Who is let in. Everything else is refused. */
  readonly opens: readonly Offer["kind"][];
  /** From where: at each member of `at`, or at another. @default this machine, as a stranger there */
  readonly from?: "itself" | "its neighbour" | "lb-1" | "storefront-1" | "backup-1";
  /** Only the member's own certificate opens it. @default that of any member */
  readonly ownOnly?: true;
}

const etcds = ["etcd-1", "etcd-2", "etcd-3"];
const databases = ["db-1", "db-2"];
const balancers = ["lb-1", "lb-2"];

function rows({ place }: TestStack, secrets: StackSecrets): Row[] {
  const get = (path: string): Speech => ({ protocol: "http", request: `GET ${path} HTTP/1.1` });
  // A key that is not there is taken away: nothing changes where this is accepted
  const patch = (...headers: string[]): Speech => ({
    protocol: "http",
    request: ["PATCH /config HTTP/1.1", ...headers].join("\r\n"),
    body: Buffer.from('{"hastack_test": null}').toString("base64"),
  });
  const basic = Buffer.from(`patroni:${secrets.password("patroniApi")}`).toString("base64");
  const login = (role: string, of: string, database: string = databaseName): Speech => ({
    protocol: "database",
    role,
    password: secrets.password(of),
    database,
  });
  const asStandby: Speech = { ...login("replicator", "replicator"), replication: true } as Speech;
  const asRewinder = login("rewinder", "rewinder", "postgres");
  // It has no password
  const asKeeper: Speech = {
    protocol: "database",
    role: "keeper",
    password: "",
    database: databaseName,
  };
  // A load balancer on a database member's machine has that member's address
  const isShared = balancers.some((one) => place.sharing(one).some((it) => databases.includes(it)));
  const throughBalancers = (role: string): Row["opens"] =>
    isShared && (role === "replicator" || role === "rewinder") ? [role] : [];
  const hasBackups = secrets.certificates.some(({ leaf }) => leaf === "keeper");
  const database = { at: databases, port: ports.postgres };
  const tierNames = Object.keys(tiers) as (keyof typeof tiers)[];
  return [
    {
      name: "etcd, for clients",
      at: etcds,
      port: ports.etcdClient,
      speech: get("/version"),
      opens: ["etcd-client", "etcd-server"],
    },
    {
      name: "etcd, for members",
      at: etcds,
      port: ports.etcdPeer,
      speech: get("/version"),
      opens: ["etcd-peer"],
      from: "itself",
      ownOnly: true,
    },
    {
      name: "etcd, for members, from elsewhere",
      at: etcds,
      port: ports.etcdPeer,
      speech: get("/version"),
      opens: [],
    },
    {
      name: "Patroni, reading",
      at: databases,
      port: ports.patroni,
      speech: get("/patroni"),
      opens: ["none", "patroni-api"],
    },
    {
      name: "Patroni, a write",
      at: databases,
      port: ports.patroni,
      speech: patch(`Authorization: Basic ${basic}`),
      opens: ["patroni-api"],
    },
    {
      name: "Patroni, a write without the password",
      at: databases,
      port: ports.patroni,
      speech: patch(),
      opens: [],
    },
    {
      ...database,
      name: "PostgreSQL, replicator",
      speech: asStandby,
      opens: ["replicator"],
      from: "its neighbour",
    },
    {
      ...database,
      name: "PostgreSQL, rewinder",
      speech: asRewinder,
      opens: ["rewinder"],
      from: "its neighbour",
    },
    {
      ...database,
      name: "PostgreSQL, postgres",
      speech: login("postgres", "postgres"),
      opens: [],
      from: "its neighbour",
    },
    ...[asStandby, asRewinder, login("postgres", "postgres")].map(
      (speech): Row => ({
        ...database,
        name: `PostgreSQL, ${roleIn(speech)}, from elsewhere`,
        speech,
        opens: [],
      }),
    ),
    {
      ...database,
      name: "PostgreSQL, migrator",
      speech: login("migrator", "migrator"),
      opens: anybody,
    },
    ...tierNames.flatMap((tier): Row[] => [
      {
        ...database,
        name: `PostgreSQL, ${tier}, from elsewhere`,
        speech: login(`app_${tier}`, tier),
        opens: [],
      },
      ...[ports.primary, ports.replicas].flatMap((port): Row[] => {
        const speech = login(`app_${tier}`, tier);
        const name = `HAProxy to PostgreSQL :${port}, ${tier}`;
        return [
          { name, at: balancers, port, speech, opens: anybody, from: "storefront-1" },
          { name: `${name}, from elsewhere`, at: balancers, port, speech, opens: [] },
        ];
      }),
      {
        name: `instance, ${tier}`,
        at: [`${tier}-1`, `${tier}-2`],
        port: tiers[tier],
        speech: get("/api/health"),
        opens: ["load-balancer"],
      },
    ]),
    ...[asStandby, asRewinder, login("postgres", "postgres")].map(
      (speech): Row => ({
        name: `HAProxy to PostgreSQL, ${roleIn(speech)}`,
        at: balancers,
        from: "storefront-1",
        port: ports.primary,
        speech,
        opens: throughBalancers(roleIn(speech)),
      }),
    ),
    { ...database, name: "PostgreSQL, keeper, from elsewhere", speech: asKeeper, opens: [] },
    ...(hasBackups ? [asKeeper, { ...asKeeper, replication: true } as Speech] : []).map(
      (speech, index): Row => ({
        name: `HAProxy to PostgreSQL, keeper${index === 0 ? "" : " as a standby"}`,
        at: balancers,
        from: "backup-1",
        port: ports.primary,
        speech,
        opens: ["keeper"],
      }),
    ),
    {
      name: "cache",
      at: ["cache-1"],
      port: ports.cache,
      speech: { protocol: "cache", user: "hastack", password: secrets.password("cache") },
      opens: ["cache-client"],
    },
    {
      name: "cache, without the password",
      at: ["cache-1"],
      port: ports.cache,
      speech: { protocol: "cache" },
      opens: [],
    },
  ];
}

const roleIn = (speech: Speech) => (speech.protocol === "database" ? speech.role : "");

/** A port of one member, and one way to speak there. */
export interface Door extends Pick<Row, "name" | "port" | "speech" | "opens"> {
  readonly member: string;
  readonly host: string;
  /** The member from whose address it is knocked at. @default this machine's */
  readonly from?: string;
  isOpenTo(offer: Offer): boolean;
}

const members = { "lb-1": "lb-1", "storefront-1": "storefront-1", "backup-1": "backup-1" };

/** @param which `one of each kind` leaves out the other members' */
export function doorsOf(
  stack: TestStack,
  secrets: StackSecrets,
  which: "all" | "one of each kind",
): Door[] {
  return rows(stack, secrets).flatMap(({ at, from, ownOnly, ...row }) => {
    const chosen = which === "all" ? at : at.slice(0, 1);
    return chosen.map((member): Door => {
      const caller = { itself: member, "its neighbour": neighbour(at, member), ...members };
      return {
        ...row,
        member,
        host: stack.place.address(member),
        ...(from && { from: caller[from] }),
        isOpenTo: ({ kind, member: owner }) =>
          row.opens.some((one) => one === kind) && (!ownOnly || owner === member),
      };
    });
  });
}

/** The next one of a list. */
function neighbour(list: readonly string[], member: string): string {
  return list[(list.indexOf(member) + 1) % list.length] ?? member;
}
