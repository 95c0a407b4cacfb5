import assert from "node:assert/strict";
import { eventIn, stagesOf } from "../../../../operate/prove/events.ts";

const since = Date.parse("2026-11-28T10:00:00Z");

/** What the line of a log tells, as `PROGRAM: TEXT`. */
const told = (text: string): string | undefined => {
  const event = eventIn({ name: "one", time: "2026-11-28T10:00:01.500000000Z", text }, since);
  return event && `${event.at} ${event.program}: ${event.text}`;
};

describe("lines of a log", () => {
  it("tell of changes, each of its program", () => {
    assert.equal(
      told("2026-11-28 10:00:01,500 INFO: promoted self to leader by acquiring session lock"),
      "1.5 Patroni: promoted self to leader by acquiring session lock",
    );
    assert.equal(
      told("2026-11-28 10:00:01.500 UTC [27] LOG:  received promote request"),
      "1.5 PostgreSQL: received promote request",
    );
    assert.equal(
      told(
        'Server primary/db-2 is DOWN, reason: Layer7 wrong status, code: 503, info: "Service Unavailable", check duration: 54ms. 1 active and 0 backup servers left.',
      ),
      '1.5 HAProxy: Server primary/db-2 is DOWN, reason: Layer7 wrong status, code: 503, info: "Service Unavailable", check duration: 54ms',
    );
    assert.equal(
      told("Sat Nov 28 10:00:01 2026: (pair) Entering MASTER STATE"),
      "1.5 keepalived: (pair) Entering MASTER STATE",
    );
    assert.equal(
      told('{"level":"info","msg":"8819aac7bdea7856 became leader at term 3"}'),
      "1.5 etcd: 8819aac7bdea7856 became leader at term 3",
    );
  });

  it("tell nothing where all is as before", () => {
    for (const text of [
      "2026-11-28 10:00:01,500 INFO: no action. I am (db-1), the leader with the lock",
      "2026-11-28 10:00:01,500 INFO: Lock owner: db-1; I am db-1",
      "172.29.11.121:54664 [28/Nov/2026:10:00:01.500] primary primary/db-1 1/0/80 2345 CD 29/13/28/15/0 0/0",
      '{"level":"warn","msg":"leader failed to send out heartbeat on time; took too long"}',
    ])
      assert.equal(told(text), undefined, text);
  });
});

describe("the stages of an outage", () => {
  const at = (seconds: number, program: "HAProxy" | "Patroni" | "PostgreSQL", text: string) => ({
    ...{ at: seconds, member: "one", program, text },
  });

  it("are seconds since the fault, each from the first line that tells of it", () => {
    const events = [
      at(3, "HAProxy", "Server primary/db-1 is UP"),
      at(5.6, "HAProxy", "Server primary/db-1 is DOWN, reason: Layer4 timeout"),
      at(25.1, "Patroni", "promoted self to leader by acquiring session lock"),
      at(25.2, "PostgreSQL", "received promote request"),
      at(25.9, "HAProxy", "Server primary/db-2 is UP"),
      at(40, "HAProxy", "Server primary/db-1 is DOWN, reason: Layer4 timeout"),
    ];
    assert.deepEqual(
      stagesOf(events, 5, 26).map(({ name, seconds }) => `${name} ${seconds.toFixed(1)}`),
      ["noticed 0.6", "decided 20.1", "promoted 20.2", "rerouted 20.9", "first success 21.0"],
    );
  });

  it("are none that came after it was over", () => {
    const events = [at(30, "HAProxy", "Server primary/db-1 is DOWN, reason: Layer4 timeout")];
    assert.deepEqual(stagesOf(events, 5, 6), [{ name: "first success", seconds: 1 }]);
  });
});
