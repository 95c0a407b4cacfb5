import assert from "node:assert/strict";
import { leaves } from "../../../../infra/certificates/domains.ts";
import { generationsFile } from "../../../../infra/generations.ts";
import { etcdHealth, etcdUsersScript, renderEtcd } from "../../../../infra/render/etcd.ts";
import type { Member } from "../../../../infra/topology.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { EtcdQuorum } from "../../../support/unit/etcd-quorum.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { Issuer } from "../../../support/unit/issuer.ts";
import { describeStack, workloadOf } from "../../../support/unit/stack.ts";

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
      const others = quorum.slice(1).map(({ backend }) => backend);
      assert.ok(text.includes(`for other in ${others.join(" ")}; do`));
    }
  });
});

describe("etcd's users", () => {
  const script = etcdUsersScript(topology, first(topology.members.quorum));

  it("D7: are made once every member answers, by way of the first", () => {
    assert.ok(script.includes("ETCDCTL_ENDPOINTS=https://10.2.0.21:2379\n"));
    const all = "https://10.2.0.21:2379,https://10.2.0.22:2379,https://10.2.0.23:2379";
    assert.ok(script.includes(`ETCDCTL_ENDPOINTS=${all} etcdctl`));
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
      assert.match(line, /--interactive=false < (root|"\$1")$/);
    }
  });
});

