/** The whole stack on three machines, from bare to bare. */
import assert from "node:assert/strict";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { servingInstances } from "../support/members.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { attacksSuite } from "./suites/attacks.ts";
import { badMachinesSuite } from "./suites/bad-machines.ts";
import { cacheSuite } from "./suites/cache.ts";
import { failoverSuite } from "./suites/faults.ts";
import { machinesSuite } from "./suites/machines.ts";
import { rebootSuite } from "./suites/reboots.ts";
import { scanSuite } from "./suites/scan.ts";
import { siteSuite } from "./suites/site.ts";
import { statusSuite } from "./suites/status.ts";
import { travelSuite } from "./suites/travel.ts";

const name = "e2e-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.20", "172.29.21", "172.29.22"],
  project: stackFolder(name),
  managed: true,
});
const stack = new TestStack(name, place);

describe("lab on three machines, end to end", function () {
  this.timeout("20m");

  before("start the machines", async () => {
    await timed("machines started", () => stack.create());
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  badMachinesSuite(stack, place);

  describe("up", () => {
    it("W1, W2: bare machines come to serve", async () => {
      await timed("from bare to serving", () => stack.mustUp());
      assert.equal((await servingInstances(stack)).length, 4);
    });

    it("W3: a second up changes nothing", async () => {
      const told = await timed("up without a change", () => stack.mustUp());
      assert.match(told, /Resources:\n\s+\d+ unchanged/);
    });
  });

  siteSuite(stack);
  statusSuite(stack);
  machinesSuite(stack, place);
  scanSuite(stack, place);
  attacksSuite(stack);
  cacheSuite(stack);
  travelSuite(stack);
  failoverSuite(stack);
  rebootSuite(stack, place);

  describe("destroy", () => {
    it("W4: leaves nothing of the stack on the machines", async () => {
      await timed("destroy", () => stack.destroy());
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
