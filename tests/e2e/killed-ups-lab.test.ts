/** The same on three machines. */

import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { killedUpsSuite } from "./suites/killed-ups.ts";

const name = "killed-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.90", "172.29.91", "172.29.92"],
  project: stackFolder(name),
});
const stack = new TestStack(name, place);

describe("killed ups on three machines", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  killedUpsSuite(stack);
});
