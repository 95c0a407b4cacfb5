/**
 * The command plugin that is built here, through the real engine. Where Pulumi's own plugin is at
 * hand, it goes through every case too, on a machine of its own, and must do the same.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import type { Outcome } from "../../lib/run.ts";
import { type StandIn, standIns } from "../support/unit/machines.ts";
import { builtHome, pulumisHome } from "./homes.ts";
import { SmallProject, type State, type StateResource } from "./small-project.ts";

/** A case under one plugin: what it returns must be the same under the other. */
type Case = (bench: Bench) => Promise<unknown>;

interface Bench {
  readonly project: SmallProject;
  readonly machine: StandIn;
  /** A machine to go through. */
  readonly other: StandIn;
}

const secret = "needle-in-hay";
const imports = `import * as pulumi from "@pulumi/pulumi";
import * as command from "@pulumi/command";
import { StringAsset, FileAsset, FileArchive, RemoteAsset } from "@pulumi/pulumi/asset/index.js";
const local = (name, args, options) => new command.local.Command(name, args, options);
const remote = (name, args, options) => new command.remote.Command(name, args, options);
const copy = (name, args, options) => new command.remote.CopyToRemote(name, args, options);
`;

/** Resources that ended, as `verb name`, in no order: the engine works on several at a time. */
const operations = ({ stdout }: Outcome): string[] =>
  [...stdout.matchAll(/ command:\S+ (\S+) ([a-z][a-z ]*?) \(\d+(?:\.\d+)?s\)/g)]
    .map(([, name, verb]) => `${verb} ${name}`)
    .filter((text) => /^(created|updated|deleted|replaced)/.test(text))
    .sort();

/** What a preview with details says of each resource, sorted. */
const changes = ({ stdout }: Outcome): string[] =>
  stdout
    .replace(/\[(id|provider)=.*\]/g, "")
    .split(/^ {4}(?=\S)/m)
    .sort();

/** The errors of each resource, from what is told at the end. */
function errors({ stdout }: Outcome): Record<string, string> {
  const [, diagnostics = ""] = stdout.split("\nDiagnostics:\n");
  const [told = ""] = diagnostics.split(/\n(?:Resources|Outputs):\n/);
  const blocks = told.split(/^ {2}(?=\S)/m).filter((block) => block.startsWith("command:"));
  return Object.fromEntries(
    blocks.map((block) => {
      const [, name = "", text = ""] = /^\S+ \((\S+)\):\n(.*)$/s.exec(block) ?? [];
      return [name, text.replace(/^ {4}/gm, "").trim()];
    }),
  );
}

/** The plugin's resources in a state, by name, without what differs between any two runs. */
function resources({ deployment }: State): Record<string, Partial<StateResource>> {
  const own = (deployment.resources ?? []).filter(({ type }) => type.startsWith("command:"));
  return Object.fromEntries(
    own.map(({ urn, ...one }) => {
      assert.match(one.id ?? "", /[0-9a-f]{8}$/);
      const passing = ["id", "created", "modified", "provider", "sourcePosition", "stackTrace"];
      const kept = Object.entries(one).filter(([key]) => !passing.includes(key));
      return [urn.split("::").at(-1) ?? "", Object.fromEntries(kept)];
    }),
  );
}

function mustBeDone(outcome: Outcome): Outcome {
  assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr);
  return outcome;
}

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

