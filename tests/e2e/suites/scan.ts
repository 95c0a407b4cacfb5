/**
 * What answers on the machines, tried from every machine and from each network: exactly what the flows
 * say, over every port on which anything of the stack or of the machines listens.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { flowsOf } from "../../../infra/components/firewall.ts";
import { planTopology } from "../../../infra/plan.ts";
import { storageDriver } from "../../../infra/platform/ssh/storage/storage.ts";
import { type Opening, openings, sshPortsMark } from "../../../infra/render/nftables.ts";
import type { Machine } from "../../../infra/topology.ts";
import { inMachine, networkName } from "../../../lab/machines.ts";
import { inRoot } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { scanFrom, type Target } from "../../support/attacks/scan.ts";
import type { MachinePlace } from "../../support/machine-place.ts";
import { timed } from "../../support/measure.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { agency, applicationWith, machineSettings } from "../../support/unit/fixtures.ts";

const networks = ["frontend", "backend", "management"] as const;
type Answer = "open" | "refused" | "nothing";

/** Somewhere to connect to, and what must come of it. */
interface Probe extends Target {
  readonly from: string;
  readonly expected: Answer;
}

/** The stack's plan, as the program makes it. */
function planOf(place: MachinePlace) {
  const changes = Object.entries(place.settings).map(([key, value]) => [
    key.replace("hastack:", ""),
    value,
  ]);
  const { config } = parse(readFileSync(inRoot(place.base), "utf8"));
  const settings = machineSettings(Object.fromEntries(changes), config);
  const application = applicationWith(agency, settings);
  const topology = planTopology(settings, application.tiers);
  const flows = [...flowsOf(application), ...storageDriver(settings).flows(topology)];
  const open = new Map(
    topology.machines.map((one) => [
      one.name,
      openings(topology, flows, one, settings.firewall.admit),
    ]),
  );
  return { topology, open };
}

/** Where programs listen on a machine, as `ss` shows it, but for those on the loopback. */
async function listenersOn(place: MachinePlace, machine: string): Promise<string[]> {
  const told = await inMachine(place.set.set, machine, "ss -Hlnt | awk '{ print $4 }'");
  // Behind the address of one that listens by interface is the interface's name
  return told
    .trim()
    .replaceAll(/%\w+/g, "")
    .split("\n")
    .filter((one) => !/^(127\.|\[::1\])/.test(one));
}

const portOf = (listener: string) => Number(listener.split(":").at(-1));

function isLetIn(open: readonly Opening[], from: string, to: string, port: number): boolean {
  return open.some(
    (one) =>
      one.protocol === "tcp" &&
      (one.to?.includes(to) ?? true) &&
      (one.from?.some((source) => source === from || isInNet(source, from)) ?? true) &&
      (one.ports ?? []).some((text) => {
        const [first = 0, last = first] = text.replace(sshPortsMark, "22").split("-").map(Number);
        return port >= first && port <= last;
      }),
  );
}

/** A machine's address in each network. */
const addressesOf = ({ frontend, backend, management }: Machine) => ({
  backend,
  ...(frontend !== undefined && { frontend }),
  ...(management !== undefined && { management }),
});

/** Test networks are /24. */
const isInNet = (subnet: string, address: string) =>
  subnet.endsWith(".0/24") && address.startsWith(subnet.replace(/0\/24$/, ""));

/** Last number of an address that no machine has. */
const strangerHost = 250;

/** Runs scripts in a passing container of one of the machines' networks, with that address. */
function strangerIn(place: MachinePlace, network: (typeof networks)[number], address: string) {
  return async (script: string, input: string) => {
    const image = await mustRun([
      ...["docker", "inspect", "--format={{.Image}}", place.container("lb-1")],
    ]);
    const where = [`--network=${networkName(place.set.set, network)}`, `--ip=${address}`];
    const options = ["--rm", "--interactive", "--label=hastack.test=e2e", ...where];
    const command = ["docker", "run", ...options, "--entrypoint=sh", image.trim(), "-euc", script];
    return mustRun(command, { input, limitSeconds: 120 });
  };
}

