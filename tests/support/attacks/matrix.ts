/** Every offer at every door: who was let in, beside who should be. */

import type { TestStack } from "../test-stack.ts";
import type { Door } from "./doors.ts";
import { knockFrom } from "./from.ts";
import type { Verdict } from "./knock.ts";
import type { Offer } from "./offers.ts";

export interface Tried extends Verdict {
  readonly door: Door;
  readonly offer: Offer;
  readonly expected: boolean;
}

/** Tries each offer at each door. */
export async function tryAll(
  { place }: TestStack,
  doors: readonly Door[],
  offers: readonly Offer[],
): Promise<Tried[]> {
  const pairs = doors.flatMap((door) => offers.map((offer) => ({ door, offer })));
  const tried: Tried[] = [];
  for (const from of new Set(doors.map((door) => door.from))) {
    const own = pairs.filter(({ door }) => door.from === from);
    const knocks = own.map(({ door: { host, port, speech }, offer: { kind, pem } }) => ({
      ...{ host, port, speech },
      by: kind === "plain" ? ("plain" as const) : ("tls" as const),
      ...(pem !== undefined && { certificate: pem }),
    }));
    const verdicts = await knockFrom(knocks, from && place.container(from));
    for (const [index, { door, offer }] of own.entries()) {
      const verdict = verdicts[index] ?? { accepted: false, said: "not tried" };
      tried.push({ door, offer, ...verdict, expected: door.isOpenTo(offer) });
    }
  }
  return tried;
}

/** What differs from the rules, one line each. */
export function surprises(tried: readonly Tried[]): string[] {
  return tried
    .filter(({ accepted, expected }) => accepted !== expected)
    .map(({ door, offer, accepted, said }) => {
      const at = `${door.name} (${door.member}:${door.port})`;
      return `${at}: ${offer.name} was ${accepted ? "accepted" : "refused"}: ${said}`;
    });
}

/** A row per kind of door: how many were let in of those that should be, and refused of the others. */
export function tableOf(tried: readonly Tried[]): string {
  const names = [...new Set(tried.map(({ door }) => door.name))];
  const width = Math.max(...names.map((name) => name.length));
  const lines = names.map((name) => {
    const own = tried.filter(({ door }) => door.name === name);
    const right = own.filter(({ expected }) => expected);
    const others = own.filter(({ expected }) => !expected);
    const good = right.filter(({ accepted }) => accepted).length;
    const refused = others.filter(({ accepted }) => !accepted).length;
    const opened = [...new Set(right.map(({ offer }) => offer.kind))].join(", ") || "nothing";
    return `${name.padEnd(width)}  accepted ${good} of ${right.length}, refused ${refused} of ${others.length}; opened by ${opened}`;
  });
  return lines.map((line) => `        ${line}`).join("\n");
}
