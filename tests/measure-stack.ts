/**
 * `node tests/measure-stack.ts [CHECKOUT]`: what the running stack `dev` of a checkout costs and how it
 * fails over, as a table to be laid beside the one of another checkout. The primary is lost twice.
 */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connections, measure, median } from "../bench/measure.ts";
import { root } from "../lib/paths.ts";
import { mustRun, run } from "../lib/run.ts";
import { until } from "../lib/until.ts";
import { underLoad } from "./support/measure.ts";
import type { Site } from "./support/traffic.ts";

const checkout = resolve(process.argv[2] ?? root);
const runs = 5;
const loadSeconds = 20;
const restSeconds = 20;
const paths = ["/", "/api/offers"];

const say = (...cells: readonly (string | number)[]) => console.log(`| ${cells.join(" | ")} |`);
const one = (value: number) => value.toFixed(1);

const pulumi = (...words: string[]) =>
  mustRun(["node_modules/.bin/pulumi", ...words, "--stack", "dev", "--non-interactive"], {
    cwd: checkout,
    limitSeconds: 600,
  });

/** Seconds on the clock, and of processor time, of a command of Pulumi's without what the engine does. */
async function timed(words: string): Promise<{ clock: number; processor: number }> {
  const script = `TIMEFORMAT='%R %U %S'; { time node_modules/.bin/pulumi ${words} --stack dev --non-interactive > /dev/null 2>&1; } 2>&1`;
  const [clock = 0, user = 0, system = 0] = (
    await mustRun(["bash", "-c", script], { cwd: checkout, limitSeconds: 600 })
  )
    .trim()
    .split(" ")
    .map(Number);
  return { clock, processor: user + system };
}

async function commands(): Promise<void> {
  for (const words of ["up --yes", "preview"]) {
    const seen: { clock: number; processor: number }[] = [];
    for (let count = 0; count < runs; count += 1) seen.push(await timed(words));
    const of = (name: "clock" | "processor") => seen.map((one) => one[name]);
    const spread = `${one(Math.min(...of("clock")))}–${one(Math.max(...of("clock")))}`;
    say(`no-op ${words}, s`, `${one(median(of("clock")))} (${spread})`);
    say(`no-op ${words}, processor s`, one(median(of("processor"))));
  }
}

/** Seconds of processor time that the containers have used, whatever else the machine did meanwhile. */
async function processorSeconds(names: readonly string[]): Promise<number> {
  const script =
    "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || sed -n 's/^usage_usec \\(.*\\)/\\1000/p' /sys/fs/cgroup/cpu.stat";
  const used = names.map((name) => mustRun(["docker", "exec", name, "sh", "-c", script]));
  return (await Promise.all(used)).reduce((sum, text) => sum + Number(text) / 1e9, 0);
}

const units: Readonly<Record<string, number>> = { KiB: 1 / 1024, MiB: 1, GiB: 1024 };

async function memory(names: readonly string[]): Promise<void> {
  const format = "{{.Name}} {{.MemUsage}}";
  const rows = (await mustRun(["docker", "stats", "--no-stream", "--format", format, ...names]))
    .trim()
    .split("\n")
    .sort()
    .map((row) => {
      const [, name = "", used = "", unit = ""] =
        /^hastack-dev-(\S+) ([\d.]+)([KMG]iB) /.exec(row) ?? [];
      return { name, used: Number(used) * (units[unit] ?? Number.NaN) };
    });
  for (const { name, used } of rows) say(`memory ${name}, MiB`, used.toFixed(0));
  const all = rows.reduce((sum, { used }) => sum + used, 0);
  say("memory of all, MiB", all.toFixed(0));
  const before = await processorSeconds(names);
  await sleep(restSeconds * 1000);
  const share = ((await processorSeconds(names)) - before) / restSeconds;
  say("processor time at rest, % of one", one(share * 100));
}

async function load(url: string, names: readonly string[]): Promise<void> {
  for (const path of paths) {
    await measure({ url, path }, 3);
    const before = await processorSeconds(names);
    const { perSecond, p50, p99 } = await measure({ url, path }, loadSeconds);
    const each = ((await processorSeconds(names)) - before) / (perSecond * loadSeconds);
    say(`${path}, requests/s (${connections} clients)`, perSecond.toFixed(0));
    say(`${path}, p50 and p99, ms`, `${one(p50)} and ${one(p99)}`);
    say(`${path}, processor ms for a request, all containers`, (each * 1000).toFixed(2));
  }
}

async function primary(): Promise<string> {
  for (const name of ["hastack-dev-db-1", "hastack-dev-db-2"]) {
    const script = "psql -h /run/postgresql -U postgres -Atc 'select pg_is_in_recovery()' || :";
    const { stdout } = await run(["docker", "exec", "-u", "postgres", name, "sh", "-c", script]);
    if (stdout.trim() === "f") return name;
  }
  throw new Error("no database member is primary");
}

async function failover(site: Site, how: string, lose: (name: string) => Promise<unknown>) {
  const name = await primary();
  const { reads, writes } = await underLoad(site, () => lose(name), 40);
  say(
    `primary ${how}: reads, writes stand still, s`,
    [reads, writes].map((seen) => one(seen.gapSeconds)).join(", "),
  );
  say(`primary ${how}: failed reads, writes`, `${reads.failed}, ${writes.failed}`);
  await mustRun(["docker", "start", name]);
  await until("the standby follows", {
    probe: async () => {
      const ask = "select count(*) from pg_stat_replication where sync_state = 'sync'";
      const script = `psql -h /run/postgresql -U postgres -Atc "${ask}"`;
      const there = await primary().catch(() => "");
      return (
        await run(["docker", "exec", "-u", "postgres", there, "sh", "-c", script])
      ).stdout.trim();
    },
    done: (count) => count === "1",
    limitSeconds: 180,
  });
  await sleep(25_000);
}

/** The links go first, so that nobody is told. */
async function cutPower(name: string): Promise<void> {
  const pid = (await mustRun(["docker", "inspect", "-f", "{{.State.Pid}}", name])).trim();
  const down =
    "for one in $(ip -o link | sed -n 's/^[0-9]*: \\(eth[0-9]*\\)@.*/\\1/p'); do ip link set \"$one\" down; done";
  await mustRun(["nsenter", "-t", pid, "-n", "sh", "-euc", down]);
  await mustRun(["docker", "kill", name]);
}

const { url, adminPassword } = JSON.parse(
  await pulumi("stack", "output", "--json", "--show-secrets"),
);
const authorization = `Basic ${Buffer.from(`admin:${adminPassword}`).toString("base64")}`;
const names = (
  await mustRun(["docker", "ps", "--format", "{{.Names}}", "--filter", "label=hastack.stack=dev"])
)
  .trim()
  .split("\n");
const commit = (await mustRun(["git", "rev-parse", "--short", "HEAD"], { cwd: checkout })).trim();
say(`measured ${new Date().toISOString()}`, commit);
say("---", "---");
await memory(names);
await commands();
await load(url, names);
const site: Site = { url, authorization: async () => authorization };
await failover(site, "killed", (name) => mustRun(["docker", "kill", name]));
await failover(site, "power cut", cutPower);
