/** The stack of an earlier release on Docker. */
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { TestStack } from "../support/test-stack.ts";
import { earlierCheckout, takenOverSuite } from "./suites/taken-over.ts";

const stack = new TestStack("taken", new ContainerPlace("taken"));

describe("a stack of an earlier release on Docker", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    const checkout = await earlierCheckout("taken-before");
    if (checkout === undefined) return this.skip();
    await stack.create("copy", checkout);
    await timed("up of the earlier release", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  takenOverSuite(stack);
});
