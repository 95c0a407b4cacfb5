/** When a kit is older than what it would bring back, and who is told. */
import assert from "node:assert/strict";
import { fingerprintOf, type Sources } from "../../../../operate/kit/fingerprint.ts";
import { judgeKit, type KnownHere } from "../../../../operate/kit/judge.ts";
import { type KitRecord, newest, readRecord } from "../../../../operate/kit/record.ts";
import type { OperatedStack } from "../../../../operate/stack.ts";

const password = (name: string, created: string) => ({
  urn: `urn:pulumi:shop::hastack::random:index/randomPassword:RandomPassword::password-${name}`,
  type: "random:index/randomPassword:RandomPassword",
  created,
});
const placed = (request: string) => ({
  urn: "urn:pulumi:shop::hastack::command:local:Command::db-1",
  type: "command:local:Command",
  created: "2026-11-01",
  inputs: { create: "node platform/ssh/run.ts place REQUEST", environment: { REQUEST: request } },
});
const stateOf = (...resources: object[]) => JSON.stringify({ deployment: { resources } });

const sources: Sources = {
  settings: "config:\n  hastack:platform: ssh\n  hastack:keepData: true\n",
  overlay: "encryptionsalt: v1:abc\nconfig:\n  hastack:certificate: {secure: v1:one}\n",
  inventory: "machines: { db-1: { hostKey: a } }\n",
  state: stateOf(password("postgres", "2026-11-01"), placed("a")),
};
const then = fingerprintOf(sources);
const changed = (change: Partial<Sources>) => {
  const now = fingerprintOf({ ...sources, ...change });
  return Object.entries(now).flatMap(([name, one]) =>
    one === then[name as keyof typeof then] ? [] : [name],
  );
};

describe("what a recovery needs", () => {
  it("O3: is the same however it is written, and whatever up does with members", () => {
    const settings = "# mine\nconfig: { hastack:keepData: true, hastack:platform: ssh }\n";
    assert.deepEqual(changed({ settings }), []);
    assert.deepEqual(changed({ overlay: sources.overlay.replace("v1:abc", "v1:def") }), []);
    assert.deepEqual(
      changed({ state: stateOf(placed("b"), password("postgres", "2026-11-01")) }),
      [],
    );
  });

  it("O3: is another with another setting, secret setting, machine, password or authority", () => {
    assert.deepEqual(changed({ settings: sources.settings.replace("true", "false") }), [
      "settings",
    ]);
    assert.deepEqual(changed({ overlay: sources.overlay.replace("one", "two") }), ["settings"]);
    assert.deepEqual(changed({ inventory: "machines: { db-1: { hostKey: b } }\n" }), ["machines"]);
    const authority = { ...placed(""), inputs: { create: "node certificates/make.ts authority" } };
    for (const more of [password("postgres.2", "2026-11-02"), authority])
      assert.deepEqual(changed({ state: stateOf(password("postgres", "2026-11-01"), more) }), [
        "secrets",
      ]);
    const anew = stateOf(password("postgres", "2026-11-02"), placed("a"));
    assert.deepEqual(changed({ state: anew }), ["secrets"]);
  });

  it("O3: a folder of states keeps the same as an export", () => {
    const { deployment: latest } = JSON.parse(sources.state);
    assert.deepEqual(changed({ state: JSON.stringify({ checkpoint: { latest } }) }), []);
  });
});

describe("status of the recovery kit", () => {
  const stackOf = (platform: string, role = "backup") =>
    ({
      name: "shop",
      settings: { platform },
      topology: { members: { loadBalancer: [], [role]: [{ role, name: "backup-1" }] }, tiers: {} },
    }) as unknown as OperatedStack;
  const record: KitRecord = {
    made: "2026-11-27T10:00:00.000Z",
    by: "ann@desk",
    file: "/media/stick/shop.kit",
    fingerprint: then,
  };
  const judged = (here: KnownHere, platform = "ssh", noted?: KitRecord) =>
    judgeKit(stackOf(platform), noted, here);

  it("O3: is well while nothing has changed, whoever made it", () => {
    for (const [here, noted] of [
      [{ record, now: then }, undefined],
      [{ now: then }, record],
    ] as const)
      assert.deepEqual(judged(here, "ssh", noted), {
        name: "kit",
        state: "ok",
        is: "made 2026-11-27 by ann@desk",
        findings: [],
      });
  });

  it("O3: none at all is a finding, with the command that makes one", () => {
    const { state, findings: [finding] = [] } = judged({ now: then }) ?? {};
    assert.equal(state, "degraded");
    assert.match(finding?.what ?? "", /there is no recovery kit: .* the backups could not be read/);
    assert.equal(finding?.fix, "npm run kit -- --make FILE --stack shop");
  });

  it("O3: one without the passwords of now is a finding; other settings are only told", () => {
    const { state, is } = judged({ record, now: { ...then, secrets: "other" } }) ?? {};
    assert.equal(state, "degraded");
    assert.match(is ?? "", /older than the last change of passwords or keys$/);
    const mild = judged({ record, now: { ...then, settings: "other" } });
    assert.equal(mild?.state, "ok");
    assert.match(mild?.is ?? "", /older than the last change of settings$/);
  });

  it("O3: what is not known now is taken for unchanged", () => {
    const { secrets: _unknown, ...now } = then;
    assert.equal(judged({ record, now })?.state, "ok");
  });

  it("O3: on this machine's own engine it is told, and no finding", () => {
    assert.deepEqual(judged({ now: then }, "docker"), {
      name: "kit",
      state: "ok",
      is: "none was made",
      findings: [],
    });
  });

  it("O3: without backups it is not told of", () => {
    assert.equal(judgeKit(stackOf("ssh", "database"), record, { now: then }), undefined);
  });

  it("O3: the newest of several counts, and what is no note counts nothing", () => {
    const later = { ...record, made: "2026-11-28T10:00:00.000Z" };
    assert.equal(newest(record, undefined, later), later);
    assert.equal(newest(undefined), undefined);
    assert.equal(readRecord('{"made":1}'), undefined);
    assert.deepEqual(readRecord(JSON.stringify(record)), record);
  });
});
