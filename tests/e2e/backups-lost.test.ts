/** Backups on Docker in two places, one of them outside: what is lost there, and when all else is lost. */
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { ObjectStore } from "../support/object-store.ts";
import { travelAgency } from "../support/place.ts";
import { TestStack } from "../support/test-stack.ts";
import { backupsAwaySuite, smallLimits } from "./suites/backups-away.ts";
import { badMigrationSuite, everythingLostSuite } from "./suites/backups-lost.ts";

const stack = new TestStack("e2e", new ContainerPlace("e2e", travelAgency, true));
let store: ObjectStore;

describe("backups on Docker, in two places", function () {
  this.timeout("40m");

  before(async function () {
    onlyInFull(this);
    store = await ObjectStore.start("e2e");
    await stack.create();
    stack.configure({
      "hastack:backup": { ...smallLimits.backup, s3: store.setting },
      "hastack:database": smallLimits.database,
    });
    await stack.must(["config", "set", "--secret", "hastack:backupS3Secret", store.secret]);
    await timed("up", () => stack.mustUp());
  });
  after("leave nothing, whatever failed", async () => {
    await stack.destroyAll();
    await store?.remove();
  });

  backupsAwaySuite(stack, () => store);
  badMigrationSuite(stack);
  everythingLostSuite(stack);
});
