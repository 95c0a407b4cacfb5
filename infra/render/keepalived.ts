/** keepalived's configuration: two virtual IPs that move together, to where HAProxy runs. */

import { prefixLength } from "../addresses.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { LoadBalancerMember, Topology } from "../topology.ts";
import { haproxyHasRead, statsSocket } from "./haproxy.ts";

/**
 * What keepalived reads first, written by the start script: interfaces and folders are known on the
 * machine only. It includes the workload's file, and stays while that one is replaced.
 */
const placesFile = "/run/hastack/keepalived.conf";

/** Where the state of the pair is told: `MASTER`, `BACKUP` or `FAULT`. */
const vrrpStateFile = "/run/hastack/keepalived-state";

/** VRRP router ids; on the same network they must differ from those of other VRRP pairs. */
const routerIds = { frontend: 51, backend: 52 } as const;

export function renderKeepalived(
  settings: Pick<Settings, "loadBalancer">,
  topology: Topology,
  self: LoadBalancerMember,
): string {
  const peers = topology.members.loadBalancer.filter((one) => one.name !== self.name);
  // The first load balancer has the highest priority; it decides only when both start at once
  const priority = 150 - topology.members.loadBalancer.findIndex((one) => one.name === self.name);
  const instance = (network: "frontend" | "backend") => {
    const { subnet, vip } = topology.network[network];
    return `vrrp_instance ${network} {
  state BACKUP
  interface $${network.toUpperCase()}_INTERFACE
  virtual_router_id ${routerIds[network]}
  priority ${priority}
  nopreempt
  advert_int ${settings.loadBalancer.advertSeconds}
  unicast_src_ip ${self[network]}
  unicast_peer {
${peers.map((peer) => `    ${peer[network]}`).join("\n")}
  }
  virtual_ipaddress {
    ${vip}/${prefixLength(subnet)}
  }
  track_script {
    haproxy
  }
}`;
  };
  return `global_defs {
  vrrp_version 3
  script_user root
  enable_script_security
}

# HAProxy lives when it accepts a connection on its socket
vrrp_script haproxy {
  script "/usr/bin/socat -u OPEN:/dev/null UNIX-CONNECT:${statsSocket}"
  interval ${settings.loadBalancer.trackSeconds}
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

${instance("frontend")}

${instance("backend")}
`;
}

/** Script that keepalived calls as `keepalived-notify GROUP name STATE priority`. */
export const keepalivedNotify = `#!/bin/sh -eu
echo "$3" > ${vrrpStateFile}
`;

/**
 * Health of a load balancer: HAProxy answers here with this configuration, keepalived is not in
 * state FAULT, and the site answers at the virtual address, whichever machine has it. The other load
 * balancer may still be without the certificate that this one has, or the other way round, so a
 * redirect to HTTPS is followed. Which certificate is in use is asked of HAProxy itself.
 *
 * @param path of the site's health; none where no tier serves requests
 */
export function loadBalancerHealth(
  { certificate }: Pick<Settings, "certificate">,
  { network }: Topology,
  self: LoadBalancerMember,
  haproxyConfiguration: string,
  path: string | undefined,
): string {
  const curl = "curl -fsS --max-time 2";
  return [
    `${curl} http://127.0.0.1:${ports.stats}/healthz > /dev/null`,
    haproxyHasRead(haproxyConfiguration),
    `grep -Ex 'MASTER|BACKUP' ${vrrpStateFile}`,
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

/**
 * Script that finds the interfaces by their addresses, then becomes keepalived; run in the folder of
 * the workload's files. With `--config-test` it leaves the running keepalived alone.
 */
export function renderKeepalivedStart(self: LoadBalancerMember): string {
  return `#!/bin/sh -eu
# keepalived wants names of interfaces; which one has which address is known only here
name_of() {
  ip -oneline -4 address show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'
}
places() {
  echo "\\$FILES=$PWD"
  echo "\\$FRONTEND_INTERFACE=$(name_of ${self.frontend})"
  echo "\\$BACKEND_INTERFACE=$(name_of ${self.backend})"
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
places > ${placesFile}
exec keepalived --use-file=${placesFile} "$@"
`;
}
