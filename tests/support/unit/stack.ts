/** The whole stack, recorded against Pulumi's mocks and looked at as plain values. */
import * as pulumi from "@pulumi/pulumi";
import { usersOf } from "../../../infra/application/names.ts";
import type { Credentials } from "../../../infra/components/credentials.ts";
import { DockerPlatform } from "../../../infra/platform/docker/docker.ts";
import type { Flow, Platform, Release, Task, Workload } from "../../../infra/platform/platform.ts";
import { WebStack } from "../../../infra/stack.ts";
import { type Plan, planWith } from "./fixtures.ts";
import { type Recording, type RecordOptions, type Registration, record } from "./mocks.ts";

export const release = { hash: "0123456789ab", application: "app" };

/** That release of an application. */
export const releaseFor = ({ application }: Plan, hash = release.hash): Release => ({
  ...release,
  hash,
  users: usersOf(application),
});

export interface StackOptions extends RecordOptions {
  /** Settings in place of those of the fixture. @default none */
  readonly changes?: Readonly<Record<string, unknown>>;
  /** Hash of the application release. @default that of `release` */
  readonly hash?: string;
  /** Description of the application. @default the travel agency's */
  readonly text?: string;
}

const recorded = new Map<string, Promise<Recording>>();

/** Everything that the stack asks of the engine on Docker; the same wish is recorded once. */
export function recordStack(options: StackOptions = {}): Promise<Recording> {
  const key = JSON.stringify(options);
  const known = recorded.get(key) ?? recordAnew(options);
  recorded.set(key, known);
  return known;
}

function recordAnew({ changes, hash = release.hash, text, ...options }: StackOptions) {
  const plan = planWith(changes, text);
  return record(() => {
    const platform = new DockerPlatform(plan.settings, plan.topology);
    return new WebStack("hastack", { ...plan, platform, release: releaseFor(plan, hash) });
  }, options);
}

/** What the components describe, before any platform has touched it. */
export interface Description extends Plan {
  readonly workloads: readonly Workload[];
  readonly tasks: readonly Task[];
  readonly flows: readonly Flow[];
  readonly credentials: Credentials;
}

/**
 * Runs the components on a platform that only takes notes.
 * @param text description of the application @default the travel agency's
 */
export async function describeStack(
  changes: Readonly<Record<string, unknown>> = {},
  text?: string,
): Promise<Description> {
  const plan = planWith(changes, text);
  const workloads: Workload[] = [];
  const tasks: Task[] = [];
  const flows: Flow[] = [];
  const note = (name: string, parent: pulumi.Resource) =>
    new pulumi.ComponentResource("test:index:Note", name, {}, { parent });
  const platform: Platform = {
    place(workload, { parent }) {
      workloads.push(workload);
      return note(workload.host.name, parent);
    },
    runOnce(task, { parent }) {
      tasks.push(task);
      return note(task.name, parent);
    },
    sharedDirectory: ({ name }, { parent }) => note(name, parent),
    allow(wanted, { parent }) {
      flows.push(...wanted);
      return [note("flows", parent)];
    },
    allowOnly: (_wanted, { parent }) => [note("flows-only", parent)],
  };
  const recording = await record(
    () => new WebStack("hastack", { ...plan, platform, release: releaseFor(plan) }),
  );
  const { credentials } = recording.result as WebStack;
  return { ...plan, workloads, tasks, flows, credentials };
}

/** @throws Error if there is none of this name */
export function workloadOf({ workloads }: Description, name: string): Workload {
  const found = workloads.find(({ host }) => host.name === name);
  if (!found) throw new Error(`there is no workload ${name}`);
  return found;
}

/** @throws Error if there is none of this name */
export function taskOf({ tasks }: Description, name: string): Task {
  const found = tasks.find((one) => one.name === name);
  if (!found) throw new Error(`there is no task ${name}`);
  return found;
}

/** The images of a kind such as `release`; the tag of each is part of its name. */
export function imagesOf(recording: Recording, kind: string): Registration[] {
  return recording.ofType("RemoteImage").filter(({ inputs }) => {
    const [name = "", tag = ""] = String(inputs.name).split(":");
    return name.endsWith(`/${kind}`) && tag !== "";
  });
}

/** The only image of a kind, or the first. @throws Error if there is none */
export function imageOf(recording: Recording, kind: string): Registration {
  const [found] = imagesOf(recording, kind);
  if (!found) throw new Error(`there is no image of ${kind}`);
  return found;
}

/** Labels of the resources that differ between two runs, in alphabetical order. */
export function differences(before: Recording, after: Recording): string[] {
  const inputs = (recording: Recording) =>
    new Map(recording.all.map((one) => [one.label, JSON.stringify(one.inputs)]));
  const [old, now] = [inputs(before), inputs(after)];
  const labels = new Set([...old.keys(), ...now.keys()]);
  return [...labels].filter((label) => old.get(label) !== now.get(label)).sort();
}
