import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import {
  Credentials,
  type Principal,
  principals,
} from "../../../../infra/components/credentials.ts";
import { record } from "../../../support/unit/mocks.ts";
import { recordStack } from "../../../support/unit/stack.ts";

describe("Credentials", () => {
  it("N3, D6, D7: generates one password for each principal", async () => {
    assert.deepEqual((await recordStack()).childrenOf("Credentials", "credentials"), [
      "RandomPassword password-admin",
      "RandomPassword password-administrator",
      "RandomPassword password-cache",
      "RandomPassword password-cookies",
      "RandomPassword password-etcdPatroni",
      "RandomPassword password-etcdRoot",
      "RandomPassword password-migrator",
      "RandomPassword password-patroniApi",
      "RandomPassword password-postgres",
      "RandomPassword password-replicator",
      "RandomPassword password-rewinder",
      "RandomPassword password-statistics",
      "RandomPassword password-storefront",
    ]);
  });

  it("N3: of 32 letters and digits, which no file format gives a meaning", async () => {
    for (const { inputs } of (await recordStack()).ofType("RandomPassword")) {
      assert.deepEqual(inputs, { length: 32, special: false });
    }
  });

  it("N3: and gives each out as a secret, even in a preview", async () => {
    for (const preview of [false, true]) {
      const { result } = await record(() => new Credentials("credentials"), { preview });
      for (const principal of principals) {
        const password = (result as Credentials).of(principal);
        assert.equal(await pulumi.isSecret(password), true, principal);
      }
    }
  });

  it("refuses a principal that there is not", async () => {
    const { result } = await record(() => new Credentials("credentials"));
    const nobody = "nobody" as Principal;
    assert.throws(() => (result as Credentials).of(nobody), /^Error: nobody has no password$/);
  });
});
