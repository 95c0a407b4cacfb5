import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { inHastack, inRoot } from "../lib/paths.ts";

// Pulumi writes a stack's encryption salt into Pulumi.<stack>.yaml. It belongs to the passphrase of
// this machine, so it must not be tracked: the CLI is given a copy with the salt (the overlay), and
// whatever else it changes there is carried back.

const saltLine = /^encryptionsalt:.*(?:\n|$)/m;

/** The line that holds the salt, without its line end. */
export const saltOf = (text: string): string | undefined => saltLine.exec(text)?.[0].trimEnd();

/** The configuration as it is tracked. */
export const withoutSalt = (text: string): string => text.replace(saltLine, "");

/** The configuration as the CLI gets it. */
export function withSalt(text: string, salt: string | undefined): string {
  const plain = withoutSalt(text);
  if (salt === undefined) return plain;
  return `${plain}${plain === "" || plain.endsWith("\n") ? "" : "\n"}${salt}\n`;
}

/**
 * What the tracked file becomes after the CLI has run.
 * @param given the overlay as the CLI got it
 * @param left the overlay as the CLI left it
 * @returns nothing when no setting changed: writing a salt, the CLI lays the whole file out anew
 */
export function carriedBack(given: string, left: string): string | undefined {
  const [before, after] = [withoutSalt(given), withoutSalt(left)];
  return isDeepStrictEqual(parse(before), parse(after)) ? undefined : after;
}

const read = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, "utf8") : undefined;

function write(path: string, text: string): void {
  if (read(path) === text) return;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}

export const trackedFile = (stack: string): string => inRoot(`Pulumi.${stack}.yaml`);
export const overlayFile = (stack: string): string => inHastack("stacks", `${stack}.yaml`);

/** A stack's configuration while a command runs. */
export interface Overlay {
  /** For PULUMI_OPTION_CONFIG_FILE. */
  readonly path: string;
  /** Carries the command's changes back into the tracked file. */
  settle(): void;
}

/**
 * Makes the overlay of a stack from its tracked file and the salt kept from before.
 * @param salt a new stack's salt line. @default the one in the present overlay
 * @returns nothing where the tracked file has a salt: then the user keeps it there on purpose
 */
export function makeOverlay(stack: string, salt?: string): Overlay | undefined {
  const [tracked, path] = [trackedFile(stack), overlayFile(stack)];
  const text = read(tracked) ?? "";
  if (saltOf(text) !== undefined) return undefined;
  const given = withSalt(text, salt ?? saltOf(read(path) ?? ""));
  write(path, given);
  return {
    path,
    settle() {
      const left = read(path);
      const changed = left === undefined ? undefined : carriedBack(given, left);
      if (changed !== undefined) write(tracked, changed);
    },
  };
}

/** Moves the salt that `pulumi stack init` wrote into the tracked file to the overlay. */
export function adoptSalt(stack: string): void {
  const tracked = trackedFile(stack);
  const text = read(tracked) ?? "";
  const salt = saltOf(text);
  if (salt === undefined) return;
  const plain = withoutSalt(text);
  if (plain.trim() === "") rmSync(tracked);
  else write(tracked, plain);
  makeOverlay(stack, salt);
}

/** The configuration with the salt, before the stack exists: what `stack init` is to find. */
export const overlayText = (stack: string): string =>
  withSalt(read(trackedFile(stack)) ?? "", saltOf(read(overlayFile(stack)) ?? ""));
