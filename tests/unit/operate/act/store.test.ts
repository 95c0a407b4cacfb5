import assert from "node:assert/strict";
import { below, decoded, foundIn, granted } from "../../../../operate/act/store.ts";

// What etcd 3.5.16 answered
const header = { cluster_id: "15237757883729923734", revision: "117", raft_term: "2" };
const found = {
  header,
  kvs: [
    {
      key: "L3NlcnZpY2Uvb3BlcmF0ZS90cnk=",
      create_revision: "117",
      mod_revision: "117",
      version: "1",
      value: "eyJhIjoxfQ==",
      lease: "77",
    },
  ],
  count: "1",
};
const refused = { code: 7, message: "etcdserver: permission denied" };

describe("what etcd answers", () => {
  it("O1: keys and values are read as text", () => {
    const [one, ...others] = foundIn(granted(found));
    assert.equal(one?.key, "/service/operate/try");
    assert.equal(one?.value, '{"a":1}');
    assert.deepEqual(others, []);
  });

  it("O1: there may be none", () => {
    assert.deepEqual(foundIn(granted({ header })), []);
  });

  it("O1: what it refuses is an error with its words", () => {
    assert.throws(() => granted(refused), /etcd refuses: etcdserver: permission denied/);
  });

  it("O1: all keys below a prefix are asked for, and no other", () => {
    const { key, range_end } = below("/service/operate/journal/");
    assert.equal(decoded(key), "/service/operate/journal/");
    assert.equal(decoded(range_end), "/service/operate/journal0");
  });
});
