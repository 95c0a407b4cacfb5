import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  ConnectionError,
  callMachine,
  connectionProblem,
  runOnMachine,
  sshArguments,
  type Target,
} from "../../../../../infra/platform/ssh/connection.ts";
import { formatProblem } from "../../../../../infra/rules/problem.ts";
import { inRoot, root } from "../../../../../lib/paths.ts";
import { mustRun } from "../../../../../lib/run.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";
import { runCommand } from "../../../../support/unit/programs.ts";

const target: Target = {
  name: "db-1",
  address: "10.3.0.15",
  port: 2222,
  user: "deploy",
  hostKey: "ssh-ed25519 AAAA",
};

describe("ssh's arguments", () => {
  const text = (change: Partial<Target> = {}, asRoot?: boolean) =>
    sshArguments({ ...target, ...change }, "/tmp/known", ["sh", "-c", "echo 'a b'"], {
      asRoot,
    }).join(" ");

  it("W1: become root by sudo, which must ask nothing, unless root logs in", () => {
    assert.match(
      text(),
      / -p 2222 -l deploy -- 10\.3\.0\.15 sh -c .*sudo -n .* sh -c 'echo '\\''a b'\\'''$/,
    );
    assert.match(text({ user: "root" }), / -l root -- 10\.3\.0\.15 env (-u\w+ )+sh -c /);
    assert.match(text({}, false), / -- 10\.3\.0\.15 sh -c /);
  });

  it("N3: ask nobody, and check the configured host key alone", () => {
    for (const option of [
      "BatchMode=yes",
      "StrictHostKeyChecking=yes",
      "UserKnownHostsFile=/tmp/known",
      "GlobalKnownHostsFile=/dev/null",
      "HostKeyAlias=hastack-db-1",
      "HostKeyAlgorithms=ssh-ed25519",
    ]) {
      assert.ok(text().includes(` -o${option} `), option);
    }
    assert.match(
      text({ hostKey: "ssh-rsa AAAA" }),
      /-oHostKeyAlgorithms=rsa-sha2-512,rsa-sha2-256 /,
    );
  });

  it("take the key that is named and no other, or what ssh itself finds", () => {
    const key = text({ identityFile: "package.json" });
    assert.ok(key.includes(` -oIdentitiesOnly=yes -i ${inRoot("package.json")} `), key);
    assert.doesNotMatch(text(), /IdentitiesOnly| -i /);
  });

  it("W6: leave port, user and key to ssh's own configuration where they are not given", () => {
    const { name, address, hostKey } = target;
    const words = sshArguments({ name, address, hostKey }, "/tmp/known", ["id", "-u"]);
    assert.ok(!words.includes("-p") && !words.includes("-l") && !words.includes("-i"));
    assert.match(
      words.at(-1) ?? "",
      /^sh -c '.*id -u.* exec "\$@"; .*sudo -n .*' sh env .* id -u$/,
    );
  });

  it("W5: are refused for a key that is not there", () => {
    assert.throws(() => text({ identityFile: "/no/such/key" }), {
      message:
        "machine db-1: there is no key /no/such/key, name the right one by hastack:ssh.identityFile, or leave that out",
    });
  });
});

describe("what ssh says", () => {
  const machine = "machine db-1 (deploy@10.3.0.15, port 2222): ";
  const cases: readonly [string, string, string][] = [
    [
      "of a machine that is away",
      "ssh: connect to host 10.3.0.15 port 2222: No route to host\r\n",
      "it cannot be reached, or the connection was lost (ssh: connect to host 10.3.0.15 port 2222: No route to host), check that it runs, that its address is right, and that port 2222 is open to you, then run up again; while it is lost, name it: hastack:absent: [db-1]",
    ],
    [
      "of one that does not answer: nothing",
      "",
      "it cannot be reached, or the connection was lost (no answer for 15 s), check that it runs, that its address is right, and that port 2222 is open to you, then run up again; while it is lost, name it: hastack:absent: [db-1]",
    ],
    [
      "of a host key that changed",
      "Host key verification failed.\n",
      "its host key is not the configured one, find out why: after a new installation take the new key by npm run host-keys -- --replace db-1, otherwise it may be a man-in-the-middle",
    ],
    [
      "of a key that it cannot read, before it is let in or not",
      'Load key "/k": error in libcrypto\ndeploy@10.3.0.15: Permission denied (publickey).\n',
      'Load key "/k": error in libcrypto, name a usable key by hastack:ssh.identityFile',
    ],
    [
      "of a key that is not let in",
      "deploy@10.3.0.15: Permission denied (publickey).\n",
      "it does not let us in (deploy@10.3.0.15: Permission denied (publickey).), put your public key into ~deploy/.ssh/authorized_keys there, or name the right key by hastack:ssh.identityFile (one with a passphrase must be in your agent)",
    ],
  ];
  for (const [what, said, problem] of cases) {
    it(`W5: ${what}`, () =>
      assert.equal(formatProblem(connectionProblem(target, said)), machine + problem));
  }
});

