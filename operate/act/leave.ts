/**
 * A load balancer gives its addresses away, and no request fails. What is open goes down with an address,
 * so first each answer becomes its connection's last. Then connections that begin are not heard for as long
 * as the addresses move: their clients' systems ask again after a second, and find the other load balancer.
 */
import { leavingVariable, statsSocket } from "../../infra/render/haproxy.ts";
import type { Member } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import { mustOn, processesScript } from "./processes.ts";

/** nftables' table of this: it is there for a second, and has a name of its own. */
const table = "inet hastack_leave";

/** For a moment in which no request is older than a second. */
const waitSeconds = 60;

/** Once nothing new is heard: for requests that are on their way here, and at most for their answers. */
const lastMilliseconds = { least: 300, most: 700 };

const ask = `ask() { echo "$1" | socat -t 2 - UNIX-CONNECT:${statsSocket}; }`;

/** One that is older than the time that is asked for is told in another form. */
const isServing = "grep -qE '(fe|frontend)=(web|redirects) '";

/** Shell text that succeeds where the machine has one of these addresses. */
const holds = (addresses: readonly string[]) =>
  `ip -4 -oneline address | grep -qE ' (${addresses.join("|").replaceAll(".", "\\.")})/'`;

/**
 * Shell text for a load balancer's machine: what is kept open ends.
 * @param keepAliveSeconds after which HAProxy itself closes what nobody uses
 */
export const endOfKept = (addresses: readonly string[], keepAliveSeconds: number): string => `${ask}
${holds(addresses)} || exit 0
ask 'experimental-mode on; set var ${leavingVariable} bool(true)' > /dev/null
sleep ${keepAliveSeconds}
end=$(($(date +%s) + ${waitSeconds}))
while ask 'show sess older 1s' | ${isServing} && [ "$(date +%s)" -lt "$end" ]
do sleep 0.25; done`;

/**
 * Shell text for a load balancer's machine: nothing new is heard, what is under way gets a moment to end,
 * and the addresses go. However it ends, what is new is heard again.
 * @param stop shell text that ends keepalived
 */
export const move = (addresses: readonly string[], stop: string): string => `${ask}
${holds(addresses)} || {
  ${stop}
  exit
}
trap 'nft delete table ${table}' EXIT
trap 'exit 1' TERM INT HUP
nft -f - << END
table ${table} {
  chain input {
    type filter hook input priority -10;
    ip daddr { ${addresses.join(", ")} } tcp flags & (syn | ack) == syn drop
  }
}
END
end=$(($(date +%s%3N) + ${lastMilliseconds.most}))
sleep ${lastMilliseconds.least / 1000}
while ask 'show sess' | ${isServing} && [ "$(date +%s%3N)" -lt "$end" ]
do sleep 0.02; done
${stop}
while ${holds(addresses)}
do sleep 0.02; done`;

/** @throws with the machine, and what it said */
export async function giveAddressesAway(stack: OperatedStack, member: Member): Promise<void> {
  const { network } = stack.topology;
  const addresses = [network.frontend.vip, network.backend.vip];
  const { keepAliveSeconds } = stack.settings.loadBalancer.timeouts;
  const kept = endOfKept(addresses, keepAliveSeconds);
  await mustOn(stack, member, kept, "end of kept connections", waitSeconds + 2 * keepAliveSeconds);
  const stop = processesScript(stack, member, "stop", "keepalived");
  await mustOn(stack, member, move(addresses, stop), "moving the addresses", 30);
}
