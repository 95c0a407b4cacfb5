import assert from "node:assert/strict";
import { readProgram } from "../../../../infra/platform/machine.ts";
import type { ManagedFile, Task } from "../../../../infra/platform/platform.ts";
import { secretsInput } from "../../../../infra/platform/request.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { baseImage } from "../../../support/unit/images.ts";
import { deliveryScript, requestScript, taskScript } from "../../../support/unit/requests.ts";

const root = "/etc/hastack";
const imageLimit = 600_000;

const config: ManagedFile = {
  path: "proxy.cfg",
  content: "port 80\npassword @{password}\n",
  owner: "hastack",
  mode: "0400",
  check: "grep -q '^port [0-9]*$' proxy.cfg || { echo 'no port'; exit 3; }",
  reloads: "proxy",
};
const page: ManagedFile = { path: "pages/503.http", content: "sorry\n", reloads: "proxy" };
const runFile: ManagedFile = {
  path: "services/proxy/run",
  content: "#!/bin/sh\nexec proxy\n",
  mode: "0755",
  restarts: "proxy",
};
const plain: ManagedFile = { path: "bin/notify", content: "#!/bin/sh\n", mode: "0755" };
const files = [config, page, runFile, plain];
const secrets = { password: "first" };

describe("delivery", function () {
  this.timeout(30_000);
  let machine: Container;

  before(async function () {
    this.timeout(imageLimit);
    machine = await start(await baseImage(), "delivery");
  });
  after(() => machine?.remove());
  beforeEach(() => machine.run(`rm -rf ${root}`));

  const attempt = (set: readonly ManagedFile[], values: Record<string, string> = secrets) =>
    machine.attempt(deliveryScript(root, set), secretsInput(values));

  /** Delivers what must succeed. @returns the lines it printed */
  async function deliver(set: readonly ManagedFile[], values: Record<string, string> = secrets) {
    const { code, stdout, stderr } = await attempt(set, values);
    assert.equal(code, 0, stderr);
    return stdout.split("\n").filter(Boolean);
  }

  /** The member has taken notice of everything. */
  async function takeNotice(): Promise<void> {
    await machine.run(`rm -f ${root}/.notices/*`);
  }

  /** Path, mode, owner, time of change and inode of every delivered file. */
  const state = () =>
    machine.run(
      `cd ${root} && find . -type f ! -path './.n*' -printf '%P %m %u:%g %T@ %i\\n' | sort`,
    );

  /** The machine's note of what deliveries brought, without hashes. */
  const noted = async () =>
    (await machine.run(`cut -d ' ' -f 2- ${root}/.sums`)).split("\n").filter(Boolean);

  const read = (path: string) => machine.run(`cat ${root}/${path}`);

  describe("the first one", () => {
    it("W3: brings every file with its owner and mode, and tells who has to take notice", async () => {
      assert.deepEqual(await deliver(files), [
        "changed proxy.cfg",
        "changed pages/503.http",
        "changed services/proxy/run",
        "changed bin/notify",
        "reload proxy",
        "restart proxy",
      ]);
      const list = await machine.run(
        `cd ${root} && find . -type f ! -path './.*' -printf '%P %m %u\\n' | sort`,
      );
      assert.deepEqual(list.split("\n"), [
        "bin/notify 755 root",
        "pages/503.http 644 root",
        "proxy.cfg 400 hastack",
        "services/proxy/run 755 root",
      ]);
    });

    it("W3: fills in the secrets", async () => {
      await deliver(files);
      assert.equal(await read("proxy.cfg"), "port 80\npassword first");
    });

    it("N3: lets users of the machine pass through its folders, and read no secret", async () => {
      await deliver(files);
      const asNobody = (command: string) =>
        machine.attempt(`s6-setuidgid nobody sh -c ${JSON.stringify(command)}`);
      assert.equal((await asNobody(`cat ${root}/pages/503.http`)).stdout, "sorry\n");
      assert.notEqual((await asNobody(`cat ${root}/proxy.cfg`)).code, 0);
      assert.equal((await machine.attempt(`s6-setuidgid hastack cat ${root}/proxy.cfg`)).code, 0);
    });

    it("leaves nothing but the files and its notes", async () => {
      await deliver(files);
      assert.equal(
        await machine.run(`ls -A ${root}`),
        [".files", ".notices", ".sums", "bin", "pages", "proxy.cfg", "services"].join("\n"),
      );
    });
  });

  describe("of the same files again", () => {
    it("W3: touches nothing and has nobody take notice", async () => {
      await deliver(files);
      await takeNotice();
      const before = await machine.run(`cd ${root} && stat -c '%n %Y %Z %i' $(cat .files)`);
      assert.deepEqual(await deliver(files), []);
      assert.equal(await machine.run(`cd ${root} && stat -c '%n %Y %Z %i' $(cat .files)`), before);
    });
  });

  describe("of a change", () => {
    beforeEach(async () => {
      await deliver(files);
      await takeNotice();
    });

    it("L8: moves the one changed file only, and tells its process to reload", async () => {
      const before = (await state()).split("\n");
      const changed = files.map((file) => (file === page ? { ...page, content: "soon\n" } : file));
      assert.deepEqual(await deliver(changed), ["changed pages/503.http", "reload proxy"]);
      const after = (await state()).split("\n");
      assert.deepEqual(
        after.filter((line) => !before.includes(line)).map((line) => line.split(" ")[0]),
        [".files", ".sums", "pages/503.http"],
      );
    });

    it("tells its process to restart where a reload is not enough", async () => {
      const changed = files.map((file) =>
        file === runFile ? { ...runFile, content: "#!/bin/sh\nexec proxy -v\n" } : file,
      );
      assert.deepEqual(await deliver(changed), ["changed services/proxy/run", "restart proxy"]);
    });

    it("N3: tells every process that has it as a credential to restart", async () => {
      const secret = { path: "secrets/key", content: "one", credentialOf: ["proxy", "job"] };
      const told = ["changed secrets/key", "restart job", "restart proxy"];
      assert.deepEqual(await deliver([...files, secret]), told);
    });

    it("tells nobody of a file that nobody waits for", async () => {
      const changed = files.map((file) =>
        file === plain ? { ...plain, content: "#!sh\n" } : file,
      );
      assert.deepEqual(await deliver(changed), ["changed bin/notify"]);
    });

    it("N3: takes another secret as a change of the file that holds it", async () => {
      assert.deepEqual(await deliver(files, { password: "second" }), [
        "changed proxy.cfg",
        "reload proxy",
      ]);
      assert.equal(await read("proxy.cfg"), "port 80\npassword second");
    });

    it("takes another mode or owner as a change", async () => {
      const changed = files.map((file) =>
        file === page ? { ...page, mode: "0600", owner: "hastack" } : file,
      );
      assert.deepEqual(await deliver(changed), ["changed pages/503.http", "reload proxy"]);
      assert.equal(await machine.run(`stat -c '%a %U' ${root}/pages/503.http`), "600 hastack");
    });

    it("mends what someone has changed on the machine", async () => {
      await machine.run(`echo edited > ${root}/pages/503.http; rm ${root}/bin/notify`);
      assert.deepEqual(await deliver(files), [
        "changed pages/503.http",
        "changed bin/notify",
        "reload proxy",
      ]);
      assert.equal(await read("pages/503.http"), "sorry");
    });

    it("removes a file that is no longer one of them, and no other", async () => {
      await machine.run(`echo mine > ${root}/pages/own.http`);
      assert.deepEqual(await deliver([config, runFile, plain]), ["removed pages/503.http"]);
      assert.equal(await machine.run(`ls ${root}/pages`), "own.http");
    });
  });

  describe("that a check refuses", () => {
    const bad = { ...config, content: "port eighty\n" };

    it("L8, W5: changes nothing, fails, and says what refused which file and why", async () => {
      await deliver(files);
      await takeNotice();
      const before = await state();
      const { code, stdout, stderr } = await attempt([bad, { ...page, content: "x\n" }]);
      assert.equal(code, 1);
      assert.equal(stdout, "");
      assert.equal(stderr, "no port\nproxy.cfg was refused; nothing was changed\n");
      assert.equal(await state(), before);
      assert.equal(await machine.run(`ls -A ${root}/.notices`), "");
    });

    it("W6: is followed by a good one as if it had not been there", async () => {
      await deliver(files);
      await takeNotice();
      await attempt([bad, page, runFile, plain]);
      assert.deepEqual(await deliver(files), []);
    });

    it("gives a check the whole set of new files to look at", async () => {
      const check = "test -x services/proxy/run && test -f pages/503.http";
      assert.equal((await attempt([{ ...config, check }, page, runFile])).code, 0);
    });
  });

  describe("W6: that is cut off", () => {
    const changed = files.map((file) => ({ ...file, content: `${file.content}# more\n` }));

    it("after the files, and before anyone took notice: the next one tells them", async () => {
      await deliver(files);
      await takeNotice();
      assert.deepEqual(await deliver(changed), [
        "changed proxy.cfg",
        "changed pages/503.http",
        "changed services/proxy/run",
        "changed bin/notify",
        "reload proxy",
        "restart proxy",
      ]);
      assert.deepEqual(await deliver(changed), ["reload proxy", "restart proxy"]);
      await takeNotice();
      assert.deepEqual(await deliver(changed), []);
    });

    it("between two files: the next one brings the rest, and tells all", async () => {
      await deliver(files);
      await takeNotice();
      const once = `mkdir -p /tmp/cut && cat > /tmp/cut/mv <<'EOF'
#!/bin/sh
case $* in *.sums) exec /usr/bin/mv "$@" ;; esac
[ -e /tmp/cut/moved ] && exit 9
touch /tmp/cut/moved
exec /usr/bin/mv "$@"
EOF
chmod +x /tmp/cut/mv; rm -f /tmp/cut/moved; PATH=/tmp/cut:$PATH\n`;
      const cut = await machine.attempt(
        once + deliveryScript(root, changed),
        secretsInput(secrets),
      );
      assert.equal(cut.code, 9);
      assert.equal(cut.stdout, "changed proxy.cfg\n");
      assert.deepEqual(await deliver(changed), [
        "changed pages/503.http",
        "changed services/proxy/run",
        "changed bin/notify",
        "reload proxy",
        "restart proxy",
      ]);
    });
  });

  describe("secrets", () => {
    const one = (content: string): ManagedFile => ({ path: "secret", content, mode: "0600" });
    const odd = "'\"`$HOME\\ \\n%s&;@{password}\t#é€ 😀\nEND_OF_FILE\n$(id)";

    it("N3: come through whatever they are made of", async () => {
      await deliver([one("<@{odd}><@{empty}>\n")], { odd, empty: "" });
      assert.equal(await read("secret"), `<${odd}><>`);
    });

    it("N3: are refused where one is missing, and nothing is changed", async () => {
      await deliver([one("a @{password}\n")]);
      const { code, stderr } = await attempt([one("b @{pasword}\n")]);
      assert.notEqual(code, 0);
      assert.match(stderr, /no secret is named pasword/);
      assert.equal(await read("secret"), "a first");
    });

    it("leave text alone that only looks like a place for one", async () => {
      await deliver([one("a@b.example @ {password} $@{password} @{}\n")]);
      assert.equal(await read("secret"), "a@b.example @ {password} $first @{}");
    });

    it("N3: can be read by nobody else at any moment, also before their file has its owner", async () => {
      const spy = `mkdir -p /tmp/spy && cat > /tmp/spy/chown <<'EOF'
#!/bin/sh
stat -c %a "$2" >> /tmp/spy/modes
exec /usr/bin/chown "$@"
EOF
chmod +x /tmp/spy/chown; rm -f /tmp/spy/modes; PATH=/tmp/spy:$PATH\n`;
      const script = spy + deliveryScript(root, [one("@{password}\n")]);
      assert.equal((await machine.attempt(script, secretsInput(secrets))).code, 0);
      assert.equal(await machine.run("cat /tmp/spy/modes"), "600");
    });

    it("N3: are on no command line while they are delivered", async () => {
      await machine.run("rm -f /tmp/checking /tmp/seen");
      const check =
        "touch /tmp/checking; for i in $(seq 200); do [ -e /tmp/seen ] && exit 0; sleep 0.1; done; exit 1";
      const running = attempt([{ ...one("@{password}\n"), check }], { password: "needle-in-hay" });
      const seen = await machine.run(
        "until [ -e /tmp/checking ]; do sleep 0.1; done; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; touch /tmp/seen",
      );
      assert.match(seen, /unit\.request\/files\/0000\/check/);
      assert.doesNotMatch(seen, /needle-in-hay/);
      assert.doesNotMatch(seen, new RegExp(Buffer.from("needle-in-hay").toString("hex")));
      assert.equal((await running).code, 0);
    });
  });

  describe("of a task", () => {
    const host = first(planWith().topology.tiers.storefront ?? []);
    const task = (script: string, user?: string): Task => ({
      name: "job",
      component: "Test",
      host,
      script,
      files: [
        { path: "input", content: "@{password}\n", mode: "0400", owner: user ?? "root" },
        { path: "note", content: "a note\n" },
      ],
      secrets: {},
      ...(user !== undefined && { user }),
    });
    const run = (one: Task) => machine.attempt(taskScript(one), secretsInput(secrets));

    it("runs in the folder of its files", async () => {
      const { code, stdout } = await run(task("cat input; cat note; pwd"));
      assert.deepEqual(
        [code, stdout.split("\n").slice(-4)],
        [0, ["first", "a note", "/run/hastack/job", ""]],
      );
    });

    it("N4: runs as its user, who can read the files", async () => {
      const { code, stdout } = await run(task("id -un; cat input", "hastack"));
      assert.deepEqual([code, stdout.split("\n").slice(-3)], [0, ["hastack", "first", ""]]);
    });

    it("S1: may change its shared directories before it starts, whoever made them", async () => {
      await machine.run("rm -rf /srv/shared && install -d -o root -m 0700 /srv/shared");
      const shared = [{ name: "shared", path: "/srv/shared", group: "hastack" }];
      const { code } = await run({ ...task("touch /srv/shared/mine", "hastack"), shared });
      assert.equal(code, 0);
      const owner = await machine.run("stat -c '%a %U %G' /srv/shared /srv/shared/mine");
      assert.match(owner, /^2770 hastack hastack\n\d+ hastack hastack$/);
    });

    it("S1: takes over what an earlier release's user has left there, in its group, once", async () => {
      await machine.run(`rm -rf /srv/shared && install -d -o hastack -g hastack /srv/shared && cd /srv/shared &&
        s6-setuidgid hastack sh -c 'umask 077; mkdir -p a/b; echo x > a/b/private; echo x > picture; chmod 444 picture; ln -s /etc/shadow link'
        echo x > roots; chmod 600 roots`);
      const shared = [{ name: "shared", path: "/srv/shared", group: "hastack" }];
      const look = () =>
        machine.run(
          "cd /srv/shared && stat -c '%n %a %Z' a a/b a/b/private picture roots; stat -c '%a %G' /etc/shadow",
        );
      for (const _ of ["once", "again"]) {
        const { code, stderr } = await run({ ...task("true", "hastack"), shared });
        assert.equal(code, 0, stderr);
      }
      const before = await look();
      assert.deepEqual(
        before.split("\n").map((line) => line.split(" ").slice(0, 2).join(" ")),
        ["a 2770", "a/b 2770", "a/b/private 660", "picture 444", "roots 600", "640 shadow"],
      );
      await run({ ...task("true", "hastack"), shared });
      assert.equal(await look(), before, "nothing is touched again");
    });

    it("S1: fails, and says why, where what is there cannot be taken over", async () => {
      await machine.run("rm -rf /srv/shared && install -d /srv/shared/of-root");
      await machine.run("chown hastack /srv/shared && chmod 700 /srv/shared/of-root");
      const shared = [{ name: "shared", path: "/srv/shared", group: "hastack" }];
      const { code, stderr } = await run({ ...task("true", "hastack"), shared });
      assert.notEqual(code, 0);
      assert.match(stderr, /of-root.*Permission denied/);
    });

    it("N3: leaves no file behind, whether it went well or not", async () => {
      for (const script of ["true", "false", "exit 4"]) {
        await run(task(script));
        await run(task(script, "hastack"));
        assert.equal((await machine.attempt("ls /run/hastack/job")).code, 2, script);
      }
    });

    it("fails as its script fails, at the first command that does", async () => {
      assert.equal((await run(task("exit 4"))).code, 4);
      assert.equal((await run(task("exit 4", "hastack"))).code, 4);
      const { code, stdout } = await run(task("echo before\nfalse\necho after", "hastack"));
      assert.equal(code, 1);
      assert.match(stdout, /before/);
      assert.doesNotMatch(stdout, /after/);
    });

    it("keeps a script with quotes and here-documents as it is", async () => {
      const script = 'cat <<\'EOF\'\nit\'s "$HOME"\nEOF\n[ "it\'s" = "it\'s" ]';
      const { code, stdout } = await run(task(script, "hastack"));
      assert.equal(code, 0);
      assert.match(stdout, /^it's "\$HOME"$/m);
    });
  });

  it("W10: notes what it brings, and while it does so what was there", async () => {
    await deliver(files);
    const note = ["400 hastack proxy.cfg", "644 root pages/503.http"];
    const rest = ["755 root services/proxy/run", "755 root bin/notify"];
    assert.deepEqual(await noted(), [...note, ...rest]);
    const [hash] = (await machine.run(`sha256sum ${root}/proxy.cfg`)).split(" ");
    assert.equal(await machine.run(`head -n 1 ${root}/.sums | cut -d ' ' -f 1`), hash);
    // One that is refused brings nothing; one that is cut off may have
    await attempt([{ ...config, content: "none\n" }]);
    assert.deepEqual(await noted(), [...note, ...rest]);
    const cutOff = deliveryScript(root, [{ ...config, mode: "0440" }]).replace(
      "; do move",
      "; do kill -9 $$; move",
    );
    await machine.attempt(cutOff, secretsInput(secrets));
    assert.deepEqual(await noted(), [...note, ...rest, "440 hastack proxy.cfg"]);
    await deliver([config]);
    assert.deepEqual(await noted(), ["400 hastack proxy.cfg"]);
  });

  it("W10: tells what was changed by hand since, and starts what was stopped", async () => {
    await deliver(files);
    await takeNotice();
    const altered = async () =>
      (await machine.run(`${readProgram("altered")}\naltered ${root} services .`))
        .split("\n")
        .filter(Boolean);
    assert.deepEqual(await altered(), []);
    await machine.run(
      `cd ${root} && chmod 0600 bin/notify && echo x >> proxy.cfg && rm pages/503.http`,
    );
    assert.deepEqual(await altered(), [". bin/notify", ". pages/503.http", ". proxy.cfg"]);
    await deliver(files);
    await takeNotice();
    assert.deepEqual(await altered(), []);
    const sleeping = { ...runFile, content: "#!/bin/sh\nexec sleep 999\n" };
    await deliver([config, page, sleeping, plain]);
    await takeNotice();
    const service = `${root}/services/proxy`;
    await machine.run(
      `s6-svscan ${root}/services > /dev/null 2>&1 < /dev/null & until s6-svok ${service}; do sleep 0.1; done; s6-svc -wu -u ${service}`,
    );
    assert.deepEqual(await altered(), []);
    await machine.run(`touch ${service}/down; s6-svc -wD -d ${service}`);
    assert.deepEqual(await altered(), [". process proxy"]);
    const request = { root, files: {}, processes: [{ name: "proxy" }] };
    const notify = requestScript(["request", "s6", "notify"], "notify", request);
    assert.equal(await machine.run(notify, ""), "start of proxy");
    assert.deepEqual(await altered(), []);
    assert.equal(await machine.run(notify, ""), "");
    await machine.run(`s6-svc -wD -d ${service}; s6-svscanctl -t ${root}/services`);
  });

  it("L8: restarts a process only while those that pause for it are down, and reloads it beside them", async () => {
    const processes = [
      { name: "proxy", reloadSignal: "SIGUSR2" },
      { name: "addresses", pausesFor: "proxy" },
      { name: "other" },
    ] as const;
    const told = (notices: string) => {
      const supervisor = `follow_processes() { :; }; is_up() { :; }
for deed in stop start restart reload; do eval "\${deed}_process() { echo $deed \\$1; }"; done
install -d ${root}/.notices; touch ${notices}`;
      const request = { root, files: {}, processes };
      const script = requestScript(["request", "notify"], `${supervisor}\nnotify`, request);
      return machine.run(script, secretsInput({}));
    };
    assert.match(
      await told(`${root}/.notices/restart:proxy`),
      /^stop addresses\nrestart proxy\nstart addresses\n/,
    );
    assert.match(await told(`${root}/.notices/reload:proxy`), /^reload proxy\n(?!st)/);
    assert.match(await told(`${root}/.notices/restart:other`), /^restart other\n(?!st)/);
  });
});

describe("the text that carries secrets", () => {
  it("is one line each, coded so that no value can be mistaken for another line", () => {
    assert.equal(secretsInput({ a: "x", b: "y\nz" }), "a 78\nb 790a7a\n");
  });

  it("is empty without secrets", () => assert.equal(secretsInput({}), ""));
});
