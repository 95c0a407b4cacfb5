/** What each kind of member has in common here: it is asked, and then judged together with its like. */
import type { z } from "zod";
import type { Member } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import type { Answer } from "./ask.ts";
import type { Finding, Marks } from "./picture.ts";

/** A member and what its own program said. */
export interface Asked {
  readonly member: Member;
  /** Whether its machine answered at all; where it did not, others tell that. */
  readonly reached: boolean;
  /** @returns nothing where the answer has not come */
  answer(question: string): Answer | undefined;
}

/** How one member is. */
export interface Judged {
  readonly is: string;
  readonly marks?: Marks;
  readonly findings: readonly Finding[];
}

/** How members of one kind are, each and together. */
export interface Judgement {
  /** By member. */
  readonly members: ReadonlyMap<string, Judged>;
  /** Of all together. */
  readonly is: string;
  readonly findings: readonly Finding[];
}

export interface Kind {
  /** What they are together, as the screen calls it. */
  readonly subject: string;
  /** Shell text by question, run in the folder of the member's files. */
  questions(stack: OperatedStack, member: Member): Readonly<Record<string, string>>;
  judge(stack: OperatedStack, asked: readonly Asked[]): Judgement;
}

/** The judgement of each one by itself; of those whose machine does not answer there is none. */
export function eachOf(
  asked: readonly Asked[],
  judge: (one: Asked) => Judged,
): ReadonlyMap<string, Judged> {
  const reached = asked.filter((one) => one.reached);
  return new Map(reached.map((one) => [one.member.name, judge(one)]));
}

export const restartFix = ({ name }: Pick<Member, "name">, ...why: string[]): string =>
  [`npm run logs -- ${name} tells why; npm run restart -- ${name}`, ...why].join("; ");

/** A part of an answer: what is of another kind counts as not said, whoever wrote it. */
export const maybe = <T extends z.ZodType>(shape: T) => shape.optional().catch(undefined);

/** `1 server`, `2 servers`. */
export const counted = (count: number, what: string): string =>
  `${count} ${what}${count === 1 ? "" : "s"}`;

/** Bytes as people read them. */
export function sizeOf(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  const size = bytes / 1024 ** power;
  return `${size < 10 && power > 0 ? size.toFixed(1) : Math.round(size)} ${units[power]}`;
}
