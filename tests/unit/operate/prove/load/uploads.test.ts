import assert from "node:assert/strict";
import type { Operation } from "../../../../../operate/prove/history.ts";
import { missingFiles } from "../../../../../operate/prove/load/uploads.ts";

describe("files that were acknowledged", () => {
  const upload = (key: string, outcome: Operation["outcome"] = "ok"): Operation => ({
    ...{ kind: "upload", client: "upload 1", due: 0, began: 0, ended: 1 },
    ...{ key, value: key, outcome },
  });
  const whole = (text: string) => text.padEnd(2048, ".");
  const readBack = (read: (path: string) => Promise<string>, ...some: readonly Operation[]) =>
    missingFiles(some, { machine: "app-1", get: read });

  it("are lost where one is not there, or another one is", async () => {
    const read = async (path: string) => {
      if (path === "c") throw new Error("it is not there");
      return whole(path === "b" ? "other" : path);
    };
    const all = [upload("a"), upload("b"), upload("c"), upload("d", "unknown")];
    assert.deepEqual(
      (await readBack(read, ...all)).map(({ rule, what }) => [rule, what.slice(0, 30)]),
      [
        ["lost file", "b: at the end, at app-1: other"],
        ["lost file", "c: at the end, at app-1: it is"],
      ],
    );
  });

  it("are not all waited for where storage does not answer", async () => {
    let asked = 0;
    const read = async () => {
      asked += 1;
      throw new Error("app-1: no answer in 30 s");
    };
    assert.deepEqual(await readBack(read, upload("a"), upload("b")), [
      { rule: "not read back", what: "a: at the end, at app-1: app-1: no answer in 30 s" },
    ]);
    assert.equal(asked, 1);
  });
});
