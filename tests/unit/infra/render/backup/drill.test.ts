import assert from "node:assert/strict";
import { until } from "../../../../../lib/until.ts";
import { spoil } from "../../../../support/spoil.ts";
import {
  localFiles,
  RestorePlace,
  state,
  uploads,
} from "../../../../support/unit/restore-place.ts";

interface Drill {
  readonly outcome: "passed" | "failed";
  readonly why: string | null;
  readonly due: string;
  readonly checks: readonly {
    readonly what: string;
    readonly ok: boolean;
    readonly detail: string;
  }[];
}

describe("O3: a restore is tried by itself", function () {
  this.timeout(240_000);
  let place: RestorePlace;

  before(async function () {
    this.timeout(900_000);
    place = await RestorePlace.start();
    await place.container.run(
      `cd ${uploads} && for i in 1 2 3; do head -c 9999 /dev/urandom > $i.png; done`,
    );
    await place.sql(`INSERT INTO pictures (path) SELECT i || '.png' FROM generate_series(1, 3) i;
      INSERT INTO other SELECT generate_series(1, 10000); CREATE INDEX by_id ON other (id)`);
    await place.python("import files; files.copy()");
    await place.archive("backup diff");
    await place.python("import witness; assert witness.record('backup')");
    // The row goes, and its file later
    await place.sql("DELETE FROM pictures WHERE path = '3.png'");
    await place.container.run(`cd ${uploads} && mkdir .trash && mv 3.png .trash/`);
    await place.python("import witness; assert witness.record()");
    await place.archive("range");
    await place.archive("store");
  });
  after(() => place?.remove());

  async function drill(edit = ""): Promise<Drill> {
    await place.python(`import drill, instance\n${edit}\ndrill.drill()`);
    assert.equal(await place.container.run(`ls ${state}/drill`), "", "it leaves nothing");
    return (await place.state("drill")) as unknown as Drill;
  }
  const wrong = ({ checks }: Drill) =>
    checks.filter(({ ok }) => !ok).map(({ what, detail }) => `${what}: ${detail}`);
  /** Has the drill draw one record, or another. */
  const drawn = (which: 0 | -1) => `drill.random.choice = lambda known: known[${which}]`;

  for (const which of [0, -1] as const) {
    it(`and passes, whichever moment is drawn (${which})`, async () => {
      const found = await drill(drawn(which));
      assert.deepEqual([found.outcome, found.why, wrong(found)], ["passed", null, []]);
      assert.equal(found.checks.length, 10);
      assert.ok(Date.parse(found.due) > Date.now() + 6 * 86_400_000);
    });
  }

  it("and fails where a count is another", async () => {
    const records = `cd ${state}/witness && cp $(ls 2* | head -1) /tmp/record`;
    await place.container.run(`${records} && sed -i 's/: 10000/: 10001/' 2*`);
    const found = await drill(drawn(0));
    assert.equal(found.outcome, "failed");
    assert.deepEqual(wrong(found), [
      "the newest backup: rows: public.other has 10000 rows instead of 10001",
      "a drawn moment: rows: public.other has 10000 rows instead of 10001",
    ]);
    await place.container.run(`cd ${state}/witness && sed -i 's/: 10001/: 10000/' 2*`);
  });

  it("and fails where a row's file is nowhere", async () => {
    await place.sql("INSERT INTO pictures (path) VALUES ('never.png')");
    await place.python("import witness; assert witness.record()");
    await place.archive("range");
    const found = await drill(drawn(0));
    assert.deepEqual(wrong(found), [
      "the newest backup: files: 1 files are nowhere, such as 'uploads/never.png'",
    ]);
    await place.sql("DELETE FROM pictures WHERE path = 'never.png'");
    await place.python("import witness; assert witness.record()");
    await place.archive("range");
  });

  it("and fails where a copied file is damaged, or another, or not in the copy", async () => {
    const look = `cp -a ${localFiles.repository} /tmp/files && cp -a ${uploads} /tmp/uploads`;
    await place.container.run(`${look} && cd ${uploads} && ${spoil("1.png", 0)}`);
    const another = wrong(await drill(drawn(-1)));
    assert.match(another.join("\n"), /'1.png' is not what the shared directory has/);
    await place.container.run(`cat /tmp/uploads/1.png > ${uploads}/1.png`);
    await place.container.run(`cd ${localFiles.repository}/data && for one in */*; do
      [ $(stat -c %s $one) -gt 9000 ] && chmod u+w $one && for at in 5000 15000 25000; do ${spoil("$one", "$at")}; done; done; true`);
    const damaged = wrong(await drill(drawn(-1)));
    assert.match(damaged.join("\n"), /copies of files in local: '\d.png' cannot be read: /);
    await place.container.run(
      `rm -r ${localFiles.repository} && cp -a /tmp/files ${localFiles.repository}`,
    );
  });

  it("and fails where a page is damaged", async () => {
    const file = await place.sql("CHECKPOINT; SELECT pg_relation_filepath('by_id')");
    const page = `/var/lib/postgresql/live/${file}`;
    await place.container.run(`cp ${page} /tmp/page && ${spoil(page, 20000)}`);
    await place.archive("backup full");
    await place.container.run(`cat /tmp/page > ${page}`);
    await place.python("import witness; assert witness.record()");
    await place.archive("range");
    const found = wrong(await drill(drawn(0)));
    assert.equal(found.length, 1);
    assert.match(
      String(found[0]),
      /^the newest backup: pages: checksum verification failed in file .*, block 2/,
    );
  });

  it("and fails where it could not run: it says why, and fills no disk", async () => {
    const full = await drill("import common; common.ROOM_FOR_LOG = 1 << 60");
    assert.equal(full.outcome, "failed");
    assert.match(String(full.why), /^no room: the restored database needs \d+ MB/);
    await place.container.run(`mv ${state}/repository/backup /tmp/`);
    const none = await drill();
    assert.match(String(none.why), /there is no backup in a repository that answers/);
    await place.container.run(`mv /tmp/backup ${state}/repository/`);
  });

  it("again after it was killed", async () => {
    const cutOff = await place.begin("import drill; drill.drill()");
    await until("data is there", {
      probe: () => place.container.attempt(`test -e ${state}/drill/data/postmaster.pid`),
      done: ({ code }) => code === 0,
      limitSeconds: 90,
      intervalSeconds: 0.05,
    });
    await cutOff.kill();
    await place.archive("backup full");
    await place.python("import witness; assert witness.record()");
    await place.archive("range");
    assert.deepEqual(wrong(await drill(drawn(-1))), []);
  });

  it("as often as it is to", async () => {
    const due = () => place.python("import drill; print(drill.due())");
    assert.equal(await due(), ((await place.state("drill")) as unknown as Drill).due);
    await place.settings({ drill: { everyDays: 0 } });
    assert.equal(await due(), "None");
    await place.settings();
    await place.container.run(`rm ${state}/state/drill.json`);
    assert.match(await due(), /^20.*Z$/);
  });
});
