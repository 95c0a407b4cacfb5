/**
 * Shared files on NFS between three machines with kernels of their own: the stack's programs make server
 * and clients, two clients write, and the server is restarted, full, read-only, cut off and lost.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { encode } from "../../infra/platform/request.ts";
import { callText, shippedPrograms } from "../../infra/platform/ssh/programs.ts";
import type { StorageCall } from "../../infra/platform/ssh/storage/driver.ts";
import { nfs } from "../../infra/platform/ssh/storage/nfs/nfs.ts";
import { readProjectFile } from "../../lib/paths.ts";
import { until } from "../../lib/until.ts";
import { onlyInFull } from "../support/full.ts";
import type { Container } from "../support/unit/containers.ts";
import { planWith } from "../support/unit/fixtures.ts";
import { onMachines, onNfs } from "../support/unit/machine-stack.ts";
import { noMachinesBecause, startNetwork, UserModeMachine } from "../support/user-mode/machines.ts";

const uploads = { name: "uploads", path: "/var/lib/hastack/uploads", group: "hastack" };
const exported = "/var/lib/hastack/exports/uploads";
/** What a write that waits may take at most, once the server is given up. */
const longestWait = 30;
const noSpace = 28;
const readOnly = 30;

/** One file that was written, or was not. */
interface Line {
  readonly what: string;
  readonly name: string;
  readonly sum: string;
  readonly seconds: number;
  readonly error: number;
}

