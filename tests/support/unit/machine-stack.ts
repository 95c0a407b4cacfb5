/** The whole stack on three machines, recorded against Pulumi's mocks. */
import type { Target } from "../../../infra/platform/ssh/connection.ts";
import { SshPlatform } from "../../../infra/platform/ssh/ssh.ts";
import { WebStack } from "../../../infra/stack.ts";
import { type Plan, planWith } from "./fixtures.ts";
import { type Recording, record } from "./mocks.ts";
import { release, releaseFor, type StackOptions } from "./stack.ts";

const hostKey = `ssh-ed25519 ${Buffer.from("\0\0\0\x0bssh-ed25519\0\0\0\x20".padEnd(51, "k")).toString("base64")}`;
const both: readonly string[] = [
  "loadBalancer",
  "storefront",
  "admin",
  "database",
  "quorum",
  "brick",
];

function machine(number: number, roles: readonly string[]) {
  return {
    name: `node-${number}`,
    address: `10.3.0.1${number}`,
    user: "deploy",
    hostKey,
    frontend: `10.1.0.1${number}`,
    backend: `10.2.0.1${number}`,
    roles,
  };
}

/** Three machines, two of which carry a member of nearly everything. */
export const threeMachines = [
  machine(1, both),
  machine(2, both),
  machine(3, ["quorum", "arbiter", "cache"]),
];

const identityFile = ".hastack/lab/id_ed25519";

/** What a stack on these machines says, beside its other settings. */
export const onMachines = { platform: "ssh", machines: threeMachines, ssh: { identityFile } };

/** The same with the third one as the server of the shared files, by NFS. */
export const onNfs = {
  storage: { driver: "nfs" },
  machines: threeMachines.map((one) => ({
    ...one,
    roles: one.roles
      .filter((role) => role !== "brick")
      .map((role) => (role === "arbiter" ? "nfs" : role)),
  })),
};

/** The platform for a plan on machines. */
export function machinePlatform({ settings, topology }: Plan): SshPlatform {
  const targets = (settings.machines ?? []).map(
    ({ name, address = "", port, user }): Target => ({
      name,
      address,
      port,
      user,
      hostKey,
      identityFile,
    }),
  );
  return new SshPlatform(settings, topology, { targets, architecture: "x64" });
}

/** Everything that the stack asks of the engine on machines. */
export function recordMachines({
  changes = {},
  hash = release.hash,
  text,
  ...options
}: StackOptions = {}): Promise<Recording> {
  const plan = planWith({ ...onMachines, ...changes }, text);
  return record(() => {
    const platform = machinePlatform(plan);
    return new WebStack("hastack", { ...plan, platform, release: releaseFor(plan, hash) });
  }, options);
}
