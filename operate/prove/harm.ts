/**
 * Ways to harm a machine, each with what mends it. Whatever becomes of this command, it is mended: what was done on a
 * machine is taken back there after a while, and what was done from here by a process that outlives this one.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { targets } from "../../infra/inventory.ts";
import { runDocker, tryDocker } from "../../infra/platform/docker/engine.ts";
import { dockerNames } from "../../infra/platform/docker/names.ts";
import { quote } from "../../infra/platform/shell.ts";
import { allMembers, type Member, present } from "../../infra/topology.ts";
import { mustOn } from "../act/processes.ts";
import { folderOf } from "../folder.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** After this it is mended even where nobody is there any more to do it. */
export const mostSeconds = 120;

/** Ctrl-C at the terminal is not for what harms and mends: half of it would be done. */
const mustDocker = (args: readonly string[]) => runDocker(args, "", 60, true);
const docker = (args: readonly string[]) => tryDocker(args, "", 60, true);

/** Mends what was harmed. Safe where it is mended already. */
export type Mend = () => Promise<void>;

const postmasterFile = "/var/lib/postgresql/17/hastack/postmaster.pid";

/** Shell text that says a process's id. */
const processId = ({ settings }: OperatedStack, process: string) =>
  settings.platform === "docker"
    ? `s6-svstat -o pid services/${process}`
    : `systemctl show --property=MainPID --value hastack-${process}.service`;

/** What fails of it fails as a whole: a fault that did not happen must not count as one that was survived. */
const onMember = (stack: OperatedStack, member: Member, script: string, what: string) =>
  mustOn(stack, member, `set -e\ncd ${folderOf(stack, member)}\n${script}`, what, 20);

/** What PostgreSQL's own user says of its processes must harm no others: it is that user who stops and kills them. */
const killOf = (user: string | undefined) =>
  user === undefined ? "kill" : `runuser -u ${user} -- kill`;
const databaseUser = "postgres";

/** Kills a process; its supervisor starts it again. */
export async function killProcess(stack: OperatedStack, member: Member, process: string) {
  const script = `pid=$(${processId(stack, process)}); [ "$pid" -gt 1 ] && kill -KILL "$pid"`;
  await onMember(stack, member, script, `kill ${process}`);
}

/** Kills PostgreSQL's first process, past Patroni. */
export async function killPostmaster(stack: OperatedStack, member: Member): Promise<void> {
  const script = `pid=$(head -1 ${postmasterFile}); [ "$pid" -gt 1 ]\n${killOf(databaseUser)} -KILL "$pid"`;
  await onMember(stack, member, script, "kill PostgreSQL");
}

/** Shell text that ends what would mend a fault later: it must not mend the next one. */
const calledOff = (group: string) => `kill -- "-${group}" 2> /dev/null || :`;

const treeOf = (first: string) => `first=$(${first}); [ "$first" -gt 1 ] || exit 1
all=$first; next=$first
while [ -n "$next" ]; do
  next=$(for one in $next; do cat /proc/$one/task/*/children 2> /dev/null || :; done)
  all="$all $next"
done`;

/**
 * Stops a process and all that it has started in their tracks.
 * @param alone what it has started goes on, as PostgreSQL does beneath Patroni
 */
export async function hangProcess(
  stack: OperatedStack,
  member: Member,
  process: string,
  { alone = false } = {},
): Promise<Mend> {
  return hang(stack, member, processId(stack, process), { what: process, alone });
}

/** The same of PostgreSQL, past Patroni. */
export async function hangPostgres(stack: OperatedStack, member: Member): Promise<Mend> {
  const own = { what: "PostgreSQL", user: databaseUser };
  return hang(stack, member, `head -1 ${postmasterFile}`, own);
}

