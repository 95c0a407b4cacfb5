/** What a restore in the stack's place does, on a pair in containers; the backup member is only told of. */
import type { Member } from "../../../infra/topology.ts";
import { until } from "../../../lib/until.ts";
import { processesScript } from "../../../operate/act/processes.ts";
import { granted, readSaid, storeScript } from "../../../operate/act/store.ts";
import { stopScript } from "../../../operate/backup/data.ts";
import type { Hands } from "../../../operate/backup/hands.ts";
import { forgetClusterBy, type RestoreNote } from "../../../operate/backup/note.ts";
import type { OperatedStack } from "../../../operate/stack.ts";
import type { PatroniPair } from "./patroni-pair.ts";

/** Hands that keep the note and all calls, and can be cut off. */
export class PairHands implements Hands {
  readonly members = ["db-1", "db-2"];
  readonly calls: string[] = [];
  kept: RestoreNote | undefined;
  /** The calls before which it is cut off. @default it is not */
  cutOffAt: readonly string[] = [];
  readonly #pair: PatroniPair;

  constructor(pair: PatroniPair) {
    this.#pair = pair;
  }

  #call(what: string): void {
    if (this.cutOffAt.includes(what)) throw new Error(`cut off before ${what}`);
    this.calls.push(what);
  }

  async on(member: string, script: string, what: string): Promise<string> {
    this.#call(`${member}: ${what}`);
    return this.#pair.on(member).run(script);
  }

  async holds(member: string, script: string): Promise<boolean> {
    return (await this.#pair.on(member).attempt(script)).code === 0;
  }

  #script(member: string, deed: "hold" | "release" | "isHeld"): string {
    const stack = { name: "unit", settings: { platform: "docker" } } as unknown as OperatedStack;
    return processesScript(stack, { name: member } as Member, deed);
  }

  async stop(member: string): Promise<void> {
    this.#call(`${member}: hold`);
    await this.#pair.on(member).run(stopScript(this.#script(member, "hold")));
  }

  async release(member: string): Promise<void> {
    this.#call(`${member}: release`);
    await this.#pair.on(member).run(this.#script(member, "release"));
  }

  isHeld(member: string): Promise<boolean> {
    return this.holds(member, this.#script(member, "isHeld"));
  }

  async leads(member: string): Promise<void> {
    this.#call(`${member}: leads`);
    await until(`${member} is the primary`, {
      probe: () => this.#pair.primary(),
      done: (primary) => primary === member,
      limitSeconds: 60,
    });
  }

  async whole(): Promise<void> {
    this.#call("whole");
    await this.#pair.whole();
  }

  async note(note: RestoreNote | undefined): Promise<void> {
    this.#call(`note ${note?.phase ?? "nothing"}`);
    this.kept = note;
  }

  async forgetCluster(): Promise<void> {
    this.#call("forget the cluster");
    await forgetClusterBy(async (calls) => {
      const said = await this.#pair
        .on("db-1")
        .run(storeScript("/etc/hastack/patroni.yml"), JSON.stringify(calls));
      return (readSaid(said).answers ?? []).map(granted);
    });
  }

  async marks(deed: "set" | "remove"): Promise<void> {
    this.#call(`marks ${deed}`);
  }

  async receive(deed: "stop" | "start"): Promise<void> {
    this.#call(`receive ${deed}`);
  }

  async ask(request: { readonly do: string }): Promise<Readonly<Record<string, unknown>>> {
    this.#call(`ask ${request.do}`);
    return request.do === "bring-files" ? { brought: 1, missing: [] } : {};
  }

  say(): void {}
}
