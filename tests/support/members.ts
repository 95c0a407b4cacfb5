/** Looking at members of a running stack, and breaking them. */
import { lastWords, mustRun, type Outcome, run } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { limits, type Promised, promises, worstOf } from "./promises.ts";
import type { TestStack } from "./test-stack.ts";

const databases = ["db-1", "db-2"] as const;
const loadBalancers = ["lb-1", "lb-2"] as const;

export const storefronts = ["storefront-1", "storefront-2"] as const;
export const admins = ["admin-1", "admin-2"] as const;
/** In the order of their names, as suites compare them. */
export const instances = [...admins, ...storefronts] as const;

export interface AttemptOptions {
  /** @default root */
  readonly user?: string;
  /** Folder to be in. @default the engine's choice */
  readonly folder?: string;
  /** @default nothing: the input is empty */
  readonly input?: string;
  /** @default 60 */
  readonly limitSeconds?: number;
}

/** Runs a program where a member is. Never throws: look at `code`. */
export function attempt(
  { place }: TestStack,
  member: string,
  command: readonly string[],
  { user, folder, input, limitSeconds = 60 }: AttemptOptions = {},
): Promise<Outcome> {
  const options = [
    ...(input === undefined ? [] : ["--interactive"]),
    ...(user === undefined ? [] : [`--user=${user}`]),
    ...(folder === undefined ? [] : [`--workdir=${folder}`]),
  ];
  const words = ["docker", "exec", ...options, place.container(member), ...command];
  return run(words, { limitSeconds, ...(input !== undefined && { input }) });
}

/** Runs a program that must succeed where a member is. @returns its standard output */
export async function must(
  stack: TestStack,
  member: string,
  command: readonly string[],
  options: AttemptOptions = {},
): Promise<string> {
  const outcome = await attempt(stack, member, command, options);
  if (outcome.code === 0) return outcome.stdout;
  throw new Error(
    `\`${command.join(" ")}\` at ${member} ended with ${outcome.code}:\n${lastWords(outcome)}`,
  );
}

/** Runs a shell script, as root, where a member is. */
export function inside(stack: TestStack, member: string, script: string): Promise<string> {
  return must(stack, member, ["sh", "-euc", script]);
}

/** The text of one of a member's files. */
export function fileOf(stack: TestStack, member: string, path: string): Promise<string> {
  return must(stack, member, ["cat", `${stack.place.files(member)}/${path}`]);
}

/** Kills a process of a member; its supervisor starts it again. */
export async function killProcess(stack: TestStack, member: string, process: string) {
  const pid = stack.place.processId(process);
  await inside(stack, member, `pid=$(${pid}); [ "$pid" -gt 1 ]; kill -KILL "$pid"`);
}

/** Stops a process of a member and its children in their tracks, or lets them go on. */
export async function signalTree(
  stack: TestStack,
  member: string,
  process: string,
  signal: "STOP" | "CONT",
) {
  const pid = stack.place.processId(process);
  const script = `pid=$(${pid}); [ "$pid" -gt 1 ]; kill -${signal} "$pid"; pkill -${signal} -P "$pid" || :`;
  await inside(stack, member, script);
}

/** Kills the first of a member's PostgreSQL processes, past Patroni, which starts it again. */
export async function killPostmaster(stack: TestStack, member: string): Promise<void> {
  const file = "/var/lib/postgresql/17/hastack/postmaster.pid";
  await inside(stack, member, `kill -KILL $(head -1 ${file})`);
}

/** Takes a member away, and all that shares its machine; its connections are closed. */
export async function killMember({ place }: TestStack, member: string): Promise<void> {
  await mustRun(["docker", "kill", place.container(member)]);
}

export async function startMember({ place }: TestStack, member: string): Promise<void> {
  await mustRun(["docker", "start", place.container(member)]);
}

/** What is promised when a member is lost, by the beginning of its name; a standby is less. */
const lossPromises: Readonly<Record<string, Promised>> = {
  lb: promises.loadBalancerLost,
  etcd: promises.quorumMemberLost,
  db: promises.standbyLost,
  storefront: promises.appMachineLost,
  admin: promises.appMachineLost,
  web: promises.appMachineLost,
  cache: promises.cacheLost,
  brick: promises.brickLost,
  arbiter: promises.arbiterLost,
};

/** What is promised of the primary: whichever member of etcd is lost with it may lead the others. */
const whereEtcd = (lost: readonly string[]): Promised =>
  lost.some((one) => one.startsWith("etcd"))
    ? promises.primaryAndLeaderLost
    : promises.primaryMachineLost;

