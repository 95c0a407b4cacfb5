/**
 * `npx node tests/measure-backup.ts [--gib N] [--s3] [--lost] [--beside-only] [--keep] [--again]`: what backups of a
 * database of some size cost and how long restores take, as a table. It makes a stack of its own on Docker, fills
 * it, and removes it. `--s3` has a second repository; `--lost` loses everything in the end, and comes back from
 * there. `--keep` leaves the stack, and `--again` takes the one that was left.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../lib/paths.ts";
import { lastWords, mustRun, run } from "../lib/run.ts";
import { until } from "../lib/until.ts";
import { keeper, listed, loseAll } from "./support/backups.ts";
import { ContainerPlace } from "./support/container-place.ts";
import { assertDiskFor, change, fill, sizeOf } from "./support/filling.ts";
import { type Latencies, latenciesAtRest, latenciesDuring } from "./support/latencies.ts";
import { attempt, healed, must, primary, sql } from "./support/members.ts";
import { ObjectStore } from "./support/object-store.ts";
import { mustCommand } from "./support/operation.ts";
import { travelAgency } from "./support/place.ts";
import { TestStack } from "./support/test-stack.ts";
import { type Acknowledged, postDestination } from "./support/traffic.ts";

const name = "measure";
const spot = { frontend: "172.29.60", backend: "172.29.61", port: 18180, statsPort: 18504 };
const storePort = 8433;
const state = "/var/lib/hastack-backup";
const restSeconds = 30;
/** How often the database is there at once, with its backups, its copies and the data of before a restore. */
const timesThere = { beside: 5, inPlace: 8 };
/** Seconds for each GiB, and besides, until something is given up. */
const limitOf = (gib: number) => 900 + 900 * gib;

const { values } = parseArgs({
  options: {
    gib: { type: "string", default: "1" },
    s3: { type: "boolean", default: false },
    lost: { type: "boolean", default: false },
    "beside-only": { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    again: { type: "boolean", default: false },
  },
});
const gib = Number(values.gib);
if (!(gib > 0)) throw new Error(`--gib ${values.gib} is no size: it takes GiB, such as 1 or 0.2`);
const limitSeconds = limitOf(gib);
const withStore = values.s3 || values.lost;
if (withStore && (values.again || values.keep))
  throw new Error("--keep and --again go without --s3 and --lost: its store is not kept");

const mebibyte = 1024 ** 2;
const one = (value: number) => value.toFixed(1);
const seconds = (milliseconds: number) => `${one(milliseconds / 1000)} s`;
const load = () => `load ${loadavg()[0]?.toFixed(0)}`;
const say = (...cells: readonly string[]) => console.log(`| ${cells.join(" | ")} |`);
const progress = (text: string) =>
  console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);

const watching = "/tmp/measured";

/** Most memory of the programs there, without what the kernel keeps of files. */
class Memory {
  readonly #stack: TestStack;
  readonly #peak: Promise<number>;

  constructor(stack: TestStack) {
    this.#stack = stack;
    this.#peak = this.#watch();
  }

  /** One program there for all of the time: a call for each look would burden what is measured. */
  async #watch(): Promise<number> {
    // By the kernel's first or second kind of groups
    const look = `touch ${watching}; peak=0
      while [ -e ${watching} ]; do
        now=$(cat /sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat 2> /dev/null |
          awk '/^(anon|shmem|rss) / { sum += $2 } END { print sum + 0 }')
        [ "$now" -le "$peak" ] || peak=$now
        sleep 1
      done
      echo "$peak"`;
    const options = { limitSeconds };
    const { stdout } = await attempt(this.#stack, keeper, ["sh", "-c", look], options);
    return Number(stdout);
  }