describe("etcd with its real files", function () {
  this.timeout(60_000);
  let quorum: EtcdQuorum;

  before(async function () {
    this.timeout(600_000);
    quorum = await EtcdQuorum.start();
  });
  after(() => quorum?.remove());

  /** etcdctl as a user, at the second member. */
  const etcdctl = (user: string, command: string) => quorum.etcdctl("etcd-2", user, command);
  const values = { root_password: "root-one", patroni_password: "patroni-one" };
  const users = (changes = {}) => quorum.task("etcd-users", { ...values, ...changes });

  it("D2: the first of a new quorum passes its gate before the others are there", async () => {
    await quorum.place("etcd-1");
    await quorum.healthy("etcd-1");
  });

  it("D2: the second does with the first, and the third with both", async () => {
    await quorum.place("etcd-2");
    const { stdout } = await quorum.healthy("etcd-2");
    assert.match(stdout, /"health":"true"/);
    await quorum.place("etcd-3");
    await quorum.healthy("etcd-3");
  });

  it("D2: its configuration holds no key that etcd warns of", async () => {
    const log = await quorum.on("etcd-1").run("cat /tmp/log");
    assert.doesNotMatch(log, /unrecognized|unknown|deprecated|invalid|ignoring/i);
  });

  it("D7: its users are not made before every member is there", async () => {
    await quorum.on("etcd-3").run("s6-svc -wD -d /etc/hastack/services/etcd");
    const { code, stderr } = await quorum.task("etcd-users", values, (script) =>
      script.replace("-lt 60", "-lt 3"),
    );
    assert.equal(code, 1);
    assert.match(stderr, /^a member of etcd is not healthy after 60 tries/);
    await quorum.on("etcd-3").run("s6-svc -u /etc/hastack/services/etcd");
    await quorum.healthy("etcd-3");
  });

  it("D7: its users are made, and where they are there nothing is changed", async () => {
    const { code, stderr } = await users();
    assert.equal(code, 0, stderr);
    // Each change of a user has a number of its own
    const status = async () => (await etcdctl("root:root-one", "auth status")).stdout;
    const before = await status();
    assert.match(before, /Status: true\nAuthRevision: \d+/);
    const again = await users();
    assert.deepEqual([again.code, again.stdout.split("\n").at(-2)], [0, "the users are there"]);
    assert.equal(await status(), before);
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
    const { code, stderr } = await users({ patroni_password: "patroni-two" });
    assert.equal(code, 0, stderr);
    assert.notEqual((await etcdctl("patroni:patroni-one", "get /service/ --prefix")).code, 0);
    assert.equal((await etcdctl("patroni:patroni-two", "get /service/ --prefix")).code, 0);
  });

  it("N3: a login of Patroni's is replaced step by step, and another one is there at each moment", async () => {
    const others = { patroni_password: "patroni-two", patroni_2_password: "patroni-three" };
    const step = async (generations: readonly number[]) => {
      const script = etcdUsersScript(
        quorum.stack.topology,
        first(quorum.stack.topology.members.quorum),
        generations,
      );
      const { code, stderr } = await quorum.task("etcd-users", values, () => script, others);
      assert.equal(code, 0, stderr);
    };
    const get = async (user: string) => (await etcdctl(user, "get /service/ --prefix")).code === 0;
    const [one, other] = ["patroni:patroni-two", "patroni_2:patroni-three"];
    for (const [generations, expected] of [
      [
        [1, 2],
        [true, true],
      ],
      [
        [2, 1],
        [true, true],
      ],
      [[2], [false, true]],
      [
        [2, 3],
        [true, true],
      ],
      [
        [3, 2],
        [true, true],
      ],
      [[3], [true, false]],
    ] as const) {
      await step(generations);
      assert.deepEqual([await get(one), await get(other)], expected, `at ${generations}`);
      assert.match((await etcdctl("root:root-one", "user list")).stdout, /^root$/m);
    }
  });

  it("N3: root's password is replaced, also where it was cut off before or after", async () => {
    const own = { patroni_password: "patroni-two" };
    const steps = [
      { root: "root-one", other: "root-two", now: "root-one" },
      { root: "root-two", other: "root-one", now: "root-two" },
      // Once more: it had been done
      { root: "root-two", other: "root-one", now: "root-two" },
      { root: "root-one", other: "root-two", now: "root-one" },
    ];
    for (const { root, other, now } of steps) {
      const files = { root_password: root, root_other_password: other };
      const { code, stderr } = await quorum.task(
        "etcd-users",
        { ...values, ...own },
        undefined,
        files,
      );
      assert.equal(code, 0, stderr);
      assert.equal((await etcdctl(`root:${now}`, "user list")).code, 0);
      const wrong = now === "root-one" ? "root-two" : "root-one";
      assert.notEqual((await etcdctl(`root:${wrong}`, "user list")).code, 0);
    }
  });

  it("N3: a step of a rotation is refused until the one before has come to its end", async () => {
    const [step, last] = [/^cache .*$/m, "rotation-end"];
    const begin = (cache: string) =>
      quorum.place("etcd-1", (workload) => ({
        ...workload,
        files: workload.files.map((file) =>
          file.path === generationsFile
            ? { ...file, content: file.content.replace(step, `cache ${cache}`) }
            : file,
        ),
      }));
    const end = async (cache: string) => {
      const edit = (script: string) => `sed -i 's/^cache .*/cache ${cache}/' *\n${script}`;
      const { code, stderr } = await quorum.task(last, {}, edit);
      assert.equal(code, 0, stderr);
    };
    await end("1");
    await begin("1 2");
    await assert.rejects(begin("2 1"), /Set \[1, 2\] again \(or \[1\], to go back\)/);
    await end("1 2");
    await begin("2 1");
    await begin("1 2");
    await begin("1");
  });

  describe("and somebody else in its network", () => {
    let stranger: Container;

    before(async () => {
      const image = await imageFor(workloadOf(quorum.stack, "etcd-1"));
      stranger = await start(image, "stranger", { network: quorum.network });
      const { topology } = quorum.stack;
      const certificates = {
        "of another authority": await new Issuer(topology).leaf("etcd-1", "etcd-peer"),
        "of a member, for clients": await quorum.issuer.leaf("etcd-1", "etcd-server"),
        "of Patroni": await quorum.issuer.leaf("db-1", "etcd-client"),
        "of a member, from elsewhere": await quorum.issuer.leaf("etcd-1", "etcd-peer"),
      };
      for (const [name, pem] of Object.entries(certificates)) {
        await stranger.run(`cat > '/tmp/${name}'`, pem);
      }
    });
    after(() => stranger?.remove());

    const status = async () => (await etcdctl("root:root-one", "auth status")).stdout;
    const shows = (name: string) => (name === "" ? "" : `--cert '/tmp/${name}'`);
    const wrong = ["", "of another authority", "of a member, from elsewhere"];

    it("N5: a forged message of a member's is taken from no other, whatever certificate it shows", async () => {
      for (const name of [...wrong, "of a member, for clients", "of Patroni"]) {
        assert.equal(await quorum.forge(stranger, "etcd-2", "https", shows(name)), "000", name);
      }
      assert.equal(await quorum.forge(stranger, "etcd-2", "http"), "000");
      assert.match(await status(), /Status: true/);
    });

    it("N5: the same message is taken from a member, and would switch passwords off", async () => {
      const own = "--cert /etc/hastack/tls/etcd-peer.pem";
      assert.equal(await quorum.forge(quorum.on("etcd-1"), "etcd-2", "https", own), "204");
      await until("passwords are off", {
        probe: async () => (await etcdctl("", "auth status")).stdout,
        done: (said) => said.includes("Status: false"),
        limitSeconds: 10,
      });
      assert.equal((await etcdctl("", "auth enable")).code, 0);
    });

    it("N5: leases are listed, kept alive and revoked for no one without a certificate", async () => {
      const granted = (await etcdctl("root:root-one", "lease grant 600")).stdout;
      const lease = BigInt(`0x${/^lease (\w+)/.exec(granted)?.[1]}`);
      const ask = async (what: string, words: string, scheme = "https") => {
        const url = `${scheme}://${quorum.address("etcd-2")}:2379/v3/lease/${what}`;
        const body = JSON.stringify(what === "leases" ? {} : { ID: String(lease) });
        const curl = `curl -sSk --max-time 2 ${words} -d '${body}' ${url}`;
        return (await stranger.attempt(curl)).stdout;
      };
      for (const what of ["leases", "keepalive", "revoke"]) {
        for (const name of wrong) assert.equal(await ask(what, shows(name)), "", what + name);
        assert.equal(await ask(what, "", "http"), "", what);
      }
      // The release of etcd that Debian has asks those with a certificate for no password here
      assert.match(await ask("leases", shows("of Patroni")), new RegExp(`"ID":"${lease}"`));
    });
  });

  it("D7: a login is quick, and no slow hash of a password is left", async () => {
    const hashes = await quorum.passwordHashes("etcd-2", values.root_password);
    assert.match(hashes, /^\$2a\$04\$/m);
    assert.doesNotMatch(hashes, /^\$2a\$(?!04)/m);
  });

  it("D2: a renewed certificate is served at both ports at once, by the same process", async () => {
    const process = await quorum.on("etcd-2").run("pgrep -x etcd");
    const before = await served("etcd-2");
    await quorum.renew("etcd-2");
    const said = await quorum.place("etcd-2");
    assert.equal(said, "changed tls/etcd-peer.pem\nchanged tls/etcd-server.pem");
    const after = await served("etcd-2");
    for (const port of [0, 1]) assert.notEqual(after[port], before[port]);
    assert.equal(await quorum.on("etcd-2").run("pgrep -x etcd"), process);
    await quorum.healthy("etcd-2");
  });

  it("D2: an authority that comes to be trusted besides restarts a member", async () => {
    const other = new Issuer(quorum.stack.topology);
    const process = await quorum.on("etcd-2").run("pgrep -x etcd");
    const both = [quorum.issuer, other].map(
      async (one) => (await one.authority("quorum-peer")).certificate,
    );
    await quorum.renew("etcd-2", { ca_quorum_peer: (await Promise.all(both)).join("") });
    assert.match(await quorum.place("etcd-2"), /^restart of etcd$/m);
    await quorum.healthy("etcd-2");
    assert.notEqual(await quorum.on("etcd-2").run("pgrep -x etcd"), process);
  });

  it("D2: a member whose certificate is not the one in its file does not pass", async () => {
    await quorum.on("etcd-3").run(`cd /etc/hastack && cp -p tls/etcd-peer.pem /tmp/ &&
      cat tls/etcd-server.pem > tls/etcd-peer.pem`);
    // etcd serves what is in the file, so it is the check's own copy of it that is another one
    const { code, stdout } = await quorum
      .on("etcd-3")
      .attempt(
        `mkdir -p /tmp/gate/tls && cd /tmp/gate && cp /etc/hastack/tls/* tls/ && cp /tmp/etcd-peer.pem tls/ && ${healthOf(quorum, "etcd-3")}`,
      );
    assert.equal(code, 1);
    assert.match(stdout, /port 2380 does not serve the certificate tls\/etcd-peer.pem\n$/);
    await quorum.on("etcd-3").run("cp -p /tmp/etcd-peer.pem /etc/hastack/tls/");
    await quorum.healthy("etcd-3");
  });

  it("D2: a lost member fails its gate, and the others pass theirs", async () => {
    await quorum.on("etcd-3").run("s6-svc -wD -d /etc/hastack/services/etcd");
    await quorum.healthy("etcd-1");
    await quorum.healthy("etcd-2");
    const { code, stdout } = await quorum.health("etcd-3");
    assert.deepEqual([code, stdout], [1, "its peer port does not answer\n"]);
  });

  /** What a member serves at its client port and at its peer port. */
  const served = (member: string) =>
    Promise.all(
      [2379, 2380].map((port) =>
        quorum
          .on(member)
          .run(`openssl s_client -connect ${quorum.address(member)}:${port} 2> /dev/null < /dev/null |
            openssl x509 -noout -serial`),
      ),
    );
});

