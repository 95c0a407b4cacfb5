import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { renderKeepalivedStart } from "../../../../infra/render/keepalived.ts";
import { until } from "../../../../lib/until.ts";
import { promises, slack } from "../../../support/promises.ts";
import {
  type LoadBalancerName,
  LoadBalancerPair,
  loadBalancers,
} from "../../../support/unit/load-balancer-pair.ts";

/** A second at most in which both have an address while one still gives it up. */
const shortSeconds = 0.3;

describe("a pair of load balancers", function () {
  this.timeout(60_000);
  let pair: LoadBalancerPair;

  before(async function () {
    this.timeout(600_000);
    pair = await LoadBalancerPair.start();
  });
  after(() => pair?.remove());

  const other = (name: LoadBalancerName) => (name === "lb-1" ? "lb-2" : "lb-1");
  const vip = (network: "frontend" | "backend") => pair.stack.settings.network[network].vip;

  /** Waits until both load balancers may take the addresses. */
  const ready = () =>
    until("both tell a state without trouble", {
      probe: () =>
        Promise.all(
          loadBalancers.map((one) => pair.on(one).run("cat /run/hastack/keepalived-state")),
        ),
      done: (states) => states.toSorted().join() === "BACKUP,MASTER",
      limitSeconds: 15,
    });
  beforeEach(ready);

  it("L4: moves both addresses away from a HAProxy that hangs, and takes it in again", async () => {
    const holder = await pair.holder();
    const seen = await pair.seen(() => pair.on(holder).run("pkill -STOP haproxy"));
    await pair.on(holder).run("pkill -CONT haproxy");
    assert.equal(await pair.holder(), other(holder));
    assert.equal(seen.bothSeconds, 0);
    assertWithin(seen.gapSeconds, promises.loadBalancerHung.reads);
  });

  it("L4: hears its network again by itself when that was taken off and put back", async () => {
    const holder = await pair.holder();
    const seen = await pair.seen(() => pair.reconnect(holder));
    assert.equal(await pair.holder(), other(holder));
    assertWithin(seen.gapSeconds, promises.loadBalancerHung.reads);
    const url = `http://${pair.member(holder).frontend}/`;
    await until("HAProxy answers in the new network", {
      probe: () => pair.on("client").run(`curl -s -m 1 -o /dev/null -w '%{http_code}' ${url} || :`),
      done: (status) => status !== "000",
      limitSeconds: 15,
    });
  });

  it("L4: moves them nowhere while HAProxy's master and workers reload again and again", async () => {
    const holder = await pair.holder();
    const { taken } = await pair.seen(async () => {
      const reload = "s6-svc -2 /etc/hastack/services/haproxy; sleep 0.5; ";
      await pair.on(holder).run(reload.repeat(8));
    }, 1);
    assert.equal(taken, 0);
    assert.equal(await pair.holder(), holder);
  });

  it("L4: takes the addresses off when keepalived is killed, before the other one has them", async () => {
    const holder = await pair.holder();
    const seen = await pair.seen(() => pair.on(holder).run("pkill -KILL keepalived"));
    assert.equal(await pair.holder(), other(holder));
    assert.ok(seen.bothSeconds <= shortSeconds, `both held them for ${seen.bothSeconds} s`);
    assertWithin(seen.gapSeconds, promises.loadBalancerLost.reads);
  });

  it("L4: starts without the addresses that were left behind, and waits for its own", async () => {
    const holder = await pair.holder();
    const backup = other(holder);
    const own = pair.member(backup).backend;
    const network = await pair.interface(backup, "backend");
    await pair.on(backup).run(
      `s6-svc -wd -d /etc/hastack/services/keepalived
ip address add ${vip("backend")}/24 dev ${network}
ip address del ${own}/24 dev ${network}
s6-svc -u /etc/hastack/services/keepalived`,
    );
    await until("it says what it waits for", {
      probe: () => pair.on(backup).run("cat /tmp/log"),
      done: (log) => log.includes(`no interface has ${own}`),
      limitSeconds: 10,
    });
    assert.deepEqual(await pair.holders("backend"), [holder]);
    await pair.on(backup).run(`ip address add ${own}/24 dev ${network}`);
    await ready();
    assert.equal(await pair.holder(), holder);
  });

  it("L4: has one holder while an own address is away, and after it came back", async () => {
    const away = [
      ["frontend", "lb-1"],
      ["backend", "lb-1"],
      ["backend", "lb-2"],
    ] as const;
    for (const [network, name] of away) {
      const device = await pair.interface(name, network);
      const own = pair.member(name)[network];
      const seen = await pair.seen(async () => {
        await pair.on(name).run(`ip address del ${own}/24 dev ${device}`);
        await until(`${name} is in trouble`, {
          probe: () => pair.on(name).run("cat /run/hastack/keepalived-state"),
          done: (state) => state === "FAULT",
          limitSeconds: 5,
        });
        await sleep(1000);
        await pair.on(name).run(`ip address add ${own}/24 dev ${device}`);
      }, 0);
      assert.equal(seen.bothSeconds, 0, `${name}, ${network}`);
      await ready();
      await pair.holder();
    }
  });

  it("L4: has one holder of both after somebody removed one, and while a network is taken off", async () => {
    const holder = await pair.holder();
    const device = await pair.interface(holder, "frontend");
    await pair.on(holder).run(`ip address del ${vip("frontend")}/32 dev ${device}`);
    await ready();
    const next = await pair.holder();
    const link = await pair.interface(next, "frontend");
    await pair.on(next).run(`ip link set ${link} down`);
    await pair.holder(other(next));
    await pair.on(next).run(`ip link set ${link} up`);
    await ready();
    await pair.holder();
  });

  it("N1: refuses adverts that are forged with another address, or come by a router", async () => {
    const holder = await pair.holder();
    const { backend } = pair.member(holder);
    const peer = pair.member(other(holder)).backend;
    const stranger = backend.replace(/\d+$/, "50");
    for (const [from, ttl] of [
      [stranger, 255],
      [stranger, 60],
      [peer, 60],
    ] as const) {
      const { taken } = await pair.seen(() => forge(from, backend, ttl), 0);
      assert.equal(taken, 0, `from ${from} with TTL ${ttl}`);
      assert.equal(await pair.holder(), holder);
    }
  });

  it("N1: cannot tell an advert that is forged with the peer's address in its own network", async () => {
    const holder = await pair.holder();
    await forge(pair.member(other(holder)).backend, pair.member(holder).backend, 255);
    await pair.holder(other(holder));
  });

  it("L4: sees that two hold an address at once, and names both", async () => {
    const holder = await pair.holder();
    const backup = other(holder);
    const look = (name: LoadBalancerName) => {
      const { command = "" } =
        pair.stack.workloads.find(({ host }) => host.name === name)?.health ?? {};
      const check = command.split(" && ").filter((one) => one.startsWith("bin/one-holder"));
      assert.equal(check.length, 2);
      return pair.on(name).attempt(`cd /etc/hastack && ${check.join(" && ")}`);
    };
    for (const name of loadBalancers) assert.equal((await look(name)).code, 0);
    const device = await pair.interface(backup, "backend");
    await pair.on(backup).run(`ip address add ${vip("backend")}/32 dev ${device}`);
    for (const name of loadBalancers) {
      const { code, stderr } = await look(name);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`^lb-1 and lb-2 hold ${vip("backend")} at once`));
    }
    await pair.on(backup).run(`ip address del ${vip("backend")}/32 dev ${device}`);
  });

  it("L4: has one holder beside a load balancer with an instance for each network, whoever holds them", async () => {
    const former = (name: LoadBalancerName) => ({
      "keepalived.conf": formerConfiguration(name),
      // Another start script: it starts anew, as with the release before
      "bin/keepalived-start": `${renderKeepalivedStart(pair.member(name))}# before\n`,
    });
    const parts = await pair.seen(async () => {
      for (const name of loadBalancers) await pair.place(name, former(name));
      await ready();
      await pair.place("lb-1");
      await ready();
    }, 1);
    assert.equal(parts.bothSeconds, 0);
    for (const name of ["lb-2", "lb-1"] as const) {
      const change = await pair.seen(() =>
        pair.on(other(name)).run("s6-svc -r /etc/hastack/services/keepalived"),
      );
      assert.equal(await pair.holder(), name);
      assert.equal(change.bothSeconds, 0);
      assertWithin(change.gapSeconds, promises.loadBalancerLost.reads);
      await ready();
    }
    const rest = await pair.seen(() => pair.place("lb-2"));
    assert.equal(rest.bothSeconds, 0);
    await pair.holder("lb-1");
  });

  /** Sends forged adverts for a second and a half. */
  function forge(from: string, to: string, ttl: number): Promise<string> {
    return pair.on("client").run(`perl /advert.pl ${from} ${to} 52 ${ttl} 1.5 ${vip("backend")}`);
  }

  /** What a load balancer of the release before has: an instance for each network, in a group. */
  function formerConfiguration(name: LoadBalancerName): string {
    const [self, peer] = [pair.member(name), pair.member(other(name))];
    const instance = (network: "frontend" | "backend", id: number) => `vrrp_instance ${network} {
  state BACKUP
  interface $${network.toUpperCase()}_INTERFACE
  virtual_router_id ${id}
  priority ${name === "lb-1" ? 150 : 149}
  nopreempt
  advert_int 0.2
  unicast_src_ip ${self[network]}
  unicast_peer {
    ${peer[network]}
  }
  virtual_ipaddress {
    ${vip(network)}/24
  }
}
`;
    return `global_defs {
  vrrp_version 3
  script_user root
  enable_script_security
}
vrrp_sync_group together {
  group {
    frontend
    backend
  }
  notify \${FILES}/bin/keepalived-notify
}
${instance("frontend", 51)}${instance("backend", 52)}`;
  }
});

function assertWithin(seconds: number, promised: number): void {
  assert.ok(seconds <= promised * slack, `the client had no answer for ${seconds} s`);
}
