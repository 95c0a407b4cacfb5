/** The faults, one row each: what fails, what is promised, whom it hits and how long it lasts. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Member } from "../../infra/topology.ts";
import type { Fault } from "./fault.ts";
import {
  type Cut,
  containerOf,
  cutNetwork,
  cutPower,
  flapNetwork,
  hangPostgres,
  hangProcess,
  killPostmaster,
  killProcess,
  pauseMachine,
} from "./harm.ts";
import {
  balancerLost,
  brickLost,
  haproxyHung,
  instanceLost,
  noLimit,
  patroniKilled,
  postgresHung,
  primaryAndLeaderLost,
  primaryDeaf,
  primaryLost,
  primaryLostUnheard,
  primaryProcessLost,
  standbyLost,
  unnoticed,
  within,
} from "./promises.ts";
import { anotherPrimary, type Scene } from "./scene.ts";

/** A lease of 20 s has to end, and etcd's leader may be lost with it. */
const untilPromoted = { untilPromoted: true, lasts: 40 } as const;

type Harm = Fault["harm"];

/** Nothing here can do that to a machine that is no container. */
async function whyNoContainer({ stack }: Scene, members: readonly Member[]) {
  for (const { machine } of members)
    if ((await containerOf(stack, machine)) === undefined)
      return `${machine} is a real machine, which cannot be paused, nor its power be cut, from here`;
  return undefined;
}

/** A fault of machines as a whole. */
const ofMachines = (fault: Omit<Fault, "whyNot">): Fault => {
  const hits = (scene: Scene) => oneOfEachMachine(fault.hits(scene));
  return {
    ...fault,
    isOfMachines: true,
    hits,
    whyNot: (scene) => whyNoContainer(scene, hits(scene)),
  };
};

const oneOfEachMachine = (members: readonly Member[]) =>
  members.filter(
    ({ machine }, index) => members.findIndex((one) => one.machine === machine) === index,
  );

const paused: Harm = async ({ stack }, { machine }) =>
  pauseMachine((await containerOf(stack, machine)) ?? "");

const withoutPower: Harm = async ({ stack }, { machine }, struck) =>
  cutPower(stack, (await containerOf(stack, machine)) ?? "", machine, struck);

const killed =
  (process: string): Harm =>
  async ({ stack }, member) => {
    await killProcess(stack, member, process);
    return undefined;
  };

const hung =
  (process: string): Harm =>
  ({ stack }, member) =>
    hangProcess(stack, member, process);

const cutOff =
  (cut: (scene: Scene) => Cut): Harm =>
  (scene, { machine }) =>
    cutNetwork(scene.stack, machine, cut(scene));

/** For 1.5 s in every 4 s: long enough to be missed each time. */
const flapping: Harm = ({ stack }, { machine }) =>
  flapNetwork(stack, machine, { all: true }, { downSeconds: 1.5, upSeconds: 2.5 });

const addressesOf = (members: readonly Member[]) => members.map(({ backend }) => backend);
const etcd = ({ stack: { topology } }: Scene) => topology.members.quorum;
const cache = ({ stack: { topology } }: Scene) => topology.members.cache;
const instance = ({ stack: { topology } }: Scene) =>
  Object.values(topology.tiers).flat().slice(0, 1);
const active = (scene: Scene) => [scene.active];
const primary = (scene: Scene) => [scene.primary];
const standby = (scene: Scene) => [scene.standby];
/** A member of etcd that does not lead. */
const follower = (scene: Scene) =>
  etcd(scene)
    .filter(({ name }) => name !== scene.etcdLeader.name)
    .slice(0, 1);

const brick = ({ stack: { topology } }: Scene) => topology.members.brick.slice(0, 1);

/** With what it takes to cut, less than after what the standby is given up. */
const unheardMilliseconds = 400;

/** What is acknowledged meanwhile is nowhere else: nothing may be. A pause would not do, as the system goes on to receive. */
const withoutPowerUnheard: Harm = async (scene, member, struck) => {
  const { stack, standby } = scene;
  const mend = await cutNetwork(stack, standby.machine, { addresses: [member.backend] });
  try {
    await sleep(unheardMilliseconds);
    return await withoutPower(scene, member, struck);
  } finally {
    await mend();
  }
};

/** So long the other one takes writes that the one that is lost never sees. */
const aloneSeconds = 6;
/** Long enough that whoever is back alone would have become the primary, if it could. */
const backAloneSeconds = 15;

/** One after the other, and the one or the other is back first: nobody can serve meanwhile, but nothing may be lost. */
function bothDown(first: "primary" | "standby", back: "primary" | "standby"): Fault {
  const nameOf = (scene: Scene, who: typeof first) => scene[who].name;
  return {
    name: `both-down-${first}-first-${back}-back-first`,
    what: `both database machines lose their power, the ${first}'s first, and the ${back}'s is back first`,
    promised: noLimit,
    strandsClients: true,
    hits: (scene) => [scene.primary, scene.standby],
    whyNot: (scene) => whyNoContainer(scene, [scene.primary, scene.standby]),
    lasts: 2,
    harm: async (scene, member, struck) => {
      if (member.name !== nameOf(scene, first)) await isAlone(scene, first);
      const mend = await withoutPower(scene, member, struck);
      return async () => {
        if (member.name !== nameOf(scene, back)) await sleep(backAloneSeconds * 1000);
        await mend?.();
      };
    },
  };
}

