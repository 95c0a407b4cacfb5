/** The passwords of a stack on Docker, replaced under load. */
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { TestStack } from "../support/test-stack.ts";
import { rotateSuite } from "./suites/rotate.ts";

const stack = new TestStack("rotate", new ContainerPlace("rotate"));

describe("passwords on Docker", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    await timed("up", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  rotateSuite(stack);
});
