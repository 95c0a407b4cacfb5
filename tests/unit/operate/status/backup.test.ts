import assert from "node:assert/strict";
import { backup } from "../../../../operate/status/backup.ts";
import { textOf } from "../../../../operate/status/report.ts";
import { judge } from "../../../../operate/status/status.ts";
import { planWith } from "../../../support/unit/fixtures.ts";

const now = Date.parse("2026-11-28T12:00:00Z");
const past = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const [hour, day] = [3600, 86_400];

/** All is well. */
const good = {
  receive: {
    at: past(3),
    connected: true,
    since: past(day),
    receivedUpTo: past(10),
    spoolBytes: 0,
    spoolLimitBytes: 1 << 30,
    repositories: { local: { pushed: "x", at: past(20), why: null } },
  },
  backups: {
    at: past(60),
    lineage: 2,
    backups: [
      {
        lineage: 2,
        label: "20261128-023000F",
        type: "full",
        start: past(10 * hour),
        stop: past(9 * hour),
        bytes: 1,
        repositories: {},
      },
    ],
    ranges: [{ lineage: 2, from: past(9 * hour), to: past(10) }],
    gaps: [],
    due: { full: past(-day), differential: past(-hour) },
    why: null,
  },
  files: { at: past(60), repositories: { local: { at: past(60), why: null } } },
  drill: { ended: past(hour), outcome: "passed", checks: [], due: past(-day) },
};
type State = keyof typeof good | "restored" | "running";

/** What is made of what the member says, of which some is another. @param changes none: as if it were not there */
function judged(changes: Partial<Record<State, unknown>> = {}, shared: readonly string[] = ["up"]) {
  const said: Partial<Record<State, unknown>> = { ...good, ...changes };
  const stack = {
    application: { shared },
    settings: {
      backup: { archiveTimeoutSeconds: 60, filesEverySeconds: 900, drillEveryDays: 7 },
    },
  } as unknown as Parameters<typeof backup.judge>[0];
  const found = backup.judge(stack, [
    {
      member: { name: "backup-1", role: "backup", machine: "m", backend: "10.2.0.30" },
      reached: true,
      answer(question) {
        if (question === "now") return { code: 0, text: `${now / 1000}\n` };
        const one = said[question.replace("state-", "") as State];
        if (one === undefined) return { code: 1, text: "" };
        return { code: 0, text: typeof one === "string" ? one : JSON.stringify(one) };
      },
    },
  ]);
  const findings = found.members.get("backup-1")?.findings ?? [];
  for (const { state, fix } of findings) {
    assert.equal(state, "degraded");
    assert.ok(fix);
  }
  return { is: found.is, whats: findings.map(({ what }) => what) };
}

const { receive, backups, files, drill } = good;
const repository = (of: object, why: string) => ({
  ...of,
  repositories: { local: { at: past(hour), why } },
});

