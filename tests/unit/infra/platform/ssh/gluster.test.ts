import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readProgram } from "../../../../../infra/platform/machine.ts";
import { glusterfs } from "../../../../../infra/platform/ssh/storage/glusterfs/glusterfs.ts";
import type { Member, Topology } from "../../../../../infra/topology.ts";
import { type Container, start } from "../../../../support/unit/containers.ts";
import { planWith } from "../../../../support/unit/fixtures.ts";
import { imageFor } from "../../../../support/unit/images.ts";
import { Pretended } from "../../../../support/unit/pretended.ts";

const uploads = { name: "uploads", path: "/var/lib/hastack/uploads", group: "hastack" };

const member = (name: string, role: Member["role"], host: number): Member => ({
  name: `${role}-${host}`,
  role,
  machine: name,
  backend: `10.2.0.${host}`,
});
const topology: Topology = {
  ...planWith().topology,
  machines: [11, 12, 13, 14].map((host) => ({
    name: `node-${host - 10}`,
    roles: [],
    backend: `10.2.0.${host}`,
  })),
  members: {
    ...planWith().topology.members,
    brick: [member("node-1", "brick", 11), member("node-2", "brick", 12)],
    arbiter: [member("node-3", "arbiter", 13)],
  },
};

const step = {
  member: (keepData: boolean) => glusterfs.member(topology, uploads, keepData),
  volume: (keepData: boolean) => {
    const made = glusterfs.volume?.(topology, uploads, keepData, 10);
    return made ?? assert.fail("GlusterFS makes a volume");
  },
  mount: (machine = "node-1") => glusterfs.mount(machine, topology, uploads),
};

describe("GlusterFS", () => {
  it("S2: is mounted from the machine's own server first, and from the others without it", () => {
    const servers = (machine: string) => {
      const text = JSON.stringify(step.mount(machine).apply.request);
      return [...text.matchAll(/--volfile-server=(\S+)/g)].map(([, address]) => address);
    };
    assert.deepEqual(servers("node-2"), ["10.2.0.12", "10.2.0.11", "10.2.0.13"]);
    assert.deepEqual(servers("node-4"), ["10.2.0.11", "10.2.0.12", "10.2.0.13"]);
  });

  it("W7: is mounted again whenever its client ends", () => {
    const { unit } = step.mount().apply.request as { unit: string };
    assert.match(unit, /^Restart=always$/m);
  });
});

const definition = "/var/lib/glusterd/vols/hastack-uploads/info";
const brickFile = "/var/lib/hastack/bricks/uploads/picture.jpg";
const dropIn = "/etc/systemd/system/glusterd.service.d/hastack.conf";
const mountFile = "/etc/systemd/system/hastack-uploads.service";

