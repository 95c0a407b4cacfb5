/** Data that outlives its stack; a long run, for `npm run test:full`. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { sql } from "../support/members.ts";
import { TestStack } from "../support/test-stack.ts";
import { missingWrites, postDestination } from "../support/traffic.ts";

const place = new ContainerPlace("kept");
const stack = new TestStack("kept", place);

describe("data kept over destroy", function () {
  this.timeout("15m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    stack.configure({ "hastack:keepData": true });
  });

  after("leave nothing, whatever failed", () => stack.destroyAll());

  it("W4: destroy with keepData leaves the data volumes and nothing else", async () => {
    await stack.mustUp();
    const quote = `kept ${randomUUID()}`;
    const written = { ...(await postDestination(stack, quote)), quote };
    await stack.destroy();
    assert.deepEqual((await place.leftovers()).sort(), [
      "volume hastack-kept-db-1-data",
      "volume hastack-kept-db-2-data",
      "volume hastack-kept-uploads",
    ]);

    await stack.mustUp();
    assert.deepEqual(await missingWrites(stack, [written]), []);
    assert.equal(await sql(stack, "db-2", "SELECT count(*) FROM pg_stat_wal_receiver;"), "1");
    await postDestination(stack, `written by new principals ${randomUUID()}`);
  });

  it("W4: destroy with keepData off leaves nothing", async () => {
    stack.configure({ "hastack:keepData": false });
    await stack.mustUp();
    await stack.destroy();
    assert.deepEqual(await place.leftovers(), []);
  });
});
