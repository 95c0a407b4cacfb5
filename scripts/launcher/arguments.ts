/** What the launcher must know of a `pulumi` command line; the rest is the CLI's business. */
export interface Call {
  /** The command's words, such as `["stack", "select", "lab"]`. */
  readonly words: readonly string[];
  /** `--stack`, without organisation and project. */
  readonly stack: string | undefined;
  /** `--config-file`: the user has their own file, so ours stays out of the way. */
  readonly configFile: string | undefined;
  /** `--cwd`: Pulumi runs as if started there. */
  readonly cwd: string | undefined;
  readonly help: boolean;
  /** `--target`, `--exclude`: it is about a part of the stack. */
  readonly isPart: boolean;
}

/** Flags with a value that may stand before or between the words, by their long name. */
const valued: Readonly<Record<string, string>> = {
  "-s": "--stack",
  "--stack": "--stack",
  "-C": "--cwd",
  "--cwd": "--cwd",
  "-v": "--verbose",
  "--verbose": "--verbose",
  "--color": "--color",
  "--config-file": "--config-file",
  "--tracing": "--tracing",
  "--otel-traces": "--otel-traces",
  "--profiling": "--profiling",
  "--memprofilerate": "--memprofilerate",
};

/** `organization/hastack/dev` and `dev` are the same stack. */
export const bareStack = (name: string): string => name.split("/").at(-1) ?? name;

/** Splits `--flag=value`, `-sdev` and `-s dev` alike. */
function flagAt(args: readonly string[], index: number) {
  const arg = args[index] ?? "";
  const [name = "", inline] = /^(--[^=]+)=(.*)$/s.exec(arg)?.slice(1) ?? [];
  if (valued[name] !== undefined) return { flag: valued[name], value: inline, used: 1 };
  if (valued[arg] !== undefined) return { flag: valued[arg], value: args[index + 1], used: 2 };
  const short = valued[arg.slice(0, 2)];
  if (!arg.startsWith("--") && arg.length > 2 && short !== undefined) {
    return { flag: short, value: arg.slice(2), used: 1 };
  }
  return { flag: arg, value: undefined, used: 1 };
}

/** Reads a `pulumi` command line as far as the launcher needs it. */
export function readCall(args: readonly string[]): Call {
  const words: string[] = [];
  const flags = new Map<string, string | undefined>();
  for (let index = 0; index < args.length; ) {
    const arg = args[index] ?? "";
    if (arg === "--") break;
    if (!arg.startsWith("-") || arg === "-") {
      words.push(arg);
      index += 1;
      continue;
    }
    const { flag, value, used } = flagAt(args, index);
    flags.set(flag, value);
    index += used;
  }
  const stack = flags.get("--stack");
  return {
    words,
    stack: stack === undefined ? undefined : bareStack(stack),
    configFile: flags.get("--config-file"),
    cwd: flags.get("--cwd"),
    help: flags.has("--help") || flags.has("-h") || words[0] === "help",
    isPart: args.some((one) => /^(-t|--target|--exclude)\b/.test(one)),
  };
}

const onStack = new Set(
  ["up", "update", "preview", "pre", "refresh", "destroy", "down", "dn", "watch", "import"].concat([
    "config",
    "conf",
    "cfg",
    "cancel",
    "console",
    "logs",
    "state",
    "stack",
  ]),
);
const creating = new Set(["init", "new", "create", "setup"]);
const elsewhere = new Set(["ls", "rm", "remove", "unselect"]);
const changing = new Set(["up", "update", "refresh", "destroy", "down", "dn", "import", "watch"]);

/** What the command does with a stack, as far as it matters here. */
export type StackUse =
  /** Nothing: `version`, `plugin ls`, `stack ls`. */
  | "none"
  /** Makes it: `stack init`. */
  | "creates"
  /** Needs it to be there. */
  | "uses"
  /** Needs it, and takes its lock, so that what an interrupted run left must be cleared first. */
  | "changes";

/** @see StackUse */
export function stackUse({ words: [command = "", sub = ""], help }: Call): StackUse {
  if (help || !onStack.has(command)) return "none";
  if (command === "stack" && creating.has(sub)) return "creates";
  if (command === "stack" && elsewhere.has(sub)) return "none";
  if (command === "preview" || command === "pre" || changing.has(command)) return "changes";
  return "uses";
}

/** Whether it may change what runs. */
export function changesStack(call: Call): boolean {
  return stackUse(call) === "changes" && changing.has(call.words[0] ?? "");
}

/** The stack that `stack init NAME` and `stack select NAME` are about. */
export function namedStack({ words }: Call): string | undefined {
  const [command, sub = "", name] = words;
  if (command !== "stack" || name === undefined) return undefined;
  return creating.has(sub) || sub === "select" ? bareStack(name) : undefined;
}
