/** `npm run prove` as its user types it, on Docker: what it finds, and what it leaves. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mustRun } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { mostSeconds } from "../../operate/prove/harm.ts";
import { countedOf } from "../../operate/prove/judge.ts";
import type { Proof } from "../../operate/prove/proof.ts";
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { healed, primary, sql } from "../support/members.ts";
import { command, mustCommand } from "../support/operation.ts";
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
  let standbyAtFirst = "";

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
      proof.faults.map((one) => [one.name, countedOf(one).length]),
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
    await assertNothingLeft();
  });

  it("O2: mends what it has broken, and leaves nothing, where it is interrupted", async () => {
    const { code, said } = await endedAmidst("SIGINT");
    assert.equal(code, 2, said);
    assert.match(said, /interrupted/);
    assert.match(
      said,
      /^what was seen is in .*\.html, and \.json beside it; npm run prove -- --stack \S+ --resume goes on$/m,
    );
    await healed(stack);
    await assertNothingLeft();
  });

  it("O2: what it has broken mends itself where it is killed, and the next operation takes away what it left", async () => {
    await endedAmidst("SIGKILL");
    await until("a machine without power has it back", {
      probe: () => isRunning(),
      done: (running) => running,
      limitSeconds: mostSeconds + 30,
    });
    await healed(stack);
    console.log(`      ${await mustCommand(stack, ["restart", "cache-1"])}`);
    await assertNothingLeft();
  });

  const isRunning = async (member = standbyAtFirst) => {
    const words = [
      "docker",
      "inspect",
      "--format={{.State.Running}}",
      stack.place.container(member),
    ];
    return (await mustRun(words)).trim() === "true";
  };

  /** Has the command end while the standby has no power. */
  async function endedAmidst(signal: NodeJS.Signals): Promise<{ code: number; said: string }> {
    standbyAtFirst = (await primary(stack)) === "db-1" ? "db-2" : "db-1";
    const program = `${stack.folder}scripts/run.mjs`;
    const args = [program, "prove", "--stack", stack.name, "--only", "standby-power-cut", "--yes"];
    const child = spawn(process.execPath, args, { cwd: stack.folder, env: stack.env });
    const ended = once(child, "close");
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => {
        said += text;
      });
    await until("the standby has lost its power", {
      probe: () => isRunning(),
      done: (running) => !running,
      limitSeconds: 120,
      intervalSeconds: 0.3,
    });
    child.kill(signal);
    const [code] = await ended;
    return { code, said };
  }

  async function assertNothingLeft(): Promise<void> {
    const left =
      "SELECT count(*) FROM pg_database WHERE datname = 'hastack_prove' UNION ALL SELECT count(*) FROM pg_roles WHERE rolname = 'hastack_prove'";
    assert.equal(await sql(stack, await primary(stack), left), "0\n0");
  }
});
