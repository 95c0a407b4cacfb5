import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { delimiter, join } from "node:path";

/** What set-up must know of the machine it runs on. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  /** Debian or one of its children (by ID and ID_LIKE of os-release). */
  readonly debianLike: boolean;
  /** `debian`, `ubuntu`, …, or the platform where there is no os-release. */
  readonly distribution: string;
  readonly root: boolean;
  readonly user: string;
  /** systemd is process 1. */
  readonly systemd: boolean;
}

/** The values of an os-release file. */
export function parseOsRelease(text: string): Record<string, string> {
  const lines = [...text.matchAll(/^([A-Z_]+)=["']?(.*?)["']?$/gm)];
  return Object.fromEntries(lines.map(([, name, value]) => [name, value]));
}

export function thisMachine(): Machine {
  const file = "/etc/os-release";
  const release = existsSync(file) ? parseOsRelease(readFileSync(file, "utf8")) : {};
  const names = [release.ID ?? "", ...(release.ID_LIKE ?? "").split(" ")];
  return {
    platform: process.platform,
    debianLike: names.includes("debian") && onPath("apt-get") !== undefined,
    distribution: release.ID ?? process.platform,
    root: process.getuid?.() === 0,
    user: userInfo().username,
    systemd: existsSync("/run/systemd/system"),
  };
}

/** PATH with the administrator's folders, which a plain user's or a container's may lack. */
export const adminPath = (): string =>
  [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]
    .filter(Boolean)
    .join(delimiter);

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of a program, if it is there: by its name on PATH or among the administrator's
 * programs, or by a path. */
export function onPath(program: string): string | undefined {
  const folders = program.includes("/") ? [""] : adminPath().split(delimiter);
  return folders
    .map((folder) => (folder === "" ? program : join(folder, program)))
    .find(isExecutable);
}
