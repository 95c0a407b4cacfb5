import assert from "node:assert/strict";
import { readProgram } from "../../../../../infra/platform/machine.ts";
import type { Process, Workload } from "../../../../../infra/platform/platform.ts";
import { unitFiles, unitName } from "../../../../../infra/platform/ssh/systemd.ts";
import { mustRun } from "../../../../../lib/run.ts";
import { type Container, start } from "../../../../support/unit/containers.ts";
import { first } from "../../../../support/unit/fixtures.ts";
import { imageFor } from "../../../../support/unit/images.ts";
import { deliveryScript } from "../../../../support/unit/requests.ts";
import { describeStack, release, workloadOf } from "../../../../support/unit/stack.ts";

const proxy: Process = {
  name: "proxy",
  command: ["haproxy", "-f", "it's.cfg"],
  reloadSignal: "SIGUSR2",
  stopSignal: "SIGUSR1",
  stopGraceSeconds: 20,
};
const watcher: Process = {
  name: "watcher",
  command: ["bin/watch", "--all"],
  user: "www-data",
  environment: { MODE: "quick" },
  directories: [{ path: "/run/watcher", mode: "0750" }],
  stopGraceSeconds: 5,
};

const folder = "/etc/hastack/lb-1";

function workload(changes: Partial<Workload> = {}): Workload {
  return {
    host: { name: "lb-1", role: "loadBalancer", machine: "node-1", backend: "10.2.0.11" },
    component: "LoadBalancer",
    packages: [],
    processes: [proxy, watcher],
    files: [],
    secrets: {},
    health: { command: "true", meaning: "it runs" },
    ...changes,
  };
}

/** Lines of the unit of one process. */
function linesOf(name: string, changes: Partial<Workload> = {}): string[] {
  const file = unitFiles(workload(changes), folder).find(
    ({ path }) => path === `units/${unitName(name)}`,
  );
  if (!file) throw new Error(`there is no unit of ${name}`);
  return file.content.split("\n");
}

/** What a setting says, once for each time it is given. */
const said = (lines: readonly string[], setting: string) =>
  lines
    .filter((line) => line.startsWith(`${setting}=`))
    .map((line) => line.slice(setting.length + 1));

