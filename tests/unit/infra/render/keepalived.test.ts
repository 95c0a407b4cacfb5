import assert from "node:assert/strict";
import { numbersOfInterfaces } from "../../../../infra/render/interfaces.ts";
import {
  keepalivedNotify,
  loadBalancerHealth,
  renderHaproxyAnswers,
  renderKeepalived,
  renderKeepalivedEnd,
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
    assert.deepEqual(priorities, [["priority 150"], ["priority 149"], ["priority 148"]]);
  });

  it("L4, N1: hears every other load balancer, and nobody from further away", () => {
    const text = rendered(1, { members: { loadBalancer: 3 } });
    const [, peers = ""] = text.match(/unicast_peer \{\n([^}]*)\}/) ?? [];
    assert.deepEqual(
      peers.trim().split(/\n\s*/),
      ["10.2.0.11", "10.2.0.13"].map((peer) => `${peer} min_ttl 255 max_ttl 255`),
    );
    assert.match(text, /^ {2}check_unicast_src$/m);
  });

  it("L4: takes the times of adverts and checks from the settings", () => {
    const text = rendered(0, { loadBalancer: { advertSeconds: 1.5, trackSeconds: 0.75 } });
    assert.deepEqual(text.match(/(advert_int|interval) .*/g), [
      "interval 0.75",
      "interval 1",
      "advert_int 1.5",
    ]);
  });

  it("L4: holds no secret: VRRP version 3 has none", () => {
    assert.doesNotMatch(rendered(0), /@\{|auth/);
  });
});

