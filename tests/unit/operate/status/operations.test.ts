/** What is told of an operation that is under way, and of one that was cut off. */
import assert from "node:assert/strict";
import { holderOf } from "../../../../operate/act/lock.ts";
import { judgeOperations } from "../../../../operate/status/operations.ts";

describe("status of operations", () => {
  const holder = holderOf("switchover db-2", new Date("2026-11-27T17:00:00Z"));
  const left = JSON.stringify({
    ...holder,
    undo: [{ do: "undrain", members: ["admin-1"] }],
  });

  it("O1: names who has the lock, since when and for what, and finds nothing wrong in it", () => {
    const subject = judgeOperations({ holder, left, entries: [] }, true);
    assert.match(
      subject.is,
      /^under way, locked by \S+ since 2026-11-27 17:00:00 UTC: switchover db-2$/,
    );
    assert.equal(subject.state, "ok");
  });

  it("O1: says what a command that is gone has left, and what undoes it", () => {
    const gone = { ...holder, process: { ...holder.process, id: 2 ** 30 } };
    for (const known of [
      { left, entries: [] },
      { holder: gone, left, entries: [] },
    ]) {
      const [finding] = judgeOperations(known, true).findings;
      assert.match(finding?.what ?? "", /switchover db-2 by \S+ was cut off .* undrain admin-1$/);
      assert.equal(finding?.state, "degraded");
    }
  });

  it("O1: is not known where nobody tells; without etcd's quorum that is no finding of its own", () => {
    assert.equal(judgeOperations(undefined, true).state, "unknown");
    assert.equal(judgeOperations(undefined, false).state, "ok");
  });

  it("O1: tells the last one", () => {
    const entry = { operator: "ann@desk", what: "drain lb-1", since: "2026-11-27T16:00:00Z" };
    const { is } = judgeOperations({ entries: [{ ...entry, outcome: "done" }] }, true);
    assert.equal(
      is,
      "none under way; the last: drain lb-1, done, 2026-11-27 16:00 UTC by ann@desk",
    );
  });
});
