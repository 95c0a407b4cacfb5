/** The recovery kit, from one checkout to another one, through the real engine. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inHastack, inRoot, root, withOwnNode } from "../../../lib/paths.ts";
import { mustRun, type Outcome, run } from "../../../lib/run.ts";
import { withoutHostKeys } from "../../../operate/kit/put-back.ts";
import { readKitCall } from "../../../scripts/kit.ts";

describe("npm run kit", () => {
  it("O3: reads its command line", () => {
    const call = (line: string) => readKitCall(line.split(" "));
    assert.deepEqual(call("--make a.kit"), {
      do: "make",
      file: "a.kit",
      stack: "dev",
      generate: false,
    });
    assert.deepEqual(call("--make a.kit --stack shop --generate"), {
      do: "make",
      file: "a.kit",
      stack: "shop",
      generate: true,
    });
    assert.deepEqual(call("--open a.kit --new-machines --passphrase-file p"), {
      do: "open",
      file: "a.kit",
      newMachines: true,
      passphraseFile: "p",
    });
    assert.deepEqual(call("--show a.kit"), { do: "show", file: "a.kit" });
    assert.deepEqual(call("--new-machines -s shop"), {
      do: "new-machines",
      stack: "shop",
      survivors: [],
    });
  });

  for (const line of [
    "--make a --open b",
    "a.kit",
    "--stack shop",
    "--open a --generate",
    "--make a --generate --passphrase-file p",
    "--make a --new-machines",
    "--passphrase secret",
    "--open a --new-machines --survivor lb-1",
  ])
    it(`O3: refuses "${line}", and says how it is used`, () => {
      assert.throws(() => readKitCall(line.split(" ")), /\nuse: npm run kit -- --make FILE/);
    });

  it("O3: new machines have host keys of their own; all else of an inventory stays", () => {
    const text =
      "# mine\nidentityFile: id\nmachines:\n  a: { address: a.lan, hostKey: x }\n  b: {}\n";
    assert.equal(
      withoutHostKeys(text),
      "# mine\nidentityFile: id\nmachines:\n  a: { address: a.lan }\n  b: {}\n",
    );
    assert.equal(withoutHostKeys("# none\n"), "# none\n");
  });
});

const stack = "kitunit";
const passphrase = "a passphrase of this test";

/** What takes the place of the stack's own program: a key that is made once, and a thing on a machine. */
const program = `import * as command from "@pulumi/command";
import * as random from "@pulumi/random";
export const backupRepositoryKey = new random.RandomPassword("repository", { length: 32, special: false }).result;
new command.local.Command("db-1", { create: "node platform/ssh/run.ts place REQUEST", environment: { MACHINE: "db-1" } });
new command.local.Command("cache-1", {
  create: "node platform/ssh/run.ts place REQUEST", delete: "node platform/ssh/run.ts remove REMOVAL",
  environment: { MACHINE: "cache-1", REMOVAL: "{}" },
});
export const release = "0123456789ab";
`;

/** A checkout beside this one. */
class Checkout {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    symlinkSync(inRoot("node_modules"), this.path("node_modules"));
    appendFileSync(this.path(".git/info/exclude"), "node_modules\n");
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** What Pulumi is made of takes minutes to build, and is the same everywhere. */
  async takeParts(): Promise<void> {
    mkdirSync(this.path(".hastack/pulumi"), { recursive: true });
    const parts = ["plugins", "versions"].map((one) => inHastack("pulumi", one));
    await mustRun(["cp", "-al", ...parts, this.path(".hastack/pulumi")]);
  }

  #run(...words: string[]): Promise<Outcome> {
    const isOurs = ([name]: [string, unknown]) => !name.startsWith("PULUMI_");
    const env = Object.fromEntries(Object.entries(process.env).filter(isOurs));
    return run(["node", ...words], { cwd: this.folder, env: { ...env, PATH: withOwnNode() } });
  }

  kit(...words: string[]): Promise<Outcome> {
    return this.#run("scripts/run.mjs", "kit", ...words);
  }

  async pulumi(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#run("scripts/launcher/pulumi.mjs", ...words);
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  }

  key(): Promise<string> {
    const show = ["--show-secrets", "--stack", stack];
    return this.pulumi("stack", "output", "backupRepositoryKey", ...show);
  }

  /** What it has of its own besides Pulumi's parts. */
  own(): string[] {
    return readdirSync(this.path(".hastack")).filter(
      (name) => !["pulumi", "node-compile-cache"].includes(name),
    );
  }

  /** What was done on machines, since it was asked last. */
  did(): string[] {
    const file = this.path("small/did");
    const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
    rmSync(file, { force: true });
    return lines.toSorted();
  }
}

