import assert from "node:assert/strict";
import { RunError } from "@pulumi/pulumi";
import { readApplication } from "../../../../infra/application/application.ts";
import { readRecipe, releaseOf } from "../../../../infra/application/recipe.ts";
import { releaseHash } from "../../../../release/hash.ts";
import { settingsWith } from "../../../support/unit/fixtures.ts";

describe("an application's release", () => {
  const application = readApplication(settingsWith());

  it("A12: is known by the hash of its files, and says whose it is, and as whom its programs run", () => {
    const hash = releaseHash(readRecipe("app"));
    const users = ["hastack-migrations", "hastack-storefront", "hastack-admin"];
    assert.deepEqual(releaseOf(application), { hash, application: "app", users });
  });

  it("W5: is refused in one line, without a stack trace, where a file of it is not there", () => {
    const files = ["no-such-file"];
    assert.throws(
      () => releaseOf({ ...application, release: { files } }),
      (error: unknown) =>
        RunError.isInstance(error) && /^release\.files: no-such-file does not/.test(error.message),
    );
  });
});