async function hang(
  stack: OperatedStack,
  member: Member,
  first: string,
  { what, alone = false, user }: { what: string; alone?: boolean; user?: string },
): Promise<Mend> {
  // One that has ended meanwhile is no matter, but the first of them has to hang
  const script = `${treeOf(first)}
${alone ? "all=$first" : ""}
setsid sh -c "sleep ${mostSeconds}; kill -CONT $(echo $all)" > /dev/null 2>&1 < /dev/null &
${killOf(user)} -STOP $all || :
later=$!
for try in $(seq 20); do ! grep -q '^State:[[:space:]]*T' /proc/$first/status || break; sleep 0.05; done
grep -q '^State:[[:space:]]*T' /proc/$first/status || {
  kill -CONT $all || :
  ${calledOff("$later")}
  exit 1
}
echo $later $all`;
  const said = await onMember(stack, member, script, `hang ${what}`);
  const [later = "", ...pids] = said.trim().split(/\s+/);
  return async () => {
    const mend = `kill -CONT ${pids.join(" ")} 2> /dev/null || :\n${calledOff(later)}`;
    await onMember(stack, member, mend, `let ${what} go on`);
  };
}

/** The container that a machine is, or that stands in for it. @returns nothing where it is a real one */
export async function containerOf(
  stack: OperatedStack,
  machine: string,
): Promise<string | undefined> {
  const name = dockerNames(stack.name).container(machine);
  if (stack.settings.platform === "docker") return name;
  const format = '--format={{index .Config.Labels "hastack.machines"}}';
  const { code, stdout } = await docker(["container", "inspect", format, name]);
  return code === 0 && stdout.trim() === stack.name ? name : undefined;
}

/** Runs a command from here after a while, whatever becomes of this process. @returns what calls it off */
function later(command: readonly string[]): () => void {
  const script = `sleep ${mostSeconds}; exec "$@"`;
  const child = spawn("sh", ["-c", script, "sh", ...command], { stdio: "ignore", detached: true });
  child.on("error", () => {});
  child.unref();
  return () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid);
    } catch {
      // It has done it already
    }
  };
}

/** Half a fault is mended at once: what would mend it later could meet the next one. @throws what harming threw */
async function orMended(mend: Mend, harm: () => Promise<unknown>): Promise<Mend> {
  try {
    await harm();
    return mend;
  } catch (error) {
    await mend().catch(() => {});
    throw error;
  }
}

/** Stops all of a machine in its tracks, its answers to connections too, but not its system's. */
export async function pauseMachine(container: string): Promise<Mend> {
  const callOff = later(["docker", "unpause", container]);
  const mend = async () => {
    const { code, stderr } = await docker(["unpause", container]);
    // What cannot be mended now is mended later
    if (code !== 0 && !stderr.includes("is not paused"))
      throw new Error(`${container} still hangs: ${stderr.trim()}`);
    callOff();
  };
  return orMended(mend, () => mustDocker(["pause", container]));
}

/**
 * Takes a machine's power: its network is dead before its processes are, so that no goodbye gets out.
 * @param struck is called once it is: processes take the engine some more time
 */
export async function cutPower(
  stack: OperatedStack,
  container: string,
  machine: string,
  struck: () => void,
): Promise<Mend> {
  const forget = await cutNetwork(stack, machine, { all: true });
  const callOff = later(["docker", "start", container]);
  const mend = async () => {
    await mustDocker(["start", container]);
    callOff();
    // The cut went with the container's network, and a machine that boots cannot be asked yet
    await forget().catch(() => {});
  };
  struck();
  return orMended(mend, () => mustDocker(["kill", container]));
}

/** What does not get through. */
export interface Cut {
  /** Whom nothing is heard of, or told. @default nobody */
  readonly addresses?: readonly string[];
  /** Everything but logins for administration. @default false */
  readonly all?: boolean;
  /** All that comes and goes by the interface with this address of the machine's own. @default whichever */
  readonly interfaceOf?: string;
  /** @default both */
  readonly direction?: "in" | "out";
}

/** nftables' table of a cut: each has its own, so that what mends one late leaves the next one alone. */
const newTable = () => `inet hastack_prove_${randomBytes(4).toString("hex")}`;

