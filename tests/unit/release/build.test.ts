import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inHastack } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import { buildRelease, ensureRelease } from "../../../release/build.ts";
import { releaseHash } from "../../../release/hash.ts";
import { packedRelease } from "../../../release/pack.ts";
import { builtReleaseFolder, type ReleaseRecipe } from "../../../release/recipe.ts";
import { stagedRelease } from "../../../release/stage.ts";

/** A tool as npm installs it: a link to a program in its package. */
const installTool = `mkdir -p node_modules/.bin node_modules/tool/bin
printf '#!/bin/sh\\necho "tool says $1"\\n' > node_modules/tool/bin/tool
chmod 700 node_modules/tool/bin/tool
ln -s ../tool/bin/tool node_modules/.bin/tool`;

describe("release: built", function () {
  this.timeout(60_000);
  /** Of this run alone, as what is built lies in a folder that others use too. */
  const name = `unit-test-${process.pid}`;
  let folder: string;
  const made = new Set<string>();
  const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
  const recipe = (changes: Partial<ReleaseRecipe> = {}): ReleaseRecipe => {
    const full = { name, folder, build: installTool, ...changes };
    made.add(releaseHash(full));
    return full;
  };
  const stagings = () =>
    readdirSync(inHastack("releases")).filter((one) =>
      [...made].some((hash) => one.startsWith(`.${hash}`)),
    );

  before(() => mkdirSync(inHastack("releases"), { recursive: true }));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-release-"));
    put("server.sh", "#!/bin/sh\n");
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
    for (const part of ["releases", "images", "archives"]) {
      const home = inHastack(part);
      const own = (one: string) => [...made].some((hash) => one.includes(hash));
      for (const one of existsSync(home) ? readdirSync(home).filter(own) : []) {
        rmSync(join(home, one), { recursive: true, force: true });
      }
    }
    made.clear();
  });

  it("is the application's folder and what its build command made there", async () => {
    mkdirSync(join(folder, "sql"));
    put("sql/1.sql", "select 1");
    put(".secret", "");
    const built = await buildRelease(recipe(), "x64");
    assert.deepEqual(readdirSync(built).sort(), [
      "node_modules",
      "release.json",
      "server.sh",
      "sql",
    ]);
    assert.deepEqual(JSON.parse(readFileSync(join(built, "release.json"), "utf8")), {
      release: releaseHash(recipe()),
      architecture: "x64",
      application: name,
    });
    assert.equal(existsSync(join(folder, "node_modules")), false, "it is built in a copy");
  });

  it("is the files alone where nothing is to be built", async () => {
    const built = await buildRelease(recipe({ build: undefined }), "x64");
    assert.deepEqual(readdirSync(built).sort(), ["release.json", "server.sh"]);
  });

  it("is built for an architecture, each in a folder of its own", async () => {
    const told = recipe({ build: 'echo "$RELEASE_ARCHITECTURE" > told' });
    for (const architecture of ["x64", "arm64"] as const) {
      const built = await buildRelease(told, architecture);
      assert.equal(readFileSync(join(built, "told"), "utf8"), `${architecture}\n`);
    }
  });

  it("is built by the project's own Node", async () => {
    const built = await buildRelease(recipe({ build: "node -p process.execPath > told" }), "x64");
    assert.equal(readFileSync(join(built, "told"), "utf8"), `${process.execPath}\n`);
  });

  it("has the same modes and dates whatever the umask and the hour", async () => {
    const build = "umask 077; mkdir made; echo > made/file; echo > made/run; chmod 700 made/run";
    const built = await buildRelease(recipe({ build }), "x64");
    const seen = ["made", "made/file", "made/run", "server.sh"].map((path) => {
      const { mode, mtime } = statSync(join(built, path));
      return `${path} ${(mode & 0o777).toString(8)} ${mtime.getUTCFullYear()}`;
    });
    assert.deepEqual(seen, [
      "made 755 2000",
      "made/file 644 2000",
      "made/run 755 2000",
      "server.sh 644 2000",
    ]);
  });

  it("is used again", async () => {
    const once = recipe({ build: "date +%N > made" });
    const read = async () => readFileSync(join(await buildRelease(once, "x64"), "made"), "utf8");
    assert.equal(await read(), await read());
  });

  it("is the same when two build it at once, and nothing is left beside it", async () => {
    const slow = recipe({ build: "sleep 0.5; date +%N > made" });
    const [one, two] = await Promise.all([buildRelease(slow, "x64"), buildRelease(slow, "x64")]);
    assert.equal(one, two);
    assert.ok(existsSync(join(one, "made")));
    assert.deepEqual(stagings(), []);
  });

  it("W5: fails with the command, its code and its last words, and nothing is left", async () => {
    const failing = recipe({ build: "echo begun\nfalse\necho not here" });
    await assert.rejects(buildRelease(failing, "x64"), {
      message:
        `the release of ${name} could not be built: release.build failed with exit code 1; what served ` +
        "before keeps serving. The command:\n  echo begun\n  false\n  echo not here\n" +
        "Its last output:\nbegun",
    });
    assert.deepEqual(stagings(), []);
    assert.equal(existsSync(builtReleaseFolder(releaseHash(failing), "x64")), false);
  });

  it("W5: a variable that is not set ends the build", async () => {
    await assert.rejects(
      buildRelease(recipe({ build: 'rm -rf "$HASTACK_NO_SUCH/x"' }), "x64"),
      /HASTACK_NO_SUCH/,
    );
  });

  it("W5: is refused by another name than its files have", async () => {
    const before = recipe();
    const hash = releaseHash(before);
    put("server.sh", "another");
    recipe();
    await assert.rejects(ensureRelease(before, hash, "x64"), {
      message: `the files in ${folder} are no longer those of release ${hash}; run up again`,
    });
    assert.deepEqual(stagings(), []);
  });

  it("serves by its name once it is built, whatever became of the files", async () => {
    const before = recipe();
    const built = await buildRelease(before, "x64");
    const hash = releaseHash(before);
    put("server.sh", "another");
    assert.equal(await ensureRelease(before, hash, "x64"), built);
  });

  it("keeps an application's last three, and those of other applications", async () => {
    const other = await buildRelease(recipe({ name: `${name}-other` }), "x64");
    const longAgo = new Date(Date.now() - 24 * 3600 * 1000);
    utimesSync(other, longAgo, longAgo);
    const built: string[] = [];
    for (const text of ["1", "2", "3", "4"]) {
      put("server.sh", text);
      built.push(await buildRelease(recipe(), "x64"));
      const past = new Date(Date.now() - (10 - Number(text)) * 1000);
      utimesSync(built.at(-1) ?? "", past, past);
    }
    assert.deepEqual(built.map(existsSync), [false, true, true, true]);
    assert.ok(existsSync(other));
  });

  it("throws staging folders of builds that were killed away, when they are nobody's", async () => {
    const hash = releaseHash(recipe());
    const [old, young] = ["old", "young"].map((one) => inHastack("releases", `.${hash}-${one}`));
    for (const path of [old, young]) mkdirSync(path ?? "");
    const past = new Date(Date.now() - 2 * 3600 * 1000);
    utimesSync(old ?? "", past, past);
    await buildRelease(recipe(), "x64");
    assert.deepEqual(
      [old, young].map((path) => existsSync(path ?? "")),
      [false, true],
    );
  });

  describe("links to programs, as in node_modules/.bin", () => {
    const tool = "node_modules/.bin/tool";
    const works = async (release: string) => {
      assert.ok(lstatSync(join(release, tool)).isSymbolicLink(), "it is a link still");
      assert.equal(readlinkSync(join(release, tool)), "../tool/bin/tool");
      assert.equal(await mustRun([join(release, tool), "this"]), "tool says this\n");
    };

    it("stay links in the release, and so do the application's own", async () => {
      mkdirSync(join(folder, "bin"));
      symlinkSync("../server.sh", join(folder, "bin/server"));
      const built = await buildRelease(recipe(), "x64");
      await works(built);
      assert.equal(readlinkSync(join(built, "bin/server")), "../server.sh");
    });

    it("stay links in the archive that machines get", async () => {
      const archive = await packedRelease(recipe(), releaseHash(recipe()), "x64");
      const target = join(folder, "unpacked");
      mkdirSync(target);
      const options = ["--extract", "--gzip", "--no-same-owner", `--directory=${target}`];
      await mustRun(["tar", ...options, "--file", archive]);
      await works(target);
      assert.ok(existsSync(join(target, "release.json")));
    });

    it("stay links in the folder of an image, which takes no space, and in the image", async () => {
      const recipeFolder = join(folder, ".image");
      mkdirSync(join(recipeFolder, "release"), { recursive: true });
      writeFileSync(join(recipeFolder, "release/.keep"), "");
      writeFileSync(
        join(recipeFolder, "Dockerfile"),
        'FROM scratch\nCOPY release/ /opt/hastack/current/\nCMD ["none"]\n',
      );
      const hash = releaseHash(recipe());
      const staged = await stagedRelease(recipe(), hash, "x64", recipeFolder);
      assert.deepEqual(readdirSync(staged).sort(), ["Dockerfile", "release"]);
      await works(join(staged, "release"));
      const inode = (path: string) => statSync(join(path, "server.sh")).ino;
      const built = builtReleaseFolder(hash, "x64");
      assert.equal(inode(join(staged, "release")), inode(built), "hard links");
      assert.equal(existsSync(join(staged, "release/.keep")), false);

      const image = `hastack-test/${name}`;
      await mustRun(["docker", "build", "--quiet", `--tag=${image}`, staged]);
      try {
        const container = (await mustRun(["docker", "create", image])).trim();
        try {
          const out = join(folder, "out");
          await mustRun(["docker", "cp", `${container}:/opt/hastack/current`, out]);
          await works(out);
        } finally {
          await mustRun(["docker", "rm", container]);
        }
      } finally {
        await mustRun(["docker", "rmi", image]);
      }
    });

    it("an application's folder for an image takes the place of its last, not of others'", async () => {
      const image = join(folder, ".image");
      mkdirSync(image);
      const stage = async (changes: Partial<ReleaseRecipe> = {}) =>
        stagedRelease(recipe(changes), releaseHash(recipe(changes)), "x64", image);
      const other = await stage({ name: `${name}-other` });
      const first = await stage();
      put("server.sh", "another");
      const second = await stage();
      assert.deepEqual([other, first, second].map(existsSync), [true, false, true]);
    });
  });

  it("archives of an application go when it has a new one, others' stay", async () => {
    const pack = (changes: Partial<ReleaseRecipe> = {}) =>
      packedRelease(recipe(changes), releaseHash(recipe(changes)), "x64");
    const other = await pack({ name: `${name}-other` });
    const first = await pack();
    put("server.sh", "another");
    const second = await pack();
    assert.deepEqual([other, first, second].map(existsSync), [true, false, true]);
  });
});
