import assert from "node:assert/strict";
import { tryDocker } from "../../../../../infra/platform/docker/engine.ts";
import { serviceFiles, steady, superviseCommand } from "../../../../../infra/platform/docker/s6.ts";
import { joined, readProgram } from "../../../../../infra/platform/machine.ts";
import type { ManagedFile, Process } from "../../../../../infra/platform/platform.ts";
import { encode, processesRequest, secretsInput } from "../../../../../infra/platform/request.ts";
import { mustRun } from "../../../../../lib/run.ts";
import { until } from "../../../../../lib/until.ts";
import { type Container, start } from "../../../../support/unit/containers.ts";
import { baseImage } from "../../../../support/unit/images.ts";
import { deliveryScript } from "../../../../support/unit/requests.ts";

const proxy: Process = {
  name: "proxy",
  command: ["proxy", "-f", "it's.cfg"],
  user: "www-data",
  environment: { NODE_ENV: "production" },
  directories: [{ path: "/run/proxy", mode: "0750" }],
  reloadSignal: "SIGUSR2",
  stopSignal: "SIGUSR1",
  stopGraceSeconds: 20,
};
const watcher: Process = { name: "watcher", command: ["watcher"], stopGraceSeconds: 5 };

const contentOf = (path: string) =>
  serviceFiles([proxy, watcher]).find((file) => file.path === path)?.content;

describe("s6 service folders", () => {
  it("have these files, of which a changed run script wants a restart", () => {
    assert.deepEqual(
      serviceFiles([proxy, watcher]).map(({ path, mode, restarts }) => [path, mode, restarts]),
      [
        ["services/proxy/run", "0755", "proxy"],
        ["services/proxy/finish", "0755", undefined],
        ["services/proxy/down-signal", undefined, undefined],
        ["services/proxy/timeout-kill", undefined, undefined],
        ["services/watcher/run", "0755", "watcher"],
        ["services/watcher/finish", "0755", undefined],
        ["services/watcher/down-signal", undefined, undefined],
        ["services/watcher/timeout-kill", undefined, undefined],
        ["services/.s6-svscan/SIGTERM", "0755", undefined],
      ],
    );
  });

  it("N4: start a process in the files' folder, as its user, with its own directories and environment only", () => {
    assert.equal(
      contentOf("services/proxy/run"),
      `#!/bin/sh -eu
exec 2>&1
install -d -o www-data -g www-data -m 0750 /run/proxy
cd /etc/hastack
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 NODE_ENV=production s6-setuidgid www-data proxy -f 'it'\\''s.cfg'
`,
    );
  });

  it("start a process as root where it names no user", () => {
    assert.equal(
      contentOf("services/watcher/run"),
      `#!/bin/sh -eu
exec 2>&1
cd /etc/hastack
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 watcher
`,
    );
  });

  it("L4: run what is to follow a process whenever that has ended", () => {
    const files = serviceFiles([{ ...watcher, afterwards: ["bin/tidy", "it's over"] }]);
    const finish = files.find(({ path }) => path === "services/watcher/finish");
    assert.equal(finish?.mode, "0755");
    assert.equal(
      finish?.content,
      `#!/bin/sh -eu
exec 2>&1
kill -s KILL -- "-$4" 2> /dev/null || :
cd /etc/hastack
exec bin/tidy 'it'\\''s over'
`,
    );
  });

  it("D4: leave alone what is to go on without its process", () => {
    const files = serviceFiles([{ ...watcher, childrenOutlive: true }]);
    assert.equal(
      files.find(({ path }) => path.endsWith("finish")),
      undefined,
    );
  });

  it("L2: stop a process with its own signal, and kill it after its grace", () => {
    assert.equal(contentOf("services/proxy/down-signal"), "USR1\n");
    assert.equal(contentOf("services/proxy/timeout-kill"), "20000\n");
    assert.equal(contentOf("services/watcher/down-signal"), "TERM\n");
    assert.equal(contentOf("services/watcher/timeout-kill"), "5000\n");
  });

  it("L2: stop the last process first, and wait for it before the next", () => {
    assert.equal(
      contentOf("services/.s6-svscan/SIGTERM"),
      `#!/bin/sh
s6-svc -wD -T 7000 -d /etc/hastack/services/watcher
s6-svc -wD -T 22000 -d /etc/hastack/services/proxy
exec s6-svscanctl -t /etc/hastack/services
`,
    );
  });

  it("L8: reload a process with its signal, and restart one that has none", async () => {
    const told = (call: string) =>
      mustRun(["sh", "-euc", `${readProgram("s6").replaceAll("s6-svc ", "echo ")}\n${call}`]);
    const service = "/etc/hastack/services/proxy";
    assert.equal(await told("reload_process proxy SIGUSR2"), `-2 ${service}\n`);
    assert.equal(await told("reload_process proxy SIGHUP"), `-h ${service}\n`);
    assert.equal(await told("reload_process proxy ''"), `-r ${service}\n`);
    assert.equal(await told("restart_process proxy"), `-r ${service}\n`);
  });

  it("W7: are all that a container starts with; notes of an earlier delivery end there", () => {
    assert.deepEqual(superviseCommand([]), [
      "sh",
      "-c",
      "rm -rf /etc/hastack/.notices/* && exec s6-svscan /etc/hastack/services",
    ]);
  });
});

