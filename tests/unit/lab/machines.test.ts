import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { isCurrent, makeCertificate } from "../../../lab/certificate.ts";
import {
  addressesOf,
  addressIn,
  containerName,
  hasOwnInventory,
  inMachine,
  inventoryText,
  leftOf,
  type MachineSet,
  type RunningSet,
  removeMachines,
  setFiles,
  sshCommand,
  sshConfigText,
  startMachines,
  waitForSsh,
} from "../../../lab/machines.ts";
import { mustRun, run } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";

const networks = {
  frontend: "172.29.56.0/24",
  backend: "172.29.57.0/24",
  management: "172.29.58.0/24",
};

describe("stand-in machines: addresses and files", () => {
  const machines = [
    {
      name: "lb-1",
      container: "hastack-x-lb-1",
      addresses: { management: "172.29.58.11" },
      hostKey: "ssh-ed25519 AAAA",
    },
  ];

  it("have an address in each of their networks, by their number", () => {
    const set = { set: "x", machines: [], networks };
    assert.deepEqual(addressesOf(set, { name: "lb-1", number: 1, frontend: true }), {
      frontend: "172.29.56.11",
      backend: "172.29.57.11",
      management: "172.29.58.11",
    });
    assert.deepEqual(addressesOf(set, { name: "db-1", number: 5 }), {
      backend: "172.29.57.15",
      management: "172.29.58.15",
    });
  });

  it("need subnets that numbers fit into", () => {
    for (const subnet of ["10.0.0.0/16", "10.0.0.128/25", "10.0.0.0", ""]) {
      assert.throws(() => addressIn(subnet, 1), /need a \/24/, subnet);
    }
  });

  it("are told to the program by an inventory with the project's own paths", () => {
    const text = inventoryText(machines, "/srv/project/.hastack/x/id_ed25519", "/srv/project");
    assert.deepEqual(parse(text), {
      identityFile: ".hastack/x/id_ed25519",
      machines: { "lb-1": { address: "172.29.58.11", port: 22, hostKey: "ssh-ed25519 AAAA" } },
    });
  });

  it("are known to ssh by their names, host keys checked", () => {
    const text = sshConfigText(machines, setFiles("x", "/srv/my project"));
    assert.match(text, /^Host lb-1\n {2}HostName 172\.29\.58\.11\n/);
    assert.match(text, /IdentityFile "\/srv\/my project\/\.hastack\/x\/id_ed25519"/);
    assert.match(text, /StrictHostKeyChecking yes/);
  });
});