describe("systemd units", () => {
  it("are one file for each process, which is started anew when it changes", () => {
    assert.deepEqual(
      unitFiles(workload(), folder).map(({ path, restarts }) => [path, restarts]),
      [
        ["units/hastack-proxy.service", "proxy"],
        ["units/hastack-watcher.service", "watcher"],
      ],
    );
  });

  it("hand words and variables over as they are: what systemd would expand is doubled", () => {
    const odd = `it's 50% of "$HOME" \\ and %n\n;`;
    const lines = linesOf("odd", {
      processes: [{ ...proxy, name: "odd", command: ["echo", odd], environment: { ODD: odd } }],
    });
    const text = String.raw`it's 50%% of \"$HOME\" \\ and %%n\n;`;
    assert.equal(said(lines, "Environment").at(-1), `"ODD=${text}"`);
    assert.deepEqual(said(lines, "ExecStart"), [`echo "${text.replace("$", () => "$$")}"`]);
  });

  it("find a program of the workload in its folder, and one of the system by its name", () => {
    assert.deepEqual(said(linesOf("proxy"), "ExecStart"), [`haproxy -f "it's.cfg"`]);
    assert.deepEqual(said(linesOf("watcher"), "ExecStart"), [`${folder}/bin/watch --all`]);
    assert.deepEqual(said(linesOf("watcher"), "WorkingDirectory"), [folder]);
  });

  it("run where their process says, with the variables of its file and no more than its memory", () => {
    const lines = linesOf("odd", {
      processes: [
        {
          ...watcher,
          name: "odd",
          workingDirectory: "/opt/app",
          environmentFile: "app.env",
          memoryMegabytes: 256,
        },
      ],
    });
    assert.deepEqual(said(lines, "WorkingDirectory"), ["/opt/app"]);
    assert.deepEqual(said(lines, "ExecStart"), ["/opt/app/bin/watch --all"]);
    assert.deepEqual(said(lines, "EnvironmentFile"), [`${folder}/app.env`]);
    assert.deepEqual(said(lines, "MemoryMax"), ["256M"]);
    for (const setting of ["EnvironmentFile", "MemoryMax"]) {
      assert.deepEqual(said(linesOf("watcher"), setting), []);
    }
  });

  it("L2: stop in the reverse of the order given, each with its signal, and are killed after its grace", () => {
    assert.deepEqual(said(linesOf("proxy"), "After"), ["network-online.target"]);
    assert.deepEqual(said(linesOf("watcher"), "After"), [
      "network-online.target hastack-proxy.service",
    ]);
    assert.deepEqual(said(linesOf("proxy"), "KillSignal"), ["SIGUSR1"]);
    assert.deepEqual(said(linesOf("proxy"), "TimeoutStopSec"), ["20"]);
    assert.deepEqual(said(linesOf("watcher"), "KillSignal"), ["SIGTERM"]);
  });

  it("L4: run what is to follow a process whenever that has ended", () => {
    const processes = [proxy, { ...watcher, afterwards: ["bin/tidy", "all"] }];
    const lines = linesOf("watcher", { processes });
    assert.deepEqual(said(lines, "ExecStopPost"), [`${folder}/bin/tidy all`]);
    assert.deepEqual(said(linesOf("proxy", { processes }), "ExecStopPost"), []);
  });

  it("N4, W7: are started again whenever they end, and at boot", () => {
    for (const name of ["proxy", "watcher"]) {
      assert.deepEqual(said(linesOf(name), "Restart"), ["always"]);
      assert.deepEqual(said(linesOf(name), "StartLimitIntervalSec"), ["0"]);
      assert.deepEqual(said(linesOf(name), "WantedBy"), ["multi-user.target"]);
    }
  });

  it("N4: run as their user without any capability, and may write to their own directories only", () => {
    const lines = linesOf("watcher", {
      data: [{ name: "data", path: "/var/lib/watcher", own: "/var/lib/watcher/own", keep: true }],
    });
    assert.deepEqual(said(lines, "User"), ["www-data"]);
    assert.deepEqual(said(lines, "CapabilityBoundingSet"), [""]);
    assert.deepEqual(said(lines, "ProtectSystem"), ["strict"]);
    assert.deepEqual(said(lines, "ReadWritePaths"), ["-/run/watcher", "-/var/lib/watcher"]);
    assert.deepEqual(said(lines, "ExecStartPre"), [
      "+/usr/bin/install -d -o www-data -g www-data -m 0750 /run/watcher",
    ]);
  });

  it("D2: leave a directory below another one alone, so that its owner can make it anew", () => {
    const lines = linesOf("watcher", {
      processes: [{ ...watcher, directories: [{ path: "/var/lib/watcher/own", mode: "0700" }] }],
      data: [{ name: "data", path: "/var/lib/watcher", own: "/var/lib/watcher/own", keep: true }],
    });
    assert.deepEqual(said(lines, "ReadWritePaths"), ["-/var/lib/watcher"]);
  });

  it("N4: leave root the capabilities that its workload asks for, beside a few", () => {
    const lines = linesOf("proxy", { capabilities: ["NET_ADMIN"] });
    assert.deepEqual(said(lines, "User"), []);
    const [granted = ""] = said(lines, "CapabilityBoundingSet");
    assert.ok(granted.split(" ").includes("CAP_NET_ADMIN"));
    for (const never of ["SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH"])
      assert.ok(!granted.includes(never), granted);
    assert.deepEqual(said(lines, "NoNewPrivileges"), ["yes"]);
  });

  it("show a workload its own release", () => {
    const release = { hash: "abc", application: "app", users: [] };
    assert.deepEqual(said(linesOf("proxy", { release }), "BindReadOnlyPaths"), [
      "/opt/hastack/current/lb-1:/opt/hastack/current",
    ]);
    assert.deepEqual(said(linesOf("proxy"), "BindReadOnlyPaths"), []);
  });

  it("S2: wait for a shared directory, and see what is mounted there later", () => {
    const lines = linesOf("watcher", {
      shared: [{ name: "uploads", path: "/var/lib/hastack/uploads", group: "hastack" }],
    });
    assert.deepEqual(said(lines, "Wants"), ["network-online.target hastack-uploads.service"]);
    assert.match(first(said(lines, "After")), /hastack-uploads\.service/);
    assert.equal(
      first(said(lines, "ExecStartPre")),
      "+/usr/bin/mountpoint -q /var/lib/hastack/uploads",
    );
    assert.ok(said(lines, "ReadWritePaths").includes("-/var/lib/hastack"));
  });

  it("D4: let PostgreSQL outlive Patroni, and nothing else its parent", () => {
    assert.deepEqual(said(linesOf("proxy"), "KillMode"), ["mixed"]);
    const outliving = { processes: [{ ...proxy, childrenOutlive: true }] };
    assert.deepEqual(said(linesOf("proxy", outliving), "KillMode"), ["process"]);
  });

  it("L8: are reloaded by their signal, and restarted where they have none", async () => {
    assert.deepEqual(said(linesOf("proxy"), "ExecReload"), ["/bin/kill -s USR2 $MAINPID"]);
    assert.deepEqual(said(linesOf("watcher"), "ExecReload"), []);
    const told = async (call: string) => {
      const text = `systemctl() { echo "$*"; }\n${readProgram("systemd")}\n${call}`;
      return (await mustRun(["sh", "-euc", text])).split("\n").filter(Boolean).at(-1);
    };
    const unit = "hastack-proxy.service";
    assert.equal(await told("reload_process proxy SIGUSR2"), `reload-or-restart ${unit}`);
    assert.equal(await told("reload_process proxy ''"), `restart ${unit}`);
    assert.equal(await told("restart_process proxy"), `restart ${unit}`);
  });
});

