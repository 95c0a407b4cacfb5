/** A running stack of an earlier release, taken over by `up` under load. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { inRoot } from "../../../lib/paths.ts";
import { mustRun, run } from "../../../lib/run.ts";
import { addOffer, Bookers } from "../../support/bookers.ts";
import { show, timed, underLoad } from "../../support/measure.ts";
import { inside } from "../../support/members.ts";
import { promises, slack } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import {
  missingWrites,
  postDestination,
  type Report,
  request,
  type Seen,
} from "../../support/traffic.ts";
import { attacksSuite } from "./attacks.ts";

/** The last commit whose members spoke without TLS. */
const earlier = "de89b10f333c8244aebd2eee6f016a2e1d8070b6";

/** Takes the earlier release's sources out of the project's history. @returns nothing without one */
export async function earlierCheckout(name: string): Promise<string | undefined> {
  const there = await run(["git", "cat-file", "-e", `${earlier}^{commit}`], { cwd: inRoot() });
  if (there.code !== 0) {
    console.log(`      skipped: this checkout has no history (no commit ${earlier})`);
    return undefined;
  }
  const checkout = inRoot(".hastack/test", name);
  rmSync(checkout, { recursive: true, force: true });
  mkdirSync(checkout, { recursive: true });
  await mustRun(["sh", "-c", `git archive ${earlier} | tar -x -C '${checkout}'`], {
    cwd: inRoot(),
  });
  return checkout;
}

/** What tells the data from data that was made anew: inode and birth of their directories. */
async function dataOf(stack: TestStack): Promise<string[]> {
  const database = "stat -c '%i %W' /var/lib/postgresql/17/hastack";
  return [
    await inside(stack, "db-1", database),
    await inside(stack, "db-2", database),
    await inside(stack, "storefront-1", "stat -c '%i' /var/lib/hastack/uploads"),
  ];
}

/** Connections that are open when the addresses move once from each load balancer. */
const mostCut = 20;

/**
 * keepalived holds the addresses in another way than it did, and is started anew. What is open when they
 * move ends, as with any move; nothing else may fail.
 */
function assertOnlyMoved(
  { reads, databaseReads, writes }: Report,
  booked: Pick<Seen, "failed" | "failures">,
): void {
  const all = [reads, databaseReads, writes, booked];
  const others = all
    .flatMap(({ failures }) => Object.keys(failures))
    .filter((why) => !/^(read ECONNRESET|socket hang up|the answer was cut off)$/.test(why));
  assert.deepEqual(others, []);
  const cut = all.reduce((sum, { failed }) => sum + failed, 0);
  assert.ok(cut <= mostCut, `${cut} were cut`);
  const promised = promises.loadBalancerLost;
  assert.ok(reads.gapSeconds <= promised.reads * slack, `reads: ${reads.gapSeconds} s`);
  assert.ok(writes.gapSeconds <= promised.writes * slack, `writes: ${writes.gapSeconds} s`);
}

/** @param stack of the earlier release, up */
export function takenOverSuite(stack: TestStack): void {
  it("O6, W3, W8: is taken over by up: no data is replaced, nothing is lost, and no request fails but those that are open when the addresses move", async () => {
    const quote = "written before";
    const written = { ...(await postDestination(stack, quote)), quote };
    const offer = await addOffer(stack, 100_000);
    const bookers = await Bookers.register(stack.doors, offer.id, 4);
    const before = await dataOf(stack);
    stack.takeSources();
    stack.configure(stack.place.laterSettings);
    const preview = await stack.must(["preview", "--diff"]);
    assert.doesNotMatch(
      preview,
      /^\s*(\+-|\+\+|--|-) docker:index\/volume:Volume/m,
      "no volume is replaced",
    );
    bookers.start();
    const report = await underLoad(stack, () => timed("taken over", () => stack.mustUp()), 10);
    const booked = await bookers.stop();
    show("taken over", report, promises.loadBalancerLost);
    assertOnlyMoved(report, booked);
    assert.ok(bookers.acknowledged > 50, `${bookers.acknowledged} bookings`);
    assert.deepEqual(await bookers.missing(), []);
    assert.deepEqual(await missingWrites(stack, [written, ...report.acknowledged]), []);
    assert.deepEqual(await dataOf(stack), before);
  });

  it("W3: is as the new release wants it: another up changes nothing", async () => {
    assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
  });

  it("D2: has both database members in touch with etcd, as a failover needs", async () => {
    for (const member of ["db-1", "db-2"]) {
      const url = `https://${stack.place.address(member)}:8008/patroni`;
      const { body } = await request(url, { rejectUnauthorized: false, agent: false });
      const silent = Date.now() / 1000 - JSON.parse(body).dcs_last_seen;
      assert.ok(silent < 20, `${member} has heard nothing of etcd for ${silent} s`);
    }
  });

  // The doors that were open without TLS are closed
  attacksSuite(stack);

  describe("its end", () => {
    it("W4: is taken away whole", async () => {
      await stack.destroy();
      assert.deepEqual(await stack.place.leftovers(), []);
    });
  });
}
