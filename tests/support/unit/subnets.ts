/** Subnets to draw from, and arithmetic that shares nothing with the program's. */
import fc from "fast-check";

/** Subnets with prefix lengths in this range, close enough to each other to overlap often. */
export function subnets(shortest: number, longest: number): fc.Arbitrary<string> {
  return fc
    .tuple(fc.integer({ min: 0, max: 2 ** 14 - 1 }), fc.integer({ min: shortest, max: longest }))
    .map(([host, prefix]) => {
      const size = 2 ** (32 - prefix);
      return `${textOf(Math.floor((numberOf("172.16.0.0") + host) / size) * size)}/${prefix}`;
    });
}

/** First and last address of a subnet, as numbers. */
export function rangeOf(subnet: string): { first: number; last: number } {
  const [address = "", length = ""] = subnet.split("/");
  const first = numberOf(address);
  return { first, last: first + 2 ** (32 - Number(length)) - 1 };
}

export function numberOf(address: string): number {
  return address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

function textOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value / 2 ** shift) & 255).join(".");
}
