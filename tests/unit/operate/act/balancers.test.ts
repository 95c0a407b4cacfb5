import assert from "node:assert/strict";
import {
  backendOf,
  currentOf,
  drainCommands,
  isServing,
  readDrained,
  readServers,
  readyCommands,
} from "../../../../operate/act/balancers.ts";
import { undrains } from "../../../../operate/act/drain.ts";
import {
  keepsBalancer,
  keepsHealthy,
  keepsInstances,
  keepsQuorum,
} from "../../../../operate/act/last.ts";
import { memberNamed, openStack } from "../../../../operate/stack.ts";
import { showStat } from "../show-stat.ts";

describe("load balancers", () => {
  const stack = openStack("dev");
  const members = (...names: string[]) => names.map((name) => memberNamed(stack, name));
  const servers = readServers(showStat);
  const [first, second] = stack.topology.members.loadBalancer;
  assert.ok(first && second);
  /** Both say the same, with these servers' states in place of theirs. */
  const asked = (states: Readonly<Record<string, string>> = {}) => ({
    asked: [first, second].map((member) => ({
      member,
      servers: servers.map((one) => ({ ...one, status: states[one.name] ?? one.status })),
      drained: Object.keys(states).filter((name) => states[name] === "DRAIN"),
    })),
    silent: [],
  });

  it("O1: HAProxy's servers are read by its own names of the fields, and no frontends and backends", () => {
    assert.deepEqual(
      servers.filter(({ backend }) => backend === "storefront").map(({ name }) => name),
      ["storefront-1", "storefront-2"],
    );
    const primary = servers.find((one) => one.backend === "primary" && one.name === "db-1");
    assert.equal(primary?.status, "UP");
    assert.equal(primary?.check, "L7OK");
    assert.deepEqual(
      servers.filter((one) => one.backend === "standby" && isServing(one)).map((one) => one.name),
      ["db-2"],
    );
  });

  it("L2: one that drains, or waits for its second check, is told from one that serves", () => {
    const serves = (status: string) => isServing({ ...servers[0], status } as never);
    assert.deepEqual(
      ["UP", "UP 1/2", "no check", "DRAIN", "DOWN", "DOWN 1/2", "MAINT"].map(serves),
      [true, true, true, false, false, false, false],
    );
  });

  it("L2: what a member serves is counted over all that its tier has", () => {
    const [one] = members("storefront-1");
    assert.ok(one);
    const busy = asked();
    const all = busy.asked.map((balancer) => ({
      ...balancer,
      servers: balancer.servers.map((server) => ({ ...server, current: 1 })),
    }));
    assert.equal(currentOf({ asked: all, silent: [] }, one, /^storefront(_|$)/), 4);
  });

  it("L2: instances drain by the backend that the others follow, a standby by its reads", () => {
    assert.deepEqual(drainCommands(stack, members("storefront-1", "db-2", "etcd-1")), [
      "set server storefront/storefront-1 state drain",
      "set server standby/db-2 state drain",
    ]);
    assert.equal(backendOf(stack, memberNamed(stack, "cache-1")), undefined);
  });

  it("D3: a database gets its reads back, and its writes, which a switchover takes from it", () => {
    assert.deepEqual(readyCommands(stack, members("db-2")), [
      "set server primary/db-2 state ready",
      "set server standby/db-2 state ready",
    ]);
  });

  it("W6: undoing gives requests back to those that had them, and addresses to load balancers", () => {
    const named = members("storefront-1", "admin-1", "lb-1");
    assert.deepEqual(undrains(named, asked({ "storefront-1": "DRAIN" })), [
      { do: "undrain", members: ["admin-1", "lb-1"] },
    ]);
    assert.deepEqual(undrains(members("storefront-1"), asked()), [
      { do: "undrain", members: ["storefront-1"] },
    ]);
  });

  it("W9: one that is down without being drained gets its requests back once it is restarted", () => {
    assert.deepEqual(undrains(members("storefront-1"), asked({ "storefront-1": "DOWN" })), [
      { do: "undrain", members: ["storefront-1"] },
    ]);
  });

  it("L2: who is drained is read from HAProxy's states, whether it is up or down", () => {
    const head =
      "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight";
    const rows = [
      "5 storefront 1 storefront-1 172.28.11.41 2 0 1",
      "5 storefront 2 storefront-2 172.28.11.42 2 8 1",
      "6 standby 1 db-1 172.28.11.31 0 8 1",
      "6 standby 2 db-2 172.28.11.32 0 1 1",
      "7 admin 1 admin-1 172.28.11.51 2 40 1",
    ];
    assert.deepEqual(readDrained([head, ...rows, ""].join("\n")), [
      "storefront-2",
      "db-1",
      "admin-1",
    ]);
  });

  it("W7: an instance is not taken while the others do not answer, whatever HAProxy has noticed", () => {
    const named = members("storefront-1");
    keepsHealthy("storefront", named, ["storefront-1", "storefront-2"]);
    for (const healthy of [["storefront-1"], []])
      assert.throws(
        () => keepsHealthy("storefront", named, healthy),
        /^Error: storefront-1: no other instance of storefront is healthy: mend one first/,
      );
  });

  it("W9: one that serves nothing may be restarted, also where no other serves", () => {
    keepsInstances(
      stack,
      members("storefront-1"),
      asked({ "storefront-1": "DOWN", "storefront-2": "DRAIN" }),
    );
  });

  it("W7: the last instance that serves is not taken, one beside another is", () => {
    keepsInstances(stack, members("storefront-1"), asked());
    for (const state of ["DRAIN", "DOWN", "MAINT"])
      assert.throws(
        () => keepsInstances(stack, members("storefront-1"), asked({ "storefront-2": state })),
        /^Error: storefront-1: lb-1 has no other instance of storefront that serves/,
      );
    assert.throws(
      () => keepsInstances(stack, members("storefront-1", "storefront-2"), asked()),
      /no other instance/,
    );
  });

  it("W7: the last load balancer that could hold the addresses is not taken", () => {
    keepsBalancer(members("lb-1"), asked(), ["lb-1", "lb-2"]);
    keepsBalancer(members("lb-1"), asked(), ["lb-2"]);
    // Its HAProxy answers, and it is drained
    assert.throws(
      () => keepsBalancer(members("lb-1"), asked(), ["lb-1"]),
      /no other load balancer/,
    );
    const alone = { silent: [{ member: second, why: "container 0a1b is not running" }] };
    assert.throws(
      () => keepsBalancer(members("lb-1"), alone, ["lb-1"]),
      /lb-1: no other load balancer could take .*lb-2: container 0a1b is not running/,
    );
    keepsBalancer(members("storefront-1"), alone, []);
  });

  it("W7: etcd keeps its quorum", () => {
    const all = ["etcd-1", "etcd-2", "etcd-3"];
    keepsQuorum(stack, members("etcd-1"), all);
    // One that is down may be restarted: it takes nothing away
    keepsQuorum(stack, members("etcd-1"), ["etcd-2", "etcd-3"]);
    assert.throws(
      () => keepsQuorum(stack, members("etcd-1"), ["etcd-1", "etcd-2"]),
      /of 3 members of etcd 1 would be left healthy \(etcd-2\), and a quorum needs 2/,
    );
    keepsQuorum(stack, members("lb-1"), []);
  });
});
