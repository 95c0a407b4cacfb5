import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { Credentials } from "../../../../infra/components/credentials.ts";
import { type Principal, principals } from "../../../../infra/generations.ts";
import { record } from "../../../support/unit/mocks.ts";
import { recordStack } from "../../../support/unit/stack.ts";

const args = {
  tiers: { web: {}, office: { formerly: "admin" } },
  secrets: {
    cookieSecret: { formerly: "cookies" },
    tokenKey: {},
    sessionKey: { perTier: true, formerly: "session" },
    officeKey: { perTier: true, tiers: ["office"] },
  },
};
const make = () => new Credentials("credentials", args);

describe("Credentials", () => {
  it("N3, D6, D7: generates one password for each principal, tier and secret of the application", async () => {
    assert.deepEqual((await recordStack()).childrenOf("Credentials", "credentials"), [
      "RandomPassword password-admin",
      "RandomPassword password-cache",
      "RandomPassword password-etcdPatroni",
      "RandomPassword password-etcdRoot",
      "RandomPassword password-migrator",
      "RandomPassword password-patroniApi",
      "RandomPassword password-postgres",
      "RandomPassword password-replicator",
      "RandomPassword password-rewinder",
      "RandomPassword password-statistics",
      "RandomPassword password-storefront",
      "RandomPassword secret-adminPassword",
      "RandomPassword secret-cookieSecret",
      "RandomPassword secret-sessionSecret-admin",
      "RandomPassword secret-sessionSecret-storefront",
    ]);
  });

  it("O6: on its own, has those of the tiers and secrets that it is given", async () => {
    const recording = await record(make);
    const own = recording.names("RandomPassword").filter((name) => {
      const principal = name.replace("password-", "") as Principal;
      return !principals.includes(principal);
    });
    assert.deepEqual(own, [
      "password-office",
      "password-web",
      "secret-cookieSecret",
      "secret-officeKey-office",
      "secret-sessionKey-office",
      "secret-sessionKey-web",
      "secret-tokenKey",
    ]);
    assert.equal(recording.names("RandomPassword").length, principals.length + own.length);
  });

  it("O6: keeps a secret that had another name before", async () => {
    const recording = await record(make);
    const aliases = (name: string) => recording.get("RandomPassword", name).aliases;
    assert.deepEqual(aliases("secret-cookieSecret"), ["secret-cookies", "password-cookies"]);
    assert.deepEqual(aliases("secret-tokenKey"), []);
    assert.deepEqual(aliases("password-web"), []);
  });

  it("O6: keeps the password of a tier that had another name before", async () => {
    const recording = await record(make);
    const aliases = (name: string) => recording.get("RandomPassword", name).aliases;
    assert.deepEqual(aliases("password-office"), ["password-admin"]);
  });

  it("D6, O6: keeps what each tier has of its own, where the tier or the secret had another name", async () => {
    const recording = await record(make);
    const aliases = (name: string) => recording.get("RandomPassword", name).aliases;
    assert.deepEqual(aliases("secret-sessionKey-web"), ["secret-session-web"]);
    assert.deepEqual(aliases("secret-officeKey-office"), ["secret-officeKey-admin"]);
    assert.deepEqual(aliases("secret-sessionKey-office"), [
      "secret-sessionKey-admin",
      "secret-session-office",
      "secret-session-admin",
    ]);
  });

  it("D6: gives a tier its own, and nobody else one of them", async () => {
    const credentials = (await record(make)).result as Credentials;
    const [web, office] = ["web", "office"].map((tier) => credentials.ofSecret("sessionKey", tier));
    assert.notEqual(web, office);
    assert.equal(
      credentials.ofSecret("tokenKey", "web"),
      credentials.ofSecret("tokenKey", "office"),
    );
    assert.throws(
      () => credentials.ofSecret("sessionKey"),
      /^Error: there is no secret-sessionKey$/,
    );
    assert.throws(
      () => credentials.ofSecret("officeKey", "web"),
      /^Error: there is no secret-officeKey$/,
    );
  });

  it("N3: makes another one beside the first, which stays as it is", async () => {
    const generations = { web: [2, 1], cookieSecret: [3], sessionKey: [1, 2] };
    const recording = await record(() => new Credentials("credentials", { ...args, generations }));
    const names = recording
      .names("RandomPassword")
      .filter((name) => /web|cookie|sessionKey|cache/.test(name));
    assert.deepEqual(names, [
      "password-cache",
      "password-web",
      "password-web.2",
      "secret-cookieSecret.3",
      "secret-sessionKey-office",
      "secret-sessionKey-office.2",
      "secret-sessionKey-web",
      "secret-sessionKey-web.2",
    ]);
    const credentials = recording.result as Credentials;
    assert.deepEqual([...credentials.allOfTier("web").keys()], [2, 1]);
    assert.equal(credentials.ofTier("web"), credentials.allOfTier("web").get(2));
    assert.deepEqual(recording.get("RandomPassword", "secret-cookieSecret.3").aliases, [
      "secret-cookies.3",
      "password-cookies.3",
    ]);
  });

  it("N3: of 32 letters and digits, which no file format gives a meaning", async () => {
    const generated = (await recordStack()).ofType("RandomPassword");
    assert.ok(generated.length > principals.length);
    for (const { inputs } of generated) assert.deepEqual(inputs, { length: 32, special: false });
  });

  it("N3: and gives each out as a secret, even in a preview", async () => {
    for (const preview of [false, true]) {
      const { result } = await record(make, { preview });
      const credentials = result as Credentials;
      const all = {
        ...Object.fromEntries(principals.map((one) => [one, credentials.of(one)])),
        ...Object.fromEntries(Object.keys(args.tiers).map((one) => [one, credentials.ofTier(one)])),
        ...Object.fromEntries(
          Object.keys(args.secrets).map((one) => [one, credentials.ofSecret(one, "office")]),
        ),
      };
      assert.equal(Object.keys(all).length, principals.length + 6);
      for (const [name, password] of Object.entries(all)) {
        assert.equal(await pulumi.isSecret(password), true, name);
      }
    }
  });

  it("N3: registers none of them as an output, where a reviewer would read it", async () => {
    const recording = await record(make);
    assert.deepEqual(recording.get("Credentials", "credentials").outputs, {});
  });

  it("refuses a principal, a tier and a secret that there are not", async () => {
    const credentials = (await record(make)).result as Credentials;
    assert.throws(
      () => credentials.of("nobody" as Principal),
      /^Error: there is no password-nobody$/,
    );
    assert.throws(() => credentials.ofTier("shop"), /^Error: there is no password-shop$/);
    assert.throws(() => credentials.ofSecret("cookies"), /^Error: there is no secret-cookies$/);
  });
});
