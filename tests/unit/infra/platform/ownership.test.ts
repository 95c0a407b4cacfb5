import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { Ownership } from "../../../../infra/platform/ownership.ts";
import { SettingsError } from "../../../../infra/settings.ts";
import { record } from "../../../support/unit/mocks.ts";

const problem = { source: "stack dev", path: "", why: "is there", fix: "destroy it" };

/** Looks at resources of which the preview knows some. */
async function look(known: readonly boolean[]): Promise<void> {
  await record(
    async () => {
      const ownership = new Ownership();
      for (const isKnown of known) {
        const id = isKnown ? pulumi.output("id") : pulumi.output(pulumi.unknown);
        ownership.watch({ id } as unknown as pulumi.CustomResource);
      }
      await ownership.check(problem);
    },
    { preview: true },
  );
}

describe("ownership", () => {
  it("W5: is not this checkout's where its state knows none of the resources", async () => {
    for (const known of [[], [false], [false, false]]) {
      await assert.rejects(look(known), (error) => {
        assert.ok(error instanceof SettingsError);
        assert.match(error.message, /stack dev: is there, destroy it/);
        return true;
      });
    }
  });

  it("W6: is, where an up that was cut off has left but one of them in the state", async () => {
    await look([false, true, false]);
  });
});
