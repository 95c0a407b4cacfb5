/** Tiers that are renamed, added and removed while the stack runs, under load. */
import assert from "node:assert/strict";
import { addOffer, Bookers } from "../../support/bookers.ts";
import { assertNoneFailed, show, timed, underLoad } from "../../support/measure.ts";
import {
  admins,
  inside,
  primary,
  servingInstances,
  sql,
  storefronts,
} from "../../support/members.ts";
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

/** Changes the travel agency's tiers, and looks at what comes of it. */
class TierChanges {
  readonly #stack: TestStack;
  #offer: Promise<{ readonly id: number }> | undefined;

  constructor(stack: TestStack) {
    this.#stack = stack;
  }

  /** Gives a tier another name, in the description and in all of the application that knows it. */
  rename(from: string, to: string, formerly = ""): void {
    const edit = (path: string, change: (text: string) => string) => this.#stack.edit(path, change);
    const before = new RegExp(`- name: ${from}\n(    formerly: .*\n)?`);
    edit(description, (text) => text.replace(before, `- name: ${to}\n${formerly}`));
    edit(grants, (text) => text.replaceAll(roleOf(from), roleOf(to)));
    for (const path of sources) {
      edit(`app/src/${path}`, (text) => text.replaceAll(`"${from}"`, `"${to}"`));
    }
    const routes = new RegExp(`^    "?${from}"?: \\[`, "m");
    edit("app/src/http/app.ts", (text) => text.replace(routes, `    "${to}": [`));
  }

