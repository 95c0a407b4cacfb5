/** Whether it matters to the database that the clocks of its machines differ. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Workload } from "../../../../infra/platform/platform.ts";
import { mostSeconds, promises } from "../../../support/promises.ts";
import { makeTable, writeInto } from "../../../support/unit/pair-writer.ts";
import { PatroniPair } from "../../../support/unit/patroni-pair.ts";

/** Seconds that each clock is off by: a minute from everybody else's, two from the peer's. */
const off: Readonly<Record<string, string>> = { "db-1": "+60", "db-2": "-60" };
/** Longest pause of writes. */
const limitSeconds = mostSeconds(promises.primaryMachineLost, "writes");

/** Patroni's clock alone: who is primary, and whether a certificate is valid yet, is judged by that. It starts PostgreSQL without these. */
const withClockOff = (workload: Workload): Workload => ({
  ...workload,
  processes: workload.processes.map((one) =>
    one.name !== "patroni"
      ? one
      : {
          ...one,
          environment: {
            ...one.environment,
            LD_PRELOAD: "/usr/$LIB/faketime/libfaketimeMT.so.1",
            FAKETIME: off[workload.host.name] ?? "+0",
            DONT_FAKE_MONOTONIC: "1",
            // Made by root before it becomes another user, who cannot open it
            FAKETIME_DISABLE_SHM: "1",
          },
        },
  ),
});

describe("a pair whose clocks are two minutes apart", function () {
  this.timeout(300_000);
  let pair: PatroniPair;

  before(async function () {
    this.timeout(900_000);
    pair = await PatroniPair.start({ packages: ["libfaketime"] });
    await pair.startQuorum("https");
    await pair.placeAll(withClockOff);
    await pair.whole();
    await makeTable(pair);
  });
  after(() => pair?.remove());

  for (const [member, offset] of Object.entries(off))
    it(`Patroni of ${member} is off by ${offset} s`, async () => {
      const line = await pair.on(member).run("grep 'INFO: no action' /tmp/log | tail -1");
      const [logged = ""] = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/.exec(line) ?? [];
      const difference = Date.parse(`${logged}Z`) / 1000 - Date.now() / 1000 - Number(offset);
      assert.ok(Math.abs(difference) < 15, `${difference} s`);
    });

  for (const way of ["there", "back"])
    it(`D2, D4: fails over, ${way}, in time and without a loss`, async () => {
      const lost = await pair.whole();
      const stop = await writeInto(pair, way);
      await sleep(3000);
      await pair.on(lost).run("s6-svc -dk /etc/hastack/services/patroni; pkill -KILL postgres");
      await sleep(limitSeconds * 1000);
      await pair.on(lost).run("s6-svc -u /etc/hastack/services/patroni");
      assert.notEqual(await pair.whole(), lost);
      const written = await stop();
      console.log(`      writes paused for ${written.longest.toFixed(1)} s`);
      assert.equal(written.lost, "");
      assert.ok(written.longest < limitSeconds, `${written.longest} s`);
    });
});
