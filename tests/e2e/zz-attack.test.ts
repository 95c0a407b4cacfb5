import { ContainerPlace } from "../support/container-place.ts";
import { timed } from "../support/measure.ts";
import { TestStack } from "../support/test-stack.ts";
import { attacksSuite, impostersSuite } from "./suites/attacks.ts";

const stack = new TestStack("zz", new ContainerPlace("zz"));
describe("zz", function () {
  this.timeout("20m");
  before(async () => {
    if (process.env.ZZ_KEEP !== "again") {
      await stack.create();
      await timed("up", () => stack.mustUp());
    } else stack.takeSources();
  });
  after(async () => {
    if (!process.env.ZZ_KEEP) await stack.destroyAll();
  });
  attacksSuite(stack);
  impostersSuite(stack);
});