describe("the command plugin", function () {
  this.timeout(180_000);
  let homes: { readonly ours: string; readonly pulumis: string | undefined };
  let machines: readonly [StandIn, StandIn];
  const projects: SmallProject[] = [];

  before(async function () {
    this.timeout(1_800_000);
    const [ours, pulumis, both] = await Promise.all([builtHome(), pulumisHome(), standIns()]);
    homes = { ours, pulumis };
    machines = both;
    if (pulumis === undefined) console.log("    Pulumi's own plugin is not at hand: ours alone");
    await Promise.all(machines.map(prepare));
  });

  after(async () => {
    for (const project of projects) project.remove();
    const prepared = machines ?? [];
    await Promise.all(prepared.map((machine) => machine.look(`rm -f ${settings}; ${reload}`)));
  });

  const settings = "/etc/ssh/sshd_config.d/command-test.conf";
  const reload = "systemctl reload ssh";
  /** Lets variables and a password in, and whoever failed to log in try again at once. */
  const prepare = (machine: StandIn) =>
    machine.look(`echo '${machine.target.user}:${secret}' | chpasswd
printf '%s\\n' 'AcceptEnv LC_* PULUMI_COMMAND_*' 'PasswordAuthentication yes' 'PerSourcePenalties no' 'MaxStartups 10:30:60' > ${settings}
${reload}`);

  async function projectIn(home: string): Promise<SmallProject> {
    const project = await SmallProject.create(home);
    projects.push(project);
    return project;
  }

  async function bench(home: string, [machine, other]: readonly StandIn[]): Promise<Bench> {
    assert.ok(machine && other);
    await machine.look("rm -rf /srv/test && install -d -o deploy /srv/test");
    return { project: await projectIn(home), machine, other };
  }

  /** Goes through a case under ours. */
  const alone = (one: Case) => async () => void (await one(await bench(homes.ours, machines)));

  /** Goes through a case under both plugins, each with a machine and a project. */
  const under = (one: Case) => async () => {
    const places: [string, readonly StandIn[]][] = [[homes.ours, machines]];
    if (homes.pulumis) places.push([homes.pulumis, machines.toReversed()]);
    const results = await Promise.all(
      places.map(async ([home, order]) => {
        const place = await bench(home, order);
        const { host, hostKey } = connection(place.machine);
        const text = JSON.stringify(await one(place)) ?? "null";
        const plain = text.replaceAll(hostKey, "KEY").replaceAll(place.project.folder, "FOLDER");
        const addresses = [host, connection(place.other).host];
        return JSON.parse(
          plain.replaceAll(addresses[0] ?? "", "HERE").replaceAll(addresses[1] ?? "", "THERE"),
        );
      }),
    );
    const [ours, pulumis] = results;
    if (homes.pulumis) assert.deepEqual(ours, pulumis);
  };

  const connection = ({ target }: StandIn) => ({
    host: target.address,
    user: target.user,
    privateKey: readFileSync(target.identityFile ?? "", "utf8"),
    hostKey: target.hostKey,
  });
  const text = JSON.stringify;

  /** The cases of commands: they are the same here and on a machine. */
  const lifecycle =
    (kind: "local" | "remote"): Case =>
    async ({ project, machine }) => {
      const folder = kind === "local" ? project.folder : "/srv/test";
      const way = kind === "local" ? "" : `connection: ${text(connection(machine))},`;
      const program = (word: string, trigger = 1) => `${imports}
const environment = { LC_WORD: "${word}" };
const a = ${kind}("a", { ${way} environment, triggers: [{ n: ${trigger} }],
  create: "echo made $LC_WORD; echo; echo note >&2",
  update: "echo from $PULUMI_COMMAND_STDOUT, $PULUMI_COMMAND_STDERR to $LC_WORD",
  delete: "echo $PULUMI_COMMAND_STDOUT >> ${folder}/deleted" });
const b = ${kind}("b", { ${way} environment, create: "echo $LC_WORD after $PULUMI_COMMAND_STDOUT" });
const c = ${kind}("c", { ${way} environment, addPreviousOutputInEnv: false,
  create: "echo $LC_WORD after \${PULUMI_COMMAND_STDOUT-nothing}" });
const d = ${kind}("d", { ${way} stdin: "${word}\\n\\n", create: "cat; echo end" });
const e = ${kind}("e", { ${way} logging: "none", create: "echo hidden-${word}" });
const f = ${kind}("f", { ${way} logging: "stderr", create: "echo hidden; echo shown-${word} >&2" });
const g = ${kind}("g", { ${way} environment, delete: "echo g >> ${folder}/deleted" });
export const outputs = [a, b, c, d, e, f, g].map((one) => [one.stdout, one.stderr]);
`;
      const outputs = async () => {
        const { deployment } = await project.state();
        const root = deployment.resources?.find(({ type }) => type === "pulumi:pulumi:Stack");
        return root?.outputs?.outputs as string[][];
      };
      const made = mustBeDone(await project.up(program("one")));
      assert.deepEqual(await outputs(), [
        ["made one\n", "note"],
        ["one after", ""],
        ["one after nothing", ""],
        ["one\n\nend", ""],
        ["hidden-one", ""],
        ["hidden", "shown-one"],
        ["", ""],
      ]);
      assert.doesNotMatch(made.stdout.split("Outputs:")[0] ?? "", /hidden/);
      assert.match(made.stdout, /\) shown-one/);
      mustBeDone(await project.preview(program("one"), "--expect-no-changes"));

      const changed = mustBeDone(await project.up(program("two")));
      const all = ["a", "b", "c", "d", "e", "f", "g"];
      assert.deepEqual(
        operations(changed),
        all.map((name) => `updated ${name}`),
      );
      assert.deepEqual((await outputs()).slice(0, 4), [
        ["from made one , note to two", ""],
        ["two after one after", ""],
        ["two after nothing", ""],
        ["two\n\nend", ""],
      ]);
      const preview = mustBeDone(await project.preview(program("three", 2)));
      assert.match(preview.stdout, /\+-command:(local|remote):Command: \(replace\)/);
      const replaced = mustBeDone(await project.up(program("two", 2)));
      const state = resources(await project.state("--show-secrets"));
      mustBeDone(await project.destroy());
      const deleted = "cat deleted | sort";
      const said =
        kind === "local"
          ? execFileSync("sh", ["-c", deleted], { cwd: folder, encoding: "utf8" })
          : `${await machine.look(`cd ${folder}; ${deleted}`)}\n`;
      assert.equal(said, "from made one , note to two\ng\nmade two\n");
      return [changes(preview), operations(replaced), state];
    };

  /** What goes wrong in a command; the plugins tell it in the same words. */
  const failures =
    (kind: "local" | "remote"): Case =>
    async ({ project, machine }) => {
      const way = kind === "local" ? "" : `connection: ${text(connection(machine))},`;
      const program = (word: string) => `${imports}
const environment = { LC_WORD: "${word}" };
${kind}("exit", { ${way} create: "echo out; echo err >&2; exit 3" });
${kind}("signal", { ${way} create: "echo out; kill -9 $$" });
${kind}("unknown", { ${way} create: "no-such-program-${word}" });
${kind}("later", { ${way} environment, create: "echo $LC_WORD; test $LC_WORD = one" });
`;
      const outcome = await project.up(program("one"), "--continue-on-error");
      assert.notEqual(outcome.code, 0);
      const told = errors(outcome);
      const [exit, signal] =
        kind === "local"
          ? ["exit status 3", "signal: killed"]
          : ["Process exited with status 3", "Process exited with status 137 from signal KILL"];
      assert.match(told.exit ?? "", new RegExp(`^error: ${exit}: running "echo out`));
      assert.deepEqual((told.exit ?? "").split("\n").slice(1).sort(), ["err", "out"]);
      assert.equal(told.signal, `error: ${signal}: running "echo out; kill -9 $$":\nout`);
      assert.match(
        told.unknown ?? "",
        /no-such-program-one: not found|no-such-program-one: command not found/,
      );
      assert.deepEqual(operations(outcome), ["created later"]);
      // An update that fails leaves the state as it was, and is tried again
      const again = await project.up(program("two"), "--continue-on-error");
      assert.match(
        errors(again).later ?? "",
        /running "echo \$LC_WORD; test \$LC_WORD = one":\ntwo/,
      );
      const state = resources(await project.state("--show-secrets"));
      assert.equal(state.later?.outputs?.stdout, "one");
      return [outcome.code, again.code, { ...told, exit: undefined }, state];
    };

  /** No secret is told, and none lies in the state in plain. */
  const secrets =
    (kind: "local" | "remote"): Case =>
    async ({ project, machine }) => {
      const way = kind === "local" ? "" : `connection: ${text(connection(machine))},`;
      const program = (word: string) => `${imports}
const secret = pulumi.secret("${secret}");
${kind}("stdin", { ${way} stdin: secret, create: "wc -c" });
${kind}("variable", { ${way} environment: { LC_SECRET: secret, LC_WORD: "${word}" }, create: "echo $LC_WORD" });
${kind}("output", { ${way} logging: "none", stdin: secret, create: "cat", environment: { LC_WORD: "${word}" } },
  { additionalSecretOutputs: ["stdout"] });
`;
      const outcomes = [
        mustBeDone(await project.preview(program("one"))),
        mustBeDone(await project.up(program("one"), "--diff")),
        mustBeDone(await project.up(program("two"), "--diff")),
      ];
      const stored = text(await project.state());
      for (const shown of [...outcomes.map(({ stdout, stderr }) => stdout + stderr), stored]) {
        assert.ok(!shown.includes(secret));
        assert.ok(!shown.includes("PRIVATE KEY"));
      }
      const state = resources(await project.state("--show-secrets"));
      assert.ok(text(state.output?.outputs?.stdout).includes(secret));
      return state;
    };

  /** A command that prints megabytes in lines, and one that prints them in a line without an end. */
  const megabytes = 3;
  const large =
    (kind: "local" | "remote", logging: string): Case =>
    async ({ project, machine }) => {
      const way = kind === "local" ? "" : `connection: ${text(connection(machine))},`;
      const lines = `i=0; while [ $i -lt ${megabytes * 20} ]; do head -c 52428 /dev/zero | tr '\\\\0' x; echo; i=$((i+1)); done`;
      const line = `head -c ${megabytes << 20} /dev/zero | tr '\\\\0' y; echo end >&2`;
      mustBeDone(
        await project.up(`${imports}
${kind}("lines", { ${way} logging: "${logging}", create: "${lines}" });
${kind}("line", { ${way} logging: "${logging}", create: "${line}" });
`),
      );
      const { lines: many, line: one } = resources(await project.state());
      assert.equal(String(many?.outputs?.stdout).replaceAll("x", "").length, megabytes * 20 - 1);
      assert.equal(String(many?.outputs?.stdout).length, megabytes * 20 * 52429 - 1);
      assert.equal(String(one?.outputs?.stdout), "y".repeat(megabytes << 20));
      assert.equal(one?.outputs?.stderr, "end");
    };

  describe("local.Command", () => {
    it(
      "creates, updates, replaces and deletes; nothing when nothing changed",
      under(lifecycle("local")),
    );
    it("tells how a command failed, and what it said", under(failures("local")));
    it("keeps secrets", under(secrets("local")));
    it("keeps megabytes", under(large("local", "none")));
    it("shows megabytes in a line", alone(large("local", "stdoutAndStderr")));

    it(
      "runs where, by what and with what it is told to",
      under(async ({ project }) => {
        mkdirSync(join(project.folder, "sub"));
        const outcome = await project.up(
          `${imports}
local("dir", { dir: "sub", create: "basename $PWD" });
local("nowhere", { dir: "nowhere", create: "true" });
local("node", { interpreter: ["node", "-e"], create: "console.log(process.argv.length, 'by node')" });
local("default", { interpreter: [], create: "echo $0" });
local("nobody", { interpreter: ["no-such-shell", "-c"], create: "true" });
local("background", { create: "(sleep 1; echo late) & echo early" });
`,
          "--continue-on-error",
        );
        const told = errors(outcome);
        assert.match(told.nowhere ?? "", /nowhere: no such file or directory: running "true"/);
        assert.match(told.nobody ?? "", /"no-such-shell": executable file not found/);
        const state = resources(await project.state());
        assert.equal(state.dir?.outputs?.stdout, "sub");
        assert.equal(state.node?.outputs?.stdout, "1 by node");
        assert.equal(state.default?.outputs?.stdout, "/bin/sh");
        assert.equal(state.background?.outputs?.stdout, "early\nlate");
        return [told, state, outcome.code];
      }),
    );

    it(
      "ends a command whose time is over, though what it started lives on",
      alone(async ({ project }) => {
        const since = Date.now();
        const outcome = await project.up(
          `${imports}
local("one", { create: "exec sleep 61" }, { customTimeouts: { create: "1s" } });
local("two", { create: "sleep 61; true" }, { customTimeouts: { create: "1s" } });
`,
          "--continue-on-error",
        );
        assert.ok(Date.now() - since < 45_000);
        const told = errors(outcome);
        for (const name of ["one", "two"]) {
          assert.match(
            told[name] ?? "",
            /^error: signal: killed, for the time that customTimeouts gives/,
          );
        }
      }),
    );

    it(
      "refuses by name what it does not serve",
      alone(async ({ project }) => {
        const refused = {
          assetPaths: `local("a", { create: "true", assetPaths: ["*"] });`,
          archivePaths: `local("a", { create: "true", archivePaths: ["*"] });`,
          "command:remote:CopyFile": `new command.remote.CopyFile("a", { connection: { host: "h" }, localPath: "l", remotePath: "r" });`,
          "command:local:run": `await command.local.run({ command: "true" });`,
        };
        await Promise.all(
          Object.entries(refused).map(async ([name, body]) => {
            const own = await projectIn(project.home);
            const { code, stdout, stderr } = await own.preview(imports + body);
            assert.notEqual(code, 0);
            assert.match(
              stdout + stderr,
              new RegExp(`${name}.*this build.*Pulumi's own plugin does`, "s"),
            );
          }),
        );
      }),
    );
  });

  describe("remote.Command", () => {
    it(
      "creates, updates, replaces and deletes; nothing when nothing changed",
      under(lifecycle("remote")),
    );
    it("tells how a command failed, and what it said", under(failures("remote")));
    it("keeps secrets", under(secrets("remote")));
    it("keeps megabytes", under(large("remote", "none")));
    it("shows megabytes in a line", alone(large("remote", "stdoutAndStderr")));

    it(
      "runs twenty at a time on one machine",
      under(async ({ project, machine }) => {
        mustBeDone(
          await project.up(
            `${imports}
const connection = ${text(connection(machine))};
for (let i = 0; i < 20; i++) remote("c" + i, { connection, create: "sleep 0.5; echo " + i });
`,
            "--parallel",
            "20",
          ),
        );
        const state = resources(await project.state());
        assert.deepEqual(
          Array.from({ length: 20 }, (_, i) => state[`c${i}`]?.outputs?.stdout),
          Array.from({ length: 20 }, (_, i) => String(i)),
        );
      }),
    );

    it(
      "goes by a password, a key that has one, and a proxy",
      under(async ({ project, machine, other }) => {
        const { privateKey, ...way } = connection(machine);
        const locked = join(project.folder, "locked");
        copyFileSync(machine.target.identityFile ?? "", locked);
        execFileSync("ssh-keygen", ["-q", "-p", "-N", secret, "-f", locked]);
        const { privateKey: _, ...far } = connection(other);
        const program = `${imports}
const way = ${text(way)};
const key = { privateKey: ${text(privateKey)} };
const password = "${secret}";
const locked = { privateKey: ${text(readFileSync(locked, "utf8"))} };
const create = "echo \${SSH_CONNECTION%% *}";
remote("password", { connection: { ...way, password }, create: "id -un" });
remote("locked", { connection: { ...way, ...locked, privateKeyPassword: password }, create: "id -un" });
remote("root", { connection: { ...way, ...key, user: undefined }, create: "id -un" });
remote("unchecked", { connection: { ...way, ...key, hostKey: undefined }, create: "id -un" });
remote("proxy", { connection: { ...way, ...key, proxy: { ...${text(far)}, password } }, create });
remote("closed", { connection: { ...way, ...key, port: 9, proxy: { ...${text(far)}, password }, dialErrorLimit: 1 }, create });
remote("proxyKey", { connection: { ...way, ...key, proxy: { ...${text(far)}, ...key, hostKey: way.hostKey, dialErrorLimit: 0 } }, create });
`;
        const outcome = await project.up(program, "--continue-on-error");
        const told = errors(outcome);
        assert.match(
          told.closed ?? "",
          /^error: proxy: after 1 failed attempts: ssh: rejected: connect failed/,
        );
        assert.match(
          told.proxyKey ?? "",
          /^error: proxy: after 0 failed attempts: .*host key mismatch/,
        );
        const state = resources(await project.state("--show-secrets"));
        const said = (name: string) => state[name]?.outputs?.stdout;
        assert.deepEqual(["password", "locked", "root", "unchecked", "proxy"].map(said), [
          "deploy",
          "deploy",
          "root",
          "deploy",
          other.target.address,
        ]);
        // SSH libraries differ in whether they quote the server's words
        return [{ ...told, closed: told.closed?.replaceAll('"', "") }, Object.keys(state).sort()];
      }),
    );

    it(
      "tells why it cannot connect, and gives up in time",
      under(async ({ project, machine, other }) => {
        const way = { ...connection(machine), dialErrorLimit: 1 };
        const stranger = join(project.folder, "stranger");
        execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", stranger]);
        const unused = way.host.replace(/\d+$/, "222");
        const program = `${imports}
const way = ${text(way)};
const create = "true";
remote("unreachable", { connection: { ...way, host: "${unused}", perDialTimeout: 1 }, create });
remote("closed", { connection: { ...way, port: 9 }, create });
remote("hostKey", { connection: { ...way, hostKey: ${text(other.target.hostKey)} }, create });
remote("noHostKey", { connection: { ...way, hostKey: "nonsense" }, create });
remote("noKey", { connection: { ...way, privateKey: "nonsense" }, create });
remote("user", { connection: { ...way, user: "nobody" }, create });
remote("stranger", { connection: { ...way, privateKey: ${text(readFileSync(stranger, "utf8"))} }, create });
remote("password", { connection: { ...way, privateKey: undefined, password: "wrong" }, create });
remote("variable", { connection: way, environment: { LC_A: "1", OTHER: "1" }, create });
`;
        const since = Date.now();
        const outcome = await project.up(program, "--continue-on-error");
        assert.ok(Date.now() - since < 120_000);
        assert.notEqual(outcome.code, 0);
        assert.deepEqual(operations(outcome), []);
        const { noHostKey, noKey, variable, ...told } = errors(outcome);
        assert.match(noHostKey ?? "", /^error: failed to parse host key: ssh: no key found/);
        assert.match(noKey ?? "", /ssh: no key found/);
        assert.match(
          variable ?? "",
          /could not set environment variable "OTHER": ssh: setenv failed/,
        );
        const after = "^error: after 1 failed attempts: ";
        assert.match(told.unreachable ?? "", new RegExp(`${after}dial tcp .*(timeout|no route)`));
        assert.match(told.closed ?? "", new RegExp(`${after}dial tcp .*: connection refused`));
        assert.match(told.hostKey ?? "", new RegExp(`${after}.*host key mismatch`));
        for (const name of ["user", "stranger", "password"]) {
          assert.match(
            told[name] ?? "",
            new RegExp(`${after}ssh: handshake failed: .*unable to auth`),
          );
        }
        // Which of the two comes first is the network's matter
        const { unreachable, ...compared } = told;
        return [outcome.code, compared];
      }),
    );

    it(
      "leaves a server that says nothing, and a command whose time is over",
      alone(async ({ project, machine }) => {
        const silent: Server = createServer(() => {});
        await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
        const { port } = silent.address() as { port: number };
        const since = Date.now();
        const outcome = await project.up(
          `${imports}
const way = ${text(connection(machine))};
remote("silent", { connection: { ...way, host: "127.0.0.1", port: ${port}, dialErrorLimit: 0 }, create: "true" }, { customTimeouts: { create: "3s" } });
remote("long", { connection: way, create: "sleep 62; true" }, { customTimeouts: { create: "3s" } });
`,
          "--continue-on-error",
        );
        silent.close();
        assert.ok(Date.now() - since < 45_000);
        const told = errors(outcome);
        assert.match(
          told.silent ?? "",
          /has not logged us in, for the time that customTimeouts gives/,
        );
        assert.match(
          told.long ?? "",
          /connection was closed, for the time that customTimeouts gives/,
        );
        assert.equal(await machine.look("pgrep -f 'sleep 6[2]' || echo none"), "none");
      }),
    );
  });

  describe("remote.CopyToRemote", () => {
    const tree = (folder: string) =>
      `cd ${folder} && find . -type f -exec sha256sum {} + | sort -k 2 && find . -type d | sort`;

    it(
      "copies texts, files and folders to where `cp -R` would",
      under(async ({ project, machine }) => {
        mkdirSync(join(project.folder, "dir/inner"), { recursive: true });
        const big = Buffer.alloc(30 << 20, "0123456789abcdef\n");
        project.write("big", big);
        project.write("file", "one");
        project.write("dir/one", "1");
        project.write("dir/inner/two", "2");
        await machine.look(
          "cd /srv/test && install -d -o deploy there && echo old > there-file && chown deploy *",
        );
        const program = (word: string, place = "text") =>
          `${imports}
const connection = ${text(connection(machine))};
const at = (name) => "/srv/test/" + name;
copy("text", { connection, source: new StringAsset("${word}"), remotePath: at("new/" + ${text(place)}) });
copy("file", { connection, source: new FileAsset("file"), remotePath: at("new-file/file") });
copy("over", { connection, source: new FileAsset("file"), remotePath: at("there-file") });
copy("into", { connection, source: new FileAsset("./file"), remotePath: at("there") });
copy("dir", { connection, source: new FileArchive("./dir"), remotePath: at("there") });
copy("dir-new", { connection, source: new FileArchive("./dir"), remotePath: at("fresh") });
copy("content", { connection, source: new FileArchive("./dir/"), remotePath: at("content") });
copy("big", { connection, source: new FileAsset("big"), remotePath: at("big") });
`;
        mustBeDone(await project.up(program("hello")));
        const first = await machine.look(tree("/srv/test"));
        const hashes = new Map(
          first.split("\n").map((line) => line.split("  ").toReversed() as [string, string]),
        );
        assert.equal(hashes.get("./big"), sha256(big));
        const files = [...hashes.keys()].filter((name) => hashes.get(name));
        assert.deepEqual(files.sort(), [
          "./big",
          "./content/inner/two",
          "./content/one",
          "./fresh/dir/inner/two",
          "./fresh/dir/one",
          "./new-file/file",
          "./new/text",
          "./there-file",
          "./there/dir/inner/two",
          "./there/dir/one",
          "./there/file",
        ]);
        mustBeDone(await project.preview(program("hello"), "--expect-no-changes"));
        project.write("file", "two");
        const changed = mustBeDone(await project.up(program("bye", "elsewhere")));
        assert.deepEqual(operations(changed), [
          "updated file",
          "updated into",
          "updated over",
          "updated text",
        ]);
        assert.equal(
          await machine.look(
            "cd /srv/test && cat new/text; echo; cat new/elsewhere; echo; cat there/file",
          ),
          "hello\nbye\ntwo",
        );
        const state = resources(await project.state("--show-secrets"));
        const preview = mustBeDone(await project.preview(program("again")));
        mustBeDone(await project.destroy());
        assert.equal(await machine.look("cat /srv/test/new/elsewhere"), "bye");
        return [first, state, changes(preview)];
      }),
    );

    it(
      "tells why it cannot copy",
      under(async ({ project, machine }) => {
        mkdirSync(join(project.folder, "dir"));
        project.write("dir/one", "1");
        await machine.look("cd /srv/test && touch file && mkdir dir");
        const outcome = await project.up(
          `${imports}
const connection = ${text(connection(machine))};
const folder = new FileArchive("./dir");
copy("over-file", { connection, source: folder, remotePath: "/srv/test/file" });
copy("text-over-folder", { connection, source: new StringAsset("x"), remotePath: "/srv/test/dir" });
copy("forbidden", { connection, source: new StringAsset("x"), remotePath: "/root/x" });
copy("forbidden-folder", { connection, source: folder, remotePath: "/root/x" });
copy("server", { connection: { ...connection, port: 9, dialErrorLimit: 0 }, source: folder, remotePath: "/srv/test/x" });
`,
          "--continue-on-error",
        );
        assert.notEqual(outcome.code, 0);
        assert.deepEqual(operations(outcome), []);
        const told = errors(outcome);
        assert.match(told["text-over-folder"] ?? "", /remote path \/srv\/test\/dir is a directory/);
        assert.match(told.forbidden ?? "", /permission denied/i);
        assert.match(told.server ?? "", /connection refused/);
        const { code, stdout, stderr } = await project.preview(`${imports}
copy("url", { connection: { host: "h" }, source: new RemoteAsset("file:///etc/hostname"), remotePath: "/srv/test/x" });
`);
        assert.match(stdout + stderr, /must be a/);
        return [outcome.code, Object.keys(told).sort(), code];
      }),
    );
  });

  describe("a state", () => {
    it("of either plugin is unchanged under the other, which goes on with it", async function () {
      if (homes.pulumis === undefined) return this.skip();
      const [machine] = machines;
      const program = (word: string) => `${imports}
const connection = ${text(connection(machine))};
const environment = { LC_WORD: "${word}" };
local("l", { create: "echo hi", delete: "true", environment, stdin: pulumi.secret("${secret}"), triggers: [1, { a: ["b"] }] });
local("empty", { environment: {}, interpreter: [], triggers: [] });
remote("r", { connection, create: "echo hi", environment, triggers: ["x"], logging: "none" });
remote("r-empty", { connection: { host: connection.host, proxy: { host: "p" } }, environment: {} });
copy("c", { connection, source: new StringAsset("${word}"), remotePath: "/tmp/command-test", triggers: [] });
copy("d", { connection, source: new FileArchive("dir"), remotePath: "/tmp/command-test.d" });
`;
      const { ours, pulumis } = homes;
      const goOn = async (from: string, to: string) => {
        const project = await projectIn(from);
        mkdirSync(join(project.folder, "dir"));
        project.write("dir/one", "1");
        mustBeDone(await project.up(program("one")));
        const before = resources(await project.state("--show-secrets"));
        project.home = to;
        mustBeDone(await project.preview(program("one"), "--expect-no-changes"));
        mustBeDone(await project.up(program("one"), "--refresh", "--expect-no-changes"));
        const refreshed = resources(await project.state("--show-secrets"));
        const changed = operations(mustBeDone(await project.up(program("two"))));
        assert.deepEqual(changed, ["updated c", "updated l", "updated r"]);
        mustBeDone(await project.destroy());
        return [before, refreshed];
      };
      const [one, other] = await Promise.all([goOn(ours, pulumis), goOn(pulumis, ours)]);
      assert.deepEqual(one, other);
    });
  });
});
