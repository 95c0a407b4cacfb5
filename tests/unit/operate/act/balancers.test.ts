import assert from "node:assert/strict";
import {
  backendOf,
  currentOf,
  drainCommands,
  isServing,
  readServers,
  readyCommands,
} from "../../../../operate/act/balancers.ts";
import { undrains } from "../../../../operate/act/drain.ts";
import { keepsBalancer, keepsInstances, keepsQuorum } from "../../../../operate/act/last.ts";
import { memberNamed, openStack } from "../../../../operate/stack.ts";

// What HAProxy 3.0 answered to `show stat`, its first 40 fields
const answer = `# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx
web,FRONTEND,,,0,6,3600,1020,261992,3360261,0,0,0,,,,,OPEN,,,,,,,,,1,5,0,,,,0,0,0,114,,,,0
storefront,storefront-1,0,0,0,4,200,605,39975,1418550,,0,,0,0,0,0,UP,1,1,0,4,2,271,12,,1,6,1,,605,,2,0,,64,* L7OK,0,4,0
storefront,storefront-2,0,0,0,3,200,605,39711,1455989,,0,,0,0,0,0,UP,1,1,0,0,0,385,0,,1,6,2,,605,,2,0,,64,* L7OK,0,95,0
storefront,BACKEND,0,0,0,4,1,1210,79686,2874539,0,0,,0,0,0,0,UP,2,2,0,,0,385,0,,1,6,0,,1210,,1,0,,128,,,,0
storefront_writes,storefront-1,0,0,0,2,200,211,93058,243491,,0,,0,0,0,0,UP,1,1,0,,,271,,,1,7,1,,211,storefront/storefront-1,2,0,,25,,,,0
storefront_writes,storefront-2,0,0,0,2,200,211,89248,242231,,0,,0,0,0,0,UP,1,1,0,,,385,,,1,7,2,,211,storefront/storefront-2,2,0,,26,,,,0
storefront_writes,BACKEND,0,0,0,2,1,422,182306,485722,0,0,,0,0,0,0,UP,2,2,0,,0,385,0,,1,7,0,,422,,1,0,,51,,,,0
primary,FRONTEND,,,4,7,4000,28,1249952,895957,0,0,0,,,,,OPEN,,,,,,,,,1,12,0,,,,0,0,0,6,,,,
primary,db-1,0,0,4,7,100,28,1249952,895957,,0,,0,17,0,0,UP,1,1,0,2,1,368,17,,1,14,1,,28,,2,0,,6,L7OK,200,9,
primary,db-2,0,0,0,0,100,0,0,0,,0,,0,0,0,0,DOWN,1,1,0,1,2,366,368,,1,14,2,,0,,2,0,,0,L7STS,503,108,
primary,BACKEND,0,0,4,7,800,28,1249952,895957,0,0,,0,17,0,0,UP,1,1,0,,1,368,1,,1,14,0,,28,,1,0,,6,,,,
standby,db-1,0,0,0,0,100,0,0,0,,0,,0,0,0,0,DOWN,1,1,0,2,1,367,367,,1,15,1,,0,,2,0,,0,L7STS,503,108,
standby,db-2,0,0,8,10,100,54,906585,1250869,,0,,0,37,0,0,UP,1,1,0,3,2,350,28,,1,15,2,,54,,2,0,,6,* L7OK,0,44,
standby,BACKEND,0,0,8,10,400,54,906585,1250869,0,0,,0,37,0,0,UP,1,1,0,,2,345,17,,1,15,0,,54,,1,0,,6,,,,`;

describe("load balancers", () => {
  const stack = openStack("dev");
  const members = (...names: string[]) => names.map((name) => memberNamed(stack, name));
  const servers = readServers(answer);
  const [first, second] = stack.topology.members.loadBalancer;
  assert.ok(first && second);
  /** Both say the same, with these servers' states in place of theirs. */
  const asked = (states: Readonly<Record<string, string>> = {}) => ({
    asked: [first, second].map((member) => ({
      member,
      servers: servers.map((one) => ({ ...one, status: states[one.name] ?? one.status })),
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
      { do: "start", members: ["lb-1"] },
    ]);
    assert.deepEqual(undrains(members("storefront-1"), asked()), [
      { do: "undrain", members: ["storefront-1"] },
    ]);
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

  it("W7: the last load balancer that answers is not taken", () => {
    keepsBalancer(members("lb-1"), asked());
    const alone = {
      asked: asked().asked.slice(0, 1),
      silent: [{ member: second, why: "container 0a1b is not running" }],
    };
    assert.throws(
      () => keepsBalancer(members("lb-1"), alone),
      /lb-1: no other load balancer could take .*lb-2: container 0a1b is not running/,
    );
    keepsBalancer(members("storefront-1"), alone);
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
