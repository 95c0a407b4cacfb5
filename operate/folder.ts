/** Where a member has its files on its machine. */
import { configurationDirectory } from "../infra/platform/docker/s6.ts";
import { workloadFolder } from "../infra/platform/ssh/layout.ts";
import type { Member } from "../infra/topology.ts";
import type { OperatedStack } from "./stack.ts";

export function folderOf({ settings }: OperatedStack, { name }: Pick<Member, "name">): string {
  return settings.platform === "docker" ? configurationDirectory : workloadFolder(name);
}