/**
 * Shell text that has a machine's system drop packets.
 * @param logins ports by which it is administered, which stay open, for nft
 */
export function cutScript(
  { addresses = [], all = false, interfaceOf, direction }: Cut,
  table = newTable(),
  logins = "22",
): string {
  const of = (side: "saddr" | "daddr") => {
    if (all) return "drop";
    if (interfaceOf !== undefined)
      return `${side === "saddr" ? "iifname" : "oifname"} "$name" drop`;
    return `ip ${side} { ${addresses.join(", ")} } drop`;
  };
  const chain = (
    name: string,
    hook: "input" | "output",
    side: "saddr" | "daddr",
    skip: string,
  ) => `  chain ${name} {
    type filter hook ${hook} priority -200;
    ${skip} accept
    tcp ${hook === "input" ? "dport" : "sport"} { ${logins} } accept
    ${of(side)}
  }`;
  const chains = [
    ...(direction === "out" ? [] : [chain("into", "input", "saddr", "iif lo")]),
    ...(direction === "in" ? [] : [chain("out", "output", "daddr", "oif lo")]),
  ];
  const named =
    interfaceOf === undefined
      ? ""
      : `name=$(ip -oneline -4 address show to ${interfaceOf}/32 | awk '{ print $2; exit }'); [ -n "$name" ] || exit 1
`;
  return `${named}nft -f - << END
table ${table} {
${chains.join("\n")}
}
END`;
}

/** The same for a machine that is logged in to by SSH: by its own configuration, or by a port that is passed on to it. */
function cutByLogin({ settings }: OperatedStack, machine: string, cut: Cut, table: string): string {
  const { port = 22 } = targets(settings).find(({ name }) => name === machine) ?? {};
  const all = `{ echo 22; echo ${port}; sshd -T 2> /dev/null | sed -n 's/^port //p'; }`;
  return `logins=$(${all} | sort -un | paste -sd ,)\n${cutScript(cut, table, "$logins")}`;
}

/** All cuts of all proofs. */
export const healAllScript = `nft list tables | grep -x 'table inet hastack_prove_[0-9a-f]*' |
  while read -r _ family name; do nft delete table "$family" "$name"; done`;

const healScript = (table: string) => `nft delete table ${table} 2> /dev/null || :`;

/** Shell text that has a machine mend its network by itself after a while, by a group of processes of its own. */
const healedLater = (heal: string) =>
  `setsid sh -c 'sleep ${mostSeconds}; ${heal}' > /dev/null 2>&1 < /dev/null &`;

/** Cuts a machine off. */
export async function cutNetwork(stack: OperatedStack, machine: string, cut: Cut): Promise<Mend> {
  const table = newTable();
  const heal = healScript(table);
  if (stack.settings.platform === "docker") {
    const beside = await besideContainer(stack, machine);
    const callOff = later(["docker", ...beside, heal]);
    const mend = async () => {
      await mustDocker([...beside, heal]);
      callOff();
    };
    return orMended(mend, () => mustDocker([...beside, cutScript(cut, table)]));
  }
  const on = { name: machine, machine } as Member;
  const script = `set -e
${healedLater(heal)}
${cutByLogin(stack, machine, cut, table)}
echo $!`;
  const group = (await mustOn(stack, on, script, "cut the network", 20)).trim();
  return async () => {
    await mustOn(stack, on, `${heal}\n${calledOff(group)}`, "mend the network", 20);
  };
}

