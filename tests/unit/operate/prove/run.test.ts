import assert from "node:assert/strict";
import { notWhole } from "../../../../operate/prove/run.ts";

describe("a stack that is to be proved", () => {
  const finding = (what: string) => ({ state: "down", what, should: "", fix: "" }) as const;
  const member = (name: string, role: string, ...what: readonly string[]) => ({
    ...{ name, role, machine: name, is: "", marks: {} },
    ...{ state: what.length > 0 ? ("down" as const) : ("ok" as const) },
    findings: what.map(finding),
  });
  const subject = (name: string, ...what: readonly string[]) => ({
    ...{ name, is: "", findings: what.map(finding) },
    state: what.length > 0 ? ("down" as const) : ("ok" as const),
  });

  it("is whole where all members are well, and what they can do only together", () => {
    const members = [member("db-1", "database"), member("lb-1", "loadBalancer")];
    assert.deepEqual(notWhole({ members, subjects: [subject("balancers")] }), []);
  });

  it("is not with a member that is not well, or an address that two hold", () => {
    const members = [member("db-1", "database", "is down"), member("lb-1", "loadBalancer")];
    const subjects = [subject("balancers", "held by lb-1 and lb-2")];
    assert.deepEqual(notWhole({ members, subjects }), [
      "db-1: is down",
      "balancers: held by lb-1 and lb-2",
    ]);
  });

  it("is whole all the same while backups, disks or certificates want something", () => {
    const members = [member("backup-1", "backup", "receives no log")];
    const subjects = ["backup", "kit", "disks", "certificates"].map((name) =>
      subject(name, "wants care"),
    );
    assert.deepEqual(notWhole({ members, subjects }), []);
  });
});
