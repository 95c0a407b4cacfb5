/** Another application than the one that is shipped: the example in Python, described by itself. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../lib/until.ts";
import { assertNoneFailed, assertWithin, show, timed, underLoad } from "../../support/measure.ts";
import {
  inside,
  primaries,
  primary,
  promisedWithout,
  sql,
  startMember,
} from "../../support/members.ts";
import {
  jobRuns,
  jobsUnderWay,
  missingNotes,
  notes,
  notesHealed,
  noteVisits,
  pictureOf,
  postNote,
  servedReleases,
  servingNotes,
} from "../../support/notes.ts";
import { instancesOf } from "../../support/place.ts";
import { mostSeconds, promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import type { Report } from "../../support/traffic.ts";

/** What every stack is made of, whatever it serves. */
const components = [
  "AppServers",
  "DatabasePair",
  "DatabaseSettings",
  "LoadBalancer",
  "Migrations",
  "Quorum",
  "SharedStorage",
  "WebStack",
];

const template = `${notes.path}/templates/notes.html`;
const program = `${notes.path}/notes.py`;
const description = `${notes.path}/hastack.yaml`;
/** What the stack gives each instance, in place of what the description says. */
const memoryMegabytes = 400;
/** How often a job is due that a test waits for. */
const dueSeconds = 10;
/** Long enough that everything that follows from a lost member has happened. */
const awaySeconds = 5;

