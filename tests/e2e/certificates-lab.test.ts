/** The members' certificates on three machines, renewed and issued by another authority. */
import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { certificatesSuite } from "./suites/certificates.ts";

const name = "certificates-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.69", "172.29.70", "172.29.71"],
  project: stackFolder(name),
});
const stack = new TestStack(name, place);

describe("certificates on three machines", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
    await timed("up", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  certificatesSuite(stack);
});
