/**
 * How the load balancers go along with a switchover. Patroni calls itself primary for a second after its
 * PostgreSQL has stopped, and HAProxy waits a second before it tries a connection that was refused again:
 * without help some writes wait for 2.7 s.
 */
import { authorityFile } from "../../infra/certificates/domains.ts";
import { statsSocket } from "../../infra/render/haproxy.ts";
import { patroniUrl } from "../../infra/render/patroni.ts";
import { ports } from "../../infra/roles.ts";
import type { Member } from "../../infra/topology.ts";
import { folderOf } from "../folder.ts";
import { onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** A switchover takes 2 s; after this all is as HAProxy's own checks say. */
const limitSeconds = 15;

/**
 * Shell text for a load balancer's machine: once the old primary's PostgreSQL does not answer nothing goes
 * there, and to the new one as soon as its Patroni says that it is the primary. However it ends, the old one
 * is left to HAProxy's checks again.
 */
export function handoverScript(folder: string, from: Member, to: Member): string {
  const primary = `${patroniUrl(to)}/primary`;
  return `ask() { echo "set server primary/$1" | socat -t 1 - UNIX-CONNECT:${statsSocket} > /dev/null; }
trap 'ask "${from.name} state ready"' EXIT
trap 'exit 1' TERM INT HUP
while socat -u OPEN:/dev/null TCP:${from.backend}:${ports.postgres},connect-timeout=0.3 2> /dev/null
do sleep 0.03; done
ask '${from.name} state maint'
until curl -fs --max-time 1 --cacert ${folder}/${authorityFile("patroni-api")} ${primary} > /dev/null
do sleep 0.03; done
ask '${to.name} health up'
# By now its Patroni does not say any more that it is the primary
while curl -fs --max-time 1 --cacert ${folder}/${authorityFile("patroni-api")} ${patroniUrl(from)}/primary > /dev/null
do sleep 0.1; done
sleep 1`;
}

/** Has all load balancers go along, until the switchover that begins now is over. */
export async function handOver(stack: OperatedStack, from: Member, to: Member): Promise<void> {
  await Promise.all(
    stack.topology.members.loadBalancer.map((one) =>
      onMachineOf(stack, one.machine, handoverScript(folderOf(stack, one), from, to), {
        limitSeconds,
      }),
    ),
  );
}
