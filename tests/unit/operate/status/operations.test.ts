/** What is told of an operation that is under way, and of one that was cut off. */
import assert from "node:assert/strict";
import type { Entry } from "../../../../operate/act/journal.ts";
import { holderOf } from "../../../../operate/act/lock.ts";
import { explained, judgeOperations } from "../../../../operate/status/operations.ts";
import type { Finding } from "../../../../operate/status/picture.ts";
import { recordedStack } from "./recorded-dev.ts";

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

  describe("O1, O3: a restore in the stack's place", () => {
    const note: Record<string, unknown> = {
      id: "0123456789abcd",
      operator: "ann@desk",
      since: "2026-11-27T14:00:00.000Z",
      to: "newest",
      phase: "waits",
      target: "db-1",
    };
    const told = (value: unknown) =>
      judgeOperations({ restore: JSON.stringify(value), entries: [] }, true);
    for (const [phase, what] of [
      ["swapping", /was cut off: npm run restore -- --undo has the former data serve/],
      ["serves", /is not complete: npm run restore -- --in-place goes on/],
      ["waits", /waits: npm run restore -- --accept keeps it, --undo puts the former data back/],
      ["undoing", /was cut off: npm run restore -- --undo/],
      ["back", /was cut off: npm run restore -- --undo/],
    ] as const)
      it(`is told until it is accepted or undone: ${phase}`, () => {
        const { state, findings } = told({ ...note, phase });
        assert.equal(state, "degraded");
        assert.match(findings[0]?.what ?? "", what);
        assert.match(findings[0]?.what ?? "", /by ann@desk, since 2026-11-27 14:00 UTC/);
      });
    it("is no matter while only a copy lies ready", () => {
      assert.equal(told({ ...note, phase: "copied" }).state, "ok");
    });
    it("is told, too, where what is noted of it cannot be read", () => {
      for (const lie of [null, 5, {}, { ...note, phase: "fine" }, { ...note, target: "; reboot" }])
        assert.match(told(lie).findings[0]?.what ?? "", /^a restore that cannot be read waits$/);
    });
  });

  it("O1: tells the last one", () => {
    const entry = { operator: "ann@desk", what: "drain lb-1", since: "2026-11-27T16:00:00Z" };
    const { is } = judgeOperations({ entries: [{ ...entry, outcome: "done" }] }, true);
    assert.equal(
      is,
      "none under way; the last: drain lb-1, done, 2026-11-27 16:00 UTC by ann@desk",
    );
  });

  describe("O1: a load balancer whose keepalived is stopped was drained", () => {
    const drainTime = "2026-11-27T16:00:00Z";
    const entry = (what: string, outcome?: Entry["outcome"], since = "2026-11-27T17:00:00Z") => ({
      operator: "ann@desk",
      what,
      since,
      ...(outcome && { outcome }),
    });
    const drain = entry("drain lb-1", "done", drainTime);
    const stopped: Finding = {
      state: "down",
      what: "the process keepalived is stopped",
      should: "it runs",
      fix: "npm run restart -- lb-1",
      since: "drain",
    };
    const lb = { name: "lb-1", machine: "lb-1", role: "loadBalancer" };
    const told = (later: readonly Entry[]) =>
      explained(recordedStack, { entries: [...later, drain] }, stopped, lb);
    const kept: readonly (readonly Entry[])[] = [
      [],
      [entry("up", "failed")],
      [entry("up")],
      [entry("up --target", "done")],
      [entry("restart lb-2", "done")],
      [entry("drain storefront-1", "done")],
      [entry("undrain lb-1", "failed")],
    ];
    for (const later of kept)
      it(`after ${later.map(({ what, outcome }) => `${what}, ${outcome}`).join() || "nothing"}`, () => {
        const { state, what, fix } = told(later);
        assert.equal(state, "degraded");
        assert.match(what, /\(drain lb-1 by ann@desk, 2026-11-27 16:00 UTC\)$/);
        assert.equal(fix, "npm run undrain -- lb-1");
      });
    for (const what of ["undrain lb-1", "up", "rotate cache", "reboot", "update lb-1", "stop"])
      it(`but not after ${what}, which has started it again`, () => {
        assert.deepEqual(told([entry(what, "done")]), stopped);
      });
    it("and an instance stays drained whatever an up does", () => {
      const is = { ...stopped, what: "it is drained (DRAIN)" };
      const entries = [entry("up", "done"), entry("drain storefront-1", "done", drainTime)];
      const one = { name: "storefront-1", machine: "storefront-1", role: "storefront" };
      assert.match(
        explained(recordedStack, { entries }, is, one).what,
        /drain storefront-1 by ann/,
      );
    });
  });
});
