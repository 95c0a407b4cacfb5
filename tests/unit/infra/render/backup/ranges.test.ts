/** What is reckoned without a database: positions, timelines, ranges, and when backups are due. */
import assert from "node:assert/strict";
import { inRoot } from "../../../../../lib/paths.ts";
import { run } from "../../../../../lib/run.ts";

/** What an expression of Python is worth, with the backup machine's modules at hand. */
async function worth(expression: string, before = ""): Promise<unknown> {
  const text = `import datetime, json, sys
sys.path.insert(0, "infra/render/backup")
sys.dont_write_bytecode = True
import backups, choice, common, files, identity, ranges, schedule, segments
day = lambda text: datetime.datetime.fromisoformat(text)
def refusal(act):
  try:
    return act()
  except common.Failed as failure:
    return str(failure)
${before}
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

describe("O3: histories of the database", () => {
  it("no drill is made to a record that a failover has cut off", async () => {
    const records = [
      [1, "0/5000000"],
      [1, "0/5900000"],
      [2, "0/5900000"],
    ].map(([timeline, lsn]) => ({ lineage: 1, timeline, lsn, time: "2026-01-02T00:00:00Z" }));
    const before = `import drill
drill.witness.records = lambda: json.loads('${JSON.stringify(records)}')
drill.lineages.branches = lambda number: ${branches}`;
    const known = await worth(`drill.known_since(1, day("2026-01-01T00:00:00+00:00"))`, before);
    assert.deepEqual(known, [records[0], records[2]]);
  });

  it("a restored one never counts as the former's own, and is noted once", async () => {
    const before = `import identity, lineage
kept = {"lineage": 1, "system": "7", "timeline": 1, "branch": []}
identity.record = lambda: kept
lineage.write_json = lambda path, value: globals().update(kept=value)
lineage.place = lambda *names: "/".join(names)
who = lambda timeline, *branch: identity.stranger({"system": "7", "timeline": timeline, "branch": list(branch)}, kept)
restored, after = (2, [1, "0/5800000"]), (3, [1, "0/5800000"], [2, "0/6000000"])
other = (2, [1, "0/7000000"])
told = [who(*restored)]
lineage.note_promoted(2, [[1, "0/5800000"]])
lineage.note_promoted(2, [[1, "0/5800000"]])
told += [who(*restored), who(*after), who(*other), who(1), len(kept["promoted"])]`;
    const has = "the primary has what was restored";
    assert.deepEqual(await worth("told", before), [null, has, has, null, null, 1]);
  });

  it("is another one where a timeline of the same number came to be in another way", async () => {
    const before = `identity.branches = lambda number: {1: [], 2: [[1, "0/5800000"]]}
kept = {"lineage": 1, "system": "7", "timeline": 1, "branch": []}
who = lambda timeline, *branch: identity.stranger({"system": "7", "timeline": timeline, "branch": list(branch)}, kept)`;
    assert.deepEqual(
      await worth(
        `[who(2, [1, "0/5800000"]), who(2, [1, "0/4000000"]), who(3, [1, "0/1"])]`,
        before,
      ),
      [null, "the primary's timeline came to be in another way", null],
    );
  });

  it("is restored from a backup that no failover has cut off", async () => {
    const backups = `[${backup(3, "2026-01-01T00:00:00")}, ${backup(6, "2026-01-02T00:00:00")}, ${backup(6, "2026-01-03T00:00:00", 2)}]`;
    const before = `identity.branches = lambda number: ${branches}
choice.pgbackrest.info = lambda number: {"backups": ${backups}}`;
    assert.deepEqual(await worth(`[one["stop"] for one in choice.usable(1)]`, before), [
      "2026-01-01T00:00:00+00:00",
      "2026-01-03T00:00:00+00:00",
    ]);
  });
});

describe("times of the database's log", () => {
  it("are read although a full disk or a loss of power has torn some, and go on after them", async () => {
    const before = `import tempfile, ticks
folder = tempfile.mkdtemp()
ticks.path_of = ticks.recent_path = lambda number: f"{folder}/{number}"
ticks.recent_ticks = lambda number: []
ticks.write_json = lambda *_: None
tick = lambda at: {"at": at, "timeline": 1, "lsn": "0/1000000"}
ticks.add(1, tick("2026-01-01T00:00:00.000Z"))
with open(f"{folder}/1", "a") as file:
    file.write("2")
ticks.add(1, tick("2026-01-01T00:00:10.000Z"))
with open(f"{folder}/1", "a") as file:
    file.write("2026-01-01T00:00:20.000Z 1 0/10")
read = lambda: [one["at"][17:19] for one in ticks.all_ticks(1)]
told = [read()]
ticks.add(1, tick("2026-01-01T00:00:30.000Z"))
told.append(read())`;
    assert.deepEqual(await worth("told", before), [
      ["00", "10"],
      ["00", "10", "30"],
    ]);
  });

  it("are stored whole for the newest minutes, thinned before, and for all days that may be missing", async () => {
    const before = `import tick_store, ticks
known = [{"at": f"2026-01-0{2 + hour // 24}T{hour % 24:02}:{minute:02}:{second:02}.000Z", "timeline": 1, "lsn": "0/1"}
    for hour in range(23, 25) for minute in range(60) for second in range(0, 60, 10)]
ticks.all_ticks = lambda number: known
tick_store.lineages.branches = lambda number: {1: []}
stored = {}
tick_store.pgbackrest.put = lambda repository, path, text: stored.update({path.split("/")[-1]: text.splitlines()})
def share(last):
    stored.clear()
    return [tick_store.share("s3", 1, last), sorted(stored), len(stored.get("2026-01-03", []))]`;
    const [first, later] = (await worth(
      `[share("2026-01-02"), share("2026-01-03")]`,
      before,
    )) as unknown[];
    // 60 minutes: the last 15 of them whole
    assert.deepEqual(first, ["2026-01-03", ["2026-01-02", "2026-01-03", "branches"], 45 + 90]);
    assert.deepEqual(later, ["2026-01-03", ["2026-01-03", "branches"], 45 + 90]);
  });
});

describe("what is done every so often", () => {
  it("is done although the clock was ahead", async () => {
    const passed = (since: string) =>
      worth(
        `files.passed("${since}", 3600)`,
        `files.now = lambda: day("2026-01-01T12:00:00+00:00")`,
      );
    assert.equal(await passed("2026-01-01T11:30:00.000Z"), false);
    assert.equal(await passed("2026-01-01T10:30:00.000Z"), true);
    assert.equal(await passed("2027-01-01T00:00:00.000Z"), true);
  });
});

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
      await newest(`{"lineage": 1, "by": "first", "at": "2026-01-01T00:00:00.000Z"}`, only),
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

describe("what is of before a loss of everything", () => {
  const spares = (by: string, at: string) =>
    worth(
      `(setattr(identity, "record", lambda: {"lineage": 2, "by": "${by}", "at": "${at}"}), setattr(backups, "now", lambda: day("2026-03-20T12:00:00+00:00")), setattr(common, "settings", lambda: {"retentionDays": 14}), backups.spares_former())[3]`,
    );

  it("stays for as long as backups are kept once more, however long ago it was", async () => {
    assert.equal(await spares("first", "2026-03-07T12:00:00.000Z"), true);
    assert.equal(await spares("seen", "2026-03-07T12:00:00.000Z"), true);
    assert.equal(await spares("first", "2026-03-06T11:00:00.000Z"), false);
  });

  it("goes with time where it was restored", async () => {
    assert.equal(await spares("asked", "2026-03-19T12:00:00.000Z"), false);
  });
});

describe("copies of files", () => {
  const copy = (id: string, time: string, files: number) =>
    `{"id": "${id}", "time": "${time}.123456789Z", "summary": {"total_files_processed": ${files}}}`;
  const unneededSince = (anewSince: string, ...copies: readonly string[]) =>
    worth(`files.unneeded([${copies}], 15, day("2026-01-20T12:00:00+00:00"), ${anewSince})`);
  const unneeded = (...copies: readonly string[]) => unneededSince("None", ...copies);
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

  it("of before a loss of everything all stay, for as long as others do once more", async () => {
    const before = [
      copy("before", "2025-11-02T10:10:00", 9),
      copy("before that", "2025-11-02T10:05:00", 9),
    ];
    const since = (at: string) => unneededSince(`day("${at}+00:00")`, ...newer, ...before);
    assert.deepEqual(await since("2026-01-06T12:00:00"), []);
    assert.deepEqual(await since("2026-01-05T11:00:00"), ["before", "before that"]);
  });
});
