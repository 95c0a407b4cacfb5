import assert from "node:assert/strict";
import fc from "fast-check";
import { culpritsOf } from "../../../../../operate/prove/check/culprits.ts";
import { checkRegister, checkRegisters } from "../../../../../operate/prove/check/linearizable.ts";
import { canHaveHappened } from "../../../../../operate/prove/check/search.ts";
import type { Operation } from "../../../../../operate/prove/history.ts";
import { drawnFrom } from "../../../../support/drawn.ts";
import {
  anyHistories,
  bentHistories,
  realHistories,
  type Step,
  seenBy,
} from "../../../../support/unit/registers.ts";

type Times = readonly [number, number];

/** Each by a client of its own, named by its place. */
const historyOf = (...some: readonly Partial<Operation>[]): Operation[] =>
  some.map((one, index) => ({
    ...{ kind: "read", client: `c${index + 1}`, key: "r", due: 0, began: 0, ended: 0 },
    ...{ outcome: "ok", ...one },
  }));

const at = ([began, ended]: Times) => ({ began, ended });
const read = (value: string | undefined, times: Times): Partial<Operation> => ({
  ...at(times),
  ...(value !== undefined && { value }),
});
const write = (value: string, times: Times): Partial<Operation> => ({
  ...{ ...at(times), kind: "write", value },
});
const change = (expected: string, value: string, times: Times) => ({
  ...write(value, times),
  expected,
});
const unknown = (one: Partial<Operation>) => ({ ...one, outcome: "unknown" as const });
const refused = (one: Partial<Operation>) => ({ ...one, outcome: "refused" as const });

const answerOf = (...some: readonly Partial<Operation>[]) => checkRegister(historyOf(...some));
const linearizable = { is: "linearizable" };

/** What the text says after the register's name. */
function whyNot(...some: readonly Partial<Operation>[]): string {
  const answer = answerOf(...some);
  assert.equal(answer.is, "not linearizable");
  return answer.why.replace("r: no order explains these: ", "");
}

describe("what clients saw of a register is linearizable", () => {
  it("where each read has the last value that was written", () => {
    assert.deepEqual(answerOf(), linearizable);
    assert.deepEqual(
      answerOf(
        read(undefined, [0, 1]),
        write("1", [2, 3]),
        read("1", [4, 5]),
        write("2", [6, 7]),
        read("2", [8, 9]),
      ),
      linearizable,
    );
  });

  it("where reads that run together with a write have the value before or after it", () => {
    assert.deepEqual(
      answerOf(write("1", [0, 9]), read(undefined, [1, 2]), read("1", [3, 4])),
      linearizable,
    );
    assert.deepEqual(
      answerOf(write("1", [0, 9]), write("2", [0, 9]), read("2", [1, 2]), read("1", [3, 4])),
      linearizable,
    );
  });

  it("where what begins at the moment at which another ends comes before it", () => {
    assert.deepEqual(answerOf(write("1", [0, 5]), read(undefined, [5, 6])), linearizable);
  });

  it("where a compare-and-set found what it expected", () => {
    assert.deepEqual(
      answerOf(write("1", [0, 1]), change("1", "2", [2, 3]), read("2", [4, 5])),
      linearizable,
    );
  });

  it("where a write without an answer took effect: at once, late, or never", () => {
    const doubtful = unknown(write("1", [0, 1]));
    assert.deepEqual(answerOf(doubtful, read("1", [2, 3])), linearizable);
    assert.deepEqual(answerOf(doubtful, read(undefined, [2, 3]), read("1", [4, 5])), linearizable);
    assert.deepEqual(answerOf(doubtful, read(undefined, [8, 9])), linearizable);
    assert.deepEqual(
      answerOf(doubtful, write("2", [2, 3]), read("2", [4, 5]), read("1", [6, 7])),
      linearizable,
    );
  });

  it("where a compare-and-set without an answer passed on what another such write wrote", () => {
    assert.deepEqual(
      answerOf(unknown(write("1", [0, 1])), unknown(change("1", "2", [0, 1])), read("2", [8, 9])),
      linearizable,
    );
  });

  it("where reads without an answer, and what was refused, would not fit", () => {
    assert.deepEqual(
      answerOf(
        write("1", [0, 1]),
        refused(write("2", [2, 3])),
        refused(change("1", "3", [2, 3])),
        unknown(read("4", [2, 3])),
        refused(read("5", [2, 3])),
        read("1", [4, 5]),
      ),
      linearizable,
    );
  });

  it("where a value comes back because it is written again", () => {
    assert.deepEqual(
      answerOf(
        ...[write("1", [0, 1]), write("2", [2, 3]), write("1", [4, 5]), read("1", [6, 7])],
        ...[write("2", [8, 9]), read("2", [10, 11])],
      ),
      linearizable,
    );
  });
});