  async end(): Promise<number> {
    await attempt(this.#stack, keeper, ["rm", "-f", watching]);
    return this.#peak;
  }
}

interface Timed<T> {
  readonly result: T;
  readonly milliseconds: number;
  readonly memory: number;
}

/** Runs something, and says how long it took and what memory it took at the machine of backups. */
async function measured<T>(stack: TestStack, what: string, act: () => Promise<T>) {
  progress(what);
  const memory = new Memory(stack);
  const begun = performance.now();
  try {
    const result = await act();
    const milliseconds = performance.now() - begun;
    progress(`${what}: ${seconds(milliseconds)}`);
    return { result, milliseconds, memory: await memory.end() } satisfies Timed<T>;
  } finally {
    await memory.end();
  }
}

/** What the newest backup of a kind takes in each repository, for people. */
async function stored(stack: TestStack, kind: "full" | "diff"): Promise<string> {
  const { backups } = await listed(stack);
  const last = backups
    .filter(({ type }) => type === kind)
    .toSorted((a, b) => a.start.localeCompare(b.start))
    .at(-1);
  const each = Object.entries(last?.repositories ?? {});
  return each.map(([at, bytes]) => `${at} ${one(bytes / mebibyte)} MiB`).join(", ");
}

/** Waits until the keeper does nothing, and until a moment can be restored. */
async function caughtUp(stack: TestStack, moment = new Date()): Promise<void> {
  await until("the machine of backups has caught up", {
    probe: async () => {
      const text = await must(stack, keeper, ["cat", `${state}/state/running.json`]);
      const { what } = JSON.parse(text) as { what: string | null };
      const ends = (await listed(stack)).ranges.map(({ to }) => Date.parse(to));
      return { what, behind: (moment.getTime() - Math.max(0, ...ends)) / 1000 };
    },
    done: ({ what, behind }) => what === null && behind < 0,
    limitSeconds,
    intervalSeconds: 2,
  });
}

function sayLatencies(what: string, seen: Latencies, rest: Latencies): void {
  for (const kind of ["pages", "writes"] as const) {
    const { median, p99, count, failed, gapSeconds } = seen[kind];
    const ratio = (name: "median" | "p99") => one(seen[kind][name] / rest[kind][name]);
    say(
      `${kind} ${what}: median, p99, longest gap`,
      `${one(median)} ms, ${one(p99)} ms, ${one(gapSeconds)} s (${ratio("median")} and ${ratio("p99")} times; ${count}, ${failed} failed)`,
      load(),
    );
  }
}

async function backups(stack: TestStack): Promise<void> {
  const bytes = await sizeOf(stack);
  say("the database", `${one(bytes / mebibyte)} MiB`, load());
  const rest = (await latenciesAtRest(stack, restSeconds)).seen;
  sayLatencies("at rest", rest, rest);

  const back = (words: readonly string[]) => mustCommand(stack, words, limitSeconds);
  const full = await measured(stack, "full backup", () =>
    latenciesDuring(stack, () => back(["backup", "--full"])),
  );
  const speed = bytes / mebibyte / (full.milliseconds / 1000);
  say("full backup", `${seconds(full.milliseconds)}, ${one(speed)} MiB/s`, load());
  say("its size", await stored(stack, "full"), "");
  say("memory of backup-1 meanwhile", `${one(full.memory / mebibyte)} MiB`, "");
  sayLatencies("during it", full.result.seen, rest);

  await change(stack, gib);
  const diff = await measured(stack, "differential backup", () => back(["backup"]));
  say("differential backup, 1 % of the rows changed", seconds(diff.milliseconds), load());
  say("its size", await stored(stack, "diff"), "");

  await caughtUp(stack);
  const drill = await measured(stack, "drill", () =>
    latenciesDuring(stack, () => back(["backup", "--drill"])),
  );
  say("drill", seconds(drill.milliseconds), load());
  say("memory of backup-1 meanwhile", `${one(drill.memory / mebibyte)} MiB`, "");
  sayLatencies("during it", drill.result.seen, rest);
}

async function restores(stack: TestStack): Promise<void> {
  const moment = new Date();
  await caughtUp(stack, moment);
  const to = ["restore", "--to", moment.toISOString()];
  const beside = await measured(stack, "restore beside", () =>
    mustCommand(stack, to, limitSeconds),
  );
  say("restore beside", seconds(beside.milliseconds), load());
  say("memory of backup-1 meanwhile", `${one(beside.memory / mebibyte)} MiB`, "");
  if (values["beside-only"]) return;

  const words = ["run", "--silent", "restore", "--", "--in-place", "--yes", "--stack", name];
  const { result } = await measured(stack, "restore in place", () =>
    latenciesDuring(stack, async () => {
      const begun = performance.now();
      const outcome = await stack.npm(words, limitSeconds);
      if (outcome.code !== 0) throw new Error(`restore --in-place: ${lastWords(outcome, 40)}`);
      return { outcome, milliseconds: performance.now() - begun };
    }),
  );
  const { outcome, milliseconds } = result.result;
  const still = /stood still for (.*)/.exec(outcome.stderr + outcome.stdout)?.[1] ?? "?";
  const { pages, writes } = result.seen;
  say(
    "restore in place, of what is beside: total, with a full backup",
    seconds(milliseconds),
    load(),
  );
  say("the database stood still, as the command says", still, "");
  say(
    "longest gap of pages, writes at the client",
    `${one(pages.gapSeconds)} s, ${one(writes.gapSeconds)} s`,
    "",
  );
  await healed(stack);
  await mustCommand(stack, ["restore", "--accept"], limitSeconds);
}

async function everythingLost(stack: TestStack): Promise<void> {
  const away = mkdtempSync(join(tmpdir(), "hastack-measure-kit-"));
  const [kit, passphrase] = [join(away, "stack.kit"), join(away, "passphrase")];
  writeFileSync(passphrase, "a passphrase of a measurement\n", { mode: 0o600 });
  const npm = async (...words: string[]) => {
    const outcome = await stack.npm(["run", "--silent", ...words], limitSeconds);
    if (outcome.code !== 0) throw new Error(`${words.join(" ")}: ${lastWords(outcome, 40)}`);
  };
  try {
    await npm("kit", "--", "--make", kit, "--stack", name, "--passphrase-file", passphrase);
    let lost = 0;
    progress("everything is lost");
    const { report } = await latenciesDuring(stack, async () => {
      await new Promise((resolve) => setTimeout(resolve, 90_000));
      lost = Date.now();
      await loseAll(stack);
    });
    await stack.create();
    // The kit has it
    rmSync(join(stack.folder, `Pulumi.${name}.yaml`));
    await npm("kit", "--", "--open", kit, "--new-machines", "--passphrase-file", passphrase);
    progress("up");
    await stack.mustUp();
    const since = (now = Date.now()) => seconds(now - lost);
    say("everything lost: an empty stack serves after", since(), load());
    const { before: to } = await until("the list shows the moment before the loss", {
      probe: async () => (await listed(stack)).anew ?? { before: "" },
      done: ({ before }) => before !== "",
      limitSeconds: 300,
    });
    progress(`restore to ${to}`);
    await mustCommand(stack, ["restore", "--to", to, "--in-place"], limitSeconds);
    say("the restored data serves, and is backed up (RTO)", since(), load());
    await sayLoss(stack, report.acknowledged, lost);
    await healed(stack);
  } finally {
    rmSync(away, { recursive: true, force: true });
  }
}

/** How old the newest write is that is there again. */
async function sayLoss(stack: TestStack, acknowledged: readonly Acknowledged[], lost: number) {
  const quotes = await sql(stack, await primary(stack), "SELECT quote FROM content");
  const there = new Set(quotes.split("\n"));
  const before = acknowledged.filter(({ at = 0 }) => at <= lost);
  const kept = before.filter(({ quote }) => there.has(quote));
  const age = (some: readonly Acknowledged[]) => lost - (some.at(-1)?.at ?? Number.NaN);
  say(
    "newest write that is there again: before the loss (RPO)",
    `${seconds(age(kept))}; ${before.length - kept.length} of ${before.length} acknowledged are missing`,
    "",
  );
}

const times = values["beside-only"] ? timesThere.beside : timesThere.inPlace;
const { stdout: dockerRoot } = await run(["docker", "info", "-f", "{{.DockerRootDir}}"]);
await assertDiskFor(dockerRoot.trim() || "/", gib, times + (withStore ? 1 : 0));
const stack = new TestStack(name, new ContainerPlace(name, travelAgency, true, spot));
const store = withStore ? await ObjectStore.start(name, storePort, 2000 + gib * 4096) : undefined;
async function make(): Promise<void> {
  await stack.create();
  if (store)
    stack.configure({
      "hastack:backup": { s3: store.setting },
      "hastack:backupS3Secret": store.secret,
    });
  progress("up");
  await stack.mustUp();
}

try {
  if (!values.again) await make();
  await healed(stack);
  const commit = (await mustRun(["git", "rev-parse", "--short", "HEAD"], { cwd: root })).trim();
  say(`measured ${new Date().toISOString()}, ${gib} GiB`, commit, "");
  say("---", "---", "---");
  await postDestination(stack, "before all");
  await fill(stack, gib, progress);
  const { milliseconds } = await measured(stack, "catching up", () => caughtUp(stack));
  say("its log is stored, after the last row, after", seconds(milliseconds), load());
  const { gaps } = await listed(stack);
  if (gaps.length > 0) say("GAPS in what can be restored", JSON.stringify(gaps), "");
  for (const part of [backups, restores, ...(values.lost ? [everythingLost] : [])]) {
    try {
      await part(stack);
    } catch (error) {
      // The others are measured all the same
      progress(error instanceof Error ? error.message : String(error));
      say(`${part.name} failed`, "see above", load());
      process.exitCode = 1;
    }
  }
} finally {
  if (!values.keep) {
    progress("removing it");
    await stack.destroyAll();
    await store?.remove();
  }
}
