import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import { parseArgs } from "node:util";
import { backupDirectory } from "../infra/roles.ts";
import { inHastack, root } from "../lib/paths.ts";
import { printable } from "../lib/printable.mjs";
import { describeKit, type Kit, openKit, sealKit } from "../operate/kit/contents.ts";
import { gatherKit } from "../operate/kit/gather.ts";
import { forNewMachines, takingBackups, urnsOnMachines } from "../operate/kit/new-machines.ts";
import {
  askHidden,
  checked,
  makePassphrase,
  newPassphrase,
  passphraseIn,
} from "../operate/kit/passphrase.ts";
import { nextSteps, putBack } from "../operate/kit/put-back.ts";
import { noteHere, noteOnStack } from "../operate/kit/record.ts";
import { checkTarget, writeTarget } from "../operate/kit/target.ts";
import { openStack } from "../operate/stack.ts";
import { defaultStack } from "./launcher/stack.ts";
import { main as pulumi, pulumiOutput } from "./pulumi.ts";

const usage = `npm run kit -- --make FILE [--stack NAME] [--generate | --passphrase-file FILE]
     npm run kit -- --open FILE [--new-machines] [--stack NAME] [--passphrase-file FILE]
     npm run kit -- --show FILE [--passphrase-file FILE]
     npm run kit -- --new-machines [--survivor MACHINE]… [--stack NAME]`;

/** What was asked for. */
export type KitCall =
  | {
      readonly do: "make";
      readonly file: string;
      readonly stack: string;
      readonly generate: boolean;
    }
  | {
      readonly do: "open";
      readonly file: string;
      readonly stack?: string;
      readonly newMachines: boolean;
    }
  | { readonly do: "show"; readonly file: string }
  | {
      readonly do: "new-machines";
      readonly stack: string;
      /** Machines that are there still, and from which the stack is taken first. */
      readonly survivors: readonly string[];
    };

export type WholeCall = KitCall & { readonly passphraseFile?: string };

const options = {
  make: { type: "string" },
  open: { type: "string" },
  show: { type: "string" },
  stack: { type: "string", short: "s" },
  generate: { type: "boolean", default: false },
  "passphrase-file": { type: "string" },
  "new-machines": { type: "boolean", default: false },
  survivor: { type: "string", multiple: true },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** Reads the command line. @throws with the usage when it asks for no one thing */
export function readKitCall(args: readonly string[]): WholeCall | undefined {
  const parsed = parse(args);
  if (parsed.help) return undefined;
  const { make, open, show, stack, generate, "passphrase-file": file } = parsed;
  const { "new-machines": newMachines, survivor: survivors = [] } = parsed;
  const refuse = (why: string) => new Error(`${why}\nuse: ${usage}`);
  if ([make, open, show].filter((one) => one !== undefined).length > 1)
    throw refuse("--make, --open and --show are asked for one at a time");
  if (generate && (make === undefined || file !== undefined))
    throw refuse("--generate makes the passphrase of a new kit, in place of another one");
  if (newMachines && (make ?? show) !== undefined)
    throw refuse("--new-machines is about what is put back");
  if (survivors.length > 0 && (!newMachines || open !== undefined))
    throw refuse("--survivor goes with --new-machines, once the kit was opened");
  const secret = file === undefined ? {} : { passphraseFile: file };
  const name = stack ?? defaultStack;
  if (make !== undefined) return { do: "make", file: make, stack: name, generate, ...secret };
  if (show !== undefined) return { do: "show", file: show, ...secret };
  if (open !== undefined)
    return { do: "open", file: open, ...(stack && { stack }), newMachines, ...secret };
  if (newMachines) return { do: "new-machines", stack: name, survivors };
  throw refuse("one of --make, --open, --show and --new-machines is needed");
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new Error(`${(error as Error).message.split(". ")[0]}\nuse: ${usage}`);
  }
}

const say = (text: string): void => void process.stderr.write(`${printable(text)}\n`);
const tell = (text: string): void => void process.stdout.write(`${printable(text)}\n`);