describe("O1, O3: status of the backups", () => {
  it("is well, and says what can be restored", () => {
    assert.deepEqual(judged().whats, []);
    assert.match(
      judged().is,
      /^2026-11-28 03:00 to 10 s ago, backup 9 h.* ago, files .* ago, drill passed .* ago$/,
    );
  });

  const bad: readonly [State, unknown, RegExp][] = [
    ["receive", undefined, /^no log of the database has been received$/],
    ["receive", { ...receive, at: past(hour) }, /^it has not said for 1 h.* what it receives$/],
    ["receive", { ...receive, at: undefined }, /^it has not said for /],
    [
      "receive",
      { ...receive, connected: false, why: "refused" },
      /^it receives no log of the database, .* the last \(refused\)$/,
    ],
    ["receive", { ...receive, connected: "true" }, /^it receives no log/],
    [
      "receive",
      { ...receive, receivedUpTo: past(hour) },
      /^what was written in the last 1 h.* cannot be restored$/,
    ],
    [
      "receive",
      { ...receive, receivedUpTo: undefined },
      /^nothing that was written can be restored$/,
    ],
    [
      "receive",
      { ...receive, spoolBytes: 1e9 },
      /of log wait for a repository, of at most 1.0 GiB/,
    ],
    ["receive", repository(receive, "full"), /^the repository local takes no log \(full\), /],
    ["backups", undefined, /^there is no backup yet$/],
    ["backups", { ...backups, backups: [], why: "no room" }, /^there is no backup yet \(no room\)/],
    ["backups", { ...backups, why: "no room" }, /^the last backup failed: no room$/],
    [
      "backups",
      { ...backups, due: { full: past(2 * hour) } },
      /^a full backup was due 2 h.* ago, and is not there$/,
    ],
    [
      "backups",
      { ...backups, gaps: [{ from: past(2 * hour), to: past(hour), repository: "s3" }] },
      /^moments from 2026-11-28 10:00 to 2026-11-28 11:00 UTC cannot be restored from the repository s3$/,
    ],
    ["files", undefined, /^shared files were copied never$/],
    ["files", { ...files, at: past(hour) }, /^shared files were copied 1 h.* ago$/],
    ["files", { ...files, why: "not mounted" }, /^shared files .* \(not mounted\)$/],
    ["files", repository(files, "full"), /^the repository local takes no files \(full\), /],
    [
      "drill",
      { ...drill, outcome: "failed", why: "no room" },
      /^the restore drill failed 1 h.* ago: no room$/,
    ],
    [
      "drill",
      { ...drill, checks: [{ what: "rows", ok: false, detail: "9 of 10" }] },
      /^the restore drill failed .*: rows: 9 of 10$/,
    ],
    ["drill", { ...drill, outcome: "failed" }, /it does not say why$/],
    [
      "drill",
      { ...drill, due: past(2 * day) },
      /^a restore drill was due 2 d.* ago, and did not run$/,
    ],
    [
      "drill",
      { ...drill, ended: past(20 * day), due: undefined },
      /^a restore drill was due 13 d.* ago/,
    ],
  ];
  for (const [state, said, what] of bad)
    it(`tells of one thing that is wrong: ${state}, ${what}`, () => {
      const { whats } = judged({ [state]: said });
      assert.equal(whats.length, 1, whats.join("\n"));
      assert.match(String(whats[0]), what);
    });

  it("asks nothing of files where none are shared", () => {
    assert.deepEqual(judged({ files: undefined }, []).whats, []);
    assert.doesNotMatch(judged({}, []).is, /files/);
  });

  it("waits for what is late only a little", () => {
    const soon = { ...backups, due: { full: past(hour / 2) } };
    const again = { ...receive, connected: false, since: past(10) };
    assert.deepEqual(judged({ receive: again }).whats, []);
    assert.deepEqual(judged({ backups: soon, drill: { ...drill, due: past(hour) } }).whats, []);
  });

  it("says what runs, and what is restored beside", () => {
    const { is } = judged({
      running: { what: "backup" },
      restored: { phase: "beside", to: "2026-11-28T01:00:00Z" },
    });
    assert.match(is, /, now: backup, restored beside: 2026-11-28T01:00:00Z$/);
  });

  it("takes a lie for no good news, whatever its kind", () => {
    const lies: unknown[] = [
      "",
      "{",
      "null",
      "[]",
      "5",
      '"x"',
      '{"at":1e999}',
      `{"at":${"9".repeat(400)}}`,
    ];
    const shapes = [
      { at: 5, connected: 1, receivedUpTo: [], repositories: [null], spoolBytes: -1, why: {} },
      { backups: {}, ranges: "x", gaps: [1], due: { full: "soon" }, checks: [5], outcome: "fine" },
      { at: "2026-99-99T00:00:00Z", receivedUpTo: `2026-${"1".repeat(5000)}` },
      JSON.parse('{"__proto__":{"at":"2026-11-28T12:00:00Z","connected":true}}'),
    ];
    for (const lie of [...lies, ...shapes]) {
      const { is, whats } = judged({ receive: lie, backups: lie, files: lie, drill: lie });
      assert.match(is, /^nothing can be restored, backup never, files never, drill none/);
      const all = whats.join("\n");
      assert.match(all, /no log of the database has been received|it has not said for/);
      assert.match(all, /there is no backup yet/);
      assert.match(all, /shared files were copied never/);
    }
  });

  it("shows no control character of what it says to a terminal, and no number that fills it", () => {
    const evil = `\u001b[2J\u0007\r\n\u009b31mwell${"x".repeat(5000)}`;
    const said: Partial<Record<State, unknown>> = {
      receive: { ...receive, connected: false, why: evil, spoolBytes: 1e308 },
      backups: {
        ...backups,
        why: evil,
        gaps: Array.from({ length: 5_000 }, (_, index) => ({
          from: past(index + 1),
          to: past(index),
          why: evil.slice(0, 40),
        })),
      },
      files: { ...files, repositories: Object.fromEntries([[evil, { why: evil }]]) },
      drill: { ...drill, checks: [{ what: evil, ok: false, detail: evil }] },
      running: { what: evil },
      restored: { phase: "beside", to: evil },
    };
    const answers = Object.fromEntries(
      Object.entries(said).map(([name, one]) => [
        `backup-1.state-${name}`,
        { code: 0, text: JSON.stringify(one) },
      ]),
    );
    const stack = { name: "dev", ...planWith({ members: { backup: 1 } }) };
    const picture = judge(stack, new Map([["backup-1", answers]]), new Date(now), 1);
    const text = textOf(picture, false);
    assert.match(text, /backup-1: the last backup failed: /);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    assert.doesNotMatch(text, /^\s*well/m);
    assert.ok(text.length < 60_000, `${text.length} characters`);
  });
});
