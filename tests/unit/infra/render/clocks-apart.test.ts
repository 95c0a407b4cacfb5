/** Whether it matters to the database that the clocks of its machines differ. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { mostSeconds, promises } from "../../../support/promises.ts";
import { makeTable, writeInto } from "../../../support/unit/pair-writer.ts";
import { PatroniPair } from "../../../support/unit/patroni-pair.ts";

/** Seconds that each clock is off by: a minute from everybody else's, two from the peer's. */
const off: Readonly<Record<string, number>> = { "db-1": 60, "db-2": -60 };
/** Longest pause of writes. */
const limitSeconds = mostSeconds(promises.primaryMachineLost, "writes");
const preload = "/usr/$LIB/faketime/libfaketimeMT.so.1";

describe("a pair whose clocks are two minutes apart", function () {
  this.timeout(300_000);
  let pair: PatroniPair;

  before(async function () {
    this.timeout(900_000);
    pair = await PatroniPair.start({
      packages: ["libfaketime"],
      options: (member) =>
        [`LD_PRELOAD=${preload}`, `FAKETIME=${off[member]}`, "DONT_FAKE_MONOTONIC=1"].map(
          (one) => `--env=${one}`,
        ),
    });
    await pair.startQuorum("https");
    await pair.placeAll();
    await pair.whole();
    await makeTable(pair);
  });
  after(() => pair?.remove());

  for (const [member, seconds] of Object.entries(off))
    it(`the PostgreSQL of ${member} is off by ${seconds} s`, async () => {
      const now = await pair.sql(member, "SELECT extract(epoch FROM clock_timestamp())");
      const difference = Number(now) - Date.now() / 1000;
      assert.ok(Math.abs(difference - seconds) < 5, `${difference} s`);
    });

  for (const way of ["there", "back"])
    it(`D2, D4: fails over, ${way}, in time and without a loss`, async () => {
      const lost = await pair.whole();
      const stop = await writeInto(pair, way);
      await sleep(3000);
      await pair.on(lost).run(`s6-svc -dk /etc/hastack/services/patroni; pkill -KILL postgres`);
      await sleep(limitSeconds * 1000);
      await pair.on(lost).run("s6-svc -u /etc/hastack/services/patroni");
      assert.notEqual(await pair.whole(), lost);
      const written = await stop();
      console.log(`      writes paused for ${written.longest.toFixed(1)} s`);
      assert.equal(written.lost, "");
      assert.ok(written.longest < limitSeconds, `${written.longest} s`);
    });
});
