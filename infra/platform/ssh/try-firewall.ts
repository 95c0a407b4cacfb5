/**
 * Has a machine try out its firewall (`node try-firewall.ts open|close REQUEST`) and confirms it by a
 * connection that is really new. Without that the machine goes back to what it was by itself.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { fail, required } from "../../../lib/command.ts";
import { formatProblem, type Problem } from "../../rules/problem.ts";
import { encode } from "../request.ts";
import {
  ConnectionError,
  callMachine,
  describeTarget,
  onMachine,
  type Target,
} from "./connection.ts";
import type { FirewallRequest } from "./firewall.ts";
import { callText } from "./programs.ts";
import { readSshWay, type SshWay, wayProblem } from "./ssh-way.ts";

const workSeconds = 120;
/** More than its units need on a busy machine. */
const confirmSeconds = 60;

async function tryOut(target: Target, call: string): Promise<void> {
  const seen = await callMachine(target, ["sh", "-c", 'echo "$SSH_CONNECTION"'], {
    asRoot: false,
    limitSeconds: confirmSeconds,
  });
  const way = readSshWay(seen.stdout);
  const wish: FirewallRequest = JSON.parse(required("REQUEST"));
  const request = { ...wish, sshPort: way?.port ?? target.port ?? 22 };
  await ask(target, `${call}_firewall`, request, workSeconds);
  try {
    await ask(target, "confirm_firewall", request, confirmSeconds);
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    // By then the machine is reached again, and no later command meets what is tried out
    await sleep(request.backSeconds * 1000);
    throw new Error(formatProblem(lockedOut(target, way, error)));
  }
}

async function ask(target: Target, call: string, request: object, limitSeconds: number) {
  const text = callText(call, required("NAME"));
  const { code, stderr } = await onMachine(target).run(text, encode(request), limitSeconds);
  if (code !== 0) {
    throw new Error(`${describeTarget(target)}: ${stderr.trim() || `${call} ended with ${code}`}`);
  }
}

function lockedOut(target: Target, way: SshWay | undefined, { message }: Error): Problem {
  const management = process.env.MANAGEMENT;
  const found = wayProblem(target, management ? JSON.parse(management) : undefined, way);
  return {
    source: describeTarget(target),
    path: "",
    why: `its new firewall let no new SSH connection in, so the rules before are back; ${found?.why ?? message}`,
    fix: found?.fix ?? "see what else filters there (nft list ruleset), then run up again",
  };
}

if (import.meta.main) {
  const target: Target = JSON.parse(required("TARGET"));
  await tryOut(target, process.argv[2] ?? "").catch(fail);
}
