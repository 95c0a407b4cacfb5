import assert from "node:assert/strict";
import { missing } from "../../../scripts/launcher/missing.ts";

const resource = (kind: string, id: string, name = id) => ({
  type: `docker:index/${kind.toLowerCase()}:${kind}`,
  id,
  outputs: { name },
});

describe("launcher: what was removed by hand", () => {
  const state = [
    resource("Container", "c1", "hastack-dev-db-1"),
    resource("Network", "n1", "hastack-dev-backend"),
    resource("Volume", "hastack-dev-db-1-files"),
    resource("Volume", "hastack-dev-db-1-data"),
    { type: "command:local:Command", id: "gate" },
  ];

  it("is nothing where the engine has all that the state knows", () => {
    const ids = ["c1", "n1", "hastack-dev-db-1-files", "hastack-dev-db-1-data", "another"];
    assert.deepEqual(missing(state, new Set(ids)), []);
  });

  it("is named, and said to have held data where it did", () => {
    assert.deepEqual(missing(state, new Set(["another"])), [
      "container hastack-dev-db-1",
      "network hastack-dev-backend",
      "volume hastack-dev-db-1-files",
      "volume hastack-dev-db-1-data with all the data that was in it",
    ]);
  });

  it("W11: is not told of a machine that is absent", () => {
    const absent = ["hastack-dev-db-1"];
    assert.deepEqual(missing(state, new Set(["another"]), absent), ["network hastack-dev-backend"]);
    assert.equal(missing(state, new Set(["another"]), ["hastack-dev-db-2"]).length, 4);
  });

  it("is a container that another one has the name of", () => {
    const ids = ["c2", "n1", "hastack-dev-db-1-files", "hastack-dev-db-1-data"];
    assert.deepEqual(missing(state, new Set(ids)), ["container hastack-dev-db-1"]);
  });
});
