import assert from "node:assert/strict";
import { readAfter } from "../../../../../operate/prove/load/link.ts";

describe("a read of what was written before", () => {
  /** @param has whether the member says that it has applied all */
  async function readAt(has: boolean) {
    const asked: string[] = [];
    const ask = async (text: string) => {
      asked.push(text);
      return text.includes("pg_last_wal_replay_lsn") ? [{ has }] : [{ counter: 7 }];
    };
    const rows = await readAfter(ask, "0/5", "SELECT counter FROM visitor", []);
    return { rows, asked };
  }

  it("asks for the position before, by a statement that reads nothing: one that does both may read what was there before it", async () => {
    const { rows, asked } = await readAt(true);
    assert.deepEqual(rows, [{ counter: 7 }]);
    const [first = "", ...others] = asked;
    assert.match(first, /pg_last_wal_replay_lsn/);
    assert.doesNotMatch(first, /FROM/);
    assert.deepEqual(others, ["SELECT counter FROM visitor"]);
  });

  it("reads nothing of a member that has not got there", async () => {
    const { rows, asked } = await readAt(false);
    assert.equal(rows, undefined);
    assert.equal(asked.length, 1);
  });
});
