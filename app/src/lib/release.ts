import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** Lies at the root of a release, beside `app/`; a checkout has none. */
const file = join(import.meta.dirname, "../../../release.json");

/** Only the name is of interest here; the file says more. */
const about = z.object({ release: z.string().min(1) });

function read(): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "development";
    throw error;
  }
  try {
    return about.parse(JSON.parse(text)).release;
  } catch (error) {
    throw new Error(`${file} does not name its release; build it again.`, { cause: error });
  }
}

/**
 * Name of the release that this program belongs to, `development` where it is none. It comes from
 * the release and not from the configuration, which can so stay the same from one to the next.
 * Read once, at the start. @throws where `release.json` is there but names nothing
 */
export const release = read();