/** Cuts a machine off, again and again. */
export async function flapNetwork(
  stack: OperatedStack,
  machine: string,
  cut: Cut,
  { downSeconds, upSeconds }: { readonly downSeconds: number; readonly upSeconds: number },
): Promise<Mend> {
  const rounds = Math.floor(mostSeconds / (downSeconds + upSeconds));
  const table = newTable();
  const heal = healScript(table);
  const isDocker = stack.settings.platform === "docker";
  const goDown = isDocker ? cutScript(cut, table) : cutByLogin(stack, machine, cut, table);
  const script = `for round in $(seq ${rounds}); do
sleep ${downSeconds}
${heal}
sleep ${upSeconds}
${goDown}
done
${heal}`;
  if (isDocker) {
    const [run = "", ...beside] = await besideContainer(stack, machine);
    const callOff = later(["docker", run, ...beside, heal]);
    let flapping = "";
    const mend = async () => {
      if (flapping !== "") await docker(["kill", flapping]);
      await mustDocker([run, ...beside, heal]);
      callOff();
    };
    return orMended(mend, async () => {
      await mustDocker([run, ...beside, goDown]);
      flapping = (await mustDocker([run, "--detach", ...beside, script])).trim();
    });
  }
  const on = { name: machine, machine } as Member;
  const started = `set -e
${healedLater(heal)}
${goDown}
setsid sh -c ${quote(script)} > /dev/null 2>&1 < /dev/null &
echo $!`;
  const pid = (await mustOn(stack, on, started, "have the network flap", 20)).trim();
  return async () => {
    const ended = `${calledOff(pid)}\n${heal}`;
    await mustOn(stack, on, ended, "mend the network", 20);
  };
}

/**
 * Mends whatever a proof that was cut off may have left, where what mends it late is gone too, as with its computer.
 * It began with a stack that was whole, so every machine ran.
 * @throws what the first machine said that could not be mended; one that cannot be reached is nobody's to mend
 */
export async function mendAll(stack: OperatedStack): Promise<void> {
  const machines = [...new Set(present(allMembers(stack.topology)).map(({ machine }) => machine))];
  const done = await Promise.allSettled(machines.map((one) => mendMachine(stack, one)));
  for (const one of done) if (one.status === "rejected") throw one.reason;
}

async function mendMachine(stack: OperatedStack, machine: string): Promise<void> {
  const isDocker = stack.settings.platform === "docker";
  // Real machines may be operated from where there is no Docker
  const container = await containerOf(stack, machine).catch((error: Error) => {
    if (isDocker) throw error;
    return undefined;
  });
  if (container !== undefined) {
    const { stdout } = await docker([
      "container",
      "inspect",
      "--format={{.State.Status}}",
      container,
    ]);
    const state = stdout.trim();
    if (state === "paused") await mustDocker(["unpause", container]);
    // With its power its network was lost, and the cut of it
    if (state === "exited") {
      await mustDocker(["start", container]);
      return;
    }
    if (state !== "running" && state !== "paused") return;
  }
  if (isDocker) {
    await mustDocker([...(await besideContainer(stack, machine)), healAllScript]);
    return;
  }
  const outcome = await onMachineOf(stack, machine, healAllScript, { limitSeconds: 20 });
  if (!isUnreachable(outcome) && outcome.code !== 0)
    throw new Error(`${machine}: ${outcome.stderr.trim()}`);
}

/** The load balancers' image has nftables; a container's own processes may not change its network. */
async function besideContainer(stack: OperatedStack, machine: string): Promise<string[]> {
  const { container } = dockerNames(stack.name);
  const balancers = stack.topology.members.loadBalancer.map((one) => container(one.machine));
  return besideWords(container(machine), balancers);
}

/**
 * Words of Docker that run shell text in a container's network.
 * @param balancers of the first of them that is there, the image is what it runs in @throws where none is
 */
export async function besideWords(
  container: string,
  balancers: readonly string[],
): Promise<string[]> {
  const { stdout, stderr } = await docker(["inspect", "--format={{.Image}}", ...balancers]);
  const [image = ""] = stdout.trim().split("\n");
  if (image === "") throw new Error(`no load balancer is there: ${stderr.trim()}`);
  const options = ["--rm", `--network=container:${container}`, "--cap-add=NET_ADMIN"];
  return ["run", ...options, "--entrypoint=sh", image, "-c"];
}
