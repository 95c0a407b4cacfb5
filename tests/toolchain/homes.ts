/** Homes of Pulumi's whose parts are all of one origin, to compare them. */
import { inHastack } from "../../lib/paths.ts";
import { built, builtParts } from "../../scripts/setup/built-parts.ts";
import { requiredParts } from "../../scripts/setup/parts.ts";
import { ensurePulumiParts } from "../../scripts/setup/pulumi-parts.ts";

/** A home with parts that were built here, today's; they are built if they are not there. */
export async function builtHome(): Promise<string> {
  const own = inHastack("pulumi");
  const home = builtParts(own).length === requiredParts().length ? own : inHastack("toolchain");
  await ensurePulumiParts({ home, from: [built] });
  return home;
}

/** A home with Pulumi's own parts alone; nothing where some of them are not to be had. */
export async function pulumisHome(): Promise<string | undefined> {
  const own = inHastack("pulumi");
  return builtParts(own).length > 0 ? undefined : own;
}