/** Until the other one takes writes without it. */
async function isAlone(scene: Scene, lost: "primary" | "standby"): Promise<void> {
  if (lost === "primary") await anotherPrimary(scene, untilPromoted.lasts);
  await sleep(aloneSeconds * 1000);
}

/** All there are, in the order in which they are tried. */
export const faults: readonly Fault[] = [
  {
    name: "nothing",
    what: "nothing fails",
    promised: unnoticed,
    hits: () => [],
    harm: async () => undefined,
    lasts: 10,
  },
  {
    name: "instance-process-killed",
    what: "an application process is killed",
    promised: unnoticed,
    hits: instance,
    harm: (scene, member, struck) => killed(member.role)(scene, member, struck),
  },
  ofMachines({
    name: "instance-power-cut",
    what: "an application's machine loses its power",
    promised: instanceLost,
    hits: instance,
    harm: withoutPower,
  }),
  ofMachines({
    name: "instance-hung",
    what: "an application's machine hangs",
    promised: instanceLost,
    hits: instance,
    harm: paused,
  }),
  ofMachines({
    name: "balancer-power-cut",
    what: "the active load balancer's machine loses its power",
    promised: balancerLost,
    hits: active,
    harm: withoutPower,
  }),
  ofMachines({
    name: "balancer-hung",
    what: "the active load balancer's machine hangs",
    promised: balancerLost,
    hits: active,
    harm: paused,
  }),
  {
    name: "balancer-cut-off",
    what: "the active load balancer is cut off from all",
    promised: balancerLost,
    isOfMachines: true,
    hits: active,
    harm: cutOff(() => ({ all: true })),
  },
  {
    name: "balancer-cut-off-from-clients",
    what: "the active load balancer is cut off from its clients alone, with its link up",
    // Nothing within the stack can tell this from an hour without visitors
    promised: noLimit,
    strandsClients: true,
    hits: active,
    harm: cutOff(({ active: { name }, stack: { topology } }) => {
      const { frontend = "" } =
        topology.members.loadBalancer.find((one) => one.name === name) ?? {};
      return { interfaceOf: frontend };
    }),
    lasts: 10,
  },
  {
    name: "balancer-link-flaps",
    what: "the active load balancer's link goes and comes",
    promised: noLimit,
    strandsClients: true,
    hits: active,
    harm: flapping,
    lasts: 20,
  },
  {
    name: "haproxy-killed",
    what: "HAProxy of the active load balancer is killed",
    promised: balancerLost,
    hits: active,
    harm: killed("haproxy"),
  },
  {
    name: "haproxy-hung",
    what: "HAProxy of the active load balancer hangs",
    promised: haproxyHung,
    hits: active,
    harm: hung("haproxy"),
  },
  {
    name: "keepalived-hung",
    what: "keepalived of the active load balancer hangs",
    promised: balancerLost,
    hits: active,
    harm: hung("keepalived"),
  },
  {
    name: "postgres-killed",
    what: "the primary's PostgreSQL is killed",
    promised: primaryProcessLost,
    hits: primary,
    harm: async ({ stack }, member) => {
      await killPostmaster(stack, member);
      return undefined;
    },
  },
  {
    name: "postgres-hung",
    what: "the primary's PostgreSQL hangs",
    promised: postgresHung,
    hits: primary,
    harm: ({ stack }, member) => hangPostgres(stack, member),
    ...untilPromoted,
  },
  {
    name: "patroni-killed",
    what: "the primary's Patroni is killed",
    promised: patroniKilled,
    hits: primary,
    harm: killed("patroni"),
  },
  {
    name: "patroni-hung",
    what: "the primary's Patroni hangs",
    promised: primaryLost,
    hits: primary,
    harm: ({ stack }, member) => hangProcess(stack, member, "patroni", { alone: true }),
    ...untilPromoted,
  },
  ofMachines({
    name: "primary-power-cut",
    what: "the primary's machine loses its power",
    promised: primaryLost,
    hits: primary,
    harm: withoutPower,
    ...untilPromoted,
  }),
  ofMachines({
    name: "primary-hung",
    what: "the primary's machine hangs",
    promised: primaryLost,
    hits: primary,
    harm: paused,
    ...untilPromoted,
  }),
  {
    name: "primary-cut-off",
    what: "the primary is cut off from all",
    promised: primaryLost,
    isOfMachines: true,
    hits: primary,
    harm: cutOff(() => ({ all: true })),
    ...untilPromoted,
  },
  {
    name: "primary-unheard",
    what: "nothing that the primary sends gets anywhere",
    promised: primaryLost,
    isOfMachines: true,
    hits: primary,
    harm: cutOff(() => ({ all: true, direction: "out" })),
    ...untilPromoted,
  },
  {
    name: "primary-deaf",
    what: "nothing gets to the primary",
    promised: primaryDeaf,
    isOfMachines: true,
    hits: primary,
    harm: cutOff(() => ({ all: true, direction: "in" })),
    ...untilPromoted,
  },
  {
    name: "primary-cut-off-from-etcd-and-standby",
    what: "the primary is cut off from etcd and its standby",
    promised: primaryLost,
    strandsClients: true,
    hits: primary,
    harm: cutOff((scene) => ({ addresses: addressesOf([scene.standby, ...etcd(scene)]) })),
    ...untilPromoted,
  },
  {
    name: "primary-cut-off-from-etcd",
    what: "the primary is cut off from etcd alone",
    promised: unnoticed,
    strandsClients: true,
    hits: primary,
    harm: cutOff((scene) => ({ addresses: addressesOf(etcd(scene)) })),
    lasts: 25,
  },
  {
    name: "primary-cut-off-from-standby",
    what: "the primary is cut off from its standby alone",
    promised: primaryProcessLost,
    strandsClients: true,
    hits: primary,
    harm: cutOff((scene) => ({ addresses: addressesOf([scene.standby]) })),
    lasts: 15,
  },
  {
    name: "primary-cut-off-from-balancers",
    what: "the primary is cut off from the load balancers alone",
    // Patroni asks etcd and the standby, and both say that all is well
    promised: noLimit,
    strandsClients: true,
    hits: primary,
    harm: cutOff(({ stack: { topology } }) => ({
      addresses: addressesOf(topology.members.loadBalancer),
    })),
    lasts: 15,
  },
  {
    name: "primary-link-flaps",
    what: "the primary's link goes and comes",
    promised: noLimit,
    strandsClients: true,
    hits: primary,
    harm: flapping,
    lasts: 20,
  },
  ofMachines({
    name: "standby-power-cut",
    what: "the standby's machine loses its power",
    promised: standbyLost,
    hits: standby,
    harm: withoutPower,
  }),
  ofMachines({
    name: "standby-hung",
    what: "the standby's machine hangs",
    promised: within(1, 3),
    hits: standby,
    harm: paused,
  }),
  {
    name: "standby-cut-off",
    what: "the standby is cut off from all",
    promised: standbyLost,
    isOfMachines: true,
    hits: standby,
    harm: cutOff(() => ({ all: true })),
    lasts: 10,
  },
  ofMachines({
    name: "etcd-member-power-cut",
    what: "the machine of one etcd member loses its power",
    promised: unnoticed,
    hits: follower,
    harm: withoutPower,
  }),
  {
    name: "etcd-leader-hung",
    what: "etcd's leader hangs",
    promised: unnoticed,
    hits: (scene) => [scene.etcdLeader],
    harm: hung("etcd"),
    lasts: 10,
  },
  {
    name: "etcd-two-of-three-hung",
    what: "two of three etcd members hang",
    promised: unnoticed,
    hits: (scene) => etcd(scene).slice(0, 2),
    harm: hung("etcd"),
    lasts: 20,
  },
  {
    name: "etcd-all-hung",
    what: "all etcd members hang",
    promised: unnoticed,
    hits: etcd,
    harm: hung("etcd"),
    lasts: 20,
  },
  {
    name: "etcd-all-killed",
    what: "all etcd members are killed at once",
    promised: unnoticed,
    hits: etcd,
    harm: killed("etcd"),
  },
  {
    name: "cache-killed",
    what: "the cache is killed",
    promised: unnoticed,
    hits: cache,
    harm: killed("valkey"),
  },
  {
    name: "cache-hung",
    what: "the cache hangs",
    promised: unnoticed,
    hits: cache,
    harm: hung("valkey"),
  },
  ofMachines({
    name: "balancer-and-primary-power-cut",
    what: "the active load balancer and the primary lose their power at once",
    promised: primaryLost,
    hits: (scene) => [scene.active, scene.primary],
    harm: withoutPower,
    ...untilPromoted,
  }),
  ofMachines({
    name: "primary-and-etcd-leader-power-cut",
    what: "the primary and etcd's leader lose their power at once",
    promised: primaryAndLeaderLost,
    hits: (scene) => [scene.primary, scene.etcdLeader],
    harm: withoutPower,
    ...untilPromoted,
  }),
  ofMachines({
    name: "primary-power-cut-unheard",
    what: "the primary's machine loses its power half a second after its standby has heard it last",
    promised: primaryLostUnheard,
    hits: primary,
    harm: withoutPowerUnheard,
    ...untilPromoted,
  }),
  ofMachines({
    name: "brick-power-cut",
    what: "the machine of one copy of the shared files loses its power",
    promised: brickLost,
    hits: brick,
    harm: withoutPower,
    lasts: 12,
  }),
  ofMachines({
    name: "brick-hung",
    what: "the machine of one copy of the shared files hangs",
    promised: within(10, 10),
    hits: brick,
    harm: paused,
    lasts: 12,
  }),
  bothDown("primary", "primary"),
  bothDown("primary", "standby"),
  bothDown("standby", "primary"),
  bothDown("standby", "standby"),
];
