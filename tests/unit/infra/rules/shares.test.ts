import assert from "node:assert/strict";
import { planWith, refusal } from "../../../support/unit/fixtures.ts";

const refused = (loadBalancer: Readonly<Record<string, unknown>>) =>
  refusal(() => planWith({ loadBalancer }));

describe("shares of the load balancers", () => {
  it("L1: a weight is for an instance that there is", () => {
    assert.deepEqual(refused({ weights: { "storefront-1": 50, "admin-2": 0 } }), []);
    assert.deepEqual(refused({ weights: { "storefornt-1": 50 } }), [
      "hastack:loadBalancer.weights.storefornt-1: is not an instance that the load balancers know, did you mean storefront-1?",
    ]);
    assert.deepEqual(refused({ weights: { shop: 50 } }), [
      "hastack:loadBalancer.weights.shop: is not an instance that the load balancers know, use one of storefront-1, storefront-2, admin-1, admin-2",
    ]);
  });

  it("L1: some instance of each tier gets requests", () => {
    assert.deepEqual(refused({ weights: { "admin-1": 0, "admin-2": 0 } }), [
      "hastack:loadBalancer.weights.admin-1: 0 leaves no instance of its tier that gets requests, use 1 or more for one of them",
    ]);
  });

  it("L10: the site keeps places beside those that are reserved", () => {
    const perSource = { connections: 100 };
    const most = { maxConnections: 500, reservedConnections: 399, perSource };
    assert.deepEqual(refused(most), []);
    assert.deepEqual(refused({ maxConnections: 500, reservedConnections: 500 }), [
      "hastack:loadBalancer.reservedConnections: 500 leaves the site no connections, use less than loadBalancer.maxConnections (500)",
    ]);
  });

  it("L10: one address cannot take all places of the site", () => {
    assert.deepEqual(refused({ maxConnections: 1000 }), [
      "hastack:loadBalancer.perSource.connections: 1500 lets one address take all 900 connections of the site, use less than 900, or a larger loadBalancer.maxConnections",
    ]);
  });
});
