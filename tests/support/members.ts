/** Looking at members of a running stack, and breaking them. */
import { mustRun, run } from "../../scripts/lib/run.ts";
import { until } from "../../scripts/lib/until.ts";
import { limits } from "./promises.ts";
import type { TestStack } from "./test-stack.ts";
import { request } from "./traffic.ts";

const databases = ["db-1", "db-2"] as const;
const loadBalancers = ["lb-1", "lb-2"] as const;

export function inside(stack: TestStack, member: string, script: string): Promise<string> {
  return mustRun(["docker", "exec", stack.container(member), "sh", "-euc", script], {
    limitSeconds: 60,
  });
}

/** Kills a process inside a member; its supervisor starts it again. */
export async function killProcess(stack: TestStack, member: string, pattern: string) {
  await inside(stack, member, `pkill -KILL -o -f ${pattern}`);
}

/** Takes a member away, without a word to its processes. */
export async function killMember(stack: TestStack, member: string): Promise<void> {
  await mustRun(["docker", "kill", stack.container(member)]);
}

export async function startMember(stack: TestStack, member: string): Promise<void> {
  await mustRun(["docker", "start", stack.container(member)]);
}

/** Runs SQL in a member's own PostgreSQL, as its superuser. */
export async function sql(stack: TestStack, member: string, query: string): Promise<string> {
  const words = ["docker", "exec", "--interactive", "--user=postgres", stack.container(member)];
  return (
    await mustRun(
      [...words, "psql", "-h/run/postgresql", "-XAt", "-v", "ON_ERROR_STOP=1", "hastack"],
      {
        input: query,
        limitSeconds: 30,
      },
    )
  ).trim();
}

/** The members that say of themselves that they are primary. */
export async function primaries(stack: TestStack): Promise<string[]> {
  const states = await Promise.all(
    databases.map(async (member) => {
      const { code, stdout } = await run(
        [
          "docker",
          "exec",
          "--user=postgres",
          stack.container(member),
          "psql",
          "-h/run/postgresql",
        ].concat(["-XAtc", "SELECT pg_is_in_recovery()", "postgres"]),
        { limitSeconds: 20 },
      );
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
      return sql(stack, member, "SELECT string_agg(sync_state, ',') FROM pg_stat_replication;");
    },
    done: (state) => state === "sync",
    limitSeconds: limits.rejoin,
  });
}

/** The load balancers that hold the frontend's virtual address. */
export async function holders(stack: TestStack): Promise<string[]> {
  const found = await Promise.all(
    loadBalancers.map(async (member) => {
      const { stdout } = await run(
        ["docker", "exec", stack.container(member), "ip", "-4", "-oneline", "address"],
        { limitSeconds: 20 },
      );
      return stdout.includes(` ${stack.vip}/`) ? [member] : [];
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
    done: (names) => names.join() === "admin-1,admin-2,storefront-1,storefront-2",
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
      const { status, servedBy } = await request(`${stack.url}${path}`);
      if (status === 200) names.add(servedBy);
    }
  }
  return [...names].sort();
}

/** What each instance says of the cache, asked at its own address. */
export async function cacheStates(stack: TestStack): Promise<string[]> {
  const ask = (member: string, port: number) =>
    inside(stack, member, `curl -s -m 2 http://$(hostname -i):${port}/api/health`);
  const answers = await Promise.all([
    ...["storefront-1", "storefront-2"].map((member) => ask(member, 3000)),
    ...["admin-1", "admin-2"].map((member) => ask(member, 3001)),
  ]);
  return answers.map((answer) => JSON.parse(answer).cache);
}
