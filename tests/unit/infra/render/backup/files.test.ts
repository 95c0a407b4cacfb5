import assert from "node:assert/strict";
import { until } from "../../../../../lib/until.ts";
import { spoil } from "../../../../support/spoil.ts";
import {
  localFiles,
  RestorePlace,
  state,
  uploads,
} from "../../../../support/unit/restore-place.ts";

const copy = "import files; files.copy()";
const secrets = "RESTIC_PASSWORD='a key for tests'";
const restic = (words: string, repository = localFiles.repository) =>
  `${secrets} restic --quiet --repo ${repository} ${words}`;
const second = { ...localFiles, name: "s3", repository: "/srv/second" };
const both = { repositories: ["local", "s3"] };

interface Copied {
  readonly at: string;
  readonly why: string | null;
  readonly files: number;
  readonly repositories: Record<string, { readonly at: string; readonly why: string | null }>;
}

describe("O3: copies of the shared directories", function () {
  this.timeout(240_000);
  let place: RestorePlace;

  before(async function () {
    this.timeout(900_000);
    place = await RestorePlace.start({ database: false });
    await place.container.run(`mkdir ${uploads}/a && echo one > ${uploads}/a/1.png`);
  });
  beforeEach(async () => {
    await place.settings();
    await place.files([localFiles]);
  });
  after(() => place?.remove());

  const told = async () => (await place.state("files")) as unknown as Copied;
  const snapshots = async (repository?: string) =>
    JSON.parse(await place.container.run(restic("snapshots --json", repository))) as {
      readonly time: string;
      readonly paths: string[];
    }[];
  const restore = async () => {
    await place.container.run(`rm -rf /tmp/back && ${restic("restore latest --target /tmp/back")}`);
    return place.container.attempt(`diff -r ${uploads} /tmp/back${uploads}`);
  };

  /** Has a program's work be killed once restic has locked the repository for it. */
  const cutOff = async (program: string) => {
    const work = await place.begin(program);
    await until("restic has locked the repository", {
      probe: () => place.container.run(`ls ${localFiles.repository}/locks`),
      done: (locks) => locks !== "",
      limitSeconds: 30,
      intervalSeconds: 0.05,
    });
    await work.kill();
    assert.notEqual(await place.container.run(`ls ${localFiles.repository}/locks`), "");
  };

  it("make a repository where there is none, and add to it", async () => {
    await place.python(copy);
    await place.container.run(`echo two > ${uploads}/a/2.png`);
    await place.python(copy);
    assert.deepEqual(
      (await snapshots()).map(({ paths }) => paths),
      [[uploads], [uploads]],
    );
    const { at, why, files, repositories } = await told();
    assert.deepEqual([why, files, repositories.local?.why], [null, 2, null]);
    assert.equal(repositories.local?.at, at);
    assert.equal((await restore()).code, 0);
  });

  it("hold files whatever they are called", async () => {
    const odd = `cd ${uploads} && printf 1 > "$(printf 'a\\nb')" && printf 2 > "$(printf 'a\\377b')" && printf 3 > ' *[x]$HOME' && printf 4 > '"'`;
    await place.container.run(odd);
    await place.python(copy);
    const { code, stdout } = await restore();
    assert.equal(code, 0, stdout);
    assert.equal((await told()).files, 6);
  });

  it("go to a repository although another one is away, which is told", async () => {
    await place.settings(both);
    await place.files([{ ...localFiles, repository: "/dev/null/away" }, second]);
    await place.python(copy);
    const { why, repositories } = await told();
    assert.equal(why, null);
    assert.match(String(repositories.local?.why), /^local: it does not answer: /);
    assert.equal(repositories.s3?.why, null);
    assert.equal((await snapshots("/srv/second")).length, 1);
  });

  it("fail where no repository has one", async () => {
    await place.files([{ ...localFiles, password: "another" }]);
    const wrong = "local: the repository of files cannot be opened with this encryption key";
    assert.equal(await place.refused("import files; files.copy()"), wrong);
    assert.equal((await told()).why, wrong);
  });

  it("are not taken of a directory that is not mounted", async () => {
    const before = await snapshots();
    await place.container.run("mkdir -p /srv/uploads");
    await place.settings({ shared: { uploads: "/srv/uploads" } });
    const refusal =
      "the shared directory uploads is not mounted at /srv/uploads on backup-1: nothing is copied";
    assert.equal(await place.refused("import files; files.copy()"), refusal);
    assert.equal((await told()).why, refusal);
    assert.deepEqual(await snapshots(), before);
  });

  it("that were cut off are made again", async () => {
    await place.container.run(`head -c 400M /dev/urandom > ${uploads}/large`);
    await cutOff(copy);
    await place.python(copy);
    const { code, stdout } = await restore();
    assert.equal(code, 0, stdout);
    await place.container.run(`rm ${uploads}/large`);
  });

  it("are made although a check was cut off that had locked the repository for itself", async () => {
    await cutOff("import files; files.check()");
    await place.python(copy);
    assert.equal((await told()).repositories.local?.why, null);
  });

  it("are forgotten once they are older than retention", async () => {
    const days = (count: number) => `date -u -d '${count} days ago' '+%F %T'`;
    for (const count of [40, 20, 10]) {
      const words = `backup --host hastack --tag hastack --time "$(${days(count)})" ${uploads}/a`;
      await place.container.run(restic(words));
    }
    const six = "import files; [files.copy() for _ in range(5)]";
    await place.python(six);
    await place.container.run(`rm ${state}/state/files.json`);
    await place.python(copy);
    const ages = (await snapshots()).map(
      ({ time }) => (Date.now() - Date.parse(time)) / 86_400_000,
    );
    assert.ok(!ages.some((age) => age > 22.5), ages.join());
    assert.ok(
      ages.some((age) => age > 19),
      ages.join(),
    );
  });

  it("leave out what proving the stack writes there for a while", async () => {
    await place.container.run(
      `mkdir ${uploads}/.hastack-prove && echo x > ${uploads}/.hastack-prove/1`,
    );
    const { files: before } = await told();
    await place.python(copy);
    assert.equal((await told()).files, before);
    assert.doesNotMatch(await place.container.run(restic("ls latest")), /hastack-prove/);
    await place.container.run(`rm -r ${uploads}/.hastack-prove`);
  });

  it("are checked: what is damaged is told", async () => {
    const check = "import files, json; print(json.dumps(files.check()))";
    assert.deepEqual(JSON.parse(await place.python(check)), []);
    const damage = `for one in ${localFiles.repository}/data/*/*; do chmod u+w $one; ${spoil("$one", 40)}; done`;
    await place.container.run(damage);
    const problems = JSON.parse(await place.python(check));
    assert.equal(problems.length, 1);
    assert.match(problems[0], /^files: local: /);
  });
});
