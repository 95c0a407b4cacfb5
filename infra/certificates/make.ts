/**
 * The program behind the certificates' resources. `node make.ts authority` makes one for the domain
 * and number in its environment; `node make.ts member` issues a member's certificates. Keys come by
 * standard input and go by standard output, which Pulumi keeps as secrets.
 */
import { fail, readInput, required } from "../../lib/command.ts";
import { issueAuthority, issueLeaf, type Pair } from "./issue.ts";
import type { LeafPlan } from "./plan.ts";

async function makeAuthority(): Promise<Pair> {
  return issueAuthority(`${required("STACK")} ${required("DOMAIN")} ${required("NUMBER")}`);
}

async function issueMember(): Promise<Record<string, string>> {
  const plans: readonly LeafPlan[] = JSON.parse(required("CERTIFICATES"));
  const authorities: Readonly<Record<string, Pair>> = JSON.parse(await readInput());
  const end = new Date(required("ENDS"));
  const issued = plans.map(async (plan) => {
    const authority = authorities[plan.domain];
    if (!authority) throw new Error(`no authority is given for ${plan.domain}`);
    const { certificate, key } = await issueLeaf(plan, authority, end);
    return [plan.leaf, certificate + key] as const;
  });
  return Object.fromEntries(await Promise.all(issued));
}

async function run(what: string | undefined): Promise<void> {
  const made = what === "authority" ? await makeAuthority() : await issueMember();
  process.stdout.write(JSON.stringify(made));
}

await run(process.argv[2]).catch(fail);
