import { onPath, thisMachine } from "../../lib/machine.ts";
import { aptInstall, cannotInstall } from "./apt.ts";

/**
 * Sees to it that there is a Chromium for the tests of the pages.
 * @param say told what takes a while
 * @returns its path
 * @throws with what to do.
 */
export async function ensureBrowser(say: (line: string) => void): Promise<string> {
  const chosen = process.env.CHROMIUM_PATH || undefined;
  const there = onPath(chosen ?? "chromium");
  if (there !== undefined) return there;
  if (chosen !== undefined) throw new Error(`CHROMIUM_PATH: ${chosen} is not a program`);
  const machine = thisMachine();
  const reason =
    machine.distribution === "debian" ? cannotInstall(machine) : "only Debian has it as a package";
  if (reason !== undefined) {
    throw new Error(
      `the tests of the pages need Chromium, which cannot be installed from here: ${reason}. ` +
        "Install it (Debian: `sudo apt-get install chromium`), or set CHROMIUM_PATH to the program",
    );
  }
  say("installing Debian's chromium");
  await aptInstall(["chromium"]);
  return onPath("chromium") ?? "chromium";
}
