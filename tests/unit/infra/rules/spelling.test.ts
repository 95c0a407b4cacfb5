import assert from "node:assert/strict";
import { didYouMean } from "../../../../infra/rules/spelling.ts";

const known = [
  "gateTimeoutSeconds",
  "loadBalancer",
  "quorum",
  "database",
  "cache",
  "plainHttp",
  "port",
];
const guess = (name: string) => didYouMean(name, known, "see the list");

describe("help with misspelt names", () => {
  for (const [name, meant] of [
    ["loadbalancer", "loadBalancer"],
    ["loadBalancers", "loadBalancer"],
    ["load-balancer", "loadBalancer"],
    ["quorom", "quorum"],
    ["qourum", "quorum"],
    ["databse", "database"],
    ["chache", "cache"],
    ["plainHTTP", "plainHttp"],
    ["ports", "port"],
    ["prot", "port"],
    ["gateTimeout", "gateTimeoutSeconds"],
  ]) {
    it(`takes ${name} for ${meant}`, () => {
      assert.equal(guess(name ?? ""), `did you mean ${meant}?`);
    });
  }

  for (const name of ["", "x", "storefront", "data", "host", "balancer"]) {
    it(`does not guess at ${JSON.stringify(name)}`, () =>
      assert.equal(guess(name), "see the list"));
  }

  it("takes the nearest of several", () => {
    assert.equal(
      didYouMean("nodes-2", ["node-1", "node-2", "nodes-22"], ""),
      "did you mean node-2?",
    );
  });
});
