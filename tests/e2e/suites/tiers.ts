/** Tiers that are renamed, added and removed while the stack runs, under load. */
import assert from "node:assert/strict";
import { addOffer, Bookers } from "../../support/bookers.ts";
import { show, timed, underLoad } from "../../support/measure.ts";
import { admins, primary, servingInstances, sql } from "../../support/members.ts";
import { promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites } from "../../support/traffic.ts";

const description = "app/hastack.yaml";
const grants = "app/sql/grants.sql";
/** Where the travel agency tells its tiers apart. */
const sources = ["run/config.ts", "http/health.ts", "http/views.ts", "http/server-config.ts"];

/** A tier without a port, before the others. */
const worker = `tiers:
  - name: clerk
    command: [sleep, infinity]
    poolSize: 1
`;

const roleOf = (tier: string) => `app_${tier.replaceAll("-", "_")}`;

/** @param stack one on Docker that serves the travel agency, and is not there yet */
export function tiersSuite(stack: TestStack): void {
  let offer: { readonly id: number };

  /** Gives a tier another name, in the description and in all of the application that knows it. */
  function rename(from: string, to: string, formerly = ""): void {
    stack.edit(description, (text) =>
      text.replace(
        new RegExp(`- name: ${from}\n(    formerly: .*\n)?`),
        `- name: ${to}\n${formerly}`,
      ),
    );
    stack.edit(grants, (text) => text.replaceAll(roleOf(from), roleOf(to)));
    for (const path of sources) {
      stack.edit(`app/src/${path}`, (text) => text.replaceAll(`"${from}"`, `"${to}"`));
    }
    stack.edit("app/src/http/app.ts", (text) =>
      text.replace(new RegExp(`^    "?${from}"?: \\[`, "m"), `    "${to}": [`),
    );
  }

  /** `up` while pages are read, destinations are written and places are booked: none fails. */
  async function upWithoutFailure(what: string): Promise<void> {
    const bookers = await Bookers.register(stack.doors, offer.id, 4);
    bookers.start();
    const report = await underLoad(stack, () => timed(what, () => stack.mustUp()), 5);
    const booked = await bookers.stop();
    show(what, report, promises.release);
    console.log(`        booked: ${bookers.acknowledged}, ${booked.failed} failed`);
    assert.equal(report.reads.failed, 0, JSON.stringify(report.reads.failures));
    assert.equal(report.writes.failed, 0, JSON.stringify(report.writes.failures));
    assert.equal(booked.failed, 0, JSON.stringify(booked.failures));
    assert.ok(bookers.acknowledged > 50, `${bookers.acknowledged} bookings`);
    assert.deepEqual(await bookers.missing(), []);
    assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
  }

  /** What tells containers from others made anew under the same names. */
  const identities = (members: readonly string[]) =>
    Promise.all(members.map((member) => stack.place.identity(member)));

  /** Refused at preview and by `up`, with these lines, and nothing is touched. */
  async function refused(lines: readonly string[], members: readonly string[]): Promise<void> {
    const before = await identities(members);
    for (const { code, stdout } of [await stack.pulumi(["preview"], 120), await stack.up()]) {
      assert.notEqual(code, 0);
      for (const line of lines) assert.ok(stdout.includes(line), `${line} in\n${stdout}`);
    }
    assert.deepEqual(await identities(members), before);
    assert.deepEqual(await servingInstances(stack), members);
  }

  /** Roles of tiers that can log in. */
  const logins = async () =>
    sql(
      stack,
      await primary(stack),
      "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'app\\_%';",
    );

  describe("tiers", () => {
    const shopFronts = ["shop-front-1", "shop-front-2"];
    const shops = ["shop-1", "shop-2"];
    const kept = [...admins, ...shopFronts];

    before("bring the stack up", async () => {
      await timed("up", () => stack.mustUp());
      offer = await addOffer(stack, 100_000);
    });

    it("O6, W8: a tier with another name takes the places of the old one, and no request fails", async () => {
      const before = await identities(admins);
      rename("storefront", "shop-front", "    formerly: storefront\n");
      const preview = await stack.must(["preview"]);
      assert.match(preview, /docker:index:Container +shop-front-1 +replace/);
      assert.doesNotMatch(preview, /RandomPassword/, "its password stays");
      await upWithoutFailure("a renamed tier");
      assert.deepEqual(await servingInstances(stack), kept);
      assert.notDeepEqual(await identities(admins), before, "it is another release");
    });

    it("O6, A5: the login of the old name is gone, and the new one works", async () => {
      assert.equal(await logins(), "app_admin app_shop_front");
      assert.match((await stack.request("api/health")).body, /"role":"shop-front"/);
    });

    it("O6, W3: a second up changes nothing", async () => {
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });

    it("O6, W5: a new tier in the places of others is refused at preview, with what keeps them", async () => {
      stack.edit(description, (text) => text.replace("tiers:\n", worker));
      await refused(
        [
          "hastack:tiers.shop-front: shop-front-1 runs at 172.29.11.41 and cannot move to 172.29.11.51, set hastack:tiers.shop-front.firstHost: 41",
          "hastack:tiers.admin: admin-1 runs at 172.29.11.51 and cannot move to 172.29.11.71, set hastack:tiers.admin.firstHost: 51",
        ],
        kept,
      );
    });

    it("O6, W8: with that it is added, no request fails, and no instance of the others is replaced", async () => {
      const before = await identities(kept);
      const tiers = { "shop-front": { firstHost: 41 }, admin: { firstHost: 51 } };
      stack.configure({ "hastack:tiers": tiers });
      await upWithoutFailure("an added worker");
      assert.deepEqual(await identities(kept), before);
      for (const clerk of ["clerk-1", "clerk-2"]) {
        assert.notEqual(await stack.place.identity(clerk), "", clerk);
      }
      assert.equal(await logins(), "app_admin app_clerk app_shop_front");
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });

    it("O6, W8: it is removed again, its login too, and no request fails", async () => {
      const before = await identities(kept);
      stack.edit(description, (text) => text.replace(worker, "tiers:\n"));
      stack.configure({});
      await upWithoutFailure("a removed worker");
      assert.deepEqual(await identities(kept), before);
      for (const clerk of ["clerk-1", "clerk-2"]) {
        assert.equal((await stack.place.identity(clerk)).trim(), "", clerk);
      }
      assert.equal(await logins(), "app_admin app_shop_front");
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });

    it("O6, W5: a new name without the old one is refused at preview, with both ways out", async () => {
      rename("shop-front", "shop");
      await refused(
        [
          "hastack:tiers.shop: shop-1 cannot have 172.29.11.41, where shop-front-1 still runs, write formerly: shop-front in hastack.yaml if shop is its new name, or else set hastack:tiers.shop.firstHost: 71",
        ],
        kept,
      );
    });

    it("O6, W8: in a place of its own it comes before the old one goes, and no request fails", async () => {
      stack.configure({ "hastack:tiers": { shop: { firstHost: 71 } } });
      await upWithoutFailure("another tier in place of one");
      assert.deepEqual(await servingInstances(stack), [...admins, ...shops]);
      assert.equal(await logins(), "app_admin app_shop");
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });
  });
}
