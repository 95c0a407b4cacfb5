/** What was changed by hand in the stack's containers, as they tell by their own notes. */
import { readProgram } from "../machine.ts";
import { inContainer } from "./connection.ts";
import { dockerNames } from "./names.ts";
import { configurationDirectory } from "./s6.ts";

const lookSeconds = 10;
const call = `${readProgram("altered")}\naltered ${configurationDirectory} services .\n`;

/**
 * @param containers of the stack, by name
 * @returns by member; nothing for one that does not answer: that is told elsewhere
 */
export async function alteredThings(
  stack: string,
  containers: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const prefix = dockerNames(stack).container("");
  const looks = containers.map(async (name): Promise<[string, string[]]> => {
    const { code, stdout } = await inContainer(name).run(call, "", lookSeconds);
    const lines = code === 0 ? stdout.split("\n").filter(Boolean) : [];
    return [name.slice(prefix.length), lines.map((line) => line.slice(". ".length))];
  });
  return new Map((await Promise.all(looks)).filter(([, things]) => things.length > 0));
}
