/** What an operator names: a member, or a machine with all its members. */
import { allMembers, type Member } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";

/** @throws with what there is, when it is neither */
export function membersNamed({ name: stack, topology }: OperatedStack, name: string): Member[] {
  const members = allMembers(topology);
  const found = members.filter((one) => one.name === name);
  if (found.length > 0) return found;
  const onMachine = members.filter((one) => one.machine === name);
  if (onMachine.length > 0) return onMachine;
  const all = [...new Set(members.flatMap((one) => [one.name, one.machine]))].join(", ");
  throw new Error(`stack ${stack}: there is no member and no machine ${name}; there are ${all}`);
}

export const isInstance = ({ topology }: OperatedStack, { role }: Member): boolean =>
  role in topology.tiers;

export const listed = (members: readonly Pick<Member, "name">[]): string =>
  members.map(({ name }) => name).join(", ");
