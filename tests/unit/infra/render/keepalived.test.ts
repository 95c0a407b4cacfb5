import assert from "node:assert/strict";
import {
  keepalivedNotify,
  loadBalancerHealth,
  renderKeepalived,
  renderKeepalivedStart,
} from "../../../../infra/render/keepalived.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";

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
    assert.equal(renderKeepalivedStart(first(topology.loadBalancers)), start);
  });
});

describe("keepalived's notify script", () => {
  it("L4: keeps the pair's state where the health check reads it", () => {
    assert.equal(keepalivedNotify, '#!/bin/sh -eu\necho "$3" > /run/hastack/keepalived-state\n');
  });
});

describe("health of a load balancer", () => {
  it("L2: is HAProxy here, keepalived without trouble, and the site at the virtual address", () => {
    assert.equal(
      loadBalancerHealth(planWith().topology),
      [
        "curl -fsS --max-time 2 http://127.0.0.1:8404/healthz > /dev/null",
        "grep -Ex 'MASTER|BACKUP' /run/hastack/keepalived-state",
        "curl -fsS --max-time 2 http://10.1.0.100:80/api/live",
      ].join(" && "),
    );
  });
});

const whole = `include /run/hastack/keepalived-interfaces.conf

global_defs {
  vrrp_version 3
  script_user root
  enable_script_security
}

# HAProxy lives when it accepts a connection on its socket
vrrp_script haproxy {
  script "/usr/bin/socat -u OPEN:/dev/null UNIX-CONNECT:/run/haproxy/admin.sock"
  interval 1
  timeout 1
  fall 1
  rise 2
}

vrrp_sync_group together {
  group {
    frontend
    backend
  }
  notify /etc/hastack/bin/keepalived-notify
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

const start = `#!/bin/sh -eu
# keepalived wants names of interfaces; which one has which address is known only here
name_of() {
  ip -oneline -4 address show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'
}
install -d -m 0755 /run/hastack
rm -f /run/hastack/keepalived-state
{
  echo "\\$FRONTEND_INTERFACE=$(name_of 10.1.0.11)"
  echo "\\$BACKEND_INTERFACE=$(name_of 10.2.0.11)"
} > /run/hastack/keepalived-interfaces.conf
exec keepalived "$@"
`;
