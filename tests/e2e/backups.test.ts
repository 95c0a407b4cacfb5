/** Backups on Docker: made, tried, and what is wrong taken back from them. */
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { travelAgency } from "../support/place.ts";
import { TestStack } from "../support/test-stack.ts";
import { backupsSuite } from "./suites/backups.ts";

const stack = new TestStack("e2e", new ContainerPlace("e2e", travelAgency, true));

describe("backups on Docker", function () {
  this.timeout("20m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    await timed("up", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  backupsSuite(stack);
});