describe("what clients saw of a register is not linearizable", () => {
  it("where an old value is read after a newer one was acknowledged", () => {
    assert.equal(
      whyNot(write("1", [0, 100]), write("2", [200, 300]), {
        ...read("1", [400, 500]),
        from: "db-2",
      }),
      'c1 wrote "1" (0.000 s to 0.100 s); c2 wrote "2" (0.200 s to 0.300 s); ' +
        'c3 read "1" (at db-2, 0.400 s to 0.500 s)',
    );
  });

  it("where an old value is read after a newer one was read, although its write still runs", () => {
    assert.equal(
      whyNot(
        ...[write("1", [0, 1]), write("2", [2, 9])],
        ...[read("2", [3, 4]), read("1", [5, 6])],
      ),
      'c1 wrote "1" (0.000 s to 0.001 s); c2 wrote "2" (0.002 s to 0.009 s); ' +
        'c3 read "2" (0.003 s to 0.004 s); c4 read "1" (0.005 s to 0.006 s)',
    );
  });

  it("where two readers see two writes in different orders", () => {
    assert.match(
      whyNot(
        ...[write("1", [0, 99]), write("2", [0, 99]), read("1", [10, 20]), read("2", [30, 40])],
        read("1", [50, 60]),
      ),
      /c3 read "1" .*c4 read "2" .*c5 read "1"/,
    );
  });

  it("where an acknowledged write is lost", () => {
    assert.equal(
      whyNot(write("1", [0, 1]), read(undefined, [2, 3])),
      'c1 wrote "1" (0.000 s to 0.001 s); c2 read nothing (0.002 s to 0.003 s)',
    );
  });

  it("where a value is read that nobody wrote, or only later", () => {
    assert.equal(
      whyNot(write("1", [0, 1]), read("7", [2, 3])),
      'c2 read "7" (0.002 s to 0.003 s); nobody wrote "7"',
    );
    assert.equal(
      whyNot(read("1", [0, 1]), write("1", [2, 3])),
      'c1 read "1" (0.000 s to 0.001 s); c2 wrote "1" (0.002 s to 0.003 s)',
    );
    assert.equal(
      whyNot(read("1", [0, 1]), unknown(write("1", [2, 3]))),
      'c1 read "1" (0.000 s to 0.001 s); c2 may have written "1" (since 0.002 s)',
    );
  });

  it("where a write took effect that was refused", () => {
    assert.equal(
      whyNot(refused(write("1", [0, 1])), read("1", [2, 3])),
      'c1 was refused to write "1" (0.000 s to 0.001 s); c2 read "1" (0.002 s to 0.003 s)',
    );
  });

  it("where a compare-and-set succeeded although the register had another value", () => {
    assert.equal(
      whyNot(write("1", [0, 1]), write("2", [2, 3]), change("1", "3", [4, 5])),
      'c1 wrote "1" (0.000 s to 0.001 s); c2 wrote "2" (0.002 s to 0.003 s); ' +
        'c3 changed "1" to "3" (0.004 s to 0.005 s)',
    );
  });

  it("where a compare-and-set succeeded, and a write must have come in between", () => {
    assert.equal(
      whyNot(
        ...[write("1", [0, 1]), write("9", [2, 8]), change("1", "2", [2, 8])],
        ...[read("2", [9, 10])],
      ),
      'c1 wrote "1" (0.000 s to 0.001 s); c2 wrote "9" (0.002 s to 0.008 s); ' +
        'c3 changed "1" to "2" (0.002 s to 0.008 s); c4 read "2" (0.009 s to 0.010 s)',
    );
  });

  it("where two compare-and-sets succeeded from one value: an update is lost", () => {
    assert.equal(
      whyNot(write("1", [0, 1]), change("1", "2", [2, 9]), change("1", "3", [2, 9])),
      'c1 wrote "1" (0.000 s to 0.001 s); c2 changed "1" to "2" (0.002 s to 0.009 s); ' +
        'c3 changed "1" to "3" (0.002 s to 0.009 s)',
    );
  });

  it("where a write without an answer took effect twice", () => {
    assert.match(
      whyNot(
        ...[unknown(write("1", [0, 1])), read("1", [2, 3]), write("2", [4, 5])],
        ...[read("2", [6, 7]), read("1", [8, 9])],
      ),
      /^c1 may have written "1" \(since 0.000 s\); c2 read "1" .*c5 read "1"/,
    );
  });
});