/** Tells of its start and of every signal, and takes a moment to end. */
const child = `#!/bin/sh
say() { echo "$1 $2"; }
ends() { say "$1" "got $2"; sleep 0.4; say "$1" "ended"; exit 0; }
trap "ends $1 TERM" TERM
trap "ends $1 USR1" USR1
trap "say $1 'got HUP'" HUP
trap "say $1 'got USR2'" USR2
echo $$ > /tmp/$1.pid
say "$1" "started as $(id -un) in $PWD, MODE=\${MODE:-} OUTSIDE=\${OUTSIDE:-}"
while :; do sleep 0.1 & wait $!; done
`;
const stubborn = `#!/bin/sh
trap '' TERM
echo "stubborn started"
while :; do sleep 0.1; done
`;

const server: Process = {
  name: "server",
  command: ["/usr/local/bin/child", "server"],
  user: "hastack",
  environment: { MODE: "it's on" },
  directories: [{ path: "/run/server", mode: "0750" }],
  reloadSignal: "SIGUSR2",
  stopSignal: "SIGUSR1",
  stopGraceSeconds: 5,
};
const helper: Process = {
  name: "helper",
  command: ["/usr/local/bin/child", "helper"],
  workingDirectory: "/var/lib",
  environmentFile: "helper.env",
  reloadSignal: "SIGHUP",
  stopGraceSeconds: 5,
};
/** Every letter that an environment file gives a meaning. */
const oddValue = "a \"b\" $HOME `id` \\ 'c' # d=e";
const environment: ManagedFile = {
  path: "helper.env",
  content: `MODE="${oddValue.replace(/["$`\\]/g, "\\$&")}"\nOTHER="@{word}"\n`,
  mode: "0400",
};
const mule: Process = { name: "mule", command: ["/usr/local/bin/stubborn"], stopGraceSeconds: 1 };

/** What tells a process of the container to reload or restart. */
const tell = (act: "reload" | "restart", { name, reloadSignal }: Process) =>
  `${readProgram("s6")}\n${act}_process ${name} ${reloadSignal ?? ""}`;

/** Starts a container that supervises these processes, the way the stack's containers do. */
async function supervise(processes: readonly Process[]): Promise<Container> {
  const waiting = `while [ ! -e /tmp/delivered ]; do sleep 0.05; done; exec "$@"`;
  const machine = await start(await baseImage(), "s6", {
    init: false,
    arguments: ["--env=OUTSIDE=1", "--security-opt=no-new-privileges:true"],
    command: ["sh", "-c", waiting, "sh", ...superviseCommand([])],
  });
  const program = (path: string, text: string) =>
    machine.run(`cat > ${path} && chmod 0755 ${path}`, text);
  await program("/usr/local/bin/child", child);
  await program("/usr/local/bin/stubborn", stubborn);
  const files = [...serviceFiles(processes), environment];
  await machine.run(deliveryScript("/etc/hastack", files), secretsInput({ word: "secret" }));
  await machine.run("touch /tmp/delivered");
  for (const { name } of processes)
    await said(machine, `${name === "mule" ? "stubborn" : name} started`);
  return machine;
}

/** Waits until the container has printed a text so often. */
function said(machine: Container, text: string, times = 1): Promise<string> {
  return until(`the container says ${text}`, {
    probe: () => machine.logs(),
    done: (logs) => logs.split(text).length > times,
    limitSeconds: 30,
    intervalSeconds: 0.1,
  });
}