async function make(call: WholeCall & { do: "make" }): Promise<void> {
  await checkTarget(call.file);
  const stack = openStack(call.stack);
  const { passphrase, made } = await passphraseFor(call);
  const kit = await gatherKit(stack);
  const sealed = await sealKit(kit, passphrase);
  // One that cannot be opened is worse than none
  await openKit(sealed, passphrase, call.file);
  writeTarget(call.file, sealed);
  const { about } = kit;
  const record = {
    made: about.made,
    by: about.by,
    file: call.file,
    fingerprint: about.fingerprint,
  };
  noteHere(stack.name, record);
  await noteOnStack(stack, record).catch(({ message }: Error) =>
    say(`it is not noted on the stack, so other checkouts do not know of it: ${message}`),
  );
  tell(`${describeKit(kit)}\n\n${call.file} is written, and can be opened.`);
  if (made) tell(`Its passphrase, which is shown this once:\n\n  ${passphrase}\n`);
  tell(
    "Keep it away from this checkout and from the machines, and its passphrase away from it (docs/operate.md, When everything is lost).",
  );
}

async function passphraseFor({ generate, passphraseFile }: WholeCall & { do: "make" }) {
  if (generate) return { passphrase: makePassphrase(), made: true };
  if (passphraseFile === undefined) return newPassphrase();
  return { passphrase: checked(passphraseIn(passphraseFile)), made: false };
}

async function read({
  file,
  passphraseFile,
}: {
  file: string;
  passphraseFile?: string;
}): Promise<Kit> {
  const sealed = readSealed(file);
  const passphrase =
    passphraseFile === undefined
      ? await askHidden(`Passphrase of ${file}: `)
      : passphraseIn(passphraseFile);
  return openKit(sealed, passphrase, file);
}

function readSealed(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function open(call: WholeCall & { do: "open" }): Promise<void> {
  const kit = await read(call);
  const { stack } = kit.about;
  if (call.stack !== undefined && call.stack !== stack)
    throw new Error(`${call.file} is a kit of the stack ${stack}, not of ${call.stack}`);
  const done = await putBack(kit, call);
  tell(`${done.join("\n")}\n\nNext:\n`);
  nextSteps(kit, call).forEach((step) => void tell(`  ${step}`));
  const { missing } = kit.about;
  if (missing.length > 0)
    tell(`\nThe kit has not:\n${missing.map((one) => `  ${one}`).join("\n")}`);
}

/** For a stack that was put back before it was known that its machines are new. */
async function forgetMachines(stack: string, survivors: readonly string[]): Promise<number> {
  const { topology } = openStack(stack);
  const names = topology.machines.map(({ name }) => name);
  const unknown = survivors.filter((one) => !names.includes(one));
  if (unknown.length > 0)
    throw new Error(
      `stack ${stack}: has no machine ${unknown.join(", ")}, only ${names.join(", ")}`,
    );
  const before = await pulumiOutput(["stack", "export", "--stack", stack]);
  const { state, dropped } = forNewMachines(before, survivors);
  if (takingBackups(state).length > 0)
    throw new Error(
      `stack ${stack}: hastack:keepData is false, so the backups would go from ${survivors.join(", ")}, too: copy ${backupDirectory} away and install that machine anew`,
    );
  const copy = inHastack("kits", `${stack}.before-new-machines.${Date.now()}.json`);
  mkdirSync(dirname(copy), { recursive: true });
  writeFileSync(copy, before, { mode: 0o600, flag: "wx" });
  await pulumiOutput(["stack", "import", "--stack", stack], state);
  tell(
    `the state of ${stack} has no more of ${dropped} thing${dropped === 1 ? "" : "s"} on machines, and the next up places all anew, with the same passwords.\n` +
      `The state before is in ${relative(root, copy)}: npx pulumi stack import --stack ${stack} --file ${relative(root, copy)} puts it back.`,
  );
  return clear(stack, urnsOnMachines(state));
}

/** Takes away what is left on machines that survived; data that is kept stays there. */
async function clear(stack: string, urns: readonly string[]): Promise<number> {
  if (urns.length === 0) return 0;
  const targets = urns.flatMap((urn) => ["--target", urn]);
  return pulumi(["destroy", "--yes", "--skip-preview", "--stack", stack, ...targets]);
}

/** `npm run kit`: what is needed besides the backups to bring a stack back when everything else is lost. */
export async function main(args: readonly string[]): Promise<number> {
  const call = readKitCall(args);
  if (call === undefined) tell(`use: ${usage}`);
  else if (call.do === "make") await make(call);
  else if (call.do === "open") await open(call);
  else if (call.do === "show") tell(describeKit(await read(call)));
  else return forgetMachines(call.stack, call.survivors);
  return 0;
}
