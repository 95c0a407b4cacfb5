import { existsSync, readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { ensureCertificate } from "../lab/certificate.ts";
import {
  addressesOf,
  hasOwnInventory,
  leftOf,
  removeMachines,
  setFiles,
  startMachines,
} from "../lab/machines.ts";
import { type Plan, planLab } from "../lab/plan.ts";
import { addressTable } from "../lib/address-table.ts";
import { inHastack, root } from "../lib/paths.ts";
import { thingsOnMachines } from "../operate/kit/new-machines.ts";
import { trackedFile } from "./launcher/overlay.ts";
import { settingsIn } from "./launcher/settings.ts";
import { main as pulumi, pulumiOutput } from "./pulumi.ts";
import { machineSteps, runSteps, type Step, sshStep, stackStep } from "./setup.ts";

/** The stack that is brought up on the stand-ins, unless another is named. */
const labStack = "lab";

const usage =
  "npm run lab [-- [--stack NAME] [--machines-only | --destroy | options of `pulumi up`]]";

const here = (path: string): string => relative(root, path);

/** What was asked for. */
export type LabCall = { readonly stack: string } & (
  | { readonly kind: "up"; readonly options: readonly string[] }
  | { readonly kind: "machines-only" }
  | { readonly kind: "destroy" }
);

/** Takes `--stack NAME` out of a command line. */
function takeStack(args: readonly string[]): { stack: string; others: readonly string[] } {
  const words = args.flatMap((arg) => (arg.startsWith("--stack=") ? arg.split("=", 2) : [arg]));
  const at = words.indexOf("--stack");
  if (at < 0) return { stack: labStack, others: words };
  const stack = words[at + 1];
  if (!stack) throw new Error(`use: ${usage}`);
  return { stack, others: words.toSpliced(at, 2) };
}

/** Reads the command line. @throws when it asks for two things, or asks npm instead of us */
export function readLabCall(args: readonly string[], env = process.env): LabCall {
  // npm takes what stands before `--` for its own
  if (env.npm_config_destroy ?? env.npm_config_machines_only) throw new Error(`use: ${usage}`);
  const { stack, others } = takeStack(args);
  const own = others.filter((arg) => arg === "--machines-only" || arg === "--destroy");
  if (own.length === 0) return { stack, kind: "up", options: others };
  if (others.length > 1) throw new Error(`use: ${usage}`);
  return { stack, kind: own[0] === "--destroy" ? "destroy" : "machines-only" };
}

function readPlan(stack: string): Plan {
  const file = trackedFile(stack);
  if (!existsSync(file)) throw new Error(`${here(file)} is not there: it describes the machines`);
  settingsIn(stack); // throws for what is no setting, as a preview does
  return planLab(stack, readFileSync(file, "utf8"));
}

/** Never overwrites an inventory of real machines. */
function refuseForeignInventory(stack: string): void {
  const files = setFiles(stack);
  if (!existsSync(files.inventory) || hasOwnInventory(files)) return;
  throw new Error(
    `${here(files.inventory)} was not made by npm run lab and would be overwritten: move it away. If it ` +
      "belongs to stand-ins, `npm run lab -- --destroy` removes them and it",
  );
}

/** The program must read the inventory that the stand-ins are written to. */
function checkInventoryPath({ set, inventory: expected }: Plan): void {
  const { inventory } = setFiles(set.set);
  if (expected !== undefined && resolve(root, expected) === inventory) return;
  throw new Error(
    `${here(trackedFile(set.set))}: hastack:ssh.inventory is ${expected ?? "not set"}, but the inventory ` +
      `of the stand-ins is ${here(inventory)}: set it to that`,
  );
}

/** A state of stand-ins that are gone is of no use, but it may be one of real machines. */
async function refuseOrphanedState(stack: string): Promise<void> {
  const things = thingsOnMachines(await pulumiOutput(["stack", "export", "--stack", stack]));
  if (things === 0) return; // what it has is made here, such as passwords from a recovery kit
  throw new Error(
    `the stack ${stack} has ${things} things on machines, but its stand-ins do not exist. If they ` +
      `were removed, delete the stack's state: \`npx pulumi stack rm --force ${stack}\` (with its passwords ` +
      `and the key of its backups: \`npm run kit -- --new-machines --stack ${stack}\` keeps them); ` +
      `if it runs on machines of your own, use \`npx pulumi --stack ${stack}\``,
  );
}

const hasContainers = async (stack: string): Promise<boolean> =>
  (await leftOf(stack)).some((one) => one.startsWith("container"));

function machinesStep(plan: Plan): Step {
  return {
    name: "machines",
    async run(say) {
      if (!(await hasContainers(plan.set.set))) {
        await refuseOrphanedState(plan.set.set);
        say(`starting ${plan.set.machines.length} stand-ins`);
      }
      const { files, machines } = await startMachines(plan.set);
      return `${machines.map(({ name }) => name).join(", ")} answer SSH; ${here(files.inventory)}`;
    },
  };
}

/** The stack's certificate as its configuration has it. */
async function configuredCertificate(stack: string): Promise<string | undefined> {
  const show = ["config", "--json", "--show-secrets", "--stack", stack];
  const settings = JSON.parse(await pulumiOutput(show)) as Record<string, { value?: string }>;
  return settings["hastack:certificate"]?.value;
}

function certificateStep({ set, vip }: Plan): Step {
  const stack = set.set;
  const file = inHastack(stack, "certificate.pem");
  const machine = { set: stack, name: set.machines[0]?.name ?? "" };
  const own = set.machines.map((one) => addressesOf(set, one).frontend);
  const addresses = [vip, ...own.filter((address) => address !== undefined)];
  return {
    name: "certificate",
    async run() {
      const inUse = await configuredCertificate(stack);
      const set = ["config", "set", "--secret", "hastack:certificate", "--stack", stack];
      const use = (pem: string) => pulumiOutput(set, pem);
      return ensureCertificate({ addresses, file, machine, inUse, use });
    },
  };
}

async function up(plan: Plan, options: readonly string[]): Promise<number> {
  await runSteps([certificateStep(plan)]);
  const name = plan.set.set;
  const stack = ["--stack", name];
  const quiet = ["--yes", "--skip-preview", "--suppress-outputs"];
  const code = await pulumi(["up", ...stack, ...quiet, ...options]);
  if (code !== 0) {
    process.stderr.write(
      `\nerror: \`pulumi up\` failed (exit code ${code}); the reason is above. What was there before ` +
        "keeps serving; run `npm run lab` again to continue\n",
    );
    return code;
  }
  const outputs = JSON.parse(await pulumiOutput(["stack", "output", "--json", ...stack]));
  process.stdout.write(
    `\nThe stack ${name} is up:\n\n${addressTable(outputs, name)}\n${advice(plan, "adminUrl" in outputs)}`,
  );
  return 0;
}

/** What to try next. @param administered whether the application has an administration */
function advice({ set, vip }: Plan, administered: boolean): string {
  const { sshConfig } = setFiles(set.set);
  const first = set.machines[0]?.name ?? "";
  const container = `hastack-${set.set}-${first}`;
  const named = set.set === labStack ? "" : `--stack ${set.set} `;
  return `${administered ? "The administrator is the user admin. " : ""}The statistics page's user is operator.
The certificate is self-signed, so browsers show a warning.

  curl --cacert .hastack/${set.set}/certificate.pem https://${vip}/api/health
  ssh -F ${here(sshConfig)} ${first}
  docker kill ${container}     lose a machine; docker start ${container} brings it back
  npm run lab ${named && `-- ${named}`}                     brings the machines and the stack up to date
  npm run lab -- ${named}--destroy         removes the stack and the machines
`;
}

async function destroy(stack: string): Promise<number> {
  if (await hasContainers(stack)) {
    const code = await pulumi(["destroy", "--yes", "--skip-preview", "--stack", stack]);
    if (code !== 0) {
      process.stderr.write(
        `\nerror: \`pulumi destroy\` failed (exit code ${code}); the reason is above. The machines are still ` +
          "there: run `npm run lab -- --destroy` again to continue\n",
      );
      return code;
    }
  } else await refuseOrphanedState(stack);
  await removeMachines(stack);
  process.stdout.write("The stand-ins are gone, with all that was on them.\n");
  return 0;
}

/**
 * `npm run lab`: stand-in machines, the stack `lab` on them, and where to find it; with
 * `-- --stack NAME` another stack of machines.
 */
export async function main(args: readonly string[]): Promise<number> {
  const call = readLabCall(args);
  const { stack } = call;
  if (call.kind === "destroy") return destroy(stack);
  refuseForeignInventory(stack);
  const plan = readPlan(stack);
  checkInventoryPath(plan);
  await runSteps([...machineSteps, sshStep, stackStep(stack), machinesStep(plan)]);
  return call.kind === "up" ? up(plan, call.options) : 0;
}
