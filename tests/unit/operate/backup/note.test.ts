/** What etcd is told to forget before restored data becomes the cluster. */
import assert from "node:assert/strict";
import { patroniPrefix } from "../../../../infra/render/etcd.ts";
import { decoded, type StoreCall } from "../../../../operate/act/store.ts";
import { forgetClusterBy } from "../../../../operate/backup/note.ts";

describe("the cluster that etcd forgets", () => {
  const cluster = `${patroniPrefix}hastack/`;

  async function forgotten(): Promise<(key: string) => boolean> {
    const made: StoreCall[] = [];
    await forgetClusterBy(async (calls) => {
      made.push(...calls);
      return calls.map(() => ({}));
    });
    const ranges = made.map(([method, body]) => {
      assert.equal(method, "kv/deleterange");
      const { key, range_end } = body as { key: string; range_end: string };
      return [decoded(key), decoded(range_end)] as const;
    });
    return (key) => ranges.some(([first, end]) => key >= first && key < end);
  }

  it("O3: is all that Patroni knows of it, but for what its members have agreed on", async () => {
    const goes = await forgotten();
    for (const one of ["initialize", "leader", "status", "sync", "history", "failsafe", "failover"])
      assert.equal(goes(cluster + one), true, one);
    for (const one of ["members/db-1", "members/db-2", "config2"])
      assert.equal(goes(cluster + one), true, one);
    assert.equal(goes(`${cluster}config`), false);
  });

  it("O3: is the stack's own: what others keep there stays", async () => {
    const goes = await forgotten();
    for (const one of [`${patroniPrefix}operate/restore`, `${patroniPrefix}hastack2/leader`])
      assert.equal(goes(one), false, one);
  });
});