const healthOf = ({ stack }: EtcdQuorum, member: string) =>
  workloadOf(stack, member).health?.command ?? "";

/** Five members on five addresses of one container. */
describe("etcd with five members", function () {
  this.timeout(60_000);
  const five = planWith({ members: { quorum: 5 } }).topology;
  const issuer = new Issuer(five);
  const addresses = five.members.quorum.map(({ backend }) => backend);
  let machine: Container;

  before(async function () {
    this.timeout(600_000);
    const image = await imageFor(workloadOf(await describeStack(), "etcd-1"));
    machine = await start(image, "etcd-five", { arguments: ["--cap-add=NET_ADMIN"] });
    for (const address of addresses) await machine.run(`ip address add ${address}/32 dev lo`);
  });
  after(() => machine?.remove());

  /** Starts a member, with its file changed. */
  async function launch(member: Member, edit = (text: string) => text): Promise<void> {
    const folder = `/tmp/${member.name}`;
    const text = renderEtcd(five, member).replace(/^data-dir: .*$/m, `data-dir: ${folder}/data`);
    await machine.run(`mkdir -p ${folder}/tls && cat > ${folder}/etcd.yml`, edit(text));
    for (const leaf of ["etcd-peer", "etcd-server"] as const) {
      const { domain } = leaves[leaf];
      // On one machine a member may seem to come from the address of another
      const pem = await issuer.leaf(member.name, leaf, { addresses });
      await machine.run(`cat > ${folder}/tls/${leaf}.pem`, pem);
      const { certificate } = await issuer.authority(domain);
      await machine.run(`cat > ${folder}/tls/${domain}-ca.crt`, certificate);
    }
    await machine.run(
      `cd ${folder} && etcd --config-file=etcd.yml > log 2>&1 & echo $! >> /tmp/pids`,
    );
  }
  const answers = (member: Member, code: number, text: string) =>
    until(`the health of ${member.name} is ${code} with ${text}`, {
      probe: () => machine.attempt(`cd /tmp/${member.name} && ${etcdHealth(five, member)}`),
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
listen-peer-urls: https://10.2.0.22:2380
listen-client-urls: https://10.2.0.22:2379
initial-advertise-peer-urls: https://10.2.0.22:2380
advertise-client-urls: https://10.2.0.22:2379
initial-cluster: etcd-1=https://10.2.0.21:2380,etcd-2=https://10.2.0.22:2380,etcd-3=https://10.2.0.23:2380
initial-cluster-token: hastack-test
initial-cluster-state: new
client-transport-security:
  cert-file: tls/etcd-server.pem
  key-file: tls/etcd-server.pem
  client-cert-auth: true
  trusted-ca-file: tls/quorum-client-ca.crt
peer-transport-security:
  cert-file: tls/etcd-peer.pem
  key-file: tls/etcd-peer.pem
  client-cert-auth: true
  trusted-ca-file: tls/quorum-peer-ca.crt
tls-min-version: TLS1.3
bcrypt-cost: 4
enable-grpc-gateway: true
auto-compaction-mode: periodic
auto-compaction-retention: 1h
log-level: warn
`;

const health = `is_plain() { curl -fsS --max-time 1 "http://$1:2380/version" > /dev/null 2>&1; }
listens() {
  # The port agrees to HTTP/2, and then speaks none
  curl -fsS --http1.1 --max-time 1 --cacert tls/quorum-peer-ca.crt --cert tls/etcd-peer.pem "https://$1:2380/version" > /dev/null 2>&1 ||
    is_plain "$1"
}
fingerprint() { openssl x509 -noout -fingerprint -sha256 "$@" 2> /dev/null; }
serves() {
  served=$(timeout 2 openssl s_client -connect "10.2.0.22:$1" -cert "$2" 2> /dev/null < /dev/null | fingerprint)
  [ "$served" = "$(fingerprint -in "$2")" ] || { echo "port $1 does not serve the certificate $2"; exit 1; }
}
if curl -fsS --max-time 2 --cacert tls/quorum-client-ca.crt --cert tls/etcd-server.pem https://10.2.0.22:2379/health 2>&1 | grep -F '"health":"true"'
then serves 2379 tls/etcd-server.pem
else
  listens 10.2.0.22 || { echo 'its peer port does not answer'; exit 1; }
  there=1
  for other in 10.2.0.21 10.2.0.23; do
    ! listens $other || there=$((there + 1))
  done
  [ "$there" -lt 2 ] || { echo "$there members answer, but there is no quorum"; exit 1; }
fi
is_plain 10.2.0.22 || serves 2380 tls/etcd-peer.pem`;
