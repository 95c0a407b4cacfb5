/** The things that several resources leave on a machine. */
import { createHash } from "node:crypto";
import type { FileRequest } from "../../infra/platform/request.ts";
import type { Brought, Expectation } from "./expectation.ts";

/** What all things of a resource have alike. */
export type Base = Pick<Expectation, "machine" | "fix" | "unsure">;

/** Of a process: whether its supervisor starts it by itself. */
export const atStart = "starts by itself";

/** @param folder where the unit's file lies, if its name in systemd's folder is a link */
export function unitThing(common: Base, unit: string, folder?: string): Expectation {
  const place = folder ?? "/etc/systemd/system";
  return {
    ...common,
    ask: `unit ${unit}`,
    thing: unit,
    should: { file: `${place}/${unit}`, run: "up", [atStart]: "yes", "drop-ins": "none" },
  };
}

/** A Debian package. */
export function packageThing(common: Base, name: string): Expectation {
  const thing = `package ${name}`;
  return { ...common, ask: thing, thing, should: { is: "installed" } };
}

/** A file of plain text at a place of its own. */
export function plainFile(common: Base, path: string, text: string, mode = "0644"): Expectation {
  return fileThing(common, path, { owner: "root", mode, content: text }, text);
}

/**
 * @param text its content filled in; nothing where a secret is not known
 * @param brought where a delivery brought it @default none did
 */
export function fileThing(
  common: Base,
  path: string,
  { owner, mode, content }: FileRequest,
  text: string | undefined,
  brought?: Brought,
): Expectation {
  const folder = brought?.folder;
  return {
    ...common,
    ...(brought && { brought }),
    ask: `file ${path}`,
    thing: path,
    should: {
      is: "a regular file",
      mode: Number.parseInt(mode, 8).toString(8),
      owner,
      ...(text !== undefined && { content: hashOf(text) }),
    },
    file: {
      ...(folder !== undefined && { path: path.slice(folder.length + 1) }),
      template: content.replaceAll("@{folder}", folder ?? ""),
      text,
      isSecret: /@\{\w+\}/.test(content.replaceAll("@{folder}", "")),
    },
  };
}

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");