describe("a script on a real machine", function () {
  this.timeout(120_000);
  let machine: StandIn;

  before(async function () {
    this.timeout(600_000);
    [, machine] = await standIns();
  });

  const runScript = (APPLY: string, input = "") =>
    runCommand(
      "node platform/ssh/run.ts APPLY",
      { TARGET: JSON.stringify(machine.target), APPLY },
      input,
    );

  it("runs as root, reads its input, and is heard", async () => {
    const { code, stdout } = await runScript("id -u; cat; echo end", "one\ntwo\n");
    assert.deepEqual([code, stdout.trim().split(/\n+/)], [0, ["0", "one", "two", "end"]]);
  });

  it("W5: fails by the machine's name with its own words, whatever it ends with", async () => {
    for (const code of [1, 3, 255]) {
      const { code: ended, stderr } = await runScript(`echo broke >&2; exit ${code}`);
      assert.deepEqual([ended, stderr], [1, "machine node-2: broke\n"]);
    }
  });

  it("N3: whose sudo keeps a log of its input gets nothing secret into that", async () => {
    const rules = "/etc/sudoers.d/zz-unit";
    const logged = (text: string) =>
      machine.look(
        `find /var/log/unit-sudo -type f -exec zcat -f {} + 2> /dev/null | grep -ac ${text} || :`,
      );
    await machine.look(`printf '%s\\n' 'Defaults log_input, log_output' \\
  'Defaults iolog_dir=/var/log/unit-sudo' > ${rules}`);
    try {
      const secret = `secret-${Math.random().toString(36).slice(2)}`;
      const { code, stderr } = await runScript(
        `read -r it; [ \${#it} = ${secret.length} ]`,
        secret,
      );
      assert.equal(code, 0, stderr);
      // Not in vain: sudo does keep what it reads itself
      const known = await callMachine(machine.target, ["sudo", "-n", "sh", "-s"], {
        asRoot: false,
        input: ": it-was-read\n",
        limitSeconds: 30,
      });
      assert.equal(known.code, 0, known.stderr);
      assert.notEqual(await logged("it-was-read"), "0");
      assert.equal(await logged(secret), "0");
    } finally {
      await machine.look(`rm -rf ${rules} /var/log/unit-sudo`);
    }
  });

  describe("W6: by what its owner has in ~/.ssh/config", () => {
    const { PATH } = process.env;
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), "hastack-config-"));
    });
    after(() => rmSync(folder, { recursive: true }));
    afterEach(async () => {
      process.env.PATH = PATH;
      await machine.look("rm -f /etc/ssh/sshd_config.d/unit.conf; systemctl restart ssh");
    });

    /** ssh takes its configuration's path from nothing that a test may change. */
    const configure = (text: string) => {
      writeFileSync(join(folder, "config"), text);
      writeFileSync(
        join(folder, "ssh"),
        `#!/bin/sh\nexec /usr/bin/ssh -F ${folder}/config "$@"\n`,
        {
          mode: 0o755,
        },
      );
      process.env.PATH = `${folder}:${PATH}`;
    };
    const alias = (): Target => ({
      name: "node-2",
      address: "my-node",
      hostKey: machine.target.hostKey,
    });
    const named = () => `Host my-node
  HostName ${machine.target.address}
  User ${machine.target.user}
  IdentityFile "${resolve(root, machine.target.identityFile ?? "")}"
`;
    const whoAmI = (target = alias()) =>
      runOnMachine(target, "id -un; cat; cat /etc/ssh/sshd_config.d/* | sed -n 's/^Port //p'", {
        input: "heard",
        limitSeconds: 60,
      });

    it("its port, user and key are used, and a setting wins over them", async () => {
      const conf = "/etc/ssh/sshd_config.d/unit.conf";
      await machine.look(`echo 'Port 2222' > ${conf}; systemctl restart ssh`);
      configure(`${named()}  Port 2222\n`);
      const { code, stdout, stderr } = await whoAmI();
      assert.deepEqual([code, stdout.trim().split(/\n+/)], [0, ["root", "heard", "2222"]], stderr);
      await assert.rejects(whoAmI({ ...alias(), port: 22 }), /port 22|refused/);
      await assert.rejects(whoAmI({ ...alias(), user: "nobody-here" }), /does not let us in/);
    });

    it("its jump host is gone by", async () => {
      const [jump] = await standIns();
      configure(`${named()}  ProxyJump the-jump
Host the-jump
  HostName ${jump.target.address}
  User ${jump.target.user}
  IdentityFile "${resolve(root, jump.target.identityFile ?? "")}"
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
`);
      const { stdout, stderr, code } = await runOnMachine(alias(), 'echo "$SSH_CONNECTION"', {
        limitSeconds: 60,
      });
      // sudo takes the variable away, so the way is seen by who is connected
      assert.equal(code, 0, stderr + stdout);
      const peers = await runOnMachine(alias(), "ss -Htn state established sport = :22", {
        limitSeconds: 60,
      });
      assert.match(peers.stdout, new RegExp(`${jump.target.address.replaceAll(".", "\\.")}:`));
    });

    it("what is meant for people's own sessions breaks nothing", async () => {
      const socket = join(folder, "master");
      configure(`${named()}  RemoteCommand tmux new -A
  RequestTTY force
  LocalForward 127.0.0.1:1 127.0.0.1:22
  RemoteForward 22 127.0.0.1:22
  ExitOnForwardFailure yes
  ForwardAgent yes
  PermitLocalCommand yes
  LocalCommand echo local
  ControlMaster auto
  ControlPath ${socket}
  ControlPersist 60
  SessionType none
  StdinNull yes
  ForkAfterAuthentication yes
`);
      const { code, stdout, stderr } = await whoAmI();
      assert.deepEqual([code, stdout.trim()], [0, "root\nheard"], stderr);
      assert.ok(!existsSync(socket));
    });
  });

  it("has mounts of its own where it asks for them", async () => {
    const script = "mount -t tmpfs tmpfs /mnt && mountpoint -q /mnt";
    const { code } = await machine.attempt(script, { ownMounts: true });
    assert.equal(code, 0);
    await machine.look("! mountpoint -q /mnt");
  });

  it("W5: is not even begun on a machine with another host key", async () => {
    const [other] = await standIns();
    const wrong = { ...machine.target, hostKey: other.target.hostKey };
    await assert.rejects(
      runOnMachine(wrong, "touch /run/unit-begun", { limitSeconds: 60 }),
      (error) =>
        error instanceof ConnectionError && /host key is not the configured/.test(error.message),
    );
    await machine.look("test ! -e /run/unit-begun");
  });

  it("W6: ends soon, by the machine's name, when the machine hangs", async () => {
    const running = runScript("touch /run/unit-begun; sleep 100");
    await machine.look("until [ -e /run/unit-begun ]; do sleep 0.2; done; rm /run/unit-begun");
    const begin = Date.now();
    await mustRun(["docker", "pause", machine.container]);
    try {
      const { code, stderr } = await running;
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^machine node-2 \(deploy@.*no answer for 15 s\), .*run up again; .*absent: \[node-2\]\n$/,
      );
      assert.ok(Date.now() - begin < 40_000);
    } finally {
      await mustRun(["docker", "unpause", machine.container]);
    }
  });
});
