import assert from "node:assert/strict";
import { inTurn, placesNamed } from "../../../../operate/act/rolling.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("machines in turn", () => {
  const lab = openStack("lab");
  const machines = (places: ReturnType<typeof placesNamed>) => places.map(({ machine }) => machine);

  it("W9: are all of them, or those that are named, by a member's name too, each once", () => {
    const all = lab.topology.machines.map(({ name }) => name);
    assert.deepEqual(machines(placesNamed(lab, [])), all);
    const [first = "", second = ""] = all;
    assert.deepEqual(machines(placesNamed(lab, [second, first, second])), [second, first]);
    const { machine } = lab.topology.members.database[0] ?? {};
    const [place] = placesNamed(lab, ["db-1"]);
    assert.equal(place?.machine, machine);
    assert.ok(place?.members.some(({ name }) => name === "db-1"));
    assert.throws(() => placesNamed(lab, ["nobody"]), /no member and no machine nobody/);
  });

  it("W9: have the primary's at the end, so that it moves once", () => {
    const places = placesNamed(openStack("dev"), ["db-1", "db-2", "lb-1"]);
    assert.deepEqual(machines(inTurn(places, "db-1")), ["db-2", "lb-1", "db-1"]);
    assert.deepEqual(machines(inTurn(places, undefined)), ["db-1", "db-2", "lb-1"]);
  });
});
