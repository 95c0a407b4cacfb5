import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readProgram } from "../../../../../infra/platform/machine.ts";
import { nfs } from "../../../../../infra/platform/ssh/storage/nfs/nfs.ts";
import { assertOrder } from "../../../../support/unit/alone.ts";
import { type Container, start } from "../../../../support/unit/containers.ts";
import { type Plan, planWith } from "../../../../support/unit/fixtures.ts";
import { imageFor } from "../../../../support/unit/images.ts";
import { onMachines, onNfs, recordMachines } from "../../../../support/unit/machine-stack.ts";
import { Pretended } from "../../../../support/unit/pretended.ts";

const uploads = { name: "uploads", path: "/var/lib/hastack/uploads", group: "hastack" };
const outside = {
  storage: {
    driver: "nfs",
    nfs: { server: "nas.example", path: "/srv/shop", options: ["nconnect=4"] },
  },
  machines: onNfs.machines.map((one) => ({
    ...one,
    roles: one.roles.filter((role) => role !== "nfs"),
  })),
};
const planOn = (changes: object) => planWith({ ...onMachines, ...changes });
const own = planOn(onNfs);

/** What the driver asks of the machines of a plan. */
const steps = ({ settings, topology }: Plan) => ({
  member: (keepData: boolean) => nfs(settings).member(topology, uploads, keepData),
  mount: () => nfs(settings).mount("node-1", topology, uploads),
});
const textOf = (request: object, key: string) => String((request as Record<string, unknown>)[key]);
const unitOf = (plan: Plan) => textOf(steps(plan).mount().apply.request, "unit");
const exportsOf = (plan: Plan) => textOf(steps(plan).member(false).apply.request, "exports");