describe("stand-in machines: one of them", function () {
  this.timeout(180_000);

  const project = mkdtempSync(join(tmpdir(), "hastack-machines-"));
  const set: MachineSet = {
    set: "test-machines",
    machines: [{ name: "node-1", number: 1, frontend: true }],
    networks,
    project,
  };
  const container = containerName(set.set, "node-1");
  let running: RunningSet;

  const ssh = (script: string, user?: string): Promise<string> =>
    mustRun([...sshCommand(running.files, "node-1", user), script], { limitSeconds: 60 });
  const bootId = () => inMachine(set.set, "node-1", "cat /proc/sys/kernel/random/boot_id");
  const remove = () => removeMachines(set.set, project, true);

  before(async () => {
    await remove();
    running = await startMachines(set);
  });

  after(async () => {
    await remove();
    rmSync(project, { recursive: true });
  });

  /** Something that ends its boot; afterwards it must be the same machine, booted anew. */
  async function bootsAgain(how: () => Promise<unknown>): Promise<void> {
    const before = await bootId();
    await how();
    await until("the machine has booted", {
      probe: bootId,
      done: (id) => id !== before,
      limitSeconds: 60,
    });
    await waitForSsh(running.files, ["node-1"]); // with the host key of its first boot
    assert.match(await ssh("cat /var/lib/kept /etc/kept"), /^kept\nkept\n$/);
    const addresses = await ssh("ip -4 -oneline address");
    for (const address of Object.values(running.machines[0]?.addresses ?? {})) {
      assert.ok(addresses.includes(` ${address}/24 `), `${address} in ${addresses}`);
    }
  }

  it("is a Debian 13 that systemd has booted, without a failed unit", async () => {
    const state = await run([
      ...sshCommand(running.files, "node-1"),
      "systemctl is-system-running --wait; systemctl --failed --no-legend; cat /etc/os-release",
    ]);
    assert.match(state.stdout, /^running\nPRETTY_NAME="Debian GNU\/Linux 13/);
  });

  it("lets its administrator become root, and root in", async () => {
    assert.equal(await ssh("id -un; sudo -n id -un; hostname"), "deploy\nroot\nnode-1\n");
    assert.equal(await ssh("id -un", "root"), "root\n");
  });

  it("lets nobody in who finds another host key than the known one", async () => {
    const stranger = [
      "-o",
      "UserKnownHostsFile=/dev/null",
      "-o",
      "BatchMode=yes",
      "node-1",
      "true",
    ];
    const { code, stderr } = await run(["ssh", "-F", running.files.sshConfig, ...stranger]);
    assert.notEqual(code, 0);
    assert.match(stderr, /Host key verification failed/);
    assert.equal(statSync(running.files.identityFile).mode & 0o777, 0o600);
  });

  it("is bare: what a stack needs is not there yet, and apt can bring it", async () => {
    assert.equal(await ssh("command -v curl haproxy node gcc || echo none"), "none\n");
    await ssh("sudo apt-get -q update && apt-cache policy haproxy | grep -q 'Candidate: 3'");
  });

  it("has its way out in the management network alone", async () => {
    const routes = await ssh("ip route show default");
    assert.match(routes, /^default via 172\.29\.58\.1 [^\n]*\n$/);
  });

  it("can be reached at an address that it takes in the frontend", async () => {
    await ssh(
      `interface=$(ip -o -4 address | awk '$4 == "172.29.56.11/24" { print $2 }')
       sudo ip address add 172.29.56.100/32 dev $interface`,
    );
    const { stdout } = await run(["ssh-keyscan", "-t", "ed25519", "172.29.56.100"]);
    assert.match(stdout, /^172\.29\.56\.100 ssh-ed25519 /m);
  });

  it("keeps its files, its host key and its addresses whatever ends its boot", async () => {
    await ssh("echo kept | sudo tee /var/lib/kept | sudo tee /etc/kept");
    await bootsAgain(() => mustRun(["docker", "restart", container]));
    await bootsAgain(async () => {
      await mustRun(["docker", "kill", container]);
      await mustRun(["docker", "start", container]);
    });
    await bootsAgain(() => run([...sshCommand(running.files, "node-1"), "sudo systemctl reboot"]));
  });

  it("stays as it is when it is started again, and boots when it was stopped", async () => {
    const before = await bootId();
    assert.deepEqual(await startMachines(set), running);
    assert.equal(await bootId(), before);
    await bootsAgain(async () => {
      await mustRun(["docker", "stop", container]);
      await startMachines(set);
    });
  });

  it("is not taken for another one", async () => {
    const other = { ...set, machines: [{ name: "node-1", number: 2 }] };
    await assert.rejects(startMachines(other), /machine node-1 was made by another version/);
    const moved = { ...networks, frontend: "172.29.59.0/24" };
    await assert.rejects(startMachines({ ...set, networks: moved }), /has the subnet 172\.29\.56/);
    const twin = { ...set, set: "test-machines-twin" };
    await assert.rejects(
      startMachines(twin),
      /this machine already has 172\.29\.56\.1 in 172\.29\.56\.0/,
    );
  });

  it("makes the lab's certificate", async () => {
    const pem = await makeCertificate(["172.29.56.100", "172.29.56.11"], set.set, "node-1");
    assert.match(pem, /-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----/);
    assert.equal(isCurrent(pem, ["172.29.56.100", "172.29.56.11"]), true);
    assert.equal(isCurrent(pem, ["172.29.56.100", "172.29.56.101"]), false);
    const inTwoYears = new Date(Date.now() + 820 * 24 * 3600 * 1000);
    assert.equal(isCurrent(pem, ["172.29.56.100"], inTwoYears), false);
  });

  it("does not take an inventory of other machines away", async () => {
    const other = setFiles("test-machines-other", project);
    for (const [heading, stays] of [
      ["# my machines", true],
      ["# Stand-in machines, made by `npm run lab`", false],
    ] as const) {
      writeFileSync(other.inventory, `${heading}\nmachines: {}\n`);
      assert.equal(hasOwnInventory(other), !stays);
      await removeMachines("test-machines-other", project, true);
      assert.equal(existsSync(other.inventory), stays);
    }
  });

  it("leaves nothing when it is taken away", async () => {
    assert.equal((await leftOf(set.set)).length, 5); // itself, its volume, three networks
    await remove();
    assert.deepEqual(await leftOf(set.set), []);
    const { inventory, identityFile } = running.files;
    assert.deepEqual([inventory, identityFile].filter(existsSync), []);
  });
});
