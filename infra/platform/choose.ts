/** From the setting `hastack:platform` to the platform itself; the only place that knows them all. */
import * as pulumi from "@pulumi/pulumi";
import { formatProblem } from "../rules/problem.ts";
import type { Settings } from "../settings.ts";
import type { Topology } from "../topology.ts";
import { alteredThings } from "./docker/altered.ts";
import { DockerPlatform } from "./docker/docker.ts";
import { dockerNames } from "./docker/names.ts";
import { preflight } from "./docker/preflight.ts";
import type { Flow, Platform } from "./platform.ts";
import { inspectMachines } from "./ssh/preflight.ts";
import { SshPlatform } from "./ssh/ssh.ts";

type Start = (
  settings: Settings,
  topology: Topology,
  flows: readonly Flow[],
) => Platform | Promise<Platform>;

const platforms: Readonly<Record<Settings["platform"], Start>> = {
  docker: async (settings, topology) => {
    const engine = preflight(settings, topology);
    const absent = settings.absent.map(dockerNames(settings.stack).container);
    const asked = engine.containers.filter((name) => !absent.includes(name));
    const altered = await alteredThings(settings.stack, asked);
    return new DockerPlatform(settings, topology, { ...engine, altered });
  },
  ssh: async (settings, topology, flows) => {
    const machines = await inspectMachines(settings, topology, flows);
    for (const warning of machines.warnings ?? []) pulumi.log.warn(formatProblem(warning));
    return new SshPlatform(settings, topology, machines);
  },
};

/**
 * @param flows every connection that the stack's members make
 * @throws SettingsError when the place where the stack is to run is not fit for it
 */
export async function choosePlatform(
  settings: Settings,
  topology: Topology,
  flows: readonly Flow[],
): Promise<Platform> {
  return platforms[settings.platform](settings, topology, flows);
}
