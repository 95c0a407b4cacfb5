import assert from "node:assert/strict";
import { countProblems } from "../../../../infra/rules/counts.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { singleServerWarnings, storageProblems } from "../../../../infra/rules/storage.ts";
import {
  type Cases,
  planWith,
  refusal,
  settingsWith,
  tiersOf,
} from "../../../support/unit/fixtures.ts";
import { onMachines, onNfs } from "../../../support/unit/machine-stack.ts";

/** Machines with these roles, and these settings of the storage. */
const on = (storage: object | undefined, ...roles: readonly (readonly string[])[]) =>
  settingsWith({
    platform: "ssh",
    ...(storage && { storage }),
    machines: roles.map((held, index) => ({
      name: `node-${index + 1}`,
      backend: `10.2.0.${index + 11}`,
      roles: held,
    })),
  });
const nfs = { server: "nas.example", path: "/srv/shop" };

describe("rules on the storage", () => {
  const refused: readonly [string, ReturnType<typeof on>, readonly string[]][] = [
    [
      "the role nfs beside another driver",
      on(undefined, ["brick"], ["brick"], ["arbiter"], ["nfs"]),
      [
        "hastack:machines.node-4.roles: nfs keeps files for another driver than hastack:storage.driver, which is glusterfs, set hastack:storage.driver to nfs, or give the machines the roles brick and arbiter instead",
      ],
    ],
    [
      "bricks beside NFS",
      on({ driver: "nfs" }, ["brick"], ["arbiter", "nfs"]),
      [
        "hastack:machines.node-1.roles: brick keeps files for another driver than hastack:storage.driver, which is nfs, leave it out, or set hastack:storage.driver to glusterfs",
        "hastack:machines.node-2.roles: arbiter keeps files for another driver than hastack:storage.driver, which is nfs, leave it out, or set hastack:storage.driver to glusterfs",
      ],
    ],
    [
      "NFS without a server",
      on({ driver: "nfs" }, ["storefront"]),
      [
        "hastack:storage.driver: nfs has no server, give one machine the role nfs, or set hastack:storage.nfs.server and path",
      ],
    ],
    [
      "a server of the stack's own beside one that is there already",
      on({ driver: "nfs", nfs }, ["nfs"]),
      [
        "hastack:storage.nfs.server: nas.example is a server beside the stack's own, the machine node-1 with the role nfs, leave out one of them",
      ],
    ],
    [
      "an NFS server that the driver has no use for",
      on({ nfs }, ["brick"], ["brick"], ["arbiter"]),
      [
        "hastack:storage.nfs.server: nas.example is an NFS server, and hastack:storage.driver is glusterfs, set that to nfs, or leave it out",
      ],
    ],
  ];
  for (const [what, settings, problems] of refused) {
    it(`W5, S3: refuse ${what}`, () =>
      assert.deepEqual(storageProblems(settings).map(formatProblem), problems));
  }

  it("S3: take one server, the stack's own or one that is there already", () => {
    for (const settings of [on({ driver: "nfs" }, ["nfs"]), on({ driver: "nfs", nfs }, ["cache"])])
      assert.deepEqual(storageProblems(settings), []);
  });

  it("W5, S3: refuse a second server, and want no bricks beside NFS", () => {
    const settings = on({ driver: "nfs" }, ["nfs"], ["nfs"]);
    const lines = countProblems(settings, tiersOf(settings)).map(formatProblem);
    assert.deepEqual(
      lines.filter((line) => /nfs|brick|arbiter/.test(line)),
      [
        "hastack:machines: role nfs is on 2 machines (node-1, node-2): 2 servers would each have half of the files, use 1",
      ],
    );
  });

  it("warn of the stack's own server, which keeps every file once", () => {
    const warnings = (changes: object) =>
      singleServerWarnings(planWith({ ...onMachines, ...changes }).topology).map(formatProblem);
    assert.deepEqual(warnings({}), []);
    assert.deepEqual(warnings(onNfs), [
      "hastack:storage.driver: nfs keeps every shared file once, on node-3: while that is down none can be read or written, use glusterfs, with the roles brick and arbiter, to have every file twice",
    ]);
  });
});

describe("settings of the storage", () => {
  const refused: Cases = [
    [
      "another driver",
      { driver: "ceph" },
      ["hastack:storage.driver: ceph is not valid, it must be glusterfs or nfs"],
    ],
    [
      "a server without its directory",
      { driver: "nfs", nfs: { server: "nas.example" } },
      ["hastack:storage.nfs.path: is missing, it must be a text"],
    ],
    [
      "a path that is not absolute, or has spaces",
      { driver: "nfs", nfs: { server: "nas.example", path: "srv/my shop" } },
      [
        "hastack:storage.nfs.path: srv/my shop is not valid, it must be an absolute path such as /srv/hastack",
      ],
    ],
    [
      "options that promises rest on",
      { driver: "nfs", nfs: { ...nfs, options: ["hard", "timeo=600", "suid", "nconnect=4"] } },
      ["hard", "timeo=600", "suid"].map(
        (option, index) =>
          `hastack:storage.nfs.options.${index}: ${option} is kept by hastack, leave it out`,
      ),
    ],
  ];
  for (const [what, storage, problems] of refused) {
    it(`W5: refuse ${what}`, () =>
      assert.deepEqual(
        refusal(() => on(storage, ["cache"])).map((line) => line.replaceAll('"', "")),
        problems,
      ));
  }

  it("W5: are refused on Docker, where directories are volumes", () => {
    assert.deepEqual(
      refusal(() => settingsWith({ storage: { driver: "nfs" } })),
      [
        "hastack:storage.driver: is for the platform ssh only, leave it out (shared directories are Docker's volumes)",
      ],
    );
  });
});
