/** Disks without room on three machines; for `npm run test:full`. */
import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { fullDisksSuite, makeDisks } from "./suites/full-disks.ts";

const name = "full-disks";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.60", "172.29.61", "172.29.62"],
  project: stackFolder(name),
});
const stack = new TestStack(name, place);

describe("full disks on three machines", function () {
  this.timeout("20m");

  before("bring the stack up", async function () {
    onlyInFull(this);
    await stack.create();
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
    await makeDisks(stack);
    await timed("from bare to serving", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  fullDisksSuite(stack);
});
