import assert from "node:assert/strict";
import { until } from "../../../../../lib/until.ts";
import { spoil } from "../../../../support/spoil.ts";
import { RestorePlace, state, uploads } from "../../../../support/unit/restore-place.ts";

const segments = `${state}/repository/archive/hastack-1/17-1/0000000100000000`;
const now =
  "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
const restore = (to: string) => `import restored; restored.restore("${to}")`;
const verb = (name: string) => `import restored, json; print(json.dumps(restored.${name}()))`;
const rows = "SELECT count(*) FROM pictures";

interface Restored {
  readonly phase: string;
  readonly why: string | null;
  readonly tables: readonly Record<string, unknown>[];
  readonly files: Record<string, unknown>;
}

describe("O3: a restore beside the running stack", function () {
  this.timeout(240_000);
  let place: RestorePlace;
  /** The second before the wrong DELETE. */
  let before_: string;

  before(async function () {
    this.timeout(900_000);
    place = await RestorePlace.start();
    await place.container.run(`cd ${uploads} && mkdir -p a .trash/a
      for i in 1 2 3 4 5; do echo picture $i > a/$i.png; done; chown -R www-data . && chmod 640 a/1.png a/2.png
      printf odd > "$(printf 'odd\\n*\\\\name')"`);
    await place.sql(`INSERT INTO pictures (path) SELECT 'a/' || i || '.png' FROM generate_series(1, 5) i;
      INSERT INTO pictures (path) VALUES (E'odd\\n*\\\\name'), ('gone.png'), ('../../../etc/passwd'), (NULL)`);
    await place.python("import files; files.copy()");
    before_ = await place.sql(now);
    await place.sql("DELETE FROM pictures");
    await place.sql("CREATE TABLE later (id int)");
    await place.container.run(`cd ${uploads} && mv a/1.png .trash/a/ && rm a/2.png odd* `);
    await place.archive("range");
  });
  after(() => place?.remove());

  const told = async () => (await place.state("restored")) as unknown as Restored;
  const refusal = async (to = "newest") => (await place.refused(restore(to))).trim();
  /** Ends the restored database as a crash of its machine does. */
  const crash = () =>
    place.container.run(`kill -9 $(head -1 ${state}/restored/data/postmaster.pid); sleep 1`);
  /** Nothing of a restore is left, and the live database and what is recorded are as they were. */
  async function untouched(): Promise<void> {
    assert.equal((await told()).phase, "failed");
    assert.equal(await place.container.run(`ls ${state}/restored`), "");
    assert.equal(await place.sql(rows), "0");
  }

  it("goes back to the second before a wrong DELETE, and shows what differs", async () => {
    await place.python(restore(before_));
    const { phase, tables } = await told();
    assert.equal(phase, "beside");
    const counts = tables.map(({ table, live, restored }) => ({ table, live, restored }));
    assert.deepEqual(counts, [
      { table: "public.later", live: 0, restored: null },
      { table: "public.other", live: 0, restored: 0 },
      { table: "public.pictures", live: 0, restored: 9 },
    ]);
    const pictures = tables.find(({ table }) => table === "public.pictures");
    assert.ok(String(pictures?.newestRestored) < before_);
    assert.equal(pictures?.newestLive, null);
    assert.equal(await place.restored(rows), "9");
    assert.equal(await place.sql(rows), "0");
  });

  it("shows which files of the rows are missing, and where they are", async () => {
    const { files } = await told();
    const { nowhere, ...counts } = files;
    assert.deepEqual(nowhere, ["uploads/../../../etc/passwd", "uploads/gone.png"]);
    assert.deepEqual(counts, { named: 8, missing: 5, inTrash: 1, inBackup: 2, nowhereCount: 2 });
  });

  it("can be reached by root and postgres alone, through a socket", async () => {
    const modes = `stat -c '%a %U' ${state}/restored ${state}/restored/socket ${state}/restored/data`;
    assert.equal(
      await place.container.run(modes),
      ["700 postgres", "700 postgres", "700 postgres"].join("\n"),
    );
    assert.equal(await place.restored("SHOW listen_addresses"), "");
  });

  it("is there again once the keeper starts anew, wherever it was killed", async () => {
    await crash();
    await place.python(verb("resume"));
    assert.equal(await place.restored(rows), "9");
  });

  it("brings the files back: from the trash, and from the copies", async () => {
    const brought = JSON.parse(await place.python(`${verb("bring_files")}`));
    assert.deepEqual(brought, {
      brought: 3,
      missing: ["uploads/../../../etc/passwd", "uploads/gone.png"],
      missingCount: 2,
    });
    const look = `cd ${uploads} && cat a/1.png a/2.png odd* && stat -c '%U %a' a/1.png a/2.png && ls -A . .trash/a`;
    assert.equal(
      await place.container.run(look),
      "picture 1\npicture 2\noddwww-data 640\nwww-data 640\n.:\n.trash\na\n'odd'$'\\n''*\\name'\n\n.trash/a:".replaceAll(
        "'odd'$'\\n''*\\name'",
        "odd\n*\\name",
      ),
    );
    assert.equal(JSON.parse(await place.python(verb("bring_files"))).brought, 0);
  });

  it("brings many files back, by one reading of a copy", async () => {
    await place.container.run(`cd ${uploads} && mkdir many && for i in $(seq 60); do echo $i > many/$i; done
      printf x > "$(printf 'a\\377b')"`);
    const copied = "import files; files.copy()";
    await place.python(copied);
    await place.container.run(`rm -r ${uploads}/many`);
    await place.settings({
      filesOfRows: { uploads: "SELECT 'many/' || i FROM generate_series(1, 60) i" },
    });
    assert.equal(JSON.parse(await place.python(verb("bring_files"))).brought, 60);
    assert.equal(
      await place.container.run(
        `cat ${uploads}/many/* | sort -n | tail -1; ls ${uploads}/many | wc -l; ls -A ${uploads} | grep -c hastack || true`,
      ),
      "60\n60\n0",
    );
    await place.settings();
  });

  it("follows no link that somebody has put in the way of a file", async () => {
    await place.container.run(
      `cd ${uploads} && mv a b && mkdir /srv/victim && ln -s /srv/victim a`,
    );
    const { stdout, stderr, code } = await place.container.attempt(
      `cd /etc/hastack/keeper && python3 -B -`,
      verb("bring_files"),
    );
    assert.equal(await place.container.run("ls -A /srv/victim"), "", `${code} ${stdout} ${stderr}`);
    await place.container.run(`cd ${uploads} && rm a && mv b a`);
  });

  describe("promoted", () => {
    const dsn = (user: string, more = "") =>
      `host=127.0.0.1 port=5440 user=${user} sslmode=verify-full sslrootcert=/etc/hastack/tls/database-ca.crt ${more}`;
    const certificate = (name: string) =>
      `sslcert=/etc/hastack/tls/${name}.pem sslkey=/etc/hastack/tls/${name}.pem`;
    const copied = (who: string) =>
      place.container.attempt(
        `rm -rf /tmp/copied; su postgres -c '/usr/lib/postgresql/17/bin/pg_basebackup -c fast -X stream -D /tmp/copied -d "${who}"'`,
      );

    it("is copied by the database members, with their certificate", async () => {
      const promoting = await place.begin("import restored; restored.promote()");
      await until("it is being promoted", {
        probe: () => place.container.attempt(`test -e ${state}/restored/data/recovery.signal`),
        done: ({ code }) => code !== 0,
        limitSeconds: 60,
        intervalSeconds: 0.05,
      });
      await promoting.kill();
      await place.python(verb("promote"));
      await place.python(verb("promote"));
      assert.equal((await told()).phase, "promoted");
      const { code, stderr } = await copied(dsn("replicator", certificate("replicator")));
      assert.equal(code, 0, stderr);
      assert.equal(await place.restored(rows), "9");
    });

    it("is copied by no one else", async () => {
      for (const who of [
        dsn("replicator", "sslcert=none"),
        dsn("replicator", certificate("keeper")),
        dsn("keeper", certificate("keeper")),
        dsn("postgres", certificate("replicator")),
      ]) {
        const { code, stderr } = await copied(who);
        assert.notEqual(code, 0, who);
        assert.match(stderr, /certificate|no pg_hba.conf entry/);
      }
    });

    it("is there again once the keeper starts anew, and no restore takes its place", async () => {
      await crash();
      await place.python(verb("resume"));
      assert.equal(await place.restored(rows), "9");
      assert.match(
        await refusal(),
        /is ready to take the stack's place: npm run restore -- --in-place goes on, --discard/,
      );
    });

    it("is removed", async () => {
      await place.python(verb("discard"));
      await place.python(verb("discard"));
      assert.equal(await place.container.run(`ls ${state}/restored`), "");
      assert.match(await place.refused("import restored; restored.promote()"), /restore one first/);
    });
  });

  describe("fails, and leaves all as it was,", () => {
    const changed = async (edit: string, back: string, check: () => Promise<void>) => {
      await place.container.run(edit);
      try {
        await check();
      } finally {
        await place.container.run(back);
      }
    };

    it("where the moment cannot be restored: it says which can", async () => {
      assert.match(
        await refusal("2020-01-01T00:00:00Z"),
        /^2020-01-01T00:00:00.000Z cannot be restored: one can restore 20\S+Z to 20\S+Z$/,
      );
      assert.match(await refusal("yesterday"), /is no time: write it like/);
      assert.match(await refusal("2026-01-01T00:00:00"), /has no zone/);
    });

    it("with a wrong key", async () => {
      const conf = "/etc/hastack/pgbackrest.conf";
      await changed(
        `cp ${conf} /tmp/conf && sed -i 's/cipher-pass=.*/cipher-pass=another/' ${conf}`,
        `cat /tmp/conf > ${conf}`,
        async () => {
          assert.match(
            await refusal(),
            /^no repository gives a backup from before .*; local: .*key/,
          );
        },
      );
    });

    it("with a backup that is damaged", async () => {
      const bundle = `${state}/repository/backup/hastack-1/*F/bundle`;
      await changed(
        `cp -a ${bundle} /tmp/bundle && ${spoil(`$(echo ${bundle}/1)`, 5000)}`,
        `cp -a /tmp/bundle/. ${bundle}/`,
        async () => {
          assert.match(
            await refusal(),
            /^the backup \S+F cannot be restored: local: it is damaged: /,
          );
          await untouched();
        },
      );
    });

    it("where there is no room", async () => {
      const said = await place.refused(
        'import restored, common; common.ROOM_FOR_LOG = 1 << 60; restored.restore("newest")',
      );
      assert.match(
        said,
        /no room: the restored database needs \d+ MB in \S+\/restored, and \d+ MB are free/,
      );
      await untouched();
    });

    it("where a file of the log is missing: it says up to when one can restore", async () => {
      await place.sql("INSERT INTO other VALUES (1); SELECT pg_switch_wal()");
      const last = await place.sql(now);
      await place.archive("store");
      await place.sql("INSERT INTO other VALUES (2); SELECT pg_switch_wal()");
      await place.archive("range");
      await place.archive("store");
      const newest = await place.container.run(`cd ${segments} && ls | sort | tail -1`);
      await changed(
        `mv ${segments}/${newest} /tmp/`,
        `mv /tmp/${newest} ${segments}/`,
        async () => {
          const said = await refusal();
          assert.match(
            said,
            new RegExp(
              `^the log ends before the moment asked for: ${newest.slice(0, 24)} was not received, and no repository has it; one can restore up to `,
            ),
          );
          assert.ok(String(said.split(" ").at(-1)) <= last, `${said}, ${last}`);
          await untouched();
        },
      );
    });

    it("when it is killed, and can be repeated", async () => {
      const cutOff = await place.begin(restore("newest"));
      await until("data is there", {
        probe: () => place.container.attempt(`test -e ${state}/restored/data/PG_VERSION`),
        done: ({ code }) => code === 0,
        limitSeconds: 60,
        intervalSeconds: 0.05,
      });
      await cutOff.kill();
      await place.python(verb("resume"));
      assert.match(String((await told()).why), /^interrupted: /);
      await untouched();
      await place.python(restore("newest"));
      assert.equal((await told()).phase, "beside");
      assert.equal(await place.restored("SELECT count(*) FROM other"), "2");
    });
  });
});
