import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../../../lib/run.ts";
import {
  describeNewer,
  packagesIn,
  planUpdate,
  readNewer,
  upgradeScript,
} from "../../../../operate/act/update.ts";
import { type OperatedStack, openStack } from "../../../../operate/stack.ts";
import { locks, Somebody } from "../../../support/unit/locks.ts";
import { type StandIn, standIns } from "../../../support/unit/machines.ts";
import { stackOn } from "../../../support/unit/operated.ts";

describe("newer packages", () => {
  it("W9: are asked for by machine, as the state has brought them there", () => {
    const placed = (machine: string, call: string, packages: readonly string[]) => ({
      name: `${machine}-packages`,
      type: "command:local:Command",
      id: "1",
      unsure: false,
      inputs: {
        create: `node platform/ssh/run.ts ${call} REQUEST`,
        environment: { MACHINE: machine, REQUEST: JSON.stringify({ packages }) },
      },
    });
    const found = packagesIn([
      placed("node-1", "packages", ["haproxy", "socat"]),
      placed("node-1", "packages", ["socat", "etcd-server"]),
      placed("node-2", "packages", ["patroni"]),
      placed("node-2", "place", ["other"]),
    ]);
    assert.deepEqual(
      [...found],
      [
        ["node-1", ["haproxy", "socat", "etcd-server"]],
        ["node-2", ["patroni"]],
      ],
    );
  });

  it("W9: are told once for all machines that get them, and what is on hold", () => {
    const told = "held etcd-server\npostgresql-17 17.6-1 17.7-1\n";
    const newer = ["node-1", "node-2"].map((machine) => readNewer(machine, told));
    assert.deepEqual(describeNewer(newer), [
      "postgresql-17 17.6-1 → 17.7-1 (node-1, node-2)",
      "node-1: kept as it is, as it is on hold there: etcd-server",
      "node-2: kept as it is, as it is on hold there: etcd-server",
    ]);
  });

  it("W9: are asked for without a file that others of the machine could write", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hastack-upgrade-"));
    try {
      const shared = join(folder, "tmp");
      mkdirSync(shared, { mode: 0o777 });
      const programs = {
        "apt-get": `find ${shared} -maxdepth 1 -type f >> ${folder}/seen; cat; true`,
        "apt-cache": "echo hastack-small",
        "apt-mark": ":",
        "dpkg-query": "echo 'installed hastack-small'",
      };
      for (const [name, text] of Object.entries(programs))
        writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
      const env = { ...process.env, TMPDIR: shared, PATH: `${folder}:${process.env.PATH}` };
      const outcome = await run(["sh", "-c", upgradeScript("list", ["hastack-small"])], { env });
      assert.equal(outcome.code, 0, outcome.stderr);
      assert.equal(readFileSync(join(folder, "seen"), "utf8"), "");
      assert.deepEqual(readdirSync(shared), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("W9: are refused on Docker, with what to do instead", async () => {
    await assert.rejects(planUpdate(openStack("dev"), new Map(), []), /part of its image.*destroy/);
  });
});

describe("newer packages on a machine", function () {
  this.timeout(120_000);
  let machine: StandIn;
  let somebody: Somebody;
  const sources = "/etc/apt/sources.list.d";
  const version = () => machine.look("dpkg-query --show 'hastack-[ns]*' | xargs");
  const upgrade = (deed: "list" | "install") =>
    machine.attempt(upgradeScript(deed, ["hastack-small"]));

  before(async function () {
    this.timeout(600_000);
    [machine] = await standIns();
    somebody = new Somebody(machine);
    // A repository of its own, so that no other package gets newer
    await machine.look(`cd /srv && rm -rf small aside && mkdir -p small aside
mv ${sources}/* aside/ 2> /dev/null || :
[ ! -e /etc/apt/sources.list ] || mv /etc/apt/sources.list aside/sources.list.main
package() {
  mkdir -p "$1-$2/DEBIAN"
  printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: a test <a@test>\\nDescription: small\\n%s' "$1" "$2" "$3" > "$1-$2/DEBIAN/control"
  printf '#!/bin/sh\\ninvoke-rc.d --quiet hastack-small-unit start || :\\nls /usr/sbin/policy-rc.d > /run/small-policy 2> /dev/null || :\\n' > "$1-$2/DEBIAN/postinst"
  chmod 0755 "$1-$2/DEBIAN/postinst"
  dpkg-deb --build "$1-$2" "small/$1_$2.deb" > /dev/null
}
for version in 1 2; do
  package hastack-small $version 'Depends: hastack-needed
'
  package hastack-needed $version ''
done
dpkg -i small/*_1.deb > /dev/null
cd small
for file in ./*_2.deb; do
  dpkg-deb -f "$file"
  echo "Filename: $file"
  echo "Size: $(stat -c %s "$file")"
  echo "SHA256: $(sha256sum "$file" | cut -d' ' -f1)"
  echo
done > Packages
echo 'deb [trusted=yes] file:/srv/small ./' > ${sources}/small.list`);
  });
  afterEach(() => somebody.end());
  after(() =>
    machine?.look(`rm -f ${sources}/small.list
apt-mark unhold hastack-small > /dev/null
dpkg --purge hastack-small hastack-needed > /dev/null
[ ! -e /srv/aside/sources.list.main ] || mv /srv/aside/sources.list.main /etc/apt/sources.list
mv /srv/aside/* ${sources}/ 2> /dev/null || :
rm -rf /srv/small /srv/aside /srv/hastack-*`),
  );

  it("W9: are told with what they need, and nothing is changed", async () => {
    const { code, stdout, stderr } = await upgrade("list");
    assert.equal(code, 0, stderr);
    assert.deepEqual(readNewer("node-1", stdout).changes.toSorted(), [
      "hastack-needed 1 → 2",
      "hastack-small 1 → 2",
    ]);
    assert.equal(await version(), "hastack-needed 1 hastack-small 1");
  });

  it("W9: that are on hold stay as they are, and the others come", async () => {
    await machine.look("apt-mark hold hastack-small > /dev/null");
    const { stdout } = await upgrade("list");
    const { changes, held } = readNewer("node-1", stdout);
    assert.deepEqual([changes, held], [["hastack-needed 1 → 2"], ["hastack-small"]]);
    const { code, stderr } = await upgrade("install");
    assert.equal(code, 0, stderr);
    assert.equal(await version(), "hastack-needed 2 hastack-small 1");
  });

  it("W9: come without anything that is started, and leave nothing", async () => {
    await machine.look("apt-mark unhold hastack-small > /dev/null");
    const { code, stderr } = await upgrade("install");
    assert.equal(code, 0, stderr);
    assert.equal(await version(), "hastack-needed 2 hastack-small 2");
    assert.equal(
      await machine.look("cat /run/small-policy; ls /usr/sbin/policy-rc.d* || :"),
      "/usr/sbin/policy-rc.d",
    );
    assert.deepEqual(readNewer("node-1", (await upgrade("list")).stdout).changes, []);
  });

  it("W9: are also those that every machine has, whatever is placed there", async () => {
    const topology = { machines: [{ name: "node-1" }], members: {}, tiers: {} };
    const stack = { ...stackOn(machine), topology } as unknown as OperatedStack;
    await machine.look("apt-mark hold procps ca-certificates > /dev/null");
    const { costs } = await planUpdate(stack, new Map(), []);
    await machine.look("apt-mark unhold procps ca-certificates > /dev/null");
    assert.deepEqual(costs, [
      "node-1: kept as it is, as it is on hold there: ca-certificates, procps",
    ]);
  });

  for (const path of locks)
    it(`W6: wait for whoever holds ${path}`, async () => {
      await machine.look("dpkg -i /srv/small/*_1.deb > /dev/null");
      await upgrade("list");
      const seconds = 5;
      const begin = Date.now();
      await somebody.hold([path], seconds);
      const deed = path.includes("lists") ? "list" : "install";
      const { code, stdout, stderr } = await upgrade(deed);
      assert.equal(code, 0, stderr);
      assert.ok(Date.now() - begin > (seconds - 1) * 1000);
      if (deed === "list") assert.equal(readNewer("node-1", stdout).changes.length, 2);
      else assert.equal(await version(), "hastack-needed 2 hastack-small 2");
    });
});
