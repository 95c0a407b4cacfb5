/** Certificates to test with, made by openssl, each with a key of its own. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRun } from "../../lib/run.ts";

/** A certificate and its key, as PEM. */
export interface Made {
  readonly certificate: string;
  readonly key: string;
}

export interface Wish {
  /** Alternative names, such as `DNS:travel.example` or `IP:10.1.0.100`. @default none */
  readonly names?: readonly string[];
  /** Who vouches for it, itself made with `authority`. @default itself */
  readonly issuer?: Made;
  /** As `openssl req -newkey` takes it, such as `rsa:2048`. @default a key on the curve P-256 */
  readonly key?: string;
  /** Whether it may vouch for others. @default false */
  readonly authority?: boolean;
  /** How long it is valid; one of 0 days has ended. @default 90 */
  readonly days?: number;
}

/** Makes one that is valid from now on. */
export async function makeCertificate(wish: Wish = {}): Promise<Made> {
  const folder = mkdtempSync(join(tmpdir(), "hastack-certificate-"));
  const file = (name: string) => join(folder, name);
  try {
    writeFileSync(file("extensions"), extensions(wish));
    if (wish.issuer) {
      writeFileSync(file("issuer.pem"), wish.issuer.certificate);
      writeFileSync(file("issuer.key"), wish.issuer.key, { mode: 0o600 });
    }
    const { key = "ec", days = 90 } = wish;
    const curve = key === "ec" ? ["-pkeyopt", "ec_paramgen_curve:P-256"] : [];
    await openssl(
      "req",
      "-new",
      ["-nodes", "-newkey", key, ...curve],
      ["-keyout", file("key")],
      ["-out", file("request")],
      ["-subj", `/CN=made for a test ${randomUUID()}`],
    );
    await openssl(
      ...["x509", "-req", "-in", file("request"), "-out", file("pem"), "-days", String(days)],
      ["-extfile", file("extensions")],
      wish.issuer
        ? ["-CA", file("issuer.pem"), "-CAkey", file("issuer.key"), "-CAcreateserial"]
        : ["-signkey", file("key")],
    );
    return {
      certificate: readFileSync(file("pem"), "utf8"),
      key: readFileSync(file("key"), "utf8"),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the setting `hastack:certificate` holds: the chain, then the key. */
export function pemOf(own: Made, ...issuers: readonly Made[]): string {
  return [own, ...issuers].map((one) => one.certificate).join("") + own.key;
}

function extensions({ names = [], authority = false }: Wish): string {
  return [
    `basicConstraints=critical,CA:${authority ? "TRUE" : "FALSE"}`,
    ...(names.length > 0 ? [`subjectAltName=${names.join(",")}`] : []),
    "",
  ].join("\n");
}

function openssl(...words: readonly (string | readonly string[])[]): Promise<string> {
  return mustRun(["openssl", ...words.flat()], { limitSeconds: 30 });
}
