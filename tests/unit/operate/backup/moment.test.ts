import assert from "node:assert/strict";
import { durationOf, inBoth, readMoment } from "../../../../operate/backup/moment.ts";

describe("a moment to restore to", () => {
  const now = new Date("2026-11-28T12:00:00Z");
  const read = (text: string) => readMoment(text, now);
  const zone = process.env.TZ;
  const here = (name: string) => {
    process.env.TZ = name;
  };
  afterEach(() => {
    if (zone === undefined) Reflect.deleteProperty(process.env, "TZ");
    else process.env.TZ = zone;
  });

  it("O3: is read by ISO 8601, in any zone", () => {
    for (const text of [
      "2026-11-27T14:03:05Z",
      "2026-11-27 14:03:05 UTC",
      "2026-11-27T15:03:05+01:00",
      "2026-11-27T15:03:05+01",
      "2026-11-27 09:33:05 -0430",
    ])
      assert.equal(read(text), "2026-11-27T14:03:05Z", text);
    assert.equal(read("2026-11-27T14:03:05.123456Z"), "2026-11-27T14:03:05.123456Z");
    assert.equal(read("2026-11-27T14:03Z"), "2026-11-27T14:03:00Z");
    assert.equal(read("newest"), "newest");
  });

  it("O3: without a zone is by the clocks here, in summer too", () => {
    here("Europe/Berlin");
    assert.equal(read("2026-11-27 14:03:05"), "2026-11-27T13:03:05Z");
    assert.equal(read("2026-07-01T14:03:05"), "2026-07-01T12:03:05Z");
    assert.match(
      inBoth("2026-07-01T12:03:05Z"),
      /^2026-07-01 12:03:05 UTC \(2026-07-01 14:03:05 \+02:00 here\)$/,
    );
  });

  it("O3: that is none, or that no clock has shown, is refused with an example", () => {
    here("Europe/Berlin");
    for (const text of [
      "",
      "yesterday",
      "14:03",
      "2026-11-27",
      "2026-02-30T10:00:00Z",
      "2026-11-27T25:00:00Z",
      "2026-11-27T14:03:05+99:00",
      "2026-03-29 02:30:00",
      "27.11.2026 14:03",
      "2026-11-27T14:03:05Z; rm",
    ])
      assert.throws(() => read(text), /such as 2026-11-27T14:03:05Z/, text);
  });

  it("O3: in the future is refused, in both times", () => {
    assert.throws(() => read("2026-11-28T12:00:01Z"), /in the future; .* --to newest/);
  });

  it("durations are told in their first units", () => {
    assert.deepEqual([0, 59, 125, 90_061, -5].map(durationOf), [
      "0 s",
      "59 s",
      "2 min 5 s",
      "1 d 1 h",
      "0 s",
    ]);
  });
});
