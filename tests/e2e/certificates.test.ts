/** The members' certificates of a stack on Docker, renewed and issued by another authority. */
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { TestStack } from "../support/test-stack.ts";
import { certificatesSuite } from "./suites/certificates.ts";

const stack = new TestStack("certificates", new ContainerPlace("certificates"));

describe("certificates on Docker", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    await timed("up", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  certificatesSuite(stack);
});
