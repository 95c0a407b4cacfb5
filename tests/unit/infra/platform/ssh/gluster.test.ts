import assert from "node:assert/strict";
import {
  brickScript,
  mountScript,
  removeBrickScript,
  removeVolumeScript,
  volumeScript,
} from "../../../../../infra/platform/ssh/gluster.ts";
import type { Member, Topology } from "../../../../../infra/topology.ts";
import { planWith } from "../../../../support/unit/fixtures.ts";

const uploads = { name: "uploads", path: "/var/lib/hastack/uploads", owner: "hastack" };

const member = (name: string, role: Member["role"], host: number): Member => ({
  name: `${role}-${host}`,
  role,
  machine: name,
  backend: `10.2.0.${host}`,
});
const topology: Topology = {
  ...planWith().topology,
  machines: [11, 12, 13, 14].map((host) => ({
    name: `node-${host - 10}`,
    roles: [],
    backend: `10.2.0.${host}`,
  })),
  bricks: [member("node-1", "brick", 11), member("node-2", "brick", 12)],
  arbiters: [member("node-3", "arbiter", 13)],
};

describe("GlusterFS", () => {
  it("S2: has every file on two machines, and the third one as arbiter", () => {
    const brick = "/var/lib/hastack/bricks/uploads";
    const three = [11, 12, 13].map((host) => `10.2.0.${host}:${brick}`).join(" ");
    assert.ok(
      volumeScript(topology, uploads).includes(
        `volume create hastack-uploads replica 3 arbiter 1 ${three} force`,
      ),
    );
  });

  it("S2: gives a brick that hangs up after seconds, and lets the stack's machines in only", () => {
    const script = volumeScript(topology, uploads);
    assert.match(script, /^option network\.ping-timeout 5$/m);
    assert.match(
      script,
      /^option auth\.allow 10\.2\.0\.11,10\.2\.0\.12,10\.2\.0\.13,10\.2\.0\.14$/m,
    );
  });

  it("S2: is mounted from the machine's own server first, and from the others without it", () => {
    const servers = (machine: string) =>
      [...mountScript(machine, topology, uploads).matchAll(/--volfile-server=(\S+)/g)].map(
        ([, address]) => address,
      );
    assert.deepEqual(servers("node-2"), ["10.2.0.12", "10.2.0.11", "10.2.0.13"]);
    assert.deepEqual(servers("node-4"), ["10.2.0.11", "10.2.0.12", "10.2.0.13"]);
  });

  it("W7: is mounted again whenever its client ends, and its service comes back by itself", () => {
    assert.match(mountScript("node-1", topology, uploads), /^Restart=always$/m);
    assert.match(brickScript(uploads), /^Restart=always$/m);
  });

  it("W4: keeps the volume and the bricks with keepData, and neither without", () => {
    assert.doesNotMatch(removeVolumeScript(topology, uploads, true), /gluster/);
    assert.match(removeVolumeScript(topology, uploads, false), /volume delete hastack-uploads/);
    const gone = /rm -rf \S*\/bricks\/uploads/;
    assert.doesNotMatch(removeBrickScript(uploads, true), gone);
    assert.match(removeBrickScript(uploads, false), gone);
  });
});