export function scanSuite(stack: TestStack, place: MachinePlace): void {
  describe("the doors of the machines", () => {
    const { topology, open } = planOf(place);
    const listeners = new Map<string, readonly string[]>();
    let allPorts: readonly number[] = [];

    before("ask every machine what listens there", async () => {
      for (const { name } of topology.machines) listeners.set(name, await listenersOn(place, name));
      allPorts = [...new Set([...listeners.values()].flat().map(portOf))].sort((a, b) => a - b);
      assert.ok(allPorts.length > 12, `only ${allPorts}`);
    });

    /** All ports at each address that a machine has in a network, and in which `from` is, too. */
    const probesTo = (machine: Machine, sourceIn: Partial<Record<string, string>>): Probe[] =>
      networks.flatMap((network) => {
        const [from, to] = [sourceIn[network], machine[network]];
        if (from === undefined || to === undefined) return [];
        return allPorts.map((port) => {
          const letIn = isLetIn(open.get(machine.name) ?? [], from, to, port);
          const listens = listeners
            .get(machine.name)
            ?.some((one) => [`${to}:${port}`, `0.0.0.0:${port}`, `*:${port}`].includes(one));
          const expected = letIn ? (listens ? "open" : "refused") : "nothing";
          return { from, to, port, expected };
        });
      });

    /** @returns what was not as it is to be */
    const wrong = async (
      probes: readonly Probe[],
      run: (script: string, input: string) => Promise<string>,
    ) => {
      const found = await scanFrom(run, probes);
      return probes.flatMap(({ from, to, port, expected }, index) => {
        const said = found[index]?.split(" ")[2];
        return said === expected ? [] : [`${from} -> ${to}:${port} ${said}, not ${expected}`];
      });
    };

    it("N2: from each machine exactly what the flows name answers on each other one", async () => {
      const scans = topology.machines.map(async (source) => {
        const others = topology.machines.filter(({ name }) => name !== source.name);
        const probes = others.flatMap((one) => probesTo(one, addressesOf(source)));
        assert.ok(probes.some(({ expected }) => expected === "open"));
        return wrong(probes, (script, input) =>
          inMachine(place.set.set, source.name, script, input),
        );
      });
      const found = await timed("scanned from each machine", () => Promise.all(scans));
      assert.deepEqual(found.flat(), []);
    });

    it("N1, N2: from each network visitors reach the site, operators SSH, and strangers nothing", async () => {
      const strange = await Promise.all(
        networks.map(async (network) => {
          const from = place.set.networks[network].replace(/0\/24$/, String(strangerHost));
          const probes = topology.machines.flatMap((one) => probesTo(one, { [network]: from }));
          const opened = probes.filter(({ expected }) => expected === "open");
          const found = await wrong(probes, strangerIn(place, network, from));
          return { network, opened: [...new Set(opened.map(({ port }) => port))], found };
        }),
      );
      const opened = strange.map((one) => [one.network, one.opened]);
      const onlySite = [
        ["frontend", [80, 443, 8404]],
        ["backend", []],
        ["management", [22]],
      ];
      assert.deepEqual(opened, onlySite);
      assert.deepEqual(
        strange.flatMap(({ found }) => found),
        [],
      );
    });

    it("N1: no machine answers in the management network for its backend address", async () => {
      const [target, source] = topology.machines as [Machine, Machine];
      const way = `${target.backend}/32 via ${place.set.networks.management.replace(/0\/24$/, "11")}`;
      await inMachine(place.set.set, source.name, `ip route replace ${way}`);
      try {
        const probes = allPorts.map(
          (port): Probe => ({
            from: "management",
            to: target.backend,
            port,
            expected: "nothing",
          }),
        );
        const found = await wrong(probes, (script, input) =>
          inMachine(place.set.set, source.name, script, input),
        );
        assert.deepEqual(found, []);
      } finally {
        await inMachine(place.set.set, source.name, `ip route del ${way}`);
      }
    });

    it("N2: whose rules were flushed by hand is closed again by itself, and up finds nothing to do", async () => {
      const { name } = topology.machines[0] as Machine;
      await inMachine(place.set.set, name, "nft flush ruleset");
      await until("it is closed again", {
        probe: () =>
          inMachine(
            place.set.set,
            name,
            "sh /etc/hastack/firewall-guard is-closed && echo yes || echo no",
          ),
        done: (text) => text.trim() === "yes",
        limitSeconds: 30,
      });
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });
  });
}
