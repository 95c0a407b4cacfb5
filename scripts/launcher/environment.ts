import { delimiter } from "node:path";
import { inHastack, pinnedVersion, withOwnNode } from "../../lib/paths.ts";

/** Where the Pulumi CLI and its language host lie in the project's own home. */
export const cliFolder = (): string =>
  inHastack("pulumi", "versions", pinnedVersion("@pulumi/pulumi"), "bin");

export const passphraseFile = (): string => inHastack("passphrase");
export const stateFolder = (): string => inHastack("state");

/** Pulumi would use an empty value of these, which names nothing. */
const neverEmpty = ["PULUMI_HOME", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"];

/**
 * The environment of the real CLI: what the user set stays, what is not set is the project's own.
 * An empty home, backend or passphrase counts as not set.
 */
export function pulumiEnvironment(user: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const isSet = ([name, value]: [string, string | undefined]) =>
    value !== undefined && !(value === "" && neverEmpty.includes(name));
  const own: NodeJS.ProcessEnv = Object.fromEntries(Object.entries(user).filter(isSet));
  const hasPassphrase =
    own.PULUMI_CONFIG_PASSPHRASE !== undefined || own.PULUMI_CONFIG_PASSPHRASE_FILE !== undefined;
  return {
    PULUMI_HOME: inHastack("pulumi"),
    PULUMI_BACKEND_URL: `file://${stateFolder()}`,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // The CLI would install a plugin that it lacks without asking what its checksum is
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    // The program and its commands start in half the time once Node has compiled them
    NODE_COMPILE_CACHE: inHastack("node-compile-cache"),
    // `stack rm` and `destroy --remove` would delete the tracked Pulumi.<stack>.yaml
    PULUMI_OPTION_PRESERVE_CONFIG: "true",
    ...(hasPassphrase ? {} : { PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile() }),
    ...own,
    PATH: withOwnNode([cliFolder(), own.PATH].filter(Boolean).join(delimiter)),
  };
}

/** The folder of a `file://` backend; nothing for any other kind. */
export function fileBackend(env: NodeJS.ProcessEnv): string | undefined {
  const url = env.PULUMI_BACKEND_URL ?? "";
  if (!url.startsWith("file://")) return undefined;
  const path = (url.slice("file://".length).split("?")[0] ?? "").replace(/^~/, env.HOME ?? "~");
  return path === "" ? undefined : path;
}
