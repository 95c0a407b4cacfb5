import { defaultStack } from "./launcher/stack.ts";
import { pulumiOutput } from "./pulumi.ts";

/** Set where the administrator's password is no longer the one that the stack gave. */
const passwordVariable = "HASTACK_ADMIN_PASSWORD";

const usage = "npm run reset-link -- EMAIL [--stack NAME]";

/** How long one address of the site may take to answer, milliseconds. */
const limitMs = 10_000;

export interface ResetLinkCall {
  readonly email: string;
  readonly stack: string;
}

/** Reads the command line. @throws when it is not `EMAIL [--stack NAME]` */
export function readResetLinkCall(args: readonly string[]): ResetLinkCall {
  const at = args.indexOf("--stack");
  const stack = at < 0 ? defaultStack : args[at + 1];
  const [email, ...others] = args.filter((_arg, index) => at < 0 || index < at || index > at + 1);
  if (!email || !stack || others.length > 0) throw new Error(`use: ${usage}`);
  return { email, stack };
}

/** What a link is asked for with. */
export interface AdminAccess {
  /** Addresses of the site; the first that can be reached is asked. */
  readonly sites: readonly string[];
  readonly password: string;
}

/**
 * Asks the site for a link that sets a new password.
 * @returns the link, and until when it works (ISO 8601)
 * @throws when no address answers, or the site refuses
 */
export async function requestResetLink(
  email: string,
  { sites, password }: AdminAccess,
): Promise<{ url: string; expiresAt: string }> {
  const problems: string[] = [];
  for (const site of sites) {
    const answer = await post(site, email, password).catch((error: Error) => {
      problems.push(`${site}: ${(error.cause as Error | undefined)?.message ?? error.message}`);
    });
    if (answer?.status === 201) return (await answer.json()) as { url: string; expiresAt: string };
    if (answer) throw new Error(await refusal(answer));
  }
  throw new Error(`the site cannot be reached:\n  ${problems.join("\n  ")}`);
}

function post(site: string, email: string, password: string): Promise<Response> {
  const credentials = Buffer.from(`admin:${password}`).toString("base64");
  return fetch(new URL("admin/reset-links", site), {
    method: "POST",
    headers: { Authorization: `Basic ${credentials}`, "Content-Type": "application/json" },
    body: JSON.stringify({ email }),
    signal: AbortSignal.timeout(limitMs),
  });
}

async function refusal(answer: Response): Promise<string> {
  const text = await answer.text();
  if (answer.status === 401) {
    return `the administrator's password is another one by now: give it in ${passwordVariable}`;
  }
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return `the site answered ${answer.status}`;
  }
}

/** `npm run reset-link -- EMAIL`: a link with which a visitor sets a new password, once. */
export async function main(args: readonly string[]): Promise<number> {
  const { email, stack } = readResetLinkCall(args);
  const text = await pulumiOutput([
    "stack",
    "output",
    "--json",
    "--show-secrets",
    "--stack",
    stack,
  ]);
  const outputs = JSON.parse(text) as { url: string; localUrls?: string[]; adminPassword: string };
  const { url, expiresAt } = await requestResetLink(email, {
    sites: [outputs.url, ...(outputs.localUrls ?? [])],
    password: process.env[passwordVariable] ?? outputs.adminPassword,
  });
  process.stdout.write(`${url}\n`);
  process.stderr.write(`Works once, until ${expiresAt}. Whoever has it has the account.\n`);
  return 0;
}
