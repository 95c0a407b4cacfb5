import assert from "node:assert/strict";
import type { Task, Workload } from "../../../../../infra/platform/platform.ts";
import {
  encode,
  ownUsers,
  secretsInput,
  taskRequest,
} from "../../../../../infra/platform/request.ts";
import { userId, workloadFolder } from "../../../../../infra/platform/ssh/layout.ts";
import { callText, shippedPrograms } from "../../../../../infra/platform/ssh/programs.ts";
import { placeRequest, removalRequest } from "../../../../../infra/platform/ssh/requests.ts";
import { unitName } from "../../../../../infra/platform/ssh/systemd.ts";
import { until } from "../../../../../lib/until.ts";
import { secretsInReach } from "../../../../support/secrets-in-reach.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";
import { mockPassword } from "../../../../support/unit/mocks.ts";
import {
  type Description,
  describeStack,
  release,
  taskOf,
  workloadOf,
} from "../../../../support/unit/stack.ts";

/** Two tiers, of which one has a job, that share a directory and have a secret each. */
const description = `name: shop
tiers:
  - { name: web, command: [./serve], instances: 2, health: { command: [./healthy] } }
  - { name: office, command: [./serve], instances: 2, health: { command: [./healthy] } }
jobs: [{ name: sweep, tier: office, command: ["true"], everySeconds: 604800 }]
migrations: { command: [./migrate] }
shared: [pictures]
secrets:
  keyOfWeb: { generated: true, tiers: [web] }
  keyOfOffice: { generated: true, tiers: [office] }
  firstPassword: { generated: true, tiers: [] }
`;
const pictures = "/var/lib/hastack/pictures";

/** It says what it can do with its own secret, and whether it gets at the network's raw packets. */
const serve = `#!/bin/sh
trap 'exit 0' TERM
cat "\${KEY_OF_WEB_FILE:-$KEY_OF_OFFICE_FILE}" | wc -c > "$PICTURES_DIRECTORY/$HASTACK_TIER"
perl -e 'use Socket; for ([17, 3, 0], [2, 3, 1]) { socket(S, $$_[0], $$_[1], $$_[2]) ? print "open\\n" : print "$!\\n" }' > "$PICTURES_DIRECTORY/$HASTACK_TIER.raw"
while :; do sleep 1 & wait $!; done
`;
/** Run by the gate, outside of the unit: it needs the unit's secret all the same. */
const healthy = `#!/bin/sh -e
test -s "\${KEY_OF_WEB_FILE:-$KEY_OF_OFFICE_FILE}"
test -s "$PICTURES_DIRECTORY/$HASTACK_TIER"
`;
const migrate = `#!/bin/sh -e
test -s "$FIRST_PASSWORD_FILE" && test -s "$KEY_OF_WEB_FILE"
touch ${pictures}/migrating
while [ ! -e ${pictures}/go ]; do sleep 0.2; done
`;

/** Secrets of the stack as the mocks make them, by whose they are. */
const secrets = {
  web: { webDatabase: mockPassword("web"), keyOfWeb: mockPassword("keyOfWeb") },
  office: { officeDatabase: mockPassword("office"), keyOfOffice: mockPassword("keyOfOffice") },
  migrations: { migrator: mockPassword("migrator"), first: mockPassword("firstPassword") },
};