describe("what is left of GlusterFS, and what is not", function () {
  this.timeout(60_000);
  let machine: Pretended;

  beforeEach(() => {
    machine = new Pretended("glusterfs");
    machine.program("gluster", "");
    machine.write(brickFile);
    machine.write(dropIn);
  });
  afterEach(() => machine.remove());

  const stop = "systemctl disable --quiet --now glusterd";

  it("W4: a brick goes, and glusterd is stopped, once its volume is gone", async () => {
    assert.equal((await machine.run(step.member(false).remove)).code, 0);
    assert.deepEqual(machine.calls(), [stop, "systemctl daemon-reload"]);
    assert.ok(!machine.has("/var/lib/hastack/bricks"));
    assert.ok(!machine.has(dropIn));
  });

  it("a brick that its volume needs stays, and serves on", async () => {
    machine.write(definition);
    const { code, stderr } = await machine.run(step.member(false).remove);
    assert.equal(code, 1);
    assert.match(stderr, /bricks\/uploads is still part of the volume hastack-uploads/);
    assert.match(stderr, /give this machine its role \(brick or arbiter\) back/);
    assert.deepEqual(machine.calls(), []);
    assert.ok(machine.has(brickFile));
    assert.ok(machine.has(dropIn));
  });

  it("W4: a brick that is kept stays with its volume, and glusterd is stopped", async () => {
    machine.write(definition);
    assert.equal((await machine.run(step.member(true).remove)).code, 0);
    assert.ok(machine.calls().includes(stop));
    assert.ok(machine.has(brickFile));
    assert.ok(!machine.has(dropIn));
  });

  it("glusterd runs on for volumes of others, whether the brick is kept or not", async () => {
    machine.write("/var/lib/glusterd/vols/archive/info");
    const { code, stdout } = await machine.run(step.member(false).remove);
    assert.equal(code, 0);
    assert.match(stdout, /glusterd runs on: it has other volumes, too \(archive\)/);
    assert.ok(!machine.has("/var/lib/hastack/bricks"));
    machine.write(brickFile);
    machine.write(definition);
    machine.write("/run/gluster/vols/hastack-uploads/brick.pid");
    assert.equal((await machine.run(step.member(true).remove)).code, 0);
    assert.ok(!machine.calls().includes(stop));
    assert.ok(machine.has("/run/gluster/vols/hastack-uploads/brick.pid"));
  });

  it("W4: machines that a cut-off up had joined are parted again; others are left", async () => {
    const peer = (address: string) => `/var/lib/glusterd/peers/${address}`;
    for (const address of ["10.2.0.12", "10.9.0.1"]) {
      machine.write(peer(address), `uuid=1\nstate=3\nhostname1=${address}\n`);
    }
    assert.equal((await machine.run(step.member(false).remove)).code, 0);
    assert.ok(!machine.has(peer("10.2.0.12")));
    assert.ok(machine.has(peer("10.9.0.1")));
  });

  /** The volume is made where node-2 has been joined before, with this answer to \`create\`. */
  const make = (create: string) => {
    machine.program(
      "gluster",
      `case "$*" in
        *pool*) printf '%s Connected\\n' localhost 10.2.0.12 third ;;
        *"volume info"*) [ -e ${machine.root}/made ] ;;
        *"volume create"*) ${create} ;;
        *"volume status"*) exit 1 ;;
      esac`,
    );
    const changes = /peer|volume (create|stop|delete)/;
    return {
      outcome: machine.run(step.volume(false).apply, 1),
      changes: () =>
        machine
          .calls()
          .filter((call) => changes.test(call))
          .map((call) => call.replace(/gluster --mode=script (\w+ \w+).*?( 10\S+13)?$/, "$1$2")),
    };
  };

  it("S2: has every file on two machines and the third one as arbiter, gives a brick that hangs up after seconds, keeps a reserve, and lets the stack's machines in only", async () => {
    const { outcome } = make(`touch ${machine.root}/made`);
    await outcome;
    const bricks = [11, 12, 13].map(
      (host) => `10.2.0.${host}:${machine.root}/var/lib/hastack/bricks/uploads`,
    );
    const told = machine.calls().map((call) => call.replace("gluster --mode=script ", ""));
    assert.ok(
      told.includes(`volume create hastack-uploads replica 3 arbiter 1 ${bricks.join(" ")} force`),
      told.join("\n"),
    );
    assert.ok(told.includes("volume set hastack-uploads network.ping-timeout 5"));
    for (const option of ["storage.reserve 10", "cluster.heal-timeout 60"]) {
      assert.ok(told.includes(`volume set hastack-uploads ${option}`), option);
    }
    assert.ok(
      told.includes(
        "volume set hastack-uploads auth.allow 10.2.0.11,10.2.0.12,10.2.0.13,10.2.0.14",
      ),
    );
  });

  it("W7: a brick's service comes back by itself", async () => {
    assert.equal((await machine.run(step.member(false).apply)).code, 0);
    assert.match(readFileSync(join(machine.root, dropIn), "utf8"), /^Restart=always$/m);
    assert.ok(machine.calls().includes("systemctl enable --quiet --now glusterd"));
    assert.ok(machine.calls().includes("systemctl start logrotate.timer"));
  });

  it("W4: a volume that is kept is not touched", async () => {
    const { code, stdout } = await machine.run(step.volume(true).remove);
    assert.deepEqual([code, stdout, machine.calls()], [0, "the volume is kept\n", []]);
  });

  it("W6: a volume that cannot be made leaves the machines parted as they were", async () => {
    const { outcome, changes } = make("exit 1");
    const { code, stderr } = await outcome;
    assert.equal(code, 1);
    assert.match(stderr, /the volume cannot be made/);
    assert.deepEqual(changes(), ["peer probe 10.2.0.13", "volume create", "peer detach 10.2.0.13"]);
  });

  it("W6: a volume that was made and does not come up stays, for the next up", async () => {
    const { outcome, changes } = make(`touch ${machine.root}/made`);
    const { code, stderr } = await outcome;
    assert.equal(code, 1);
    assert.match(stderr, /not all bricks are online/);
    assert.deepEqual(changes(), ["peer probe 10.2.0.13", "volume create"]);
  });

  const removal = step.volume(false).remove;

  it("W4: glusterd that is down is started, to remove the volume", async () => {
    machine.program("systemctl", `[ "$1" != start ] || touch ${machine.root}/runs`);
    machine.program("gluster", `[ -e ${machine.root}/runs ] && echo 'Status: Started'`);
    assert.equal((await machine.run(removal)).code, 0);
    assert.deepEqual(machine.calls(), [
      "systemctl start glusterd",
      "gluster --mode=script volume stop hastack-uploads force",
      "gluster --mode=script volume delete hastack-uploads",
    ]);
  });

  it("glusterd that stays down is told, not taken for a volume that is gone", async () => {
    machine.program("gluster", "exit 1");
    const { code, stderr } = await machine.run(removal, 1);
    assert.equal(code, 1);
    assert.match(stderr, /glusterd does not answer here.*journalctl --unit=glusterd/);
  });

  it("W4: there is no volume to remove where GlusterFS is not installed", async () => {
    machine.program("systemctl", "exit 1");
    const { code, stdout } = await machine.run(removal);
    assert.equal(code, 0);
    assert.match(stdout, /is not installed here/);
    assert.deepEqual(machine.calls(), []);
  });

  it("W6: a mount that was cut off while its unit was changed does not stay the old one", async () => {
    machine.write(mountFile, "[Unit]\nDescription=with other servers\n");
    machine.program("mountpoint", "");
    machine.program("stat", "echo 1");
    const script = step.mount().apply;
    machine.write("/var/lib/hastack/uploads/there");
    machine.program("systemctl", '[ "$1" != daemon-reload ] || kill -KILL $PPID');
    assert.notEqual((await machine.run(script)).code, 0);
    assert.match(readFileSync(join(machine.root, mountFile), "utf8"), /volfile-server/);
    machine.program("systemctl", "");
    assert.equal((await machine.run(script)).code, 0);
    const done = machine.calls().filter((call) => call.startsWith("systemctl"));
    const unit = "hastack-uploads.service";
    assert.deepEqual(done, [
      `systemctl stop ${unit}`,
      "systemctl daemon-reload",
      "systemctl daemon-reload",
      `systemctl enable --quiet ${unit}`,
      `systemctl start --no-block ${unit}`,
    ]);
  });

  it("a mount that is as it should be is not touched", async () => {
    machine.program("mountpoint", "");
    machine.program("stat", "echo 1");
    machine.program("systemctl", "");
    const script = step.mount().apply;
    // As it is, once it is shared
    machine.write("/var/lib/hastack/uploads/there");
    assert.equal((await machine.run(script)).code, 0);
    const first = machine.calls().length;
    assert.equal((await machine.run(script)).code, 0);
    assert.ok(
      !machine
        .calls()
        .slice(first)
        .some((call) => call.startsWith("systemctl stop")),
    );
  });
});

