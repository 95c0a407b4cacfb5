/** keepalived's configuration: two virtual IPs that move together, to where HAProxy runs. */

import { readProjectFile } from "../../lib/paths.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import { isAlone, type LoadBalancerMember, type Topology } from "../topology.ts";
import { haproxyHasRead, leavingVariable, statsSocket } from "./haproxy.ts";
import { boundFile } from "./haproxy-start.ts";
import { nameOfInterface, numbersOfInterfaces } from "./interfaces.ts";

/**
 * What keepalived reads first, written by the start script: interfaces and folders are known on the
 * machine only. It includes the workload's file, and stays while that one is replaced.
 */
const placesFile = "/run/hastack/keepalived.conf";

/** Its process, and numbers of the interfaces that it is bound to. */
const keepalivedBoundFile = "/run/hastack/keepalived-bound";

/** Where the state of the pair is told: `MASTER`, `BACKUP` or `FAULT`. */
export const vrrpStateFile = "/run/hastack/keepalived-state";

/**
 * VRRP router id; on the network of the adverts it must differ from those of other VRRP pairs. It is
 * the id that the backend's own instance had when each network had one: such a load balancer and one of
 * today hear each other.
 */
const routerId = 52;

/** More than there is between the priorities of two load balancers. */
const weightOfServers = 20;

/**
 * Where a load balancer's adverts come from and go to: by the backend also where there is a management
 * network. Were that one cut, both would take the addresses, or nobody, while their networks are whole.
 */
function advertAddress({ backend }: LoadBalancerMember): string {
  return backend;
}

/**
 * One instance carries both addresses. Only the backend's is in its adverts, which a load balancer that
 * has an instance for each network takes for those of its backend instance.
 */
export function renderKeepalived(
  settings: Pick<Settings, "loadBalancer">,
  topology: Topology,
  self: LoadBalancerMember,
): string {
  const { loadBalancer } = topology.members;
  const { frontend, backend } = topology.network;
  const peers = loadBalancer.filter((one) => one.name !== self.name);
  // The first load balancer has the highest priority; it decides only when both start at once. Whoever is
  // there while another is absent stands above that: it may come back with an old configuration
  const isAlone = loadBalancer.some(({ absent }) => absent);
  const priority = (isAlone ? 200 : 150) - loadBalancer.findIndex((one) => one.name === self.name);
  return `global_defs {
  vrrp_version 3
  script_user root
  enable_script_security
}

vrrp_script haproxy {
  script "\${FILES}/bin/haproxy-answers"
  interval ${settings.loadBalancer.trackSeconds}
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
  weight -${weightOfServers}
}

vrrp_instance pair {
  state BACKUP
  interface $ADVERT_INTERFACE
  virtual_router_id ${routerId}
  priority ${priority}
  nopreempt
  advert_int ${settings.loadBalancer.advertSeconds}
  # From nobody else, and by no router
  check_unicast_src
  unicast_src_ip ${advertAddress(self)}
  unicast_peer {
${peers.map((peer) => `    ${advertAddress(peer)} min_ttl 255 max_ttl 255`).join("\n")}
  }
  # Else an advert that is refused would put off the next one of its own
  lower_prio_no_advert
  # Alone in their /32: no other address goes when one of these does, nor the other way round. Their
  # interfaces are tracked, since they are named here
  virtual_ipaddress {
    ${backend.vip}/32 dev $BACKEND_INTERFACE
  }
  virtual_ipaddress_excluded {
    ${frontend.vip}/32 dev $FRONTEND_INTERFACE
  }
  track_script {
    haproxy
    servers
  }
  notify \${FILES}/bin/keepalived-notify
}
`;
}

/** Shell text that asks this machine's HAProxy, and bounds itself: keepalived's own limit must not end it. */
const asked = (question: string) =>
  `echo '${question}' | socat -t 0.3 - UNIX-CONNECT:${statsSocket}`;

/**
 * Script by which keepalived sees whether this machine can serve: it has its own addresses (without the
 * one of the adverts it would hear none, and take the virtual ones besides the other), and HAProxy
 * answers a question. A connection alone shows nothing: the kernel takes it for a HAProxy that hangs.
 */
export function renderHaproxyAnswers(self: LoadBalancerMember): string {
  return `#!/bin/sh -eu
${numbersOfInterfaces}
now=$(numbers_of ${self.frontend} ${self.backend})
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
follow ${boundFile} haproxy
follow ${keepalivedBoundFile} keepalived
[ -z "$stale" ]
answer=$(${asked("show version")})
[ -n "$answer" ]
`;
}

