/**
 * How a quorum without certificates goes over to TLS, and keeps its majority and its clients. Data that
 * was made without certificates makes a member start as a bridge: the others and old clients reach it
 * as before, and it speaks TLS besides. Once no client comes in the clear any more, each member in its
 * turn closes that door. A release that no longer takes over such a quorum needs none of this file.
 */
import { stringify } from "yaml";
import { ports } from "../roles.ts";
import type { Member, Topology } from "../topology.ts";
import {
  clientUrl,
  etcdConfiguration,
  etcdctlSettings,
  etcdDataDirectory,
  healthOf,
  peerUrl,
} from "./etcd.ts";
import { waitFor } from "./plaintext-bridge.ts";

const plain = (url: string) => url.replace(/^https:/, "http:");

/** The configuration of a member that is a bridge. */
export function renderEtcdBridge(topology: Topology, self: Member): string {
  const bridge = {
    ...etcdConfiguration(topology, self),
    // It is reached in the clear, as the others know it, and reaches by TLS who wants that already
    "listen-peer-urls": plain(peerUrl(self)),
    // One port: etcd sees by the first bytes what a client speaks
    "listen-client-urls": `${plain(clientUrl(self))},${clientUrl(self)}`,
    // Clients ask a member where the others are; the old ones know no TLS
    "advertise-client-urls": plain(clientUrl(self)),
  };
  return stringify(bridge, { lineWidth: 0 });
}

const memberDirectory = `${etcdDataDirectory}/member`;

/** Says of data that its member speaks TLS only. etcd minds no file of others there. */
const onlyTlsMarker = `${memberDirectory}/hastack.only-tls`;

/** Script that becomes etcd; run in the folder of the workload's files. */
export const etcdStart = `#!/bin/sh -eu
umask 077
if [ ! -e ${memberDirectory}/wal ]; then
  mkdir -p ${memberDirectory}
  : > ${onlyTlsMarker}
fi
if [ -e ${onlyTlsMarker} ]
then exec etcd --config-file=etcd.yml
else exec etcd --config-file=etcd-bridge.yml
fi
`;

/**
 * Has a member speak TLS only, as the user that etcd runs as. The others must be healthy, before and
 * after: with one more down there would be no majority. Runs again without harm, also after it was cut
 * off anywhere. Where the member's machine stopped between the first two steps, the others cannot reach
 * it until then; so it is they who are asked.
 */
export function etcdOnlyTlsScript(topology: Topology, self: Member): string {
  const others = topology.members.quorum.filter((one) => one.name !== self.name);
  return `${etcdctlSettings(self, others)}
ETCDCTL_PASSWORD=$(cat root)
export ETCDCTL_USER=root ETCDCTL_PASSWORD
list() { etcdctl --command-timeout=2s member list; }
listed() { list | grep -F ', ${self.name}, '; }
# etcd tells the others where clients reach it once it has started that way
is_over() { case $(listed) in *', ${peerUrl(self)}, ${clientUrl(self)},'*) ;; *) return 1 ;; esac; }
others_are_healthy() { ${healthOf(others)}; }
all_are_over() { is_over && ${healthOf(topology.members.quorum)}; }
${waitFor(60)}
for _ in 1 2 3; do
  if is_over; then
    echo 'etcd speaks TLS only'
    exit 0
  fi
done
wait_for others_are_healthy 'all other members of etcd must be healthy before ${self.name} is restarted; mend them, then run up again'
etcdctl member update "$(listed | cut -d , -f 1)" --peer-urls=${peerUrl(self)} > /dev/null
: > ${onlyTlsMarker}
pid=$(ss -Hltnp 'src ${self.backend}:${ports.etcdPeer}' | sed 's/.*pid=\\([0-9]*\\).*/\\1/')
# Where etcd ends in order, it answers what is under way with an error that Patroni takes for a lost
# lock. So it only hands over the lead in order; a broken connection Patroni tries again elsewhere
other=$(list | grep -vF ', ${self.name}, ' | head -n 1)
ETCDCTL_ENDPOINTS=${clientUrl(self)} etcdctl --command-timeout=2s move-leader "\${other%%,*}" > /dev/null 2>&1 || :
# Its supervisor starts it again
[ -z "$pid" ] || kill -KILL "$pid"
wait_for all_are_over '${self.name} is not healthy after its restart'
echo 'etcd speaks TLS only now'`;
}
