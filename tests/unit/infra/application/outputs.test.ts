import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { outputsOf } from "../../../../infra/application/outputs.ts";
import { applicationWith, settingsWith } from "../../../support/unit/fixtures.ts";

const text = `
name: shop
tiers: [{ name: web, command: [./web], port: 8000 }]
secrets: { apiKey: { optional: true }, signingKey: { generated: true } }
outputs: { office: { path: /office }, key: { secret: apiKey }, signing: { secret: signingKey } }
`;

function outputsWith(changes: Readonly<Record<string, unknown>>) {
  const generated = { ofSecret: (name: string) => pulumi.secret(`generated ${name}`) };
  const application = applicationWith(text, settingsWith(changes));
  return outputsOf(application, "https://shop.example/", generated);
}

async function plain(value: unknown): Promise<unknown> {
  assert.ok(pulumi.Output.isInstance(value));
  assert.equal(await pulumi.isSecret(value), true);
  return new Promise((resolve) => value.apply(resolve));
}

describe("an application's outputs", () => {
  it("O6: are addresses of the site, and secrets that stay secret", async () => {
    const { office, key, signing } = outputsWith({ applicationSecrets: { apiKey: "given" } });
    assert.equal(office, "https://shop.example/office");
    assert.equal(await plain(key), "given");
    assert.equal(await plain(signing), "generated signingKey");
  });

  it("O6: are without an optional secret that the stack does not give", () => {
    assert.deepEqual(Object.keys(outputsWith({})), ["office", "signing"]);
  });
});
