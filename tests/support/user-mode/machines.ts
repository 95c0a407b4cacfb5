/**
 * Machines with kernels of their own, for what containers cannot have: Debian's user-mode-linux in one
 * container, which is their network. Slow, and lost with the container.
 */
import { existsSync } from "node:fs";
import { baseImage } from "../../../lib/base-image.ts";
import { inRoot } from "../../../lib/paths.ts";
import { mustRun, type Outcome, run } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { type Container, start } from "../unit/containers.ts";

const image = "hastack-test/user-mode";
const bootSeconds = 300;

/** Why there can be none here, if so. */
export function noMachinesBecause(): string | undefined {
  if (process.arch !== "x64") return `user-mode-linux is for x86_64, and this is ${process.arch}`;
  return existsSync("/dev/net/tun") ? undefined : "there is no /dev/net/tun";
}

/** The network of such machines; takes a minute or two when its image is not there yet. */
export async function startNetwork(packages: readonly string[]): Promise<Container> {
  await mustRun(
    [
      ...["docker", "build", "--quiet", `--tag=${image}`],
      `--build-arg=BASE=${baseImage.name}`,
      `--build-arg=PACKAGES=${packages.join(" ")}`,
      inRoot("tests/support/user-mode"),
    ],
    { limitSeconds: 900 },
  );
  const network = await start(image, "user-mode", {
    arguments: [
      ...["--cap-add=NET_ADMIN", "--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined"],
      ...["--device=/dev/net/tun", "--tmpfs=/memory:exec,size=2g"],
    ],
  });
  await network.run(
    "ip link add bridge type bridge; ip address add 10.9.0.1/24 dev bridge; ip link set bridge up",
  );
  return network;
}

export class UserModeMachine {
  readonly #network: Container;
  readonly name: string;
  readonly #host: number;

  /** @param host last number of its address */
  constructor(network: Container, name: string, host: number) {
    this.#network = network;
    this.name = name;
    this.#host = host;
  }

  get address(): string {
    return `10.9.0.${this.#host}`;
  }

  /** Starts it; its disks are as they were. */
  async boot(): Promise<void> {
    await mustRun([
      "docker",
      "exec",
      "-d",
      this.#network.name,
      "boot",
      this.name,
      String(this.#host),
    ]);
  }

  async booted(): Promise<void> {
    await until(`${this.name} has booted`, {
      probe: () => this.attempt("echo here"),
      done: ({ stdout }) => stdout === "here\n",
      limitSeconds: bootSeconds,
    });
  }

  /** Runs shell text there; the answer may be a failure. */
  attempt(script: string, input = "", limitSeconds = 180): Promise<Outcome> {
    const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"];
    const ssh = ["ssh", ...options.flatMap((one) => ["-o", one]), "-o", "ConnectTimeout=3"];
    return run(
      [
        "docker",
        "exec",
        "--interactive",
        this.#network.name,
        ...ssh,
        `root@${this.address}`,
        script,
      ],
      { input, limitSeconds },
    );
  }

  /** Runs shell text there that must succeed. @returns what it printed, without the last line's end */
  async run(script: string, input = "", limitSeconds = 180): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(script, input, limitSeconds);
    if (code !== 0) throw new Error(`${this.name}: ended with ${code}: ${stderr}${stdout}`);
    return stdout.replace(/\n$/, "");
  }

  /** Its cable; nobody is told. */
  async link(state: "up" | "down"): Promise<void> {
    await this.#network.run(`ip link set ${this.name} ${state}`);
  }

  /** Takes its power away, so that no goodbye gets out. */
  async lose(): Promise<void> {
    await this.link("down");
    await this.#network.attempt(`pkill -KILL -f '[u]mid=${this.name}'`);
  }
}