/** What is promised when a member is lost with all that shares its machine. */
export async function promisedWithout(stack: TestStack, member: string): Promise<Promised> {
  const lost = stack.place.sharing(member);
  const first = await primary(stack);
  const all = lost.map((one) => lossPromises[one.replace(/-\d$/, "")]);
  return worstOf([
    ...all.filter((one) => one !== undefined),
    ...(lost.includes(first) ? [whereEtcd(lost)] : []),
  ]);
}

/** When each of these members and its processes were started. */
export async function startTimes(stack: TestStack, members: readonly string[]): Promise<string> {
  return (await Promise.all(members.map((member) => stack.place.started(member)))).join("\n");
}

const psql = ["psql", "-h/run/postgresql", "-XAt", "-v", "ON_ERROR_STOP=1"];

/** Runs SQL in a member's own PostgreSQL, as its superuser. */
export async function sql(stack: TestStack, member: string, query: string): Promise<string> {
  const options = { user: "postgres", input: query, limitSeconds: 30 };
  return (await must(stack, member, [...psql, "hastack"], options)).trim();
}

/** The members that say of themselves that they are primary. */
export async function primaries(stack: TestStack): Promise<string[]> {
  const states = await Promise.all(
    databases.map(async (member) => {
      const ask = [...psql, "-c", "SELECT pg_is_in_recovery()", "postgres"];
      const options = { user: "postgres", limitSeconds: 20 };
      const { code, stdout } = await attempt(stack, member, ask, options);
      return code === 0 && stdout.trim() === "f" ? [member] : [];
    }),
  );
  return states.flat();
}

export async function primary(stack: TestStack): Promise<string> {
  const found = await primaries(stack);
  if (found.length !== 1) throw new Error(`primaries: [${found}]`);
  return found[0] ?? "";
}

/** Waits until one member is primary and the other its synchronous standby. */
export async function wholePair(stack: TestStack): Promise<void> {
  await until("the database is a pair", {
    probe: async () => {
      const member = await primary(stack);
      return sql(
        stack,
        member,
        "SELECT string_agg(sync_state, ',') FROM pg_stat_replication WHERE usename <> 'keeper';",
      );
    },
    done: (state) => state === "sync",
    limitSeconds: limits.rejoin,
  });
}

/** The load balancers that hold the frontend's virtual address. */
export async function holders(stack: TestStack): Promise<string[]> {
  const found = await Promise.all(
    loadBalancers.map(async (member) => {
      const look = ["ip", "-4", "-oneline", "address"];
      const { stdout } = await attempt(stack, member, look, { limitSeconds: 20 });
      return stdout.includes(` ${stack.place.vip}/`) ? [member] : [];
    }),
  );
  return found.flat();
}

/** The whole stack is as after `up`: every member there, in its role, and the site answers. */
export async function healed(stack: TestStack): Promise<void> {
  await wholePair(stack);
  await until("one load balancer holds the address", {
    probe: () => holders(stack),
    done: (found) => found.length === 1,
    limitSeconds: limits.rejoin,
  });
  await until("all instances serve", {
    probe: () => servingInstances(stack),
    done: (names) => names.join() === instances.join(),
    limitSeconds: limits.rejoin,
  });
  await until("all instances have the cache", {
    probe: () => cacheStates(stack),
    done: (states) => states.every((state) => state === "ok"),
    limitSeconds: limits.rejoin,
  });
}

/** Names of the instances that answer through the load balancer. */
export async function servingInstances(stack: TestStack): Promise<string[]> {
  const names = new Set<string>();
  for (let turn = 0; turn < 8; turn += 1) {
    for (const path of ["", "admin/login"]) {
      const { status, servedBy } = await stack.request(path);
      if (status === 200) names.add(servedBy);
    }
  }
  return [...names].sort();
}

/** What each instance says of the cache, asked where it listens. */
export async function cacheStates(stack: TestStack): Promise<string[]> {
  const ask = (member: string, port: number) => {
    const url = `http://127.0.0.1:${port}/api/health`;
    return must(stack, member, ["curl", "-s", "-m", "2", url]);
  };
  const answers = await Promise.all([
    ...storefronts.map((member) => ask(member, 3000)),
    ...admins.map((member) => ask(member, 3001)),
  ]);
  return answers.map((answer) => JSON.parse(answer).cache);
}
