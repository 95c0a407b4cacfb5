import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JobDescription } from "../../../../infra/application/description.ts";
import { jobProcess, renderJob } from "../../../../infra/application/job.ts";
import { currentReleaseDirectory } from "../../../../infra/platform/platform.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { imageFor } from "../../../support/unit/images.ts";

const job = (changes: Partial<JobDescription> = {}): JobDescription => ({
  name: "sweep",
  tier: "web",
  command: ["touch", "swept"],
  ...changes,
});

describe("a job's process", () => {
  it("O6: has the memory limit of its tier, and none where that has none", () => {
    const process = jobProcess(job(), { name: "web", memoryMegabytes: 300 });
    assert.deepEqual(process, {
      name: "job-sweep",
      command: ["jobs/sweep"],
      user: "hastack-web",
      environmentFile: "jobs/sweep.environment",
      umask: "0007",
      stopGraceSeconds: 30,
      memoryMegabytes: 300,
    });
    assert.equal(jobProcess(job(), { name: "web" }).memoryMegabytes, undefined);
  });
});

describe("a job's script", function () {
  this.timeout(30_000);
  let folder: string;
  let running: ChildProcess | undefined;

  const path = (...parts: string[]) => join(folder, ...parts);
  const read = (name: string) => (existsSync(path(name)) ? readFileSync(path(name), "utf8") : "");
  const lines = (name: string) => read(name).split("\n").filter(Boolean);
  /** A program that the script finds before the machine's own. */
  const stand = (name: string, text: string) => {
    writeFileSync(path("bin", name), `#!/bin/sh\ncd '${folder}'\n${text}\n`);
    chmodSync(path("bin", name), 0o755);
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-job-"));
    mkdirSync(path("bin"));
    mkdirSync(path("release"));
    // It notes the time that is due, and says who is the first
    stand("psql", `printf '%s\\n' "$@" | grep -o 'to_timestamp([0-9]*)' >> notes\necho mine`);
  });
  afterEach(async () => {
    if (running?.exitCode === null) running.kill("SIGKILL");
    // What the script has started may still write
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  });

  /** Starts the script in the release's folder. @returns what it says, and how it ends */
  function launch(one: JobDescription) {
    const text = renderJob(one).replaceAll(currentReleaseDirectory, path("release"));
    writeFileSync(path("job"), text);
    const child = spawn("/bin/sh", [path("job")], {
      env: { ...process.env, PATH: `${path("bin")}:${process.env.PATH}` },
    });
    running = child;
    let said = "";
    child.stdout.on("data", (data) => {
      said += data;
    });
    child.stderr.on("data", (data) => {
      said += data;
    });
    const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
    const stop = async () => {
      const begin = Date.now();
      child.kill("SIGTERM");
      return { code: await ended, seconds: (Date.now() - begin) / 1000 };
    };
    return { said: () => said, stop, ended };
  }

  const wait = (what: string, done: () => boolean, limitSeconds = 15) =>
    until(what, { probe: done, done: Boolean, limitSeconds });

  describe("on its time", () => {
    const times: readonly [string, Partial<JobDescription>, string, readonly string[]][] = [
      [
        "each hour",
        { everySeconds: 3600 },
        "2027-01-15T08:00:01Z",
        ["2027-01-15T09:00:00Z", "2027-01-15T10:00:00Z"],
      ],
      [
        "the next time, when it is started right at one",
        { everySeconds: 3600 },
        "2027-01-15T08:00:00Z",
        ["2027-01-15T09:00:00Z"],
      ],
      [
        "each 10 seconds",
        { everySeconds: 10 },
        "2027-01-15T08:00:09Z",
        ["2027-01-15T08:00:10Z", "2027-01-15T08:00:20Z"],
      ],
      [
        "each week, counted from 1970",
        { everySeconds: 604_800 },
        "2027-01-15T08:00:00Z",
        ["2027-01-21T00:00:00Z", "2027-01-28T00:00:00Z"],
      ],
      [
        "each day, later today",
        { dailyAt: "09:08" },
        "2027-01-15T08:00:00Z",
        ["2027-01-15T09:08:00Z", "2027-01-16T09:08:00Z"],
      ],
      [
        "each day, tomorrow where it has been today",
        { dailyAt: "03:15" },
        "2027-01-15T03:15:00Z",
        ["2027-01-16T03:15:00Z"],
      ],
      [
        "at midnight",
        { dailyAt: "00:00" },
        "2027-12-31T23:59:59Z",
        ["2028-01-01T00:00:00Z", "2028-01-02T00:00:00Z"],
      ],
    ];
    for (const [what, when, from, expected] of times) {
      it(`O6: ${what}`, async () => {
        // A clock that only goes on where somebody sleeps
        writeFileSync(path("clock"), String(Date.parse(from) / 1000));
        stand("date", "cat clock");
        stand("sleep", "echo $(($(cat clock) + $1)) > clock.new; mv clock.new clock");
        const { stop } = launch(job({ ...when, command: ["true"] }));
        await wait("it has noted its runs", () => lines("notes").length >= expected.length);
        await stop();
        const due = lines("notes")
          .slice(0, expected.length)
          .map((line) => new Date(1000 * Number(/\d+/.exec(line)?.[0])).toISOString());
        assert.deepEqual(
          due,
          expected.map((time) => new Date(time).toISOString()),
        );
      });
    }
  });

  it("O6: notes itself first, in one transaction that forgets runs of long ago", async () => {
    stand("psql", `printf '%s\\n' "$@" "$PGCONNECT_TIMEOUT" > asked; echo mine`);
    const { stop } = launch(job({ everySeconds: 1 }));
    await wait("it ran", () => existsSync(path("release/swept")));
    await stop();
    assert.match(
      read("asked").replace(/to_timestamp\(\d+\)/, "to_timestamp(DUE)"),
      /^--no-psqlrc\n--quiet\n--tuples-only\n--no-align\n--set=ON_ERROR_STOP=1\n--command=\n {4}DELETE FROM hastack\.job_run WHERE job = 'sweep' AND due < now\(\) - interval '30 days';\n {4}INSERT INTO hastack\.job_run \(job, due\) VALUES \('sweep', to_timestamp\(DUE\)\) ON CONFLICT DO NOTHING RETURNING 'mine'\n5\n$/,
    );
  });

  it("O6: runs in the release's folder, with its words as they are, and says how it ended", async () => {
    const words = ["sh", "-c", 'pwd > "$1"; exit 3', "sh", "what's this; $HOME"];
    const { said, stop } = launch(job({ everySeconds: 3, command: words }));
    await wait("it ran twice", () => said().split("exit code").length > 2);
    await stop();
    assert.equal(read("release/what's this; $HOME").trim(), path("release"));
    assert.match(
      said(),
      /job sweep, due \S+Z: started\njob sweep, due \S+Z: exit code 3 after \d s\n/,
    );
  });

  it("O6: does not run, and says nothing, where another instance was first", async () => {
    stand("psql", "echo asked >> notes");
    const { said, stop } = launch(job({ everySeconds: 3 }));
    await wait("it has asked twice", () => lines("notes").length >= 2);
    // The shell's own word where it is stopped just as it asks
    assert.equal(said().replace(/^Terminated\n/gm, ""), "");
    await stop();
    assert.ok(!existsSync(path("release/swept")));
  });

  it("O6: runs once the database answers again, if that is soon", async () => {
    stand("sleep", "exec /bin/sleep 0.1");
    stand("psql", "echo asked >> notes; [ $(wc -l < notes) -gt 2 ] || exit 2; echo mine");
    const { said, stop } = launch(job({ everySeconds: 4 }));
    await wait("it ran", () => existsSync(path("release/swept")));
    await stop();
    assert.doesNotMatch(said(), /skipped/);
  });

  it("O6: skips a run, and says so, where the database does not answer", async () => {
    stand("sleep", "exec /bin/sleep 0.1");
    stand("psql", "echo 'no route to host' >&2; exit 2");
    const { said, stop } = launch(job({ everySeconds: 2 }));
    const message = ": skipped, the database did not answer\n";
    await wait("it says so twice", () => said().split(message).length > 2);
    assert.match(said(), /^no route to host$/m);
    assert.ok(!existsSync(path("release/swept")));
    assert.equal((await stop()).code, 0);
  });

  it("O6: skips a run where the database says only at its end that this instance is first", async () => {
    stand("psql", "/bin/sleep 2; echo mine");
    const { said, stop } = launch(job({ everySeconds: 1 }));
    await wait("it says so", () => said().includes(": skipped"));
    assert.ok(!existsSync(path("release/swept")));
    await stop();
  });

  it("A15: ends at once while it waits for its time, and while the database does not answer", async () => {
    const waiting = launch(job({ everySeconds: 86_400 }));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const first = await waiting.stop();
    assert.equal(first.code, 0);
    assert.ok(first.seconds < 5, `${first.seconds} s`);
    stand("psql", "echo asked >> notes; exec /bin/sleep 20");
    const asking = launch(job({ everySeconds: 1 }));
    await wait("it asks", () => lines("notes").length > 0);
    const second = await asking.stop();
    assert.equal(second.code, 0);
    assert.ok(second.seconds < 5, `${second.seconds} s`);
  });

  /** Whether the program runs that wrote its number down. */
  const isAlive = () => {
    try {
      // One that has ended may still wait for its parent to take notice
      const stat = readFileSync(`/proc/${read("release/pid").trim()}/stat`, "utf8");
      return !/\) [ZX] /.test(stat);
    } catch {
      return false;
    }
  };

  it("A15: tells a run under way to end, and ends with it", async () => {
    const text = "trap 'echo told > told; exit' TERM; echo $$ > pid; while :; do sleep 0.1; done";
    const { stop } = launch(
      job({ everySeconds: 1, limitSeconds: 60, command: ["sh", "-c", text] }),
    );
    await wait("it runs", () => read("release/pid") !== "");
    const { code, seconds } = await stop();
    assert.equal(code, 0);
    assert.ok(seconds < 10, `${seconds} s`);
    assert.equal(read("release/told"), "told\n");
    assert.equal(isAlive(), false);
  });

  it("O6: ends a run that takes too long", async () => {
    const { said, stop } = launch(
      job({ everySeconds: 4, limitSeconds: 1, command: ["sh", "-c", "echo $$ > pid; sleep 60"] }),
    );
    await wait("it is ended", () => said().includes("exit code 124"));
    assert.equal(isAlive(), false);
    await stop();
  });

  it("O6, A15: kills a run that does not end when it is told to", async () => {
    const text = "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done";
    const { stop } = launch(
      job({ everySeconds: 1, limitSeconds: 60, command: ["sh", "-c", text] }),
    );
    await wait("it runs", () => read("release/pid") !== "");
    const { code, seconds } = await stop();
    assert.equal(code, 0);
    assert.ok(seconds > 4 && seconds < 20, `${seconds} s`);
    // `timeout` kills itself along with it
    await wait("it is gone", () => !isAlive());
  });

  describe("in shellcheck", () => {
    let linter: Container;
    before(async function () {
      this.timeout(900_000);
      const image = await imageFor({ component: "Shellcheck", packages: ["shellcheck"] });
      linter = await start(image, "job");
    });
    after(() => linter?.remove());

    it("O6: has nothing that it complains of", async () => {
      for (const one of [job({ everySeconds: 60 }), job({ dailyAt: "03:15", command: ["a b"] })]) {
        const { stdout } = await linter.attempt(
          "cat > /tmp/job; shellcheck --shell=sh --exclude=SC2016,SC2317,SC2329 /tmp/job",
          renderJob(one),
        );
        assert.equal(stdout, "");
      }
    });
  });
});
