import assert from "node:assert/strict";
import {
  keepalivedNotify,
  loadBalancerHealth,
  renderKeepalived,
  renderKeepalivedStart,
} from "../../../../infra/render/keepalived.ts";
import { until } from "../../../../scripts/lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { describeStack, workloadOf } from "../../../support/unit/stack.ts";

function rendered(index: number, changes: Readonly<Record<string, unknown>> = {}): string {
  const { settings, topology } = planWith(changes);
  const self = topology.loadBalancers[index];
  if (!self) throw new Error(`there is no load balancer ${index}`);
  return renderKeepalived(settings, topology, self);
}

describe("keepalived.conf", () => {
  it("L4: is this for the second load balancer", () => {
    assert.equal(rendered(1), whole);
  });

  it("L4: gives each load balancer a priority of its own, the first the highest", () => {
    const priorities = [0, 1, 2].map((index) =>
      rendered(index, { members: { loadBalancer: 3 } }).match(/priority \d+/g),
    );
    assert.deepEqual(priorities, [
      ["priority 150", "priority 150"],
      ["priority 149", "priority 149"],
      ["priority 148", "priority 148"],
    ]);
  });

  it("L4: names every other load balancer as peer, and not itself", () => {
    const text = rendered(1, { members: { loadBalancer: 3 } });
    const peers = [...text.matchAll(/unicast_peer \{\n([^}]*)\}/g)].map(([, list = ""]) =>
      list.trim().split(/\s+/),
    );
    assert.deepEqual(peers, [
      ["10.1.0.11", "10.1.0.13"],
      ["10.2.0.11", "10.2.0.13"],
    ]);
  });

  it("L4: takes the adverts' interval from the settings, for both networks", () => {
    const text = rendered(0, { loadBalancer: { advertSeconds: 1.5 } });
    assert.deepEqual(text.match(/advert_int .*/g), ["advert_int 1.5", "advert_int 1.5"]);
  });

  it("L4: gives the virtual address the prefix length of its subnet", () => {
    const text = rendered(0, {
      network: {
        frontend: { subnet: "10.1.0.0/16", vip: "10.1.0.100" },
        backend: { subnet: "10.2.0.0/24", vip: "10.2.0.100" },
      },
    });
    assert.deepEqual(text.match(/10\.\d\.0\.100.*/g), ["10.1.0.100/16", "10.2.0.100/24"]);
  });

  it("L4: holds no secret: VRRP version 3 has none", () => {
    assert.doesNotMatch(rendered(0), /@\{|auth/);
  });
});

describe("keepalived's start", () => {
  it("L4: finds the interfaces by the member's own addresses, then becomes keepalived", () => {
    const { topology } = planWith();
    assert.equal(renderKeepalivedStart(first(topology.loadBalancers)), startScript);
  });
});

describe("keepalived's start, with the real keepalived", function () {
  this.timeout(30_000);
  const state = "/run/hastack/keepalived-state";
  let machine: Container;

  before(async function () {
    this.timeout(600_000);
    const workload = workloadOf(await describeStack(), "lb-1");
    machine = await start(await imageFor(workload), "keepalived", {
      arguments: ["--cap-add=NET_ADMIN"],
    });
    await machine.run("ip link add pretend type veth peer name pretend-end");
    for (const address of ["10.1.0.11", "10.2.0.11"]) {
      await machine.run(`ip address add ${address}/24 dev pretend`);
    }
    await machine.run("ip link set pretend up; install -d /srv/files/bin /run/hastack");
    for (const { path, content, mode = "0644" } of workload.files) {
      if (!path.includes("keepalived")) continue;
      await machine.run(`cat > /srv/files/${path} && chmod ${mode} /srv/files/${path}`, content);
    }
  });
  after(() => machine?.remove());

  /** Runs it in the files' folder, after a keepalived that was the master. */
  const startWith = (words: string) =>
    machine.attempt(`echo MASTER > ${state}; cd /srv/files && bin/keepalived-start ${words}`);

  it("L4: accepts the file, and leaves alone what the running keepalived has told", async () => {
    const { code, stderr } = await startWith("--config-test --log-console");
    assert.equal(code, 0, stderr);
    assert.equal(await machine.run(`cat ${state}`), "MASTER");
  });

  it("L4: tells keepalived its interfaces, and the folder it was started in", async () => {
    assert.equal(
      await machine.run("cat /run/hastack/keepalived-places.conf"),
      "$FILES=/srv/files\n$FRONTEND_INTERFACE=pretend\n$BACKEND_INTERFACE=pretend",
    );
  });

  it("L4: forgets what an earlier keepalived has told when it really starts", async () => {
    assert.equal((await startWith("--version")).code, 0);
    assert.notEqual((await machine.attempt(`test -e ${state}`)).code, 0);
  });

  it("L4: has keepalived find the script that it tells its state to", async () => {
    // No HAProxy runs here: keepalived is in trouble, and says so
    await machine.run(
      "cd /srv/files; bin/keepalived-start --dont-fork --log-console > /tmp/log 2>&1 & echo $! > /tmp/pid",
    );
    await until("keepalived tells its state", {
      probe: () => machine.run(`cat ${state} /tmp/log 2>&1 || :`),
      done: (text) => text.startsWith("FAULT\n"),
      describe: (text) => text,
      limitSeconds: 10,
    });
    assert.doesNotMatch(
      await machine.run("cat /tmp/log"),
      /unsafe|Disabling|Unable to access script/i,
    );
  });

  it("L4: leaves that alone too while a new file is checked", async () => {
    const before = await machine.run(`stat -c %y ${state}`);
    const { code, stderr } = await machine.attempt(
      "cd /srv/files && bin/keepalived-start --config-test",
    );
    assert.equal(code, 0, stderr);
    assert.equal(await machine.run(`stat -c %y ${state}`), before);
  });
});

