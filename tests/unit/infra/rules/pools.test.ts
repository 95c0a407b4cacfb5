import assert from "node:assert/strict";
import { poolProblems } from "../../../../infra/rules/pools.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { generateMachines } from "../../../../infra/topology.ts";
import { agency, applicationWith, settingsWith, tiersOf } from "../../../support/unit/fixtures.ts";

const problemsOf = (changes: Readonly<Record<string, unknown>>) => {
  const settings = settingsWith(changes);
  const tiers = tiersOf(settings);
  return poolProblems(settings, generateMachines(settings, tiers), tiers).map(formatProblem);
};

describe("rules on pools", () => {
  it("W5: refuse pools that are larger than max_connections", () => {
    assert.deepEqual(problemsOf({ database: { maxConnections: 74 } }), [
      "hastack:database.maxConnections: 74 is less than the 75 connections that all pools may open, use 75, or smaller pools (hastack:tiers.NAME.poolSize)",
    ]);
  });

  it("W5: count both pools of every instance of every tier", () => {
    const tiers = { storefront: { instances: 3, poolSize: 7 }, admin: { instances: 1 } };
    // 2 × (3 × 7 + 1 × 5) + 15
    assert.deepEqual(problemsOf({ tiers, database: { maxConnections: 67 } }), []);
    assert.match(String(problemsOf({ tiers, database: { maxConnections: 66 } })), / the 67 /);
  });

  it("W5: count the pools of a job once, as it runs beside one instance at a time", () => {
    const job = "jobs: [{ name: sweep, tier: admin, command: [sweep], everySeconds: 60 }]";
    const { tiers } = applicationWith(`${agency}${job}\n`);
    const problems = (maxConnections: number) => {
      const settings = settingsWith({ database: { maxConnections } });
      return poolProblems(settings, generateMachines(settings, tiers), tiers);
    };
    // 2 × (2 × 10 + (2 + 1) × 5) + 15
    assert.deepEqual(problems(85), []);
    assert.equal(problems(84).length, 1);
  });

  it("W5: count the instances of tiers that share a machine", () => {
    const settings = settingsWith({ database: { maxConnections: 44 } });
    const shared = [{ name: "node-1", roles: ["storefront", "admin"], backend: "10.2.0.61" }];
    assert.deepEqual(poolProblems(settings, shared, tiersOf(settings)).map(formatProblem), [
      "hastack:database.maxConnections: 44 is less than the 45 connections that all pools may open, use 45, or smaller pools (hastack:tiers.NAME.poolSize)",
    ]);
  });

  it("take pools that just fit", () => {
    assert.deepEqual(problemsOf({ database: { maxConnections: 75 } }), []);
  });
});
