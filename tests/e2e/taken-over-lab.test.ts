/** The stack of an earlier release on three machines. */
import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { earlierCheckout, takenOverSuite } from "./suites/taken-over.ts";

const name = "taken-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.40", "172.29.41", "172.29.42"],
  project: stackFolder(name),
  earlier: true,
});
const stack = new TestStack(name, place);

describe("a stack of an earlier release on three machines", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    const checkout = await earlierCheckout("taken-lab-before");
    if (checkout === undefined) return this.skip();
    await stack.create("copy", checkout);
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
    await timed("up of the earlier release", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  takenOverSuite(stack);
});
