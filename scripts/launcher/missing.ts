import { dockerNames } from "../../infra/platform/docker/names.ts";
import { run } from "../../lib/run.ts";
import { fileBackend } from "./environment.ts";
import { absentIn } from "./settings.ts";
import { stateFile, stateText } from "./stack.ts";

// What was removed by hand is in the state still: `up` would find it unchanged, and the next change of
// it would fail. Pulumi's `--refresh` asks for everything, which takes seconds; so it is asked for
// where something is missing, and Docker can tell that at once.

/** A resource as the state has it. */
interface StateResource {
  readonly type: string;
  readonly id?: string;
  readonly outputs?: { readonly name?: string };
}

const kinds: Readonly<Record<string, string>> = {
  "docker:index/container:Container": "container",
  "docker:index/network:Network": "network",
  "docker:index/volume:Volume": "volume",
};

/** Lists all that the engine has of a kind by the same ids as the state. */
const lists: readonly (readonly string[])[] = [
  ["ps", "--all", "--quiet", "--no-trunc"],
  ["network", "ls", "--quiet", "--no-trunc"],
  ["volume", "ls", "--quiet"],
];

/**
 * Things of Docker that a state knows and the engine has not, as texts for the user.
 * @param ids of all that the engine has
 * @param absent names of containers that are lost for now, whose things are left as they are
 */
export function missing(
  resources: readonly StateResource[],
  ids: ReadonlySet<string>,
  absent: readonly string[] = [],
): string[] {
  return resources.flatMap(({ type, id, outputs }) => {
    const kind = kinds[type];
    if (kind === undefined || id === undefined || ids.has(id)) return [];
    const name = outputs?.name ?? id;
    if (absent.some((one) => name === one || name.startsWith(`${one}-`))) return [];
    const holdsData = kind === "volume" && !name.endsWith("-files");
    return [`${kind} ${name}${holdsData ? " with all the data that was in it" : ""}`];
  });
}

const say = (text: string) => process.stderr.write(`hastack: ${text}\n`);

function readResources(file: string): StateResource[] {
  return JSON.parse(stateText(file)).checkpoint?.latest?.resources ?? [];
}

/** What a stack's state in a `file://` backend has of Docker's; nothing for any other backend. */
function dockerResources(stack: string, env: NodeJS.ProcessEnv): StateResource[] | undefined {
  const backend = fileBackend(env);
  if (backend === undefined) return undefined;
  const file = stateFile(backend, stack);
  return file === undefined ? [] : readResources(file).filter(({ type }) => type in kinds);
}

/**
 * Keeps an `up` that skips its preview, which would tell more, from taking over what another checkout
 * made.
 * @throws where the engine has containers of the stack, and its state here knows of none
 */
export async function refuseStrangers(stack: string, env: NodeJS.ProcessEnv): Promise<void> {
  if (dockerResources(stack, env)?.length !== 0) return;
  const filter = `--filter=label=hastack.stack=${stack}`;
  const { code, stdout } = await run(["docker", "ps", "--all", filter, "--format={{.Names}}"]);
  const names = code === 0 ? stdout.split("\n").filter(Boolean) : [];
  if (names.length === 0) return;
  throw new Error(
    `the stack ${stack} is there already (${names.length} containers, such as ${names[0]}), and the state of this ` +
      "checkout knows nothing of it: another checkout made it, or the state (.hastack) was lost. Nothing " +
      `was changed; npx pulumi preview --stack ${stack} says what to do`,
  );
}

/**
 * Says what of a stack was removed by hand, in a `file://` backend.
 * @returns variables that let Pulumi look at everything before it does what it is asked for
 */
export async function noticeMissing(
  stack: string,
  env: NodeJS.ProcessEnv,
): Promise<NodeJS.ProcessEnv> {
  const resources = dockerResources(stack, env) ?? [];
  if (resources.length === 0) return {};
  const outcomes = await Promise.all(lists.map((words) => run(["docker", ...words])));
  // An engine that does not answer is the program's to tell
  if (outcomes.some(({ code }) => code !== 0)) return {};
  const ids = new Set(outcomes.flatMap(({ stdout }) => stdout.split("\n")));
  const absent = absentIn(stack);
  const gone = missing(resources, ids, absent.map(dockerNames(stack).container));
  if (gone.length === 0) return {};
  if (gone.length === resources.length) {
    // Looking at another engine would make the state forget what the right one has
    say(
      `nothing of the stack ${stack} is in this Docker engine. If it is another engine than before, go back to that one (DOCKER_HOST, docker context); if it was emptied, run this again with --refresh`,
    );
    return {};
  }
  if (absent.length > 0) {
    // Pulumi's Docker provider takes a stopped container for one that is gone
    say(
      `removed by hand: ${gone.join(", ")}; made anew once nothing is absent any more (hastack:absent: ${absent.join(", ")})`,
    );
    return {};
  }
  say(`removed by hand, and made anew by up:\n${gone.map((one) => `  ${one}`).join("\n")}`);
  return { PULUMI_OPTION_REFRESH: "true" };
}
