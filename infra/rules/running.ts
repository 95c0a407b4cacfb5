/** What a stack that runs cannot change yet: how many members etcd has, and the virtual addresses. */
import { contains } from "../addresses.ts";
import type { Settings } from "../settings.ts";
import type { Problem } from "./problem.ts";

/** What runs, as the members' own files say; nothing of what is not there yet. */
export interface Running {
  /** Members of etcd. */
  readonly quorum?: number;
  /** Virtual addresses. */
  readonly virtual: readonly string[];
}

/** @param files texts of etcd.yml and of keepalived.conf */
export function runningIn(files: readonly string[]): Running {
  const text = files.join("\n");
  const [, members] = /^initial-cluster: *(.*)$/m.exec(text) ?? [];
  const virtual = [...text.matchAll(/^ *([\d.]+)\/\d+ dev /gm)].map(([, address = ""]) => address);
  return {
    ...(members !== undefined && { quorum: members.split(",").length }),
    virtual: [...new Set(virtual)],
  };
}

/** @param quorum members that are wanted */
export function runningProblems(
  { platform, network }: Pick<Settings, "platform" | "network">,
  quorum: number,
  running: Running,
): Problem[] {
  return [
    ...quorumProblems(platform, quorum, running.quorum),
    ...(["frontend", "backend"] as const).flatMap((name) => {
      const { vip, subnet } = network[name];
      const { virtual } = running;
      if (virtual.length === 0 || virtual.includes(vip)) return [];
      const there = virtual.filter((one) => contains(subnet, one)).join(", ");
      return [
        {
          path: `network.${name}.vip`,
          value: vip,
          why: `is not ${there || virtual.join(", ")}, where the stack is served: it would be reached by neither for a while`,
          fix: `use ${there || "that"}, or destroy the stack first`,
        },
      ];
    }),
  ];
}

function quorumProblems(
  platform: Settings["platform"],
  wanted: number,
  there: number | undefined,
): Problem[] {
  if (there === undefined || there === wanted) return [];
  const why = `etcd runs with ${there} members, and none can be added or removed yet`;
  return platform === "docker"
    ? [
        {
          path: "members.quorum",
          value: wanted,
          why: `is not what runs: ${why}`,
          fix: `use ${there}, or destroy the stack first`,
        },
      ]
    : [
        {
          path: "machines",
          why: `role quorum is on ${wanted} machines: ${why}`,
          fix: `give ${there} machines the role, or destroy the stack first`,
        },
      ];
}
