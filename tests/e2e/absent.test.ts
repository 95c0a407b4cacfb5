/** Machines of a stack on Docker that are lost for a while; a long run, for `npm run test:full`. */
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { TestStack } from "../support/test-stack.ts";
import { absentSuite } from "./suites/absent.ts";

const stack = new TestStack("away", new ContainerPlace("away"));

describe("absent machines", function () {
  this.timeout("15m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    stack.configure({ "hastack:tiers": { storefront: { instances: 3 } } });
    await stack.mustUp();
  });

  after("leave nothing, whatever failed", () => stack.destroyAll());

  absentSuite(stack);
});
