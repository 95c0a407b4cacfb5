/** What is reckoned without a database: positions, timelines, ranges, and when backups are due. */
import assert from "node:assert/strict";
import { inRoot } from "../../../../../lib/paths.ts";
import { run } from "../../../../../lib/run.ts";

/** What an expression of Python is worth, with the backup machine's modules at hand. */
async function worth(expression: string): Promise<unknown> {
  const text = `import datetime, json, sys
sys.path.insert(0, "infra/render/backup")
sys.dont_write_bytecode = True
import choice, common, files, identity, ranges, schedule, segments
day = lambda text: datetime.datetime.fromisoformat(text)
def refusal(act):
  try:
    return act()
  except common.Failed as failure:
    return str(failure)
print(json.dumps(${expression}, default=lambda one: one.isoformat()))`;
  const { code, stdout, stderr } = await run(["python3", "-c", text], { cwd: inRoot(".") });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const segment = 0x1000000;
const present = (...found: readonly (readonly [number, number])[]) =>
  `{${found.map(([timeline, number]) => `(${timeline}, ${number})`)}}`;
/** Timeline 2 left timeline 1 in the middle of segment 5. */
const branches = `{1: [], 2: [[1, "0/5800000"]]}`;
const backup = (segment: number, stop: string, timeline = 1) =>
  `{"startLsn": "0/${segment}000028", "stopLsn": "0/${segment}0000F0", "timeline": ${timeline}, "stop": day("${stop}+00:00"), "label": "one"}`;
const tick = (lsn: string, at: string, timeline: number) =>
  `{"lsn": "${lsn}", "at": "${at}.000Z", "timeline": ${timeline}}`;

describe("what can be restored", () => {
  const walk = (found: string, last = "None") =>
    worth(`ranges.walk(2 * segments.SIZE, ranges.path_of(${branches}), ${found}, ${last})`);

  it("reaches over a failover to the last whole segment", async () => {
    const all = present([1, 2], [1, 3], [1, 4], [2, 5], [2, 6]);
    assert.deepEqual(await walk(all), [7 * segment, "000000020000000000000007"]);
  });

  it("and into the one that is being received", async () => {
    const all = present([1, 2], [1, 3], [1, 4], [2, 5]);
    assert.deepEqual(await walk(all, `(2, ${6 * segment + 800})`), [
      6 * segment + 800,
      "000000020000000000000006",
    ]);
  });

  it("ends before a segment that is missing, whatever comes after it", async () => {
    const all = present([1, 2], [1, 4], [2, 5]);
    assert.deepEqual(await walk(all), [3 * segment, "000000010000000000000003"]);
  });

  it("ends where a timeline was left whose successor's segment is missing", async () => {
    const all = present([1, 2], [1, 3], [1, 4], [1, 5], [1, 6], [2, 6]);
    assert.deepEqual(await walk(all), [5.5 * segment, "000000020000000000000005"]);
  });

  it("begins anew with a backup after a gap, and the gap is told with times", async () => {
    const backups = `[${backup(2, "2026-01-01T00:00:00")}, ${backup(6, "2026-01-02T00:00:00", 2)}]`;
    const seen = `[${tick("0/2F00000", "2026-01-01T01:00:00", 1)}, ${tick("0/3F00000", "2026-01-01T02:00:00", 1)}, ${tick("0/6F00000", "2026-01-02T01:00:00", 2)}]`;
    const found = `ranges.compute(1, ${backups}, ${branches}, ${present([1, 2], [2, 5], [2, 6])}, None, ${seen})`;
    const [spans, gaps] = (await worth(found)) as [object[], { why: string }[]];
    assert.deepEqual(spans, [
      { lineage: 1, from: "2026-01-01T00:00:00.000Z", to: "2026-01-01T01:00:00.000Z" },
      { lineage: 1, from: "2026-01-02T00:00:00.000Z", to: "2026-01-02T01:00:00.000Z" },
    ]);
    assert.equal(gaps.length, 1);
    assert.match(gaps[0]?.why ?? "", /000000010000000000000003 is missing/);
  });
});

describe("a backup that lacks WAL of its own", () => {
  it("is no range, and is told as a gap", async () => {
    const one = `[${backup(2, "2026-01-01T00:00:00")}]`;
    const found = `ranges.compute(1, ${one}, ${branches}, ${present([1, 3], [1, 4])}, None, [])`;
    const [spans, gaps] = (await worth(found)) as [object[], { to: null; why: string }[]];
    assert.deepEqual(spans, []);
    assert.equal(gaps.length, 1);
    assert.match(
      gaps[0]?.why ?? "",
      /000000010000000000000002 is missing, which the backup one needs/,
    );
  });
});

describe("a backup is due", function () {
  // Each look is a Python of its own
  this.timeout(60_000);

  const settings = `{"fullEveryDays": 7, "differentialEveryHours": 24, "backupAt": "02:30"}`;
  const due = (fulls: readonly string[], now: string, diffs: readonly string[] = []) => {
    const all = [...fulls.map((one) => ["full", one]), ...diffs.map((one) => ["diff", one])];
    const list = all.map(([type, one]) => `{"type": "${type}", "start": day("${one}+00:00")}`);
    return worth(`schedule.kind_due([${list}], ${settings}, day("${now}+00:00"))`);
  };

  it("at once where there is none, or the last is overdue", async () => {
    assert.equal(await due([], "2026-01-01T12:00:00"), "full");
    assert.equal(await due(["2026-01-01T02:30:00"], "2026-01-20T12:00:00"), "full");
    assert.equal(await due(["2026-01-01T02:30:00"], "2026-01-03T12:00:00"), "diff");
  });

  it("else at its time of the day", async () => {
    assert.equal(await due(["2026-01-01T02:30:09"], "2026-01-02T02:29:00"), null);
    assert.equal(await due(["2026-01-01T02:30:09"], "2026-01-02T02:30:00"), "diff");
    const days = [2, 3, 4, 5, 6, 7].map((day) => `2026-01-0${day}T02:30:09`);
    assert.equal(await due(["2026-01-01T02:30:09"], "2026-01-08T02:29:00", days), null);
    assert.equal(await due(["2026-01-01T02:30:09"], "2026-01-08T02:30:00", days), "full");
  });

  it("a day later at the latest after the clock was put back", async () => {
    assert.equal(await due(["2030-01-01T02:30:00"], "2026-01-01T12:00:00"), null);
    assert.equal(
      await worth(
        `schedule.due(day("2030-01-01T00:00:00+00:00"), schedule.DAY, "02:30", day("2026-01-01T12:00:00+00:00"))`,
      ),
      "2026-01-02T02:30:00+00:00",
    );
  });
});

describe("the newest moment", () => {
  const range = (lineage: number, to: string) =>
    `{"lineage": ${lineage}, "from": day("2026-01-01T00:00:00+00:00"), "to": day("${to}+00:00")}`;
  const ranges = `[${range(1, "2026-01-02T00:00:00")}, ${range(2, "2026-01-03T00:00:00")}]`;
  const newest = (record: string, among = ranges) =>
    worth(
      `(setattr(identity, "record", lambda: ${record}), refusal(lambda: choice.newest(${among})))[1]`,
    );

  it("is that of the history which serves, where that was restored or is the only one", async () => {
    assert.equal(
      await newest(`{"lineage": 2, "by": "asked", "at": "x"}`),
      "2026-01-03T00:00:00+00:00",
    );
    const only = `[${range(1, "2026-01-02T00:00:00")}]`;
    assert.equal(
      await newest(`{"lineage": 1, "by": "first", "at": "x"}`, only),
      "2026-01-02T00:00:00+00:00",
    );
  });

  for (const by of ["first", "seen"])
    it(`is not guessed where the database began anew (${by}): the one before it is named`, async () => {
      assert.equal(
        await newest(`{"lineage": 2, "by": "${by}", "at": "2026-01-02T12:00:00.000Z"}`),
        "the database began anew at 2026-01-02T12:00:00.000Z, and `newest` could be of before or of after that: say --to 2026-01-02T00:00:00.000Z, which is the newest before it; the newest since then is 2026-01-03T00:00:00.000Z",
      );
    });
});

describe("copies of files", () => {
  const copy = (id: string, time: string, files: number) =>
    `{"id": "${id}", "time": "${time}.123456789Z", "summary": {"total_files_processed": ${files}}}`;
  const unneeded = (...copies: readonly string[]) =>
    worth(`files.unneeded([${copies}], 14, day("2026-01-20T12:00:00+00:00"))`);
  const newer = ["11:59", "11:58", "11:57", "11:56", "11:55"].map((time, index) =>
    copy(`n${index}`, `2026-01-20T${time}:00`, 9),
  );

  it("thin out to the newest of each hour, then of each day, and end with the retention", async () => {
    const gone = await unneeded(
      ...newer,
      copy("hour", "2026-01-20T10:50:00", 9),
      copy("in the hour", "2026-01-20T10:10:00", 9),
      copy("day", "2026-01-10T23:00:00", 8),
      copy("in the day", "2026-01-10T13:00:00", 8),
      copy("too old", "2026-01-05T11:00:00", 8),
    );
    assert.deepEqual(gone, ["in the hour", "in the day", "too old"]);
  });

  it("keep the last one before the directory was lost, for as long as all others", async () => {
    assert.deepEqual(
      await unneeded(
        ...newer,
        copy("empty", "2026-01-20T10:50:00", 0),
        copy("whole", "2026-01-20T10:10:00", 9),
        copy("before", "2026-01-20T10:05:00", 9),
      ),
      ["before"],
    );
    assert.deepEqual(
      await unneeded(
        ...newer,
        copy("empty", "2026-01-10T10:50:00", 0),
        copy("whole", "2026-01-10T10:10:00", 9),
        copy("before", "2026-01-10T10:05:00", 8),
      ),
      ["before"],
    );
  });
});
