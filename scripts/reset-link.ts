import { X509Certificate } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { checkServerIdentity, rootCertificates } from "node:tls";
import { printable } from "../lib/printable.mjs";
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
  /** PEM of the site's own certificate, trusted even if self-signed. @default there is none */
  readonly certificate?: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/**
 * Asks the site for a link that sets a new password.
 * @returns the link, and until when it works (ISO 8601)
 * @throws when no address answers, or the site refuses
 */
export async function requestResetLink(
  email: string,
  access: AdminAccess,
): Promise<{ url: string; expiresAt: string }> {
  const problems: string[] = [];
  for (const site of access.sites) {
    const answer = await post(site, email, access).catch((error: Error) => {
      problems.push(`${site}: ${(error.cause as Error | undefined)?.message ?? error.message}`);
    });
    if (answer?.status === 201) return JSON.parse(answer.body);
    if (answer) throw new Error(refusal(answer));
  }
  throw new Error(`the site cannot be reached:\n  ${problems.join("\n  ")}`);
}

function post(site: string, email: string, access: AdminAccess): Promise<Answer> {
  const address = new URL("admin/reset-links", site);
  const { request } = address.protocol === "https:" ? https : http;
  const options: https.RequestOptions = {
    method: "POST",
    auth: `admin:${access.password}`,
    headers: { "Content-Type": "application/json" },
    signal: AbortSignal.timeout(limitMs),
    ...(access.certificate !== undefined && trust(access.certificate)),
  };
  return new Promise((resolve, reject) => {
    const call = request(address, options, (response) => {
      const status = response.statusCode ?? 0;
      text(response).then((body) => resolve({ status, body }), reject);
    });
    call.on("error", reject).end(JSON.stringify({ email }));
  });
}

/** The site's own certificate is trusted at any address, and so is any from a known authority. */
function trust(pem: string): https.RequestOptions {
  const chain = pem.match(/^-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/gm) ?? [];
  const own = new X509Certificate(pem).fingerprint256;
  return {
    ca: [...rootCertificates, ...chain],
    allowPartialTrustChain: true,
    checkServerIdentity: (host, peer) =>
      peer.fingerprint256 === own ? undefined : checkServerIdentity(host, peer),
  };
}

function refusal({ status, body }: Answer): string {
  if (status === 401) {
    return `the administrator's password has been changed: set ${passwordVariable} to the current one`;
  }
  try {
    return (JSON.parse(body) as { message: string }).message;
  } catch {
    return `the site answered ${status}`;
  }
}

/** `npm run reset-link -- EMAIL`: a link with which a visitor sets a new password, once. */
export async function main(args: readonly string[]): Promise<number> {
  const { email, stack } = readResetLinkCall(args);
  const shown = ["--json", "--show-secrets", "--stack", stack];
  const outputs = JSON.parse(await pulumiOutput(["stack", "output", ...shown])) as {
    url: string;
    localUrls?: string[];
    adminPassword: string;
  };
  const settings = JSON.parse(await pulumiOutput(["config", ...shown])) as {
    "hastack:certificate"?: { value: string };
  };
  const { url, expiresAt } = await requestResetLink(email, {
    sites: [outputs.url, ...(outputs.localUrls ?? [])],
    password: process.env[passwordVariable] ?? outputs.adminPassword,
    certificate: settings["hastack:certificate"]?.value,
  });
  process.stdout.write(`${printable(url)}\n`);
  process.stderr.write(
    `Works once, until ${printable(expiresAt)}. Whoever has it can take over the account.\n`,
  );
  return 0;
}
