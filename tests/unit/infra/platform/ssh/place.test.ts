import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { joined } from "../../../../../infra/platform/machine.ts";
import type { Workload } from "../../../../../infra/platform/platform.ts";
import { encode, secretsInput } from "../../../../../infra/platform/request.ts";
import { userId } from "../../../../../infra/platform/ssh/layout.ts";
import { callText, shippedPrograms } from "../../../../../infra/platform/ssh/programs.ts";
import { placeRequest, removalRequest } from "../../../../../infra/platform/ssh/requests.ts";
import { inRoot } from "../../../../../lib/paths.ts";
import { until } from "../../../../../lib/until.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";

const needle = "needle-in-hay";
const length = needle.length;
const input = secretsInput({ password: needle });
const state = "/run/unit-web/state";
const unit = "hastack-web.service";
const healthSeconds = 20;
const owner = { stack: "unit", machine: "web-1" };

/** Releases that are on the machine: two that serve, and one that dies at once. */
const releases = { one: "aaaaaaaaaaaa", two: "bbbbbbbbbbbb", dying: "dddddddddddd" };

/** A program that shows what it has read, again when it is told to. */
const serving = (hash: string) => `#!/bin/sh
load() { echo "${hash} $(cat word) $(wc -c < password)" > ${state}; }
trap load HUP
trap 'exit 0' TERM
load
while :; do sleep 5 & wait $!; done
`;
const dying = `#!/bin/sh
echo 'there is no database' >&2
exit 1
`;

interface Wish {
  readonly hash?: string;
  /** A file that the program reads again. */
  readonly word?: string;
  /** A file that it must be started anew for. */
  readonly fixed?: string;
  /** What the second one is checked by. */
  readonly check?: string;
  readonly health?: string;
  /** Names of processes beside it. */
  readonly others?: readonly string[];
}

const goodOnly = "grep -qx good fixed";

function web(wish: Wish = {}): Workload {
  const { hash = releases.one, word = "hello", fixed = "good", check = goodOnly, health } = wish;
  const { others = [] } = wish;
  return {
    host: { name: "web-1", role: "cache", machine: "node-1", backend: "10.2.0.11" },
    component: "Test",
    packages: [],
    release: { hash, application: "app", users: ["hastack-unit"] },
    processes: [
      {
        name: "web",
        command: ["/opt/hastack/current/serve"],
        user: "hastack-unit",
        directories: [{ path: "/run/unit-web", mode: "0755" }],
        reloadSignal: "SIGHUP",
        stopGraceSeconds: 5,
      },
      ...others.map((name) => ({ name, command: ["/bin/sleep", "999"], stopGraceSeconds: 5 })),
    ],
    files: [
      { path: "word", content: `${word}\n`, reloads: "web" },
      { path: "fixed", content: `${fixed}\n`, check, restarts: "web" },
      {
        path: "password",
        content: "@{password}",
        owner: "hastack-unit",
        mode: "0400",
        reloads: "web",
      },
    ],
    secrets: {},
    data: [{ name: "data", path: "/var/lib/unit-web", own: "/var/lib/unit-web/own", keep: true }],
    health: {
      command: health ?? `test "$(cut -d ' ' -f 1 ${state})" = ${hash}`,
      meaning: `it serves release ${hash}`,
    },
  };
}

