import assert from "node:assert/strict";
import { membersCalled } from "../../../../operate/logs/logs.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("npm run logs", () => {
  const stack = openStack("dev");
  const namesOf = (...names: string[]) => membersCalled(stack, names).map(({ name }) => name);

  it("W9: takes a member, a component by its name or its short one, a tier, and several", () => {
    assert.deepEqual(namesOf("db-2"), ["db-2"]);
    assert.deepEqual(namesOf("database"), ["db-1", "db-2"]);
    assert.deepEqual(namesOf("lb"), ["lb-1", "lb-2"]);
    assert.deepEqual(namesOf("admin", "cache", "admin-1"), ["admin-1", "admin-2", "cache-1"]);
  });

  it("W9: shows all members unless some are named", () => {
    assert.ok(namesOf().length >= 12);
  });

  it("W9: says what there is, where nothing is called so", () => {
    assert.throws(() => namesOf("web"), /nothing is called web; there are etcd-1, quorum, etcd, /);
  });
});
