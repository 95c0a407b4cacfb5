/** A stack's settings without Pulumi: as its file says them. */
import { existsSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { readSettings, type Settings } from "../../infra/settings.ts";
import { trackedFile } from "./overlay.ts";

function parseFile(file: string): { readonly config?: object } {
  try {
    return parse(readFileSync(file, "utf8")) ?? {};
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message.split("\n")[0]}`);
  }
}

/** The settings of a stack as its file says them, without those that Pulumi has encrypted. */
export function settingsIn(stack: string): Settings {
  // It is a part of paths, and of what things are called
  if (!/^\w[\w.-]*$/.test(stack))
    throw new Error(`stack ${stack}: no stack is called so; use letters, digits, - _ and .`);
  const file = trackedFile(stack);
  if (!existsSync(file)) throw new Error(`stack ${stack}: there is no ${file}`);
  const { config = {} } = parseFile(file);
  const texts = Object.entries(config)
    .filter(([, value]) => !isEncrypted(value))
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
  return readSettings(stack, Object.fromEntries(texts));
}

/** Machines that a stack's file names as absent; none where it cannot be read: others complain of that. */
export function absentIn(stack: string): readonly string[] {
  try {
    return settingsIn(stack).absent;
  } catch {
    return [];
  }
}

function isEncrypted(value: unknown): boolean {
  return typeof value === "object" && value !== null && "secure" in value;
}
