/** IPv4 arithmetic, and the plan by which a platform that makes the machines numbers them. */

/** Host numbers in each subnet, where the platform makes the machines. */
export const addressPlan = {
  /** Members of a role or tier: each has ten numbers, and its first member's ends in 1. */
  membersPerRole: 9,
  /**
   * First host numbers of tiers: the blocks that they have; roles.ts has those of the roles. A new role
   * gets its block from the end of this list; one of a single member has a number behind them.
   */
  firstHostOfTiers: [41, 51, 71, 81, 91, 101, 111],
  /** Where virtual IPs may be: after all roles, beside the tiers. */
  firstVirtualHost: 70,
  /** Where containers that run a task and end get their addresses. */
  firstDynamicHost: 128,
} as const;

/** The address with this number in a subnet. */
export function hostAddress(subnet: string, host: number): string {
  return fromNumber(parseSubnet(subnet).base + host);
}

/** The number of an address in a subnet. */
export function hostNumber(subnet: string, address: string): number {
  return toNumber(address) - parseSubnet(subnet).base;
}

export function prefixLength(subnet: string): number {
  return parseSubnet(subnet).prefix;
}

/** The subnet without the host bits that it may have been written with. */
export function withoutHost(subnet: string): string {
  const { base, prefix } = parseSubnet(subnet);
  return `${fromNumber(base)}/${prefix}`;
}

/** Whether two subnets share an address. */
export function overlaps(one: string, other: string): boolean {
  const a = parseSubnet(one);
  const b = parseSubnet(other);
  const prefix = Math.min(a.prefix, b.prefix);
  return maskTo(a.base, prefix) === maskTo(b.base, prefix);
}

export function contains(subnet: string, address: string): boolean {
  const { base, prefix } = parseSubnet(subnet);
  return maskTo(toNumber(address), prefix) === base;
}

/** What an address is that no machine can have: the first of its subnet, or the last. */
export function specialAddress(subnet: string, address: string): string | undefined {
  const host = hostNumber(subnet, address);
  if (host === 0) return "network address";
  return host === 2 ** (32 - prefixLength(subnet)) - 1 ? "broadcast address" : undefined;
}

function parseSubnet(subnet: string): { base: number; prefix: number } {
  const [address = "", length = ""] = subnet.split("/");
  const prefix = Number(length);
  return { base: maskTo(toNumber(address), prefix), prefix };
}

function maskTo(address: number, prefix: number): number {
  const size = 2 ** (32 - prefix);
  return Math.floor(address / size) * size;
}

function toNumber(address: string): number {
  return address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

function fromNumber(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}
