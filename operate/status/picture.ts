/** What is shown of a stack: how each member is, what is not as it should be, and what to do. */

/** From well to worst; `unknown` is what could not be told. */
export type State = "ok" | "unknown" | "degraded" | "unreachable" | "down";

/** Something that is not as it should be. */
export interface Finding {
  readonly state: Exclude<State, "ok">;
  readonly what: string;
  readonly should: string;
  readonly fix: string;
  /** The operation that does this on purpose; the journal tells whether, and who did it. */
  readonly since?: "drain" | "pause";
}

/** What a member is just now, for a drawing. */
export interface Marks {
  /** Networks whose moving address is here. */
  readonly holds?: readonly string[];
  readonly database?: "primary" | "synchronous standby" | "standby";
  readonly leader?: boolean;
  readonly release?: string;
  /** Members that it sends requests to. */
  readonly sendsTo?: readonly string[];
}

export interface MemberPicture {
  readonly name: string;
  /** The name of its role or tier. */
  readonly role: string;
  readonly machine: string;
  /** The worst of its findings. */
  readonly state: State;
  /** What it is and does now, in a few words. */
  readonly is: string;
  readonly findings: readonly Finding[];
  readonly marks: Marks;
}

/** One subject of the whole stack, such as its database. */
export interface Subject {
  readonly name: string;
  readonly state: State;
  readonly is: string;
  readonly findings: readonly Finding[];
}

export interface Picture {
  readonly stack: string;
  readonly platform: string;
  /** When its machines were asked. */
  readonly at: string;
  /** How long that took. */
  readonly seconds: number;
  readonly state: State;
  readonly subjects: readonly Subject[];
  readonly members: readonly MemberPicture[];
}

const order: readonly State[] = ["ok", "unknown", "degraded", "unreachable", "down"];

/** @returns ok, where there are none */
export function worst(states: readonly State[]): State {
  const worse = states.reduce((most, one) => Math.max(most, order.indexOf(one)), 0);
  return order[worse] ?? "unknown";
}

export const worstOf = (findings: readonly Finding[]): State =>
  worst(findings.map(({ state }) => state));

/** Exit status: 0 where all is as promised, 1 where something is not, 2 where that could not be told. */
export function exitStatus({ state, members }: Pick<Picture, "state" | "members">): number {
  if (state === "ok") return 0;
  // Where no machine answers, the fault may as well be between here and there
  const noneAnswers = members.every((one) => one.state === "unreachable");
  return state === "unknown" || noneAnswers ? 2 : 1;
}