describe("tiers on one machine", function () {
  this.timeout(180_000);
  let machine: StandIn;
  let stack: Description;

  const call = (name: string, what: string, request: object, input = "") =>
    machine.attempt(callText(name, what), {
      input: encode(request, input),
      limitSeconds: 600,
      ownMounts: name === "task",
    });
  const must = async (...[name, what, request, input]: Parameters<typeof call>) => {
    const { code, stdout, stderr } = await call(name, what, request, input);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  /** The text of a workload's or a task's secrets. */
  const inputOf = async (outputs: Workload["secrets"]) => {
    const values = Object.entries(outputs).map(async ([name, output]) => [
      name,
      await new Promise<string>((resolve) => output.apply(resolve)),
    ]);
    return secretsInput(Object.fromEntries(await Promise.all(values)));
  };
  const place = async (name: string, edit = (input: string) => input) => {
    const workload = workloadOf(stack, name);
    return must("place", name, placeRequest(workload, 30), edit(await inputOf(workload.secrets)));
  };
  const remove = (name: string) =>
    must("remove", name, removalRequest(workloadOf(stack, name), false));
  const migrations = (): Task => ({
    ...taskOf(stack, "migrations"),
    // The database is not there
    script: "PRIMARY=nowhere; set -a; . ./environment; set +a; cd /opt/hastack/current; ./migrate",
  });
  const runMigrations = async () => {
    const task = migrations();
    const request = {
      release: release.hash,
      ...ownUsers(task.release, [task.user]),
      ...taskRequest(task, workloadFolder(task.host.name), unitName),
    };
    return must("task", "migrations", request, await inputOf(task.secrets));
  };
  const reach = (user: string, of: Readonly<Record<string, string>>) =>
    secretsInReach(
      async (script, input) => {
        const { code, stdout, stderr } = await machine.attempt(script, { input });
        assert.equal(code, 0, stderr);
        return stdout;
      },
      user,
      of,
    );
  const users = () => machine.look("getent passwd | grep -o '^hastack[^:]*' | sort | xargs");
  const owner = { stack: "unit", machine: "apart" };

  before(async function () {
    this.timeout(900_000);
    const described = await describeStack({}, description);
    stack = { ...described };
    [machine] = await standIns();
    await must("ship", "apart", { ...owner, programs: shippedPrograms() });
    await must("base", "apart", { ...owner, userId });
    const folder = `/opt/hastack/releases/${release.hash}`;
    await machine.look(`mkdir -p ${folder} ${pictures} && mount -t tmpfs none ${pictures}`);
    for (const [name, text] of Object.entries({ serve, healthy, migrate })) {
      await machine.look(
        `cat > ${folder}/${name} <<'END'\n${text}END\nchmod 755 ${folder}/${name}`,
      );
    }
    // What an earlier release's only user has left there
    await machine.look(
      `cd ${pictures} && chown hastack: . && runuser -u hastack -- sh -c 'umask 077; mkdir old; echo old > old/file; echo kept > kept; chmod 444 kept'
       ln -s /etc/shadow link; chown -h hastack: link`,
    );
    await machine.look(`. /opt/hastack/programs/share; share ${pictures} hastack`);
    await place("web-1");
    await place("office-1");
  });
  after(async () => {
    await machine?.look(`umount ${pictures}; rm -rf /opt/hastack/releases/${release.hash}`);
    for (const name of ["remove_base", "unship"]) await must(name, "apart", owner);
  });

  it("N4, N6: run as users of their own, with their own secrets, and with no right of root's", async () => {
    const of = (unit: string) => machine.look(`systemctl show -p User --value ${unitName(unit)}`);
    assert.deepEqual(await Promise.all(["web", "office", "job-sweep"].map(of)), [
      "hastack-web",
      "hastack-office",
      "hastack-office",
    ]);
    for (const { tier, key } of [
      { tier: "web", key: secrets.web.keyOfWeb },
      { tier: "office", key: secrets.office.keyOfOffice },
    ]) {
      assert.equal(await machine.look(`cat ${pictures}/${tier}`), String(key.length));
      // Not even the family of addresses is allowed
      const raw = await machine.look(`cat ${pictures}/${tier}.raw`);
      assert.equal(raw, "Address family not supported by protocol\nOperation not permitted");
    }
    const granted = "grep CapBnd /proc/$(systemctl show -p MainPID --value hastack-web)/status";
    assert.match(await machine.look(granted), /^CapBnd:\t0+$/);
  });

  it("N3, N6: keep their secrets from each other and from the migrations, wherever they lie", async () => {
    const running = runMigrations();
    const started = until("the migrations run", {
      probe: () => machine.look(`ls ${pictures}`),
      done: (names) => names.includes("migrating"),
      limitSeconds: 60,
    });
    await Promise.race([started, running]);
    const all = { ...secrets.web, ...secrets.office, ...secrets.migrations };
    const named = (found: readonly string[]) =>
      [...new Set(found.map((one) => one.split(" ")[0]))].sort();
    // What is looked for can be found
    assert.deepEqual(named(await reach("root", all)), Object.keys(all).sort());
    assert.deepEqual(
      named(await reach("hastack-web", secrets.web)),
      Object.keys(secrets.web).sort(),
    );
    const { web, office, migrations } = secrets;
    assert.deepEqual(await reach("hastack-web", { ...office, ...migrations }), []);
    assert.deepEqual(await reach("hastack-office", { ...web, ...migrations }), []);
    const { webDatabase, officeDatabase } = all;
    assert.deepEqual(await reach("hastack-migrations", { webDatabase, officeDatabase }), []);
    assert.deepEqual(await reach("nobody", all), []);
    await machine.look(`touch ${pictures}/go`);
    await running;
    assert.equal(await machine.look("ls /run/hastack | grep -v lock || :"), "");
  });

  it("N3: a secret lies as root's alone, and a new one reaches the program and its jobs", async () => {
    const file = "/etc/hastack/office-1/secrets/keyOfOffice";
    assert.equal(await machine.look(`stat -c '%a %U' ${file}`), "400 root");
    const other = mockPassword("keyOfOffice", 2);
    const hex = (text: string) => Buffer.from(text).toString("hex");
    const output = await place("office-1", (input) =>
      input.replace(hex(secrets.office.keyOfOffice), hex(other)),
    );
    assert.match(output, /^restart of office$/m);
    assert.match(output, /^restart of job-sweep$/m);
    for (const process of ["office", "job-sweep"]) {
      const read = `cat /run/credentials/${unitName(process)}/keyOfOffice`;
      assert.equal(await machine.look(read), other);
    }
    await place("office-1");
  });

  it("S1: share a directory by their group: what one made the other reads, changes and removes", async () => {
    const as = (user: string, script: string) =>
      machine.look(`cd ${pictures} && runuser -u ${user} -- sh -euc 'umask 0007; ${script}'`);
    await as("hastack-web", "mkdir shared; echo web > shared/file");
    assert.equal(
      await as("hastack-office", "cat shared/file; echo office >> shared/file; cat shared/file"),
      "web\nweb\noffice",
    );
    await as("hastack-migrations", "rm shared/file; rmdir shared");
    assert.equal((await machine.attempt(`runuser -u nobody -- ls ${pictures}`)).code, 2);
  });

  it("S1: take over what the one user of earlier releases has left, and nothing that it leads to", async () => {
    const list = `cd ${pictures} && stat -c '%n %a %U %G' old old/file kept; stat -c %a /etc/shadow`;
    assert.equal(
      await machine.look(list),
      "old 2770 hastack hastack\nold/file 660 hastack hastack\nkept 444 hastack hastack\n640",
    );
    await machine.look(`cd ${pictures} && runuser -u hastack-web -- rm -r old`);
  });

  it("W4: go with their users, and the migrations' user with the machine's own things", async () => {
    assert.equal(await users(), "hastack hastack-migrations hastack-office hastack-web");
    await remove("web-1");
    assert.equal(await users(), "hastack hastack-migrations hastack-office");
    await remove("office-1");
    await must("remove_base", "apart", owner);
    assert.equal(await users(), "");
    assert.equal(await machine.look("getent group | grep hastack || :"), "");
    await must("base", "apart", { ...owner, userId });
  });

  it("W5: refuse a machine where somebody else has their user's name, and leave that one alone", async () => {
    await machine.look("useradd --create-home hastack-web");
    try {
      const { code, stderr } = await call(
        "place",
        "web-1",
        placeRequest(workloadOf(stack, "web-1"), 30),
      );
      assert.notEqual(code, 0);
      assert.match(stderr, /user 'hastack-web' already exists/);
      await remove("web-1");
      assert.match(await users(), /hastack-web/);
    } finally {
      await machine.look("userdel --remove hastack-web");
    }
  });
});
