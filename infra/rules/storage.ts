/** Where shared files are kept: the driver, the roles that it needs, and a server that is there. */
import type { Role } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Topology } from "../topology.ts";
import type { Problem } from "./problem.ts";

type Driver = Settings["storage"]["driver"];

/** Roles of the machines that keep the files. */
const storageRoles: Readonly<Record<Driver, readonly Role[]>> = {
  glusterfs: ["brick", "arbiter"],
  nfs: ["nfs"],
};

/** Whether a role keeps files for another driver than this one. */
export function isOfOtherDriver(role: string, driver: Driver): boolean {
  return Object.entries(storageRoles).some(
    ([other, theirs]) => other !== driver && theirs.some((one) => one === role),
  );
}

/** What does not go together with the driver. */
export function storageProblems({
  machines,
  storage: { driver, nfs },
}: Pick<Settings, "machines" | "storage">): Problem[] {
  if (machines === undefined) return [];
  const wanted = storageRoles[driver].join(" and ");
  const misplaced = machines.flatMap(({ name, roles }) =>
    roles
      .filter((role) => isOfOtherDriver(role, driver))
      .map((role) => ({
        path: `machines.${name}.roles`,
        value: role,
        why: `keeps files for another driver than hastack:storage.driver, which is ${driver}`,
        fix:
          driver === "nfs"
            ? "leave it out, or set hastack:storage.driver to glusterfs"
            : `set hastack:storage.driver to nfs, or give the machines the roles ${wanted} instead`,
      })),
  );
  const servers = machines.filter(({ roles }) => roles.includes("nfs"));
  return [...misplaced, ...serverProblems(driver, nfs, servers)];
}

function serverProblems(
  driver: Driver,
  given: Settings["storage"]["nfs"],
  [own]: readonly { readonly name: string }[],
): Problem[] {
  const path = "storage.nfs.server";
  if (driver !== "nfs") {
    if (given === undefined) return [];
    const why = `is an NFS server, and hastack:storage.driver is ${driver}`;
    return [{ path, value: given.server, why, fix: "set that to nfs, or leave it out" }];
  }
  if (given !== undefined && own !== undefined) {
    const why = `is a server beside the stack's own, the machine ${own.name} with the role nfs`;
    return [{ path, value: given.server, why, fix: "leave out one of them" }];
  }
  if (given !== undefined || own !== undefined) return [];
  const why = "has no server";
  const fix = "give one machine the role nfs, or set hastack:storage.nfs.server and path";
  return [{ path: "storage.driver", value: driver, why, fix }];
}

/** The stack's own server: taken, but nothing takes its place. */
export function singleServerWarnings({ members }: Pick<Topology, "members">): Problem[] {
  return members.nfs.map(({ machine }) => ({
    path: "storage.driver",
    value: "nfs",
    why: `keeps every shared file once, on ${machine}: while that is down none can be read or written`,
    fix: "use glusterfs, with the roles brick and arbiter, to have every file twice",
  }));
}
