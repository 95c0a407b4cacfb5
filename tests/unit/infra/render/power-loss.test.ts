/** Whether what is acknowledged is on a disk: one that forgets what was not synced tells. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Workload } from "../../../../infra/platform/platform.ts";
import { EtcdQuorum } from "../../../support/unit/etcd-quorum.ts";
import {
  type ForgetfulDisk,
  forgetfulDisks,
  forgetfulOptions,
} from "../../../support/unit/forgetful-disk.ts";
import { needsGo } from "../../../support/unit/go-program.ts";
import { makeTable, writeInto } from "../../../support/unit/pair-writer.ts";
import { PatroniPair } from "../../../support/unit/patroni-pair.ts";

/** So long clients write before the power goes. */
const writingSeconds = 5;

describe("both members of the database lose their power at once", function () {
  this.timeout(300_000);
  let pair: PatroniPair;
  let disks: ForgetfulDisk[];

  before(async function () {
    this.timeout(900_000);
    await needsGo(this, "not tried");
    pair = await PatroniPair.start({ options: forgetfulOptions });
    const containers = ["db-1", "db-2"].map((member) => pair.on(member));
    disks = await forgetfulDisks(containers, "/var/lib/postgresql");
    await pair.startQuorum("https");
    await pair.placeAll();
    await pair.whole();
    await makeTable(pair);
  });
  after(() => pair?.remove());

  /** @returns numbers of rows that were acknowledged, and are lost */
  async function lostWithPower(name: string): Promise<string> {
    const writers = await Promise.all([1, 2, 3].map((one) => writeInto(pair, `${name}_${one}`)));
    await sleep(writingSeconds * 1000);
    await Promise.all(disks.map((one) => one.losePower("patroni", "postgres")));
    await Promise.all(disks.map((one) => one.return("patroni")));
    await pair.whole();
    const written = await Promise.all(writers.map((stop) => stop()));
    return written.map(({ lost }) => lost).join(" ");
  }

  it("D4, D5: nothing that was acknowledged is lost", async () => {
    assert.equal((await lostWithPower("synced")).trim(), "");
  });

  it("the disk would have told: without fsync the same loses rows, or all", async () => {
    for (const member of ["db-1", "db-2"])
      await pair.sql(member, "ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();");
    // What it has forgotten may keep it from starting
    const lost = await lostWithPower("unsynced").catch(({ message }: Error) => message);
    console.log(`      lost: ${lost.trim().slice(0, 100)}`);
    assert.notEqual(lost.trim(), "");
  });
});

describe("all members of etcd lose their power at once", function () {
  this.timeout(300_000);
  const members = ["etcd-1", "etcd-2", "etcd-3"] as const;
  let quorum: EtcdQuorum;
  let disks: ForgetfulDisk[];

  beforeEach(async function () {
    this.timeout(600_000);
    await needsGo(this, "not tried");
    quorum = await EtcdQuorum.start(forgetfulOptions);
    disks = await forgetfulDisks(
      members.map((member) => quorum.on(member)),
      "/var/lib/etcd",
    );
  });
  afterEach(() => quorum?.remove());

  /** Has one that does not sync. */
  const withoutSync = (workload: Workload): Workload => ({
    ...workload,
    files: workload.files.map((one) =>
      one.path === "etcd.yml" ? { ...one, content: `${one.content}unsafe-no-fsync: true\n` } : one,
    ),
  });

  /** @returns keys that were acknowledged, and are lost */
  async function lostWithPower(): Promise<string[]> {
    const [first] = members;
    const put = `for number in $(seq 1000); do
  etcdctl --endpoints=https://${quorum.address(first)}:2379 --cacert=tls/quorum-client-ca.crt \\
    --cert=tls/etcd-server.pem --key=tls/etcd-server.pem put "key-$number" "$number" > /dev/null || exit 0
  echo "key-$number" >> /tmp/acknowledged
done`;
    await quorum.on(first).run(`cd /etc/hastack; { ${put}; } > /tmp/put.log 2>&1 &`);
    await sleep(writingSeconds * 1000);
    await Promise.all(disks.map((one) => one.losePower("etcd", "etcd")));
    await Promise.all(disks.map((one) => one.return("etcd")));
    for (const member of members) await quorum.healthy(member);
    const acknowledged = (await quorum.on(first).run("cat /tmp/acknowledged")).split("\n");
    assert.ok(acknowledged.length > 20, `${acknowledged.length}`);
    const { stdout } = await quorum.etcdctl(first, "", "get key- --prefix --keys-only");
    const there = new Set(stdout.split("\n"));
    return acknowledged.filter((key) => !there.has(key));
  }

  it("D2, D4: nothing that was acknowledged is lost", async () => {
    await quorum.placeAll();
    assert.deepEqual(await lostWithPower(), []);
  });

  it("the disk would have told: without fsync the same loses keys, or all", async () => {
    await quorum.placeAll(withoutSync);
    const lost = await lostWithPower().catch(({ message }: Error) => [message]);
    console.log(`      lost: ${lost.join(" ").slice(0, 100)}`);
    assert.notDeepEqual(lost, []);
  });
});