describe("the recovery kit of a stack", function () {
  this.timeout(300_000);
  let folder: string;
  let lost: Checkout;
  let empty: Checkout;
  let key: string;
  const inFolder = (name: string) => join(folder, name);
  const file = () => inFolder("shop.kit");
  const byFile = () => ["--passphrase-file", inFolder("passphrase")];
  const done = ({ code, stdout, stderr }: Outcome) => {
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  };
  const refused = ({ code, stderr }: Outcome, why: RegExp) => {
    assert.equal(code, 1);
    assert.match(stderr, why);
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "hastack-kit-"));
    const git = (at: string, ...words: string[]) =>
      mustRun(["git", "-C", at, "-c", "user.name=t", "-c", "user.email=t@t", ...words]);
    const first = inFolder("lost");
    mkdirSync(first);
    const files = `git -C "$1" ls-files -z --cached --others --exclude-standard |
      (cd "$1" && tar --create --null --files-from=- --ignore-failed-read) | tar --extract --directory="$2"`;
    await mustRun(["sh", "-c", files, "sh", root, first]);
    mkdirSync(join(first, "small/platform/ssh"), { recursive: true });
    writeFileSync(join(first, "small/index.js"), program);
    writeFileSync(
      join(first, "small/platform/ssh/run.ts"),
      'import { appendFileSync } from "node:fs";\nappendFileSync("did", process.argv[2] + " " + process.env.MACHINE + "\\n");\n',
    );
    await git(first, "init", "--quiet");
    await git(first, "add", "--all");
    await git(first, "commit", "--quiet", "--message=all");
    await git(folder, "clone", "--quiet", "lost", "empty");
    lost = new Checkout(first);
    empty = new Checkout(inFolder("empty"));
    for (const one of [lost, empty]) await one.takeParts();
    const project = readFileSync(lost.path("Pulumi.yaml"), "utf8");
    writeFileSync(lost.path("Pulumi.yaml"), project.replace("infra/index.ts", "small/index.js"));
    const settings = readFileSync(lost.path("Pulumi.dev.yaml"), "utf8");
    writeFileSync(lost.path(`Pulumi.${stack}.yaml`), settings);
    writeFileSync(inFolder("passphrase"), `${passphrase}\n`);
    await lost.pulumi("config", "set", "--secret", "hastack:other", "a secret", "--stack", stack);
    await lost.pulumi("up", "--yes", "--skip-preview", "--stack", stack);
    assert.deepEqual(lost.did(), ["place cache-1", "place db-1"]);
    key = await lost.key();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("O3: is not written where it would be lost, taken up by git, or in another one's place", async () => {
    const make = (where: string, ...more: string[]) =>
      lost.kit("--make", where, "--stack", stack, ...(more.length > 0 ? more : byFile()));
    refused(await make("shop.kit"), /shop\.kit is inside a checkout of git's/);
    refused(await make(inFolder("passphrase")), /passphrase is there already: give another name/);
    refused(await make(inFolder("no/shop.kit")), /there is no folder \S+no\n/);
    writeFileSync(inFolder("short"), "short\n");
    refused(await make(file(), "--passphrase-file", inFolder("short")), /too short: use 16/);
    refused(
      await make(file(), "--generate", "--stack", "none"),
      /there is no \S+Pulumi\.none\.yaml/,
    );
    assert.equal(existsSync(file()), false);
  });

  it("O3: is written for its owner alone, opened once to be sure, and noted", async () => {
    const told = done(await lost.kit("--make", file(), "--stack", stack, ...byFile()));
    assert.match(told, /Recovery kit of the stack kitunit \(docker\)/);
    assert.match(told, /shop\.kit is written, and can be opened/);
    assert.doesNotMatch(told, new RegExp(`${passphrase}|${key.trim()}`));
    assert.equal(statSync(file()).mode & 0o777, 0o600);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes("shop.kit")),
      ["shop.kit"],
    );
    const noted = JSON.parse(readFileSync(lost.path(`.hastack/kits/${stack}.json`), "utf8"));
    assert.equal(noted.file, file());
    assert.ok(noted.fingerprint.secrets);
  });

  it("O3: a passphrase that is made is shown once, and opens it", async () => {
    const told = done(await lost.kit("--make", inFolder("b.kit"), "--stack", stack, "--generate"));
    const [, made = ""] = /shown this once:\n\n {2}(\S+)\n/.exec(told) ?? [];
    writeFileSync(inFolder("made"), made);
    const show = ["--show", inFolder("b.kit"), "--passphrase-file", inFolder("made")];
    assert.match(done(await lost.kit(...show)), /Recovery kit of the stack kitunit/);
  });

  it("O3: tells in any checkout what is in it, and no secret", async () => {
    const told = done(await empty.kit("--show", file(), ...byFile()));
    assert.match(told, /application app, release 0123456789ab/);
    for (const name of ["state.json", "passphrase", "overlay.yaml", "project.yaml"])
      assert.match(told, new RegExp(` {2}${name} `));
    assert.doesNotMatch(told, new RegExp(`${key.trim()}|a secret`));
    assert.deepEqual(empty.own(), []);
  });

  it("O3: with a wrong passphrase, of another stack, or not to be read it changes nothing", async () => {
    writeFileSync(inFolder("wrong"), "another passphrase\n");
    const wrong = ["--passphrase-file", inFolder("wrong")];
    refused(await empty.kit("--open", file(), ...wrong), /is not the passphrase/);
    refused(
      await empty.kit("--open", file(), "--stack", "dev", ...byFile()),
      /is a kit of the stack kitunit, not of dev/,
    );
    refused(
      await empty.kit("--open", inFolder("none"), ...byFile()),
      /none cannot be read: ENOENT/,
    );
    refused(await empty.kit("--open", inFolder("wrong"), ...byFile()), /is no recovery kit/);
    assert.deepEqual(empty.own(), []);
  });

  it("O3: overwrites nothing that is there and differs, and names it", async () => {
    mkdirSync(empty.path(".hastack"), { recursive: true });
    writeFileSync(empty.path(".hastack/passphrase"), "another\n");
    const outcome = await empty.kit("--open", file(), ...byFile());
    refused(outcome, /nothing was put back:/);
    assert.match(outcome.stderr, /\.hastack\/passphrase is there, and is another passphrase/);
    assert.match(outcome.stderr, /Pulumi\.yaml is there, and is not as in the kit: move it away/);
    assert.deepEqual(empty.own(), ["passphrase"]);
    rmSync(empty.path(".hastack/passphrase"));
    rmSync(empty.path("Pulumi.yaml"));
  });

  it("O3: brings the stack back into an empty checkout, with every secret", async () => {
    const told = done(await empty.kit("--open", file(), ...byFile()));
    assert.match(told, /Pulumi\.kitunit\.yaml: put back/);
    assert.match(told, /the state of kitunit: put back\n\nNext:\n\n {2}npx pulumi preview/);
    assert.equal(await empty.key(), key);
    for (const name of ["Pulumi.yaml", `Pulumi.${stack}.yaml`, ".hastack/passphrase"])
      assert.equal(readFileSync(empty.path(name), "utf8"), readFileSync(lost.path(name), "utf8"));
    assert.equal(statSync(empty.path(".hastack/passphrase")).mode & 0o777, 0o600);
    const secret = ["config", "get", "hastack:other", "--stack", stack];
    assert.equal((await empty.pulumi(...secret)).trim(), "a secret");
    await empty.pulumi("up", "--yes", "--skip-preview", "--stack", stack);
    assert.deepEqual(empty.did(), []);
    refused(await empty.kit("--open", file(), ...byFile()), /this checkout has a stack kitunit/);
  });

  it("O3: for new machines up places all anew, with the same key, and takes it from one that survived", async () => {
    const forget = ["--new-machines", "--stack", stack, "--survivor"];
    refused(await empty.kit(...forget, "none"), /has no machine none, only /);
    const told = done(await empty.kit(...forget, "cache-1"));
    assert.match(told, /has no more of 1 thing on machines/);
    assert.deepEqual(empty.did(), ["remove cache-1"]);
    await empty.pulumi("up", "--yes", "--skip-preview", "--stack", stack);
    assert.deepEqual(empty.did(), ["place cache-1", "place db-1"]);
    assert.equal(await empty.key(), key);
  });

  it("O3: says at once that the machines are new, and what comes then", async () => {
    await empty.pulumi("stack", "rm", "--force", "--yes", "--stack", stack);
    const told = done(await empty.kit("--open", file(), "--new-machines", ...byFile()));
    assert.match(told, /put back, without 2 things that were on the machines/);
    assert.match(
      told,
      /npx pulumi up --stack kitunit\n[\s\S]*npm run restore -- --to TIME --in-place/,
    );
    assert.equal(await empty.key(), key);
  });

  it("O3: what fails in the middle leaves nothing behind", async () => {
    await empty.pulumi("stack", "rm", "--force", "--yes", "--stack", stack);
    for (const name of ["passphrase", "stacks", "state"])
      rmSync(empty.path(".hastack", name), { recursive: true });
    rmSync(empty.path(`Pulumi.${stack}.yaml`));
    // Where the state belongs, nothing can be written
    writeFileSync(empty.path(".hastack/state"), "");
    const { code } = await empty.kit("--open", file(), ...byFile());
    assert.equal(code, 1);
    assert.equal(existsSync(empty.path(`Pulumi.${stack}.yaml`)), false);
    assert.equal(existsSync(empty.path(".hastack/passphrase")), false);
  });
});
