/**
 * Tries the ways between machines before anything is placed: where nothing listens yet a machine
 * refuses at once, and what gets no answer is dropped by somebody on the way.
 */
import type { Problem } from "../../rules/problem.ts";
import { allMembers, type Member, type Topology } from "../../topology.ts";
import type { Flow } from "../platform.ts";
import { callMachine, describeTarget } from "./connection.ts";
import type { Seen } from "./facts.ts";

/** An answer takes milliseconds; a first packet may be lost, and a machine may be busy. */
const answerSeconds = 8;
const limitSeconds = 20;

/** From one machine to a place at another. */
interface Way {
  readonly to: string;
  readonly address: string;
  readonly port: number;
}

/** The ways from a machine to others that have no firewall of the stack's yet: that lets in what was. */
function waysFrom(
  name: string,
  topology: Topology,
  flows: readonly Flow[],
  bare: Set<string>,
): Way[] {
  const members = allMembers(topology);
  const isAt = ({ role, machine }: Member, from: string) => machine === name && role === from;
  const ways = flows.flatMap(({ from, to, network, port, protocol }) => {
    if (network !== "backend" || typeof port !== "number" || protocol === "udp") return [];
    if (!members.some((member) => isAt(member, from))) return [];
    return members
      .filter(({ role, machine }) => role === to && machine !== name && bare.has(machine))
      .map(({ machine, backend }): Way => ({ to: machine, address: backend, port }));
  });
  return [...new Map(ways.map((way) => [`${way.address} ${way.port}`, way])).values()];
}

const attempt = `for way; do
  timeout ${answerSeconds} bash -c ": < /dev/tcp/\${way% *}/\${way#* }" 2> /dev/null
  [ $? != 124 ] || echo "silent $way" &
done
wait`;

/** Every way between machines that something holds up, by machine and port. */
export async function silentWays(
  topology: Topology,
  flows: readonly Flow[],
  all: readonly Seen[],
): Promise<Problem[]> {
  const bare = new Set(
    all.filter(({ facts }) => facts.firewall === undefined).map(({ machine }) => machine.name),
  );
  const found = all.map(async ({ target, machine }) => {
    const ways = waysFrom(machine.name, topology, flows, bare);
    if (ways.length === 0) return [];
    const words = ways.map(({ address, port }) => `${address} ${port}`);
    const { stdout } = await callMachine(target, ["sh", "-c", attempt, "sh", ...words], {
      asRoot: false,
      limitSeconds,
    });
    return ways
      .filter(({ address, port }) => stdout.includes(`silent ${address} ${port}\n`))
      .map(({ to, address, port }) => ({
        source: describeTarget(target),
        path: "",
        why: `it gets no answer from ${to} (${address}) at port ${port}/tcp: something between them drops it`,
        fix: `let it through there (another firewall on ${to}, a cloud's security group)`,
      }));
  });
  return (await Promise.all(found)).flat();
}