/** A volume on one machine, of bricks side by side, that is mounted; what a user does there. */
const volumeOfOne = `set -e
glusterd
until gluster pool list > /dev/null 2>&1; do sleep 0.2; done
address=$(hostname -I | cut -d ' ' -f 1)
mkdir -p /b ${uploads.path}
gluster --mode=script volume create v replica 3 arbiter 1 $address:/b/1 $address:/b/2 $address:/b/3 force
gluster --mode=script volume start v
glusterfs --process-name=fuse --volfile-server=$address --volfile-id=/v ${uploads.path}
until mountpoint -q ${uploads.path}; do sleep 0.2; done
for user in hastack-a hastack-b; do useradd --system --user-group --groups hastack $user; done`;

describe("GlusterFS itself", function () {
  this.timeout(120_000);
  let machine: Container;

  before(async function () {
    this.timeout(900_000);
    const packages = ["glusterfs-server", "glusterfs-client"];
    machine = await start(await imageFor({ component: "Gluster", packages }), "gluster", {
      network: "bridge",
      arguments: [
        "--cap-add=SYS_ADMIN",
        "--device=/dev/fuse",
        "--security-opt=apparmor=unconfined",
      ],
    });
    await machine.run(volumeOfOne);
  });
  after(() => machine?.remove());

  const as = (user: string, umask: string, script: string) =>
    machine.run(`cd ${uploads.path} && s6-setuidgid ${user} sh -euc 'umask ${umask}; ${script}'`);
  const earlier = (script: string) => as("hastack", "0077", script);
  const modes = (names: string) => machine.run(`cd ${uploads.path} && stat -c '%n %a %U' ${names}`);

  it("S1: lets tiers and the one user of an earlier release work beside each other, whatever each asks for", async () => {
    await machine.run(`install -d -o hastack -g hastack -m 0755 ${uploads.path}`);
    await earlier("echo 1 > before; mkdir folder");
    const { request } = step.volume(true).apply;
    const { modes: wanted } = request as { modes: { file: string; directory: string } };
    for (const [kind, mode] of [
      ["create", wanted.file],
      ["directory", wanted.directory],
    ])
      await machine.run(`gluster --mode=script volume set v storage.force-${kind}-mode ${mode}`);
    await machine.run(`${readProgram("share")}\nshare ${uploads.path} hastack`);
    assert.equal(
      await modes(". before folder"),
      ". 2770 hastack\nbefore 660 hastack\nfolder 2770 hastack",
    );
    // The instances that still run as that user, with its umask
    await earlier("echo 2 > meanwhile; mkdir folder-meanwhile; touch shown; chmod 444 shown");
    assert.equal(
      await modes("meanwhile folder-meanwhile shown"),
      "meanwhile 640 hastack\nfolder-meanwhile 2770 hastack\nshown 444 hastack",
    );
    const change = "cat before meanwhile; echo 3 > folder-meanwhile/new; rm meanwhile shown";
    assert.equal(await as("hastack-a", "0007", change), "1\n2");
    assert.equal(await earlier("cat folder-meanwhile/new; rm folder-meanwhile/new"), "3");
    await as("hastack-b", "0007", "rmdir folder-meanwhile; echo 4 > other");
    assert.equal(await as("hastack-a", "0007", "cat other; rm other"), "4");
  });

  it("W8: stays open to tiers where an instance of an earlier release is started anew", async () => {
    await machine.run(`install -d -o hastack -g hastack -m 0755 ${uploads.path}`);
    await as("hastack-a", "0007", "echo 5 > again");
    assert.equal(await as("hastack-b", "0007", "cat again; rm again"), "5");
  });
});
