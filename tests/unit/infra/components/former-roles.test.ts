import assert from "node:assert/strict";
import { FormerRoles } from "../../../../infra/components/former-roles.ts";
import { renderFormerRoles } from "../../../../infra/render/principals.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import { describeStack, recordStack, taskOf } from "../../../support/unit/stack.ts";

describe("FormerRoles", () => {
  const build = ({ platform, topology, options }: Surroundings) =>
    new FormerRoles(
      "former-roles",
      { platform, topology, roles: ["app_web"], former: ["shop"] },
      options,
    );

  it("O6: asks both members, one after the other: either may be the primary", async () => {
    for (const where of platforms) {
      const recording = await recordAlone(where, build);
      const labels = ["Command db-1-former-roles", "Command db-2-former-roles"];
      assert.deepEqual(recording.childrenOf("FormerRoles", "former-roles"), labels);
      assertOrder(recording, ...labels);
    }
  });

  it("O6: comes once nothing is sent to instances of the release before", async () => {
    const recording = await recordStack();
    assertOrder(
      recording,
      "Command admin-2-gate",
      "Command lb-2-gate",
      "Command db-1-former-roles",
    );
  });

  it("O6: spares the roles of the application's tiers, and ends those that it names", async () => {
    const { user, files, secrets } = taskOf(await describeStack(), "db-2-former-roles");
    assert.equal(user, "postgres");
    assert.deepEqual(secrets, {});
    assert.deepEqual(files, [
      {
        path: "former-roles.sql",
        content: renderFormerRoles(["app_storefront", "app_admin"], ["storefront", "admin"]),
      },
    ]);
  });

  it("N3: spares the login that has the other password of a tier, too", async () => {
    const stack = await describeStack({ credentials: { storefront: [1, 2], admin: [4] } });
    const [file] = taskOf(stack, "db-1-former-roles").files;
    const logins = ["app_storefront", "app_storefront_2", "app_admin", "app_admin_2"];
    assert.equal(file?.content, renderFormerRoles(logins, ["storefront", "admin"]));
  });

  it("W1: hands no argument to the engine", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