describe("placing a workload on a machine", function () {
  this.timeout(180_000);
  let machine: StandIn;

  before(async function () {
    this.timeout(900_000);
    [machine] = await standIns();
    for (const { code, stderr } of [await ship(), await base()]) assert.equal(code, 0, stderr);
    for (const hash of Object.values(releases)) {
      const program = hash === releases.dying ? dying : serving(hash);
      const folder = `/opt/hastack/releases/${hash}`;
      await machine.look(
        `mkdir -p ${folder} && cat > ${folder}/serve <<'END'\n${program}END\nchmod 755 ${folder}/serve`,
      );
    }
    await machine.look("mkdir -p /var/lib/unit-web/own");
  });

  beforeEach(async () => {
    await remove(web(), true);
    const { code, stderr } = await place();
    assert.equal(code, 0, stderr);
  });

  const call = (name: string, request: object) =>
    machine.attempt(callText(name, "web-1"), { input: encode(request), limitSeconds: 600 });
  const ship = (one = owner) => call("ship", { ...one, programs: shippedPrograms() });
  const base = () => call("base", { ...owner, userId });
  const remove = (workload: Workload, keepData: boolean) =>
    call("remove", removalRequest(workload, keepData));
  /** @param edit a change of the program's text @default none */
  const place = (wish?: Wish, edit = (text: string) => text) =>
    machine.attempt(edit(placeText), {
      input: encode(placeRequest(web(wish), healthSeconds), input),
    });
  const placeText = joined(
    ["request", "users", "systemd", "deliver", "notify", "gate", "place"],
    "web-1",
    "place",
  );
  /** Places by a process of its own. @returns ends it at once, and its connection with it */
  const fromOperator = (wish: Wish) => {
    const child = spawn(globalThis.process.execPath, ["platform/ssh/run.ts", "place", "REQUEST"], {
      cwd: inRoot("infra"),
      detached: true,
      env: {
        ...globalThis.process.env,
        TARGET: JSON.stringify(machine.target),
        NAME: "web-1",
        REQUEST: JSON.stringify(placeRequest(web(wish), healthSeconds)),
      },
      stdio: ["pipe", "ignore", "ignore"],
    });
    child.stdin.end(input);
    return async () => {
      const ended = once(child, "exit");
      globalThis.process.kill(-(child.pid ?? 0), "SIGKILL");
      await ended;
    };
  };
  const shown = () => machine.look(`cat ${state}`);
  const told = (word: string) =>
    until("the program has read it", {
      probe: shown,
      done: (text) => text === word,
      limitSeconds: 20,
    });
  /** Which run of which process it is. */
  const process = () => machine.look(`systemctl show -p InvocationID -p MainPID ${unit}`);
  const files = () =>
    machine.look(
      "cd /etc/hastack && find . -exec stat -c '%n %a %U %i' {} + | sort; find . -type f -exec sha256sum {} +; readlink /opt/hastack/current/web-1",
    );

  it("W1: brings files, unit and release, and ends when it is healthy", async () => {
    assert.equal(await shown(), `${releases.one} hello ${length}`);
    assert.equal(await machine.look(`systemctl is-enabled ${unit}`), "enabled");
    assert.equal(await machine.look(`systemctl is-active ${unit}`), "active");
    const list = "cd /etc/hastack/web-1 && stat -c '%n %a %U' word password units/*";
    assert.equal(
      await machine.look(list),
      `word 644 root\npassword 400 hastack-unit\nunits/${unit} 644 root`,
    );
  });

  it("W3: touches nothing when nothing changed", async () => {
    const before = [await process(), await files()];
    const { code, stdout } = await place();
    assert.deepEqual([code, stdout], [0, ""]);
    assert.deepEqual([await process(), await files()], before);
  });

  it("L8: reloads for a file that can be read again, in the same process", async () => {
    const before = await process();
    const { code, stdout } = await place({ word: "goodbye" });
    assert.deepEqual([code, stdout], [0, "changed word\nreload of web\n"]);
    await told(`${releases.one} goodbye ${length}`);
    assert.equal(await process(), before);
  });

  it("restarts for a file that cannot", async () => {
    const before = await process();
    const { code, stdout } = await place({ fixed: "better", check: "true" });
    assert.deepEqual([code, stdout], [0, "changed fixed\nrestart of web\n"]);
    assert.notEqual(await process(), before);
  });

  it("W7: starts a process that is not there, although nothing changed", async () => {
    await machine.look(`systemctl stop ${unit}`);
    const { code, stdout } = await place();
    assert.deepEqual([code, stdout], [0, "start of web\n"]);
    assert.equal(await machine.look(`systemctl is-active ${unit}`), "active");
  });

  it("W5: leaves everything as it was when a check refuses a file", async () => {
    const before = [await process(), await files()];
    const { code, stdout, stderr } = await place({ word: "new", fixed: "bad", hash: releases.two });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^fixed was refused; nothing was changed$/m);
    await machine.look("rm -rf /etc/hastack/web-1/.new /etc/hastack/web-1.before");
    assert.deepEqual([await process(), await files()], before);
  });

  it("W8: goes over to another release", async () => {
    const { code, stdout } = await place({ hash: releases.two, word: "new" });
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^release ${releases.two}$`, "m"));
    assert.equal(await shown(), `${releases.two} new ${length}`);
  });

  it("W8: goes back to the old release, which serves, when the new one does not get healthy", async () => {
    const { code, stderr } = await place({ hash: releases.dying, word: "new" });
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(
        `web-1 must be healthy \\(it serves release ${releases.dying}\\): its processes died \\d+ times; last answer: none\n` +
          "Its last log lines:\n[\\s\\S]*there is no database[\\s\\S]*\n" +
          "The members that come after it were not touched and serve on\\. Mend the cause, then run up again\\.\n" +
          `web-1 is back at release ${releases.one}, which was healthy before\\.\n$`,
      ),
    );
    await told(`${releases.one} hello ${length}`);
    assert.equal(await machine.look(`systemctl is-active ${unit}`), "active");
    assert.equal(
      await machine.look("readlink /opt/hastack/current/web-1; ls -a /etc/hastack"),
      `../releases/${releases.one}\n.\n..\n.machine\nweb-1`,
    );
    const { code: again } = await place({ hash: releases.two, word: "new" });
    assert.equal(again, 0);
    assert.equal(await shown(), `${releases.two} new ${length}`);
  });

  describe("a process that is no more", () => {
    const known = "cd /etc/systemd/system && ls -d hastack-unit-* */hastack-unit-* || :";
    const active = async () =>
      (await machine.look("systemctl list-units --plain --no-legend 'hastack-unit-*'"))
        .split("\n")
        .filter(Boolean)
        .map((line) => line.split(" ")[0]);

    it("ends, and one that is new starts, while the others go on", async () => {
      await place({ others: ["unit-old"] });
      const before = await process();
      assert.deepEqual(await active(), ["hastack-unit-old.service"]);
      const { code, stdout } = await place({ others: ["unit-new"] });
      assert.equal(code, 0);
      assert.match(stdout, /^end of unit-old$/m);
      assert.deepEqual(await active(), ["hastack-unit-new.service"]);
      assert.equal(await process(), before);
      await place();
      assert.deepEqual([await active(), await machine.look(known)], [[], ""]);
    });

    it("W8: comes back with the old release, when the new one does not get healthy", async () => {
      await place({ others: ["unit-old"] });
      const { code } = await place({ hash: releases.dying, others: ["unit-new"] });
      assert.equal(code, 1);
      assert.deepEqual(await active(), ["hastack-unit-old.service"]);
      assert.equal(await machine.look("systemctl is-enabled hastack-unit-old.service"), "enabled");
      await place();
    });
  });

  it("W8: claims no old release where there was none that was ever healthy", async () => {
    await remove(web(), true);
    for (let run = 0; run < 2; run++) {
      const { code, stderr } = await place({ hash: releases.dying });
      assert.equal(code, 1);
      assert.match(stderr, /its processes died/);
      assert.doesNotMatch(stderr, /is back at release/);
    }
  });

  describe("W6: goes on from where it was cut off", () => {
    /** The script as it dies before the first of these words. */
    const cutBefore = (words: string) => (script: string) => {
      assert.ok(script.includes(words), words);
      return script.replace(words, `kill -9 $$\n${words}`);
    };

    it("before a process took notice of its new files", async () => {
      const cut = await place({ word: "new" }, cutBefore("  enable_units\n"));
      assert.notEqual(cut.code, 0);
      assert.equal(await shown(), `${releases.one} hello ${length}`);
      const { code, stdout } = await place({ word: "new" });
      assert.deepEqual([code, stdout], [0, "reload of web\n"]);
      await told(`${releases.one} new ${length}`);
    });

    it("between the link to a new release and the restart", async () => {
      const wish = { hash: releases.two };
      assert.notEqual((await place(wish, cutBefore("  enable_units\n"))).code, 0);
      const { code, stderr } = await place(wish);
      assert.equal(code, 0, stderr);
      assert.equal(await shown(), `${releases.two} hello ${length}`);
    });

    it("in the middle of moving the link", async () => {
      const wish = { hash: releases.two };
      assert.notEqual((await place(wish, cutBefore('  mv -T "$link.new" "$link"'))).code, 0);
      const { code, stderr } = await place(wish);
      assert.equal(code, 0, stderr);
      assert.equal(await shown(), `${releases.two} hello ${length}`);
    });

    it("at a release that is not healthy: the one before it serves in the end", async () => {
      const cut = await place({ hash: releases.dying }, cutBefore("gate || go_back"));
      assert.notEqual(cut.code, 0);
      const { code, stderr } = await place({ hash: releases.dying, word: "again" });
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`web-1 is back at release ${releases.one}`));
      await told(`${releases.one} hello ${length}`);
    });

    it("by the end of the operator's own connection", async () => {
      const wish = { word: "new", health: "test -e /run/unit-web/go" };
      const cutOff = fromOperator(wish);
      await told(`${releases.one} new ${length}`);
      await cutOff();
      const again = place(wish);
      await machine.look("touch /run/unit-web/go");
      const { code, stderr } = await again;
      assert.equal(code, 0, stderr);
      assert.equal(
        await machine.look("ls -A /etc/hastack/web-1/.notices; ls /etc/hastack"),
        "web-1",
      );
    });
  });

  it("W6: goes back from a bad release although nobody listens any more", async () => {
    const wish = { hash: releases.dying };
    const cutOff = fromOperator(wish);
    const link = () => machine.look("readlink /opt/hastack/current/web-1");
    const at = (hash: string) =>
      until(`the link is at ${hash}`, {
        probe: link,
        done: (text) => text.endsWith(hash),
        limitSeconds: 60,
        intervalSeconds: 0.2,
      });
    await at(releases.dying);
    await cutOff();
    await at(releases.one);
    await told(`${releases.one} hello ${length}`);
  });

  it("W8: a removal leaves what is another member's by now", async () => {
    const other = { ...web(), host: { ...web().host, name: "web-2" } };
    const { code, stderr } = await remove(other, false);
    assert.equal(code, 0, stderr);
    assert.equal(await machine.look(`systemctl is-active ${unit}`), "active");
    assert.equal(await machine.look("ls /var/lib/unit-web"), "own");
  });

  it("refuses a machine that is another stack's", async () => {
    const { code, stderr } = await ship({ ...owner, stack: "another" });
    assert.equal(code, 1);
    assert.match(stderr, /it belongs to the stack unit: take that away first, or use another/);
  });

  it("W4: a machine's removal takes members that are in no state, but not under another name", async () => {
    const { stdout } = await call("remove_base", { ...owner, machine: "old-name" });
    assert.match(stdout, /it has another name by now; nothing was removed/);
    assert.equal(await machine.look(`systemctl is-active ${unit}`), "active");
    await call("unship", owner);
    assert.equal(await machine.look("test -e /opt/hastack/programs/place; echo $?"), "0");
    await machine.look("mv /opt/hastack/releases /root/");
    for (const name of ["remove_base", "unship"]) {
      const { code, stderr } = await call(name, owner);
      assert.equal(code, 0, stderr);
    }
    const left =
      "ls -d /etc/hastack /opt/hastack /run/hastack 2> /dev/null || :; id hastack 2> /dev/null || :";
    assert.equal(await machine.look(`systemctl is-active ${unit} || :\n${left}`), "inactive");
    for (const { code, stderr } of [await ship(), await base()]) assert.equal(code, 0, stderr);
    await machine.look("mv /root/releases/* /opt/hastack/releases/");
  });

  it("W4: a removal finds nothing to do on a machine that was installed anew", async () => {
    await machine.look("mv /opt/hastack/programs /root/");
    try {
      const { code, stdout } = await remove(web(), true);
      assert.deepEqual([code, stdout], [0, "nothing of the stack is on this machine\n"]);
      const { stderr } = await call("place", placeRequest(web(), healthSeconds));
      assert.match(stderr, /\/opt\/hastack\/programs is missing: was the machine installed anew\?/);
    } finally {
      await machine.look("mv /root/programs /opt/hastack/");
    }
  });

  it("W6: a request that was cut off on its way is refused, and nothing is changed", async () => {
    const before = await files();
    const whole = encode(placeRequest(web({ word: "new" }), healthSeconds), input);
    for (const cut of [whole.replace(/end\n$/, ""), whole.slice(0, whole.length / 2)]) {
      const { code, stderr } = await machine.attempt(placeText, { input: cut });
      assert.equal(code, 1);
      assert.match(stderr, /the request was cut off on its way/);
    }
    assert.equal(await files(), before);
  });

  it("N3: shows its secrets to nobody but the file's owner", async () => {
    const watch = "ps -ww -eo args > /run/unit-processes; grep -qx good fixed";
    const { code, stdout, stderr } = await place({ word: "new", check: watch });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout + stderr, new RegExp(needle));
    const hex = Buffer.from(needle).toString("hex");
    const find = `grep -c -e ${needle} -e ${hex} /run/unit-processes || :
      wc -l < /run/unit-processes
      journalctl --no-pager --output=verbose | grep -v _CMDLINE=grep | grep -c -e ${needle} -e ${hex} || :`;
    const [inProcesses, processes, inJournal] = (await machine.look(find)).split("\n").map(Number);
    assert.deepEqual([inProcesses, inJournal], [0, 0]);
    assert.ok((processes ?? 0) > 10);
  });

  it("W4: is taken away without a trace, except for data that is kept", async () => {
    const look = `ls -A /etc/hastack /opt/hastack/current /run/hastack; ls -d /run/unit-web 2>&1 || :
      ls /var/lib/unit-web; find /etc/systemd /run/systemd -name 'hastack-web*'
      systemctl list-units --all --plain --no-legend 'hastack-web*'`;
    await machine.look("cd /var/lib/unit-web && mkdir own.set-aside-1 own.set-aside-2 ownother");
    await remove(web(), true);
    const kept = await machine.look(look);
    await remove(web(), false);
    const gone = await machine.look(look);
    await machine.look("rmdir /var/lib/unit-web/ownother");
    const rest = "/etc/hastack:\n.machine\n\n/opt/hastack/current:\n\n/run/hastack:\nweb-1.lock";
    assert.equal(
      kept.replace(/\n.*unit-web.*$/m, ""),
      `${rest}\nown\nown.set-aside-1\nown.set-aside-2\nownother`,
    );
    assert.equal(gone.replace(/\n.*unit-web.*$/m, ""), `${rest}\nownother`);
    const { code, stderr } = await remove(web(), false);
    assert.equal(code, 0, stderr);
    await machine.look("mkdir -p /var/lib/unit-web/own");
  });
});
