/** Replaces generated passwords and secrets, in steps that each are an `up` of their own. */
import { readFileSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { parse, parseDocument } from "yaml";
import type { Application } from "../../infra/application/application.ts";
import {
  firstGeneration,
  type Generations,
  inUse,
  isChanging,
  principals,
} from "../../infra/generations.ts";
import { didYouMean } from "../../infra/rules/spelling.ts";
import { trackedFile } from "../../scripts/launcher/overlay.ts";
import { main as pulumi } from "../../scripts/pulumi.ts";
import type { OperatedStack } from "../stack.ts";
import { type Plan, Refusal, say } from "./plan.ts";

/** Generations by name; one that is not there has the first. */
export type AllGenerations = Readonly<Record<string, Generations>>;

/** What a password or secret of the stack is, to whoever replaces it. */
interface Replaced {
  readonly name: string;
  /**
   * `follows`: it is replaced with all others. `lingers`: the same, and the one before is taken until it is
   * dropped on purpose, since those who come with it come seldom. `apart`: only where it is named.
   */
  readonly kind: "follows" | "lingers" | "apart";
}

export function replaceable({ tiers, secrets }: Pick<Application, "tiers" | "secrets">) {
  const ofSecrets = Object.entries(secrets)
    .filter(([, { generated }]) => generated)
    .map(([name, { several }]): Replaced => ({ name, kind: several ? "lingers" : "apart" }));
  const names = [...principals, ...tiers.map(({ name }) => name)];
  return [...names.map((name): Replaced => ({ name, kind: "follows" })), ...ofSecrets];
}

export interface Wish {
  /** Which. @default all that are not apart */
  readonly names: readonly string[];
  /** Whether what lingers is dropped, and nothing is begun. */
  readonly finish: boolean;
}

const underWay = (generations: AllGenerations, { name, kind }: Replaced) => {
  const own = generations[name] ?? firstGeneration;
  const lingers = kind === "lingers" && inUse(own) > (own[1] ?? 0);
  return isChanging(own) && !lingers;
};

/** One step for one of them. */
function next(own: Generations): Generations {
  const [first = 1, second] = own;
  if (second === undefined) return [first, first + 1];
  return second > first ? [second, first] : [first];
}

/**
 * The steps in their order. What was cut off is brought to its end, and nothing else is begun then.
 * @returns the generations after each
 */
export function rotation(
  generations: AllGenerations,
  all: readonly Replaced[],
  { names, finish }: Wish,
): AllGenerations[] {
  const begun = all.filter((one) => underWay(generations, one));
  const meant = all.filter(({ name, kind }) =>
    names.length > 0 ? names.includes(name) : kind !== "apart",
  );
  if (finish) {
    const left = [...begun, ...meant].filter(({ name }) =>
      isChanging(generations[name] ?? firstGeneration),
    );
    return [...(begun.length > 0 ? [generations] : []), ...steps(generations, left, true)];
  }
  // Its last `up` may not have got to its end
  if (begun.length > 0) return [generations, ...steps(generations, begun, false)];
  // What still lingers from the time before is dropped as the next one comes
  const started = meant.map(({ name }) => {
    const used = inUse(generations[name] ?? firstGeneration);
    return [name, [used, used + 1]] as const;
  });
  const first = { ...generations, ...Object.fromEntries(started) };
  return [first, ...steps(first, meant, false)];
}

function steps(
  from: AllGenerations,
  those: readonly Replaced[],
  finish: boolean,
): AllGenerations[] {
  const changing = those.filter((one) =>
    finish ? isChanging(from[one.name] ?? firstGeneration) : underWay(from, one),
  );
  if (changing.length === 0) return [];
  const after = {
    ...from,
    ...Object.fromEntries(
      changing.map(({ name }) => [name, next(from[name] ?? firstGeneration)] as const),
    ),
  };
  return [after, ...steps(after, those, finish)];
}

/** Puts them into the text of a stack's file; all else stays as it is. */
export function withGenerations(text: string, generations: AllGenerations): string {
  const said = Object.entries(generations).filter(([, own]) => own.join() !== "1");
  const lines = said.map(([name, own]) => `    ${name}: [${own.join(", ")}]\n`);
  const block = `  ${setting}:${said.length === 0 ? " {}" : ""}\n${lines.join("")}`;
  const found = new RegExp(`^  ${setting}:.*\\n(?:    .*\\n)*`, "m");
  const ended = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  const plain = found.test(ended)
    ? ended.replace(found, block)
    : ended.replace(/^config:.*\n(?:(?: .*| *#.*)?\n)*/m, (config) => `${config}${block}`);
  const wanted = parse(text) ?? {};
  const meant = { ...wanted, config: { ...wanted.config, [setting]: Object.fromEntries(said) } };
  if (isDeepStrictEqual(readable(plain), meant)) return plain;
  // Somebody lays it out in a way of their own
  const document = parseDocument(text);
  document.set("config", document.createNode(meant.config));
  return document.toString({ lineWidth: 0 });
}

const setting = "hastack:credentials";

function readable(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** @throws Refusal where there is no such password, or nothing to finish */
export function planRotate(stack: OperatedStack, wish: Wish): Plan {
  const { absent } = stack.settings;
  if (absent.length > 0)
    throw new Refusal(
      `${absent.join(", ")}: absent (hastack:absent), and would come back with a password that nobody takes: bring it back first`,
    );
  const all = replaceable(stack.application);
  for (const name of wish.names) {
    if (all.some((one) => one.name === name)) continue;
    const names = all.map((one) => one.name);
    const fix = didYouMean(name, names, `there are ${names.join(", ")}`);
    throw new Refusal(`${name} is no password or secret that the stack makes: ${fix}`);
  }
  const list = rotation(stack.settings.credentials, all, wish);
  if (list.length === 0) throw new Refusal("nothing is left of an earlier rotation");
  const last = list.at(-1) ?? {};
  const changed = all.filter(({ name }) => last[name] !== stack.settings.credentials[name]);
  const names = changed.map(({ name }) => name).join(", ");
  const lingering = changed.filter(({ name }) => isChanging(last[name] ?? firstGeneration));
  return {
    costs: [
      `${names}: ${list.length} times up, of a minute or two each; instances start anew one after the other each time, the cache twice (it is empty then). No request fails.`,
      ...changed
        .filter(({ kind }) => kind === "apart")
        .map(
          ({ name }) =>
            `${name}: the application does not say that it takes two of it (secrets.${name}.several in its hastack.yaml): its instances have different ones while the second up goes through them.`,
        ),
    ],
    async run(signal) {
      for (const [index, step] of list.entries()) {
        signal.throwIfAborted();
        say(`step ${index + 1} of ${list.length}`);
        await take(stack, step, wish);
      }
      const left = lingering.map(({ name }) => name).join(", ");
      const rest =
        left === ""
          ? ""
          : `\nThe ones before of ${left} are still taken, for those who come back: npm run rotate -- --finish drops them`;
      return `replaced: ${names}${rest}`;
    },
  };
}

/** A step that was cut off is taken again: its `up` goes on. */
async function take(stack: OperatedStack, step: AllGenerations, { names }: Wish): Promise<void> {
  const file = trackedFile(stack.name);
  writeFileSync(file, withGenerations(readFileSync(file, "utf8"), step));
  const code = await pulumi(["up", "--stack", stack.name, "--yes", "--skip-preview"], true);
  if (code !== 0)
    throw new Error(
      `up ended with code ${code}: every client has a password that is taken. Mend what up says, then npx pulumi up --stack ${stack.name}, and ${["npm run rotate", ...(names.length > 0 ? ["--", ...names] : [])].join(" ")}: it goes on`,
    );
}
