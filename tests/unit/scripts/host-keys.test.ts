import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { fingerprint, hostKeyText, parseHostKey } from "../../../infra/host-key.ts";
import { targets, withInventory } from "../../../infra/inventory.ts";
import { runOnMachine } from "../../../infra/platform/ssh/connection.ts";
import { readSettings, type Settings } from "../../../infra/settings.ts";
import {
  inMachine,
  type RunningSet,
  removeMachines,
  startMachines,
} from "../../../lab/machines.ts";
import {
  collectHostKeys,
  judge,
  readHostKeysCall,
  readScan,
  settingsOf,
  withHostKeys,
} from "../../../scripts/host-keys.ts";
import { asPulumiGives, hostKeyOf, threeMachines } from "../../support/unit/fixtures.ts";

const keyOf = (text: string) => {
  const key = parseHostKey(hostKeyOf(text));
  assert.ok(key);
  return key;
};

describe("npm run host-keys", () => {
  it("reads its command line", () => {
    assert.deepEqual(readHostKeysCall([]), { stack: "lab", machines: [], replace: [] });
    const words = "--stack mine --machine a --machine b --replace c".split(" ");
    const call = { stack: "mine", machines: ["a", "b"], replace: ["c"] };
    assert.deepEqual(readHostKeysCall(words), call);
  });

  for (const words of ["mine", "--stack", "--replace --machine a", "--force"]) {
    it(`refuses "${words}", and says how it is used`, () => {
      assert.throws(
        () => readHostKeysCall(words.split(" ")),
        /\nuse: npm run host-keys -- \[--stack/,
      );
    });
  }

  it("is about the machines of a stack, as its file lists them", () => {
    const { stack, machines } = settingsOf("lab");
    assert.equal(stack, "lab");
    assert.deepEqual(
      machines?.map(({ name }) => name),
      ["lb-1", "lb-2", "app-1", "app-2", "db-1", "db-2", "witness-1"],
    );
    assert.throws(() => settingsOf("dev"), /^Error: stack dev: is on docker and has no machines/);
    assert.throws(
      () => settingsOf("nosuch"),
      /^Error: stack nosuch: there is no .*Pulumi\.nosuch\.yaml$/,
    );
  });

  it("takes the best key that is offered, whatever the order", () => {
    const rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQM=";
    const lines = [
      "# node-1:22 SSH-2.0-OpenSSH_10.0",
      `node-1 ${rsa}`,
      `[node-1]:2222 ${hostKeyOf("x")}`,
      `node-1 ${hostKeyOf("y").replace("ssh-ed25519", "ssh-dss")}`,
      "",
    ];
    assert.deepEqual(readScan(lines.join("\n")).map(hostKeyText), [hostKeyOf("x"), rsa]);
    assert.deepEqual(readScan(""), []);
  });

  describe("judges an answer", () => {
    const [best, other] = [keyOf("best"), keyOf("other")];
    const offered = [best, other];

    it("the first that is seen of a machine is new", () => {
      assert.deepEqual(judge({ offered }, undefined, false), { state: "new", key: best });
    });

    it("a known key is kept while it is offered, a better one or not, with a comment or not", () => {
      const known = `${hostKeyOf("other")} root@node-1`;
      assert.deepEqual(judge({ offered }, known, false), { state: "unchanged", key: other });
      assert.deepEqual(judge({ offered }, known, true), { state: "unchanged", key: other });
    });

    it("another one is not taken before somebody says so", () => {
      const known = hostKeyOf("old");
      const shown = `ssh-ed25519 ${fingerprint(keyOf("old"))}`;
      const finding = { key: best, known: shown };
      assert.deepEqual(judge({ offered }, known, false), { state: "changed", ...finding });
      assert.deepEqual(judge({ offered }, known, true), { state: "replaced", ...finding });
    });

    it("nor in place of a text that is no key", () => {
      const { state } = judge({ offered }, "SHA256:abc", false);
      assert.equal(state, "changed");
    });

    it("none is none", () => {
      assert.equal(judge({ offered: [] }, undefined, false).state, "unreachable");
      const lost = { state: "unreachable", problem: "why" };
      assert.deepEqual(judge({ problem: "why" }, hostKeyOf("x"), true), lost);
    });
  });

  it("adds to an inventory, and leaves what else is there as it is", () => {
    const before = `# Our rack
identityFile: ~/.ssh/rack # not in the repository
machines:
  node-1: { address: 192.0.2.11, port: 2222 } # top
  # behind the other switch
  node-2:
    hostKey: ssh-ed25519 old
    user: deploy
`;
    const keys = new Map(["node-1", "node-2", "node-3"].map((name) => [name, keyOf(name)]));
    assert.equal(
      withHostKeys(before, keys),
      `# Our rack
identityFile: ~/.ssh/rack # not in the repository
machines:
  node-1: { address: 192.0.2.11, port: 2222, hostKey: ${hostKeyOf("node-1")} } # top
  # behind the other switch
  node-2:
    hostKey: ${hostKeyOf("node-2")}
    user: deploy
  node-3:
    hostKey: ${hostKeyOf("node-3")}
`,
    );
    for (const empty of ["", "{}\n", "# nothing yet\n"]) {
      const machines = { "node-1": { hostKey: hostKeyOf("node-1") } };
      const made = withHostKeys(empty, new Map([["node-1", keyOf("node-1")]]));
      assert.deepEqual(parse(made), { machines }, empty);
    }
  });
});

const set = "unit-host-keys";
const networks = {
  frontend: "172.29.46.0/24",
  backend: "172.29.47.0/24",
  management: "172.29.48.0/24",
};

describe("npm run host-keys asks machines", function () {
  this.timeout(180_000);
  let running: RunningSet;
  let folder: string;
  let inventory: string;
  let silent: Server;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "hastack-host-keys-"));
    inventory = join(folder, "inventory/lab.yaml");
    const machines = [
      { name: "node-1", number: 1 },
      { name: "node-2", number: 2 },
    ];
    running = await startMachines({ set, machines, networks, project: folder });
    silent = createServer().listen(0, "127.0.0.1");
  });
  after(async () => {
    silent.close();
    await removeMachines(set, folder, true);
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => rmSync(dirname(inventory), { recursive: true, force: true }));

  /** Two machines that are there, and one that accepts connections and says nothing. */
  function settings(): Settings {
    const { port } = silent.address() as { port: number };
    const places = [
      { address: "172.29.48.11" },
      { address: "172.29.48.12" },
      { address: "127.0.0.1", port },
    ];
    const listed = threeMachines()["hastack:machines"] as readonly object[];
    const changes = {
      "hastack:machines": listed.map((one, index) => ({ ...one, ...places[index] })),
      "hastack:ssh": { inventory, identityFile: running.files.identityFile },
    };
    return withInventory(readSettings("test", asPulumiGives({ ...threeMachines(), ...changes })));
  }

  /** One call about both machines. @returns what it told, and how it ended */
  async function collect(words = "--machine node-1 --machine node-2") {
    let told = "";
    const call = readHostKeysCall(["--stack", "test", ...words.split(" ").filter(Boolean)]);
    const problem = await collectHostKeys(settings(), call, (text) => (told += text)).then(
      () => undefined,
      (error: Error) => error.message,
    );
    return { told, problem };
  }

  const text = () => readFileSync(inventory, "utf8");
  const trueKey = (index: number) => running.machines[index]?.hostKey ?? "";

  /** How the machine itself shows its key. */
  async function shownBy(machine: string, type = "ed25519"): Promise<string> {
    const file = `/etc/ssh/ssh_host_${type}_key.pub`;
    const shown = await inMachine(set, machine, `ssh-keygen -lf ${file}`);
    return shown.split(" ")[1] ?? "";
  }

  it("finds the keys that they have, shows their fingerprints, and SSH takes them", async () => {
    const { told, problem } = await collect();
    assert.equal(problem, undefined);
    assert.deepEqual(parse(text()), {
      machines: { "node-1": { hostKey: trueKey(0) }, "node-2": { hostKey: trueKey(1) } },
    });
    const [first, second] = told.split("\n");
    assert.equal(first, `node-1  new          ssh-ed25519 ${await shownBy("node-1")}`);
    assert.equal(second, `node-2  new          ssh-ed25519 ${await shownBy("node-2")}`);
    assert.match(told, /Compare them with what each machine\nshows on its own console/);
    const known = { ...settings(), machines: settings().machines?.slice(0, 2) };
    for (const target of targets(known)) {
      const { stdout } = await runOnMachine(target, "hostname", { limitSeconds: 20 });
      assert.equal(stdout, `${target.name}\n`);
    }
  });

  it("finds nothing new the second time, and does not touch the file", async () => {
    await collect();
    const before = `# Mine\n${text()}`;
    writeFileSync(inventory, before);
    const { told, problem } = await collect();
    assert.equal(problem, undefined);
    assert.match(told, /^node-1 {2}unchanged {4}ssh-ed25519 SHA256:\S+\nnode-2 {2}unchanged .*\n$/);
    assert.equal(text(), before);
  });

  it("keeps what it found where another machine is silent, and names that one", async () => {
    const { told, problem } = await collect("");
    const { port } = silent.address() as { port: number };
    assert.match(told, /^node-1 {2}new .*\nnode-2 {2}new .*\nnode-3 {2}unreachable\n/);
    assert.equal(
      problem,
      `host keys are missing or have changed:
  node-3: no SSH server answers at 127.0.0.1, port ${port} within 5 s
  check that they run, that address and port are right, and that no firewall is in between, then run this again; for a machine behind a jump host, set its \`hostKey\` by hand`,
    );
    assert.deepEqual(Object.keys(parse(text()).machines), ["node-1", "node-2"]);
  });

  it("asks those alone that are named, and refuses a name that is none", async () => {
    assert.equal((await collect("--machine node-2")).problem, undefined);
    assert.deepEqual(Object.keys(parse(text()).machines), ["node-2"]);
    const { problem } = await collect("--machine node-9 --replace lb-1");
    assert.equal(problem, "stack test: has no machine node-9, lb-1, only node-1, node-2, node-3");
  });

  it("needs a place for the keys", async () => {
    const call = readHostKeysCall(["--stack", "test"]);
    await assert.rejects(
      collectHostKeys({ ...settings(), ssh: {} }, call, () => assert.fail("it told something")),
      /^Error: hastack:ssh.inventory: is missing, .* set it to a file such as \.hastack\/inventory\/test\.yaml$/,
    );
    assert.equal(existsSync(inventory), false);
  });

  it("leaves nothing beside the inventory", async () => {
    await collect();
    assert.deepEqual(readdirSync(dirname(inventory)), ["lab.yaml"]);
    assert.match(text(), /^# How the machines are reached: made by npm run host-keys/);
  });

  describe("one of which was installed anew", () => {
    let old: string;

    before(async () => {
      old = await shownBy("node-1");
      const anew = "rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh";
      await inMachine(set, "node-1", anew);
    });
    beforeEach(() => {
      mkdirSync(dirname(inventory), { recursive: true });
      const known = `{ node-1: { hostKey: ${trueKey(0)} }, node-2: { hostKey: ${trueKey(1)} } }`;
      writeFileSync(inventory, `machines: ${known}\n`);
    });

    it("keeps the known key, and says what to do", async () => {
      const before = text();
      const { told, problem } = await collect();
      assert.match(told, /^node-1 {2}changed .*\nnode-2 {2}unchanged /);
      assert.equal(
        problem,
        `host keys are missing or have changed:
  node-1: its host key is not the known one (ssh-ed25519 ${old}), which is kept: either the machine was reinstalled, or this is a man-in-the-middle; compare on its console, and if it is right: npm run host-keys -- --stack test --replace node-1`,
      );
      assert.equal(text(), before);
      const [target] = targets({ ...settings(), machines: settings().machines?.slice(0, 1) });
      assert.ok(target);
      await assert.rejects(runOnMachine(target, "hostname", { limitSeconds: 20 }), /host key/);
    });

    it("replaces it when the machine is named, and another machine's not", async () => {
      const { told, problem } = await collect("--machine node-2 --replace node-1");
      assert.equal(problem, undefined);
      const shown = await shownBy("node-1");
      assert.notEqual(shown, old);
      assert.match(told, /^node-1 {2}replaced {5}ssh-ed25519 SHA256:\S+\nnode-2 {2}unchanged /);
      assert.ok(told.startsWith(`node-1  replaced     ssh-ed25519 ${shown}\n`));
      const { machines } = parse(text());
      assert.equal(fingerprint(parseHostKey(machines["node-1"].hostKey) ?? keyOf("")), shown);
      assert.equal(machines["node-2"].hostKey, trueKey(1));
    });
  });

  describe("one of which has RSA alone, on a port of its own", () => {
    const file = "/etc/ssh/sshd_config.d/10-test.conf";
    after(() => inMachine(set, "node-2", `rm ${file}; systemctl restart ssh`));

    it("takes what it has", async () => {
      const lines = "Port 22\nPort 2222\nHostKey /etc/ssh/ssh_host_rsa_key\n";
      await inMachine(set, "node-2", `cat > ${file}; systemctl restart ssh`, lines);
      mkdirSync(dirname(inventory), { recursive: true });
      writeFileSync(inventory, "machines: { node-2: { port: 2222 } }\n");
      const { told, problem } = await collect("--machine node-2");
      assert.equal(problem, undefined);
      assert.ok(told.startsWith(`node-2  new  `));
      assert.ok(told.includes(`ssh-rsa ${await shownBy("node-2", "rsa")}\n`));
      const [, target] = targetsOf(settings());
      assert.equal(target?.port, 2222);
      const { stdout } = await runOnMachine(target, "hostname", { limitSeconds: 20 });
      assert.equal(stdout, "node-2\n");
    });
  });

  function targetsOf(all: Settings) {
    const machines = all.machines?.map((one) => ({ hostKey: hostKeyOf("x"), ...one }));
    return targets({ ...all, machines });
  }
});
