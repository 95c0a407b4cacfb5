/**
 * Makes a call on a machine: `node run.ts place REQUEST` takes the request from the environment
 * variable of that name. Secrets come by standard input and go on by standard input. States of earlier
 * releases hold whole scripts instead, to take things away: `node run.ts REMOVE`.
 */
import { fail, readInput, required } from "../../../lib/command.ts";
import { encode } from "../request.ts";
import { onMachine, type Target } from "./connection.ts";
import { callText } from "./programs.ts";

/** Not each word of sudo's: it also warns of a name that it cannot resolve, and goes on. */
const sudoRefusal =
  /sudo: .*(password is required|not found|must have a tty)|is not in the sudoers file|may not run sudo/;

async function run(call: string, request: string | undefined): Promise<void> {
  const target: Target = JSON.parse(required("TARGET"));
  // A stack that is destroyed goes without them; what a machine has is told by its name
  const leftBehind = (process.env.HASTACK_LEFT_BEHIND ?? "").split(" ");
  if (request === "REMOVAL" && leftBehind.includes(target.name)) {
    console.log(`machine ${target.name} is absent: ${process.env.NAME} stays there`);
    return;
  }
  const secrets = await readInput();
  const connection = onMachine(target, { ownMounts: call === "task" });
  const limitSeconds = Number(process.env.LIMIT_SECONDS ?? "600");
  const { code, stderr } =
    request === undefined
      ? await connection.run(required(call), secrets, limitSeconds)
      : await connection.run(
          callText(call, required("NAME")),
          encode(JSON.parse(required(request)), secrets),
          limitSeconds,
        );
  if (code !== 0) throw new Error(problem(target, code, stderr));
}

function problem({ name, user }: Target, code: number, said: string): string {
  if (sudoRefusal.test(said)) {
    return `machine ${name}: ${said.trim()}; let ${user ?? "who logs in"} become root by sudo without a password or a terminal`;
  }
  return `machine ${name}: ${said.trim() || `the script ended with ${code}`}`;
}

const [call = "", request] = process.argv.slice(2);
await run(call, request).catch(fail);
