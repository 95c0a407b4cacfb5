/**
 * Two stand-in machines for the tests of a run that need real ones, reached the way the platform
 * reaches machines. They are started when first asked for, and taken away with the run.
 */
import { spawnSync } from "node:child_process";
import {
  type RunOptions,
  runOnMachine,
  type Target,
} from "../../../infra/platform/ssh/connection.ts";
import {
  administrator,
  containerName,
  inMachine,
  removeMachines,
  startMachines,
} from "../../../lab/machines.ts";
import { root } from "../../../lib/paths.ts";
import { mustRun, type Outcome } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";

const set = "unit";
const networks = {
  frontend: "172.29.52.0/24",
  backend: "172.29.53.0/24",
  management: "172.29.54.0/24",
};

/** A machine that a test may do anything to. */
export class StandIn {
  readonly target: Target;
  readonly container: string;
  /** Addresses in the stack's networks. */
  readonly frontend: string;
  readonly backend: string;

  constructor(target: Target, number: number) {
    this.target = target;
    this.container = containerName(set, target.name);
    this.frontend = networks.frontend.replace(/0\/24$/, String(10 + number));
    this.backend = networks.backend.replace(/0\/24$/, String(10 + number));
  }

  /** Runs a script as the platform does; it may fail. */
  attempt(script: string, options: Partial<RunOptions> = {}): Promise<Outcome> {
    return runOnMachine(this.target, script, { limitSeconds: 120, ...options });
  }

  /** Runs a script past SSH that must succeed. @returns what it printed, without the last line's end */
  async look(script: string): Promise<string> {
    return (await inMachine(set, this.target.name, script)).replace(/\n$/, "");
  }

  /** Boots it anew, and waits until it can be reached. */
  async restart(): Promise<void> {
    await mustRun(["docker", "restart", this.container]);
    await until(`${this.target.name} has booted`, {
      probe: () => this.attempt("systemctl is-system-running --wait"),
      done: ({ stdout }) => /running|degraded/.test(stdout),
      limitSeconds: 60,
    });
  }
}

let started: Promise<readonly [StandIn, StandIn]> | undefined;

/** The machines `node-1` and `node-2`; the first call of a run takes up to some minutes. */
export function standIns(): Promise<readonly [StandIn, StandIn]> {
  started ??= start();
  return started;
}

async function start(): Promise<readonly [StandIn, StandIn]> {
  // What an earlier run that was cut off left
  await removeMachines(set, root, true);
  // The machines' image stays, as the other images of the tests do
  process.on("exit", () => {
    spawnSync(process.execPath, ["lab/machines.ts", "stop", set, "keep-image"], { cwd: root });
  });
  const names = ["node-1", "node-2"] as const;
  const { files, machines } = await startMachines({
    set,
    networks,
    machines: names.map((name, index) => ({ name, number: index + 1, frontend: true })),
  });
  const one = (name: string, number: number) => {
    const machine = machines.find((running) => running.name === name);
    return new StandIn(
      {
        name,
        address: machine?.addresses.management ?? "",
        port: 22,
        user: administrator,
        hostKey: machine?.hostKey ?? "",
        identityFile: files.identityFile,
      },
      number,
    );
  };
  return [one(names[0], 1), one(names[1], 2)];
}
