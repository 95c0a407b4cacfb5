/** The passwords of a stack on three machines, replaced under load. */
import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { rotateSuite } from "./suites/rotate.ts";

const name = "rotate-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.79", "172.29.80", "172.29.81"],
  project: stackFolder(name),
});
const stack = new TestStack(name, place);

describe("passwords on three machines", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
    await timed("up", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  rotateSuite(stack);
});
