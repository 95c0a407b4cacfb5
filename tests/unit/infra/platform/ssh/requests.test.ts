import assert from "node:assert/strict";
import type { Workload } from "../../../../../infra/platform/platform.ts";
import { placeRequest } from "../../../../../infra/platform/ssh/requests.ts";

const workload = (health: Workload["health"], release?: Workload["release"]): Workload => ({
  host: { name: "worker-1", role: "worker", machine: "node-1", backend: "10.2.0.41" },
  component: "AppServers",
  packages: [],
  ...(release && { release }),
  processes: [{ name: "worker", command: ["./work"], stopGraceSeconds: 5 }],
  files: [],
  secrets: {},
  ...(health && { health }),
});

const release = { hash: "0123456789ab", application: "app", users: ["hastack-worker"] };
const commandOf = (one: Workload) => placeRequest(one, 60).health.command;

describe("what is asked of a machine about a workload", () => {
  it("O6: looks at a worker's health where its unit sees the release, which is elsewhere on the machine", () => {
    const health = { command: "cd /opt/hastack/current && exec ./healthy", meaning: "it says so" };
    assert.equal(
      commandOf(workload(health, release)),
      "unshare --mount sh -euc 'mount --bind /opt/hastack/releases/0123456789ab /opt/hastack/current\n" +
        "cd /opt/hastack/current && exec ./healthy'",
    );
  });

  it("O6: asks for all other health as it is said", () => {
    const health = { command: "curl -fs http://10.2.0.41:8000/health", meaning: "it answers" };
    assert.equal(commandOf(workload(health, release)), health.command);
  });
});
