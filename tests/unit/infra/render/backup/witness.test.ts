import assert from "node:assert/strict";
import { until } from "../../../../../lib/until.ts";
import { RestorePlace, state } from "../../../../support/unit/restore-place.ts";

const record = "import witness; print(witness.record())";
const live = '"host=/tmp port=5000 user=postgres dbname=hastack"';
/** Writers whose transactions overlap, and of which each waits before it ends. */
const write = `
import threading, time
from session import Session
def write(number):
    with Session(${live}) as session:
        while True:
            session.ask("BEGIN")
            session.ask(f"INSERT INTO other VALUES ({number})")
            time.sleep(number / 100)
            session.ask(f"INSERT INTO pictures (path) VALUES ('{number}')")
            session.ask("COMMIT")
            time.sleep(number / 50)
for number in (1, 2, 3):
    threading.Thread(target=write, args=(number,)).start()`;
/** A transaction that does not end. */
const hold = `
import time
from session import Session
with Session(${live}) as session:
    session.ask("BEGIN")
    session.ask("INSERT INTO other VALUES (9)")
    time.sleep(120)`;
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

  const rows = async () => Number(await place.sql("SELECT count(*) FROM other"));
  const records = () => place.container.run(`cd ${state}/witness && ls | grep -c ^2 || true`);

  it("is what the log says at its place, to the row, while others write", async () => {
    const writers = await place.begin(write);
    await until("they write", { probe: rows, done: (count) => count > 20, limitSeconds: 60 });
    for (let count = 0; count < 4; count++) {
      assert.match(await place.python(record), /witness\/2.*\.json/);
    }
    const written = await rows();
    await until("they still write", {
      probe: rows,
      done: (count) => count > written,
      limitSeconds: 20,
    });
    await writers.kill();
    await place.archive("range");
    const found = (await place.python(compareAll)).split("\n").map((line) => line.split(" "));
    assert.equal(found.length, 8);
    assert.deepEqual(
      found.filter(([, difference]) => difference !== "0"),
      [],
    );
    assert.ok(found.every(([, , counted]) => Number(counted) > 10));
  });

  it("is not made while a transaction is in progress, and why is told", async () => {
    const before = await records();
    const held = await place.begin(hold);
    await until("the transaction is in progress", {
      probe: () => place.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"),
      done: (count) => count === "1",
      limitSeconds: 30,
    });
    const short = "import witness; witness.TRY_SECONDS = 2; print(witness.record())";
    assert.equal(await place.python(short), "None");
    const told = JSON.parse(await place.container.run(`cat ${state}/witness/tried.json`));
    assert.match(told.why, /was not still for one moment of 2 s/);
    assert.equal(await records(), before);
    await held.kill();
    // It is not tried again at once
    assert.equal(await place.python("import witness; print(witness.due())"), "False");
  });

  it("leaves out tables that are too large", async () => {
    const small = "import witness; witness.TABLE_LIMIT = 100; print(open(witness.record()).read())";
    await place.sql("CREATE TABLE empty (id int)");
    assert.deepEqual(JSON.parse(await place.python(small)).counts, { "public.empty": 0 });
  });

  it("goes once nothing from before can be restored", async () => {
    await place.python(`import witness, common, datetime
witness.expire(common.now() - datetime.timedelta(days=1))
assert len(witness.records()) == 5
witness.expire(common.now() + datetime.timedelta(seconds=1))
assert not witness.records()`);
    assert.equal(await records(), "0");
  });
});