  /**
   * `up` while pages are read, destinations are written and places are booked: none fails.
   * @param loggedOut whether visitors have to log in again: a tier of another name has other secrets
   */
  async upWithoutFailure(what: string, { loggedOut = false } = {}): Promise<void> {
    const stack = this.#stack;
    this.#offer ??= addOffer(stack, 100_000);
    const bookers = await Bookers.register(stack.doors, (await this.#offer).id, 4);
    bookers.start();
    const report = await underLoad(stack, () => timed(what, () => stack.mustUp()), 5);
    const booked = await bookers.stop();
    show(what, report, promises.release);
    console.log(`        booked: ${bookers.acknowledged}, ${booked.failed} failed`);
    assertNoneFailed(report);
    const failures = Object.keys(booked.failures);
    assert.deepEqual(
      failures.filter((why) => !(loggedOut && why.startsWith('401 {"error":"login-needed"'))),
      [],
    );
    assert.equal(failures.length > 0, loggedOut);
    assert.ok(bookers.acknowledged > 50, `${bookers.acknowledged} bookings`);
    assert.deepEqual(await bookers.missing(), []);
    assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
  }

  async upChangesNothing(): Promise<void> {
    assert.match(await this.#stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
  }

  /** Something else for each instance that was replaced. */
  identities(members: readonly string[]): Promise<string[]> {
    return Promise.all(members.map((member) => this.#stack.place.identity(member)));
  }

  /** Refused at preview and by `up`, with these lines, and nothing is touched. */
  async refused(lines: readonly string[], members: readonly string[]): Promise<void> {
    const before = await this.identities(members);
    const serving = await servingInstances(this.#stack);
    for (const act of [() => this.#stack.pulumi(["preview"], 120), () => this.#stack.up()]) {
      const { code, stdout } = await act();
      assert.notEqual(code, 0);
      for (const line of lines) assert.ok(stdout.includes(line), `${line} in\n${stdout}`);
    }
    assert.deepEqual(await this.identities(members), before);
    assert.deepEqual(await servingInstances(this.#stack), serving);
  }

  /** Roles of tiers that can log in. */
  async logins(): Promise<string> {
    const ask =
      "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'app\\_%';";
    return sql(this.#stack, await primary(this.#stack), ask);
  }
}

/** @param stack one on Docker that serves the travel agency, and is not there yet */
export function tiersSuite(stack: TestStack): void {
  const tiers = new TierChanges(stack);

  describe("tiers", () => {
    const shopFronts = ["shop-front-1", "shop-front-2"];
    const shops = ["shop-1", "shop-2"];
    const kept = [...admins, ...shopFronts];

    before("bring the stack up", () => timed("up", () => stack.mustUp()));

    it("O6, W8: a tier with another name takes the places of the old one, and no request fails", async () => {
      const before = await tiers.identities(admins);
      tiers.rename("storefront", "shop-front", "    formerly: storefront\n");
      const preview = await stack.must(["preview"]);
      assert.match(preview, /docker:index:Container +shop-front-1 +replace/);
      assert.doesNotMatch(preview, /RandomPassword/, "its password stays");
      await tiers.upWithoutFailure("a renamed tier");
      assert.deepEqual(await servingInstances(stack), kept);
      assert.notDeepEqual(await tiers.identities(admins), before, "it is another release");
    });

    it("O6, A5: the login of the old name is gone, and the new one works", async () => {
      assert.equal(await tiers.logins(), "app_admin app_shop_front");
      assert.match((await stack.request("api/health")).body, /"role":"shop-front"/);
    });

    it("O6, W3: a second up changes nothing", async () => {
      await tiers.upChangesNothing();
    });

    it("O6, W5: a new tier in the places of others is refused at preview, with what keeps them", async () => {
      stack.edit(description, (text) => text.replace("tiers:\n", worker));
      await tiers.refused(
        [
          "hastack:tiers.shop-front: shop-front-1 runs at 172.29.11.41 and cannot move to 172.29.11.51, set hastack:tiers.shop-front.firstHost: 41",
          "hastack:tiers.admin: admin-1 runs at 172.29.11.51 and cannot move to 172.29.11.71, set hastack:tiers.admin.firstHost: 51",
        ],
        kept,
      );
    });

    it("O6, W8: with that it is added, no request fails, and no instance of the others is replaced", async () => {
      const before = await tiers.identities(kept);
      const places = { "shop-front": { firstHost: 41 }, admin: { firstHost: 51 } };
      stack.configure({ "hastack:tiers": places });
      await tiers.upWithoutFailure("an added worker");
      assert.deepEqual(await tiers.identities(kept), before);
      for (const clerk of ["clerk-1", "clerk-2"]) {
        assert.notEqual(await stack.place.identity(clerk), "", clerk);
      }
      assert.equal(await tiers.logins(), "app_admin app_clerk app_shop_front");
      await tiers.upChangesNothing();
    });

    it("O6, W8: it is removed again, its login too, and no request fails", async () => {
      const before = await tiers.identities(kept);
      stack.edit(description, (text) => text.replace(worker, "tiers:\n"));
      stack.configure({});
      await tiers.upWithoutFailure("a removed worker");
      assert.deepEqual(await tiers.identities(kept), before);
      for (const clerk of ["clerk-1", "clerk-2"]) {
        assert.equal((await stack.place.identity(clerk)).trim(), "", clerk);
      }
      assert.equal(await tiers.logins(), "app_admin app_shop_front");
      await tiers.upChangesNothing();
    });

    it("O6, W5: a new name without the old one is refused at preview, with both ways out", async () => {
      tiers.rename("shop-front", "shop");
      await tiers.refused(
        [
          "hastack:tiers.shop: shop-1 cannot have 172.29.11.41, where shop-front-1 still runs, write formerly: shop-front in hastack.yaml if shop is its new name, or else set hastack:tiers.shop.firstHost: 71",
        ],
        kept,
      );
    });

    it("O6, W8: in a place of its own it comes before the old one goes, and no request fails", async () => {
      stack.configure({ "hastack:tiers": { shop: { firstHost: 71 } } });
      await tiers.upWithoutFailure("another tier in place of one", { loggedOut: true });
      assert.deepEqual(await servingInstances(stack), [...admins, ...shops]);
      assert.equal(await tiers.logins(), "app_admin app_shop");
      await tiers.upChangesNothing();
    });
  });
}

/** @param stack one on three machines that serves the travel agency, and is not there yet */
export function tiersOnMachinesSuite(stack: TestStack): void {
  const tiers = new TierChanges(stack);
  const shopFronts = ["shop-front-1", "shop-front-2"];

  describe("tiers on machines", () => {
    before("bring the stack up", () => timed("up", () => stack.mustUp()));

    it("O6, W5: a new name without the old one is refused at preview: both listen on one port", async () => {
      tiers.rename("storefront", "shop-front");
      const machines = stack.place.settings["hastack:machines"] as { roles: string[] }[];
      stack.configure({
        "hastack:machines": machines.map(({ roles, ...rest }) => ({
          ...rest,
          roles: roles.map((role) => (role === "storefront" ? "shop-front" : role)),
        })),
      });
      await tiers.refused(
        [
          "port 3000 (shop-front) is held by storefront of this stack while shop-front-1 is made, write formerly: storefront in hastack.yaml if shop-front is its new name, or else give shop-front another port in hastack.yaml",
        ],
        [...admins, ...storefronts],
      );
    });

    it("O6, W8: with it the new name takes the place of the old one, and no request fails", async () => {
      stack.edit(description, (text) =>
        text.replace("- name: shop-front\n", "- name: shop-front\n    formerly: storefront\n"),
      );
      await tiers.upWithoutFailure("a renamed tier");
      assert.deepEqual(await servingInstances(stack), [...admins, ...shopFronts]);
      assert.equal(await tiers.logins(), "app_admin app_shop_front");
      for (const machine of ["lb-1", "lb-2"]) {
        const look =
          "find /etc /opt/hastack/current -name '*storefront*'; systemctl list-units --all --plain --no-legend '*storefront*'";
        assert.equal((await inside(stack, machine, look)).trim(), "", machine);
      }
      await tiers.upChangesNothing();
    });
  });
}
