import assert from "node:assert/strict";
import { movedTo } from "../../../../infra/rules/moved.ts";

describe("settings that have another place now", () => {
  for (const [before, now] of [
    ["sampleData", "application.settings.sampleData"],
    ["members.web", "tiers.web.instances"],
    ["members.back-office", "tiers.back-office.instances"],
    ["application.logLevel", "application.settings.logLevel"],
    ["application.webPoolSize", "tiers.web.poolSize"],
    ["application.drainSeconds", "tiers.NAME.drainSeconds"],
    ["application.stopGraceSeconds", "tiers.NAME.stopGraceSeconds"],
  ]) {
    it(`${before} is ${now}`, () => assert.equal(movedTo(before ?? ""), now));
  }

  it("others are where they were", () => {
    for (const path of ["keepData", "application.path", "loadBalancer.drainSeconds", "tiers.web"]) {
      assert.equal(movedTo(path), undefined);
    }
  });
});
