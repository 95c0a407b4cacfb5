import assert from "node:assert/strict";
import { RestorePlace, state } from "../../../../support/unit/restore-place.ts";

const record = "import witness; print(witness.record())";
/** Writers whose transactions overlap, and of which some wait before they end. */
const writers = `for i in 1 2 3; do
  while sleep 0.0$i; do
    echo "BEGIN; INSERT INTO other VALUES ($i); SELECT pg_sleep(0.0$i); INSERT INTO pictures (path) VALUES ('$i'); COMMIT"
  done | psql -h /tmp -p 5000 -U postgres -XAtq hastack > /dev/null 2>&1 &
  echo $!
done`;
/** Restores to each record, and says which count differs. */
const compareAll = `
import compare, drill, instance, witness
one = instance.Instance("drill")
for record in witness.records():
    one.remove()
    one.bring(1, drill.backup_before(record)["backup"])
    one.recover(1, drill.target(record), str(record["timeline"]))
    one.wait_until_paused()
    with one.session() as session:
        for table, rows in record["counts"].items():
            found = int(session.value(f"SELECT count(*) FROM {table}"))
            print(table, found - rows, rows)
one.remove()`;

describe("O3: the archive's own record of counts", function () {
  this.timeout(240_000);
  let place: RestorePlace;

  before(async function () {
    this.timeout(900_000);
    place = await RestorePlace.start();
  });
  after(() => place?.remove());

  const records = () => place.container.run(`cd ${state}/witness && ls | grep -c ^2 || true`);

  it("is what the log says at its place, to the row, while others write", async () => {
    const ids = (await place.container.run(`${writers}`)).split("\n");
    for (let count = 0; count < 4; count++) {
      assert.match(await place.python(record), /witness\/2.*\.json/);
    }
    await place.container.run(`kill ${ids.join(" ")}`);
    await place.archive("range");
    const found = (await place.python(compareAll)).split("\n").map((line) => line.split(" "));
    assert.equal(found.length, 8);
    assert.deepEqual(
      found.filter(([, difference]) => difference !== "0"),
      [],
    );
    assert.ok(found.some(([, , rows]) => Number(rows) > 10));
  });

  it("is not made while a transaction is in progress, and why is told", async () => {
    const before = await records();
    await place.container.run(`echo "BEGIN; INSERT INTO other VALUES (9); SELECT pg_sleep(6)" |
      psql -h /tmp -p 5000 -U postgres -XAtq hastack > /dev/null 2>&1 & sleep 1`);
    const short = "import witness; witness.TRY_SECONDS = 2; print(witness.record())";
    assert.equal(await place.python(short), "None");
    const told = JSON.parse(await place.container.run(`cat ${state}/witness/tried.json`));
    assert.match(told.why, /was not still for one moment of 2 s/);
    assert.equal(await records(), before);
    // It is not tried again at once
    assert.equal(await place.python("import witness; print(witness.due())"), "False");
  });

  it("leaves out tables that are too large", async () => {
    await place.container.run("sleep 5");
    const small = "import witness; witness.TABLE_LIMIT = 100; print(open(witness.record()).read())";
    await place.sql("CREATE TABLE empty (id int)");
    assert.deepEqual(JSON.parse(await place.python(small)).counts, { "public.empty": 0 });
  });

  it("goes once nothing from before can be restored", async () => {
    await place.python(`import witness, common, datetime
witness.expire()
assert len(witness.records()) == 5
witness.expire(common.now() + datetime.timedelta(seconds=1))
assert not witness.records()`);
    assert.equal(await records(), "0");
  });
});
