/**
 * Runs a task to its end: in a passing container where it brings an image along, else in the
 * machine's own container. Secrets come by standard input and go on by standard input.
 */
import { fail, readInput, required } from "../../../lib/command.ts";
import { runDocker } from "./engine.ts";

const limitSeconds = 300;

function target(): string[] {
  const { IMAGE, NETWORK, VOLUMES = "", LABELS = "", CONTAINER } = process.env;
  if (CONTAINER) return ["exec", "--interactive", CONTAINER];
  return [
    "run",
    "--rm",
    // The shell is not process 1 then, and ends when it is told to
    "--init",
    "--interactive",
    `--network=${NETWORK}`,
    ...LABELS.split(" "),
    ...VOLUMES.split(" ")
      .filter(Boolean)
      .map((volume) => `--volume=${volume}`),
    IMAGE ?? "",
  ];
}

await runDocker(
  // Ending docker's client would leave the shell at work inside the container
  [
    ...target(),
    "timeout",
    "--kill-after=5",
    String(limitSeconds - 10),
    "sh",
    "-euc",
    required("SCRIPT"),
  ],
  await readInput(),
  limitSeconds,
).then((output) => console.log(output.trim()), fail);
