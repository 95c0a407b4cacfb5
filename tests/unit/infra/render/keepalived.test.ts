import assert from "node:assert/strict";
import {
  keepalivedNotify,
  loadBalancerHealth,
  renderKeepalived,
  renderKeepalivedStart,
} from "../../../../infra/render/keepalived.ts";
import { until } from "../../../../lib/until.ts";
import { makeCertificate, pemOf } from "../../../support/certificates.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { describeStack, workloadOf } from "../../../support/unit/stack.ts";

function rendered(index: number, changes: Readonly<Record<string, unknown>> = {}): string {
  const { settings, topology } = planWith(changes);
  const self = topology.members.loadBalancer[index];
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
    assert.equal(renderKeepalivedStart(first(topology.members.loadBalancer)), startScript);
  });
});

describe("keepalived's start, with the real keepalived", function () {
  this.timeout(30_000);
  const state = "/run/hastack/keepalived-state";
  const places = "/run/hastack/keepalived.conf";
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
    assert.equal(
      await machine.run("ls /run/hastack /tmp"),
      "/run/hastack:\nkeepalived-state\n\n/tmp:",
    );
  });

  it("W5: refuses a file that keepalived cannot take", async () => {
    const { code, stdout, stderr } = await machine.attempt(
      "cp -r /srv/files /tmp/bad; cd /tmp/bad; sed -i s/priority/priotity/ keepalived.conf; bin/keepalived-start --config-test --log-console",
    );
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /Unknown keyword 'priotity'/);
    assert.equal(await machine.run("rm -r /tmp/bad; ls /tmp"), "");
  });

  it("L4: forgets what an earlier keepalived has told when it really starts", async () => {
    assert.equal((await startWith("--version")).code, 0);
    assert.notEqual((await machine.attempt(`test -e ${state}`)).code, 0);
  });

  it("L4: tells keepalived its interfaces, and the folder it was started in", async () => {
    assert.equal(
      await machine.run(`cat ${places}`),
      "$FILES=/srv/files\n$FRONTEND_INTERFACE=pretend\n$BACKEND_INTERFACE=pretend\ninclude /srv/files/keepalived.conf",
    );
  });

  it("L4: has keepalived find the script that it tells its state to", async () => {
    // No HAProxy runs here: keepalived is in trouble, and says so
    await machine.run(
      "cd /srv/files; bin/keepalived-start --dont-fork --log-console > /tmp/log 2>&1 & echo $! > /tmp/pid",
    );
    await told("FAULT");
    assert.doesNotMatch(
      await machine.run("cat /tmp/log"),
      /unsafe|Disabling|Unable to access script/i,
    );
  });

  it("L4: leaves that alone too while a new file is checked in its own folder", async () => {
    const stamps = () => machine.run(`stat -c '%n %y' ${state} ${places}`);
    const before = await stamps();
    const { code, stdout, stderr } = await machine.attempt(
      "cp -r /srv/files /tmp/new && mv /tmp/new /srv/files/.new && cd /srv/files/.new && bin/keepalived-start --config-test --log-console",
    );
    assert.equal(code, 0, stdout + stderr);
    assert.equal(await stamps(), before);
  });

  it("L8: reads its own folder's new file when it is told to, with the new one's folder gone", async () => {
    await machine.run(
      `rm -r /srv/files/.new
sed -i 's/priority 150/priority 42/' /srv/files/keepalived.conf
kill -HUP $(cat /tmp/pid)`,
    );
    await until("keepalived has read its file again", {
      probe: () => machine.run("cat /tmp/log"),
      done: (text) => text.includes("Reload complete"),
      limitSeconds: 10,
    });
    await machine.run("kill -USR1 $(cat /tmp/pid)");
    const data = await until("keepalived shows what it works by", {
      probe: () => machine.run("cat /tmp/keepalived.data 2> /dev/null || :"),
      done: (text) => text.includes("Priority"),
      limitSeconds: 10,
    });
    assert.match(data, /Priority = 42/);
    assert.doesNotMatch(await machine.run("cat /tmp/log"), /Unable to access script|No such file/i);
  });

  /** Waits until the pair's state is told. */
  function told(wanted: string): Promise<string> {
    return until("keepalived tells its state", {
      probe: () => machine.run(`cat ${state} /tmp/log 2>&1 || :`),
      done: (text) => text.startsWith(`${wanted}\n`),
      describe: (text) => text,
      limitSeconds: 10,
    });
  }
});

describe("keepalived's notify script", () => {
  it("L4: keeps the pair's state where the health check reads it", () => {
    assert.equal(keepalivedNotify, '#!/bin/sh -eu\necho "$3" > /run/hastack/keepalived-state\n');
  });
});

describe("health of a load balancer", () => {
  const health = (
    changes: Readonly<Record<string, unknown>> = {},
    path: string | undefined = "/api/health",
  ) => {
    const { settings, topology } = planWith(changes);
    const configuration = "global\n  description configuration 0123\n  maxconn 1";
    return loadBalancerHealth(
      settings,
      topology,
      first(topology.members.loadBalancer),
      configuration,
      path,
    );
  };
  const before = [
    "curl -fsS --max-time 2 http://127.0.0.1:8404/healthz > /dev/null",
    "echo 'show info' | socat -t 1 - UNIX-CONNECT:/run/haproxy/admin.sock | grep -Fx 'description: configuration 0123'",
    "grep -Ex 'MASTER|BACKUP' /run/hastack/keepalived-state",
  ];
  const after =
    "curl -fsS --max-time 2 --insecure --location http://10.1.0.100:80/api/health > /dev/null";

  it("L2, L8: is HAProxy here with this file, keepalived without trouble, and the site at the virtual address", () => {
    assert.equal(health(), [...before, after].join(" && "));
  });

  it("L9: with a certificate is the site by HTTPS here too, whatever the other one serves", async () => {
    const certificate = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
    const here = "curl -fsS --max-time 2 --insecure https://10.1.0.11:443/api/health > /dev/null";
    assert.equal(health({ certificate }), [...before, here, after].join(" && "));
  });
});

const whole = `global_defs {
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
places() {
  echo "\\$FILES=$PWD"
  echo "\\$FRONTEND_INTERFACE=$(name_of 10.1.0.11)"
  echo "\\$BACKEND_INTERFACE=$(name_of 10.2.0.11)"
  echo "include $PWD/keepalived.conf"
}
case " $* " in *" --config-test "*)
  tested=$(mktemp)
  trap 'rm -f "$tested"' EXIT
  places > "$tested"
  keepalived --use-file="$tested" "$@"
  exit
  ;;
esac
install -d -m 0755 /run/hastack
rm -f /run/hastack/keepalived-state
places > /run/hastack/keepalived.conf
exec keepalived --use-file=/run/hastack/keepalived.conf "$@"
`;
