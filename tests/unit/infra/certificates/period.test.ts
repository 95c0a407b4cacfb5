import assert from "node:assert/strict";
import fc from "fast-check";
import { dayOf, endOf, spareDays } from "../../../../infra/certificates/period.ts";

const day = 86_400_000;

describe("the end of certificates", () => {
  it("N5: is the same for whoever asks on the same day, and the days after", () => {
    const ends = ["2026-11-27T03:00Z", "2026-11-27T23:00Z", "2026-12-24T12:00Z"].map((one) =>
      dayOf(endOf(new Date(one))),
    );
    assert.deepEqual(ends, ["2027-08-30", "2027-08-30", "2027-08-30"]);
  });

  it("N5: leaves four months at least, and ten at most, whenever up runs", () => {
    const dates = fc.date({ min: new Date("2026-01-01"), max: new Date("2060-01-01") });
    fc.assert(
      fc.property(
        dates.filter((date) => !Number.isNaN(date.getTime())),
        (now) => {
          const days = (endOf(now).getTime() - now.getTime()) / day;
          assert.ok(days >= spareDays && days <= spareDays + 180, `${days} days`);
        },
      ),
    );
  });

  it("N5: moves on once less than four months are left", () => {
    const end = endOf(new Date("2026-11-27T00:00Z"));
    const last = new Date(end.getTime() - spareDays * day);
    assert.equal(dayOf(endOf(last)), dayOf(end));
    assert.equal(endOf(new Date(last.getTime() + 1)).getTime(), end.getTime() + 180 * day);
  });
});