describe("NFS between machines with kernels of their own", function () {
  this.timeout("10m");

  let network: Container;
  let server: UserModeMachine;
  let clients: readonly [UserModeMachine, UserModeMachine];
  /** Checksums of all that was acknowledged, as sha256sum reads them. */
  const acknowledged: string[] = [];
  let round = 0;

  before("boot a server and two clients", async function () {
    onlyInFull(this);
    const reason = noMachinesBecause();
    if (reason) {
      console.log(`      skipped: ${reason}`);
      this.skip();
    }
    network = await startNetwork(["nfs-kernel-server", "nfs-common", "perl"]);
    server = new UserModeMachine(network, "server", 13);
    clients = [
      new UserModeMachine(network, "client1", 11),
      new UserModeMachine(network, "client2", 12),
    ];
    const all = [server, ...clients];
    await Promise.all(all.map((one) => one.boot()));
    await Promise.all(all.map((one) => one.booted()));
    await Promise.all(all.map(prepare));
    await server.run(
      `mkdir -p /var/lib/hastack/exports; echo '/dev/ubdb /var/lib/hastack/exports ext4 defaults 0 2' >> /etc/fstab; mount /var/lib/hastack/exports`,
    );
  });
  after("take the machines away", () => network?.remove());

  const plan = planWith({ ...onMachines, ...onNfs });
  const driver = nfs(plan.settings);
  const member = driver.member(plan.topology, uploads, true);
  const mount = driver.mount("node-1", plan.topology, uploads);

  /** The stack's call, with the addresses that there are. */
  async function call(machine: UserModeMachine, { call: name, request }: StorageCall) {
    const input = JSON.stringify(request).replaceAll("10.2.0.", "10.9.0.");
    await machine.run("cat > /tmp/call", callText(name, "nfs"));
    return machine.run("sh /tmp/call", encode(JSON.parse(input)));
  }

  async function prepare(machine: UserModeMachine): Promise<void> {
    await machine.run(
      "useradd --system --uid 880 --user-group hastack; install -d /etc/hastack /opt/hastack/programs; echo 'test node-1' > /etc/hastack/.machine; systemctl disable --now --quiet nfs-server rpcbind.socket rpcbind.service",
    );
    for (const [name, text] of Object.entries(shippedPrograms())) {
      await machine.run(`cat > /opt/hastack/programs/${name}`, text);
    }
    // Users of tiers have other numbers on other machines
    const user = machine.name;
    await machine.run(
      `useradd --system --uid ${user.endsWith("1") ? 901 : 902} -G hastack ${user}`,
    );
    await machine.run("cat > /opt/write", readProjectFile("tests/support/user-mode/write.pl"));
  }

  /** Both clients write, and meanwhile something happens. */
  async function whileWriting(seconds: number, act: () => Promise<unknown>): Promise<Line[]> {
    round += 1;
    const writers = clients.map((client) =>
      client.run(
        `runuser -u ${client.name} -- perl /opt/write ${client.name}-${round} ${seconds}`,
        "",
        seconds + 120,
      ),
    );
    await sleep(5000);
    await act();
    const lines = (await Promise.all(writers)).join("\n").split("\n").map(readLine);
    const good = lines.filter(({ what }) => what === "good");
    acknowledged.push(...good.map(({ name, sum }) => `${sum}  ${name}`));
    const slowest = Math.max(...lines.map((line) => line.seconds));
    const failed = lines.filter(({ what }) => what !== "good");
    console.log(
      `      ${good.length} good, ${failed.length} failed, the slowest took ${slowest} s`,
    );
    return lines;
  }

  function readLine(text: string): Line {
    const words = text.split(" ");
    const [what = "", second = "", third = "", fourth = ""] = words;
    return what === "good"
      ? { what, name: second, sum: third, seconds: Number(fourth), error: 0 }
      : { what, name: "", sum: "", seconds: Number(third), error: Number(second) };
  }

  /** All that was acknowledged is whole at the server and at both clients. */
  async function assertKept(): Promise<void> {
    const look = (folder: string) => `cd ${folder} && sha256sum --check --quiet -`;
    const list = `${acknowledged.join("\n")}\n`;
    await server.run(look(exported), list);
    for (const client of clients) await client.run(look(uploads.path), list);
  }

  const failures = (lines: readonly Line[]) => lines.filter(({ what }) => what !== "good");

  it("S3: the stack's programs make a server that is to be reached at one port, and clients at none", async () => {
    assert.match(await call(server, member.apply), /the directory is exported/);
    for (const client of clients) {
      assert.match(await call(client, mount.apply), /the directory is mounted/);
    }
    const listening = async (machine: UserModeMachine) =>
      (await machine.run("ss -Hltun | awk '{ print $5 }' | grep -v ':22$' || :")).trim();
    assert.equal(await listening(server), `${server.address}:2049`);
    for (const client of clients) assert.equal(await listening(client), "");
  });

  it("S1: what one client makes, the other one has at once, whatever user made it and whom it lets in", async () => {
    const [one, other] = clients;
    const as = (client: UserModeMachine, script: string) =>
      client.run(`cd ${uploads.path} && runuser -u ${client.name} -- sh -euc '${script}'`);
    await as(other, "! cat made 2> /dev/null");
    await as(one, "umask 077; echo one > made; mkdir folder");
    assert.equal(await as(other, "cat made; echo two >> made; echo three > folder/made"), "one");
    assert.equal(await as(one, "cat made folder/made"), "one\ntwo\nthree");
    await as(one, "rm -r made folder");
    await as(other, "! cat made 2> /dev/null");
  });

  it("S3: nobody is root on the server, and nothing there is run", async () => {
    const [client] = clients;
    const there = `${uploads.path}/program`;
    await client.run(`printf '#!/bin/sh\\necho ran\\n' > ${there}; chmod 4755 ${there}`);
    assert.equal(await server.run(`stat -c %U:%G ${exported}/program`), "hastack:hastack");
    assert.notEqual((await client.attempt(there)).code, 0);
    await client.run(`rm ${there}`);
  });

  it("S3: another machine is not let in", async () => {
    const { code, stderr } = await server.attempt(
      `mount -t nfs4 -o retry=0 ${server.address}:${exported} /mnt`,
    );
    assert.notEqual(code, 0);
    assert.match(stderr, /denied|No such file/);
  });

  it("S3: a restart of the server stalls writes for seconds, and none fails", async () => {
    const lines = await whileWriting(25, () => server.run("systemctl restart nfs-server"));
    assert.deepEqual(failures(lines), []);
    await assertKept();
  });

  it("W7: the server's programs come back when they are killed, and no write fails", async () => {
    const lines = await whileWriting(25, () => server.run("pkill -KILL rpc.mountd; pkill nfsdcld"));
    assert.deepEqual(failures(lines), []);
    assert.equal(await server.run("systemctl is-active nfs-mountd nfsdcld"), "active\nactive");
    await assertKept();
  });

  it("S4: a server that is full says so, and takes files again when there is room", async () => {
    const fill = `dd if=/dev/zero of=${exported}/../fill bs=1M 2> /dev/null; sync; sleep 5; rm ${exported}/../fill`;
    const lines = await whileWriting(25, () => server.run(fill));
    const errors = new Set(failures(lines).map(({ error }) => error));
    assert.deepEqual([...errors], [noSpace]);
    assert.equal(lines.at(-1)?.what, "good");
    await assertKept();
  });

  it("S4: a server that may only be read says so, and takes files again later", async () => {
    const list = "/etc/exports.d/hastack-uploads.exports";
    const change = (from: string, to: string) =>
      server.run(`sed -i 's/(${from},/(${to},/' ${list}; exportfs -ra`);
    const lines = await whileWriting(25, async () => {
      await change("rw", "ro");
      await sleep(4000);
      await change("ro", "rw");
    });
    const errors = new Set(failures(lines).map(({ error }) => error));
    assert.deepEqual([...errors], [readOnly]);
    assert.equal(lines.at(-1)?.what, "good");
    await assertKept();
  });

  it("S3: a server that does not answer is given up: programs get errors, and no acknowledged file is lost", async () => {
    const lines = await whileWriting(80, async () => {
      await server.link("down");
      await sleep(40_000);
      await server.link("up");
    });
    assertGivenUp(lines);
    await assertKept();
  });

  it("S3, W7: a server that has lost its power boots, and is mounted again by itself", async () => {
    const lines = await whileWriting(100, async () => {
      await server.lose();
      await sleep(5000);
      await server.boot();
      await server.booted();
    });
    assertGivenUp(lines);
    await assertKept();
  });

  function assertGivenUp(lines: readonly Line[]): void {
    assert.ok(failures(lines).length > 10, "errors come at once after the first");
    const slowest = Math.max(...lines.map(({ seconds }) => seconds));
    assert.ok(slowest < longestWait, `a program waited for ${slowest} s`);
    assert.equal(lines.at(-1)?.what, "good");
  }

  it("W7: a client that boots before its server mounts once that is there", async () => {
    const [client] = clients;
    await server.lose();
    await client.lose();
    await client.boot();
    await client.booted();
    await server.boot();
    await server.booted();
    await until("the client has mounted it", {
      probe: () => client.run("grep -c ' nfs4 ' /proc/self/mounts"),
      done: (count) => count === "1",
      limitSeconds: 60,
    });
    await assertKept();
  });

  it("W4: is taken away again, and the files are kept", async () => {
    for (const client of clients) {
      await call(client, mount.remove);
      assert.equal(
        await client.run("ls -A /var/lib/hastack; grep ' nfs4 ' /proc/self/mounts || :"),
        "",
      );
    }
    await call(server, member.remove);
    assert.equal(
      await server.run(
        "ss -Hltn | grep 2049 || :; find /etc /run -name '*hastack*.*' ! -path '/run/hastack*' ! -name '*hastack-exports.mount'",
      ),
      "",
    );
    const list = `${acknowledged.join("\n")}\n`;
    await server.run(`cd ${exported} && sha256sum --check --quiet -`, list);
  });
});