describe("s6 in a container", function () {
  this.timeout(90_000);
  let machine: Container;

  before(async function () {
    this.timeout(600_000);
    machine = await supervise([server, helper]);
  });
  after(() => machine?.remove());

  const pid = (name: string) => machine.run(`cat /tmp/${name}.pid`);

  it("N4: starts each process as its user, where its files are, without the container's environment", async () => {
    const logs = await machine.logs();
    assert.match(logs, /^server started as hastack in \/etc\/hastack, MODE=it's on OUTSIDE=$/m);
    assert.ok(logs.includes(`helper started as root in /var/lib, MODE=${oddValue} OUTSIDE=\n`));
    assert.equal(await machine.run("stat -c '%a %U' /run/server"), "750 hastack");
  });

  it("N3: gives a process the variables of its environment file, and nothing on its command line", async () => {
    const own = "/proc/$(cat /tmp/helper.pid)";
    const variables = await machine.run(`tr '\\0' '\\n' < ${own}/environ | sort`);
    assert.deepEqual(variables.split("\n"), [
      "LANG=C.UTF-8",
      `MODE=${oddValue}`,
      "OTHER=secret",
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "PWD=/var/lib",
    ]);
    const words = await machine.run(`tr '\\0' ' ' < ${own}/cmdline`);
    assert.equal(words, "/bin/sh /usr/local/bin/child helper ");
  });

  it("W8: takes processes for healthy once none has died for some seconds", async () => {
    const { command } = steady([server, helper]);
    await until("they have run for so long", {
      probe: () => machine.attempt(command),
      done: ({ code }) => code === 0,
      limitSeconds: 20,
    });
    await machine.run(tell("restart", server));
    await said(machine, "server started", 2);
    assert.notEqual((await machine.attempt(command)).code, 0);
  });

  it("L8: sends a process its reload signal, and leaves it running", async () => {
    const before = await Promise.all([pid("server"), pid("helper")]);
    await machine.run(tell("reload", server));
    await said(machine, "server got USR2");
    await machine.run(tell("reload", helper));
    await said(machine, "helper got HUP");
    assert.deepEqual(await Promise.all([pid("server"), pid("helper")]), before);
  });

  it("restarts a process with its own stop signal, and the other one goes on", async () => {
    const before = await pid("helper");
    await machine.run(tell("restart", server));
    await said(machine, "server started", 3);
    assert.match(await machine.logs(), /server got USR1\nserver ended\nserver started/);
    assert.equal(await pid("helper"), before);
  });

  it("W7: starts a killed process again", async () => {
    const before = await pid("server");
    await machine.run(`kill -KILL ${before}`);
    await said(machine, "server started", 4);
    assert.notEqual(await pid("server"), before);
  });

  it("ends a process that is no more, and starts one that is new, while the others go on", async () => {
    const successor: Process = { ...helper, name: "successor", environmentFile: "helper.env" };
    const request = (processes: readonly Process[]) =>
      encode({ root: "/etc/hastack", processes: processesRequest(processes) });
    const follow = async (...processes: readonly Process[]) => {
      const files = [...serviceFiles(processes), environment];
      await machine.run(deliveryScript("/etc/hastack", files), secretsInput({ word: "secret" }));
      return machine.run(
        joined(["request", "s6", "notify"], "files", "notify"),
        request(processes),
      );
    };
    const before = await pid("server");
    const others = { ...successor, command: ["/usr/local/bin/child", "successor"] };
    assert.match(await follow(server, others), /^end of helper$/m);
    await said(machine, "helper ended");
    await said(machine, "successor started");
    assert.equal(await machine.run("cd /etc/hastack/services && echo *"), "server successor");
    // It is started once: there is nothing to restart it for
    assert.equal(await follow(server, helper), "end of successor");
    await said(machine, "successor ended");
    await said(machine, "helper started", 2);
    assert.equal(await pid("server"), before);
    assert.doesNotMatch(await machine.logs(), /unable to/);
  });

  it("L2, A15: stops the last process first, each with its signal, one after the other", async () => {
    // A note that nobody has taken down yet, for the next test
    await machine.run("touch /etc/hastack/.notices/reload:server");
    const earlier = (await machine.logs()).length;
    const { code } = await tryDocker(["stop", "--time=30", machine.name]);
    assert.equal(code, 0);
    assert.equal(
      (await machine.logs()).slice(earlier),
      "helper got TERM\nhelper ended\nserver got USR1\nserver ended\n",
    );
    const { stdout } = await tryDocker(["inspect", "-f", "{{.State.ExitCode}}", machine.name]);
    assert.equal(stdout.trim(), "0");
  });

  it("W7: starts everything again, and takes old notes away: what starts now is new", async () => {
    const { code } = await tryDocker(["start", machine.name]);
    assert.equal(code, 0);
    await said(machine, "server started", 5);
    await said(machine, "helper started", 3);
    assert.equal(await machine.run("ls -A /etc/hastack/.notices"), "");
  });
});

describe("s6 with a process that does not end", function () {
  this.timeout(600_000);

  it("L4: ends a worker that hangs once its process has ended, before the next one starts", async () => {
    const script = "echo master started; sleep 7777 & sleep 0.5; kill -STOP $!; exec sleep 8888";
    const master: Process = { name: "master", command: ["sh", "-c", script], stopGraceSeconds: 2 };
    const machine = await supervise([master]);
    try {
      const hung = () => machine.run("pgrep -f '^sleep 7777' || :");
      await until("the worker hangs", {
        probe: hung,
        done: (pids) => pids !== "",
        limitSeconds: 20,
      });
      await machine.run("s6-svc -wD -T 10000 -d /etc/hastack/services/master; sleep 0.5");
      assert.equal(await hung(), "");
    } finally {
      await machine.remove();
    }
  });

  it("A15: kills it after its grace, and the others still get their own", async () => {
    const machine = await supervise([server, mule]);
    try {
      const begin = Date.now();
      await tryDocker(["stop", "--time=30", machine.name]);
      const took = Date.now() - begin;
      assert.match(await machine.logs(), /server got USR1\nserver ended\n$/);
      // Docker itself would kill it after 30 s
      assert.ok(took > 1000 && took < 25_000, `${took} ms`);
    } finally {
      await machine.remove();
    }
  });
});
