/**
 * Runs one of a resource's scripts on its machine: `node run.ts APPLY` takes the text from the
 * environment variable of that name. Secrets come by standard input and go on by standard input.
 */
import { fail, readInput, required } from "../../../lib/command.ts";
import { runOnMachine, type Target } from "./connection.ts";

/** Not each word of sudo's: it also warns of a name that it cannot resolve, and goes on. */
const sudoRefusal =
  /sudo: .*(password is required|not found)|is not in the sudoers file|may not run sudo/;

async function runScript(name: string): Promise<void> {
  const target: Target = JSON.parse(required("TARGET"));
  const { code, stderr } = await runOnMachine(target, required(name), {
    input: await readInput(),
    limitSeconds: Number(process.env.LIMIT_SECONDS ?? "600"),
    ownMounts: process.env.OWN_MOUNTS === "yes",
    hear: (text, from) => from === "stdout" && process.stdout.write(text),
  });
  if (code !== 0) throw new Error(problem(target, code, stderr));
}

function problem({ name, user }: Target, code: number, said: string): string {
  if (sudoRefusal.test(said)) {
    return `machine ${name}: ${said.trim()}; let ${user} become root by sudo without a password`;
  }
  return `machine ${name}: ${said.trim() || `the script ended with ${code}`}`;
}

await runScript(process.argv[2] ?? "").catch(fail);
