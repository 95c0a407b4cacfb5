import assert from "node:assert/strict";
import type { Process } from "../../../../infra/platform/platform.ts";
import { noticeCommands, serviceFiles, superviseCommand } from "../../../../infra/render/s6.ts";

const proxy: Process = {
  name: "proxy",
  command: ["proxy", "-f", "/etc/hastack/it's.cfg"],
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
        ["services/proxy/down-signal", undefined, undefined],
        ["services/proxy/timeout-kill", undefined, undefined],
        ["services/watcher/run", "0755", "watcher"],
        ["services/watcher/down-signal", undefined, undefined],
        ["services/watcher/timeout-kill", undefined, undefined],
        ["services/.s6-svscan/SIGTERM", "0755", undefined],
      ],
    );
  });

  it("N4: start a process as its user, with its own directories and environment only", () => {
    assert.equal(
      contentOf("services/proxy/run"),
      `#!/bin/sh -eu
exec 2>&1
install -d -o www-data -g www-data -m 0750 /run/proxy
cd /
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 NODE_ENV=production s6-setuidgid www-data proxy -f '/etc/hastack/it'\\''s.cfg'
`,
    );
  });

  it("start a process as root where it names no user", () => {
    assert.equal(
      contentOf("services/watcher/run"),
      `#!/bin/sh -eu
exec 2>&1
cd /
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 watcher
`,
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

  it("L8: reload a process with its signal, and restart one that has none", () => {
    assert.deepEqual(noticeCommands(proxy), {
      reload: "s6-svc -2 /etc/hastack/services/proxy",
      restart: "s6-svc -r /etc/hastack/services/proxy",
    });
    assert.deepEqual(noticeCommands({ ...proxy, reloadSignal: "SIGHUP" }), {
      reload: "s6-svc -h /etc/hastack/services/proxy",
      restart: "s6-svc -r /etc/hastack/services/proxy",
    });
    assert.deepEqual(noticeCommands(watcher), {
      reload: "s6-svc -r /etc/hastack/services/watcher",
      restart: "s6-svc -r /etc/hastack/services/watcher",
    });
  });

  it("W7: are all that a container starts with; notes of an earlier delivery end there", () => {
    assert.deepEqual(superviseCommand, [
      "sh",
      "-c",
      "rm -rf /etc/hastack/.notices/* && exec s6-svscan /etc/hastack/services",
    ]);
  });
});
