/** One component alone, without the stack around it, recorded on both platforms. */
import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../../../infra/certificates/certificates.ts";
import type { ApplicationSecrets } from "../../../infra/components/application-secrets.ts";
import { Authority } from "../../../infra/components/authority.ts";
import type { Generated } from "../../../infra/components/credentials.ts";
import { DockerPlatform } from "../../../infra/platform/docker/docker.ts";
import type { Platform, Release, SharedDirectory } from "../../../infra/platform/platform.ts";
import { type Plan, planWith } from "./fixtures.ts";
import { machinePlatform, onMachines } from "./machine-stack.ts";
import { mockPassword, type Recording, record } from "./mocks.ts";
import { releaseFor, type StackOptions } from "./stack.ts";

export const platforms = ["docker", "ssh"] as const;

/** What components are given. */
export interface Surroundings extends Plan {
  readonly platform: Platform;
  readonly certificates: Certificates;
  readonly release: Release;
  /** The directories that the application wants to be shared, which are there already. */
  readonly shared: readonly SharedDirectory[];
  readonly secrets: ApplicationSecrets;
  /** A password, as a secret. */
  password(of: string): pulumi.Output<string>;
  /** The same, as the first of its generations. */
  generated(of: string): Generated;
  /** Options for the component. */
  readonly options: pulumi.ComponentResourceOptions;
}

/**
 * Makes one component, with networks and shared directories there already.
 * @param build makes it, and nothing else
 */
export function recordAlone(
  where: (typeof platforms)[number],
  build: (given: Surroundings) => pulumi.ComponentResource,
  { changes = {}, text, ...options }: Omit<StackOptions, "hash"> = {},
): Promise<Recording> {
  const plan = planWith({ ...(where === "ssh" && onMachines), ...changes }, text);
  const password = (of: string) => pulumi.secret(mockPassword(of));
  const generated = (of: string) => new Map([[1, password(of)]]);
  return record(() => {
    const platform =
      where === "ssh" ? machinePlatform(plan) : new DockerPlatform(plan.settings, plan.topology);
    const parent = new pulumi.ComponentResource("test:index:Surroundings", "surroundings");
    platform.allow([], { parent, dependsOn: [] });
    const shared = plan.application.shared.map((name) => ({
      name,
      path: `/var/lib/hastack/${name}`,
      group: "hastack",
    }));
    for (const one of shared) platform.sharedDirectory(one, { parent, dependsOn: [] });
    const { topology, settings } = plan;
    const certificates = new Authority("authority", {
      topology,
      usesCache: true,
      certificates: settings.certificates,
    });
    return build({
      ...plan,
      platform,
      certificates,
      release: releaseFor(plan),
      shared,
      secrets: { tier: password, cache: password("cache"), generated },
      password,
      generated,
      options: {},
    });
  }, options);
}

/** Asserts that a reviewer sees no password, and the engine no argument of a component. */
export function assertNothingShown({ all }: Recording): void {
  for (const { label, custom, inputs, shown, outputs } of all) {
    if (!custom) assert.deepEqual(inputs, {}, `${label} sends its arguments to the engine`);
    const text = JSON.stringify([shown, outputs]);
    for (const code of ["utf8", "hex", "base64"] as const) {
      const trace = Buffer.from("mock-password").toString(code).replace(/.=*$/, "");
      assert.ok(!text.includes(trace), `${label} shows a password`);
    }
  }
}

/** Asserts that each of these is only asked for once the one before it is there. */
export function assertOrder(recording: Recording, ...labels: readonly string[]): void {
  const find = (label: string) => {
    const [type = "", name = ""] = label.split(" ");
    return recording.get(type, name);
  };
  assert.ok(labels.length > 1);
  for (const [index, label] of labels.entries()) {
    const before = labels[index - 1];
    if (before === undefined) continue;
    assert.ok(find(label).asked > find(before).done, `${label} waits for ${before}`);
  }
}