describe("the answer for a register", () => {
  it("is undecided where time is too short, and no guess", () => {
    assert.deepEqual(checkRegister(historyOf(write("1", [0, 1])), -1), { is: "undecided" });
  });

  it("is of its reads and writes only", () => {
    const standby = { ...read("7", [2, 3]), kind: "standby read" as const };
    assert.deepEqual(answerOf(write("1", [0, 1]), standby), linearizable);
  });

  it("is of each register by itself in a history of several", () => {
    const on = (key: string, one: Partial<Operation>) => ({ ...one, key });
    const history = historyOf(
      on("r1", write("1", [0, 1])),
      on("r2", read(undefined, [2, 3])),
      on("r1", read("1", [2, 3])),
      on("r3", read("9", [2, 3])),
      { kind: "entry", key: "r1", value: "5" },
    );
    assert.deepEqual(checkRegisters(history), {
      checked: { registers: 3, operations: 4 },
      violations: [
        {
          rule: "not linearizable",
          what: 'r3: no order explains these: c4 read "9" (0.002 s to 0.003 s); nobody wrote "9"',
        },
      ],
      undecided: [],
    });
    assert.deepEqual(checkRegisters(history, -1).undecided.toSorted(), ["r1", "r3"]);
  });
});

/** Two writes that were acknowledged one after the other, drawn from all such. */
function oneAfterTheOther(history: readonly Operation[], place: number): [Operation, Operation] {
  const writes = history.filter(({ kind, outcome }) => kind === "write" && outcome === "ok");
  const pairs = writes.flatMap((one) =>
    writes
      .filter((other) => one.ended < other.began)
      .map((other): [Operation, Operation] => [one, other]),
  );
  fc.pre(pairs.length > 0);
  return pairs[place % pairs.length] as [Operation, Operation];
}

/** Asserts that it is found, and that what was planted is told of. */
function assertFound(history: readonly Operation[], planted: string): void {
  const answer = checkRegister(history);
  assert.equal(answer.is, "not linearizable");
  assert.ok(answer.why.includes(planted), answer.why);
}

describe("of a real register that clients use at the same time", () => {
  const letters = fc.constantFrom("a", "b", "c");
  const about = { client: "planted", key: "register 1", due: 0, outcome: "ok" as const };
  const historyAndPlace = [realHistories(), fc.nat()] as const;

  it("every history is linearizable", () => {
    fc.assert(
      fc.property(fc.oneof(realHistories(), realHistories(letters)), (history) =>
        assert.deepEqual(checkRegister(history), linearizable),
      ),
      { numRuns: 1000 },
    );
  });

  it("a read of an old value after a newer one was acknowledged is found", () => {
    fc.assert(
      fc.property(...historyAndPlace, (history, place) => {
        const [old, newer] = oneAfterTheOther(history, place);
        const times = { began: newer.ended + 0.1, ended: newer.ended + 0.2 };
        const stale = { ...about, ...times, kind: "read" as const, value: old.value as string };
        assertFound([...history, stale], `planted read "${old.value}"`);
      }),
    );
  });

  it("a compare-and-set that found an old value is found", () => {
    fc.assert(
      fc.property(...historyAndPlace, (history, place) => {
        const [old, newer] = oneAfterTheOther(history, place);
        const times = { began: newer.ended + 0.1, ended: newer.ended + 0.2 };
        const wrong = { ...about, ...times, kind: "write" as const, value: "9" };
        assertFound(
          [...history, { ...wrong, expected: old.value as string }],
          `planted changed "${old.value}" to "9"`,
        );
      }),
    );
  });

  it("an acknowledged write that was lost is found, once somebody reads what was there before", () => {
    fc.assert(
      fc.property(realHistories(), (history) => {
        const end = Math.max(0, ...history.map(({ ended }) => ended)) + 100;
        const last = history.findLast(({ kind, outcome }) => kind === "read" && outcome === "ok");
        const lost = { ...about, kind: "write" as const, value: "9", began: end, ended: end + 1 };
        const before = last?.value === undefined ? {} : { value: last.value };
        const times = { began: end + 2, ended: end + 3 };
        const reader = { ...about, ...times, kind: "read" as const, ...before };
        assert.equal(checkRegister([...history, lost, reader]).is, "not linearizable");
      }),
    );
  });

  it("a value that nobody wrote is found", () => {
    fc.assert(
      fc.property(...historyAndPlace, (history, place) => {
        const reads = history.filter(({ kind, outcome }) => kind === "read" && outcome === "ok");
        fc.pre(reads.length > 0);
        const bent = reads[place % reads.length];
        assertFound(
          history.map((one) => (one === bent ? { ...one, value: "9" } : one)),
          'nobody wrote "9"',
        );
      }),
    );
  });
});

