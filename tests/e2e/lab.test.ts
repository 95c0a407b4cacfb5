/** The whole stack on three machines, from bare to bare. */
import assert from "node:assert/strict";
import { MachinePlace } from "../support/machine-place.ts";
import { servingInstances } from "../support/members.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { badMachinesSuite } from "./suites/bad-machines.ts";
import { cacheSuite } from "./suites/cache.ts";
import { changesSuite } from "./suites/changes.ts";
import { failoverSuite } from "./suites/faults.ts";
import { httpsSuite } from "./suites/https.ts";
import { machinesSuite, rebootSuite } from "./suites/machines.ts";
import { siteSuite } from "./suites/site.ts";
import { travelSuite } from "./suites/travel.ts";

const name = "e2e-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.20", "172.29.21", "172.29.22"],
  project: stackFolder(name),
});
const stack = new TestStack(name, place);
const seconds = (start: number) => ((Date.now() - start) / 1000).toFixed(1);

describe("lab on three machines, end to end", function () {
  this.timeout("20m");

  before("start the machines", async () => {
    const start = Date.now();
    await stack.create();
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
    console.log(`      machines started: ${seconds(start)} s`);
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  badMachinesSuite(stack, place);

  describe("up", () => {
    it("W1, W2: bare machines come to serve", async () => {
      const start = Date.now();
      await stack.mustUp();
      console.log(`      from bare to serving: ${seconds(start)} s`);
      assert.equal((await servingInstances(stack)).length, 4);
    });

    it("W3: a second up changes nothing", async () => {
      const start = Date.now();
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
      console.log(`      up without a change: ${seconds(start)} s`);
    });
  });

  siteSuite(stack);
  machinesSuite(stack, place);
  cacheSuite(stack);
  travelSuite(stack);
  changesSuite(stack);
  httpsSuite(stack);
  failoverSuite(stack);
  rebootSuite(stack, place);

  describe("destroy", () => {
    it("W4: leaves nothing of the stack on the machines", async () => {
      const start = Date.now();
      await stack.destroy();
      console.log(`      destroy: ${seconds(start)} s`);
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
