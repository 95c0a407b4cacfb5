/**
 * Delivers a workload's files into its volume and makes its running processes take notice. Secrets
 * come by standard input and go on by standard input.
 */
import { finishReload } from "../../render/delivery.ts";
import { configurationDirectory } from "../platform.ts";
import { containerState, fail, readInput, required, runDocker } from "./engine.ts";

/** Gives the passing container the workload's addresses, on interfaces that lead nowhere. */
function pretendAddresses(addresses: readonly string[]): string {
  return addresses
    .map((address, index) => {
      const name = `pretend${index}`;
      return `ip link add ${name} type veth peer name ${name}-end
ip address add ${address}/24 dev ${name}
ip link set ${name} up
`;
    })
    .join("");
}

async function deliver(): Promise<void> {
  const addresses = required("ADDRESSES").split(" ");
  const report = await runDocker(
    [
      "run",
      "--rm",
      "--interactive",
      "--network=none",
      "--cap-add=NET_ADMIN",
      ...required("LABELS").split(" "),
      `--volume=${required("VOLUME")}:${configurationDirectory}`,
      required("IMAGE"),
      "sh",
      "-c",
      pretendAddresses(addresses) + required("SCRIPT"),
    ],
    await readInput(),
  );
  const marked = (word: string) =>
    report
      .split("\n")
      .filter((line) => line.startsWith(word))
      .map((line) => line.slice(word.length));
  console.log(report.trim() || "nothing changed");
  await reload(marked("reload "));
}

async function reload(processes: readonly string[]): Promise<void> {
  const container = required("CONTAINER");
  if (processes.length === 0 || (await containerState(container)) !== "running") return;
  const commands: Record<string, string> = JSON.parse(required("RELOADS"));
  for (const process of processes) {
    await runDocker([
      "exec",
      container,
      "sh",
      "-euc",
      `${commands[process] ?? ":"}\n${finishReload(configurationDirectory, [process])}`,
    ]);
    console.log(`${process} took notice`);
  }
}

await deliver().catch(fail);
