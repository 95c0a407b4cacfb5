/** Stacks that are broken in secret, so that a promise does not hold: whether `npm run prove` finds it. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { patroniUrl } from "../../infra/render/patroni.ts";
import { inRoot } from "../../lib/paths.ts";
import { attempt, holders, inside, must, primary } from "./members.ts";
import type { TestStack } from "./test-stack.ts";

type Undo = () => Promise<unknown>;

export interface Mutant {
  readonly what: string;
  /** By whose trial it is to be found. */
  readonly fault: string;
  /** What is found: text of a violation, `missed reads` or `missed writes`, or why nothing is tried. */
  readonly found: RegExp;
  /** Breaks it. What only is there during a proof is broken as soon as it is there. */
  readonly put: (stack: TestStack) => Promise<Undo>;
}

const balancers = ["lb-1", "lb-2"] as const;
const proof = "hastack_prove";
const patroniProgram = readFileSync(inRoot("operate/act/patroni.py"), "utf8");

/** Changes Patroni's settings for all members. `null` takes one away. */
const patroni =
  (patch: object, before: object) =>
  async (stack: TestStack): Promise<Undo> => {
    const change = async (body: object) => {
      const member = await primary(stack);
      const url = `${patroniUrl({ backend: stack.place.address(member) })}/config`;
      const words = [
        `${stack.place.files(member)}/patroni.yml`,
        "PATCH",
        url,
        JSON.stringify(body),
      ];
      await must(stack, member, ["python3", "-c", patroniProgram, ...words, "10"], {
        folder: stack.place.files(member),
      });
      // Each member reads it once a second
      await sleep(3000);
    };
    await change(patch);
    return () => change(before);
  };

/** Changes a file of both load balancers by sed, and has a process read it. */
const onBalancers =
  (file: string, edit: string, read: string, seconds = 3) =>
  async (stack: TestStack) => {
    const onBoth = (script: string) =>
      Promise.all(balancers.map((one) => inside(stack, one, `cd /etc/hastack; ${script}`)));
    await onBoth(`cp -p ${file} /run/${file}.before; sed -i '${edit}' ${file}
    ! cmp -s ${file} /run/${file}.before; ${read}`);
    await sleep(seconds * 1000);
    return async () => {
      await onBoth(`cat /run/${file}.before > ${file}; ${read}`);
      await sleep(seconds * 1000);
    };
  };

const haproxy = (edit: string) =>
  onBalancers("haproxy.cfg", edit, 'kill -USR2 "$(s6-svstat -o pid services/haproxy)"');

/** With adverts that are rare it takes a while until one of them has the addresses. */
const keepalived = (edit: string) =>
  onBalancers("keepalived.conf", edit, "s6-svc -r services/keepalived", 15);

/** Runs SQL in the proof's own database as soon as it is there; both are gone afterwards. */
const inProof =
  (...statements: readonly string[]) =>
  async (stack: TestStack): Promise<Undo> => {
    const member = await primary(stack);
    let goesOn = true;
    const psql = ["psql", "-h/run/postgresql", "-XAtq", "-v", "ON_ERROR_STOP=1", proof];
    const options = { user: "postgres", input: statements.join(";\n") };
    const tried = (async () => {
      while (goesOn) {
        const { code } = await attempt(stack, member, psql, options);
        if (code === 0) return true;
        await sleep(200);
      }
      return false;
    })();
    return async () => {
      goesOn = false;
      if (!(await tried))
        throw new Error("it was not put in: there was no proof, or its tables changed");
    };
  };

/** Has a trigger do something to one row in some. */
const trigger = (when: string, table: string, oneIn: number, then: string) =>
  inProof(
    `CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF random() < 1.0 / ${oneIn} THEN ${then} END IF; RETURN NEW; END $$`,
    `CREATE TRIGGER spoil ${when} ON ${table} FOR EACH ROW EXECUTE FUNCTION spoil()`,
  );

/** Ends a process of members for as long as it is in. */
const without =
  (process: string, members: (stack: TestStack) => Promise<readonly string[]>) =>
  async (stack: TestStack): Promise<Undo> => {
    const found = await members(stack);
    const tell = (what: string) =>
      Promise.all(
        found.map((one) => inside(stack, one, `s6-svc ${what} /etc/hastack/services/${process}`)),
      );
    await tell("-d");
    await sleep(2000);
    return () => tell("-u");
  };

const passive = async (stack: TestStack) => {
  const active = await holders(stack);
  return balancers.filter((one) => !active.includes(one));
};

/** The other one has the frontend's address as well. */
async function bothHold(stack: TestStack): Promise<Undo> {
  const [other = ""] = await passive(stack);
  const on = (verb: string) => `ip address ${verb} ${stack.place.vip}/32 dev "$name"`;
  const named = `name=$(ip -oneline -4 address show to ${stack.place.ownAddress}/24 | awk '{ print $2; exit }')`;
  await inside(stack, other, `${named}; ${on("add")}`);
  return () => inside(stack, other, `${named}; ${on("del")}`);
}

