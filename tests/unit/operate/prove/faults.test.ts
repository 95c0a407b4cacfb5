import assert from "node:assert/strict";
import { type Fault, promisedAt, strandedAt, strike } from "../../../../operate/prove/fault.ts";
import { faults } from "../../../../operate/prove/faults.ts";
import type { Promised } from "../../../../operate/prove/proof.ts";
import { chosenFaults, drawn } from "../../../../operate/prove/prove.ts";
import type { Scene } from "../../../../operate/prove/scene.ts";

describe("the faults", () => {
  it("have a name of their own each, and are chosen by it, in the order that was asked for", () => {
    const names = faults.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(
      chosenFaults(["cache-hung", "nothing"]).map(({ name }) => name),
      ["cache-hung", "nothing"],
    );
    assert.equal(chosenFaults(undefined).length, faults.length);
    assert.throws(
      () => chosenFaults(["no-such"]),
      /^Error: --only no-such: there is no such fault; these are\n {2}nothing\n {2}instance-process-killed\n/,
    );
  });

  it("promise reads and writes something each, but where no time is promised", () => {
    for (const { name, promised } of faults.filter(
      (one) => !/^both-down|-flaps$|-from-(?:clients|balancers)$/.test(one.name),
    ))
      for (const limits of [promised.reads, promised.writes])
        assert.ok(limits.seconds !== undefined, name);
  });

  it("are chosen once, however often they are named", () => {
    assert.equal(chosenFaults(["nothing", "nothing"]).length, 1);
  });

  it("keep clients from machines that are lost or cut off, and not where a process fails", () => {
    const scene = {
      stack: { topology: { members: { quorum: [{ name: "etcd-1", machine: "app-1" }] } } },
      primary: { name: "db-1", machine: "node-1" },
      standby: { name: "db-2", machine: "node-2" },
    } as unknown as Scene;
    const of = (name: string) => {
      const [fault] = chosenFaults([name]);
      assert.ok(fault);
      return strandedAt(scene, fault);
    };
    assert.deepEqual(of("etcd-all-hung"), []);
    assert.deepEqual(of("postgres-hung"), []);
    assert.deepEqual(of("primary-power-cut"), ["node-1"]);
    assert.deepEqual(of("primary-cut-off-from-etcd"), ["node-1"]);
    assert.deepEqual(of("both-down-primary-first-primary-back-first"), ["node-1", "node-2"]);
  });

  it("are drawn, each once at most", () => {
    const names = drawn(faults, 7).map(({ name }) => name);
    assert.equal(names.length, 7);
    assert.equal(new Set(names).size, 7);
    assert.equal(drawn(faults, 1000), faults);
    assert.equal(drawn(faults), faults);
  });
});

describe("a fault that hits several", () => {
  const member = (name: string) => ({ name }) as never;
  const fault = (harm: (name: string) => Promise<(() => Promise<void>) | undefined>) => ({
    ...{ name: "some", what: "", promised: { reads: {}, writes: {} } },
    hits: () => [member("a"), member("b")],
    harm: (_scene: unknown, { name }: { name: string }) => harm(name),
  });

  it("mends all of them", async () => {
    const mended: string[] = [];
    const struck = await strike(
      {} as never,
      fault(async (name) => async () => {
        mended.push(name);
      }),
      () => {},
    );
    await struck.mend?.();
    assert.deepEqual(mended.toSorted(), ["a", "b"]);
  });

  it("mends the others where one cannot be mended, and says which", async () => {
    const mended: string[] = [];
    const struck = await strike(
      {} as never,
      fault(async (name) => async () => {
        if (name === "a") throw new Error("a still hangs");
        await new Promise((resolve) => setTimeout(resolve, 20));
        mended.push(name);
      }),
      () => {},
    );
    await assert.rejects(async () => struck.mend?.(), /a still hangs/);
    assert.deepEqual(mended, ["b"]);
  });

  it("that cannot hit one mends the others, and says why", async () => {
    const mended: string[] = [];
    const half = fault(async (name) => {
      if (name === "b") throw new Error("b is gone");
      return async () => {
        mended.push(name);
      };
    });
    await assert.rejects(
      strike({} as never, half, () => {}),
      /b is gone/,
    );
    assert.deepEqual(mended, ["a"]);
  });

  it("is told of when it hits, also by one that goes on to do something", async () => {
    const told: string[] = [];
    const slow = {
      ...fault(async () => undefined),
      harm: async (_scene: unknown, { name }: { name: string }, struck: () => void) => {
        if (name === "a") struck();
        told.push(name);
        return undefined;
      },
    };
    await strike({} as never, slow, () => told.push("struck"));
    assert.deepEqual(told.slice(0, 2), ["struck", "a"]);
    assert.equal(told.filter((one) => one === "struck").length, 3);
  });

  it("has nothing to mend where each mends itself", async () => {
    assert.equal(
      (
        await strike(
          {} as never,
          fault(async () => undefined),
          () => {},
        )
      ).mend,
      undefined,
    );
  });
});

describe("what is promised of a machine that is lost", () => {
  const member = (name: string, role: string, machine: string) => ({ name, role, machine });
  const members = {
    database: [member("db-1", "database", "node-1"), member("db-2", "database", "node-2")],
    quorum: [member("etcd-1", "quorum", "node-1"), member("etcd-2", "quorum", "node-2")],
    loadBalancer: [member("lb-1", "loadBalancer", "node-1")],
    brick: [member("brick-1", "brick", "node-2")],
    cache: [member("cache-1", "cache", "node-3")],
  };
  const tiers = { web: [member("web-1", "web", "node-4")] };
  const [primary, standby] = members.database;
  const scene = (etcdLeader = members.quorum[1]) =>
    ({
      stack: { topology: { members, tiers } },
      ...{ primary, standby, etcdLeader, active: members.loadBalancer[0] },
    }) as unknown as Scene;
  const lost = (name: string, promised: Promised, { isOfMachines = true } = {}): Fault =>
    ({
      promised,
      ...(isOfMachines && { isOfMachines }),
      hits: () =>
        Object.values({ ...members, ...tiers })
          .flat()
          .filter((one) => one.name === name),
    }) as unknown as Fault;
  const unnoticed = { reads: { seconds: 1, failed: 0 }, writes: { seconds: 1, failed: 0 } };

  it("is what is promised of whatever is on it", () => {
    const second = { reads: { seconds: 1 }, writes: { seconds: 1 } };
    assert.deepEqual(promisedAt(scene(), lost("cache-1", unnoticed)), unnoticed);
    assert.deepEqual(promisedAt(scene(), lost("lb-1", second)), {
      reads: { seconds: 1 },
      writes: { seconds: 23 },
    });
    assert.deepEqual(promisedAt(scene(members.quorum[0]), lost("lb-1", second)).writes, {
      seconds: 30,
    });
    assert.deepEqual(promisedAt(scene(), lost("etcd-2", unnoticed)), {
      reads: { seconds: 1, failed: 0 },
      writes: { seconds: 10, failed: 0 },
    });
    assert.deepEqual(promisedAt(scene(), lost("web-1", unnoticed)), second);
  });

  it("is the fault's own where the machine goes on", () => {
    const alone = lost("lb-1", unnoticed, { isOfMachines: false });
    assert.deepEqual(promisedAt(scene(), alone), unnoticed);
  });
});
