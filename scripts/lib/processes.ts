import { readdirSync, readFileSync } from "node:fs";
import { mustRun } from "./run.ts";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** The command line; empty for a process that has ended but is not yet reaped. */
  readonly command: string;
}

/** One process as Linux shows it; nothing when it has just gone. */
function fromProc(pid: string): Process[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
    // the name in parentheses may hold anything, spaces too: "PID (name) STATE PARENT …"
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return [{ pid: Number(pid), parent, command }];
  } catch {
    return [];
  }
}

/** All processes of this machine. Linux needs no program for it; others have `ps`. */
export async function processes(): Promise<Process[]> {
  if (process.platform === "linux") {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap(fromProc);
  }
  const text = await mustRun(["ps", "-axo", "pid=,ppid=,args="]);
  return [...text.matchAll(/^\s*(\d+)\s+(\d+)\s+(.*)$/gm)].map(([, pid, parent, command = ""]) => {
    return { pid: Number(pid), parent: Number(parent), command };
  });
}

/** The processes with these ids and all that they started, the youngest generation last. */
export function withDescendants(all: readonly Process[], pids: readonly number[]): number[] {
  const children = all.filter(({ parent }) => pids.includes(parent)).map(({ pid }) => pid);
  return children.length === 0 ? [...pids] : [...pids, ...withDescendants(all, children)];
}