/** @param stack one that serves the example, and is not there yet */
export function otherApplicationSuite(stack: TestStack): void {
  const [first = "", second = ""] = instancesOf(notes);

  /** Runs something while the page is read and notes are added. */
  const load = (act: () => Promise<unknown>) => underLoad(stack, act, 3, noteVisits);

  /** Every acknowledged note is there once, with its picture. */
  const nothingLost = async ({ acknowledged }: Report) =>
    assert.deepEqual(await missingNotes(stack, acknowledged), [], "acknowledged notes");

  const nothingFailed = (report: Report) => {
    assertNoneFailed(report);
    assert.ok(report.reads.good > 0 && report.writes.good > 0, "there was load");
  };

  describe("another application", () => {
    it("O6, W1: comes up by the same components", async () => {
      stack.configure({ "hastack:tiers": { web: { memoryMegabytes } } });
      await timed("up, with the example", () => stack.mustUp());
      const types = new Set(
        [...stack.storedState().matchAll(/"hastack:index:(\w+)"/g)].map(([, type]) => type),
      );
      for (const component of components) assert.ok(types.has(component), component);
      assert.deepEqual(await servingNotes(stack), [first, second]);
      assert.equal((await servedReleases(stack)).length, 1);
    });

    it("O6, W3: a second up changes nothing", async () => {
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });

    it("O6: a note and its picture are shown by every instance, at every address", async () => {
      const quote = "the very first";
      const { id, image } = await noteVisits.write(stack, quote, "first-note");
      for (const door of stack.doors) {
        // The standby may be a moment behind
        await until(`the note is shown at ${door.url}`, {
          probe: () => missingNotes(door, [{ id, quote, image }]),
          done: (problems) => problems.length === 0,
          limitSeconds: 5,
        });
      }
    });

    it("O6: its pages show the instance and the setting of the stack", async () => {
      const { body, servedBy } = await stack.request("");
      assert.match(body, new RegExp(`served by ${servedBy}<`));
      assert.match(body, /<title>Notes<\/title>/);
    });

    it("O6, L6: its limit of a body is the load balancer's", async () => {
      const picture = Buffer.concat([Buffer.from("GIF89a"), Buffer.alloc(7 * 1024 * 1024)]);
      // The load balancer answers before all was sent, so the answer may be missed
      const told = await postNote(stack, "too large", { picture }).then(
        ({ status }) => String(status),
        (error: NodeJS.ErrnoException) => error.code ?? error.message,
      );
      assert.match(told, /^(413|EPIPE|ECONNRESET)$/);
      const count = "SELECT count(*) FROM note WHERE title = 'too large';";
      assert.equal(await sql(stack, await primary(stack), count), "0");
    });

    it("O6: its tier's database role may do what the migration grants, and no more", async () => {
      const ask = `SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles
                     WHERE rolname = 'app_web';
                   SELECT tableowner FROM pg_tables WHERE tablename = 'note';`;
      assert.equal(await sql(stack, await primary(stack), ask), "t|f|f|f\nmigrator");
    });

    it("O6: a process has the memory that its tier says, where it says so", async () => {
      for (const instance of [first, second]) {
        assert.equal(await stack.place.memoryLimit(instance), memoryMegabytes);
      }
      assert.equal(await stack.place.memoryLimit("db-1"), undefined);
    });

    it("O6: a job runs once per due time over all instances, also while one hangs", async () => {
      const [used = "", orphan, young] = [await pictureOf(stack), "no-note.png", "young.png"];
      const folder = "/var/lib/hastack/uploads";
      const files = async () => (await inside(stack, second, `ls -A ${folder}`)).split("\n");
      await inside(
        stack,
        first,
        `cd ${folder}; touch ${orphan} ${young}; touch -d '2 hours ago' ${orphan} ${used}`,
      );
      const [release] = await servedReleases(stack);
      // Under another name: it is a new job, and the one before is no more
      stack.edit(description, (text) =>
        text
          .replace("name: sweep,", "name: often,")
          .replace("everySeconds: 3600", `everySeconds: ${dueSeconds}`),
      );
      await stack.mustUp();
      assert.deepEqual(await servedReleases(stack), [release], "the release is the same");
      for (const instance of [first, second]) {
        assert.deepEqual(await jobsUnderWay(stack, instance), ["often"], instance);
      }

      const begin = await afterDueTime();
      await sleep(3 * dueSeconds * 1000);
      await stack.place.hang(first);
      await sleep(3 * dueSeconds * 1000);
      const end = Date.now();
      await stack.place.goOn(first);
      await notesHealed(stack);
      const due = dueTimes(begin, end);
      assert.equal(due.length, 6);

      const noted = await sql(
        stack,
        await primary(stack),
        `SELECT extract(epoch FROM due)::bigint FROM hastack.job_run WHERE job = 'often'
           AND due > to_timestamp(${begin / 1000}) AND due <= to_timestamp(${end / 1000})
           ORDER BY due;`,
      );
      assert.deepEqual(noted.split("\n").map(Number), due, "in the database");
      const runs = await Promise.all([first, second].map((one) => jobRuns(stack, one, "often")));
      const all = runs.flat().filter((run) => due.includes(run.due));
      all.sort((a, b) => a.due - b.due);
      assert.deepEqual(
        all,
        due.map((time) => ({ due: time, code: 0 })),
        "in the logs",
      );
      const hung = dueTimes(begin + 3 * dueSeconds * 1000, end);
      const seconds = runs[1]?.map((run) => run.due) ?? [];
      assert.ok(hung.every((time) => seconds.includes(time)));

      const left = await files();
      assert.ok(!left.includes(orphan), "the picture of no note is gone");
      for (const name of [used, young]) assert.ok(left.includes(name), name);
      await inside(stack, first, `rm ${folder}/${young}`);

      stack.restore(description);
      await stack.mustUp();
      for (const instance of [first, second]) {
        assert.deepEqual(await jobsUnderWay(stack, instance), ["sweep"], instance);
      }
    });

    it("O6, D4: the machine of the primary is lost, and no acknowledged note is", async () => {
      const member = await primary(stack);
      const promised = await promisedWithout(stack, member);
      const report = await load(async () => {
        await stack.place.lose(member);
        await until("the standby is promoted", {
          probe: () => primaries(stack),
          done: (found) => found.length === 1 && found[0] !== member,
          limitSeconds: mostSeconds(promises.primaryMachineLost, "writes"),
        });
        await sleep(awaySeconds * 1000);
        await startMember(stack, member);
      });
      show(`example: lost ${stack.place.sharing(member).join(", ")}`, report, promised);
      await notesHealed(stack);
      await nothingLost(report);
      assertWithin(report, promised);
    });

    it("O6, A15: a new release goes through one instance at a time, and no request fails", async () => {
      const before = await servedReleases(stack);
      stack.edit(template, (text) => `${text}<!-- another release -->\n`);
      const report = await load(() => timed("a release of the example", () => stack.mustUp()));
      show("example: new release", report, promises.release);
      nothingFailed(report);
      await nothingLost(report);
      const after = await servedReleases(stack);
      assert.equal(after.length, 1);
      assert.notDeepEqual(after, before);
      assert.match((await stack.request("")).body, /another release/);
    });

    it("O6: a release that does not get healthy goes back; the next up mends all", async () => {
      const [good] = await servedReleases(stack);
      stack.edit(program, (text) => `raise SystemExit("broken on purpose")\n${text}`);
      const report = await load(async () => {
        const { code, stdout } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(stdout, new RegExp(`${first} must be healthy`));
        assert.match(stdout, /broken on purpose/, "the last log lines are in the error");
      });
      show("example: broken release", report, promises.release);
      nothingFailed(report);
      await nothingLost(report);
      assert.deepEqual(await servingNotes(stack), stack.place.servingAfterBadRelease);
      assert.deepEqual(await servedReleases(stack), [good]);
      for (const instance of stack.place.servingAfterBadRelease) {
        assert.equal(await stack.place.releaseOf(instance), good, instance);
      }

      stack.restore(program);
      await stack.mustUp();
      await notesHealed(stack);
      assert.deepEqual(await servedReleases(stack), [good]);
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });
  });
}

/** Waits until all that was due is done, and the next is seconds away. @returns the time then */
async function afterDueTime(): Promise<number> {
  const period = dueSeconds * 1000;
  await sleep((1.4 * period - (Date.now() % period)) % period);
  return Date.now();
}

/** Due times between two points in time, in seconds. */
function dueTimes(begin: number, end: number): number[] {
  const firstOne = Math.floor(begin / 1000 / dueSeconds) + 1;
  const lastOne = Math.floor(end / 1000 / dueSeconds);
  return Array.from(
    { length: lastOne - firstOne + 1 },
    (_, index) => (firstOne + index) * dueSeconds,
  );
}
