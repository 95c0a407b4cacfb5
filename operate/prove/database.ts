/**
 * A database of its own in the stack's cluster, with a role that may enter nothing else: the application's is never
 * touched. Both are there for as long as `prove` runs.
 */
import { randomBytes } from "node:crypto";
import { authorityFile } from "../../infra/certificates/domains.ts";
import { quote } from "../../infra/platform/shell.ts";
import { proofName } from "../../infra/render/patroni.ts";
import { until } from "../../lib/until.ts";
import { askCluster, leaderOf } from "../act/patroni.ts";
import { mustOn } from "../act/processes.ts";
import { folderOf } from "../folder.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import { memberNamed, type OperatedStack } from "../stack.ts";

/** What clients need to connect. */
export interface Access {
  readonly password: string;
  /** PEM of who vouches for the database. */
  readonly authority: string;
}

/** Of all clients together. */
const connectionLimit = 48;

/** Stocks, and how many places each has at first. */
export const stocks = ["stock 1", "stock 2", "stock 3"] as const;
export const placesAtFirst = 1_000_000;

/** Whoever learns the role's password must get no further: it owns nothing, as the superuser writes to these tables, too. */
export const tablesText = `
CREATE TABLE register (key text PRIMARY KEY, value text);
CREATE TABLE entry (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE stock (name text PRIMARY KEY, places integer NOT NULL CHECK (places >= 0));
CREATE TABLE purchase (key text PRIMARY KEY, stock text NOT NULL REFERENCES stock, places integer NOT NULL);
CREATE TABLE visitor (name text PRIMARY KEY, counter integer NOT NULL);
CREATE TABLE heartbeat (member text PRIMARY KEY, beat bigint NOT NULL);
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ${proofName};
GRANT SELECT, INSERT, UPDATE ON register, entry, purchase, stock, visitor TO ${proofName};`;

/** Text that psql reads as its input: what is secret must be in no log and no process list. */
const quietly = (text: string) => `SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
${text}`;

const psql = (database: string) =>
  `cd / && exec runuser -u postgres -- psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname=${database}`;

const dropped = `DROP DATABASE IF EXISTS ${proofName} WITH (FORCE);
DROP ROLE IF EXISTS ${proofName};
`;

/** @throws where there is no primary, or with what PostgreSQL said */
async function atPrimary(stack: OperatedStack, database: string, text: string): Promise<string> {
  const leader = leaderOf(await askCluster(stack));
  if (leader === undefined) throw new Error("there is no primary: see npm run status");
  const { machine } = memberNamed(stack, leader.name);
  const limits = { limitSeconds: 60, input: quietly(text) };
  const outcome = await onMachineOf(stack, machine, psql(database), limits);
  if (isUnreachable(outcome)) throw new Error(`${leader.name}: ${outcome.unreachable}`);
  if (outcome.code === 0) return outcome.stdout;
  throw new Error(`${leader.name}: PostgreSQL says: ${outcome.stderr.trim()}`);
}

/** What makes the role and the database anew, where every database is. */
export const databaseText = (password: string) =>
  `${dropped}CREATE ROLE ${proofName} LOGIN PASSWORD '${password}' CONNECTION LIMIT ${connectionLimit};
CREATE DATABASE ${proofName};
REVOKE ALL ON DATABASE ${proofName} FROM PUBLIC;
GRANT CONNECT ON DATABASE ${proofName} TO ${proofName};
`;

/** Makes it anew. @throws where there is no primary */
export async function makeDatabase(stack: OperatedStack): Promise<Access> {
  const password = randomBytes(24).toString("hex");
  await atPrimary(stack, "postgres", databaseText(password));
  await atPrimary(stack, proofName, tablesText);
  return { password, authority: await authorityOf(stack) };
}

export async function removeDatabase(stack: OperatedStack): Promise<void> {
  await atPrimary(stack, "postgres", dropped);
}

/** Empties all tables, and gives each stock its places. */
export async function emptyTables(stack: OperatedStack): Promise<void> {
  const values = stocks.map((name) => `('${name}', ${placesAtFirst})`).join(", ");
  await atPrimary(
    stack,
    proofName,
    `TRUNCATE register, entry, purchase, stock, visitor, heartbeat;
INSERT INTO stock VALUES ${values};
`,
  );
}

/** As a member of the database has it: the machines that clients go by could name another one. */
async function authorityOf(stack: OperatedStack): Promise<string> {
  const [member] = stack.topology.members.database;
  if (member === undefined) throw new Error("the stack has no database");
  const file = `${folderOf(stack, member)}/${authorityFile("database")}`;
  return mustOn(stack, member, `cat ${file}`, "the database's authority", 10);
}

/** What a member of the database has, asked on its own machine. */
export interface Kept {
  readonly registers: ReadonlyMap<string, string>;
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  readonly purchases: readonly {
    readonly key: string;
    readonly stock: string;
    readonly places: number;
  }[];
  readonly stocks: readonly { readonly name: string; readonly places: number }[];
  readonly visitors: ReadonlyMap<string, number>;
}

const everything = `SELECT json_build_object(
  'registers', (SELECT coalesce(json_agg(json_build_array(key, value)), '[]') FROM register),
  'entries', (SELECT coalesce(json_agg(entry), '[]') FROM entry),
  'purchases', (SELECT coalesce(json_agg(purchase), '[]') FROM purchase),
  'stocks', (SELECT coalesce(json_agg(stock), '[]') FROM stock),
  'visitors', (SELECT coalesce(json_agg(json_build_array(name, counter)), '[]') FROM visitor));`;

/** How far the primary has written its log. @throws where there is none */
export const positionAtPrimary = async (stack: OperatedStack): Promise<string> =>
  positionIn(await atPrimary(stack, "postgres", "SELECT pg_current_wal_flush_lsn();"));

/** It goes into what another member is asked: one machine must not tell another one what to do. @throws for anything else */
export function positionIn(said: string): string {
  const [position] = /^[0-9A-F]+\/[0-9A-F]+$/.exec(said.trim()) ?? [];
  if (position === undefined)
    throw new Error(`"${said.trim().slice(0, 80)}" is no position of a log`);
  return position;
}

/** What a standby has received it applies at once, unless something holds it up. */
const applyingSeconds = 30;

/**
 * Reads all back from one member, once it has applied all that the primary had written.
 * @param position of the primary's log; undefined where there is no primary
 * @throws with the member, and what it said
 */
export async function readBack(
  stack: OperatedStack,
  name: string,
  position: string | undefined,
): Promise<Kept> {
  const member = memberNamed(stack, name);
  const ask = (text: string) =>
    mustOn(stack, member, `${psql(proofName)} --command=${quote(text)}`, "reading back", 60);
  const hasAll =
    position === undefined
      ? "SELECT true"
      : `SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= '${position}'`;
  await until(`${name} has applied all that was written`, {
    probe: async () => (await ask(hasAll)).trim(),
    done: (said) => said === "t",
    limitSeconds: applyingSeconds,
    intervalSeconds: 0.2,
  });
  const kept = JSON.parse(await ask(everything));
  return {
    ...kept,
    registers: new Map(kept.registers),
    visitors: new Map(kept.visitors),
  };
}
