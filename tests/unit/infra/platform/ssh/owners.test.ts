/** What is on a machine beside the stack: packages that others upgrade, and programs of their own. */
import assert from "node:assert/strict";
import { encode } from "../../../../../infra/platform/request.ts";
import { commandLine } from "../../../../../infra/platform/shell.ts";
import { parseFacts } from "../../../../../infra/platform/ssh/facts.ts";
import { factsText, factsWords } from "../../../../../infra/platform/ssh/preflight.ts";
import { callText, shippedPrograms } from "../../../../../infra/platform/ssh/programs.ts";
import { settingsWith } from "../../../../support/unit/fixtures.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";

const packages = [
  "haproxy",
  "keepalived",
  "valkey-server",
  "etcd-server",
  "patroni",
  "postgresql-17",
];
/** Debian's own services of these. */
const units = [
  "haproxy.service",
  "keepalived.service",
  "valkey-server.service",
  "etcd.service",
  "patroni.service",
  "postgresql@17-main.service",
];
const apt = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends";

describe("a machine with others at work on it", function () {
  this.timeout(480_000);
  let stacks: StandIn;
  let owners: StandIn;

  const call = async (machine: StandIn, name: string, request: object) => {
    const owner = { stack: "unit", machine: machine.target.name };
    const { code, stderr } = await machine.attempt(callText(name, owner.machine), {
      input: encode({ ...owner, ...request }),
      limitSeconds: 400,
    });
    assert.equal(code, 0, stderr);
  };
  const prepare = async (machine: StandIn) => {
    await machine.look("rm -f /etc/hastack/.machine");
    await call(machine, "ship", { programs: shippedPrograms() });
    await call(machine, "base", { userId: 880 });
  };
  const running = (machine: StandIn, names: readonly string[]) =>
    machine.look(`for unit in ${names.join(" ")}; do
  echo "$unit $(systemctl is-active $unit) $(systemctl show --property=MainPID --value $unit)"
done`);

  before(async () => {
    [stacks, owners] = await standIns();
  });

  describe("W6: that upgrades what the stack runs", () => {
    const own = ["haproxy", "keepalived", "valkey", "etcd", "patroni"].map(
      (name) => `hastack-${name}.service`,
    );

    before(async () => {
      await prepare(stacks);
      await call(stacks, "packages", { packages });
      await stacks.look(`mkdir -p /tmp/unit-etcd
printf '%s\n' defaults 'mode tcp' 'timeout client 1s' 'timeout server 1s' 'timeout connect 1s' \\
  'listen x' 'bind 127.0.0.1:8404' > /tmp/unit-haproxy.cfg
echo 'global_defs { }' > /tmp/unit-keepalived.conf
install -d -o postgres -g postgres /var/lib/postgresql/17/hastack
runuser -u postgres -- /usr/lib/postgresql/17/bin/initdb -D /var/lib/postgresql/17/hastack > /dev/null
run() { name=$1; shift; systemd-run --quiet --unit="hastack-$name" --property=Restart=always "$@"; }
run haproxy haproxy -W -db -f /tmp/unit-haproxy.cfg
run keepalived keepalived -n -f /tmp/unit-keepalived.conf
run valkey valkey-server --port 6379 --save ''
run etcd etcd --data-dir /tmp/unit-etcd
run patroni --uid=postgres /usr/lib/postgresql/17/bin/postgres -D /var/lib/postgresql/17/hastack`);
    });
    after(() =>
      stacks.look(`systemctl stop ${own.join(" ")}
rm -rf /tmp/unit-* /usr/sbin/policy-rc.d* /var/lib/postgresql/17/hastack
${apt} purge ${packages.join(" ")} needrestart > /dev/null 2>&1; ${apt} autoremove --purge > /dev/null 2>&1
rm -rf /etc/hastack /opt/hastack /etc/needrestart`),
    );

    const whole = async (before: string) => {
      assert.equal(await running(stacks, own), before);
      assert.equal(
        await stacks
          .look(`systemctl is-active ${units.join(" ")} | sort | uniq -c || :`)
          .then((text) => text.trim()),
        `${units.length} inactive`,
      );
      assert.equal(await stacks.look("pg_lsclusters --no-header"), "");
    };

    it("finds the stack's programs running on, and none of Debian's beside them", async () => {
      const before = await running(stacks, own);
      assert.equal(before.match(/ active [1-9]/g)?.length, own.length, before);
      await stacks.look(`${apt} install --reinstall ${packages.join(" ")} > /dev/null 2>&1`);
      await whole(before);
    });

    it("finds none of Debian's enabled for the next boot", async () => {
      const enabled = await stacks.look(
        `systemctl is-enabled ${units.slice(0, -1).join(" ")} || :`,
      );
      assert.deepEqual([...new Set(enabled.split("\n"))], ["disabled"]);
    });

    it("does not have needrestart restart them, be it told to restart whatever needs it", async () => {
      await stacks.look(`${apt} install needrestart > /dev/null 2>&1`);
      const before = await running(stacks, own);
      // What needs a restart: the program's file is another one by now
      await stacks.look(
        `${apt} install --reinstall ${packages.join(" ")} > /dev/null 2>&1; needrestart -r a -q < /dev/null > /tmp/unit-needrestart 2>&1`,
      );
      await whole(before);
    });
  });

  describe("W5: that runs PostgreSQL, HAProxy and nginx of somebody's own", () => {
    const theirs = ["haproxy.service", "nginx.service", "postgresql@17-main.service"];
    const settings = settingsWith();
    const look = async () => {
      const words = commandLine(factsWords(settings, ["/"]));
      const { stdout } = await owners.attempt(`set -- ${words}\n${factsText()}`);
      return parseFacts(stdout);
    };
    /** All that is theirs: processes, what starts at boot, files, rows. */
    const all = async () =>
      [
        await running(owners, theirs),
        await owners.look(`systemctl is-enabled ${theirs.slice(0, 2).join(" ")} postgresql.service
cat /etc/haproxy/haproxy.cfg /etc/nginx/nginx.conf /etc/postgresql/17/main/* | sha256sum
runuser -u postgres -- psql -Atc 'SELECT * FROM theirs'
ls -Ai /run/haproxy /run/postgresql /etc/postgresql-common`),
      ].join("\n");

    before(async () => {
      await owners.look(`rm -f /etc/hastack/.machine
apt-get update -qq > /dev/null
mkdir -p /etc/haproxy
${apt} install haproxy nginx-light postgresql-17 > /dev/null 2>&1
printf '%s\\n' global 'stats socket /run/haproxy/admin.sock' defaults 'mode tcp' 'timeout client 1s' \\
  'timeout server 1s' 'timeout connect 1s' 'listen theirs' 'bind :9000' > /etc/haproxy/haproxy.cfg
systemctl enable --quiet --now ${theirs.slice(0, 2).join(" ")} postgresql.service
systemctl restart haproxy nginx postgresql
timeout 30 sh -c 'until runuser -u postgres -- pg_isready -q; do sleep 0.5; done'
runuser -u postgres -- psql -qc 'CREATE TABLE theirs AS SELECT 42 AS it'`);
    });
    after(() =>
      owners.look(`${apt} purge haproxy nginx-light nginx-common keepalived postgresql-17 > /dev/null 2>&1
${apt} autoremove --purge > /dev/null 2>&1; rm -rf /var/lib/postgresql /etc/postgresql /etc/hastack /opt/hastack`),
    );

    it("is told by their services, which the roles that run the same would meet", async () => {
      const { othersUnits = [], listeners = [] } = await look();
      assert.deepEqual(othersUnits, ["haproxy.service", "postgresql@17-main.service"]);
      const holds = (port: number) => listeners.find((one) => one.port === port)?.unit;
      assert.deepEqual([80, 5432, 9000].map(holds), ["nginx.service", theirs[2], theirs[0]]);
    });

    it("keeps all of it as it is, whatever comes, is cut off, or goes", async () => {
      const before = await all();
      assert.equal(before.match(/ active [1-9]/g)?.length, theirs.length, before);
      await prepare(owners);
      await call(owners, "packages", { packages: ["haproxy", "postgresql-17", "keepalived"] });
      assert.equal(await all(), before);
      // As a run leaves it that was cut off while keepalived came
      await owners.look(`echo keepalived > /usr/sbin/policy-rc.d.hastack
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 0755 /usr/sbin/policy-rc.d`);
      await call(owners, "packages", { packages: ["haproxy", "postgresql-17", "keepalived"] });
      assert.equal(await owners.look("ls /usr/sbin | grep policy-rc || :"), "");
      assert.equal(await all(), before);
      await call(owners, "remove_base", {});
      await call(owners, "unship", {});
      assert.equal(await all(), before);
    });
  });
});
