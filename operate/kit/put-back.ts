/** Puts what a kit holds where it belongs, in a checkout that has none of it. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, relative, sep } from "node:path";
import { isMap, parseDocument } from "yaml";
import { userPath } from "../../infra/inventory.ts";
import { inHastack, inRoot, root } from "../../lib/paths.ts";
import {
  fileBackend,
  passphraseFile,
  pulumiEnvironment,
} from "../../scripts/launcher/environment.ts";
import { overlayFile, trackedFile } from "../../scripts/launcher/overlay.ts";
import { stateFile } from "../../scripts/launcher/stack.ts";
import { pulumiOutput } from "../../scripts/pulumi.ts";
import { type Kit, names } from "./contents.ts";
import { forNewMachines } from "./new-machines.ts";

/** A file to be written. */
interface Put {
  readonly path: string;
  readonly text: string;
  /** @default its owner alone may read it */
  readonly mode?: number;
  /** Whether what is there already is left as it is, whatever it says. @default no */
  readonly yields?: boolean;
}

export interface PutBackOptions {
  /** Whether the machines are others than before, with nothing of the stack on them. */
  readonly newMachines: boolean;
}

/** Of files that a checkout has anyhow. */
const forAll = 0o644;

/** What was done, a line each. */
export type Done = readonly string[];

const here = (path: string): string => {
  const own = relative(root, path);
  return own.startsWith("..") ? path : own;
};

/** The private key goes inside the project's folder, and nowhere else. @throws for another place */
function identityPath(place: string): string {
  const path = userPath(place);
  if (path.startsWith(root + sep)) return path;
  throw new Error(`the kit's private key belongs to ${place}, which is outside of the project`);
}

/** An inventory without the keys of machines that are no more. */
export function withoutHostKeys(inventory: string): string {
  const document = parseDocument(inventory);
  const machines = document.get("machines");
  if (!isMap(machines)) return inventory;
  for (const { value } of machines.items) if (isMap(value)) value.delete("hostKey");
  return document.toString({ lineWidth: 0 });
}

/** Where all of it belongs. */
export function placesOf({ about, files }: Kit, { newMachines }: PutBackOptions): Put[] {
  const { stack, places } = about;
  const put = (name: string, path: string | undefined, more: Partial<Put> = {}): Put[] => {
    const text = files[name];
    return text === undefined || path === undefined ? [] : [{ path, text, ...more }];
  };
  const inventory = files[names.inventory];
  return [
    ...(usesOwnPassphrase() ? [] : put(names.passphrase, passphraseFile())),
    ...put(names.settings, trackedFile(stack), { mode: forAll }),
    ...put(names.overlay, overlayFile(stack)),
    ...put(names.project, inRoot("Pulumi.yaml"), { mode: forAll }),
    // One that is there describes the new machines
    ...put(names.inventory, places.inventory && userPath(places.inventory), {
      ...(newMachines && inventory && { text: withoutHostKeys(inventory), yields: true }),
    }),
    ...put(names.identity, places.identity && identityPath(places.identity)),
  ];
}

/** Whether the user's environment names a passphrase, which is used in place of the project's. */
const usesOwnPassphrase = (env = process.env): boolean =>
  env.PULUMI_CONFIG_PASSPHRASE !== undefined || Boolean(env.PULUMI_CONFIG_PASSPHRASE_FILE);

const isSame = ({ path, text }: Put): boolean => readFileSync(path, "utf8") === text;

function stateThere(stack: string): string | undefined {
  const backend = fileBackend(pulumiEnvironment());
  return backend === undefined ? undefined : stateFile(backend, stack);
}

const describeState = (file: string, stack: string): string =>
  `${here(file)} is there: this checkout has a stack ${stack}`;

