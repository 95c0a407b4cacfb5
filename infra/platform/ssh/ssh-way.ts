/** By which way an operator comes to a machine, and whether its firewall will let that in. */
import { contains } from "../../addresses.ts";
import type { Target } from "../../inventory.ts";
import type { Problem } from "../../rules/problem.ts";

/** A connection as the machine sees it: whose it is, and where it comes in. */
export interface SshWay {
  readonly client: string;
  readonly server: string;
  readonly port: string;
}

/** Reads `SSH_CONNECTION`. */
export function readSshWay(text: string): SshWay | undefined {
  const [client, , server, port] = text.trim().split(/\s+/);
  return client && server && port ? { client, server, port } : undefined;
}

/** The management network, and the machine's address there. */
export interface Management {
  readonly subnet: string;
  readonly address: string;
}

/** Why a connection does not come by the management network, and what to do. */
export function wayProblem(
  { name }: Pick<Target, "name">,
  management: Management | undefined,
  way: SshWay | undefined,
): Pick<Problem, "why" | "fix"> | undefined {
  if (management === undefined || way === undefined) return undefined;
  const { subnet, address } = management;
  const plain = (one: string) => one.replace(/^::ffff:/, "");
  const client = plain(way.client);
  if (client.includes(":") || !contains(subnet, client)) {
    return {
      why: `your address ${client} is not in the management network ${subnet}`,
      fix: "come from there, or correct hastack:network.management; without it SSH is let in from everywhere",
    };
  }
  return plain(way.server) === address
    ? undefined
    : {
        why: `SSH reaches it at ${plain(way.server)}, and will be let in at ${address} alone`,
        fix: `let hastack:machines.${name}.address lead to its management address`,
      };
}
