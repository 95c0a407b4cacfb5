import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Document, isMap, parse, parseDocument } from "yaml";
import { inHastack, inRoot } from "../../lib/paths.ts";

// Pulumi writes a stack's encryption salt into Pulumi.<stack>.yaml, and secret settings encrypted by
// it. Both belong to the passphrase of this machine, so they must not be tracked: the CLI is given a
// copy with them (the overlay), and whatever else it changes there is carried back.

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

/** Secret settings by their key, each as the CLI encrypted it. */
export type Secrets = Readonly<Record<string, { readonly secure: string }>>;

const isSecret = (value: unknown): value is Secrets[string] =>
  typeof value === "object" &&
  value !== null &&
  Object.keys(value).join() === "secure" &&
  typeof (value as { secure: unknown }).secure === "string";

const settingsOf = (text: string): Record<string, unknown> =>
  (parse(text) as { config?: Record<string, unknown> } | null)?.config ?? {};

/** The settings that are secret as a whole; a secret inside a larger setting stays where it is. */
export function secretsOf(text: string): Secrets {
  const found = Object.entries(settingsOf(text)).filter(([, value]) => isSecret(value));
  return Object.fromEntries(found) as Secrets;
}

/** In the CLI's own style, comments kept. */
const laidOut = (document: Document): string =>
  document.toString({ lineWidth: 0, flowCollectionPadding: false });

/** The configuration with these secret settings; one that the text has in plain stays as it is. */
export function withSecrets(text: string, secrets: Secrets): string {
  const own = settingsOf(text);
  const missing = Object.entries(secrets).filter(([key]) => own[key] === undefined);
  if (missing.length === 0) return text;
  const document = parseDocument(text);
  if (!isMap(document.get("config"))) document.set("config", document.createNode({}));
  for (const [key, value] of missing) document.setIn(["config", key], document.createNode(value));
  return laidOut(document);
}

/** The configuration without its secret settings. */
export function withoutSecrets(text: string): string {
  const keys = Object.keys(secretsOf(text));
  if (keys.length === 0) return text;
  const document = parseDocument(text);
  for (const key of keys) document.deleteIn(["config", key]);
  return laidOut(document);
}

/** What a configuration says: the CLI writes plain values in quotes, and no settings as `{}`. */
function contentOf(text: string): unknown {
  const settings = Object.entries(settingsOf(text)).map(([key, value]) => [
    key,
    typeof value === "object" ? value : String(value),
  ]);
  return { ...(parse(text) as object | null), config: Object.fromEntries(settings) };
}

/**
 * What the tracked file becomes after the CLI has run. Secrets that a salt belongs to stay behind
 * with it; a secrets provider's, which others can open too, are carried back.
 * @param tracked as it is
 * @param left the overlay as the CLI left it
 * @returns nothing when nothing else changed: the CLI lays the whole file out anew
 */
export function carriedBack(tracked: string, left: string): string | undefined {
  const after = saltOf(left) === undefined ? left : withoutSecrets(withoutSalt(left));
  return isDeepStrictEqual(contentOf(withoutSalt(tracked)), contentOf(after)) ? undefined : after;
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

/** What an overlay keeps of its secrets: a new salt can open none of the old ones. */
const keptSecrets = (overlay: string, salt: string | undefined): Secrets =>
  salt !== undefined && salt === saltOf(overlay) ? secretsOf(overlay) : {};

/**
 * Makes the overlay of a stack from its tracked file, and the salt and secrets kept from before.
 * @param salt a new stack's salt line. @default the one in the present overlay
 * @returns nothing where the tracked file has a salt: then the user keeps it there on purpose
 */
export function makeOverlay(stack: string, salt?: string): Overlay | undefined {
  const [tracked, path] = [trackedFile(stack), overlayFile(stack)];
  const text = read(tracked) ?? "";
  if (saltOf(text) !== undefined) return undefined;
  const before = read(path) ?? "";
  const own = salt ?? saltOf(before);
  write(path, withSalt(withSecrets(text, keptSecrets(before, own)), own));
  return {
    path,
    settle() {
      const left = read(path);
      const changed = left === undefined ? undefined : carriedBack(text, left);
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
