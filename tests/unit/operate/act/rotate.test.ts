import assert from "node:assert/strict";
import { parse } from "yaml";
import { replaceable, rotation, withGenerations } from "../../../../operate/act/rotate.ts";

const all = [
  { name: "cache", kind: "follows" },
  { name: "web", kind: "follows" },
  { name: "cookieSecret", kind: "lingers" },
  { name: "tokenKey", kind: "apart" },
] as const;
const everything = { names: [], finish: false };

describe("rotate", () => {
  it("N3: takes all through the same three steps, and leaves both cookies' secrets valid", () => {
    const steps = rotation({}, all, everything);
    assert.deepEqual(steps, [
      { cache: [1, 2], web: [1, 2], cookieSecret: [1, 2] },
      { cache: [2, 1], web: [2, 1], cookieSecret: [2, 1] },
      { cache: [2], web: [2], cookieSecret: [2, 1] },
    ]);
    // The one before of the time before goes as the next one comes
    const again = rotation(steps.at(-1) ?? {}, all, everything);
    assert.deepEqual(again, [
      { cache: [2, 3], web: [2, 3], cookieSecret: [2, 3] },
      { cache: [3, 2], web: [3, 2], cookieSecret: [3, 2] },
      { cache: [3], web: [3], cookieSecret: [3, 2] },
    ]);
  });

  it("N3: drops what lingers where it is told to, and begins nothing then", () => {
    const finish = { names: [], finish: true };
    const from = { cache: [2], web: [2], cookieSecret: [2, 1] };
    assert.deepEqual(rotation(from, all, finish), [{ ...from, cookieSecret: [2] }]);
    assert.deepEqual(rotation({ ...from, cookieSecret: [2] }, all, finish), []);
  });

  it("N3: takes what is named alone, and else not what the application takes one of", () => {
    const steps = rotation({}, all, { names: ["tokenKey"], finish: false });
    assert.deepEqual(steps, [{ tokenKey: [1, 2] }, { tokenKey: [2, 1] }, { tokenKey: [2] }]);
  });

  it("N3: goes on where it was cut off, with that step's up once more", () => {
    for (const [index, cut] of rotation({}, all, everything).slice(0, 2).entries()) {
      const left = rotation({}, all, everything).slice(index);
      assert.deepEqual(rotation(cut, all, everything), left);
    }
  });

  it("N3: no step takes from anybody the one that is in use", () => {
    let before: Readonly<Record<string, readonly number[]>> = {};
    for (let round = 0; round < 3; round += 1) {
      for (const step of rotation(before, all, everything)) {
        for (const [name, [used = 0, ...others]] of Object.entries(step)) {
          const old = before[name] ?? [1];
          assert.ok(old.includes(used), `${name}: ${old} to ${step[name]}`);
          assert.ok([used, ...others].includes(old[0] ?? 0), `${name}: ${old} to ${step[name]}`);
        }
        before = step;
      }
    }
  });

  it("N3: knows what the application says of its secrets", () => {
    const secret = { perTier: false, optional: false };
    const secrets = {
      cookieSecret: { ...secret, generated: true, several: true },
      tokenKey: { ...secret, generated: true, several: false },
      apiToken: { ...secret, generated: false, several: false },
    };
    const kinds = replaceable({ tiers: [], secrets }).map(({ name, kind }) => [name, kind]);
    assert.deepEqual(kinds.slice(-3), [
      ["cache", "follows"],
      ["cookieSecret", "lingers"],
      ["tokenKey", "apart"],
    ]);
  });

  it("N3: writes them into the stack's file, and leaves the rest as it is", () => {
    const text = "# mine\nconfig:\n  # why\n  hastack:platform: docker\n  hastack:a: { b: [1] }\n";
    const written = withGenerations(text, { cache: [1, 2], web: [1] });
    assert.equal(written, `${text}  hastack:credentials:\n    cache: [1, 2]\n`);
    const salt = "encryptionsalt: v1\n";
    assert.equal(
      withGenerations(written + salt, { cache: [2], web: [2, 3] }),
      `${text}  hastack:credentials:\n    cache: [2]\n    web: [2, 3]\n${salt}`,
    );
    assert.equal(
      withGenerations(text + salt, { cache: [2] }),
      `${text}  hastack:credentials:\n    cache: [2]\n${salt}`,
    );
    // Laid out by others
    for (const odd of [
      "",
      "{config: {hastack:platform: docker}}",
      "config:\n    hastack:platform: docker",
    ]) {
      const { config } = parse(withGenerations(odd, { cache: [2, 3] }));
      assert.deepEqual(config["hastack:credentials"], { cache: [2, 3] });
      assert.equal(config["hastack:platform"], odd === "" ? undefined : "docker");
    }
  });
});
