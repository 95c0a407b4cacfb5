/** What a recovery kit holds, and how it is read back. */
import { z } from "zod";
import { readJson } from "../json.ts";
import { type Files, pack, unpack } from "./archive.ts";
import { fingerprintShape } from "./fingerprint.ts";
import { seal, unseal } from "./seal.ts";

/** Another number where an earlier release would read a kit in a wrong way. */
export const format = 1;

export const names = {
  readMe: "README.txt",
  about: "kit.json",
  repository: "repository.txt",
  state: "state.json",
  passphrase: "passphrase",
  settings: "settings.yaml",
  overlay: "overlay.yaml",
  project: "project.yaml",
  inventory: "inventory.yaml",
  identity: "identity",
} as const;

/** What each of them is, for people. */
export const described: Readonly<Record<string, string>> = {
  [names.readMe]: "how to use the kit",
  [names.about]: "what is told here",
  [names.repository]: "key and place of the backups",
  [names.state]: "the stack's state, its secrets encrypted by the passphrase",
  [names.passphrase]: "the passphrase of the state",
  [names.settings]: "the stack's settings",
  [names.overlay]: "the salt of the state, and secret settings",
  [names.project]: "Pulumi.yaml, which is not the project's own",
  [names.inventory]: "how the machines are reached",
  [names.identity]: "the private key for the machines",
};

const aboutShape = z.object({
  what: z.literal("recovery kit of hastack"),
  format: z.number(),
  stack: z.string().regex(/^\w[\w.-]*$/),
  platform: z.string(),
  /** ISO 8601. */
  made: z.string(),
  by: z.string(),
  hastack: z.object({
    version: z.string(),
    /** Of git. @default the checkout was none of git's */
    commit: z.string().optional(),
    /** Whether files differed from the commit's. */
    changed: z.boolean(),
  }),
  application: z.object({ path: z.string(), release: z.string().optional() }),
  /** Where files belong that are not at a fixed place, as the settings name them. */
  places: z.object({ inventory: z.string().optional(), identity: z.string().optional() }),
  /** What a recovery needs, and could not be had: a sentence each. */
  missing: z.array(z.string()),
  fingerprint: fingerprintShape,
});
export type About = z.output<typeof aboutShape>;

export interface Kit {
  readonly about: About;
  readonly files: Files;
}

/** @param work of the seal @default what takes a second */
export function sealKit({ about, files }: Kit, passphrase: string, work?: number): Promise<Buffer> {
  const all = { ...files, [names.about]: `${JSON.stringify(about, null, 2)}\n` };
  return seal(pack(all, new Date(about.made)), passphrase, work);
}

/**
 * @param file how errors name it
 * @throws where it is no kit, is damaged, has another passphrase, or is of a later release
 */
export async function openKit(sealed: Buffer, passphrase: string, file: string): Promise<Kit> {
  const files = unpack(await unseal(sealed, passphrase, file));
  const text = files?.[names.about];
  const version = readJson(text, z.object({ format: z.number() }))?.format ?? 0;
  if (version > format)
    throw new Error(
      `${file} was made by a later release of hastack (its format is ${version}, known here is ${format}): ` +
        "check out that release; README.txt in the kit says how to look into it with age and tar alone",
    );
  const about = readJson(text, aboutShape);
  if (files === undefined || about === undefined)
    throw new Error(`${file} is no recovery kit: what was sealed is something else`);
  return { about, files };
}

const kilobytes = (text: string): string => `${Math.ceil(Buffer.byteLength(text) / 1000)} kB`;

/** For people; no secrets. */
export function describeKit({ about, files }: Kit): string {
  const { stack, platform, made, by, hastack, application, missing } = about;
  const commit = hastack.commit ? `, commit ${hastack.commit}` : "";
  const changed = hastack.changed ? ", with files that were changed" : "";
  const width = Math.max(...Object.keys(files).map((name) => name.length));
  return [
    `Recovery kit of the stack ${stack} (${platform})`,
    `made        ${made} by ${by}`,
    `hastack     ${hastack.version}${commit}${changed}`,
    `application ${application.path}${application.release ? `, release ${application.release}` : ""}`,
    "",
    ...Object.entries(files).map(
      ([name, text]) =>
        `  ${name.padEnd(width)}  ${kilobytes(text).padStart(8)}  ${described[name] ?? "not known here"}`,
    ),
    ...(missing.length > 0 ? ["", "It has not:", ...missing.map((one) => `  ${one}`)] : []),
  ].join("\n");
}
