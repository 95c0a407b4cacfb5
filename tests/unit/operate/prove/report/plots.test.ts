/** What clients saw of a run, as it is drawn. */
import assert from "node:assert/strict";
import type { Series } from "../../../../../operate/prove/proof.ts";
import { latencyLane, rateLane } from "../../../../../operate/prove/report/plots.ts";
import { tenthsOf } from "../../../../../operate/prove/report/tenths.ts";
import { drawnRun } from "../../../../support/unit/proof.ts";

const series: Series[] = [
  { kind: "page", ok: [3, 0, 2], failed: [0, 1, 0], slowest: [12, 900, 7] },
  { kind: "standby read", ok: [1, 1, 1], failed: [0, 2, 0], slowest: [40, 5, 0] },
  { kind: "read", ok: [5, 0, 0], failed: [0, 0, 3], slowest: [8, 0, 5000] },
  { kind: "write", ok: [1, 0, 0], failed: [0, 0, 1], slowest: [20, 0, 40] },
];

const runOf = (kind: "page" | "write", one: Partial<Series>) => {
  const length = Math.max(
    ...[one.ok, one.failed, one.slowest].map((values) => values?.length ?? 0),
  );
  const none = Array.from({ length }, () => 0);
  return drawnRun({
    seconds: length / 10,
    brokenAt: 0,
    series: [{ kind, ok: none, failed: none, slowest: none, ...one }],
  });
};

/** Paths of a class, in a lane that is drawn at the very top. */
const paths = (lane: ReturnType<typeof rateLane>, name: string) =>
  [...lane.draw(0).text.matchAll(/<path class="([^"]*)"[^>]* d="([^"]*)"/g)]
    .filter(([, found]) => found === name)
    .map(([, , path]) => path);

describe("tenths of a second", () => {
  it("are those of all that needs no primary, or of all else, and of the slowest of them", () => {
    assert.deepEqual(tenthsOf(series, "reads"), {
      ok: [4, 1, 3],
      failed: [0, 3, 0],
      slowest: [40, 900, 7],
    });
    assert.deepEqual(tenthsOf(series, "writes"), {
      ok: [6, 0, 0],
      failed: [0, 0, 4],
      slowest: [20, 0, 5000],
    });
    assert.deepEqual(tenthsOf([], "reads"), { ok: [], failed: [], slowest: [] });
  });
});

describe("the drawing of successes and failures", () => {
  it("has a hole where nothing succeeded", () => {
    const lane = rateLane(runOf("page", { ok: [2, 2, 0, 0, 2, 4] }), "reads");
    assert.deepEqual(paths(lane, "reads"), ["M0 0V26H2V0ZM4 0V26H5V52H6V0Z"]);
    assert.match(lane.draw(0).text, />up to 4</);
    assert.deepEqual(paths(lane, "failed"), []);
  });

  it("cuts off what comes all at once, and tells how much it was", () => {
    const lane = rateLane(runOf("write", { ok: [2, 2, 0, 100, 2] }), "writes");
    assert.deepEqual(paths(lane, "writes"), ["M0 0V26H2V0ZM3 0V52H4V26H5V0Z"]);
    assert.match(lane.draw(0).text, />up to 100</);
  });

  it("shows a single failure beside hundreds", () => {
    const lane = rateLane(runOf("write", { failed: [0, 1, 0, 400] }), "writes");
    assert.deepEqual(paths(lane, "failed"), ["M1 0V3H2V0ZM3 0V20H4V0Z"]);
    assert.match(lane.draw(0).text, /up to 400 failed/);
  });
});

describe("the drawing of latency", () => {
  it("is on a scale of powers of ten, and broken where nothing ended", () => {
    const lane = latencyLane(runOf("page", { slowest: [10, 10, 0, 1000, 1] }));
    assert.deepEqual(paths(lane, "line reads"), ["M0 64H2M3 0H4V96H5"]);
    const scale = [...lane.draw(0).text.matchAll(/class="scale"[^>]*>([^<]*)</g)];
    assert.deepEqual(
      scale.map(([, text]) => text),
      ["1 ms", "10 ms", "100 ms", "1 s"],
    );
  });

  it("reaches up to the slowest", () => {
    assert.match(latencyLane(runOf("write", { slowest: [23_000] })).draw(0).text, />100 s</);
    assert.doesNotMatch(latencyLane(runOf("write", { slowest: [9000] })).draw(0).text, />100 s</);
  });
});
