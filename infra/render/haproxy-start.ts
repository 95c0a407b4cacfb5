/** How HAProxy of a load balancer is started, and its file checked. */
import type { LoadBalancerMember } from "../topology.ts";
import { interfaceVariables } from "./haproxy.ts";
import { nameOfInterface, numbersOfInterfaces } from "./interfaces.ts";

/** Two files for each connection, and those that HAProxy needs besides: listeners, checks, threads. */
const besides = 500;

/** Open files that an HAProxy with so many connections may need. */
export const openFilesOf = (connections: number): number => 2 * connections + besides;

/** Process, and numbers of the interfaces that it is bound to. */
export const boundFile = "/run/haproxy/bound";

/**
 * Script that finds the interfaces by their addresses and becomes HAProxy; run in the folder of the
 * workload's files. It refuses a number of connections that this machine has no open files for; it reads
 * that from HAProxy's file, so that another number is a reload, and no restart. HAProxy keeps its
 * environment over reloads.
 */
export function renderHaproxyStart(self: LoadBalancerMember): string {
  const network = (which: keyof typeof interfaceVariables) => {
    const variable = interfaceVariables[which];
    const none = `no interface of this machine has the ${which} address ${self[which]}`;
    return `${variable}=$(name_of ${self[which]})
[ -n "$${variable}" ] || { echo "${none}" >&2; exit 1; }
export ${variable}`;
  };
  return `#!/bin/sh -eu
# HAProxy wants names of interfaces; which one has which address is known only here
${nameOfInterface}
${numbersOfInterfaces}
${network("frontend")}
${network("backend")}
connections=$(awk '$1 == "maxconn" { print $2; exit }' haproxy.cfg)
files=$((2 * connections + ${besides}))
# Debian's sh knows these two
# shellcheck disable=SC3045
most=$(ulimit -H -n)
# Where it may, root raises the limit
# shellcheck disable=SC3045
[ "$most" = unlimited ] || [ "$most" -ge "$files" ] || ulimit -n "$files" 2> /dev/null || {
  echo "hastack:loadBalancer.maxConnections: $connections needs $files open files, and this machine gives a process $most: use $(((most - ${besides}) / 2)) or less, or raise its limit (fs.nr_open; of Docker: default-ulimits)" >&2
  exit 1
}
# A check of the file is no start
case " $* " in
  *" -c "*) ;;
  *) echo "$$ $(numbers_of ${self.frontend} ${self.backend})" > ${boundFile} ;;
esac
exec haproxy "$@"
`;
}
