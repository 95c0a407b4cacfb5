import assert from "node:assert/strict";
import type { Cluster } from "../../../operate/act/patroni.ts";
import { sqlMember } from "../../../operate/sql.ts";
import { openStack } from "../../../operate/stack.ts";

describe("npm run sql", () => {
  const stack = openStack("dev");
  const cluster: Cluster = {
    members: [
      { name: "db-1", role: "sync_standby", state: "streaming" },
      { name: "db-2", role: "leader", state: "running" },
    ],
  };

  it("W9: is at the primary, whoever that is, or at the standby", () => {
    assert.equal(sqlMember(stack, cluster, false).name, "db-2");
    assert.equal(sqlMember(stack, cluster, true).name, "db-1");
  });

  it("W9: says what there is where there is no standby", () => {
    const alone = { members: [{ name: "db-2", role: "leader", state: "running" }] };
    assert.throws(() => sqlMember(stack, alone, true), /no standby \(db-2: leader, running\)/);
  });
});
