import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { Unavailable } from "../lib/errors.ts";

/**
 * Of the settings for scrypt that OWASP's Password Storage Cheat Sheet calls equal, the one that
 * takes 16 MiB for each run: `N` 2^14, `r` 8, `p` 5.
 */
const cost = { ln: 14, r: 8, p: 5 };
const keyBytes = 32;

/** Runs at once on one instance: each takes some tenths of a second of one core, and 16 MiB. */
const atOnce = 2;
/** Callers that may wait for a run, a few seconds at most; the next one is sent away. */
const mayWait = 20;

let running = 0;
const waiting: (() => void)[] = [];

/** Hashes a new password. @throws Unavailable while too many are at it */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const { ln, r, p } = cost;
  return `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toString("base64")}$${(await derive(password, salt, cost)).toString("base64")}`;
}

/** Takes as long as any other hash, and no password fits. */
const nobodysHash = `$scrypt$ln=${cost.ln},r=${cost.r},p=${cost.p}$${Buffer.alloc(16).toString("base64")}$${Buffer.alloc(keyBytes).toString("base64")}`;

const hashPattern = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([\w+/=]+)\$([\w+/=]+)$/;

/**
 * Whether a password is the one that was hashed.
 * @param hash undefined where there is no such account: the answer then takes just as long
 * @throws Unavailable while too many are at it
 */
export async function verifyPassword(password: string, hash: string | undefined): Promise<boolean> {
  const parts = hashPattern.exec(hash ?? nobodysHash);
  if (!parts) throw new Error("a stored password hash is not one of ours");
  const [, ln, r, p, salt = "", key = ""] = parts;
  const expected = Buffer.from(key, "base64");
  const settings = { ln: Number(ln), r: Number(r), p: Number(p) };
  const derived = await derive(password, Buffer.from(salt, "base64"), settings);
  return derived.length === expected.length && timingSafeEqual(derived, expected);
}

/** The same password typed on another keyboard may come as other code points: NFKC makes them one. */
async function derive(password: string, salt: Buffer, { ln, r, p }: typeof cost): Promise<Buffer> {
  await takeTurn();
  try {
    const options = { N: 2 ** ln, r, p, maxmem: 2 * 128 * r * 2 ** ln };
    return await runScrypt(password.normalize("NFKC"), salt, options);
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

async function takeTurn(): Promise<void> {
  if (running >= atOnce) {
    if (waiting.length >= mayWait) throw new Unavailable("Too many people are logging in.");
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  running += 1;
}

function runScrypt(password: string, salt: Buffer, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, keyBytes, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
