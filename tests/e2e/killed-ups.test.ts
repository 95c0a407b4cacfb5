/** A stack on Docker whose `up`s are killed. */
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { TestStack } from "../support/test-stack.ts";
import { killedUpsSuite } from "./suites/killed-ups.ts";

const stack = new TestStack("killed", new ContainerPlace("killed"));

describe("killed ups on Docker", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  killedUpsSuite(stack);
});