describe("systemd units and systemd itself", function () {
  this.timeout(120_000);
  let machine: Container;

  before(async function () {
    this.timeout(900_000);
    const image = await imageFor({ component: "Systemd", packages: ["systemd"] });
    machine = await start(image, "systemd", {
      arguments: ["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"],
    });
    // It only matters that they are there
    const programs = ["etcd", "valkey-server", "haproxy"].map((name) => `/usr/bin/${name}`);
    const node = `/opt/hastack/releases/${release.hash}/node_modules/.bin/node`;
    for (const path of [node, ...programs])
      await machine.run(`install -D -m 0755 /bin/true ${path}`);
  });
  after(() => machine?.remove());

  const members = ["etcd-1", "db-1", "cache-1", "storefront-1", "admin-1", "lb-1"];
  /** Delivers the units of a member with its programs. */
  const deliver = async (member: string) => {
    const one = workloadOf(await describeStack(), member);
    const root = `/etc/hastack/${member}`;
    const files = one.files
      .filter(({ path }) => path.startsWith("bin/"))
      .map(({ check: _, ...file }) => file);
    const units = unitFiles(one, root);
    const result = await machine.attempt(deliveryScript(root, [...files, ...units]));
    return { ...result, root, units };
  };

  for (const member of members) {
    it(`N4: of ${member} are accepted by systemd, and shut off well enough`, async () => {
      const { code, stderr, root, units } = await deliver(member);
      assert.equal(code, 0, stderr);
      for (const { path, content } of units) {
        const report = await machine.run(
          `systemd-analyze security --offline=yes --no-pager ${root}/${path} | tail -n 1`,
        );
        const level = Number(/: (\d+\.\d+)/.exec(report)?.[1]);
        assert.ok(level < (content.includes("User=") ? 2 : 4), report);
      }
    });
  }

  it("W5: are refused with a setting that systemd does not know, or without their program", async () => {
    const root = "/etc/hastack/bad";
    const [unit] = unitFiles(workload({ processes: [{ ...proxy, name: "bad" }] }), root);
    assert.ok(unit);
    for (const [good, bad] of [
      ["Restart=", "Restrat="],
      ["ExecStart=haproxy", "ExecStart=haproxi"],
    ] as const) {
      const content = unit.content.replace(good, bad);
      const { code, stderr } = await machine.attempt(deliveryScript(root, [{ ...unit, content }]));
      assert.notEqual(code, 0);
      assert.match(stderr, /hastack-bad\.service was refused; nothing was changed/);
    }
  });
});
