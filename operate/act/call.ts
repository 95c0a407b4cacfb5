/** The command line of an operation: names, `--stack NAME`, `--yes`, and options of its own. */
import { parseArgs } from "node:util";
import { defaultStack } from "../../scripts/launcher/stack.ts";

export interface OperationCall {
  readonly stack: string;
  /** Nothing is asked. */
  readonly yes: boolean;
  readonly names: readonly string[];
  /** Of its own options those that were given. */
  readonly options: Readonly<Record<string, string | boolean>>;
}

export type OwnOptions = Readonly<Record<string, { readonly type: "string" | "boolean" }>>;

/**
 * @param usage as in `npm run drain -- MEMBER`, for the error
 * @param own further options @default none
 * @param names how many names there must be @default as many as one likes
 * Where help is asked for, the usage is all that is done.
 * @throws with the usage when there is an option that is none, or another number of names
 */
export function readOperationCall(
  args: readonly string[],
  usage: string,
  { own = {}, names }: { own?: OwnOptions; names?: number } = {},
): OperationCall {
  if (args.some((one) => ["--help", "-h"].includes(one))) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  const options = {
    stack: { type: "string", short: "s" },
    yes: { type: "boolean" },
    ...own,
  } as const;
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    if (names !== undefined && positionals.length !== names)
      throw new Error(`it takes ${names || "no"} name${names === 1 ? "" : "s"}`);
    const { stack = defaultStack, yes = false, ...rest } = values;
    return { stack: String(stack), yes: yes === true, names: positionals, options: given(rest) };
  } catch (error) {
    throw new Error(`${(error as Error).message.split(". ")[0]}; use: ${usage}`);
  }
}

function given(values: object): Record<string, string | boolean> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