/** Script by which keepalived sees whether HAProxy has any server that answers to its checks. */
export const haproxyHasServers = `#!/bin/sh -eu
${asked("show stat -1 4 -1")} |
  awk -F, '$18 ~ /^UP/ { up = 1 } END { exit !up }'
`;

/** Script that keepalived calls as `keepalived-notify INSTANCE name STATE priority`. */
export const keepalivedNotify = `#!/bin/sh -eu
echo "$3" > ${vrrpStateFile}
`;

/**
 * Health of a load balancer: HAProxy answers here with this configuration, keepalived is not in
 * state FAULT, no two machines hold a virtual address, and the site answers at the virtual address,
 * whichever machine has it. The other load balancer may still be without the certificate that this one
 * has, or the other way round, so a redirect to HTTPS is followed. Which certificate is in use is asked
 * of HAProxy itself.
 *
 * @param path of the site's health; none where no tier serves requests
 */
export function loadBalancerHealth(
  { certificate }: Pick<Settings, "certificate">,
  topology: Topology,
  self: LoadBalancerMember,
  haproxyConfiguration: string,
  path: string | undefined,
): string {
  const curl = "curl -fsS --max-time 2";
  const { network } = topology;
  return [
    `${curl} http://127.0.0.1:${ports.stats}/healthz > /dev/null`,
    haproxyHasRead(haproxyConfiguration),
    // Where the other one's machine is absent nobody else may hold the addresses
    `grep -Ex '${isAlone(topology.members.loadBalancer) ? "MASTER" : "MASTER|BACKUP"}' ${vrrpStateFile}`,
    ...(["frontend", "backend"] as const).map((one) => oneHolder(topology, self, one)),
    ...(certificate === undefined || path === undefined
      ? []
      : [`${curl} --insecure https://${self.frontend}:${ports.https}${path} > /dev/null`]),
    ...(path === undefined
      ? []
      : [
          `${curl} --insecure --location http://${network.frontend.vip}:${ports.http}${path} > /dev/null`,
        ]),
  ].join(" && ");
}

/** Shell command that fails where more than one load balancer holds the virtual address of a network. */
function oneHolder(
  { members, network }: Topology,
  self: LoadBalancerMember,
  one: "frontend" | "backend",
): string {
  const may = members.loadBalancer.map((member) => `${member.name}=${member[one]}`);
  return ["bin/one-holder", self[one], network[one].vip, ...may].join(" ");
}

/** The program of that command; its text says what it does. */
export const oneHolderProgram = readProjectFile("infra/render/one-holder.pl");

/**
 * Script that finds the interfaces by their addresses, then becomes keepalived; run in the folder of
 * the workload's files. With `--config-test` it leaves the running keepalived alone.
 */
export function renderKeepalivedStart(self: LoadBalancerMember): string {
  const interfaces = Object.entries({
    FRONTEND: self.frontend,
    BACKEND: self.backend,
    ADVERT: advertAddress(self),
  });
  return `#!/bin/sh -eu
# keepalived wants names of interfaces; which one has which address is known only here
${nameOfInterface}
${numbersOfInterfaces}
define() {
  name=$(name_of "$2")
  [ -n "$name" ] || { echo "no interface has $2" >&2; return 1; }
  echo "\\$$1_INTERFACE=$name"
}
places() {
  echo "\\$FILES=$PWD" &&
${interfaces.map(([name, address]) => `    define ${name} ${address} &&`).join("\n")}
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
rm -f ${vrrpStateFile}
# Before an own address is waited for
bin/keepalived-end
# A drain that ends so; an HAProxy that does not answer has nothing set
echo 'experimental-mode on; set var ${leavingVariable} bool(false)' | timeout 2 socat -t 1 - UNIX-CONNECT:${statsSocket} > /dev/null 2>&1 || :
until places > ${placesFile}; do sleep 1; done
echo "$$ $(numbers_of ${self.frontend} ${self.backend})" > ${keepalivedBoundFile}
exec keepalived --use-file=${placesFile} "$@"
`;
}

/**
 * Script for when keepalived has ended: one that was killed left its virtual addresses, and soon another
 * load balancer has them too.
 */
export function renderKeepalivedEnd({ network: { frontend, backend } }: Topology): string {
  return `#!/bin/sh -eu
for virtual in ${frontend.vip} ${backend.vip}; do
  ip -oneline -4 address show to "$virtual" | while read -r _ interface _ address _; do
    ip address del "$address" dev "$interface" || :
  done
done
`;
}