/** What is in the way. */
function obstacles({ about }: Kit, all: readonly Put[]): string[] {
  const { stack, hastack } = about;
  const different = all.filter((one) => existsSync(one.path) && !one.yields && !isSame(one));
  const commit = hastack.commit ? `, or check out ${hastack.commit}` : "";
  // Without it nothing tells where states are; then it is looked for once it is back
  const state = existsSync(inRoot("Pulumi.yaml")) ? stateThere(stack) : undefined;
  return [
    ...(state === undefined ? [] : [describeState(state, stack)]),
    ...different.map(({ path }) =>
      path === passphraseFile()
        ? `${here(path)} is there, and is another passphrase: other stacks may need it; use an empty checkout`
        : `${here(path)} is there, and is not as in the kit: move it away${commit}`,
    ),
  ];
}

/**
 * Puts files and state back. What is there as in the kit stays; where anything else is in the way, or
 * something fails, nothing is changed.
 * @throws with all that is in the way, by its name
 */
export async function putBack(kit: Kit, options: PutBackOptions): Promise<Done> {
  const all = placesOf(kit, options);
  const problems = obstacles(kit, all);
  if (problems.length > 0)
    throw new Error(`nothing was put back:\n${problems.map((one) => `  ${one}`).join("\n")}`);
  const made: string[] = [];
  try {
    for (const { path, text, mode = 0o600 } of all.filter((one) => !existsSync(one.path))) {
      mkdirSync(dirname(path), { recursive: true });
      made.push(path);
      writeFileSync(path, text, { mode, flag: "wx" });
    }
    const state = await putState(kit, options, made);
    return [...all.map(({ path }) => describePut(path, made)), ...state];
  } catch (error) {
    for (const path of made) rmSync(path, { force: true });
    throw error;
  }
}

const describePut = (path: string, made: readonly string[]): string =>
  `${here(path)}: ${made.includes(path) ? "put back" : "is there already, and stays as it is"}`;

/** @param made gets what is to be removed where it fails */
async function putState({ about, files }: Kit, options: PutBackOptions, made: string[]) {
  const { stack } = about;
  const whole = files[names.state] ?? "";
  const { state, dropped } = options.newMachines
    ? forNewMachines(whole)
    : { state: whole, dropped: 0 };
  const backend = fileBackend(pulumiEnvironment());
  if (backend === undefined) {
    const path = inHastack("kits", `${stack}.state.json`);
    mkdirSync(dirname(path), { recursive: true });
    made.push(path);
    writeFileSync(path, state, { mode: 0o600, flag: "wx" });
    return [
      `the state is in ${here(path)}: pulumi stack init ${stack}; pulumi stack import --stack ${stack} --file ${here(path)}`,
    ];
  }
  const there = stateThere(stack);
  if (there !== undefined)
    throw new Error(`nothing was put back:\n  ${describeState(there, stack)}`);
  try {
    await pulumiOutput(["stack", "import", "--stack", stack], state);
    // The passphrase opens it
    await pulumiOutput(["stack", "output", "--json", "--show-secrets", "--stack", stack]);
  } catch (error) {
    const file = stateThere(stack);
    if (file !== undefined) made.push(file);
    throw error;
  }
  const things = dropped === 1 ? "1 thing that was" : `${dropped} things that were`;
  const less = dropped > 0 ? `, without ${things} on the machines` : "";
  return [`the state of ${stack}: put back${less}`];
}

/** What is to be done next, a line each. */
export function nextSteps({ about, files }: Kit, { newMachines }: PutBackOptions): string[] {
  const { stack, platform } = about;
  const named = `--stack ${stack}`;
  if (!newMachines)
    return [
      `npx pulumi preview ${named}`,
      `    the machines are there still, and go on as they are; if they are new: npm run kit -- --new-machines ${named}`,
    ];
  return [
    ...(platform === "ssh"
      ? [
          `set the addresses of the new machines in Pulumi.${stack}.yaml (and ${about.places.inventory ?? "its inventory"}), where they are others`,
          `npm run host-keys -- ${named}`,
        ]
      : []),
    `npx pulumi up ${named}`,
    ...(files[names.repository] === undefined
      ? []
      : [
          `npm run backup -- --list ${named}`,
          `npm run restore -- --to TIME --in-place ${named}`,
          `npm run restore -- --accept ${named}`,
        ]),
    `npm run kit -- --make FILE ${named}`,
  ];
}