describe("NFS", () => {
  it("S3: is exported to the machines of the application's instances, by their addresses, and to nobody else", () => {
    const lines = exportsOf(own).trim().split("\n");
    assert.deepEqual(
      lines.map((line) => line.replace(/\(.*/, "")),
      ["11", "12"].map((host) => `/var/lib/hastack/exports/uploads 10.2.0.${host}`),
    );
  });

  it("S3: takes whoever comes, root too, for the stack's user, and answers once the disk has it", () => {
    for (const line of exportsOf(own).trim().split("\n")) {
      assert.match(
        line,
        /\(rw,sync,no_subtree_check,all_squash,anonuid=880,anongid=880,fsid=[0-9a-f]{32}\)$/,
      );
    }
  });

  it("S3: keeps a directory's id, by which clients know it, and gives each its own", () => {
    const id = (name: string) => {
      const { apply } = nfs(own.settings).member(own.topology, { ...uploads, name }, false);
      return /fsid=(\w+)/.exec(JSON.stringify(apply))?.[1];
    };
    assert.equal(id("uploads"), id("uploads"));
    assert.notEqual(id("uploads"), id("papers"));
  });

  it("S3, W7: is mounted so that a program gets an error for an answer that does not come, and again whenever it is lost", () => {
    assert.equal(
      unitOf(own),
      `[Unit]
Description=hastack: uploads, mounted from 10.2.0.13:/var/lib/hastack/exports/uploads
Wants=network-online.target
After=network-online.target nfs-server.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStartPre=-/usr/bin/umount --force --lazy --quiet /var/lib/hastack/uploads
ExecStartPre=/usr/bin/mount -t nfs4 -o vers=4.2,proto=tcp,softerr,timeo=50,retrans=2,retry=0,actimeo=1,lookupcache=positive,nosuid,nodev,noexec 10.2.0.13:/var/lib/hastack/exports/uploads /var/lib/hastack/uploads
ExecStart=/usr/bin/perl /opt/hastack/programs/watch 10.2.0.13 /var/lib/hastack/uploads
ExecStopPost=-/bin/sh -c '[ "$$SERVICE_RESULT" = success ] && timeout --signal=KILL 10 umount /var/lib/hastack/uploads || { umount --force --quiet /var/lib/hastack/uploads; sleep 0.2; umount --force --lazy --quiet /var/lib/hastack/uploads; }'
TimeoutStartSec=30
TimeoutStopSec=30
Restart=always
RestartSec=1
SyslogIdentifier=hastack-uploads

[Install]
WantedBy=multi-user.target
`,
    );
  });

  it("S3: is mounted from a server that is there already, with the options that are asked for", () => {
    const unit = unitOf(planOn(outside));
    assert.match(unit, /^ExecStart=\S+ \S+ nas\.example \S+$/m);
    assert.match(unit, /noexec,nconnect=4 nas\.example:\/srv\/shop\/uploads \/var\/lib/);
  });

  it("N2: is asked for by the tiers and by the machine of backups alone, at one port; a server outside is no member", () => {
    const flows = (plan: Plan) => nfs(plan.settings).flows(plan.topology);
    assert.deepEqual(
      flows(own).map(({ from, to, network, port }) => [from, to, network, port].join(" ")),
      ["backup nfs backend 2049", "storefront nfs backend 2049", "admin nfs backend 2049"],
    );
    assert.deepEqual(flows(planOn(outside)), []);
  });
});

describe("the ssh platform on NFS", () => {
  it("S3: exports the directory before machines mount it, and has the server's packages before that", async () => {
    const recording = await recordMachines({ changes: onNfs });
    assertOrder(recording, "Command nfs-1-packages", "Command nfs-1", "Command node-1-uploads");
    assertOrder(recording, "Command node-1-uploads", "Command storefront-1");
    assert.deepEqual(
      recording.names("Command").filter((name) => /brick|arbiter|volume/.test(name)),
      [],
    );
    const calls = ["nfs-1", "node-1-uploads"].map((name) => {
      const { inputs } = recording.get("Command", name);
      return [inputs.create, inputs.delete].map((text) => String(text).split(" ")[2]);
    });
    assert.deepEqual(calls, [
      ["place_export", "remove_export"],
      ["mount_export", "unmount_export"],
    ]);
  });

  it("S3: places nothing for a server that is there already", async () => {
    const recording = await recordMachines({ changes: outside });
    assert.ok(!recording.names("Command").some((name) => name.startsWith("nfs-")));
    assertOrder(recording, "Command node-1-uploads", "Command storefront-1");
  });
});

const list = "/etc/exports.d/hastack-uploads.exports";
const alone = "/etc/nfs.conf.d/hastack-alone.conf";
const times = "/etc/nfs.conf.d/hastack.conf";
const file = "/var/lib/hastack/exports/uploads/picture.jpg";

describe("the NFS server's machine", function () {
  this.timeout(60_000);
  const { member } = steps(own);
  let machine: Pretended;

  beforeEach(() => {
    machine = new Pretended("nfs");
    for (const name of ["exportfs", "systemd-run"]) machine.program(name, "");
    machine.write(file);
  });
  afterEach(() => machine.remove());

  const text = (path: string) => readFileSync(join(machine.root, path), "utf8");
  const place = async (step = member(false)) => {
    const before = machine.calls().length;
    const outcome = await machine.run(step.apply);
    return { ...outcome, calls: machine.calls().slice(before) };
  };
  const restart = "systemctl restart nfs-server";

  it("S3: a second run changes nothing and leaves the server running", async () => {
    const first = await place();
    assert.equal(first.code, 0, first.stderr);
    assert.ok(first.calls.includes(restart));
    const { code, calls } = await place();
    assert.equal(code, 0);
    assert.deepEqual(calls, [
      "systemctl daemon-reload",
      "systemctl enable --quiet nfs-server",
      "systemctl start nfs-server",
      "exportfs -a",
    ]);
  });

  it("S3: the server speaks version 4.2 alone, at its address alone, and a restart holds clients up for 10 s at most", async () => {
    await place();
    assert.match(text(alone), /^host=10\.2\.0\.13$/m);
    assert.deepEqual(
      [...text(alone).matchAll(/^vers(\S+)=y$/gm)].map(([, version]) => version),
      ["4", "4.2"],
    );
    assert.match(text(times), /^grace-time=10\nlease-time=10$/m);
  });

  it("S3: version 3 and its ports rest as long as only the stack exports something", async () => {
    await place();
    for (const unit of ["rpcbind.socket", "rpc-statd.service"]) {
      assert.match(
        text(`/etc/systemd/system/${unit}.d/hastack.conf`),
        /^ConditionPathExists=!.*hastack-alone\.conf$/m,
      );
    }
    machine.write("/etc/exports", "# none\n/srv/music 192.0.2.0/24(ro)\n");
    const { stdout, calls } = await place();
    assert.match(stdout, /other exports: they keep their versions/);
    assert.ok(!machine.has(alone));
    assert.ok(calls.includes(restart));
    assert.ok(!(await place()).calls.includes(restart));
  });

  it("W8: a machine that leaves is put out later than its instances; one that comes is let in at once", async () => {
    await place();
    const fewer = planOn({
      ...onNfs,
      machines: onNfs.machines.map((one) =>
        one.name === "node-2"
          ? { ...one, roles: one.roles.filter((role) => !/storefront|admin/.test(role)) }
          : one,
      ),
    });
    const { calls } = await place(steps(fewer).member(false));
    assert.deepEqual(calls.slice(-3), [
      "exportfs -a",
      "systemctl stop hastack-exports.timer",
      "systemd-run --quiet --collect --unit=hastack-exports --on-active=600 /usr/sbin/exportfs -ra",
    ]);
    assert.ok(!text(list).includes("10.2.0.12"));
    assert.equal((await place()).calls.at(-1), "exportfs -a");
  });

  it("W6: settings that the server has not read, since the run was cut off, are read by the next", async () => {
    machine.program("systemctl", '[ "$1" != daemon-reload ] || kill -KILL $PPID');
    assert.notEqual((await place()).code, 0);
    machine.program("systemctl", "");
    assert.ok((await place()).calls.includes(restart));
    assert.ok(!(await place()).calls.includes(restart));
  });

  it("W6: a list that exportfs refuses does not stay", async () => {
    machine.program("exportfs", "echo 'exportfs: bad line' >&2; exit 1");
    const { code, stderr } = await place();
    assert.equal(code, 1);
    assert.match(stderr, /exportfs refuses the list of clients: exportfs: bad line/);
    assert.ok(!machine.has(list));
  });

  it("W4: what was made goes, and the server is stopped; the files stay where they are kept", async () => {
    for (const keepData of [true, false]) {
      await place();
      const before = machine.calls().length;
      assert.equal((await machine.run(member(keepData).remove)).code, 0);
      assert.equal(
        machine.calls().slice(before).at(-1),
        "systemctl disable --quiet --now nfs-server",
      );
      assert.equal(machine.has(file), keepData);
      for (const path of [list, alone, times]) assert.ok(!machine.has(path), path);
      const left = ["nfs-server.service", "nfsdcld.service", "rpcbind.socket"];
      for (const unit of left) assert.ok(!machine.has(`/etc/systemd/system/${unit}.d`), unit);
    }
    assert.ok(!machine.has("/var/lib/hastack/exports"));
  });

  it("W4: the server runs on for whatever else the machine exports", async () => {
    machine.write("/etc/exports.d/music.exports", "/srv/music 192.0.2.0/24(ro)\n");
    await place();
    const { code, stdout } = await machine.run(member(false).remove);
    assert.equal(code, 0);
    assert.match(stdout, /the NFS server runs on/);
    assert.equal(machine.calls().at(-1), "systemctl try-restart nfs-server");
    assert.ok(machine.has("/etc/exports.d/music.exports"));
  });

  it("W4: a directory beside another one of the stack goes alone", async () => {
    await place();
    machine.write("/etc/exports.d/hastack-papers.exports", "/var/lib 10.2.0.11(rw)\n");
    assert.equal((await machine.run(member(false).remove)).code, 0);
    assert.equal(machine.calls().at(-1), "exportfs -ra");
    assert.ok(machine.has(times));
  });
});

describe("a machine that mounts from NFS", function () {
  this.timeout(60_000);
  let machine: Pretended;

  beforeEach(() => {
    machine = new Pretended("nfs");
    machine.program("mount", "");
    machine.program("umount", "");
    machine.program("journalctl", "");
    machine.write("/var/lib/hastack/uploads/there");
    machine.write("/etc/systemd/system/there");
  });
  afterEach(() => machine.remove());

  const mounts = (from: string) =>
    machine.write(
      "/proc/self/mounts",
      `${from.replace(/\/var\//, `${machine.root}/var/`)} ${machine.root}/var/lib/hastack/uploads nfs4 rw 0 0\n`,
    );

  it("S3: waits until it is mounted, and from there", async () => {
    const step = steps(own).mount();
    mounts("10.2.0.99:/var/lib/hastack/exports/uploads");
    const { code, stderr } = await machine.run(step.apply, 1);
    assert.equal(code, 1);
    assert.match(stderr, /uploads cannot be mounted/);
    mounts("10.2.0.13:/var/lib/hastack/exports/uploads");
    assert.equal((await machine.run(step.apply, 1)).code, 0);
  });

  it("S3: a server that is there already is told how to export, where it does not", async () => {
    const step = steps(planOn(outside)).mount();
    machine.program("mount", "echo 'mount.nfs4: access denied by server' >&2; exit 32");
    machine.program("id", "echo 880");
    const { code, stderr } = await machine.run(step.apply, 1);
    assert.equal(code, 1);
    assert.match(stderr, /nas\.example:\/srv\/shop cannot be used: .*access denied by server/);
    assert.match(stderr, /with rw,all_squash,anonuid=880,anongid=880/);
  });
});

describe("NFS's own programs", function () {
  this.timeout(120_000);
  let machine: Container;

  before(async function () {
    this.timeout(900_000);
    const packages = ["nfs-kernel-server", "nfs-common", "systemd", "perl-base"];
    machine = await start(await imageFor({ component: "Nfs", packages }), "nfs");
    await machine.run("mkdir -p /etc/nfs.conf.d /etc/exports.d /opt/hastack/programs");
  });
  after(() => machine?.remove());

  const request = () => steps(own).member(false).apply.request;

  it("S3: read the server's settings", async () => {
    await machine.run(`cat > ${times}`, textOf(request(), "times"));
    await machine.run(`cat > ${alone}`, textOf(request(), "alone"));
    const asked = ["grace-time", "lease-time", "vers3", "vers4.2", "host"];
    const told = asked.map((name) => machine.run(`nfsconf --get nfsd ${name}`));
    assert.deepEqual(await Promise.all(told), ["10", "10", "n", "y", "10.2.0.13"]);
  });

  it("S3: take the list of clients, and refuse a wrong one", async () => {
    await machine.run(`mkdir -p /var/lib/hastack/exports/uploads; touch /var/lib/nfs/etab`);
    await machine.run(`cat > ${list}`, exportsOf(own));
    await machine.run("exportfs -a");
    assert.match(await machine.run("exportfs -v"), /10\.2\.0\.12\(sync,.*anonuid=880/);
    await machine.run(`cat > ${list}`, exportsOf(own).replace("sync", "sinc"));
    const { code, stderr } = await machine.attempt("exportfs -a");
    assert.equal(code, 1);
    assert.match(stderr, /unknown keyword "sinc"/);
  });

  it("S3: take the unit that mounts", async () => {
    await machine.run("cat > /opt/hastack/programs/watch", readProgram("ssh/storage/nfs/watch.pl"));
    await machine.run("cat > /etc/systemd/system/hastack-uploads.service", unitOf(own));
    const said = await machine.attempt(
      "systemd-analyze verify --man=no /etc/systemd/system/hastack-uploads.service",
    );
    assert.deepEqual([said.code, said.stdout, said.stderr], [0, "", ""]);
  });

  describe("the program that watches the server", () => {
    const watch = async (path: string, before = "") => {
      const begin = Date.now();
      const program = `${before} perl /opt/hastack/programs/watch 127.0.0.1 ${path}`;
      const { stderr } = await machine.attempt(program);
      return { seconds: (Date.now() - begin) / 1000, said: stderr.trim() };
    };
    /** Answers for 13 s. */
    const server = `perl -MIO::Socket::INET -e 'my $l = IO::Socket::INET->new(LocalPort => 2049, Listen => 5, ReuseAddr => 1); alarm 13; while (my $c = $l->accept) { sysread $c, my $a, 44; syswrite $c, $a }' & sleep 1;`;

    it("S3: ends at once where nothing is mounted", async () => {
      const { seconds, said } = await watch("/watched");
      assert.ok(seconds < 3, `${seconds} s`);
      assert.equal(said, "/watched is not mounted any more");
    });

    it("S3: gives up a server that has not answered for 10 s, not before", async () => {
      // What is mounted in every container
      const gone = await watch("/proc");
      assert.ok(gone.seconds > 10, `${gone.seconds} s`);
      assert.equal(gone.said, "127.0.0.1 has not answered for 10 s");
      const later = await watch("/proc", server);
      assert.ok(later.seconds > 20, `${later.seconds} s`);
    });
  });
});
