/** What people read in a kit. */
import { backupDirectory } from "../../infra/roles.ts";
import type { About } from "./contents.ts";

/** Settings and secrets of a stack by their keys, as `pulumi config --json --show-secrets` gives them. */
export type Config = Readonly<Record<string, { readonly value?: string }>>;

/** How to use the kit. */
export function readMe({ stack, made, hastack, application, missing }: About): string {
  const commit = hastack.commit ?? `of version ${hastack.version}`;
  return `Recovery kit of the stack ${stack}, made ${made}.

Who has this kit and its passphrase has every password of the stack and all of its backups. Keep the two
apart from each other, and both apart from the machines.

To bring the stack back:

1. Get hastack's checkout, commit ${commit}, and the application (${application.path}).
2. In the checkout: npm run kit -- --open FILE
   With --new-machines behind it where the machines are lost, too: then everything is placed anew, with
   the same passwords and the same key of the backups.
3. docs/operate.md, "When everything is lost", has the rest.

Without hastack: age --decrypt FILE | tar --extract gives these files. repository.txt has the key and the
place of the backups, for pgbackrest and restic. state.json is for: pulumi stack import
${missing.length > 0 ? `\nThe kit has not:\n${missing.map((one) => `- ${one}\n`).join("")}` : ""}`;
}

/** The settings that say where backups are. */
const repositorySettings = ["backup", "backupS3Secret", "backupSftpKey"];

/** Key and place of the backups, in plain words. @param key nothing where it could not be had */
export function repositoryText(key: string | undefined, config: Config): string {
  const said = repositorySettings.flatMap((name) => {
    const { value } = config[`hastack:${name}`] ?? {};
    return value === undefined ? [] : [`hastack:${name}\n${laidOut(value)}\n`];
  });
  return [
    `Key that all repositories are encrypted with (hastack:backupRepositoryKey):\n${key ?? "it could not be had"}\n`,
    `The repository local is on the machine with the role backup, below ${backupDirectory}.\n`,
    ...(said.length > 0 ? said : ["No other repository is set.\n"]),
  ].join("\n");
}

/** A setting with parts is JSON in one line. */
function laidOut(value: string): string {
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}
