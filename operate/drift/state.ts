/** What the state of the last `up` says: each resource with what was asked of it. */
import { interruptedVariable } from "../../scripts/launcher/recovery.ts";
import { pulumiOutput } from "../../scripts/pulumi.ts";

/** A resource of the state. */
export interface Resource {
  readonly name: string;
  readonly type: string;
  readonly id: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Whether an `up` was cut off at it, so that it may be half done. */
  readonly unsure: boolean;
}

export interface State {
  readonly resources: readonly Resource[];
  /** Why secrets cannot be read; nothing where they can. */
  readonly closed?: string;
}

interface Export {
  readonly deployment?: {
    readonly resources?: readonly {
      readonly urn: string;
      readonly type: string;
      readonly id?: string;
      readonly inputs?: Readonly<Record<string, unknown>>;
      readonly taint?: boolean;
    }[];
    readonly pending_operations?: readonly { readonly resource: { readonly urn: string } }[];
  };
}

/** A stack's state, with its secrets where the passphrase opens them. */
export async function stackState(stack: string): Promise<State> {
  const words = ["stack", "export", "--stack", stack];
  try {
    return { resources: readState(await pulumiOutput([...words, "--show-secrets"])) };
  } catch (error) {
    const [, why = ""] = (error as Error).message.split("\n");
    return { resources: readState(await pulumiOutput(words)), closed: why.trim() };
  }
}

/** @param text as `pulumi stack export` writes it */
export function readState(text: string): Resource[] {
  const { resources = [], pending_operations = [] } = (JSON.parse(text) as Export).deployment ?? {};
  const pending = new Set(pending_operations.map(({ resource }) => resource.urn));
  return resources.map(({ urn, type, id = "", inputs = {}, taint = false }) => {
    const { environment } = inputs as { readonly environment?: object };
    const isInterrupted = interruptedVariable in (environment ?? {});
    return {
      name: urn.split("::").at(-1) ?? "",
      type,
      id,
      inputs,
      unsure: taint || isInterrupted || pending.has(urn),
    };
  });
}

/** A call of a program, as commands of both platforms make it. */
export interface Call {
  /** Such as `docker/deliver-files.ts` or `ssh/run.ts place`. */
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
  /** As `secretsInput` writes them; nothing where they cannot be read. */
  readonly secrets: Readonly<Record<string, string>> | undefined;
}

/** What a command resource calls; nothing where it is none of this release's kind. */
export function callOf({ type, inputs }: Resource): Call | undefined {
  const { create, environment = {}, stdin } = inputs;
  if (type !== "command:local:Command" || typeof create !== "string") return undefined;
  const [, name] = /^node platform\/(.*?)(?: REQUEST)?$/.exec(create) ?? [];
  if (name === undefined) return undefined;
  return { name, environment: environment as Call["environment"], secrets: readSecrets(stdin) };
}

/** Pulumi writes a secret that it has opened as JSON beside a mark. */
function readSecrets(stdin: unknown): Call["secrets"] {
  if (stdin === undefined) return {};
  if (typeof stdin === "string") return fromLines(stdin);
  const { plaintext } = stdin as { plaintext?: string };
  return plaintext === undefined ? undefined : fromLines(JSON.parse(plaintext) as string);
}

function fromLines(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split("\n").flatMap((line): [string, string][] => {
      const [name = "", value = ""] = line.split(" ");
      return name === "" ? [] : [[name, Buffer.from(value, "hex").toString()]];
    }),
  );
}