describe("keepalived's notify script", () => {
  it("L4: keeps the pair's state where the health check reads it", () => {
    assert.equal(keepalivedNotify, '#!/bin/sh -eu\necho "$3" > /run/hastack/keepalived-state\n');
  });
});

describe("health of a load balancer", () => {
  it("L2, L8: is HAProxy here with this file, keepalived without trouble, and the site at the virtual address", () => {
    assert.equal(
      loadBalancerHealth(
        planWith().topology,
        "global\n  description configuration 0123\n  maxconn 1",
      ),
      [
        "curl -fsS --max-time 2 http://127.0.0.1:8404/healthz > /dev/null",
        "echo 'show info' | socat -t 1 - UNIX-CONNECT:/run/haproxy/admin.sock | grep -Fx 'description: configuration 0123'",
        "grep -Ex 'MASTER|BACKUP' /run/hastack/keepalived-state",
        "curl -fsS --max-time 2 http://10.1.0.100:80/api/live",
      ].join(" && "),
    );
  });
});

const whole = `include /run/hastack/keepalived-places.conf

global_defs {
  vrrp_version 3
  script_user root
  enable_script_security
}

# HAProxy lives when it accepts a connection on its socket
vrrp_script haproxy {
  script "/usr/bin/socat -u OPEN:/dev/null UNIX-CONNECT:/run/haproxy/admin.sock"
  interval 0.25
  timeout 1
  fall 1
  rise 2
}

vrrp_sync_group together {
  group {
    frontend
    backend
  }
  notify \${FILES}/bin/keepalived-notify
}

vrrp_instance frontend {
  state BACKUP
  interface $FRONTEND_INTERFACE
  virtual_router_id 51
  priority 149
  nopreempt
  advert_int 0.2
  unicast_src_ip 10.1.0.12
  unicast_peer {
    10.1.0.11
  }
  virtual_ipaddress {
    10.1.0.100/24
  }
  track_script {
    haproxy
  }
}

vrrp_instance backend {
  state BACKUP
  interface $BACKEND_INTERFACE
  virtual_router_id 52
  priority 149
  nopreempt
  advert_int 0.2
  unicast_src_ip 10.2.0.12
  unicast_peer {
    10.2.0.11
  }
  virtual_ipaddress {
    10.2.0.100/24
  }
  track_script {
    haproxy
  }
}
`;

const startScript = `#!/bin/sh -eu
# keepalived wants names of interfaces; which one has which address is known only here
name_of() {
  ip -oneline -4 address show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'
}
install -d -m 0755 /run/hastack
case " $* " in *" --config-test "*) ;; *) rm -f /run/hastack/keepalived-state ;; esac
{
  echo "\\$FILES=$PWD"
  echo "\\$FRONTEND_INTERFACE=$(name_of 10.1.0.11)"
  echo "\\$BACKEND_INTERFACE=$(name_of 10.2.0.11)"
} > /run/hastack/keepalived-places.conf
exec keepalived --use-file="$PWD/keepalived.conf" "$@"
`;
