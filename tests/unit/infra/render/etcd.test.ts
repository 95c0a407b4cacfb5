import assert from "node:assert/strict";
import { etcdHealth, etcdUsersScript, renderEtcd } from "../../../../infra/render/etcd.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";

const { topology } = planWith();
const second = topology.quorum[1] ?? first(topology.quorum);

describe("etcd.yml", () => {
  it("D2: is this for the second of three members", () => {
    assert.equal(renderEtcd(topology, second), whole);
  });

  it("D2: differs between the members in name and addresses only", () => {
    const texts = topology.quorum.map((member) =>
      renderEtcd(topology, member)
        .split("\n")
        .filter((line) => !/^(name|listen|initial-advertise|advertise)/.test(line)),
    );
    assert.equal(texts.length, 3);
    for (const text of texts) assert.deepEqual(text, texts[0]);
  });

  it("D2: names all members of a quorum of five", () => {
    const five = planWith({ members: { quorum: 5 } }).topology;
    const line = renderEtcd(five, first(five.quorum)).match(/initial-cluster: (.*)/)?.[1] ?? "";
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
});

describe("etcd's users", () => {
  const script = etcdUsersScript(topology, first(topology.quorum));

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
curl -fsS --max-time 1 http://10.2.0.22:2380/version > /dev/null 2>&1 || { echo 'it does not listen to the others'; exit 1; }
! curl -fsS --max-time 1 http://10.2.0.21:2380/version > /dev/null 2>&1 || { echo 'etcd-1 answers, but there is no quorum'; exit 1; }
! curl -fsS --max-time 1 http://10.2.0.23:2380/version > /dev/null 2>&1 || { echo 'etcd-3 answers, but there is no quorum'; exit 1; }`;
