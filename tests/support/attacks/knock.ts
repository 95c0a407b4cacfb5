/**
 * Knocks at a member's port with a certificate, as an attacker would: who answers is not verified. Run
 * as a program it reads knocks from standard input, so that they can be made from any address.
 */

import { once } from "node:events";
import { connect as connectPlain, Socket } from "node:net";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import pg from "pg";

/** How to speak at a port. */
export type Speech =
  | {
      readonly protocol: "http";
      /** The request's first line and further headers, without the last empty line. */
      readonly request: string;
      /** In base64. @default none */
      readonly body?: string;
    }
  | { readonly protocol: "cache"; readonly user?: string; readonly password?: string }
  | {
      readonly protocol: "database";
      readonly role: string;
      readonly password: string;
      readonly database: string;
      /** Asks for a connection as a standby does. @default false */
      readonly replication?: boolean;
    };

export interface Knock {
  readonly host: string;
  readonly port: number;
  readonly speech: Speech;
  /** `plain`: without TLS. */
  readonly by: "plain" | "tls";
  /** PEM of certificate and key. @default none is shown */
  readonly certificate?: string;
}

export interface Verdict {
  /** Whether the door did what it was asked for. */
  readonly accepted: boolean;
  /** What came back, in a few words. */
  readonly said: string;
}

const limitMilliseconds = 4000;
/** At a time; a door must not be refused for want of a place. */
const together = 6;

/** Makes all knocks. @returns a verdict for each, in their order */
export async function knockAll(knocks: readonly Knock[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const next = knocks.entries();
  const one = async () => {
    for (const [index, knock] of next) verdicts[index] = await verdictOf(knock);
  };
  await Promise.all(Array.from({ length: together }, one));
  return verdicts;
}

/** With TLS 1.3 a refused certificate is told after the handshake only: it is the answer that counts. */
async function verdictOf(knock: Knock): Promise<Verdict> {
  try {
    const { speech } = knock;
    if (speech.protocol === "database") return await asDatabaseClient(knock, speech);
    const [words, isGood] = wordsOf(speech, knock.host);
    const said = (await exchange(knock, words)).split("\r\n")[0] ?? "";
    return { accepted: isGood.test(said), said };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { accepted: false, said: message || String(code) };
  }
}

function wordsOf(speech: Exclude<Speech, { protocol: "database" }>, host: string) {
  if (speech.protocol === "http") {
    const body = Buffer.from(speech.body ?? "", "base64");
    const length = `Content-Length: ${body.length}`;
    const head = `${speech.request}\r\nHost: ${host}\r\nConnection: close\r\n${length}\r\n\r\n`;
    return [Buffer.concat([Buffer.from(head), body]), /^HTTP\/1\.[01] 2\d\d/] as const;
  }
  const { user, password } = speech;
  // An answer to the first command must not be taken for one to the second
  if (user === undefined) return ["PING\r\n", /^\+PONG/] as const;
  return [`AUTH ${user} ${password}\r\n`, /^\+OK/] as const;
}

function open({ host, port, by, certificate }: Knock): Socket {
  if (by === "plain") return connectPlain({ host, port });
  const shown = certificate === undefined ? {} : { cert: certificate, key: certificate };
  return connectTls({ host, port, rejectUnauthorized: false, ...shown });
}

/** @returns what came back until the first line's end. @throws when there was none */
function exchange(knock: Knock, words: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = open(knock);
    let seen = "";
    const end = (error?: Error) => {
      socket.destroy();
      if (seen === "" && error) reject(error);
      else resolve(seen);
    };
    socket.setTimeout(limitMilliseconds, () => end(new Error("no answer")));
    socket.on("error", end);
    socket.on("close", () => end(new Error("closed without an answer")));
    socket.on("data", (data) => {
      seen += data.toString("latin1");
      if (seen.includes("\r\n")) end();
    });
    socket.write(words);
  });
}

async function asDatabaseClient(
  { host, port, by, certificate }: Knock,
  { role, password, database, replication }: Extract<Speech, { protocol: "database" }>,
): Promise<Verdict> {
  const shown = certificate === undefined ? {} : { cert: certificate, key: certificate };
  const socket = new Socket();
  const client = new pg.Client({
    ...{ host, port, user: role, password, database },
    ssl: by === "plain" ? false : { rejectUnauthorized: false, ...shown },
    stream: () => socket,
    ...(replication && { replication: "true" }),
  });
  // A certificate that is refused after the handshake is told by this alone
  const broken = once(client, "error").then(([error]) => Promise.reject(error));
  try {
    return await Promise.race([broken, closed(socket), entered(client, role, replication)]);
  } finally {
    socket.destroy();
  }
}

async function entered(client: pg.Client, role: string, replication = false): Promise<Verdict> {
  await client.connect();
  const { rows } = await client.query(replication ? "IDENTIFY_SYSTEM" : "SELECT 1 AS one");
  return { accepted: rows.length === 1, said: `let ${role} in` };
}

/** Throws once a connection is closed, or nothing has come by it for long. */
async function closed(socket: Socket): Promise<never> {
  socket.setTimeout(limitMilliseconds, () => socket.destroy());
  await once(socket, "close");
  throw new Error("closed, or no answer");
}

if (import.meta.main) {
  process.stdout.write(JSON.stringify(await knockAll(JSON.parse(await text(process.stdin)))));
}
