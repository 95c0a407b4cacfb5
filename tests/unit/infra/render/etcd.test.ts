import assert from "node:assert/strict";
import { secretsInput } from "../../../../infra/platform/request.ts";
import { etcdHealth, etcdUsersScript, renderEtcd } from "../../../../infra/render/etcd.ts";
import type { Member } from "../../../../infra/topology.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { taskScript } from "../../../support/unit/requests.ts";
import { describeStack, taskOf, workloadOf } from "../../../support/unit/stack.ts";

const { topology } = planWith();
const second = topology.members.quorum[1] ?? first(topology.members.quorum);

describe("etcd.yml", () => {
  it("D2: is this for the second of three members", () => {
    assert.equal(renderEtcd(topology, second), whole);
  });

  it("D2: differs between the members in name and addresses only", () => {
    const texts = topology.members.quorum.map((member) =>
      renderEtcd(topology, member)
        .split("\n")
        .filter((line) => !/^(name|listen|initial-advertise|advertise)/.test(line)),
    );
    assert.equal(texts.length, 3);
    for (const text of texts) assert.deepEqual(text, texts[0]);
  });

  it("D2: names all members of a quorum of five", () => {
    const five = planWith({ members: { quorum: 5 } }).topology;
    const line =
      renderEtcd(five, first(five.members.quorum)).match(/initial-cluster: (.*)/)?.[1] ?? "";
    assert.deepEqual(
      line.split(",").map((member) => member.split("=")[0]),
      ["etcd-1", "etcd-2", "etcd-3", "etcd-4", "etcd-5"],
    );
  });

  it("N3: holds no password, not even the place for one", () => {
    assert.doesNotMatch(renderEtcd(topology, second), /@\{/);
  });
});

describe("health of an etcd member", () => {
  it("D2: is a quorum through it; alone it is enough that it listens", () => {
    assert.equal(etcdHealth(topology, second), health);
  });

  it("D2: asks for a majority of those that there are", () => {
    for (const [members, majority] of [
      [3, 2],
      [5, 3],
      [7, 4],
      [9, 5],
    ]) {
      const { topology } = planWith({ members: { quorum: members } });
      const { quorum } = topology.members;
      const text = etcdHealth(topology, first(quorum));
      assert.ok(text.includes(`[ "$there" -lt ${majority} ]`), `${majority} of ${members}`);
      assert.equal(text.match(/there=\$\(\(there \+ 1\)\)/g)?.length, quorum.length - 1);
    }
  });
});

describe("etcd's users", () => {
  const script = etcdUsersScript(topology, first(topology.members.quorum));

  it("D7: are made once every member answers, by way of the first", () => {
    assert.ok(script.includes("ETCDCTL_ENDPOINTS=http://10.2.0.21:2379\n"));
    const all = "http://10.2.0.21:2379,http://10.2.0.22:2379,http://10.2.0.23:2379";
    assert.ok(script.includes(`--endpoints=${all} `));
  });

  it("D7: give Patroni its own keys and no others", () => {
    const grants = script.match(/grant-permission .*/g);
    assert.deepEqual(grants, [
      "grant-permission patroni readwrite --prefix=true /service/ > /dev/null",
    ]);
  });

  it("N3: read their passwords from files; no argument holds one", () => {
    assert.doesNotMatch(script, /@\{/);
    for (const line of script.split("\n").filter((one) => /user (add|passwd)/.test(one))) {
      assert.match(line, /--interactive=false < (root|patroni)$/);
    }
  });
});

/**
 * Three members, each in a container of its own; they share the first one's network, where all
 * addresses are on one interface.
 */
describe("etcd with its real files", function () {
  this.timeout(60_000);
  const members: Container[] = [];
  let users: (values: Readonly<Record<string, string>>) => ReturnType<Container["attempt"]>;

  before(async function () {
    this.timeout(600_000);
    const stack = await describeStack();
    const image = await imageFor(workloadOf(stack, "etcd-1"));
    for (const member of stack.topology.members.quorum) {
      const [one] = members;
      members.push(
        await start(image, member.name, {
          arguments: ["--cap-add=NET_ADMIN"],
          ...(one && { network: `container:${one.name}` }),
        }),
      );
      const machine = machineOf(member.name);
      await machine.run(`ip address add ${member.backend}/32 dev lo`);
      await machine.run(
        "install -d /etc/hastack && cat > /etc/hastack/etcd.yml",
        renderEtcd(stack.topology, member),
      );
    }
    const task = taskOf(stack, "etcd-users");
    users = (values) => machineOf("etcd-1").attempt(taskScript(task), secretsInput(values));
  });
  after(async () => {
    for (const machine of [...members].reverse()) await machine.remove();
  });

  function machineOf(name: string): Container {
    const found = members[Number(name.slice(-1)) - 1];
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  }

  const launch = (name: string) =>
    machineOf(name).run(
      "install -d -o etcd -m 0700 /var/lib/etcd; " +
        "s6-setuidgid etcd etcd --config-file=/etc/hastack/etcd.yml > /tmp/etcd.log 2>&1 & " +
        "echo $! > /tmp/etcd.pid",
    );
  const kill = (name: string) => machineOf(name).run("kill -KILL $(cat /tmp/etcd.pid)");

  const health = (name: string) => {
    const self = topology.members.quorum.find((one) => one.name === name) ?? second;
    return machineOf(name).attempt(etcdHealth(topology, self));
  };
  const healthy = (name: string) =>
    until(`${name} is healthy`, {
      probe: () => health(name),
      done: ({ code }) => code === 0,
      limitSeconds: 20,
    });

  /** etcdctl as a user, at the second member. */
  const etcdctl = (user: string, command: string) =>
    machineOf("etcd-2").attempt(
      `ETCDCTL_API=3 etcdctl --endpoints=http://10.2.0.22:2379 ${user && `--user=${user}`} ${command}`,
    );
  const values = { root_password: "root-one", patroni_password: "patroni-one" };

  it("D2: the first of a new quorum passes its gate before the others are there", async () => {
    await launch("etcd-1");
    await healthy("etcd-1");
  });

  it("D2: the second does with the first, and the third with both", async () => {
    await launch("etcd-2");
    const { stdout } = await healthy("etcd-2");
    assert.match(stdout, /"health":"true"/);
    await launch("etcd-3");
    await healthy("etcd-3");
  });

  it("D2: its configuration holds no key that etcd warns of", async () => {
    const log = await machineOf("etcd-1").run("cat /tmp/etcd.log");
    assert.doesNotMatch(log, /unrecognized|unknown|deprecated|invalid/i);
  });

  it("D7: its users are made, and made again without harm", async () => {
    for (const _ of [1, 2]) {
      const { code, stderr } = await users(values);
      assert.equal(code, 0, stderr);
    }
  });

  it("D7: nobody gets in without a user, or with a wrong password", async () => {
    for (const user of ["", "patroni:wrong", "root:patroni-one"]) {
      const { code } = await etcdctl(user, "get / --prefix");
      assert.notEqual(code, 0, `as ${user || "nobody"}`);
    }
  });

  it("D7: Patroni may use its own keys, and no others", async () => {
    const patroni = "patroni:patroni-one";
    assert.equal((await etcdctl(patroni, "put /service/hastack/leader db-1")).stdout, "OK\n");
    assert.match((await etcdctl(patroni, "get /service/ --prefix")).stdout, /^db-1$/m);
    for (const command of ["put /other x", "get / --prefix", "user list", "auth disable"]) {
      const { code, stderr } = await etcdctl(patroni, command);
      assert.notEqual(code, 0, command);
      assert.match(stderr, /permission denied/, command);
    }
  });

  it("N3: a new password of Patroni's takes the place of the old one", async () => {
    const { code, stderr } = await users({ ...values, patroni_password: "patroni-two" });
    assert.equal(code, 0, stderr);
    assert.notEqual((await etcdctl("patroni:patroni-one", "get /service/ --prefix")).code, 0);
    assert.equal((await etcdctl("patroni:patroni-two", "get /service/ --prefix")).code, 0);
  });

  it("D2: a lost member fails its gate, and the others pass theirs", async () => {
    await kill("etcd-3");
    await healthy("etcd-1");
    await healthy("etcd-2");
    const { code, stdout } = await health("etcd-3");
    assert.deepEqual([code, stdout], [1, "its peer port does not answer\n"]);
  });
});

/** Five members on five addresses of one container. */
describe("etcd with five members", function () {
  this.timeout(60_000);
  const five = planWith({ members: { quorum: 5 } }).topology;
  let machine: Container;

  before(async function () {
    this.timeout(600_000);
    const image = await imageFor(workloadOf(await describeStack(), "etcd-1"));
    machine = await start(image, "etcd-five", { arguments: ["--cap-add=NET_ADMIN"] });
    for (const { backend } of five.members.quorum) {
      await machine.run(`ip address add ${backend}/32 dev lo`);
    }
  });
  after(() => machine?.remove());

  /** Starts a member, with its file changed. */
  async function launch(member: Member, edit = (text: string) => text): Promise<void> {
    const file = `/tmp/${member.name}.yml`;
    const text = renderEtcd(five, member).replace(
      /^data-dir: .*$/m,
      `data-dir: /tmp/${member.name}`,
    );
    await machine.run(`cat > ${file}`, edit(text));
    await machine.run(
      `etcd --config-file=${file} > /tmp/${member.name}.log 2>&1 & echo $! >> /tmp/pids`,
    );
  }
  const answers = (member: Member, code: number, text: string) =>
    until(`the health of ${member.name} is ${code} with ${text}`, {
      probe: () => machine.attempt(etcdHealth(five, member)),
      done: (answer) => answer.code === code && answer.stdout.includes(text),
      describe: ({ stdout, stderr }) => stdout + stderr,
      limitSeconds: 20,
      intervalSeconds: 0.2,
    });

  it("D2: each passes its gate before the next one starts, also the first two", async () => {
    for (const member of five.members.quorum) {
      await launch(member);
      await answers(member, 0, "");
    }
    await answers(first(five.members.quorum), 0, '"health":"true"');
  });

  it("D2: does not pass where a majority answers, and yet no quorum does", async () => {
    await machine.run(
      "kill -KILL $(cat /tmp/pids); while pgrep -x etcd; do sleep 0.1; done; rm -rf /tmp/etcd-?",
    );
    const [one, two, three] = five.members.quorum;
    assert.ok(one && two && three);
    // They listen to each other, and to no client
    const deaf = (text: string) => text.replace(/^(listen-client-urls: .*):2379$/m, "$1:2399");
    await launch(one, deaf);
    await launch(two, deaf);
    await answers(two, 0, "");
    await launch(three, deaf);
    // While it starts, its health is another trouble
    await answers(three, 1, "3 members answer, but there is no quorum\n");
  });
});

const whole = `name: etcd-2
data-dir: /var/lib/etcd/hastack
listen-peer-urls: http://10.2.0.22:2380
listen-client-urls: http://10.2.0.22:2379
initial-advertise-peer-urls: http://10.2.0.22:2380
advertise-client-urls: http://10.2.0.22:2379
initial-cluster: etcd-1=http://10.2.0.21:2380,etcd-2=http://10.2.0.22:2380,etcd-3=http://10.2.0.23:2380
initial-cluster-token: hastack-test
initial-cluster-state: new
enable-grpc-gateway: true
auto-compaction-mode: periodic
auto-compaction-retention: 1h
log-level: warn
`;

const health = `curl -fsS --max-time 2 http://10.2.0.22:2379/health 2>&1 | grep -F '"health":"true"' && exit 0
curl -fsS --max-time 1 http://10.2.0.22:2380/version > /dev/null 2>&1 || { echo 'its peer port does not answer'; exit 1; }
there=1
! curl -fsS --max-time 1 http://10.2.0.21:2380/version > /dev/null 2>&1 || there=$((there + 1))
! curl -fsS --max-time 1 http://10.2.0.23:2380/version > /dev/null 2>&1 || there=$((there + 1))
[ "$there" -lt 2 ] || { echo "$there members answer, but there is no quorum"; exit 1; }`;
