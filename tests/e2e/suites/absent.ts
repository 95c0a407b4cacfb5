/** Changes while a machine is lost, and what is refused of a stack that runs. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { assertNoneFailed, show, timed, underLoad } from "../../support/measure.ts";
import {
  fileOf,
  healed,
  holders,
  primary,
  servingInstances,
  startMember,
  wholePair,
} from "../../support/members.ts";
import { promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, type Report } from "../../support/traffic.ts";

/** What a preview says of it, without an `up`: it takes half a minute. */
export function absentPreviewSuite(stack: TestStack): void {
  describe("a preview while a machine is lost", () => {
    after(async () => {
      stack.configure({});
      await startMember(stack, "storefront-2");
      await healed(stack);
    });

    it("W11: changes the load balancers alone where it is named as absent, and says so", async () => {
      await stack.place.lose("storefront-2");
      stack.configure({ "hastack:absent": ["storefront-2"] });
      const { code, stdout } = await stack.pulumi(["preview", "--json"], 120);
      assert.equal(code, 0, stdout);
      const { steps } = JSON.parse(stdout) as { steps: { op: string; urn: string }[] };
      const changed = steps
        .filter(({ op }) => op !== "same")
        .map(({ urn }) => urn.split("::").at(-1));
      assert.deepEqual(changed.sort(), ["lb-1-files", "lb-1-gate", "lb-2-files", "lb-2-gate"]);
      assert.match(stdout, /storefront-2: is absent: nothing of it is changed/);
    });

    it("W5: what a running stack cannot change yet is refused", async () => {
      const { frontend, backend } = stack.place.settings["hastack:network"] as Record<
        "frontend" | "backend",
        { readonly subnet: string; readonly vip: string }
      >;
      const other = { ...frontend, vip: frontend.vip.replace(/\d+$/, "99") };
      stack.configure({
        "hastack:members": { quorum: 5 },
        "hastack:network": { frontend: other, backend },
      });
      const { code, stdout } = await stack.pulumi(["preview"], 120);
      assert.notEqual(code, 0);
      assert.match(stdout, /hastack:members.quorum: 5 is not what runs: etcd runs with 3 members/);
      assert.match(stdout, new RegExp(`frontend.vip: ${other.vip} is not ${frontend.vip}`));
    });
  });
}

/** Seconds in which what is back would have been found by whoever looks for it. */
const backSeconds = 12;

/** One machine of each kind is lost, all at once; they come back too early, and then in order. */
export function absentSuite(stack: TestStack): void {
  describe("machines that are lost for a while", () => {
    const three = { "hastack:tiers": { storefront: { instances: 3 } } };
    let lost: string[] = [];
    let active = "";

    before(async () => {
      const [holder = ""] = await holders(stack);
      const standby = (await primary(stack)) === "db-1" ? "db-2" : "db-1";
      lost = ["storefront-3", holder, "etcd-3", standby];
      for (const member of lost) await stack.place.lose(member);
      active = holder === "lb-1" ? "lb-2" : "lb-1";
      await sleep(backSeconds * 1000);
    });

    it("W11: a new release and a setting go through without them, and no request fails", async () => {
      const identities = await identitiesOf(stack, lost);
      stack.configure({
        ...three,
        "hastack:absent": lost,
        "hastack:loadBalancer": { balance: "leastconn" },
      });
      stack.edit("app/src/http/views.ts", (text) => `${text}\n// another release\n`);
      let said = "";
      const report = await underLoad(stack, () =>
        timed("up without four machines", async () => {
          said = await stack.mustUp();
        }),
      );
      await nothingFailed(stack, "four machines are absent", report);
      for (const name of lost) assert.match(said, new RegExp(`${name}: is absent`));
      assert.match(await fileOf(stack, active, "haproxy.cfg"), /leastconn/);
      assert.deepEqual(await identitiesOf(stack, lost), identities, "they are left alone");
    });

    it("W11: back before their up they serve nothing, hold no address, and the database is a pair", async () => {
      let served: string[] = [];
      const report = await underLoad(stack, async () => {
        for (const member of lost) await startMember(stack, member);
        await sleep(backSeconds * 1000);
        served = await servingInstances(stack);
        await wholePair(stack);
      });
      await nothingFailed(stack, "they are back too early", report);
      assert.deepEqual(served, ["admin-1", "admin-2", "storefront-1", "storefront-2"]);
      assert.deepEqual(await holders(stack), [active]);
      assert.notEqual(
        await stack.place.releaseOf("storefront-3"),
        await stack.place.releaseOf("storefront-1"),
      );
    });

    it("W11: the up without their names makes up what they lack, and they serve", async () => {
      stack.configure({ ...three, "hastack:loadBalancer": { balance: "leastconn" } });
      const report = await underLoad(stack, () => timed("up with them", () => stack.mustUp()));
      await nothingFailed(stack, "they are made whole", report);
      assert.ok((await servingInstances(stack)).includes("storefront-3"));
      assert.equal(
        await stack.place.releaseOf("storefront-3"),
        await stack.place.releaseOf("storefront-1"),
      );
      for (const member of ["lb-1", "lb-2"]) {
        assert.match(await fileOf(stack, member, "haproxy.cfg"), /leastconn/);
      }
      await wholePair(stack);
      const { code, stdout } = await stack.previewNoChanges();
      assert.equal(code, 0, stdout);
    });
  });
}

const identitiesOf = (stack: TestStack, members: readonly string[]) =>
  Promise.all(members.map((member) => stack.place.identity(member)));

async function nothingFailed(stack: TestStack, what: string, report: Report): Promise<void> {
  show(what, report, promises.release);
  assertNoneFailed(report);
  assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
}