describe("keepalived's scripts", () => {
  const self = () => first(planWith().topology.members.loadBalancer);

  it("L4: find the interfaces by the member's own addresses, then become keepalived", () => {
    assert.equal(renderKeepalivedStart(self()), startScript);
  });

  it("L4: see whether the own addresses are there and HAProxy answers", () => {
    assert.equal(renderHaproxyAnswers(self()), answersScript);
  });

  it("L4: take both virtual addresses off, whatever their prefix", () => {
    assert.equal(renderKeepalivedEnd(planWith().topology), endScript);
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
      if (!/^bin\/|keepalived/.test(path)) continue;
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

  it("L4: see whether any of the real HAProxy's servers answers, but not by those that nobody checks", async () => {
    const ask = async () => (await machine.attempt("/srv/files/bin/haproxy-has-servers")).code;
    assert.equal(await ask(), 1, "without HAProxy");
    await machine.run("install -d /run/haproxy && cat > /tmp/haproxy.cfg", threeServers);
    await machine.run("haproxy -D -p /tmp/haproxy.pid -f /tmp/haproxy.cfg");
    assert.equal(await ask(), 0, "with one that answers");
    const down = "set server tier/there state maint";
    await machine.run(`echo ${down} | socat - UNIX-CONNECT:/run/haproxy/admin.sock`);
    await until("the other one is seen to be down", {
      probe: ask,
      done: (code) => code === 1,
      limitSeconds: 10,
    });
    await machine.run("kill $(cat /tmp/haproxy.pid); rm -r /run/haproxy");
  });

  it("L4: forgets what an earlier keepalived has told when it really starts", async () => {
    assert.equal((await startWith("--version")).code, 0);
    assert.notEqual((await machine.attempt(`test -e ${state}`)).code, 0);
  });

  it("L4: tells keepalived its interfaces, and the folder it was started in", async () => {
    assert.equal(
      await machine.run(`cat ${places}`),
      "$FILES=/srv/files\n$FRONTEND_INTERFACE=pretend\n$BACKEND_INTERFACE=pretend\n$ADVERT_INTERFACE=pretend\ninclude /srv/files/keepalived.conf",
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
    "bin/one-holder 10.1.0.11 10.1.0.100 lb-1=10.1.0.11 lb-2=10.1.0.12",
    "bin/one-holder 10.2.0.11 10.2.0.100 lb-1=10.2.0.11 lb-2=10.2.0.12",
  ];
  const after =
    "curl -fsS --max-time 2 --insecure --location http://10.1.0.100:80/api/health > /dev/null";

  it("L2, L8: is HAProxy here with this file, keepalived without trouble, one holder of each address, and the site at the virtual address", () => {
    assert.equal(health(), [...before, after].join(" && "));
  });

  it("L9: with a certificate is the site by HTTPS here too, whatever the other one serves", async () => {
    const certificate = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
    const here = "curl -fsS --max-time 2 --insecure https://10.1.0.11:443/api/health > /dev/null";
    assert.equal(health({ certificate }), [...before, here, after].join(" && "));
  });
});

/** One that answers, one that does not, and one that nobody asks. */
const threeServers = `global
  stats socket /run/haproxy/admin.sock level admin

defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s

listen there
  bind 127.0.0.1:8001

backend tier
  server there 127.0.0.1:8001 check
  server gone 127.0.0.1:8002 check inter 100ms fall 1

backend mail
  server mail 127.0.0.1:8003
`;

const whole = `global_defs {
  vrrp_version 3
  script_user root
  enable_script_security
}

vrrp_script haproxy {
  script "\${FILES}/bin/haproxy-answers"
  interval 0.25
  # Ends a check that is stuck; one that keepalived has to end counts 2 s later only
  timeout 2
  fall 2
  rise 3
}

# Whoever was cut off finds itself beside the one that took over meanwhile, both with the addresses: it must
# be the one that gives way, as it needs some time more until it knows that its servers are there again
vrrp_script servers {
  script "\${FILES}/bin/haproxy-has-servers"
  interval 1
  timeout 2
  fall 2
  rise 2
  weight -20
}

vrrp_instance pair {
  state BACKUP
  interface $ADVERT_INTERFACE
  virtual_router_id 52
  priority 149
  nopreempt
  advert_int 0.2
  # From nobody else, and by no router
  check_unicast_src
  unicast_src_ip 10.2.0.12
  unicast_peer {
    10.2.0.11 min_ttl 255 max_ttl 255
  }
  # Else an advert that is refused would put off the next one of its own
  lower_prio_no_advert
  # Alone in their /32: no other address goes when one of these does, nor the other way round. Their
  # interfaces are tracked, since they are named here
  virtual_ipaddress {
    10.2.0.100/32 dev $BACKEND_INTERFACE
  }
  virtual_ipaddress_excluded {
    10.1.0.100/32 dev $FRONTEND_INTERFACE
  }
  track_script {
    haproxy
    servers
  }
  notify \${FILES}/bin/keepalived-notify
}
`;

const answersScript = `#!/bin/sh -eu
${numbersOfInterfaces}
now=$(numbers_of 10.1.0.11 10.2.0.11)
# Whoever is bound to an interface that is no more hears nobody, and finds the new one only when it starts.
# FILE PROGRAM
follow() {
  read -r process bound 2> /dev/null < "$1" || return 0
  [ "$bound" != "$now" ] || return 0
  stale=yes
  [ "$(cat "/proc/$process/comm" 2> /dev/null)" = "$2" ] || return 0
  echo "an interface was made anew: $2 is started anew" >&2
  kill "$process"
}
stale=
follow /run/haproxy/bound haproxy
follow /run/hastack/keepalived-bound keepalived
[ -z "$stale" ]
answer=$(echo 'show version' | socat -t 0.3 - UNIX-CONNECT:/run/haproxy/admin.sock)
[ -n "$answer" ]
`;

const endScript = `#!/bin/sh -eu
for virtual in 10.1.0.100 10.2.0.100; do
  ip -oneline -4 address show to "$virtual" | while read -r _ interface _ address _; do
    ip address del "$address" dev "$interface" || :
  done
done
`;

const startScript = `#!/bin/sh -eu
# keepalived wants names of interfaces; which one has which address is known only here
name_of() {
  ip -oneline -4 address show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'
}
${numbersOfInterfaces}
define() {
  name=$(name_of "$2")
  [ -n "$name" ] || { echo "no interface has $2" >&2; return 1; }
  echo "\\$$1_INTERFACE=$name"
}
places() {
  echo "\\$FILES=$PWD" &&
    define FRONTEND 10.1.0.11 &&
    define BACKEND 10.2.0.11 &&
    define ADVERT 10.2.0.11 &&
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
# Before an own address is waited for
bin/keepalived-end
# A drain that ends so; an HAProxy that does not answer has nothing set
echo 'experimental-mode on; set var proc.leaving bool(false)' | timeout 2 socat -t 1 - UNIX-CONNECT:/run/haproxy/admin.sock > /dev/null 2>&1 || :
until places > /run/hastack/keepalived.conf; do sleep 1; done
echo "$$ $(numbers_of 10.1.0.11 10.2.0.11)" > /run/hastack/keepalived-bound
exec keepalived --use-file=/run/hastack/keepalived.conf "$@"
`;
