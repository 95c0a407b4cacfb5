import { onPath, thisMachine } from "../../lib/machine.ts";
import { run } from "../../lib/run.ts";
import { aptInstall, cannotInstall } from "./apt.ts";

/** All of one package, so that none of them is missing alone. */
const programs = ["ssh", "ssh-keygen", "ssh-keyscan"];

const missing = (): string[] => programs.filter((program) => onPath(program) === undefined);

/**
 * Sees to it that there is the OpenSSH client, by which machines are reached.
 * @param say told what takes a while
 * @returns its version
 * @throws with what to do.
 */
export async function ensureSshClient(say: (line: string) => void): Promise<string> {
  if (missing().length > 0) {
    const reason = cannotInstall(thisMachine());
    if (reason !== undefined) {
      throw new Error(
        `no ${missing().join(", ")} on PATH, and the OpenSSH client cannot be installed from here: ` +
          `${reason}. Install it (Debian: \`sudo apt-get install openssh-client\`) and try again`,
      );
    }
    say("installing Debian's openssh-client");
    await aptInstall(["openssh-client"]);
  }
  const { stderr } = await run(["ssh", "-V"], { limitSeconds: 10 });
  return `${stderr.trim().split(",")[0]} is there`;
}
