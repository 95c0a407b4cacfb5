import assert from "node:assert/strict";
import { readLine, readSince } from "../../../../operate/logs/read.ts";

describe("a line of a log", () => {
  it("W9: of Docker's engine has its time to the nanosecond", () => {
    const raw =
      "2026-11-27T14:46:11.286121339Z 2026-11-27 14:46:11,285 INFO: no action. I am (db-1), the leader with the lock";
    assert.deepEqual(readLine(raw), {
      time: "2026-11-27T14:46:11.286121339Z",
      text: "2026-11-27 14:46:11,285 INFO: no action. I am (db-1), the leader with the lock",
    });
  });

  it("W9: of systemd's journal says which process it is, and compares with the others", () => {
    const raw =
      "2026-11-27T14:56:18.524249+00:00 systemd[1]: Removed slice user-1000.slice - User Slice of UID 1000.";
    const line = readLine(raw);
    assert.deepEqual(line, {
      time: "2026-11-27T14:56:18.524249000Z",
      text: "systemd[1]: Removed slice user-1000.slice - User Slice of UID 1000.",
    });
  });

  it("W9: without a time belongs to the one before, and else is no line", () => {
    const before = { time: "2026-11-27T14:46:11.286121339Z", text: "Traceback" };
    assert.deepEqual(readLine("   File x", before), { ...before, text: "   File x" });
    const words = "Error response from daemon: No such container: hastack-dev-db-9";
    assert.equal(readLine(words), undefined);
  });

  it("W9: an empty one is a line, too", () => {
    assert.equal(readLine("2026-11-27T14:46:11.286121339Z ")?.text, "");
  });
});

describe("--since", () => {
  const now = Date.parse("2026-11-27T14:00:00Z");

  for (const [text, seconds] of [
    ["90s", 90],
    ["10m", 600],
    ["2h", 7200],
    ["1d", 86_400],
    ["2026-11-27T13:59:00Z", 60],
  ] as const) {
    it(`W9: reads ${text}`, () => assert.equal(readSince(text, now), now / 1000 - seconds));
  }

  it("W9: refuses what is no time, and says what is one", () => {
    assert.throws(() => readSince("10", now), /--since 10 is no time: use 90s/);
    assert.throws(() => readSince("yesterday", now), /use 90s, 10m/);
  });
});
