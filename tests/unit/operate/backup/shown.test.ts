import assert from "node:assert/strict";
import { readRoom } from "../../../../operate/backup/data.ts";
import { textOfDifferences } from "../../../../operate/backup/differences.ts";
import { listedOf, textOfList } from "../../../../operate/backup/list.ts";
import { wholeCluster } from "../../../../operate/backup/restore.ts";
import { readState, stateNames } from "../../../../operate/backup/shapes.ts";

describe("what the backup member says", () => {
  const backups = {
    at: "2026-11-28T01:00:00Z",
    lineage: 2,
    backups: [
      {
        lineage: 1,
        label: "20261127-023000F",
        type: "full",
        start: "2026-11-27T02:30:00Z",
        stop: "2026-11-27T02:30:42Z",
        bytes: 48_000_000,
        repositories: { local: 6_000_000, s3: 6_000_001 },
      },
    ],
    ranges: [
      { lineage: 1, from: "2026-11-27T02:30:42Z", to: "2026-11-27T13:00:00Z", repository: "s3" },
    ],
    gaps: [
      {
        lineage: 1,
        from: "2026-11-27T13:00:00Z",
        to: "2026-11-27T14:00:00Z",
        why: "the spool was full",
      },
    ],
    due: { full: "2026-12-04T02:30:00Z", differential: "2026-11-28T02:30:00Z" },
    why: null,
  };

  it("O3: is listed: backups, ranges by lineage and repository, gaps", () => {
    const text = textOfList(listedOf("dev", readState("backups", JSON.stringify(backups))));
    assert.match(
      text,
      /20261127-023000F +full +2026-11-27 02:30:00 +42 s +46 MiB +local 5.7 MiB, s3 5.7 MiB/,
    );
    assert.match(text, / 1 +s3 +2026-11-27 02:30:42 +2026-11-27 13:00:00/);
    assert.match(
      text,
      /1 gap: .*\n.*\n.* 2026-11-27 13:00:00 +2026-11-27 14:00:00 +the spool was full/,
    );
    assert.match(textOfList(listedOf("dev")), /^no backup yet/);
    const waits = readState("receive", JSON.stringify({ why: "s3: it does not answer" }));
    assert.match(
      textOfList(listedOf("dev", undefined, waits)),
      /^no backup yet: .*: s3: it does not answer$/m,
    );
  });

  it("O3: that cannot be read hides nothing else, whatever it is", () => {
    const broken = { toString: 1 };
    const lie = {
      ...backups,
      backups: [null, broken, ...backups.backups, { lineage: "x" }],
      gaps: 5,
      due: [],
      why: broken,
    };
    const read = readState("backups", JSON.stringify(lie));
    assert.equal(read?.backups.length, 1);
    assert.deepEqual(read?.gaps, []);
    for (const name of stateNames)
      for (const text of [
        "",
        "null",
        "5",
        "[]",
        '{"at":5,"checks":[5],"tables":{},"repositories":[null]}',
      ])
        readState(name, text);
    const shown = textOfList(
      listedOf("dev", readState("backups", JSON.stringify({ ...backups, why: "\u001b[2J" }))),
    );
    assert.ok(!shown.includes("\u001b"));
  });

  it("O3: of a restored database is shown as rows by table, newest rows and files", () => {
    const restored = readState(
      "restored",
      JSON.stringify({
        to: "2026-11-27T13:03:04Z",
        reached: "2026-11-27T13:03:03.5Z",
        phase: "beside",
        seconds: 12,
        tables: [
          {
            table: "public.bookings",
            live: 10,
            restored: 123,
            newestLive: "a",
            newestRestored: "b",
          },
          { table: "public.users", live: 3, restored: 3, newestLive: null, newestRestored: null },
        ],
        files: { named: 7, missing: 2, inTrash: 1, inBackup: 1, nowhere: [] },
      }),
    );
    assert.ok(restored);
    const text = textOfDifferences(restored);
    assert.match(text, /public.bookings +10 +123 +\+113 +a +b/);
    assert.match(
      text,
      /name 7, of which 2 are not there now: 1 are in the trash, 1 in the backups/,
    );
    assert.doesNotMatch(text, /not all could be compared/);
    const why = "the live database could not be asked: it is away";
    assert.match(
      textOfDifferences({ ...restored, why }),
      new RegExp(`^not all could be compared: ${why}$`, "m"),
    );
  });

  it("O3: room is what is free and what goes; former data of another restore is seen", () => {
    assert.deepEqual(readRoom("free 100\ngoes 20\n"), { free: 120, former: false });
    assert.equal(readRoom("free 1\nformer\n").former, true);
    assert.throws(() => readRoom("goes 5"), /cannot be told/);
  });

  it("O3: nothing is taken the place of while failover is paused, or a standby does not follow", () => {
    const all = [{ name: "db-1" }, { name: "db-2" }];
    const [leader, standby] = [
      { name: "db-1", role: "leader", state: "running" },
      { name: "db-2", role: "sync_standby", state: "streaming" },
    ];
    assert.equal(wholeCluster({ members: [leader, standby] }, all), "db-1");
    assert.equal(wholeCluster({ members: [leader] }, [{ name: "db-1" }]), "db-1");
    assert.throws(() => wholeCluster({ members: [leader, standby], pause: true }, all), /paused/);
    assert.throws(() => wholeCluster({ members: [leader] }, all), /db-2 does not follow/);
    assert.throws(() => wholeCluster({ members: [standby] }, all), /no primary/);
  });
});
