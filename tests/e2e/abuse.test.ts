/** Clients that take more than their share of a stack on Docker, for a minute of each kind. */
import { ContainerPlace } from "../support/container-place.ts";
import { TestStack } from "../support/test-stack.ts";
import { abuseSuite } from "./suites/abuse.ts";

const stack = new TestStack("abuse", new ContainerPlace("abuse"));

describe("abuse of dev, end to end", function () {
  this.timeout("20m");

  before("make the stack", async () => {
    await stack.create();
    await stack.mustUp();
  });
  after("leave nothing, whatever failed", () => stack.destroy());

  abuseSuite(stack);
});
