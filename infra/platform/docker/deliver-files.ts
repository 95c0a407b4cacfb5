/**
 * Delivers a workload's files into its volume and makes its running processes take notice. Secrets
 * come by standard input and go on by standard input.
 */

import { fail, readInput, required } from "../../../lib/command.ts";
import { dropNotice, type Notice } from "../delivery.ts";
import { containerState, runDocker } from "./engine.ts";
import { configurationDirectory } from "./s6.ts";

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
      // The shell is not process 1 then, and ends when it is told to
      "--init",
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
  const lines = report.split("\n").map((line) => line.split(" "));
  const changed = lines.filter(([word]) => word === "changed" || word === "removed");
  console.log(changed.map((words) => words.join(" ")).join(", ") || "nothing changed");
  for (const [word, process = ""] of lines) {
    if (word === "reload" || word === "restart") await giveNotice(word, process);
  }
}

/** A container that does not run reads its new files when it starts. */
async function giveNotice(notice: Notice, process: string): Promise<void> {
  const container = required("CONTAINER");
  if ((await containerState(container)) !== "running") return;
  const commands: Record<string, Record<Notice, string>> = JSON.parse(required("NOTICES"));
  const script = `${commands[process]?.[notice] ?? ":"}
${dropNotice(configurationDirectory, notice, process)}`;
  await runDocker(["exec", container, "sh", "-euc", script]);
  console.log(`${notice} of ${process}`);
}

await deliver().catch(fail);
