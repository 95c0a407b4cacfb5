import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Operation } from "../../../../../operate/prove/history.ts";
import { Recorder } from "../../../../../operate/prove/load/recorder.ts";
import { missingFiles, Uploader } from "../../../../../operate/prove/load/uploads.ts";
import type { Relay } from "../../../../../operate/prove/relay.ts";

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
        ["lost file", "b: at the end, at app-1: 2048 "],
        ["lost file", "c: at the end, at app-1: it is"],
      ],
    );
  });

  it("are lost where one is cut short, and those after it are read all the same", async () => {
    const read = async (path: string) => (path === "a" ? "" : whole(path));
    assert.deepEqual(await readBack(read, upload("a"), upload("b")), [
      { rule: "lost file", what: "a: at the end, at app-1: 0 bytes: " },
    ]);
  });

  it("are not all waited for where storage is slow", async () => {
    const read = async (path: string) => {
      await sleep(20);
      return whole(path);
    };
    const all = Array.from({ length: 50 }, (_one, index) => upload(`${index}`));
    const relay = { machine: "app-1", get: read };
    const [first] = await missingFiles(all, relay, performance.now() + 100);
    assert.match(
      `${first?.rule}: ${first?.what}`,
      /^not read back: \d and those after it: .*too slow$/,
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

describe("a client that writes a file on one machine and reads it on another", () => {
  /** What becomes of one, by what the other machine says. */
  async function operationOf(get: (text: string) => Promise<string>): Promise<Operation> {
    const recorder = new Recorder();
    let text = "";
    const put = async (_path: string, written: string) => {
      text = written;
    };
    const relays = [
      { machine: "app-1", put },
      { machine: "app-2", get: () => get(text) },
    ] as unknown as readonly Relay[];
    await new Uploader("one", recorder, "/files", () => relays).serve(recorder.now());
    const [operation] = recorder.operations;
    assert.ok(operation);
    return operation;
  }

  it("has lost it where another one is there", async () => {
    const { outcome, why } = await operationOf(async () => "another");
    assert.equal(outcome, "ok");
    assert.equal(why, "not there at app-2: 7 bytes: another");
  });

  it("has not lost it where that machine cannot be asked", async () => {
    const { outcome, why } = await operationOf(async () => {
      throw new Error("app-2: it is gone");
    });
    assert.deepEqual([outcome, why], ["ok", undefined]);
  });
});