describe("operations that are told as those that contradict each other", () => {
  const without = (history: readonly Operation[], known: ReadonlySet<Operation>) =>
    history.map((one) =>
      one.outcome === "ok" && !known.has(one) ? { ...one, outcome: "unknown" as const } : one,
    );

  it("are enough for the contradiction, and each of them is needed", () => {
    let broken = 0;
    fc.assert(
      fc.property(fc.oneof(bentHistories(), anyHistories()), (history) => {
        // The more is in doubt, the more orders there are: some rare history takes minutes, as it may in a proof
        const deadline = performance.now() + 500;
        if (canHaveHappened(history, deadline) !== false) return;
        const { operations, areSome } = culpritsOf(history, deadline);
        const can = (known: readonly Operation[]) =>
          canHaveHappened(without(history, new Set(known)), deadline);
        const all = can(operations);
        const others = operations.map((one) => can(operations.filter((other) => other !== one)));
        if (performance.now() > deadline) return;
        broken += 1;
        assert.equal(areSome, false);
        assert.equal(all, false);
        for (const one of others) assert.equal(one, true);
      }),
      { numRuns: 500 },
    );
    assert.ok(broken > 100, `${broken}`);
  });

  it("are those by which it first became clear", () => {
    assert.equal(
      whyNot(
        ...[write("1", [0, 1]), write("2", [2, 3]), read("1", [4, 5])],
        ...[read("7", [6, 7]), read("1", [8, 9])],
      ),
      'c1 wrote "1" (0.000 s to 0.001 s); c2 wrote "2" (0.002 s to 0.003 s); ' +
        'c3 read "1" (0.004 s to 0.005 s)',
    );
  });

  it("are some of them where time is too short", () => {
    const history = historyOf(write("1", [0, 1]), read(undefined, [2, 3]));
    assert.deepEqual(culpritsOf(history, -1), { operations: [], areSome: true });
  });
});

describe("the checker of registers is fast", () => {
  /** Of the processor: others may be at work as well. */
  function millisecondsOf(act: () => void): number {
    const before = process.cpuUsage();
    act();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  }

  /** Two thousand operations of ten clients, ten of them writes without an answer. */
  function longHistory(does: readonly Step["does"][]): Operation[] {
    const draw = drawnFrom(1);
    const pick = <T>(...some: readonly T[]): T => some[Math.floor(draw() * some.length)] as T;
    const clients = Array.from({ length: 10 }, () =>
      Array.from({ length: 200 }, (_, index): Step => {
        const isDoubtful = index === 20;
        return {
          does: isDoubtful ? "write" : pick(...does),
          times: [draw() * 2, draw() * (draw() < 0.02 ? 500 : 5), draw() * 5],
          fate: isDoubtful ? pick("silent", "late", "lost") : "answered",
          isRight: draw() < 0.9,
        };
      }),
    );
    return seenBy(clients);
  }

  it("where many orders are possible, and none fits in the end", () => {
    const pairs = Array.from({ length: 40 }, (_, pair) => {
      const times: Times = [pair * 10, pair * 10 + 9];
      return ["a", "b"].flatMap((name) => {
        const value = `${name}${pair}`;
        return [write(value, times), read(value, times)];
      });
    });
    const history = [...pairs.flat(), read("7", [1000, 1001])];
    assert.match(whyNot(...history), /^c161 read "7" .*nobody wrote "7"$/);
  });

  it("where writes take long, and took effect late", () => {
    const short = Array.from({ length: 500 }, (_, index) => {
      const times: Times = [10 * index + 1, 10 * index + 9];
      return [write(`${index}`, times), read(`${index}`, times)];
    });
    const long = Array.from({ length: 9 }, (_, index) => {
      const begin = 6000 + 10 * index;
      return [write(`long ${index}`, [0, 7000]), read(`long ${index}`, [begin, begin + 5])];
    });
    const history = historyOf(...long.flat(), ...short.flat());
    const used = millisecondsOf(() => assert.deepEqual(checkRegister(history), linearizable));
    assert.ok(used < 500, `${used} ms`);
  });

  for (const [what, does] of [
    ["reads", ["read", "read", "read", "write", "write", "change"]],
    ["writes", ["read", "write", "write", "write", "write", "write"]],
    ["compare-and-sets", ["read", "write", "change", "change", "change", "change"]],
  ] as const)
    it(`for a long history with many ${what}, linearizable or not`, () => {
      const history = longHistory(does);
      assert.equal(history.length, 2000);
      assert.equal(history.filter(({ outcome }) => outcome === "unknown").length, 10);
      const good = millisecondsOf(() => assert.deepEqual(checkRegister(history), linearizable));
      assert.ok(good < 500, `${good} ms`);
      const reads = history.filter(({ kind }) => kind === "read");
      const [first, later] = [reads[100], reads[200]] as [Operation, Operation];
      const stale = { ...later, client: "planted", value: first.value as string };
      const bad = millisecondsOf(() =>
        assertFound([...history, stale], `planted read "${first.value}"`),
      );
      assert.ok(bad < 2500, `${bad} ms`);
    });
});