/** Files of the proof go, one every second. */
async function filesGo(stack: TestStack): Promise<Undo> {
  const loop = `for second in $(seq 150); do sleep 1
    find /var/lib/hastack/uploads/.hastack-prove -type f 2> /dev/null | head -n 1 | xargs -r rm -f; done`;
  const started = `setsid sh -c '${loop}' > /dev/null 2>&1 < /dev/null & echo $!`;
  const pid = (await inside(stack, "storefront-1", started)).trim();
  return () => inside(stack, "storefront-1", `kill -TERM "-${pid}" 2> /dev/null || :`);
}

/** Whoever comes back alone has lost what the other one acknowledged alone. */
const standbyAlone = "both-down-standby-first-standby-back-first";

export const mutants: readonly Mutant[] = [
  {
    what: "commits wait for no standby (synchronous_mode: false)",
    fault: standbyAlone,
    found: /lost write|not linearizable|as it should be/,
    put: patroni({ synchronous_mode: false }, { synchronous_mode: true }),
  },
  {
    what: "commits wait for no standby, and the primary's Patroni hangs",
    fault: "patroni-hung",
    found: /two primaries|lost write|not linearizable|as it should be/,
    put: patroni({ synchronous_mode: false }, { synchronous_mode: true }),
  },
  {
    what: "a role that commits for itself (synchronous_commit = local)",
    fault: "primary-power-cut-unheard",
    found: /lost write|not linearizable/,
    put: inProof(`ALTER ROLE ${proof} SET synchronous_commit = local`),
  },
  {
    what: "sessions are not cut on failover",
    fault: "patroni-hung",
    found: /not linearizable|missed/,
    put: haproxy("s/ on-marked-down shutdown-sessions//"),
  },
  {
    what: "load balancers do not know the standby's way to be the primary",
    fault: "postgres-killed",
    found: /missed writes|as it should be/,
    put: async (stack) => {
      const standby = (await primary(stack)) === "db-1" ? "db-2" : "db-1";
      return haproxy(`/^backend primary/,/^backend standby/{/  server ${standby} /d}`)(stack);
    },
  },
  {
    what: "the primary gives up without etcd (failsafe_mode: false)",
    fault: "etcd-all-hung",
    found: /missed writes/,
    put: patroni({ failsafe_mode: false }, { failsafe_mode: true }),
  },
  {
    what: "a lease of a minute (ttl: 60)",
    fault: "primary-power-cut",
    found: /missed writes [3-9]\d/,
    put: patroni({ ttl: 60 }, { ttl: 20 }),
  },
  {
    what: "a standby that hangs is waited for (wal_sender_timeout = 60s)",
    fault: "standby-hung",
    found: /missed writes [5-9]|missed writes \d\d/,
    put: patroni(
      { postgresql: { parameters: { wal_sender_timeout: "60s" } } },
      { postgresql: { parameters: { wal_sender_timeout: "1800ms" } } },
    ),
  },
  {
    what: "load balancers believe in a member that does not answer (fall 40)",
    fault: "patroni-hung",
    found: /not linearizable|missed reads [3-9]|missed writes (?:2[6-9]|[3-9]\d)/,
    put: haproxy("s/ fall 2 / fall 40 /"),
  },
  {
    what: "load balancers tell each other that they are there every 3 s",
    fault: "balancer-power-cut",
    found: /missed reads (?:[3-9]|\d\d)/,
    put: keepalived("s/advert_int 0.2/advert_int 3/"),
  },
  {
    what: "nobody would take the addresses over",
    fault: "nothing",
    found: /as it should be/,
    put: without("keepalived", passive),
  },
  {
    what: "both load balancers hold the address",
    fault: "nothing",
    found: /as it should be/,
    put: bothHold,
  },
  {
    what: "etcd has no member to spare",
    fault: "nothing",
    found: /as it should be/,
    put: without("etcd", async () => ["etcd-2"]),
  },
  {
    what: "a row is dropped",
    fault: "nothing",
    found: /lost write/,
    put: trigger("BEFORE INSERT", "entry", 50, "RETURN NULL;"),
  },
  {
    what: "a row is stored twice",
    fault: "nothing",
    found: /nobody wrote this|duplicate/,
    put: trigger(
      "BEFORE INSERT",
      "entry",
      50,
      "IF pg_trigger_depth() = 1 THEN INSERT INTO entry VALUES (NEW.key || '.', NEW.value); END IF;",
    ),
  },
  {
    what: "an update is acknowledged, and not done",
    fault: "nothing",
    found: /not linearizable/,
    put: trigger("BEFORE UPDATE", "register", 30, "RETURN OLD;"),
  },
  {
    what: "a place is sold, and still there",
    fault: "nothing",
    found: /stock/,
    put: trigger("BEFORE UPDATE", "stock", 30, "NEW.places := OLD.places;"),
  },
  {
    what: "a visitor's write is forgotten",
    fault: "nothing",
    found: /stale read/,
    put: trigger("BEFORE UPDATE", "visitor", 30, "RETURN OLD;"),
  },
  {
    what: "a row is not what was written",
    fault: "nothing",
    found: /nobody wrote this|lost write/,
    put: trigger("BEFORE INSERT", "entry", 50, "NEW.value := 'other';"),
  },
  {
    what: "files go",
    fault: "nothing",
    found: /lost file/,
    put: filesGo,
  },
  {
    what: "one page in twenty is an error",
    fault: "nothing",
    found: /missed reads/,
    put: haproxy("/^frontend web/a\\  http-request deny deny_status 503 if { rand(20) eq 0 }"),
  },
];
