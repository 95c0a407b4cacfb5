/** `npm run prove` as its user types it, on Docker: what it finds, and what it leaves. */
import assert from "node:assert/strict";
import type { Proof } from "../../operate/prove/proof.ts";
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { healed, primary, sql } from "../support/members.ts";
import { command } from "../support/operation.ts";
import { TestStack } from "../support/test-stack.ts";

const stack = new TestStack("e2e", new ContainerPlace("e2e"));
/** One of each kind: a process, a hang, a power cut, a cut of the network. */
const faults = [
  "nothing",
  "instance-process-killed",
  "haproxy-hung",
  "postgres-killed",
  "standby-power-cut",
  "primary-cut-off-from-etcd-and-standby",
];

describe("prove, on Docker", function () {
  this.timeout("40m");

  before(async function () {
    onlyInFull(this);
    await stack.create();
    await timed("up", () => stack.mustUp());
    await healed(stack);
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  it("O2, O7: finds nothing that must never be, and leaves nothing", async () => {
    const words = ["prove", "--only", faults.join(","), "--json"];
    const { stdout, stderr } = await command(stack, words, 1500);
    console.log(stderr);
    const proof: Proof = JSON.parse(stdout);
    assert.deepEqual(
      proof.faults.map(({ name, runs }) => [name, runs.length]),
      faults.map((name) => [name, 1]),
    );
    for (const { name, runs } of proof.faults)
      for (const { violations, overlaps, checked, writes } of runs) {
        assert.deepEqual(violations, [], name);
        assert.deepEqual(
          overlaps.filter(({ what }) => what === "accepts writes"),
          [],
          name,
        );
        assert.ok(checked.operations > 100 && writes.count > 100, name);
      }
    await healed(stack);
    const left =
      "SELECT count(*) FROM pg_database WHERE datname = 'hastack_prove' UNION ALL SELECT count(*) FROM pg_roles WHERE rolname = 'hastack_prove'";
    assert.equal(await sql(stack, await primary(stack), left), "0\n0");
  });
});
