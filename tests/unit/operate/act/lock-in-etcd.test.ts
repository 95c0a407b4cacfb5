/** The lock as operations take it: by a member of the database, in an etcd with the stack's users. */
import assert from "node:assert/strict";
import { runDocker } from "../../../../infra/platform/docker/engine.ts";
import { dockerNames } from "../../../../infra/platform/docker/names.ts";
import { until } from "../../../../lib/until.ts";
import {
  Crossed,
  Held,
  holderOf,
  leaseSeconds,
  lockHolder,
  takeLock,
} from "../../../../operate/act/lock.ts";
import { callStore } from "../../../../operate/act/store.ts";
import { type OperatedStack, openStack } from "../../../../operate/stack.ts";
import { PatroniPair } from "../../../support/unit/patroni-pair.ts";

describe("the lock in etcd", function () {
  this.timeout(120_000);
  const stack: OperatedStack = { ...openStack("dev"), name: `locked-${process.pid}` };
  let pair: PatroniPair;

  before(async function () {
    this.timeout(600_000);
    pair = await PatroniPair.start();
    await pair.startQuorum("https");
    for (const member of ["db-1", "db-2"]) {
      await pair.place(member);
      await runDocker(["rename", pair.on(member).name, dockerNames(stack.name).container(member)]);
    }
  });
  after(async () => {
    for (const member of ["db-1", "db-2"])
      await runDocker(["rename", dockerNames(stack.name).container(member), pair.on(member).name]);
    await pair.remove();
  });

  /** An operator on another machine, of whom only the lock tells. */
  const elsewhere = (what: string) => ({ ...holderOf(what), process: { place: "there", id: 1 } });
  /** Its lease ends before its time, as after a sleep of its machine. */
  const endLease = ({ id }: { readonly id: string }) =>
    callStore(stack, [["lease/revoke", { ID: BigInt(`0x${id}`).toString() }]]);

  it("W6: one has it at a time, and the next is told who", async () => {
    const lock = await takeLock(stack, elsewhere("drain lb-1"));
    await assert.rejects(takeLock(stack, holderOf("up")), (error: Error) => {
      assert.ok(error instanceof Held);
      assert.match(error.message, /^locked by .* UTC: drain lb-1\. Wait for its end/);
      return true;
    });
    await lock.release();
    assert.equal(await lockHolder(stack), undefined);
  });

  it("W6: that of a process that is no more is taken from it", async () => {
    const gone = holderOf("stop");
    const former = await takeLock(stack, {
      ...gone,
      process: { ...gone.process, id: 2 ** 22 + 1 },
    });
    const lock = await takeLock(stack, holderOf("up"));
    assert.equal((await lockHolder(stack))?.what, "up");
    await former.release();
    await lock.release();
  });

  it("W6: that ended while nobody else took it is taken anew", async () => {
    const lock = await takeLock(stack, elsewhere("update"));
    await endLease(lock.holder);
    await until("it is there again", {
      probe: () => lockHolder(stack),
      done: (holder) => holder?.id === lock.holder.id,
      limitSeconds: leaseSeconds,
    });
    assert.equal(lock.lost.aborted, false);
    await lock.release();
  });

  it("W6: that another one has taken meanwhile ends the operation", async () => {
    const lock = await takeLock(stack, elsewhere("update"));
    await endLease(lock.holder);
    const other = await takeLock(stack, elsewhere("switchover"));
    await until("it is lost", {
      probe: () => lock.lost.aborted,
      done: Boolean,
      limitSeconds: leaseSeconds,
    });
    assert.ok(lock.lost.reason instanceof Crossed);
    assert.match(lock.lost.reason.message, /could not be reached for 30 s.*: switchover, which/);
    await lock.release();
    assert.equal((await lockHolder(stack))?.what, "switchover");
    await other.release();
  });

  it("W6: a member of the database that hangs costs its time once", async () => {
    await runDocker(["pause", dockerNames(stack.name).container("db-1")]);
    try {
      const fresh = { ...stack };
      await lockHolder(fresh);
      const start = performance.now();
      for (let turn = 0; turn < 3; turn += 1) await lockHolder(fresh);
      // Of which one would take 11 s each time
      assert.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`);
    } finally {
      await runDocker(["unpause", dockerNames(stack.name).container("db-1")]);
    }
  });
});
