/** A running stack of an earlier release, taken over by `up` under load; for `npm run test:full`. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { inRoot } from "../../lib/paths.ts";
import { mustRun, run } from "../../lib/run.ts";
import { addOffer, Bookers } from "../support/bookers.ts";
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { show, timed, underLoad } from "../support/measure.ts";
import { sql } from "../support/members.ts";
import { promises } from "../support/promises.ts";
import { TestStack } from "../support/test-stack.ts";
import { missingWrites, postDestination } from "../support/traffic.ts";

/** The last commit whose stacks served one application that was built into the program. */
const beforeCommit = "c1f4f0cd3cef0f88ff43be210968a57fb1daf887";
const checkout = inRoot(".hastack/test/before");

const place = new ContainerPlace("taken");
const stack = new TestStack("taken", place);

/** Each data volume with what tells it from one that was made anew. */
async function volumes(): Promise<string> {
  const filter = [
    "--filter",
    "label=hastack.stack=taken",
    "--filter",
    "label=hastack.component=Data",
  ];
  const names = (await mustRun(["docker", "volume", "ls", "-q", ...filter])).trim().split("\n");
  // The identity of the folder: another one made under the same name has another inode or birth
  const folders = await mustRun([
    "docker",
    "volume",
    "inspect",
    "-f",
    "{{.Name}} {{.Mountpoint}}",
    ...names,
  ]);
  const marks = folders
    .trim()
    .split("\n")
    .sort()
    .map(async (line) => {
      const [name = "", folder = ""] = line.split(" ");
      return `${name} ${(await mustRun(["stat", "-c", "%i %W", folder])).trim()}`;
    });
  return (await Promise.all(marks)).join("\n");
}

describe("a stack of an earlier release", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    const there = await run(["git", "cat-file", "-e", `${beforeCommit}^{commit}`], {
      cwd: inRoot(),
    });
    if (there.code !== 0) {
      console.log(`      skipped: this checkout has no history (no commit ${beforeCommit})`);
      this.skip();
    }
    rmSync(checkout, { recursive: true, force: true });
    mkdirSync(checkout, { recursive: true });
    await mustRun(["sh", "-c", `git archive ${beforeCommit} | tar -x -C ${checkout}`], {
      cwd: inRoot(),
    });
    await stack.create("copy", checkout);
    await timed("up of the earlier release", () => stack.mustUp());
  });

  after("leave nothing, whatever failed", async () => {
    await stack.destroyAll();
    rmSync(checkout, { recursive: true, force: true });
  });

  it("O6, W3, W8: is taken over by up: no volume is replaced, no request fails, nothing is lost", async () => {
    const quote = "written before";
    const written = { ...(await postDestination(stack, quote)), quote };
    const offer = await addOffer(stack, 100_000);
    const bookers = await Bookers.register(stack.doors, offer.id, 4);
    const volumesBefore = await volumes();
    stack.takeSources();
    const preview = await stack.must(["preview", "--diff"]);
    assert.doesNotMatch(
      preview,
      /^\s*(\+-|\+\+|--|-) docker:index\/volume:Volume/m,
      "no volume goes",
    );
    bookers.start();
    const report = await underLoad(stack, () => timed("taken over", () => stack.mustUp()), 10);
    const booked = await bookers.stop();
    show("taken over", report, promises.release);
    assert.equal(report.reads.failed, 0, JSON.stringify(report.reads.failures));
    assert.equal(report.writes.failed, 0, JSON.stringify(report.writes.failures));
    assert.equal(booked.failed, 0, JSON.stringify(booked.failures));
    assert.ok(bookers.acknowledged > 50, `${bookers.acknowledged} bookings`);
    assert.deepEqual(await bookers.missing(), []);
    assert.deepEqual(await missingWrites(stack, [written, ...report.acknowledged]), []);
    assert.equal(await volumes(), volumesBefore);
  });

  it("O6, A5: has its tiers' new logins, and the old ones no more", async () => {
    const logins =
      "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles " +
      "WHERE rolcanlogin AND rolname IN ('storefront', 'admin', 'app_storefront', 'app_admin');";
    assert.equal(await sql(stack, "db-1", logins), "app_admin app_storefront");
  });

  it("W3: is as the new release wants it: another up changes nothing", async () => {
    assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
  });

  it("W4: is taken away whole", async () => {
    await stack.destroy();
    assert.deepEqual(await place.leftovers(), []);
  });
});
